"""`judgelab holdout`: the look at the test split."""

from __future__ import annotations

from dataclasses import replace

from rich.markup import escape

from judgelab import plans, resources, runner, sweep
from judgelab.commands import show
from judgelab.commands.estimate import say_estimate
from judgelab.commands.run import (
    accounts,
    build_tracking,
    lost,
    odd_answers,
    open_pool,
    report,
    track,
    write_report,
)
from judgelab.commands.stopping import run_stoppable
from judgelab.data.looks import Look, look, saw
from judgelab.errors import IncompleteError, Stopped, UserError
from judgelab.rerun import under
from judgelab.runner import Bench, Run
from judgelab.scoring import in_words
from judgelab.tracking.folder import RunFolder, all_runs, find_run, runs_folder
from judgelab.types import sha256
from judgelab.variants import Variant


def holdout(name: str, *, raised: tuple[int, str] | None, as_json: bool) -> None:
    """Judge test with the judge of a run; the look is written down before the labels open.

    `raised` is a larger number of looks, and the reason for it.
    """
    folder = find_run(name)
    record, config = folder.record, folder.config | {"limit": None}
    if record["part"] == "test":
        raise UserError(f"{folder.id} is itself a look at test; give the run on dev.")
    variant = Variant(record["name"], config["judge"], config, record["axes"], record["baseline"])
    sweep.check(plans.Plan([variant]))
    tracking = build_tracking(config)
    pool = open_pool(config)
    bench = runner.bench(config, pool, part="test", sweep=record["sweep"] or "")
    bench.split.folds("test")  # says so where there is no test, before a look is spent
    run = runner.open_run(bench, variant)
    path = resources.lab() / "splits" / f"{bench.split.config.name}.looks.jsonl"
    # An edited rubric is another judge: looking with it is another look.
    judge = sha256([variant.id, run.texts])
    declared = bench.split.config.looks
    taken = look(path, judge, bench.dataset.sha256, declared, run=run.folder.id, raised=raised)
    if declared != taken.budget and not taken.raised:
        show.notes(
            [
                f"split.looks={declared} comes after the first look, which was one of "
                f"{taken.budget}: {taken.budget} it is. --looks N --reason TEXT raises it"
            ]
        )
    bench = replace(bench, look=taken)
    again = _at_the_level_of(taken, bench) if taken.raised else []
    show.notes(lost(pool))
    say_estimate(bench, [variant])
    run_stoppable(_judge(bench, run), pool)
    show.notes(odd_answers([run.folder], pool))
    accounts([run.folder], pool)
    if pool.interrupted:
        raise Stopped(pool.interrupted)
    if run.folder.complete:
        metrics = run.folder.scores["metrics"]
        saw(path, taken, {name: one["value"] for name, one in metrics.items()}, run.folder.id)
    report(bench, [run.folder], metric=config["search"]["metric"], as_json=as_json)
    show.err.print(f"[bold]{escape(str(taken))}[/]; intervals at {taken.level:.1%}", soft_wrap=True)
    sweep_folder = RunFolder(runs_folder() / f"{bench.sweep}-sweep") if bench.sweep else None
    page = write_report(bench, sweep_folder, [], config)
    links = track(tracking, bench, [run.folder, *again], sweep_folder)
    if not run.folder.complete:
        raise IncompleteError(f"the look is incomplete; go on with: judgelab holdout {name}")
    show.next_steps([f"again, from its record: judgelab rerun {run.folder.id[:8]}", *page, *links])


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


async def _judge(bench: Bench, run: Run) -> None:
    items = sum(len(fold.items) for fold in bench.folds)
    with show.progress(items, bench.pool) as progress:
        await runner.run(bench, run, progress)
