"""One variant on one part of the data: load, split, build the judge, judge, score, track.

A sweep is many of these over one Bench: the same items, the same pool of calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from judgelab import __version__, resources
from judgelab import config as configs
from judgelab.calls.accounts import Accounts
from judgelab.calls.line import Calls
from judgelab.calls.pool import Pool
from judgelab.data.looks import Look
from judgelab.data.schema import Dataset, DatasetConfig, load
from judgelab.data.split import Fold, Split, SplitConfig, make_split
from judgelab.errors import ConfigError
from judgelab.judges.base import Judge
from judgelab.metrics.policies import check_policy
from judgelab.models.base import CallFailed
from judgelab.optimizers.base import Optimizer
from judgelab.optimizers.kept import diff, save
from judgelab.scoring import score
from judgelab.tracking.folder import RunFolder, Spool, runs_folder
from judgelab.tracking.record import record
from judgelab.types import Interaction, Label, Verdict, sha256
from judgelab.variants import Variant

if TYPE_CHECKING:
    from judgelab.expert.ceiling import Ceiling
    from judgelab.expert.voices import Voices


class Progress:
    """What is shown of the work while it is done; here nothing."""

    def __call__(self, variant: Variant, verdict: Verdict) -> None:
        """There is another verdict of a variant."""

    def improving(self, variant: Variant, used: int, of: int, best: str) -> None:
        """Its optimizer has used so many of its answers; `best` is what it found, in words."""

    def improved(self, variant: Variant) -> None:
        """Its optimizer has ended, however it did."""


QUIET = Progress()


@dataclass(frozen=True)
class Bench:
    """What all variants of a sweep share. `look` is there where the part is test."""

    dataset: Dataset
    split: Split
    pool: Pool
    part: str = "dev"
    limit: int | None = None
    policy: str = "error"
    look: Look | None = None
    sweep: str = ""

    @property
    def folds(self) -> list[Fold]:
        return self.split.folds(self.part, self.limit)

    @property
    def labels(self) -> dict[str, Label]:
        """The expert label of each item that is judged."""
        judged = {item.id for fold in self.folds for item in fold.items}
        labels = self.split.labels(self.part, self.look)
        return {id_: label for id_, label in labels.items() if id_ in judged}

    @cached_property
    def voices(self) -> Voices:
        """What people said of the dataset's items."""
        from judgelab.expert.voices import voices_of

        return voices_of(self.dataset, self.split.config.group)

    @cached_property
    def ceiling(self) -> Ceiling:
        """How well another human look agrees with the labels of the items that are judged."""
        from judgelab.expert.ceiling import ceiling_of

        return ceiling_of(self.voices, self.labels, level=self.level)

    @property
    def mixed_rounds(self) -> list[str]:
        """The banner of labels that were given in several rounds: each may be another rubric."""
        if len({annotation.round for annotation in self.dataset.annotations}) < 2:
            return []
        banner = self.voices.only(self.labels).mixed
        return [f"{banner[0].upper()}{banner[1:]}."] if banner else []

    @property
    def level(self) -> float:
        """Of every interval: .95, on test what the declared looks leave of it."""
        return self.look.level if self.look else 0.95

    @property
    def order(self) -> dict[str, int]:
        """The place of each item in the fixed order."""
        return {e.id: n for n, e in enumerate(item for fold in self.folds for item in fold.items)}


class Lane:
    """How a run comes by its items: alone, all at once. In a race a sweep gives it another."""

    stopped: int | None = None  # after how many items the race was lost

    async def blocks(self, ids: Sequence[str]) -> AsyncIterator[Sequence[str]]:
        """The ids to judge next, a block at a time, until all are judged or the race is lost."""
        yield ids

    def tell(self, ids: Sequence[str], verdicts: Sequence[Verdict]) -> None:
        """What was said of a block."""

    def leave(self) -> None:
        """The run has ended, however it did: nobody must wait for it."""


ALONE = Lane()


@dataclass(frozen=True)
class Run:
    """A variant with its folder and its judge, ready to judge."""

    variant: Variant
    folder: RunFolder
    texts: Mapping[str, str]
    optimizing: Mapping[str, Any] | None = None


def bench(
    config: Mapping[str, Any], pool: Pool, *, events: int | None = None, **more: Any
) -> Bench:
    """Load and split what a config names; the labels as they were after so many `events`."""
    limit = config["limit"]
    if limit is not None and limit < 1:
        raise ConfigError(f"limit={limit}: a number of items from 1, or null for all.")
    policy = check_policy(config["scores"]["policy"])
    dataset = load(configs.build_part(config, "dataset", DatasetConfig), events=events)
    split_config = configs.build_part(config, "split", SplitConfig)
    split = make_split(dataset, split_config, resources.lab() / "splits")
    return Bench(dataset, split, pool, limit=limit, policy=policy, **more)


def texts(variant: Variant) -> dict[str, str]:
    """What a variant's verdicts depend on besides its config: rubric, template, code."""
    return configs.build(variant.judge, Judge, "judge").texts()


def in_sweep(bench: Bench, sweep: str) -> Bench:
    """The same bench as part of a sweep."""
    return replace(bench, sweep=sweep)


def open_run(bench: Bench, variant: Variant) -> Run:
    """The run's folder: the same command finds the same folder again."""
    judge = configs.build_part(variant.config, "judge", Judge)
    judge.check()
    texts = judge.texts()
    identity: list[Any] = [variant.id, bench.dataset.sha256, bench.split.sha256, bench.part]
    identity += [bench.limit, bench.policy, bench.sweep, __version__]
    identity += [{name: sha256(text) for name, text in texts.items()}]
    slug = "".join(c if c.isalnum() else "-" for c in f"{variant.name} {bench.part}".casefold())
    name = f"{sha256(identity)[:8]}-{'-'.join(filter(None, slug.split('-')))[:48]}"
    return Run(variant, RunFolder(runs_folder() / name), texts)


