"""`judgelab run`: one variant or a sweep."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from judgelab import config as configs
from judgelab import members, outcome, plans, resources, runner, sweep
from judgelab.calls.budget import Budget
from judgelab.calls.pool import Pool
from judgelab.calls.store import CallStore
from judgelab.commands import show
from judgelab.commands.estimate import estimate, optimizing, say_estimate
from judgelab.commands.progress import progress
from judgelab.commands.stopping import run_stoppable
from judgelab.commands.telling import (
    accounts,
    lost,
    next_steps,
    odd_answers,
    optimized,
    report,
    what_is_missing,
)
from judgelab.data.readers.problems import shown
from judgelab.errors import ClaimError, IncompleteError, Stopped, UserError
from judgelab.estimates import Takes
from judgelab.metrics.names import named
from judgelab.rules import Rules
from judgelab.runner import Bench, Run
from judgelab.tracking.folder import RunFolder
from judgelab.variants import Variant

if TYPE_CHECKING:
    from judgelab.tracking.mlflow import MLflowTracking


def run(overrides: Sequence[str], *, multirun: bool, as_json: bool) -> None:
    """Judge, score, show, track. Raises IncompleteError where calls are missing."""
    plan = plans.plan(overrides, multirun=multirun)
    sweep.check(plan)
    tracking = build_tracking(plan.variants[0].config)
    pool = open_pool(plan.variants[0].config)
    show.notes(lost(pool))
    bench = runner.bench(plan.variants[0].config, pool)
    say_estimate(bench, plan.variants, plan.more)
    bench, runs, failed = run_stoppable(judge_all(plan, bench), pool)
    show.notes(odd_answers([run.folder for run in runs], pool))
    show.notes(optimized([run.folder for run in runs]))
    show.notes([*bench.dataset.notes, *bench.split.notes, *plan.equal, *_axes_without_llm(plan)])
    folders = [run.folder for run in runs if run.folder.exists]
    if pool.interrupted:
        accounts(folders, pool)
        raise Stopped(pool.interrupted)
    sweep_folder, choice = None, None
    if plan.is_sweep:
        command = "judgelab run -m " + shlex.join(overrides)
        sweep_folder, choice, folders = outcome.write_sweep(bench, plan, runs, failed, command)
    metric = plan.variants[0].config["search"]["metric"]
    report(bench, folders, choice, metric=metric, as_json=as_json)
    show.notes(f"not run: {name}: {why}" for name, why in failed.items())
    page = write_report(bench, sweep_folder, folders, plan.variants[0].config)
    links = track(tracking, bench, folders, sweep_folder)
    accounts(folders, pool)
    incomplete = [folder for folder in folders if not (folder.complete or folder.stopped)]
    if incomplete or failed:
        raise IncompleteError(what_is_missing(incomplete, failed, overrides, multirun))
    show.next_steps([*next_steps(bench, folders, choice), *page, *links])
    if choice and not choice["chosen"]:
        _no_winner(bench, plan, choice)


def dry_run(overrides: Sequence[str], *, multirun: bool) -> None:
    """What would be called: calls, tokens, money. Answers in the store cost nothing again."""
    plan = plans.plan(overrides, multirun=multirun)
    pool = open_pool(plan.variants[0].config)
    bench = runner.bench(plan.variants[0].config, pool)
    whole = Takes()
    for variant in plan.variants:
        takes = estimate(bench, variant, pool) + optimizing(bench, variant)
        whole += takes
        show.line(f"{variant.name}: {takes}")
        if plan.more and variant is plan.variants[0]:
            whole += takes * plan.more
            show.line(f"{plan.more} more, as the first: {takes * plan.more}")
    show.line(f"in all, {len(plan.variants) + plan.more} variants: {whole}")
    show.notes([*lost(pool), *bench.split.notes, *plan.equal])


def show_config(overrides: Sequence[str]) -> None:
    """The composed config, and which yaml each choice came from."""
    from omegaconf import OmegaConf

    with configs.hydra():
        composed = configs.compose(overrides, lenient=True)
    for group, choice in sorted(composed.choices.items()):
        if choice != "None":
            kind, suffix = (
                ("experiments", ".yaml") if group == "experiment" else (f"conf/{group}", ".yaml")
            )
            click.echo(f"# {group}={choice}: {resources.find(choice, kind, suffix)}")
    click.echo(OmegaConf.to_yaml(composed.config), nl=False)


def open_pool(config: Mapping[str, Any], *, store: bool = True) -> Pool:
    """The pool of a config: the lab's call store and the caps of `budget`."""
    caps = dict(config["budget"])
    per_run = Budget(**caps.pop("per_run", {}), name="budget.per_run")
    return Pool(CallStore(resources.call_store()) if store else None, per_run=per_run, **caps)


