"""A labelled file as what it says, row by row; nothing is guessed and no formula is believed."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from judgelab.data.readers.aligneval import AlignEvalReader
from judgelab.data.readers.base import Reader, Row
from judgelab.data.readers.csv import DELIMITERS, CsvReader
from judgelab.data.readers.jsonl import JsonlReader
from judgelab.data.readers.problems import Problems, quoted, shown
from judgelab.data.readers.values import body_text, is_empty, key_text
from judgelab.data.readers.xlsx import XlsxReader
from judgelab.data.sheets.cells import is_cut
from judgelab.data.sheets.comments import JUDGE, Comment
from judgelab.data.sheets.comments import read as read_comments
from judgelab.data.sheets.rows import LABELS, NEEDED, WORDS, YES
from judgelab.data.standing import Said, version_of
from judgelab.errors import DataError
from judgelab.types import Interaction

FORMATS = (".xlsx", ".csv", ".jsonl")
ALIGNEVAL = {"0": "pass", "1": "fail"}
WORDS_OF = ("critique", "missing", "could_be_better")
_OURS = {"version": re.compile("v[0-9a-f]+"), "state": re.compile("e[0-9]+-[0-9a-f]+")}
BETTER = {"": False, "no": False, "false": False, YES: True, "true": True}


@dataclass(frozen=True)
class Entry:
    """What a row says of an item.

    Attributes:
        where: the row, as a person finds it.
        version: of the texts that were shown, or of those in the row.
        state: what was said when the row was written; None where the format has no place for it.
        said: the label as it is in the row.
        places: what the format has a place for, beside the verdict.
        fields: what the row showed; `cut` are those of them that did not fit.
        judge: whether the judge's verdict was in the same file.
        origin: what else the event keeps of where it comes from.
    """

    where: str
    id: str
    version: str
    state: str | None
    said: Said
    places: Sequence[str] = WORDS_OF
    fields: Sequence[str] = ()
    cut: Sequence[str] = ()
    judge: bool = False
    origin: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Labelled:
    """What was read: labels, what is said of a judge beside them, and the rows of the labels."""

    entries: Sequence[Entry]
    comments: Sequence[Comment] = ()
    rows: Sequence[Row] = ()


def read(path: Path, as_: str | None = None) -> Labelled:
    """Every row of a file that `judgelab data export` wrote, or of AlignEval's.

    Raises:
        DataError: no such file, another format, over a cap; a column that is missing, a formula, an
            unknown verdict, an id that is empty or occurs twice: all such rows at once.
    """
    if as_ == "aligneval":
        return Labelled(_aligneval(path))
    if path.suffix.lower() not in FORMATS:
        raise DataError(f"{shown(path)}: labels come back from {', '.join(FORMATS)}.")
    comments: Sequence[Comment] = ()
    if path.suffix.lower() == ".xlsx":
        sheets = XlsxReader().sheets(path)
        if JUDGE in sheets:
            comments = read_comments(list(LabelSheet(JUDGE).rows(path)), shown(path))
            if len(sheets) == 1:
                return Labelled((), comments)
        reader: Reader = LabelSheet(None if len(sheets) == 1 else _labels_in(sheets, path))
    elif path.suffix.lower() == ".csv":
        reader = CsvReader(_delimiter(path))
    else:
        reader = JsonlReader()
    rows = list(reader.rows(path))
    problems = Problems(shown(path))
    there = rows[0].values
    lost = [name for name in NEEDED if name not in there]
    if lost:
        raise DataError(
            f"{shown(path)}: nothing was imported. There is no column "
            f"{', '.join(map(repr, lost))}; there are: {', '.join(map(repr, there))}. Import a "
            "file that judgelab data export wrote, with all of its columns."
        )
    judged = {one.id for one in comments}
    entries = [_entry(row, judged, problems) for row in rows]
    _check_ids(entries, problems)
    problems.check()
    return Labelled(entries, comments, rows)


class LabelSheet(XlsxReader):
    """Reads a sheet as it was typed: a formula is a problem, and never the value saved with it."""

    name: ClassVar[str] = "xlsx"
    extensions: ClassVar[tuple[str, ...]] = (".xlsx",)
    formulas: ClassVar[bool] = False


def _labels_in(sheets: Sequence[str], path: Path) -> str:
    if LABELS in sheets:
        return LABELS
    raise DataError(
        f"{shown(path)}: nothing was imported. There is no sheet {LABELS!r}; there are: "
        f"{', '.join(map(repr, sheets))}. Give the sheet with the labels that name."
    )


def _entry(row: Row, judged: set[str], problems: Problems) -> Entry:
    values = row.values
    id_ = key_text(values["id"])
    said = Said(
        _verdict(values["verdict"], row.where, problems),
        body_text(values["critique"]).strip(),
        body_text(values["what_is_missing"]).strip(),
        _better(values["could_be_better"], row.where, problems),
    )
    if said.verdict and said.wrong:
        allowed = "what_is_missing with cannot judge alone, could_be_better with pass alone"
        problems.add("labels that contradict themselves", row.where, said.wrong, allowed)
    for name, form in _OURS.items():
        if not form.fullmatch(found := key_text(values[name])):
            allowed = "what was exported, unchanged: it says what the label is given for"
            problems.add(f"damaged cells (column {name!r})", row.where, quoted(found), allowed)
    fields = [name for name in values if _is_text(name) and not is_empty(values[name])]
    return Entry(
        where=row.where,
        id=id_,
        version=key_text(values["version"]),
        state=key_text(values["state"]),
        said=said,
        fields=fields,
        cut=[name for name in fields if isinstance(values[name], str) and is_cut(values[name])],
        judge=id_ in judged,
    )


def _aligneval(path: Path) -> list[Entry]:
    problems = Problems(shown(path))
    entries = []
    for row in AlignEvalReader().rows(path):
        values = row.values
        item = Interaction("", body_text(values["input"]), body_text(values["output"]))
        label = key_text(values["label"])
        if label and label not in ALIGNEVAL:
            allowed = "1 = fail, 0 = pass, empty = unlabelled"
            problems.add("unknown labels (column 'label')", row.where, quoted(label), allowed)
        entries.append(
            Entry(
                where=row.where,
                id=key_text(values["id"]),
                version=version_of(item.content),
                state=None,
                said=Said(ALIGNEVAL.get(label, ""), body_text(values.get("critique")).strip()),
                places=[name for name in ("critique",) if name in values],
                fields=("input", "output"),
                judge="prediction" in values and not is_empty(values["prediction"]),
            )
        )
    _check_ids(entries, problems)
    problems.check()
    return entries


def _check_ids(entries: Sequence[Entry], problems: Problems) -> None:
    rows: dict[str, str] = {}
    for one in entries:
        if not one.id:
            problems.add("no id (column 'id')", one.where, "", "the id that was exported")
        elif one.id in rows:
            found = f"{quoted(one.id)}, as in {rows[one.id]}"
            problems.add("ids that occur twice", one.where, found, "one row an item")
        rows.setdefault(one.id, one.where)


def _verdict(value: object, where: str, problems: Problems) -> str:
    word = " ".join(key_text(value).casefold().replace("_", " ").split())
    if word and word not in WORDS:
        allowed = f"{', '.join(WORDS)}, or empty"
        problems.add("unknown verdicts (column 'verdict')", where, quoted(word), allowed)
    return WORDS.get(word, "")


def _better(value: object, where: str, problems: Problems) -> bool:
    word = key_text(value).casefold()
    if word not in BETTER:
        kind = "unknown words (column 'could_be_better')"
        problems.add(kind, where, quoted(word), f"{YES}, no, or empty")
    return BETTER.get(word, False)


def _is_text(name: str) -> bool:
    return name in ("input", "output") or name.startswith(("context.", "dimensions."))


def _delimiter(path: Path) -> str:
    """What the program that saved it put between cells: the one that makes the most of a header."""
    CsvReader().check(path)
    with path.open("rb") as file:
        head = file.readline(1024**2).decode("utf-8-sig", "replace")
    return max(DELIMITERS, key=lambda one: len(_cells(head, one)))


def _cells(head: str, delimiter: str) -> list[str]:
    found: Iterator[list[str]] = csv.reader([head], delimiter=delimiter)
    try:
        return next(found, [])
    except csv.Error:
        return []
