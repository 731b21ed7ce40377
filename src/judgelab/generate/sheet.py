"""Inputs by hand: a spreadsheet with a row for each that is lacking, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from judgelab.data.duplicates import Seen
from judgelab.data.readers.problems import Problems, quoted, shown
from judgelab.data.readers.values import body_text, key_text
from judgelab.data.sheets.reading import LabelSheet
from judgelab.data.sheets.rows import Sheet
from judgelab.data.sheets.writing import write_xlsx
from judgelab.errors import DataError, UserError
from judgelab.generate.inputs import Input
from judgelab.generate.writer import Order

HAND = "hand"


@dataclass
class Taken:
    """What the rows of a sheet are: `new` inputs, `known` ones, `empty` rows, and rows that say
    nearly what an input before them says."""

    new: list[Input] = field(default_factory=list)
    known: int = 0
    empty: int = 0
    alike: list[str] = field(default_factory=list)


def check_name(path: Path) -> None:
    """Raises UserError for a file of another format."""
    if path.suffix.lower() != ".xlsx":
        raise UserError(f"{path}: inputs by hand are in a spreadsheet; give a name in .xlsx.")


def write_sheet(path: Path, order: Order) -> int:
    """A row for each input that a cell lacks; how many."""
    names = order.dimensions.names
    rows = []
    for cell, lacks in order.lacking.items():
        described = order.dimensions.described(cell)
        hints = [f"{one['value']}: {one['about']}" for one in described if one["about"]]
        hints += [f"writes: {one['style']}" for one in described if one["style"]]
        row = {f"dimensions.{n}": value for n, value in zip(names, cell, strict=True)}
        rows += [{**row, "hint": "\n".join(hints), "input": ""} for _ in range(lacks)]
    for number, row in enumerate(rows, 1):
        row["id"] = str(number)
    columns = ["id", *(f"dimensions.{name}" for name in names), "hint", "input"]
    write_xlsx(path, [Sheet("inputs", columns, rows, typed=("input",))])
    return len(rows)


def read_sheet(path: Path, order: Order) -> Taken:
    """The inputs that a sheet holds; nothing is written.

    Raises:
        DataError: no such file, a column that is missing, a formula; rows whose combination the
            dimensions do not have, all of them at once.
    """
    rows = list(LabelSheet().rows(path))
    names = order.dimensions.names
    needed = ["input", *(f"dimensions.{name}" for name in names)]
    there = {name for row in rows for name in row.values}
    if lost := [name for name in needed if name not in there]:
        raise DataError(
            f"{shown(path)}: nothing was taken in. There is no column "
            f"{', '.join(map(repr, lost))}; there are: {', '.join(map(repr, sorted(there)))}."
        )
    problems, taken = Problems(shown(path)), Taken()
    found: list[tuple[str, Input]] = []
    for row in rows:
        text = body_text(row.values.get("input")).strip()
        if not text:
            taken.empty += 1
            continue
        values = {name: key_text(row.values.get(f"dimensions.{name}")) for name in names}
        if why := order.dimensions.wrong(values):
            allowed = "a combination of the dimensions (dimensions=...)"
            problems.add("rows of no combination", row.where, quoted(why, 120), allowed)
        found.append((row.where, Input.made(text, values, HAND)))
    problems.check()
    _sort(found, order, taken)
    return taken


def _sort(found: Sequence[tuple[str, Input]], order: Order, taken: Taken) -> None:
    known = {one.id for one in order.there}
    new = [pair for pair in found if pair[1].id not in known]
    taken.known = len(found) - len(new)
    seen = Seen(one.input for one in order.there)
    for where, one in new:
        if seen.has_like(one.input):
            taken.alike.append(where)
        else:
            taken.new.append(one)
            seen.add(one.input)
