"""A run's own judge on items that the run did not hold: unlabelled ones, and new outputs."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from judgelab import config as configs
from judgelab import estimates
from judgelab.calls.line import Calls
from judgelab.data.assignment import identify
from judgelab.estimates import Takes
from judgelab.judges.base import Judge
from judgelab.runner import Bench, Progress
from judgelab.types import Example, Interaction, Verdict
from judgelab.variants import Variant


@dataclass(frozen=True)
class Plan:
    """The judge of each fold, prepared, with what it is asked about."""

    variant: Variant
    batches: Sequence[tuple[Judge, Sequence[Interaction]]]
    calls: Calls

    @property
    def verdicts(self) -> int:
        """How many verdicts are planned."""
        return sum(len(items) * judge.repeats for judge, items in self.batches)


def plan(bench: Bench, variant: Variant, items: Mapping[int, Sequence[Interaction]]) -> Plan:
    """Judges for interactions by the number of the fold whose judge is asked; nothing is sent."""
    calls = Calls(bench.pool, replies=deque(maxlen=0))  # the call store keeps what is paid for
    batches = []
    for number, fold in enumerate(bench.folds):
        if items.get(number):
            judge = configs.build(variant.judge, Judge, "judge")
            judge.prepare(fold.train, calls)
            batches.append((judge, items[number]))
    return Plan(variant, batches, calls)


def estimate(plan: Plan, most: int | None = None) -> Takes:
    """What a plan would still take; with `most`, by so many interactions of each fold."""
    whole = Takes()
    for judge, items in plan.batches:
        whole += Takes.of(judge.rehearsal_estimate()) + estimates.asking(judge, items, most)
    return whole


async def ask(plan: Plan, progress: Progress) -> list[Verdict]:
    """All verdicts; those of failed calls are missing."""
    found: list[Verdict] = []

    async def one(judge: Judge, items: Sequence[Interaction]) -> None:
        plan.calls.accounts.planned += len(items) * judge.repeats
        for repeat in range(judge.repeats):
            async for verdict in judge.judge(items, repeat):
                plan.calls.book(verdict)
                found.append(verdict)
                progress(plan.variant, verdict)

    await asyncio.gather(*(one(*batch) for batch in plan.batches))
    return found


def unlabelled(bench: Bench) -> tuple[dict[int, list[Interaction]], list[str]]:
    """The unlabelled items that the judge has seen nothing of, by the fold whose judge is asked,
    and what is to be said of the others.

    An item that belongs with items of another part (the same group or input, nearly the same text)
    is left out: train has shown the judge what it knows of it, and test stays closed.
    """
    folds, split = bench.folds, bench.split
    of_fold = {item.id: number for number, fold in enumerate(folds) for item in fold.items}
    loose = [one for one in bench.dataset.interactions if one.id not in bench.dataset.labels]
    known = [one for one in bench.dataset.examples if one.id in split.places]
    everybody = [*known, *(Example(one, "pass") for one in loose)]
    together = identify(everybody, {}, split.config.group, split.config.same_input).components
    homes: dict[int, set[int | None]] = defaultdict(set)
    for example, component in zip(known, together, strict=False):
        homes[component].add(_home(bench, example.id, of_fold))
    found: dict[int, list[Interaction]] = defaultdict(list)
    left = 0
    for one, component in zip(loose, together[len(known) :], strict=True):
        home = homes.get(component, {0})
        number = next(iter(home))
        if len(home) > 1 or number is None:
            left += 1
        else:
            found[number].append(one)
    what = "items of another fold or part" if split.exploratory else "items of another part"
    notes = [f"{left} unlabelled items belong with {what} and are left out"] if left else []
    return dict(found), notes


def _home(bench: Bench, item: str, of_fold: Mapping[str, int]) -> int | None:
    """The fold that an item is judged in; None where the judges of this run do not judge it."""
    if bench.split.places[item].part != ("cv" if bench.split.exploratory else bench.part):
        return None
    # Beyond `limit` an item is of the part, and of no judge's training in a held-out split.
    return of_fold.get(item, None if bench.split.exploratory else 0)
