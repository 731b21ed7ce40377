"""The call accounts of a variant.

planned = answered + abstained + failed + skipped + stopped + pending.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from judgelab.calls.budget import Purse


@dataclass
class Accounts:
    """Verdicts by fate, and what the calls behind them cost.

    `cost_usd` is what the answers are worth at the model's price; `purse` holds the part that was
    paid now, the rest came from the call store. `pending` is what was not come to: the run was
    interrupted.
    """

    planned: int = 0
    answered: int = 0
    abstained: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    skipped: int = 0
    stopped: int = 0  # not asked any more: the race of the sweep was lost
    purse: Purse = field(default_factory=Purse)
    stored: int = 0
    repaired: int = 0  # second calls for an answer that could not be read
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    cost_usd: float = 0.0
    models: Counter[str] = field(default_factory=Counter)  # ids that the server reported
    detail: str = ""  # what the last failure said

    @property
    def sent(self) -> int:
        return self.purse.calls

    @property
    def spent_usd(self) -> float:
        return self.purse.usd

    @property
    def pending(self) -> int:
        done = self.answered + self.abstained.total() + self.failed.total()
        return self.planned - done - self.skipped - self.stopped

    @property
    def complete(self) -> bool:
        return self.answered + self.abstained.total() == self.planned

    def stop(self, after: int | None) -> None:
        """Book what is left as stopped; `after` how many items it was, None where it was not."""
        if after is not None:
            self.stopped += self.pending

    def to_json(self) -> dict[str, Any]:
        """As record.json keeps it. Raises AssertionError where a verdict was booked twice."""
        assert self.pending >= 0, f"more verdicts than the {self.planned} planned"
        return {
            "planned": self.planned,
            "answered": self.answered,
            "abstained": dict(sorted(self.abstained.items())),
            "failed": dict(sorted(self.failed.items())),
            "skipped": self.skipped,
            "stopped": self.stopped,
            "pending": self.pending,
            "sent": self.sent,
            "from_store": self.stored,
            "repaired": self.repaired,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "tokens_cached": self.tokens_cached,
            "cost_usd": round(self.cost_usd, 9),
            "spent_usd": round(self.spent_usd, 9),
            "models": dict(sorted(self.models.items())),
        }


def in_words(calls: Mapping[str, Any]) -> str:
    """A record's accounts as the sum they are: `150 planned = 148 answered + 2 abstained (...)`."""
    parts = [f"{calls['answered']} answered", _by("abstained", calls["abstained"])]
    parts += [_by("failed", calls["failed"]), f"{calls['skipped']} skipped by the budget"]
    parts += [f"{stopped} stopped by the race"] if (stopped := calls.get("stopped")) else []
    parts += [f"{calls['pending']} not come to"] if calls["pending"] else []
    return f"{calls['planned']} planned = {' + '.join(parts)}"


def total(records: list[Mapping[str, Any]]) -> dict[str, Any]:
    """The accounts of several runs together."""
    summed: dict[str, Any] = {}
    for name in ("planned", "answered", "skipped", "stopped", "pending", "sent", "from_store"):
        summed[name] = sum(calls.get(name, 0) for calls in records)
    for name in ("abstained", "failed"):
        counter: Counter[str] = Counter()
        for calls in records:
            counter.update(calls[name])
        summed[name] = dict(sorted(counter.items()))
    return summed


def _by(what: str, counts: Mapping[str, int]) -> str:
    causes = ", ".join(f"{cause} {n}" for cause, n in counts.items())
    return f"{sum(counts.values())} {what}" + (f" ({causes})" if causes else "")
