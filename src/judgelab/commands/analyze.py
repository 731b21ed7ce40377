"""`judgelab analyze`: where the system fails, and where the judge errs."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape
from rich.table import Table

from judgelab import config as configs
from judgelab.calls.accounts import in_words as accounts_in_words
from judgelab.calls.pool import Pool
from judgelab.commands import causes, show
from judgelab.commands.estimate import say_at_most
from judgelab.commands.progress import progress
from judgelab.commands.run import build_tracking, open_pool, track, write_report
from judgelab.commands.stopping import run_stoppable
from judgelab.commands.telling import lost
from judgelab.data.looks import is_same_look
from judgelab.data.readers.problems import shown
from judgelab.errors import ClaimError, IncompleteError, Stopped, UserError
from judgelab.expert.same_reason import of_run
from judgelab.judges.base import Judge
from judgelab.rerun import as_it_was, check_same
from judgelab.runner import Bench
from judgelab.scoring import in_words_of
from judgelab.search import paid
from judgelab.sources import another_look
from judgelab.tracking.folder import RunFolder, find_run, runs_folder
from judgelab.types import Interaction, Verdict

if TYPE_CHECKING:
    from judgelab.analysis.asking import Plan

ESTIMATED_FROM = 16  # prompts of each fold
MOST_PAIRS, FEW_PAIRS = 12, 4  # rows of the table of pairs; where none was tested
RECORDED = "judgelab.judges.recorded.RecordedJudge"
HEADS = {
    "fails": "fails (expert)",
    "judge_fails": "fails (judge)",
    "missed": "missed",
    "false_alarms": "false alarms",
}


def analyze(
    name: str,
    *,
    by: Sequence[str],
    unlabelled: bool,
    dry_run: bool,
    data: str | None,
    as_json: bool,
) -> None:
    """Raises ClaimError (exit 1) for a look at test whose labels changed since."""
    folder = find_run(name)
    if dry_run and not unlabelled:
        raise UserError("--dry-run counts calls, and without --unlabelled or --after none is made.")
    if unlabelled:
        refuse_recorded(folder)
    config = folder.config
    tracking = build_tracking(config)
    pool = open_pool(config) if unlabelled else Pool(record={})
    with as_it_was(folder, pool, data) as (bench, variant):
        check_look(folder, bench)
        kept = unmoved(folder, bench)
        items, notes = list[Interaction](), list[str]()
        said: list[Verdict] | None = None
        if unlabelled:
            from judgelab.analysis import asking

            check_same(folder, bench, variant)
            by_fold, notes = asking.unlabelled(bench)
            items = [one for some in by_fold.values() for one in some]
            plan = asking.plan(bench, variant, by_fold)
            if dry_run:
                show.line(str(asking.estimate(plan)))
                show.notes(notes)
                return
            said = judged(plan, bench, config)
        from judgelab.analysis import claims, findings
        from judgelab.analysis.cuts import cuts

        there = {one.id: one for one in bench.dataset.interactions}
        made, about_cuts = cuts([*(there[id_] for id_ in kept), *items], names(by))
        traffic = None if said is None else findings.traffic_of(bench, items, said)
        labelled = findings.judged_of(bench, folder.verdicts, kept)
        result = findings.about(folder, bench) | {
            "dimensions": [{"name": one.name, "values": list(one.order)} for one in made],
            **findings.findings(labelled, made, traffic, bench.level),
            "notes": [*about_cuts, *notes],
        }
        result["text"] = claims.in_words(result)
        reasons = of_run(folder.id, bench.dataset, bench.split.clusters, bench.level)
        if not bench.look and reasons["n"]:
            result["wrong_reasons"] = reasons
            result["text"].append(
                f"Right for the wrong reason in {in_words_of(reasons)} of the agreements that the "
                f"expert looked at ({reasons['n']})."
            )
        if not bench.look and (found := causes.missed(folder, bench))["classified"]:
            result["causes"] = found
    folder.write_json("analysis.json", result)
    _report(result, as_json=as_json)
    from judgelab.tracking import pictures

    drawn = pictures.analysis(folder, result)
    show.next_steps([*_next(folder, result, drawn), *keep(folder, bench, config, tracking)])


def names(by: Sequence[str]) -> list[str]:
    """What --by names: several times, or with commas."""
    return [name for one in by for name in one.split(",") if name]


def keep(folder: RunFolder, bench: Bench, config: Mapping[str, Any], tracking: Any) -> list[str]:
    """The report of the run's sweep and MLflow, made anew; gives the lines that say where."""
    sweep = folder.record["sweep"]
    sweep_folder = RunFolder(runs_folder() / f"{sweep}-sweep") if sweep else None
    page = write_report(bench, sweep_folder, [], config)
    return [*page, *track(tracking, bench, [folder], sweep_folder)]


