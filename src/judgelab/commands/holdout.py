"""`judgelab holdout`: the look at the test split."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from judgelab import plans, resources, runner, sweep
from judgelab.calls.pool import Pool
from judgelab.commands import show
from judgelab.commands.estimate import say_estimate
from judgelab.commands.progress import progress
from judgelab.commands.run import build_tracking, open_pool, track, write_report
from judgelab.commands.stopping import run_stoppable
from judgelab.commands.telling import accounts, lost, odd_answers, report
from judgelab.data.looks import Look, saw, take
from judgelab.errors import IncompleteError, Stopped, UserError
from judgelab.rerun import under
from judgelab.runner import Bench, Run
from judgelab.scoring import in_words
from judgelab.tracking.folder import RunFolder, all_runs, find_run, runs_folder
from judgelab.types import sha256
from judgelab.variants import Variant

if TYPE_CHECKING:
    from judgelab.tracking.mlflow import MLflowTracking


def holdout(names: Sequence[str], *, raised: tuple[int, str] | None, as_json: bool) -> None:
    """Judge test with the judges of runs; each look is written down before the labels open.

    `raised` is a larger number of looks, and the reason for it.
    """
    folders = [find_run(name) for name in names]
    for folder in folders:
        if folder.record["part"] == "test":
            raise UserError(f"{folder.id} is itself a look at test; give the run on dev.")
    config = _whole(folders[0])
    tracking, pool = build_tracking(config), open_pool(config)
    opened = _open(folders, pool)
    bench = opened[0].bench
    bench.split.folds("test")  # says so where there is no test, before a look is spent
    path = resources.lab() / "splits" / f"{bench.split.config.name}.looks.jsonl"
    judges = {one.judge: one.run.folder.id for one in opened}
    declared = bench.split.config.looks
    looks = take(path, judges, bench.dataset.sha256, declared, raised=raised)
    first = looks[0]
    if declared != first.budget and not first.raised:
        show.notes(
            [
                f"split.looks={declared} comes after the first look, which was one of "
                f"{first.budget}: {first.budget} it is. --looks N --reason TEXT raises it"
            ]
        )
    again = _at_the_level_of(first, bench) if first.raised else []
    show.notes(lost(pool))
    say_estimate(bench, [one.run.variant for one in opened])
    run_stoppable(_judge(opened, looks), pool)
    judged = [one.run.folder for one in opened]
    show.notes(odd_answers(judged, pool))
    accounts(judged, pool)
    if pool.interrupted:
        raise Stopped(pool.interrupted)
    for folder, look in zip(judged, looks, strict=True):
        if folder.complete:
            metrics = folder.scores["metrics"]
            saw(path, look, {name: one["value"] for name, one in metrics.items()}, folder.id)
    level = replace(bench, look=first)
    report(level, judged, metric=config["search"]["metric"], as_json=as_json)
    for look in looks:
        said = f"[bold]{escape(str(look))}[/]; intervals at {look.level:.1%}"
        show.err.print(said, soft_wrap=True)
    lines = _keep(opened, again, config, tracking)
    if not all(folder.complete for folder in judged):
        command = f"judgelab holdout {' '.join(names)}"
        raise IncompleteError(f"the look is incomplete; go on with: {command}")
    short = [folder.id[:8] for folder in judged]
    steps = [f"again, from its record: judgelab rerun {short[0]}"]
    if len(short) > 1:
        steps.append(f"item by item, Holm over all pairs: judgelab compare {' '.join(short)}")
    show.next_steps([*steps, *lines])


@dataclass(frozen=True)
class _Opened:
    """A judge before its look: `judge` is the hash of it and its texts, as an edited rubric is
    another judge, and looking with it another look."""

    judge: str
    bench: Bench
    run: Run


def _open(folders: Sequence[RunFolder], pool: Pool) -> list[_Opened]:
    """The judges of these runs, each once. Raises UserError where their test items differ."""
    found: dict[str, _Opened] = {}
    for folder in folders:
        record, config = folder.record, _whole(folder)
        judge, name = config["judge"], record["name"]
        variant = Variant(name, judge, config, record["axes"], record["baseline"])
        sweep.check(plans.Plan([variant]))
        bench = runner.bench(config, pool, part="test", sweep=record["sweep"] or "")
        run = runner.open_run(bench, variant)
        one = _Opened(sha256([variant.id, run.texts]), bench, run)
        found.setdefault(one.judge, one)
        first = next(iter(found.values())).bench
        if (bench.dataset.sha256, bench.split.sha256) != (first.dataset.sha256, first.split.sha256):
            raise UserError(
                f"these runs are of different data or splits: {first.dataset.name}, split "
                f"{first.split.config.name}, and {bench.dataset.name}, split "
                f"{bench.split.config.name}. Take the looks one by one: judgelab holdout RUN."
            )
    return list(found.values())


def _whole(folder: RunFolder) -> dict[str, Any]:
    return folder.config | {"limit": None}


def _keep(
    opened: Sequence[_Opened],
    again: Sequence[RunFolder],
    config: Mapping[str, Any],
    tracking: MLflowTracking | None,
) -> list[str]:
    """The reports of their sweeps and MLflow; gives the lines that say where."""
    lines: list[str] = []
    for id_ in dict.fromkeys(one.bench.sweep for one in opened):
        own = [one for one in opened if one.bench.sweep == id_]
        bench, folders = own[0].bench, [one.run.folder for one in own]
        sweep_folder = RunFolder(runs_folder() / f"{id_}-sweep") if id_ else None
        lines += write_report(bench, sweep_folder, [], config)
        lines += track(tracking, bench, [*folders, *again], sweep_folder)
    return list(dict.fromkeys(lines))


def _at_the_level_of(taken: Look, bench: Bench) -> list[RunFolder]:
    """Earlier looks again at the level of the raised budget: shown, and kept that way."""
    earlier = [
        folder
        for folder in all_runs()
        if folder.complete
        and (record := folder.record)["part"] == "test"
        and record["split"]["name"] == bench.split.config.name
        and record["looks"] != taken.budget
    ]
    changed = []
    for folder in sorted(earlier, key=lambda folder: folder.record["look"]):
        if not under(folder, taken.budget, taken.raised):
            show.notes(
                [
                    f"{folder.id}: the data have moved since, so its intervals stay at "
                    f"{folder.scores['metrics']['agreement']['level']:.1%}"
                ]
            )
            continue
        changed.append(folder)
        card = folder.scores
        shown = ", ".join(f"{name} {in_words(card, name)}" for name, _ in show.SHOWN)
        show.notes([f"{card['look']}, {folder.record['name']}: {shown}"])
    return changed


async def _judge(opened: Sequence[_Opened], looks: Sequence[Look]) -> None:
    items = sum(len(fold.items) for one in opened for fold in one.bench.folds)
    with progress(items, opened[0].bench.pool) as bars:
        judging = (
            runner.run(replace(one.bench, look=look), one.run, bars)
            for one, look in zip(opened, looks, strict=True)
        )
        await asyncio.gather(*judging)