async def run(bench: Bench, run: Run, progress: Progress = QUIET, lane: Lane = ALONE) -> None:
    """Judge, score and keep; leaves a run folder, without scores where calls failed or where the
    race of its sweep (`lane`) stopped it."""
    if run.folder.complete:
        lane.tell(list(bench.order), run.folder.verdicts)
        keep(run)
        return
    with run.folder.spool() as replies:
        calls = Calls(bench.pool, replies=replies)
        try:
            run = await improve(bench, run, progress)
            verdicts = await judge(bench, run.variant, calls, progress, lane)
        except CallFailed as failure:  # the optimizer's: there is no judge yet
            calls.accounts.planned = len(bench.order) * run.variant.judge.get("repeats", 1)
            calls.failed(failure)
            verdicts = []
        write(bench, run, calls.accounts, replies, verdicts, lane.stopped)
    keep(run)


async def improve(bench: Bench, run: Run, progress: Progress = QUIET) -> Run:
    """The run with the judge that its optimizer makes; the same run where it has none."""
    variant = run.variant
    if not variant.optimizer:
        return run
    optimizer = configs.build(variant.optimizer, Optimizer, "optimizer")
    optimizer.watch = partial(progress.improving, variant)
    calls = Calls(bench.pool)
    (fold,), dev = bench.split.folds("dev", bench.limit), bench.split.dev(bench.limit)
    try:
        found = await optimizer.improve(variant.judge, fold.train, dev, calls)
    finally:
        progress.improved(variant)
    config = {**variant.config, "judge": dict(found.judge)}
    config["improved"] = {
        "optimizer": variant.config["choices"]["optimizer"],
        "rubric": variant.judge.get("rubric"),  # the one it started from
        "run": run.folder.id,
    }
    better = replace(variant, judge=found.judge, config=config)
    about = {"candidates": found.candidates, "from": variant.judge, "calls": calls.costs()}
    about |= {"notes": list(found.notes)} if found.notes else {}
    return Run(better, run.folder, texts(better), about | {"story": found.story})


def keep(run: Run) -> None:
    """Save the rubric in the lab, where `optimizer.save` names it."""
    name = (run.variant.optimizer or {}).get("save")
    if name and run.folder.complete:
        save(name, (run.folder.path / "rubric.md").read_text(encoding="utf-8"))


async def judge(
    bench: Bench, variant: Variant, calls: Calls, progress: Progress, lane: Lane = ALONE
) -> list[Verdict]:
    """All verdicts of a variant, in the fixed order; those that failed are missing."""
    judges = []
    for fold in bench.folds:
        judge = configs.build(variant.judge, Judge, "judge")
        judge.prepare(fold.train, calls)
        calls.accounts.planned += len(fold.items) * judge.repeats
        judges.append((judge, fold.items))

    async def some(judge: Judge, items: Sequence[Interaction]) -> list[Verdict]:
        found = []
        for repeat in range(judge.repeats):
            async for verdict in judge.judge(items, repeat):
                calls.book(verdict)
                found.append(verdict)
                progress(variant, verdict)
        return found

    order, verdicts = bench.order, list[Verdict]()
    async for block in lane.blocks(list(order)):
        ids = set(block)
        parts = [(judge, [i for i in items if i.id in ids]) for judge, items in judges]
        found = await asyncio.gather(*(some(*part) for part in parts))
        new = list(chain.from_iterable(found))
        verdicts += new
        lane.tell(block, new)
    calls.accounts.stop(lane.stopped)
    return sorted(verdicts, key=lambda verdict: (verdict.repeat, order[verdict.id]))


def scores(bench: Bench, name: str, verdicts: list[Verdict]) -> dict[str, Any]:
    """The scorecard of a run as JSON, with what a reader has to know beside it."""
    level = bench.level
    clusters = bench.split.clusters
    card = score(bench.labels, verdicts, clusters=clusters, policy=bench.policy, level=level)
    about = {"part": bench.part, "mode": bench.split.mode, "exploratory": bench.split.exploratory}
    look = {"look": str(bench.look)} if bench.look else {}
    return card.to_json(name) | about | look


def write(
    bench: Bench,
    run: Run,
    accounts: Accounts,
    replies: Spool,
    verdicts: list[Verdict],
    stopped: int | None = None,
) -> None:
    """The run folder, whole; scores.json last, and only where every verdict is there. One that was
    stopped has none, even where its last calls were on their way already."""
    folder, variant = run.folder, run.variant
    folder.write_yaml("config.yaml", variant.config)
    for name, text in run.texts.items():
        folder.write(name, text if text.endswith("\n") else text + "\n")
    if run.optimizing:
        folder.write_json("optimizer.json", run.optimizing)
        before = configs.build(run.optimizing["from"], Judge, "judge").texts().get("rubric.md")
        if before is not None:
            name = run.optimizing["from"].get("rubric", "rubric")
            folder.write("rubric.diff", diff(before, run.texts["rubric.md"], name))
    folder.write_json("record.json", record(bench, run, accounts, stopped))
    folder.write_lines("assignment.jsonl", bench.split.rows())
    folder.write("replies.jsonl", replies.lines(bench.order))
    folder.write_lines("verdicts.jsonl", (verdict.to_json() for verdict in verdicts))
    if accounts.complete and stopped is None:
        folder.write_json("scores.json", scores(bench, variant.name, verdicts))