def refuse_recorded(folder: RunFolder) -> None:
    """Raises UserError for a run whose judge cannot be asked about anything else."""
    if folder.complete and folder.config["judge"].get("_target_") == RECORDED:
        raise UserError(
            f"{folder.id} is of recorded verdicts: nobody is there to ask about other items. "
            "Give a run of a judge that judges."
        )


def check_look(folder: RunFolder, bench: Bench) -> None:
    """Raises ClaimError where a look at test would open labels that it did not see."""
    if bench.look and not is_same_look(folder.record, bench.labels, bench.dataset):
        raise ClaimError(
            f"{folder.id} is a look at test, and labels or texts of its items changed since: under "
            f"the labels as they are now it would be another look. {another_look(folder)}"
        )


def unmoved(folder: RunFolder, bench: Bench) -> list[str]:
    """The items of the run whose texts are those that it judged, in the fixed order."""
    judged = {row["id"]: row["content"] for row in folder.assignment}
    now = {one.id: one.content for one in bench.dataset.interactions}
    kept = [item for item in bench.order if now.get(item) == judged.get(item)]
    if left := len(bench.order) - len(kept):
        show.notes([f"{left} items have other texts now than those that were judged: left out"])
    if not kept:
        raise UserError(
            f"no item of {folder.id} has the texts that it judged. Run it again: "
            f"{folder.record['command']}"
        )
    return kept


def judged(plan: Plan, bench: Bench, config: Mapping[str, Any]) -> list[Verdict]:
    """The verdicts of a plan, complete. Raises IncompleteError, with what completes them."""
    from judgelab.analysis import asking

    configs.build_part(config, "judge", Judge).check()
    show.notes(lost(bench.pool))
    if paid(plan.variant.judge):
        say_at_most(asking.estimate(plan, ESTIMATED_FROM), bench.pool)
    found = run_stoppable(_ask(plan, bench), bench.pool)
    accounts = plan.calls.accounts
    sent = f"{bench.pool.sent} calls sent now · ${bench.pool.spent:.4f}"
    show.err.print(f"verdicts: {accounts_in_words(accounts.to_json())} · {sent}", soft_wrap=True)
    if bench.pool.interrupted:
        raise Stopped(bench.pool.interrupted)
    if not accounts.complete:
        again = shlex.join(["judgelab", *sys.argv[1:]])
        raise IncompleteError(
            f"the analysis is incomplete ({accounts.detail}). What is answered is kept; go on "
            f"with: {again}"
        )
    return found


async def _ask(plan: Plan, bench: Bench) -> list[Verdict]:
    from judgelab.analysis import asking

    with progress(plan.verdicts, bench.pool) as bars:
        return await asking.ask(plan, bars)


