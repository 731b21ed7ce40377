"""`judgelab data export|import`: labels in spreadsheets, in AlignEval and in MLflow."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from judgelab import config as configs
from judgelab.commands import show
from judgelab.data.events import EventLog, labels_path
from judgelab.data.modes import ModeLog
from judgelab.data.overlay import principal_of
from judgelab.data.readers.problems import shown
from judgelab.data.remarks import RemarkLog, remarks_path
from judgelab.data.schema import Dataset, DatasetConfig, load
from judgelab.data.sheets import causes, comments, in_force, merging, reading, rows, writing
from judgelab.data.sheets.comments import Comment
from judgelab.data.sheets.merged import Merged, Placed, R, listed
from judgelab.data.sheets.reading import Entry
from judgelab.data.standing import Standing
from judgelab.errors import DataError, UserError
from judgelab.types import Verdict

EXPERT = "expert"  # where nobody is named
NAMED = 10  # items or rows in a remark


@dataclass(frozen=True)
class Desk:
    """A dataset and its label events, without anybody's labels in force yet.

    `files` is the dataset as its files say, `expert` whom it is opened for.
    """

    config: DatasetConfig
    files: Dataset
    log: EventLog
    expert: str
    tracking: Mapping[str, Any] | None

    def standing(self, expert: str) -> Standing:
        """The labels of an expert. Raises DataError where nobody says whose label decides."""
        known = {*self.log.experts, expert}
        where = shown(self.log.path)
        decides = principal_of(self.config.expert, self.files.labels, known, where)
        return Standing(self.files, self.log, expert, expert == decides)


def opened(overrides: Sequence[str], expert: str | None) -> Desk:
    """The dataset that the overrides name."""
    with configs.hydra():
        composed = configs.compose(overrides, lenient=True).config
        node, tracking = configs.resolved(composed.dataset), composed.tracking
        tracking = configs.resolved(tracking) if tracking else None
    config = configs.build(node, DatasetConfig, "dataset")
    log = EventLog(labels_path(config.name))
    name = (expert or config.expert or "").strip()
    files = load(config, events=0, newcomer=name)
    name = name or files.expert or (log.experts[0] if len(log.experts) == 1 else "") or EXPERT
    return Desk(config, files, log, name, tracking)


def export(
    file: Path,
    overrides: Sequence[str],
    *,
    expert: str | None,
    everything: bool,
    n: int | None,
    seed: int,
    run: str | None,
    as_: str | None,
    force: bool,
) -> None:
    """Write what is to be labelled. Raises UserError before anything is written."""
    suffix = file.suffix.lower()
    allowed = (".csv",) if as_ else reading.FORMATS
    if suffix not in allowed:
        raise UserError(f"{file}: labels go to {', '.join(allowed)}; the name says which.")
    if run and suffix != ".xlsx":
        raise UserError(f"{file}: --run needs a second sheet, which only .xlsx has.")
    _check_place(file, force)
    desk = opened(overrides, expert)
    standing = desk.standing(desk.expert)
    ids = rows.chosen(standing, everything=everything, n=n, seed=seed)
    beside = _judged(standing, desk.config.name, run) if run else None
    if not ids and beside is None:
        raise UserError(
            f"{desk.expert} has labelled all {len(standing.items)} items of {desk.config.name!r}, "
            f"and {file} is not written. --all exports them with their labels."
        )
    left: list[str] = []
    if as_ == "aligneval":
        columns = ("id", "input", "output", "label")
        writing.write_csv(file, columns, (_aligneval(standing, id_) for id_ in ids))
    elif suffix == ".jsonl":
        writing.write_jsonl(file, (_exact(standing, id_) for id_ in ids))
    else:
        named = causes.cells(standing, ids, ModeLog.of(desk.config.name))
        sheet, left = rows.to_label(standing, ids, named)
        if suffix == ".csv":
            writing.write_csv(file, sheet.columns, sheet.rows)
            _say_cut([sheet])
        else:
            sheets = [*([sheet] if ids else []), *([beside] if beside else [])]
            writing.write_xlsx(file, sheets)
            _say_cut(sheets)
    _say_left(left)
    show.line(f"{len(ids) - len(left)} items for {desk.expert} in {file}")
    if beside:
        show.line(f"{len(beside.rows)} labelled items beside the judge of {run}")
    words = [str(file), *overrides, "--expert", desk.expert, *(["--as", as_] if as_ else [])]
    show.next_steps([f"when they are labelled: judgelab data import {shlex.join(words)}"])


def write_labels(file: Path, overrides: Sequence[str], *, force: bool) -> None:
    """Write the labels in force as a file of annotations."""
    if file.suffix.lower() != ".jsonl":
        raise UserError(f"{file}: --labels writes JSONL; give a name that ends in .jsonl.")
    _check_place(file, force)
    desk = opened(overrides, None)
    dataset = load(desk.config)
    found = list(in_force.rows(dataset, desk.standing(dataset.expert or desk.expert)))
    if not found:
        raise UserError(f"nothing of {desk.config.name!r} is labelled, and {file} is not written.")
    writing.write_jsonl(file, found)
    show.line(f"{len(found)} labels in {file}")
    show.next_steps([f"read them with: dataset.annotations={file} dataset.columns.label=null"])


def take_in(
    file: Path,
    overrides: Sequence[str],
    *,
    expert: str,
    as_: str | None,
    new_modes: bool,
    dry_run: bool,
) -> int:
    """Labels of a file become events, and so do root causes; 1 where some rows are conflicts."""
    labelled = reading.read(file, as_)
    desk = opened(overrides, expert)
    standing = desk.standing(desk.expert)
    made = merging.merge(labelled.entries, standing, shown(file))
    log = ModeLog.of(desk.config.name)
    named = _named(labelled, made, standing, log, naming=new_modes, source=shown(file))
    if named is None and new_modes:
        raise UserError(f"--new-modes: {file} has no column {causes.COLUMN!r}.")
    page = "aligneval" if as_ else "sheet"
    # What is said of the judge comes first: it is of the labels that stood beside it.
    said = _comments(labelled.comments, desk, standing, dry_run) if labelled.comments else 0
    if not labelled.entries:
        return said
    said = max(said, settle([(standing, made)], page, desk.log.path, dry_run=dry_run))
    if named is None:
        return said
    if named.given and not dry_run:
        log.classify(named.given, named.new)
    words = ("rows with root causes", "a root cause", "classifications", "name them again")
    return max(said, _settled([named.merged], log.path, words, dry_run=dry_run))


def _named(
    labelled: reading.Labelled,
    made: Merged[Entry],
    standing: Standing,
    log: ModeLog,
    *,
    naming: bool,
    source: str,
) -> causes.Named | None:
    """What becomes of the column of root causes; None where there is none."""
    if not labelled.rows or causes.COLUMN not in labelled.rows[0].values:
        return None
    found = causes.read(labelled.rows, source)
    entries = {one.id: one for one in labelled.entries}
    return causes.merge(found, made, entries, standing, log, naming=naming, source=source)


def _comments(found: Sequence[Comment], desk: Desk, standing: Standing, dry_run: bool) -> int:
    """What the expert says of a judge becomes remarks; 1 where some rows are conflicts."""
    log = RemarkLog(remarks_path(desk.config.name))
    told = cache(lambda run: _told(run, standing, log)[1])
    made, remarks = comments.merge(found, standing, log, told)
    if not dry_run:
        for one in remarks:
            log.append(one)
    words = ("rows of the judge", "an answer", "remarks", "look at these disagreements again")
    return _settled([made], log.path, words, dry_run=dry_run)


def settle(
    found: Sequence[tuple[Standing, Merged[Entry]]], page: str, log: Path, *, dry_run: bool
) -> int:
    """Write what is new, and say what became of every row."""
    if not dry_run:
        for standing, made in found:
            for _ in merging.write(made, standing, page):
                pass
    words = ("rows", "a verdict", "labels", "label these items again")
    return _settled([made for _, made in found], log, words, dry_run=dry_run)


def _settled(
    parts: Sequence[Merged[R]], log: Path, words: tuple[str, str, str, str], *, dry_run: bool
) -> int:
    """`words`: what rows are called, what empty ones lack, what is written, what to do again."""
    rows, lacks, written, again = words

    def count(of: Callable[[Merged[R]], Sequence[Any]]) -> int:
        return sum(len(of(made)) for made in parts)

    counted = {
        "new": count(lambda made: made.new),
        "known already": count(lambda made: made.known),
        "unchanged": count(lambda made: made.untouched),
        f"without {lacks}": count(lambda made: made.empty),
        "conflicts": count(lambda made: made.conflicts),
    }
    said = ", ".join(f"{n} {what}" for what, n in counted.items())
    show.line(f"{sum(counted.values())} {rows} = {said}")
    for made in parts:
        for text in listed(made.conflicts):
            show.line(f"conflict: {text}")
    stray = [one for made in parts for one in made.stray]
    if stray:
        show.notes([f"rows without {lacks}, though something was said: {_rows(stray)}"])
    if dry_run:
        show.notes(["nothing was written (--dry-run)"])
    elif counted["new"]:
        show.notes([f"{counted['new']} {written} were added to {shown(log)}"])
    if counted["conflicts"]:
        show.next_steps(
            [f"of conflicts nothing was written: {again} in judgelab review, or in a new export"]
        )
    return 1 if counted["conflicts"] else 0


def _check_place(file: Path, force: bool) -> None:
    if file.is_dir() or (file.exists() and not force):
        raise UserError(
            f"{file} is there already, and may hold labels. Give another name, or --force to "
            "replace it."
        )
    if not file.absolute().parent.is_dir():
        raise UserError(f"{file}: there is no folder {file.parent}.")


def _judged(standing: Standing, name: str, run: str) -> rows.Sheet:
    log = RemarkLog(remarks_path(name))
    id_, verdicts = _told(run, standing, log)
    sheet = comments.judged(standing, verdicts, id_, log)
    if not sheet.rows:
        raise DataError(
            f"--run {run}: {standing.expert} has labelled nothing that it judged; the judge's "
            "verdict is shown beside a label alone."
        )
    return sheet


def _told(run: str, standing: Standing, log: RemarkLog) -> tuple[str, dict[str, Verdict]]:
    """The id of a run, and what its judge said of the items as they are."""
    from judgelab.review.told import Told
    from judgelab.tracking.folder import find_run

    content = {one.id: one.content for one in standing.items.values()}
    told = Told.of(find_run(run), log, content)
    return told.run, {
        id_: Verdict(id_, one.verdict, critique=one.critique) for id_, one in told.opinions.items()
    }


def _exact(standing: Standing, id_: str) -> dict[str, Any]:
    """A row of JSONL: values as they are."""
    seen = {"version": standing.version(id_), "state": standing.state(id_)}
    texts = rows.texts(standing.items[id_])
    return {"id": id_, **texts, **rows.spelt(standing.said(id_)), **seen}


def _aligneval(standing: Standing, id_: str) -> dict[str, str]:
    item, verdict = standing.items[id_], standing.said(id_).verdict
    label = {label: number for number, label in reading.ALIGNEVAL.items()}.get(verdict, "")
    return {"id": id_, "input": item.input, "output": item.output, "label": label}


def _say_cut(sheets: Sequence[rows.Sheet]) -> None:
    cuts = {id_: names for sheet in sheets for id_, names in sheet.cut.items()}
    if cuts:
        some = [f"{id_} ({', '.join(names)})" for id_, names in list(cuts.items())[:NAMED]]
        show.notes(
            [
                f"texts longer than a cell, cut there with a mark, in {len(cuts)} items: "
                f"{'; '.join(some)}{'; …' if len(cuts) > NAMED else ''}. All of them is in "
                "judgelab review, or in an export to .jsonl"
            ]
        )


def _say_left(ids: Sequence[str]) -> None:
    if ids:
        some = ", ".join(f"{id_[:80]}" for id_ in ids[:NAMED])
        show.notes(
            [
                f"left out, as their id or the expert's own words are longer than a cell: "
                f"{len(ids)} ({some}{', …' if len(ids) > NAMED else ''}); label them in judgelab "
                "review"
            ]
        )


def _rows(entries: Sequence[Placed]) -> str:
    some = "; ".join(f"{one.where} ({one.id})" for one in entries[:NAMED])
    return f"{some}{'; …' if len(entries) > NAMED else ''}"
