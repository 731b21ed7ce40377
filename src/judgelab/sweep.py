"""Many variants, one pool of calls, one event loop; the baselines beside them."""

from __future__ import annotations

import asyncio
import traceback
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from judgelab import __version__, racetrack, runner
from judgelab import config as configs
from judgelab.data.schema import DatasetConfig
from judgelab.data.split import SplitConfig
from judgelab.errors import ConfigError, UnreadyError, UserError, is_full
from judgelab.judges.base import Judge
from judgelab.optimizers.base import Optimizer
from judgelab.plans import Plan
from judgelab.racetrack import Track
from judgelab.rules import Rules
from judgelab.runner import ALONE, Bench, Progress, Run
from judgelab.scoring import points
from judgelab.study import Study, Trial
from judgelab.types import sha256
from judgelab.variants import Variant


def check(plan: Plan) -> None:
    """Raises a UserError for what is wrong before any data is read, which may take minutes."""
    config = plan.variants[0].config
    configs.build_part(config, "dataset", DatasetConfig).check()
    configs.build_part(config, "split", SplitConfig)
    Rules.of(config["search"])
    failed: dict[str, str] = {}
    for variant in plan.variants:
        try:
            configs.build_part(variant.config, "judge", Judge).check()
            if variant.optimizer:
                configs.build(variant.optimizer, Optimizer, "optimizer").check(variant.judge)
        except UserError as error:
            if not plan.is_sweep:
                raise
            failed[variant.name] = str(error)
    _something_left(plan, failed)


async def run_all(
    plan: Plan, bench: Bench, progress: Progress
) -> tuple[Bench, list[Run], dict[str, str]]:
    """Every variant of a plan; the failure of one does not end the others, unless its model
    cannot be called: that is said before anything is sent.

    Returns the bench, the runs in the plan's order, and by variant name why it could not run.
    """
    if plan.is_sweep:
        bench = runner.in_sweep(bench, _sweep_id(plan, bench))
    runs = _Runs(bench, plan, progress)
    for variant in plan.variants:
        runs.open(variant)
    if runs.unready:
        raise UnreadyError(" ".join(dict.fromkeys(runs.unready)))
    _something_left(plan, runs.failed)
    if plan.study:
        baselines = [runs.go(run) for run in runs.opened if run.variant.baseline]
        await asyncio.gather(_search(runs, replace(plan.study, name=bench.sweep)), *baselines)
    else:
        track = runs.track([run for run in runs.opened if not run.variant.baseline])
        await asyncio.gather(*(runs.go(run, track) for run in runs.opened))
    if runs.full:  # not before the others have kept what they asked for
        raise runs.full[0]
    _something_left(plan, runs.failed)
    return bench, runs.opened, runs.failed


@dataclass
class _Runs:
    """The runs of a sweep, and by variant name why some could not be made."""

    bench: Bench
    plan: Plan
    progress: Progress
    opened: list[Run] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    unready: list[str] = field(default_factory=list)
    full: list[Exception] = field(default_factory=list)

    def open(self, variant: Variant) -> Run | None:
        """The run of a variant; None where it cannot be built."""
        try:
            run = runner.open_run(self.bench, variant)
        except UserError as error:
            if not self.plan.is_sweep:
                raise
            self.failed[variant.name] = str(error)
            if isinstance(error, UnreadyError):
                self.unready.append(str(error))
            return None
        self.opened.append(run)
        return run

    def track(self, racing: Sequence[Run]) -> Track | None:
        """The race of some runs; None where there is none, or nobody to race against."""
        config = self.plan.variants[0].config
        judges = [variant.judge for variant in self.plan.variants]
        if self.plan.race == "off" or len(racing) < 2:
            return None
        return Track(
            self.bench.labels,
            [run.variant.id for run in racing],
            Rules.of(config["search"]),
            seed=config["seed"],
            wide=max(map(racetrack.in_flight, judges)),
            alpha=config["search"]["alpha"],
            fast=self.plan.race == "fast",
        )

    async def go(self, run: Run, track: Track | None = None) -> None:
        """Judge, score and keep; in the race of a track, where it runs in one."""
        lane = track.lane(run.variant.id) if track and not run.variant.baseline else ALONE
        try:
            await runner.run(self.bench, run, self.progress, lane)
        except Exception as error:  # a judge of the user's own may raise anything
            if is_full(error):
                self.full.append(error)
            elif not self.plan.is_sweep:
                raise
            else:
                self.failed[run.variant.name] = _why(error)
        finally:
            lane.leave()


