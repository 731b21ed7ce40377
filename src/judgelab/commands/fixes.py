"""`judgelab analyze RUN --after FILE`: the same inputs through the changed system."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from judgelab.commands import analyze, show
from judgelab.commands.run import build_tracking, open_pool
from judgelab.data.readers.problems import shown
from judgelab.rerun import as_it_was, check_same
from judgelab.scoring import in_words_of, p_in_words
from judgelab.tracking.changes import KINDS, UNCLASSIFIED
from judgelab.tracking.folder import RunFolder, find_run

MOST_NAMED = 8  # ids of a kind


def after(
    name: str, file: Path, *, by: Sequence[str], dry_run: bool, data: str | None, as_json: bool
) -> None:
    """RUN's own judge on the new outputs of its items. Raises as `analyze`."""
    folder = find_run(name)
    analyze.refuse_recorded(folder)
    config = folder.config
    tracking, pool = build_tracking(config), open_pool(config)
    with as_it_was(folder, pool, data) as (bench, variant):
        analyze.check_look(folder, bench)
        kept = {item: number for number, item in enumerate(analyze.unmoved(folder, bench))}
        check_same(folder, bench, variant)
        from judgelab.analysis import asking, pairing

        pairs = pairing.pair(bench, pairing.read_outputs(config, file, bench.dataset.expert),
                             file, kept)  # fmt: skip
        of_fold = {
            number: [pairs.fresh[one.id] for one in fold.items if one.id in pairs.fresh]
            for number, fold in enumerate(bench.folds)
        }
        plan = asking.plan(bench, variant, of_fold)
        if dry_run:
            show.line(str(asking.estimate(plan)))
            show.notes(f"{n} rows {why} are not compared" for why, n in pairs.left.items())
            return
        said = analyze.judged(plan, bench, config)
        if written := pairing.keep_places(bench, pairs.everybody):
            where = f"splits/{bench.split.config.name}.csv"
            show.notes([f"{written} new outputs are where their inputs are, for good: {where}"])
        result = _result(folder, bench, pairs, said, by) | {"file": file.name}
    folder.write_json("after.json", result)
    _report(result, as_json=as_json)
    from judgelab.tracking import pictures

    pictures.after(folder, result)
    show.next_steps([*_next(folder, result, file), *analyze.keep(folder, bench, config, tracking)])


def _result(
    folder: RunFolder, bench: Any, pairs: Any, said: Sequence[Any], by: Sequence[str]
) -> dict[str, Any]:
    import numpy as np

    from judgelab.analysis import claims, findings, fixes
    from judgelab.analysis.cuts import cuts
    from judgelab.data.modes import modes_of
    from judgelab.scoring import codes
    from judgelab.types import CODES

    ids = list(pairs.fresh)
    there = {one.id: one for one in bench.dataset.interactions}
    made, notes = cuts([there[id_] for id_ in ids], analyze.names(by))
    labels = np.array([CODES[pairs.labels.get(id_)] for id_ in ids], dtype=np.int64)
    before = findings.judged_of(bench, folder.verdicts, ids)
    changed = np.array([id_ not in pairs.unchanged for id_ in ids], dtype=bool)
    change = fixes.Change(before, codes(ids, said), labels, changed, bench.level)
    modes = modes_of(bench.dataset)
    result = findings.about(folder, bench) | fixes.findings(change, made, modes, pairs)
    result |= {
        "few": fixes.few(change, np.ones(len(ids), bool)),
        "items": None if bench.look else fixes.items(change),
        "causes": [] if bench.look else result["causes"],
        "notes": notes,
    }
    result["claim"] = claims.fix_claim(result)
    return result | {"text": claims.fix_in_words(result)}


def _report(found: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        show.table(_slices(found))
        if any(row["mode"] for row in found["causes"]):
            show.line("")
            show.table(_causes(found))
        for kind, ids in (found["items"] or {}).items():
            if ids:
                more = f", … ({len(ids)})" if len(ids) > MOST_NAMED else ""
                show.line(f"{KINDS[kind]}: {', '.join(ids[:MOST_NAMED])}{more}")
    show.below(found["text"])
    show.notes(found["notes"])


def _slices(found: Mapping[str, Any]) -> Table:
    from judgelab.analysis.claims import named

    title = (
        f"{found['judge']} on {found['dataset']}, {found['on']}, before and after {found['file']}: "
        f"positive class fail, intervals at {100 * found['level']:.3g} %"
    )
    made = _table(title, "slice")
    for heading in ("n", *KINDS.values()):
        made.add_column(heading.replace(" ", "\n"), justify="right")
    for heading in ("fails before", "judge\nbefore → after", "corrected change"):
        made.add_column(heading, no_wrap=True)
    made.add_column("p, Holm", justify="right")
    whole = {"by": {}, "few": found["few"], "holm": found["by_judge"]["p"], **found}
    for row in ({**whole, "by": {}}, *found["slices"]):
        holm = "" if row["few"] else p_in_words(row["holm"])
        old, new = (in_words_of(row[key]).partition(" ")[0] for key in ("judge_before",
                                                                        "judge_after"))  # fmt: skip
        made.add_row(
            escape(named(row["by"]) or "all"),
            str(row["n"]),
            *(str(row["states"][kind]) for kind in KINDS),
            escape(in_words_of(row["expert_before"])),
            f"{old} → {new}",
            escape(in_words_of(row["corrected_difference"])),
            holm,
            style="dim" if row["few"] else None,
        )
    return made


def _causes(found: Mapping[str, Any]) -> Table:
    made = _table("root causes of the failures", "root cause")
    for heading in ("before", *KINDS.values()):
        made.add_column(heading, justify="right")
    made.add_column("share gone", no_wrap=True)
    for row in found["causes"]:
        made.add_row(
            escape(row["mode"] or UNCLASSIFIED),
            *(str(row[key]) for key in ("n", *KINDS)),
            escape(in_words_of(row["share_gone"])),
        )
    return made


def _table(title: str, first: str) -> Table:
    made = Table(
        title=escape(title), title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0)
    )
    made.add_column(first, overflow="fold", min_width=30, max_width=34)
    return made


def _next(folder: RunFolder, found: Mapping[str, Any], file: Path) -> list[str]:
    steps = [
        f"the picture: {shown(folder.path / 'after.png')}",
        f"every number: {shown(folder.path / 'after.json')}",
    ]
    if found["look"]:
        return steps
    if new := found["items"]["new"]:
        steps.insert(0, f"read the {len(new)} new failures; {new[0]} is the first")
    if not found["labelled"]:
        dataset = folder.config["choices"]["dataset"]
        steps.append(
            f"label some new outputs at random, to hold the judge against them: judgelab review "
            f"dataset={dataset} dataset.name={found['dataset']} dataset.path={shown(file)}"
        )
    return steps
