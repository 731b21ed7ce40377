"""A cheap judge that hands what it is unsure of to a dearer one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import Any

from judgelab.errors import ConfigError
from judgelab.judges.panel import PanelJudge
from judgelab.judges.several import SeveralJudge
from judgelab.types import Interaction, Verdict

SURE_BY = ("confidence", "repeats", "votes")


class CascadeJudge(SeveralJudge):
    """`cheap` decides what it is sure of; `dear` judges the rest, and its verdict stands.

    How sure it is, in 0..1, is by `sure_by`: its `confidence`, the share of its `repeats` that say
    the same, or the margin of its `votes`, where it is a panel. It decides from `threshold` on; an
    abstention or a verdict without a confidence is never sure. `by` says which of the two decided.
    """

    def __init__(
        self,
        cheap: Any,
        dear: Any,
        sure_by: str = "confidence",
        threshold: float = 0.9,
        repeats: int = 1,
    ) -> None:
        super().__init__({"cheap": cheap, "dear": dear}, repeats)
        self.cheap, self.dear = self.members
        if sure_by not in SURE_BY:
            raise ConfigError(f"judge.sure_by={sure_by}: one of {', '.join(SURE_BY)} is needed.")
        if sure_by == "votes" and not isinstance(cheap, PanelJudge):
            raise ConfigError(
                "judge.sure_by=votes needs a panel as judge.cheap, such as "
                "'{judge: panel, members: [{rubric: generic}, {demos: none}]}'."
            )
        if sure_by == "repeats" and self.cheap.judge.repeats < 2:
            raise ConfigError(
                "judge.sure_by=repeats: the cheap judge is asked once, which always agrees with "
                "itself. Say how often, such as judge.cheap='{repeats: 3}'."
            )
        self.sure_by = sure_by
        self.threshold = threshold

    async def judge(
        self, interactions: Iterable[Interaction], repeat: int
    ) -> AsyncGenerator[Verdict, None]:
        items = list(interactions)
        left, unsure = {item.id for item in items}, set[str]()
        async with aclosing(self.cheap.judged(items, repeat)) as found:
            async for given in found:
                left.remove(given[0].id)
                verdict = self.cheap.verdict(given, repeat)
                if self.sure(given) >= self.threshold:
                    yield verdict
                else:
                    unsure.add(verdict.id)
        self.book_failed(sorted(left), repeat, [self.cheap])
        handed = [item for item in items if item.id in unsure]
        async with aclosing(self.dear.judged(handed, repeat)) as found:
            async for given in found:
                unsure.remove(given[0].id)
                yield self.dear.verdict(given, repeat)
        self.book_failed(sorted(unsure), repeat, [self.dear])

    def sure(self, given: Sequence[Verdict]) -> float:
        """How sure the cheap judge is of an item, from its repeats; -1 where it cannot be."""
        verdict = self.cheap.verdict(given, 0)
        if verdict.verdict is None:
            return -1.0
        if self.sure_by == "repeats":
            return sum(one.verdict == verdict.verdict for one in given) / len(given)
        return -1.0 if verdict.confidence is None else verdict.confidence
