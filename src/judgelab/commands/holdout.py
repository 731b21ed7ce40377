"""`judgelab holdout`: the look at the test split."""

from __future__ import annotations

from dataclasses import replace

from judgelab import resources, runner, sweep
from judgelab.commands import show
from judgelab.commands.run import (
    accounts,
    build_tracking,
    lost,
    odd_answers,
    open_pool,
    report,
    say_estimate,
    track,
)
from judgelab.commands.stopping import run_stoppable
from judgelab.data.looks import look
from judgelab.errors import IncompleteError, Stopped, UserError
from judgelab.runner import Bench, Run
from judgelab.tracking.folder import RunFolder, find_run, runs_folder
from judgelab.types import sha256
from judgelab.variants import Variant


def holdout(name: str, *, as_json: bool) -> None:
    """Judge test with the judge of a run; the look is written down before the labels open."""
    folder = find_run(name)
    record, config = folder.record, folder.config | {"limit": None}
    if record["part"] == "test":
        raise UserError(f"{folder.id} is itself a look at test; give the run on dev.")
    variant = Variant(record["name"], config["judge"], config, record["axes"], record["baseline"])
    sweep.check(sweep.Plan([variant]))
    tracking = build_tracking(config)
    pool = open_pool(config)
    bench = runner.bench(config, pool, part="test", sweep=record["sweep"] or "")
    bench.split.folds("test")  # says so where there is no test, before a look is spent
    run = runner.open_run(bench, variant)
    path = resources.lab() / "splits" / f"{bench.split.config.name}.looks.jsonl"
    # An edited rubric is another judge: looking with it is another look.
    judge = sha256([variant.id, run.texts])
    taken = look(path, judge, bench.dataset.sha256, bench.split.config.looks)
    bench = replace(bench, look=taken)
    show.notes(lost(pool))
    say_estimate(bench, [variant])
    run_stoppable(_judge(bench, run), pool)
    show.notes(odd_answers([run.folder], pool))
    accounts([run.folder], pool)
    if pool.interrupted:
        raise Stopped(pool.interrupted)
    report(bench, [run.folder], as_json=as_json)
    show.err.print(f"[bold]{taken}[/]; intervals at {taken.level:.1%}")
    sweep_folder = RunFolder(runs_folder() / f"{bench.sweep}-sweep") if bench.sweep else None
    links = track(tracking, bench, [run.folder], sweep_folder)
    if not run.folder.complete:
        raise IncompleteError(f"the look is incomplete; go on with: judgelab holdout {name}")
    show.next_steps([f"again, from its record: judgelab rerun {run.folder.id[:8]}", *links])


async def _judge(bench: Bench, run: Run) -> None:
    items = sum(len(fold.items) for fold in bench.folds)
    with show.progress(items, bench.pool) as progress:
        await runner.run(bench, run, progress)
