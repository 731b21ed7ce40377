"""Always the same verdict: the floor of every table."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from judgelab.judges.base import Judge
from judgelab.types import LABELS, Interaction, Label, Verdict


class ConstantJudge(Judge):
    def __init__(self, verdict: Label) -> None:
        if verdict not in LABELS:
            raise ValueError(f"verdict must be pass or fail, got {verdict!r}")
        self.verdict = verdict

    async def judge(
        self, interactions: Iterable[Interaction], repeat: int
    ) -> AsyncIterator[Verdict]:
        for interaction in interactions:
            yield Verdict(interaction.id, self.verdict, repeat=repeat)
