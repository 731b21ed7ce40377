"""Root causes: `judgelab data causes`, and failure modes from a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape
from rich.table import Table

from judgelab import resources
from judgelab.calls.pool import Pool
from judgelab.commands import show
from judgelab.commands.data import configured, would_be
from judgelab.data.modes import ModeLog, modes_of
from judgelab.data.modes_file import read_modes
from judgelab.data.readers.problems import shown
from judgelab.data.schema import Dataset, load
from judgelab.data.split import Split
from judgelab.errors import UserError
from judgelab.rerun import as_it_was
from judgelab.runner import Bench
from judgelab.scoring import in_words_of, majority
from judgelab.tracking.folder import RunFolder, find_run

if TYPE_CHECKING:
    from judgelab.rounds.frozen import Frozen

WIDE = 40  # columns of a mode's name


def causes(overrides: Sequence[str], *, run: str | None, as_json: bool) -> None:
    """How often each failure mode is behind a fail, by round; with `run`, which its judge misses.

    Raises UserError for a run that is a look at test.
    """
    if run:
        if overrides:
            raise UserError("--run takes its dataset from the run: give no OVERRIDES with it.")
        folder = find_run(run)
        with as_it_was(folder, Pool(record={})) as (bench, _):
            found = missed(folder, bench)
        dataset = bench.dataset
    else:
        config, split, _ = configured(overrides)
        dataset = load(config)
        found = of_dataset(dataset, would_be(dataset, split))
    if as_json:
        click.echo(json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        render(found)
        show.notes(dataset.notes)
    if not found["classified"]:
        where = shown(ModeLog.of(dataset.name).yaml)
        show.next_steps(
            [
                f"name what fails in {where} or in judgelab review, after a fail",
                "or take in what is classified already: judgelab data import FILE --as modes",
            ]
        )


def of_dataset(dataset: Dataset, split: Split) -> dict[str, Any]:
    """The causes of all fails but those of test, whose labels stay closed, and by round."""
    from judgelab.analysis import causes as made
    from judgelab.rounds.frozen import rounds_of

    log = ModeLog.of(dataset.name)
    modes, names = modes_of(dataset, log), log.taxonomy.names
    open_ = {id_ for id_, place in split.places.items() if place.part != "test"}
    fails = [e.id for e in dataset.examples if e.label == "fail"]
    kept = [id_ for id_ in fails if id_ in open_]
    rounds = rounds_of(dataset.name)
    then: dict[str, tuple[str, ...]] = {}
    for one in reversed(rounds):  # the first round that froze an item's root causes counts
        then |= one.modes(log.taxonomy)
    content = {one.id: one.content for one in dataset.interactions}
    fails_of = [
        (str(one.number), [id_ for id_, label in one.labels.items()
                           if id_ in open_ and _is_fail(label, content.get(id_))])
        for one in rounds
    ]  # fmt: skip
    left = sorted({name for known in then.values() for name in known} - set(names))
    added = made.by_round(
        [*fails_of, ("now", kept)], {**modes, **then}, [*names, *left], split.clusters
    )
    known_now = {id_ for _, ids in fails_of for id_ in ids if id_ in modes}
    return {
        "dataset": dataset.name,
        "taxonomy": log.taxonomy.sha256,
        "closed": len(fails) - len(kept),
        **made.causes(kept, modes, names, split.clusters),
        "rounds": added if rounds else [],
        "unfrozen": len(known_now - then.keys()),
    }


def missed(folder: RunFolder, bench: Bench) -> dict[str, Any]:
    """The causes of the fails that a run judged, and how many of each its judge caught.

    Raises UserError for a look at test.
    """
    from judgelab.analysis import causes as made

    if bench.look or bench.part == "test":
        raise UserError(
            f"{folder.id} is a look at test, whose items stay closed. Give the run on dev."
        )
    log = ModeLog.of(bench.dataset.name)
    judged = {row["id"]: row["content"] for row in folder.assignment}
    content = {one.id: one.content for one in bench.dataset.interactions}
    labels = bench.labels
    fails = [id_ for id_ in labels if labels[id_] == "fail" and judged.get(id_) == content[id_]]
    return {
        "dataset": bench.dataset.name,
        "taxonomy": log.taxonomy.sha256,
        "run": folder.id,
        "judge": folder.record["name"],
        "on": "out of fold" if bench.split.exploratory else bench.part,
        **made.causes(
            fails,
            modes_of(bench.dataset, log),
            log.taxonomy.names,
            bench.split.clusters,
            verdicts=majority(folder.verdicts),
            level=bench.level,
        ),
    }


def render(found: Mapping[str, Any]) -> None:
    """The table, and below it what it is made of."""
    from judgelab.analysis.causes import changes_in_words, in_words

    show.line(_title(found))
    table = Table(box=None, pad_edge=False)
    table.add_column("root cause", overflow="fold", max_width=WIDE)
    table.add_column("count", justify="right")
    table.add_column("share of fails", no_wrap=True)
    judged = "recall_fail" in found
    if judged:
        table.add_column("caught", justify="right")
        table.add_column("recall fail", no_wrap=True)
    for row in found["causes"]:
        cells = [escape(row["mode"]), str(row["count"]), in_words_of(row["share"])]
        table.add_row(*cells, *(_caught(row["recall_fail"]) if judged else ()))
    if judged:
        table.add_section()
        if left := found["n"] - found["classified"]:
            table.add_row("not classified", str(left), "", *_caught(found["unclassified"]))
        table.add_row("all fails", str(found["n"]), "", *_caught(found["recall_fail"]))
    show.table(table)
    if found.get("rounds"):
        show.line("\nfails that each round added, with the root causes that it froze")
        show.table(_rounds(found["rounds"]))
        show.below(list(changes_in_words(found["rounds"])))
        if late := found["unfrozen"]:
            show.notes([f"{late} fails had no root cause when a round froze them: as they are now"])
    closed = found.get("closed")
    said = [f"{closed} fails of test are closed, and counted nowhere here"] if closed else []
    show.below([*in_words(found), *said])


def _title(found: Mapping[str, Any]) -> str:
    what = f"{found['classified']} of {found['n']} fails classified"
    judge = f"{found['judge']}, {found['on']}: " if "judge" in found else ""
    level = f"intervals at {100 * found['level']:.3g} %"
    return f"{found['dataset']}, {judge}positive class fail, {what}, {level}"


def _caught(recall: Mapping[str, Any]) -> list[str]:
    return [f"{recall['hits']} of {recall['n']}", in_words_of(recall)]


def _rounds(rounds: Sequence[Mapping[str, Any]]) -> Table:
    """A column a round: of the fails that it added, how many each mode is behind."""
    table = Table(box=None, pad_edge=False)
    table.add_column("root cause", overflow="fold", max_width=WIDE)
    shares: dict[str, list[str]] = {}
    for one in rounds:
        name = one["round"] if one["round"] == "now" else f"round {one['round']}"
        table.add_column(f"{name} ({one['classified']} of {one['n']})", no_wrap=True)
        for row in one["causes"]:
            new = " new" if row["mode"] in one["first"] else ""
            cell = f"{row['count']}  {in_words_of(row['share'])}{new}"
            shares.setdefault(row["mode"], []).append(cell)
    for mode in sorted(shares):
        table.add_row(escape(mode), *shares[mode])
    return table


def _is_fail(frozen: Frozen, content: str | None) -> bool:
    """Whether a round froze a fail of these texts."""
    return frozen.label == "fail" and frozen.content == content


def take_in(
    file: Path, overrides: Sequence[str], *, expert: str, new_modes: bool, dry_run: bool
) -> None:
    """Failure modes of a file become events; names that are new go to the taxonomy if asked to."""
    config, _, _ = configured(overrides)
    path = resources.data_path(str(file)) if str(file).startswith("sample:") else file
    dataset = load(config)
    log = ModeLog.of(config.name)
    made = read_modes(path, dataset, log, by=expert, naming=new_modes)
    total = len(made.given) + len(made.known)
    show.line(f"{total} rows = {len(made.given)} new, {len(made.known)} known already")
    if made.new:
        names = ", ".join(mode.name for mode in made.new)
        show.line(f"new failure modes: {len(made.new)} ({names})")
    if dry_run:
        show.notes(["nothing was written (--dry-run)"])
    elif made.given:
        log.classify(made.given, made.new)
        show.notes([f"{len(made.given)} classifications were added to {shown(log.path)}"])
        if made.new:
            show.next_steps([f"say in a sentence what each mode is: {shown(log.yaml)}"])