def build_tracking(config: Mapping[str, Any]) -> MLflowTracking | None:
    """The tracking of a config, built before anything is judged: a mistake in it costs no call."""
    if not config["tracking"]:
        return None
    from judgelab.tracking.mlflow import MLflowTracking

    return configs.build(config["tracking"], MLflowTracking, "tracking")


def write_report(
    bench: Bench,
    sweep_folder: RunFolder | None,
    folders: Sequence[RunFolder],
    config: Mapping[str, Any],
) -> list[str]:
    """report.html of a sweep; gives a line that says where. Texts of test items are shown where
    the config sends them to MLflow too."""
    if sweep_folder is None or not (sweep_folder.path / "sweep.json").is_file():
        return []
    from judgelab.tracking import report as reports

    asked = str((config["tracking"] or {}).get("texts")).lower() == "true"
    page = reports.write(sweep_folder, folders, bench.dataset, test_texts=asked)
    return [f"one page to show to a colleague: {shown(page)}"] if page else []


def track(
    tracking: MLflowTracking | None,
    bench: Bench,
    folders: Sequence[RunFolder],
    sweep_folder: RunFolder | None,
) -> list[str]:
    """Show the runs in MLflow; gives a line that says where."""
    if tracking is None:
        return []
    try:
        projection = tracking.project([f for f in folders if f.exists], bench.dataset, sweep_folder)
    except UserError as error:
        show.notes([f"MLflow {error}"])
        return []
    where = projection.url or "judgelab ui"
    return [f"see the runs side by side in MLflow: {where}"]


async def judge_all(plan: plans.Plan, bench: Bench) -> tuple[Bench, list[Run], dict[str, str]]:
    """`sweep.run_all` with its progress shown."""
    items = sum(len(fold.items) for fold in bench.folds)
    variants = [*plan.variants, *plan.variants[:1] * plan.more]
    repeats = (variant.judge.get("repeats", 1) for variant in variants)
    # What is no number is refused when its judge is built.
    verdicts = items * sum(number for number in repeats if isinstance(number, int))
    with progress(verdicts, bench.pool) as bars:
        return await sweep.run_all(plan, bench, bars)


def _axes_without_llm(plan: plans.Plan) -> list[str]:
    """An axis that a model without language cannot tell apart is said to be so."""
    models = {variant.judge.get("model", {}).get("_target_", "") for variant in plan.variants}
    deaf = [key for key in plan.axes if key.removeprefix("judge.") in ("rubric", "reasoning")]
    if deaf and "judgelab.models.neighbours.Neighbours" in models:
        return [f"model=neighbours is no LLM: {', '.join(deaf)} makes no difference to it."]
    return []


def _no_winner(bench: Bench, plan: plans.Plan, choice: Mapping[str, Any]) -> None:
    """Raises ClaimError, but for the default floor where nothing but baselines could meet it."""
    floors = Rules.of(choice).in_words
    why = f"reaches the floors ({floors})" if floors else f"has a {named(choice['metric'])}"
    said = f"no winner: no variant {why} on {bench.part}. Everything is kept."
    if choice["floors"] == Rules().floors and all(map(_is_offline, plan.variants)):
        show.notes([f"{said} Without an LLM there was none to find: add model=..."])
        return
    raise ClaimError(
        f"{said} Make a better judge, or declare other floors before you look again: "
        "search.floors.METRIC=0.4, or null for none."
    )


def _is_offline(variant: Variant) -> bool:
    """Whether a variant is what a machine without an LLM makes do with."""

    def offline(judge: Mapping[str, Any]) -> bool:
        if inner := [member for _, member in members.inner(judge)]:
            return all(map(offline, inner))
        target = (judge.get("model") or judge)["_target_"]
        return any(f".{name}." in target for name in ("neighbours", "classifier", "constant"))

    return variant.baseline or offline(variant.judge)
