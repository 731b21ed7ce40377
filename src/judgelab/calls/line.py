"""A variant's line to the pool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from judgelab.calls.accounts import Accounts
from judgelab.calls.budget import BudgetSpent, Purse
from judgelab.calls.pool import Interrupted, Pool
from judgelab.models.base import CallFailed, Model, Reply, Request
from judgelab.types import Verdict


class NotRecorded(CallFailed):
    """A replay has no answer for this call."""


class Replies(Protocol):
    """Where the recorded replies go, as rows of replies.jsonl."""

    def append(self, row: dict[str, Any], /) -> None: ...


@dataclass
class Calls:
    """One variant's line to the pool: keeps its accounts and records its replies."""

    pool: Pool
    accounts: Accounts = field(default_factory=Accounts)
    replies: Replies = field(default_factory=list[dict[str, Any]])
    _asked: Counter[tuple[str, int]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.accounts.purse = Purse(self.pool.per_run)

    async def ask(self, model: Model, request: Request) -> Reply:
        """As `Pool.ask`; in a replay the answer is the one recorded for this item and repeat."""
        if self.pool.record is not None:
            reply = self._replay(self.pool.record, request)
        else:
            reply = await self.pool.ask(model, request, self.accounts)
        accounts = self.accounts
        accounts.tokens_in += reply.tokens_in
        accounts.tokens_out += reply.tokens_out
        accounts.tokens_cached += reply.tokens_cached
        accounts.cost_usd += model.price.of(reply) if model.price else 0.0
        if reply.model:
            accounts.models[reply.model] += 1
        place = {"id": request.item, "repeat": request.repeat, "key": request.key}
        self.replies.append(place | {"reply": reply.to_json()})
        return reply

    def costs(self) -> dict[str, Any]:
        """What its calls took, where no verdicts are booked."""
        kept = ("sent", "from_store", "tokens_in", "tokens_out", "cost_usd", "spent_usd")
        whole = self.accounts.to_json()
        return {name: whole[name] for name in kept}

    def book(self, verdict: Verdict) -> None:
        """Book a verdict, answered or abstained."""
        if verdict.verdict:
            self.accounts.answered += 1
        else:
            self.accounts.abstained[verdict.reason or "unsure"] += 1

    def failed(self, failure: CallFailed) -> None:
        """Book a call that has no answer; after an interrupt it is not come to."""
        if isinstance(failure, BudgetSpent):
            self.accounts.skipped += 1
        elif not isinstance(failure, Interrupted):
            self.accounts.failed[failure.cause] += 1
        self.accounts.detail = str(failure)

    def _replay(
        self, record: Mapping[tuple[str, int], list[tuple[str, Reply]]], request: Request
    ) -> Reply:
        """By key; where a rubric or template has moved, by place: the n-th call for the item."""
        place = (request.item, request.repeat)
        recorded = record.get(place, [])
        n = self._asked[place]
        self._asked[place] += 1
        for key, reply in recorded:
            if key == request.key:
                return reply
        if n < len(recorded):
            return recorded[n][1]
        raise NotRecorded("not recorded", f"no answer for item {request.item!r}")
