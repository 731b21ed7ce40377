"""`judgelab probe`: injections and biases of a finished run's judge, on dev."""

from __future__ import annotations

import json
import shlex
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from judgelab import config as configs
from judgelab.calls.accounts import in_words as accounts_in_words
from judgelab.commands import show
from judgelab.commands.estimate import say_at_most
from judgelab.commands.progress import progress
from judgelab.commands.run import build_tracking, open_pool, track
from judgelab.commands.score import scorecards
from judgelab.commands.stopping import run_stoppable
from judgelab.commands.telling import lost
from judgelab.data.readers.problems import shown
from judgelab.errors import ClaimError, IncompleteError, Stopped, UserError
from judgelab.judges.base import Judge
from judgelab.probe import asking, claims
from judgelab.rerun import as_it_was, check_same
from judgelab.runner import Bench
from judgelab.scoring import in_words_of
from judgelab.search import paid
from judgelab.tracking.folder import RunFolder, find_run
from judgelab.types import Verdict, sha256

ESTIMATED_FROM = 4  # prompts of each arm and fold
NOT_COMPARED = ("sent", "from_store", "spent_usd")  # what differs when nothing but the store does
RECORDED = "judgelab.judges.recorded.RecordedJudge"


def probe(
    name: str,
    *,
    limit: int | None,
    gate: float | None,
    dry_run: bool,
    data: str | None,
    as_json: bool,
) -> None:
    """Raises ClaimError (exit 1) where a gate is set and does not hold."""
    folder = find_run(name)
    _refuse(folder)
    config = folder.config
    most = claims.check_gate((config.get("probe") or {}).get("gate") if gate is None else gate)
    tracking = build_tracking(config)
    pool = open_pool(config)
    with as_it_was(folder, pool, data) as (bench, variant):
        check_same(folder, bench, variant)
        plan = asking.plan(bench, variant, limit)
        if dry_run:
            show.line(str(asking.estimate(plan)))
            return
        configs.build_part(config, "judge", Judge).check()
        show.notes(lost(pool))
        if paid(variant.judge):
            say_at_most(asking.estimate(plan, ESTIMATED_FROM), pool)
        found = run_stoppable(_ask(plan, bench), pool)
        calls = plan.calls.accounts.to_json()
        sent = f"{pool.sent} calls sent now · ${pool.spent:.4f}"
        show.err.print(f"verdicts: {accounts_in_words(calls)} · {sent}", soft_wrap=True)
        if pool.interrupted:
            raise Stopped(pool.interrupted)
        if not plan.calls.accounts.complete:
            again = shlex.join(["judgelab", *sys.argv[1:]])
            raise IncompleteError(
                f"the probe is incomplete ({plan.calls.accounts.detail}). What is answered is "
                f"kept; go on with: {again}"
            )
        result = _result(folder, bench, plan, found, most)
    folder.write_json("probe.json", result)
    _report(result, as_json=as_json)
    from judgelab.tracking import pictures

    drawn = pictures.probe(folder, result)
    links = track(tracking, bench, [folder], None)
    if most is not None:
        _hold(result["gate"])
    show.next_steps([*_next(folder, result, drawn=drawn), *links])


def _refuse(folder: RunFolder) -> None:
    """What no probe is made of, said before any data is read."""
    if not folder.complete:
        raise UserError(f"{folder.id} is incomplete; the command that made it completes it.")
    if folder.record["part"] == "test":
        raise UserError(
            f"{folder.id} is a look at test, whose items stay closed. Give the run on dev."
        )
    if folder.config["judge"].get("_target_") == RECORDED:
        raise UserError(
            f"{folder.id} is of recorded verdicts: nobody is there to ask about another text. "
            "Give a run of a judge that judges."
        )


async def _ask(plan: asking.Plan, bench: Bench) -> dict[str, list[Verdict]]:
    with progress(plan.verdicts, bench.pool) as bars:
        return await asking.ask(plan, bars)


def _result(
    folder: RunFolder,
    bench: Bench,
    plan: asking.Plan,
    found: Mapping[str, Sequence[Verdict]],
    most: float | None,
) -> dict[str, Any]:
    """probe.json: without a clock, and the same whether the answers were sent for or stored."""
    from judgelab.probe.findings import findings

    calls = plan.calls.accounts.to_json()
    about = {
        "run": folder.id,
        "judge": plan.variant.name,
        "llm": plan.batches[0].judge.llm if plan.batches else False,
        "payloads": {name: sha256(text) for name, text in plan.payloads.items()},
    }
    result = about | findings(bench, plan, folder.verdicts, found)
    result["gate"] = None if most is None else claims.gate(result, most)
    result["text"] = claims.in_words(result)
    return result | {"calls": {key: n for key, n in calls.items() if key not in NOT_COMPARED}}


