"""Budgets: caps on calls, tokens and money, checked before a call is sent."""

from __future__ import annotations

from dataclasses import dataclass, field

from judgelab.models.base import CallFailed, Model, Reply, Request


class BudgetSpent(CallFailed):
    """The next call would pass a cap; nothing was sent."""


@dataclass(frozen=True)
class Budget:
    """Caps; None is no cap. `name` is the config key they stand under."""

    calls: int | None = None
    tokens: int | None = None
    usd: float | None = None
    name: str = "budget"


@dataclass
class Purse:
    """What has been spent of a budget, and what is reserved for calls on their way."""

    budget: Budget = field(default_factory=Budget)
    calls: int = 0
    tokens: int = 0
    usd: float = 0.0
    _tokens_reserved: float = 0.0
    _usd_reserved: float = 0.0

    def has_room(self, tokens: float, usd: float) -> bool:
        """Whether a call of that size may be sent now; False where calls on their way may leave
        room for it. Raises BudgetSpent where they cannot."""
        budget = self.budget
        if budget.calls is not None and self.calls >= budget.calls:
            raise BudgetSpent("budget", f"{budget.name}.calls={budget.calls} is spent")
        room = True
        for name, cap, spent, reserved, more in (
            ("tokens", budget.tokens, self.tokens, self._tokens_reserved, tokens),
            ("usd", budget.usd, self.usd, self._usd_reserved, usd),
        ):
            if cap is None or spent + reserved + more <= cap:
                continue
            if not reserved or spent + more > cap:
                raise BudgetSpent("budget", f"{budget.name}.{name}={cap:g} would be passed")
            room = False
        return room

    def reserve(self, tokens: float, usd: float) -> None:
        """A call is being sent."""
        self.calls += 1
        self._tokens_reserved += tokens
        self._usd_reserved += usd

    def settle(self, reserved: tuple[float, float], tokens: int, usd: float) -> None:
        """It has ended, and this is what it took."""
        self._tokens_reserved -= reserved[0]
        self._usd_reserved -= reserved[1]
        self.tokens += tokens
        self.usd += usd


def most_tokens(request: Request) -> tuple[int, int]:
    """(in, out) tokens that a call may take: the answer at its cap, or at its usual length."""
    tokens_in, usual = request.estimated_tokens()
    caps = (request.parameters.get(key) for key in ("max_tokens", "max_completion_tokens"))
    return tokens_in, next((cap for cap in caps if cap), usual)


def estimated_cost(model: Model, request: Request) -> float:
    """USD that a call will roughly cost; 0.0 for a model without a price."""
    return model.price.estimate(*request.estimated_tokens()) if model.price else 0.0


def taken(model: Model, request: Request, reply: Reply) -> tuple[int, float]:
    """(tokens, USD) that an answer took; as estimated where the server does not count."""
    tokens = reply.tokens_in + reply.tokens_out
    if not tokens:
        return sum(request.estimated_tokens()), estimated_cost(model, request)
    return tokens, model.price.of(reply) if model.price else 0.0
