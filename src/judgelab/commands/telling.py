"""What a command says of its runs when they end: the leaderboard, the accounts, what is next."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import click

from judgelab.calls.accounts import in_words, total
from judgelab.calls.pool import Pool
from judgelab.commands import show
from judgelab.commands.remarks import remarks
from judgelab.runner import Bench
from judgelab.scoring import majority
from judgelab.tracking.folder import RunFolder

PLAIN: Any = {"soft_wrap": True, "markup": False}


def lost(pool: Pool) -> list[str]:
    """What a process that was killed, or stopped at once, may have paid for in vain."""
    n = pool.store.claims.lost if pool.store else 0
    return [f"{n} calls were on their way when an earlier run was ended: asked again"] if n else []


def odd_answers(folders: Sequence[RunFolder], pool: Pool) -> list[str]:
    """Answers that are not what they seem: damaged in the store, or by more than one model."""
    found = []
    if pool.store and (damaged := pool.store.quarantined):
        found.append(
            f"{len(damaged)} damaged answers in the call store were set aside and asked again "
            f"({', '.join(key[:12] for key in damaged[:3])}): judgelab calls stats"
        )
    for record in (folder.record for folder in folders if folder.exists):
        if len(models := record["calls"]["models"]) > 1:
            counts = ", ".join(f"{name} ({n})" for name, n in models.items())
            found.append(
                f"{record['name']}: the server answered with several models, {counts}. The name "
                "moved within this run: its scores are of no one judge"
            )
    return found


def optimized(folders: Sequence[RunFolder]) -> list[str]:
    """What the optimizers of these runs found."""
    records = [folder.record for folder in folders if folder.exists]
    return [
        f"{record['name']}: {note}"
        for record in records
        for note in record.get("optimizing", {}).get("notes", ())
    ]


def report(
    bench: Bench,
    folders: Sequence[RunFolder],
    choice: Mapping[str, Any] | None = None,
    *,
    metric: str,
    as_json: bool,
) -> None:
    """The leaderboard, and what may be claimed from it. `metric` is the one that chooses."""
    complete = [folder for folder in folders if folder.complete]
    if as_json:
        cards = [f.scores | _about(f) | _standing(f.id, choice) for f in complete]
        cards += [_about(f) | {"stopped": f.stopped} for f in folders if f.stopped]
        click.echo(json.dumps(cards, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        title = f"{bench.dataset.name}, {bench.part}"
        show.leaderboard(folders, title, metric, choice)
    if bench.split.exploratory:
        show.err.print(
            f"[bold]exploratory, no held-out claim[/]: {len(bench.labels)} labels, each judged "
            "once, demonstrations from the other folds",
            soft_wrap=True,
        )
    judged = [folder for folder in complete if not folder.record["baseline"]]
    if judged:
        if not bench.sweep:  # a sweep has said so with its choice
            show.notes(bench.mixed_rounds)
        show.notes(remarks([_against_ceiling(bench, _first(judged, choice))], bench.ceiling))


def _against_ceiling(bench: Bench, folder: RunFolder) -> dict[str, Any]:
    """The scorecard of a run, with how it stands to the ceiling of its items."""
    from judgelab.expert.ceiling import beyond

    above = beyond(bench.ceiling, majority(folder.verdicts), level=bench.level)
    return folder.scores | {"beyond_ceiling": above.to_json()}


def _first(folders: Sequence[RunFolder], choice: Mapping[str, Any] | None) -> RunFolder:
    """The chosen run, or else the first."""
    wanted = choice["reference"] if choice else None
    return next((folder for folder in folders if folder.id == wanted), folders[0])


def _about(folder: RunFolder) -> dict[str, Any]:
    """Which run a row of the JSON is of, and the fate of its calls."""
    calls = folder.record["calls"]
    kept = ("planned", "answered", "stopped", "sent", "from_store", "cost_usd")
    asked = {name: calls.get(name, 0) for name in kept}  # older records know no stops
    return {"judge": folder.record["name"], "run": folder.id, "calls": asked}


def _standing(run: str, choice: Mapping[str, Any] | None) -> dict[str, Any]:
    """Where a run stands in the choice of its sweep, for its row of the JSON."""
    if choice is None:
        return {}
    return {
        "chosen": run == choice["chosen"],
        "in_best_set": run in choice["best_set"],
        "below_floors": choice["below_floors"].get(run, []),
    }


def accounts(folders: Sequence[RunFolder], pool: Pool) -> None:
    """What became of every call, of each variant and of all."""
    records = [folder.record for folder in folders if folder.exists]
    if len(records) > 1:
        for record in records:
            show.err.print(f"  {record['name']}: {in_words(record['calls'])}", **PLAIN)
    whole = in_words(total([record["calls"] for record in records]))
    sent = f"{pool.sent} calls sent now · ${pool.spent:.4f}"
    show.err.print(f"verdicts: {whole} · {sent}", **PLAIN)


def next_steps(
    bench: Bench, folders: Sequence[RunFolder], choice: Mapping[str, Any] | None
) -> list[str]:
    """What to do with the judge that a command ended with."""
    judged = [f for f in folders if f.complete and not f.record["baseline"]]
    if not judged:
        return []
    best = _first(judged, choice).id[:8]
    steps = []
    if not bench.split.exploratory and (choice is None or choice["chosen"]):
        steps.append(f"look at unseen items once: judgelab holdout {best}")
    return [*steps, f"again, from its record: judgelab rerun {best}"]


def what_is_missing(
    incomplete: Sequence[RunFolder],
    failed: Mapping[str, str],
    overrides: Sequence[str],
    multirun: bool,
) -> str:
    """Why a command did not end whole, and how it goes on."""
    why = sorted({f.record["incomplete_because"] or "interrupted" for f in incomplete})
    parts = [f"{len(incomplete)} runs are incomplete ({'; '.join(why)})"] if incomplete else []
    parts += [f"{len(failed)} variants could not run"] if failed else []
    again = "judgelab run " + ("-m " if multirun else "") + shlex.join(overrides)
    return f"{' and '.join(parts)}. What is answered is kept; go on with: {again}"