def _report(result: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(result, indent=1, ensure_ascii=False))
    else:
        show.table(_injections(result))
        show.line("")
        show.table(_changes(result))
        for row in result["leaks"]:
            rate = in_words_of(row["rate"])
            show.line(f"canary of the {row['place']}: in {row['leaked']} of {row['n']} critiques, "
                      f"{rate}")  # fmt: skip
        if result["suspects"]["scores"]:
            show.line("")
            show.table(
                scorecards(result["suspects"]["scores"], [], "items that look like payloads")
            )
    for line in result["text"]:
        show.err.print(line, soft_wrap=True, markup=False)
    show.notes(_about(result))


def _about(result: Mapping[str, Any]) -> list[str]:
    """What kind of judge this is, and what was left out for that."""
    arms: dict[str, list[str]] = defaultdict(list)
    for arm, why in result["skipped"].items():
        arms[why].append(claims.named(arm))
    left_out = [f"left out, as {why}: {', '.join(names)}" for why, names in arms.items()]
    if result["llm"]:
        return left_out
    what = (
        f"{result['judge']} is no LLM and obeys nobody: flips are what its words or code react to"
    )
    return [what, *left_out]


def _injections(result: Mapping[str, Any]) -> Table:
    found = result["injection"]
    table = _table(
        f"{result['judge']}, {result['part']}: positive class fail; {found['n']} items that expert "
        f"and judge fail, of {result['expert_fails']} expert fails, with text behind the output"
    )
    table.add_column("payload", overflow="fold", min_width=17)
    for heading in ("passed", "control passed"):
        table.add_column(heading, no_wrap=True)
    for heading in (*_tested(found["rows"]), "of all fails"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in found["rows"]:
        every = row["all_fails"]
        table.add_row(
            escape(claims.named(row["family"])),
            in_words_of(row["rate"]),
            in_words_of(row["control_rate"]),
            *_test(row),
            f"{every['passed']}/{every['n']} ({every['control_passed']})",
        )
    return table


def _changes(result: Mapping[str, Any]) -> Table:
    table = _table(f"{result['items']} items, against the run's own verdicts")
    table.add_column("change", overflow="fold", min_width=24)
    table.add_column("net to pass", no_wrap=True)
    for heading in _tested(result["bias"]):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in result["bias"]:
        net = in_words_of(row["difference"])
        table.add_row(escape(claims.named(row["change"])), net, *_test(row))
    return table


def _table(title: str) -> Table:
    return Table(
        title=escape(title), title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0)
    )


def _tested(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The headings of `_test`: where items share groups, whole groups are what is tested."""
    by_group = any(row["clusters"] is not None for row in rows)
    return ("to pass", "to fail", "group p" if by_group else "mid-p", "exact", "Holm")


def _test(row: Mapping[str, Any]) -> list[str]:
    """Flips and their p-values."""
    ps = (row["p"], row["mcnemar_exact"], row["holm"])
    return [str(row["to_pass"]), str(row["to_fail"]), *map(_p, ps)]


def _p(p: float) -> str:
    return "1" if p > 0.9995 else "<.001" if p < 0.001 else f"{p:.3f}"[1:]


def _hold(gate: Mapping[str, Any]) -> None:
    said = f"probe.gate={gate['most']:g} (upper limits, Clopper-Pearson at {gate['level']:.0%})"
    if gate["broken"]:
        raise ClaimError(
            f"{said} does not hold. {'; '.join(gate['broken'])}. "
            "Harden the template or take another model, and probe that run; with more fails the "
            "limits come down."
        )
    show.err.print(f"{said} holds", soft_wrap=True, markup=False)


def _next(folder: RunFolder, result: Mapping[str, Any], *, drawn: bool) -> list[str]:
    steps = [f"the picture: {shown(folder.path / 'probe.png')}"] if drawn else []
    if result["bias"] or result["injection"]["rows"]:
        steps.append(f"which items flipped: {shown(folder.path / 'probe.json')}")
    if not result["exploratory"] and not folder.record["baseline"]:
        steps.append(f"look at unseen items once: judgelab holdout {folder.id[:8]}")
    return steps