async def _search(runs: _Runs, study: Study) -> None:
    """Trial after trial, `parallel` of them on their way; each knows what all but those scored.

    Results are told in the order of the trials, so that the same seed asks for the same variants
    however fast each of them is.
    """
    settings = runs.plan.variants[0].config["search"]
    tasks: dict[str, asyncio.Task[None]] = {}
    by_id = {run.variant.id: run for run in runs.opened}
    waiting: deque[Trial] = deque()
    told: list[Run] = []  # complete, in the order of their trials: what later ones race against
    trials = study.ask()
    while True:
        with configs.hydra():
            trial = next(trials, None)
        if trial:
            variant = trial.variant
            if variant.id not in by_id and variant.name not in runs.failed:
                runs.plan.variants.append(variant)
                if run := runs.open(variant):
                    by_id[variant.id] = run
            if variant.id in by_id and variant.id not in tasks:
                run = by_id[variant.id]
                track = runs.track([*told, run])
                if track:
                    for one in told:
                        track.lane(one.variant.id).tell(track.order, one.folder.verdicts)
                tasks[variant.id] = asyncio.create_task(runs.go(run, track))
            waiting.append(trial)
        while waiting and (trial is None or len(waiting) >= settings["parallel"]):
            oldest = waiting.popleft()
            if oldest.variant.id in tasks:
                await tasks[oldest.variant.id]
            run = by_id.get(oldest.variant.id)
            study.tell(oldest, *_told(runs.bench, run))
            if run and run.folder.complete and run not in told:
                told.append(run)
        if trial is None:
            return


def _told(bench: Bench, run: Run | None) -> tuple[float | None, dict[str, float], int | None]:
    """What a run scored, by metric how much it lacks to its floor, and after how many items the
    race stopped it: its scores then are of those, whatever else was on its way."""
    if run is None:
        return None, {}, None
    rules = Rules.of(run.variant.config["search"])
    names = (rules.metric, *rules.floors)
    stopped = run.folder.stopped if run.folder.exists else None
    if stopped:
        order = racetrack.order(bench.labels, run.variant.config["seed"])
        seen = order[: stopped["after"]]
        values = points(names, {id_: bench.labels[id_] for id_ in seen}, run.folder.verdicts)
    elif run.folder.complete:
        metrics = run.folder.scores["metrics"]
        values = {name: metrics[name]["value"] for name in names}
    else:
        return None, {}, None
    reached = ((least, values[name], name) for name, least in rules.floors.items())
    lacks = {name: 1.0 if own is None else least - own for least, own, name in reached}
    return values[rules.metric], lacks, stopped["after"] if stopped else None


def _sweep_id(plan: Plan, bench: Bench) -> str:
    """The same command on the same data with the same texts is the same sweep."""
    judges: list[Any] = [(variant.id, _texts(variant)) for variant in plan.variants]
    judges += [plan.study.name] if plan.study else []
    config = plan.variants[0].config
    if plan.race != "off":
        judges += [
            plan.race,
            *(config["search"][key] for key in ("metric", "alpha")),
            config["seed"],
        ]
    data = [bench.dataset.sha256, bench.split.sha256, bench.part, bench.limit, bench.policy]
    return sha256([judges, data, __version__])[:8]


def _texts(variant: Variant) -> dict[str, str]:
    try:
        return runner.texts(variant)
    except UserError:  # a judge that cannot be built says so when it is opened
        return {}


def _something_left(plan: Plan, failed: Mapping[str, str]) -> None:
    """A sweep whose every judge failed is a mistake in the command, not an incomplete sweep."""
    judges = [variant.name for variant in plan.variants if not variant.baseline]
    if judges and all(name in failed for name in judges):
        raise ConfigError("; ".join(dict.fromkeys(failed[name] for name in judges)))


def _why(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({last.filename}:{last.lineno})"
