"""The call accounts of a variant: planned = answered + abstained + failed + skipped + pending."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Accounts:
    """Verdicts by fate, and what the calls behind them cost.

    `cost_usd` is what the answers are worth at the model's price; `spent_usd` is the part that
    was paid now, the rest came from the call store.
    """

    planned: int = 0
    answered: int = 0
    abstained: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    skipped: int = 0
    sent: int = 0
    stored: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float = 0.0
    spent_usd: float = 0.0
    models: Counter[str] = field(default_factory=Counter)  # ids that the server reported
    detail: str = ""  # what the last failure said

    @property
    def pending(self) -> int:
        done = self.answered + self.abstained.total() + self.failed.total() + self.skipped
        return self.planned - done

    @property
    def complete(self) -> bool:
        return self.answered + self.abstained.total() == self.planned

    def to_json(self) -> dict[str, Any]:
        return {
            "planned": self.planned,
            "answered": self.answered,
            "abstained": dict(sorted(self.abstained.items())),
            "failed": dict(sorted(self.failed.items())),
            "skipped": self.skipped,
            "pending": self.pending,
            "sent": self.sent,
            "from_store": self.stored,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "cost_usd": round(self.cost_usd, 9),
            "spent_usd": round(self.spent_usd, 9),
            "models": sorted(self.models),
        }
