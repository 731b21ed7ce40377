"""Several judges and a vote."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from judgelab.calls.stream import merged
from judgelab.errors import ConfigError
from judgelab.judges.several import SeveralJudge
from judgelab.types import LABELS, Interaction, Verdict


class PanelJudge(SeveralJudge):
    """Each member has one vote, or its weight in `weights`; the heavier side is the verdict.

    A member that abstains has no vote, and even votes abstain with the reason `tie`; where nobody
    votes the reason is the first member's. Where a member's call failed the item has no verdict.
    Critique and `by` are those of the first member on the winning side that has a critique, and the
    confidence is the margin: (winning - losing weight) / weight of all members, in 0..1.
    """

    def __init__(
        self, members: Sequence[Any], weights: Sequence[float] | None = None, repeats: int = 1
    ) -> None:
        if len(members) < 2:
            raise ConfigError(f"judge.members: a panel has two judges or more, got {len(members)}.")
        super().__init__({f"members.{n}": member for n, member in enumerate(members)}, repeats)
        if weights is not None and (
            len(weights) != len(members)
            or not all(isinstance(w, int | float) and 0 < w < math.inf for w in weights)
        ):
            raise ConfigError(
                f"judge.weights={weights}: one number above 0 for each of the {len(members)} "
                "members is needed, or null for one vote each."
            )
        self.weights = [float(weight) for weight in weights or [1.0] * len(members)]

    async def judge(
        self, interactions: Iterable[Interaction], repeat: int
    ) -> AsyncGenerator[Verdict, None]:
        items = list(interactions)
        votes: dict[str, dict[int, Verdict]] = {item.id: {} for item in items}
        streams = [member.judged(items, repeat) for member in self.members]
        async with aclosing(merged(streams)) as verdicts:
            async for number, given in verdicts:
                item = given[0].id
                votes[item][number] = self.members[number].verdict(given, repeat)
                if len(votes[item]) == len(self.members):
                    yield self._decided(votes.pop(item), repeat)
        self.book_failed(votes, repeat, self.members)

    def _decided(self, votes: dict[int, Verdict], repeat: int) -> Verdict:
        given = [votes[number] for number in range(len(self.members))]
        sides = {
            label: math.fsum(
                weight
                for weight, vote in zip(self.weights, given, strict=True)
                if vote.verdict == label
            )
            for label in LABELS
        }
        if not any(sides.values()):
            return Verdict(given[0].id, None, given[0].reason, repeat=repeat)
        if math.isclose(*sides.values()):
            return Verdict(given[0].id, None, "tie", repeat=repeat)
        winner = max(LABELS, key=lambda label: sides[label])
        won = [vote for vote in given if vote.verdict == winner]
        voice = next((vote for vote in won if vote.critique), won[0])
        margin = (2 * sides[winner] - sum(sides.values())) / math.fsum(self.weights)
        return replace(voice, confidence=round(margin, 6))