def _report(found: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        whole = {"by": {}, "tests": {}, **found["whole"]}
        show.table(_table(found, [whole, *found["slices"]], _title(found)))
        if pairs := _pairs(found):
            more = len(found["pairs"]) - len(pairs)
            left = f"; {more} more are in analysis.json" if more else ""
            show.line("")
            tested = any(t["p"] is not None for t in pairs[0]["tests"].values())
            first = "the most telling first" if tested else "none large enough for a test"
            show.table(_table(found, pairs, f"pairs, {first}{left}"))
        show.err.print("* differs from the rest, after Holm   dim: too few for a claim")
        if "causes" in found:
            show.line("")
            causes.render(found["causes"])
    show.below(found["text"])
    show.notes(found["notes"])


def _title(found: Mapping[str, Any]) -> str:
    groups = found["whole"]["groups"]
    clustered = f", clustered by {found['group']} ({groups})" if groups else ""
    policy = "" if found["policy"] == "error" else f", abstentions: {found['policy']}"
    return (
        f"{found['judge']} on {found['dataset']}, {found['on']}: positive class fail{policy}, "
        f"intervals at {100 * found['level']:.3g} %{clustered}"
    )


def _table(found: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], title: str) -> Table:
    from judgelab.analysis.claims import named

    made = Table(
        title=escape(title), title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0)
    )
    made.add_column("slice", overflow="fold", min_width=20, max_width=34)
    made.add_column("n", justify="right")
    for heading in HEADS.values():
        made.add_column(heading, no_wrap=True)
    corrected = any(row.get("corrected") for row in rows)
    if corrected:
        made.add_column("unlabelled")
        made.add_column("corrected", no_wrap=True)
    for row in rows:
        cells = [_cell(row, name, found["level"]) for name in HEADS]
        if corrected:
            cells += _corrected_cells(row.get("corrected"))
        made.add_row(escape(named(row["by"]) or "all"), str(row["n"]), *cells)
    return made


def _cell(row: Mapping[str, Any], name: str, level: float) -> str:
    """A rate with its interval; dim where its slice is too small, a star where it was shown."""
    said = escape(in_words_of(row[name]))
    test = row["tests"].get(name)
    if test is None:
        return said
    if test["few"]:
        return f"[dim]{said}[/dim]"
    return f"[bold]{said}*[/bold]" if test["holm"] < 1 - level else said


def _corrected_cells(found: Mapping[str, Any] | None) -> list[str]:
    """How many unlabelled items, and the share corrected by the recalls, else as of a sample."""
    if not found:
        return ["0", "–"]
    best = next((found[k] for k in ("ppi", "rogan_gladen") if found[k]["value"] is not None), None)
    return [str(found["n"]), escape(in_words_of(best)) if best else "–"]


def _pairs(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The pairs with a test, by their smallest p; where there is none, the largest."""

    def least(row: Mapping[str, Any]) -> float:
        return min((t["p"] for t in row["tests"].values() if t["p"] is not None), default=2.0)

    tested = sorted((row for row in found["pairs"] if least(row) <= 1), key=least)
    return (tested or sorted(found["pairs"], key=lambda row: -row["n"])[:FEW_PAIRS])[:MOST_PAIRS]


def _next(folder: RunFolder, found: Mapping[str, Any], drawn: Sequence[str]) -> list[str]:
    from judgelab.analysis.claims import named
    from judgelab.analysis.findings import claimed

    shown_slices = claimed(found)
    of_system = [row for name, row in shown_slices if name == "fails" and _worse(row, name)]
    of_judge = [row for name, row in shown_slices if name != "fails" and _worse(row, name)]
    steps = []
    if of_system:
        steps.append(f"fix first what the system does where {named(of_system[0]['by'])}")
    if of_judge and found["part"] != "test":
        steps.append(
            f"the judge errs most where {named(of_judge[0]['by'])}; say in the rubric what it "
            f"misses there: judgelab review --run {folder.id[:8]}"
        )
    if not shown_slices and found["part"] != "test":
        steps.append("to tell slices apart, label more: judgelab review --queue stratified")
    pictures = [shown(folder.path / f"{name}.png") for name in drawn]
    steps += [f"the pictures: {', '.join(pictures)}"] if pictures else []
    return [*steps, f"every slice, every number: {shown(folder.path / 'analysis.json')}"]


def _worse(row: Mapping[str, Any], name: str) -> bool:
    """Whether the slice has more of it than the rest."""
    return bool(row[name]["value"] > (row["tests"][name]["rest"]["value"] or 0))
