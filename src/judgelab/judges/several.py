"""What judges that are made of judges have in common."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from judgelab.calls.line import Calls, Part
from judgelab.data.split import TrainSet
from judgelab.errors import ConfigError
from judgelab.judges.base import NOTHING, Estimate, Judge, added
from judgelab.members import INHERITED
from judgelab.models.base import CallFailed
from judgelab.scoring import majority
from judgelab.types import Interaction, Verdict


class Member:
    """A judge within a judge, at `path` in its config.

    The member's own repeats are asked for every repeat of the judge that holds it: in its repeat r
    a member with k has the repeats rk to rk + k - 1.
    """

    calls: Part

    def __init__(self, path: str, judge: Any) -> None:
        if not isinstance(judge, Judge):
            raise ConfigError(f"judge.{path} is no judge: got {type(judge).__name__}.")
        self.path = path
        self.judge = judge

    def prepare(self, train: TrainSet, calls: Calls) -> None:
        self.calls = calls.part(self.path)
        self.judge.prepare(train, self.calls)

    async def judged(
        self, interactions: Sequence[Interaction], repeat: int
    ) -> AsyncGenerator[list[Verdict], None]:
        """The verdicts of all its repeats on an item, as they are there; items where one of them
        failed are left out."""
        found: dict[str, list[Verdict]] = {}
        for one in self.repeats(repeat):
            async for verdict in self.judge.judge(interactions, one):
                given = found.setdefault(verdict.id, [])
                given.append(verdict)
                if len(given) == self.judge.repeats:
                    yield found.pop(verdict.id)

    def repeats(self, repeat: int) -> range:
        """Its repeats for a repeat of the judge that holds it."""
        k = self.judge.repeats
        return range(repeat * k, (repeat + 1) * k)

    def estimate(self, interaction: Interaction, repeat: int) -> Estimate:
        asked = (self.judge.ask_estimate(interaction, one) for one in self.repeats(repeat))
        return added(NOTHING, *asked)

    def verdict(self, given: Sequence[Verdict], repeat: int) -> Verdict:
        """Its one verdict on an item: the majority of its repeats; confidence is their mean."""
        label = majority(given)[given[0].id]
        side = [one for one in given if one.verdict == label]
        if not side:
            return Verdict(given[0].id, None, "tie", repeat=repeat, by=self.path)
        known = [one.confidence for one in side if one.confidence is not None]
        mean = round(sum(known) / len(known), 6) if len(known) == len(side) else None
        first = side[0]
        by = f"{self.path}.{first.by}" if first.by else self.path
        return replace(first, repeat=repeat, confidence=mean if label else None, by=by)

    def failure(self, item: str, repeat: int) -> CallFailed | None:
        """Why there is no verdict on an item; None where there is one."""
        failures = self.calls.failures
        return next(
            (failures[item, r] for r in self.repeats(repeat) if (item, r) in failures), None
        )


class SeveralJudge(Judge):
    """Judges in a judge; each does what it would do alone, through the same pool."""

    def __init__(self, members: Mapping[str, Any], repeats: int) -> None:
        if repeats < 1:
            raise ValueError(f"repeats must be >= 1, got {repeats}")
        self.repeats = repeats
        self.members = [Member(path, judge) for path, judge in members.items()]
        self.llm = any(member.judge.llm for member in self.members)
        self.answers = sum(m.judge.repeats * m.judge.answers for m in self.members)

    @classmethod
    def unused(cls, node: Mapping[str, Any]) -> Iterable[str]:
        return INHERITED  # what the members have of it stands in them

    def texts(self) -> dict[str, str]:
        return {
            f"{member.path}.{name}": text
            for member in self.members
            for name, text in member.judge.texts().items()
        }

    def check(self) -> None:
        for member in self.members:
            member.judge.check()

    def prepare(self, train: TrainSet, calls: Calls) -> None:
        self.calls = calls
        for member in self.members:
            member.prepare(train, calls)
        self.rehearsed = sum(member.judge.rehearsed for member in self.members)

    def rehearsal_estimate(self) -> Estimate:
        return added(NOTHING, *(member.judge.rehearsal_estimate() for member in self.members))

    def ask_estimate(self, interaction: Interaction, repeat: int) -> Estimate:
        return added(NOTHING, *(member.estimate(interaction, repeat) for member in self.members))

    def book_failed(self, items: Iterable[str], repeat: int, members: Iterable[Member]) -> None:
        """An item fails once, for the first of these members that has no verdict on it."""
        asked = list(members)
        for item in items:
            failures = (member.failure(item, repeat) for member in asked)
            failure = next(filter(None, failures), None)
            if failure is not None:
                self.calls.failed(failure, item, repeat)
