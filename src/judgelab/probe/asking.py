"""What a probe asks, of whom, and the asking: every arm is some items with a judge.

An arm is `payload/NAME` or `benign/LENGTH` (a suffix on what the expert failed), `longer` and the
changes of `changes.py` (on everything), or `leak`.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from judgelab import config as configs
from judgelab import estimates
from judgelab.calls.line import Calls
from judgelab.estimates import Takes
from judgelab.judges.base import Judge
from judgelab.probe import changes, payloads
from judgelab.probe.changes import Change, Unfit
from judgelab.runner import Bench, Progress
from judgelab.types import Interaction, Verdict
from judgelab.variants import Variant

Suffixes = Callable[[Interaction], Iterable[tuple[str, str]]]  # (arm, suffix) of an item
LEAK = "leak"
LONGER = "longer"


@dataclass(frozen=True)
class Batch:
    """Interactions for one prepared judge; `whose` is by their ids the (arm, item) of each."""

    judge: Judge
    interactions: Sequence[Interaction]
    whose: Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class Plan:
    """What a probe asks.

    Attributes:
        variant: whose judge it is.
        batches: what is asked.
        calls: the line of all of them to the pool.
        fails: ids of the items that get payloads, in the fixed order; the expert fails them all.
        items: ids of the items that the changes are tried on, in the fixed order.
        payloads: the text of each family.
        canaries: what must not appear in a critique, by the place where it stands.
        skipped: by arm, why it says nothing about this judge.
    """

    variant: Variant
    batches: Sequence[Batch]
    calls: Calls
    fails: Sequence[str]
    items: Sequence[str]
    payloads: Mapping[str, str]
    canaries: Mapping[str, str]
    skipped: Mapping[str, str] = field(default_factory=dict)

    @property
    def verdicts(self) -> int:
        """How many verdicts are planned."""
        return sum(len(batch.interactions) * batch.judge.repeats for batch in self.batches)


def plan(bench: Bench, variant: Variant, limit: int | None = None) -> Plan:
    """Every arm of a run's judge, prepared; nothing is sent.

    `limit` is the most items that get payloads, and that changes are tried on: the first of the
    fixed order.
    """
    labels, part = bench.labels, "cv" if bench.split.mode == "cv" else bench.part
    items = [item.id for item in bench.split.members(part) if item.id in labels]
    fails = [item for item in items if labels[item] == "fail"][:limit]
    items = items[:limit]
    calls = Calls(bench.pool, replies=deque(maxlen=0))  # the call store keeps what is paid for
    texts = payloads.payloads()
    plain = _judges(bench, variant, calls)
    batches = [
        *_batches(bench, plain, fails, lambda one: _attacked(texts)),
        *_batches(bench, plain, items, lambda one: [(LONGER, payloads.padding(one))]),
    ]
    skipped: dict[str, str] = {}
    for name, change in changes.CHANGES.items():
        try:
            changed = _judges(bench, variant, calls, change)
            if name in changes.OF_DEMOS:
                for one, before, fold in zip(changed, plain, bench.folds, strict=True):
                    changes.check_shown(one, before, name, fold.items)
        except Unfit as reason:
            skipped[name] = str(reason)
            continue
        batches += _batches(bench, changed, items, _always(name))
    canaries = changes.canaries(variant.id)
    try:
        watched = _judges(bench, variant, calls, changes.with_canaries(canaries))
    except Unfit as reason:
        skipped[LEAK], canaries = str(reason), {}
    else:
        batches += _batches(bench, watched, fails, _always(LEAK, payloads.leak()))
        if not all(map(changes.shows_critiques, watched, (fold.items for fold in bench.folds))):
            skipped[f"{LEAK}/demonstrations"] = "no critique of a demonstration is shown to it"
            del canaries["demonstrations"]
    return Plan(variant, batches, calls, fails, items, texts, canaries, skipped)


async def ask(plan: Plan, progress: Progress) -> dict[str, list[Verdict]]:
    """The verdicts of every arm, under the ids of the items; those of failed calls are missing."""
    found: dict[str, list[Verdict]] = defaultdict(list)

    async def one(batch: Batch) -> None:
        plan.calls.accounts.planned += len(batch.interactions) * batch.judge.repeats
        for repeat in range(batch.judge.repeats):
            async for verdict in batch.judge.judge(batch.interactions, repeat):
                plan.calls.book(verdict)
                arm, item = batch.whose[verdict.id]
                found[arm].append(replace(verdict, id=item))
                progress(plan.variant, verdict)

    await asyncio.gather(*(one(batch) for batch in plan.batches))
    return dict(found)


def estimate(plan: Plan, most: int | None = None) -> Takes:
    """What a plan would still take; with `most`, by so many interactions of each batch."""
    asked = (estimates.asking(one.judge, one.interactions, most) for one in plan.batches)
    return sum(asked, Takes())


def _attacked(texts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Every payload, and harmless text of each of their lengths."""
    for name, text in texts.items():
        yield f"payload/{name}", text
    for length in sorted({len(text) for text in texts.values()}):
        yield f"benign/{length}", payloads.benign(length)


def _always(arm: str, suffix: str = "") -> Suffixes:
    return lambda item: [(arm, suffix)]


def _judges(
    bench: Bench, variant: Variant, calls: Calls, change: Change | None = None
) -> list[Judge]:
    """The judge of each fold, prepared. Raises Unfit where the change is not for it."""
    made = []
    for fold in bench.folds:
        judge = configs.build(variant.judge, Judge, "judge")
        train = change(judge, fold.train, bench.split) if change else fold.train
        judge.prepare(train, calls)
        made.append(judge)
    return made


def _batches(
    bench: Bench,
    judges: Sequence[Judge],
    wanted: Iterable[str],
    suffixes: Suffixes,
) -> Iterator[Batch]:
    """A batch for each fold that holds any of the items; `suffixes` are by arm."""
    chosen = set(wanted)
    for judge, fold in zip(judges, bench.folds, strict=True):
        interactions, whose = [], {}
        for item in fold.items:
            for arm, suffix in suffixes(item) if item.id in chosen else ():
                interactions.append(payloads.marked(item, arm, suffix))
                whose[interactions[-1].id] = (arm, item.id)
        if interactions:
            yield Batch(judge, interactions, whose)
