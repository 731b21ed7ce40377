"""What judging would still take at most: verdicts, calls, tokens, money. Nothing is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

from judgelab.judges.base import Estimate, Judge
from judgelab.types import Interaction


@dataclass(frozen=True)
class Takes:
    """Calls are those to be sent; tokens in and out, and USD, are theirs."""

    verdicts: float = 0
    calls: float = 0
    tokens_in: float = 0
    tokens_out: float = 0
    usd: float = 0.0

    @classmethod
    def of(cls, estimate: Estimate, verdicts: float = 0) -> Takes:
        return cls(verdicts, *estimate)

    def __add__(self, other: Takes) -> Takes:
        return Takes(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __mul__(self, times: float) -> Takes:
        return Takes(*(times * part for part in astuple(self)))

    def __str__(self) -> str:
        if not self.calls:
            return f"{self.verdicts:,.0f} verdicts, no calls to send"
        return (
            f"{self.verdicts:,.0f} verdicts, {self.calls:,.0f} calls to send, about "
            f"{self.tokens_in:,.0f} tokens in and {self.tokens_out:,.0f} out, about "
            f"${self.usd:.4f}"
        )


def asking(judge: Judge, interactions: Sequence[Interaction], most: int | None = None) -> Takes:
    """What a prepared judge takes for all repeats of the interactions; where there is a `most`, as
    the first so many suggest."""
    looked_at = interactions[:most]
    whole = Takes()
    for interaction in looked_at:
        for repeat in range(judge.repeats):
            whole += Takes.of(judge.ask_estimate(interaction, repeat), verdicts=1)
    return whole * (len(interactions) / len(looked_at)) if looked_at else whole
