"""`judgelab run`: one variant or a sweep."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from judgelab import config as configs
from judgelab import resources, runner, sweep
from judgelab.calls.pool import Pool
from judgelab.calls.store import CallStore
from judgelab.commands import show
from judgelab.errors import IncompleteError, UserError
from judgelab.judges.base import Judge
from judgelab.runner import Bench, Run
from judgelab.tracking.folder import RunFolder

if TYPE_CHECKING:
    from judgelab.tracking.mlflow import MLflowTracking


def run(overrides: Sequence[str], *, multirun: bool, as_json: bool) -> None:
    """Judge, score, show, track. Raises IncompleteError where calls are missing."""
    plan = sweep.plan(overrides, multirun=multirun)
    sweep.check(plan)
    tracking = build_tracking(plan.variants[0].config)
    pool = open_pool(plan.variants[0].config)
    bench, runs, failed = asyncio.run(_judge_all(plan, pool))
    show.notes([*bench.dataset.notes, *bench.split.notes, *plan.equal, *_axes_without_llm(plan)])
    folders = sweep.rank([run.folder for run in runs if run.folder.exists])
    sweep_folder = None
    if plan.is_sweep:
        command = "judgelab run -m " + shlex.join(overrides)
        sweep_folder = sweep.write_sweep(bench, plan, runs, failed, command)
    report(bench, folders, as_json=as_json)
    show.notes(f"not run: {name}: {why}" for name, why in failed.items())
    links = track(tracking, bench, folders, sweep_folder)
    _accounts(folders, pool)
    incomplete = [folder for folder in folders if not folder.complete]
    if incomplete or failed:
        raise IncompleteError(_what_is_missing(incomplete, failed, overrides, multirun))
    show.next_steps([*_next(bench, folders, plan), *links])


def dry_run(overrides: Sequence[str], *, multirun: bool) -> None:
    """What would be called: calls, tokens, money. Answers in the store cost nothing again."""
    plan = sweep.plan(overrides, multirun=multirun)
    pool = open_pool(plan.variants[0].config)
    bench = runner.bench(plan.variants[0].config, pool)
    total = [0, 0, 0, 0, 0.0]
    for variant in plan.variants:
        row = _estimate(bench, variant, pool)
        total = [a + b for a, b in zip(total, row, strict=True)]
        show.line(f"{variant.name}: {_calls_in_words(row)}")
    show.line(f"in all, {len(plan.variants)} variants: {_calls_in_words(total)}")
    show.notes([*bench.split.notes, *plan.equal])


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
    path = resources.lab() / ".judgelab" / "calls.db"
    budget = config["budget"]
    return Pool(CallStore(path) if store else None, calls=budget["calls"], usd=budget["usd"])


def report(bench: Bench, folders: Sequence[RunFolder], *, as_json: bool) -> None:
    """The leaderboard, and what may be claimed from it."""
    if as_json:
        cards = [folder.scores | {"run": folder.id} for folder in folders if folder.complete]
        click.echo(json.dumps(cards, indent=1, ensure_ascii=False))
        return
    show.leaderboard(folders, f"{bench.dataset.name}, {bench.part}: positive class fail")
    if bench.split.exploratory:
        n = len(bench.split.labels(bench.part))
        show.err.print(
            f"[bold]exploratory, no held-out claim[/]: {n} labels, each judged once, "
            "demonstrations from the other folds",
            soft_wrap=True,
        )


def build_tracking(config: Mapping[str, Any]) -> MLflowTracking | None:
    """The tracking of a config, built before anything is judged: a mistake in it costs no call."""
    if not config["tracking"]:
        return None
    from judgelab.tracking.mlflow import MLflowTracking

    return configs.build(config["tracking"], MLflowTracking, "tracking")


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


async def _judge_all(plan: sweep.Plan, pool: Pool) -> tuple[Bench, list[Run], dict[str, str]]:
    bench = runner.bench(plan.variants[0].config, pool)
    items = sum(len(fold.items) for fold in bench.folds)
    repeats = (variant.judge.get("repeats", 1) for variant in plan.variants)
    # What is no number is refused when its judge is built.
    total = items * sum(number for number in repeats if isinstance(number, int))
    try:
        with show.progress(total, pool) as progress:
            return await sweep.run_all(plan, bench, progress)
    finally:
        await pool.close()


def _estimate(bench: Bench, variant: Any, pool: Pool) -> list[float]:
    """Verdicts, calls, tokens in, tokens out, USD."""
    from judgelab.calls.pool import Calls

    row: list[float] = [0, 0, 0, 0, 0.0]
    for fold in bench.folds:
        judge = configs.build(variant.judge, Judge, "judge")
        judge.prepare(fold.train, Calls(pool))
        for interaction in fold.items:
            for repeat in range(judge.repeats):
                asked = judge.ask_estimate(interaction, repeat)
                row = [a + b for a, b in zip(row, (1, *asked), strict=True)]
    return row


def _calls_in_words(row: Sequence[float]) -> str:
    verdicts, calls, tokens_in, tokens_out, usd = row
    if not calls:
        return f"{verdicts:,.0f} verdicts, no calls to send"
    return (
        f"{verdicts:,.0f} verdicts, {calls:,.0f} calls to send, about {tokens_in:,.0f} tokens in "
        f"and {tokens_out:,.0f} out, about ${usd:.4f}"
    )


def _axes_without_llm(plan: sweep.Plan) -> list[str]:
    """An axis that a model without language cannot tell apart is said to be so."""
    models = {variant.judge.get("model", {}).get("_target_", "") for variant in plan.variants}
    deaf = [key for key in plan.axes if key.removeprefix("judge.") in ("rubric", "reasoning")]
    if deaf and "judgelab.models.neighbours.Neighbours" in models:
        return [f"model=neighbours is no LLM: {', '.join(deaf)} makes no difference to it."]
    return []


def _accounts(folders: Sequence[RunFolder], pool: Pool) -> None:
    records = [folder.record["calls"] for folder in folders if folder.exists]
    planned = sum(calls["planned"] for calls in records)
    answered = sum(calls["answered"] for calls in records)
    abstained = sum(sum(calls["abstained"].values()) for calls in records)
    failed = sum(sum(calls["failed"].values()) for calls in records)
    skipped = sum(calls["skipped"] for calls in records)
    show.err.print(
        f"verdicts: {planned} planned = {answered} answered + {abstained} abstained + "
        f"{failed} failed + {skipped} skipped · {pool.sent} calls sent now · ${pool.spent:.4f}",
        soft_wrap=True,
    )


def _next(bench: Bench, folders: Sequence[RunFolder], plan: sweep.Plan) -> list[str]:
    best = next((f for f in folders if f.complete and not f.record["baseline"]), None)
    if best is None:
        return []
    steps = []
    if plan.is_sweep:
        steps.append(_standing(best, folders))
    if not bench.split.exploratory:
        steps.append(f"look at unseen items once: judgelab holdout {best.id[:8]}")
    steps.append(f"again, from its record: judgelab rerun {best.id[:8]}")
    return steps


def _standing(best: RunFolder, folders: Sequence[RunFolder]) -> str:
    """What may be said of the highest kappa: no more than that."""
    name, n = best.record["name"], sum(not folder.record["baseline"] for folder in folders)
    floor = next((f for f in folders if f.complete and f.record["baseline"]), None)
    if floor and sweep.rank([best, floor])[0] is floor:
        return f"no variant has a higher kappa than the baseline {floor.record['name']!r}"
    return f"{name} has the highest kappa of {n}; the best of many looks better than it is"


def _what_is_missing(
    incomplete: Sequence[RunFolder],
    failed: Mapping[str, str],
    overrides: Sequence[str],
    multirun: bool,
) -> str:
    why = sorted({f.record["incomplete_because"] or "interrupted" for f in incomplete})
    parts = [f"{len(incomplete)} runs are incomplete ({'; '.join(why)})"] if incomplete else []
    parts += [f"{len(failed)} variants could not run"] if failed else []
    again = "judgelab run " + ("-m " if multirun else "") + shlex.join(overrides)
    return f"{' and '.join(parts)}. What is answered is kept; go on with: {again}"
