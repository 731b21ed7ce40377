"""Sheets as files, each written beside its place and moved there whole."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judgelab.data.appended import replace_whole
from judgelab.data.readers.guard import guard
from judgelab.data.sheets.cells import escape
from judgelab.data.sheets.rows import Sheet

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

WIDTHS = {"input": 50, "output": 70, "critique": 60, "comment": 40, "what_is_missing": 30}
WIDTH, NARROW = 40, 16
NARROW_ONES = ("verdict", "could_be_better", "whose_mistake", "same_reason", "id", "dimensions.")
LAST_ROW = 1_048_576  # of any sheet


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> None:
    """Guarded cells, in UTF-8 with the mark by which spreadsheets know it."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow([guard(name) for name in columns])
    writer.writerows([guard(row.get(name, "")) for name in columns] for row in rows)
    replace_whole(path, text.getvalue().encode("utf-8-sig"))


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Values as they are."""
    lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows)
    replace_whole(path, "".join(f"{line}\n" for line in lines).encode())


def write_xlsx(path: Path, sheets: Sequence[Sheet]) -> None:
    """Every cell is a text, whatever it begins with; the header stays in sight."""
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    for sheet in sheets:
        _fill(book.create_sheet(sheet.title), sheet)
    made = io.BytesIO()
    book.save(made)
    replace_whole(path, made.getvalue())


def _fill(page: Worksheet, sheet: Sheet) -> None:
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Alignment, Font, PatternFill
    from openpyxl.utils import get_column_letter

    bold, wrapped = Font(bold=True), Alignment(wrap_text=True, vertical="top")
    ours, filled = PatternFill("solid", fgColor="E8EEF7"), PatternFill("solid", fgColor="FFF4CC")
    cuts, loud = sheet.cut, PatternFill("solid", fgColor="F4B6B6")

    def cell(text: str, fill: PatternFill | None = None, font: Font | None = None) -> Any:
        made = WriteOnlyCell(page, escape(guard(text)) or None)
        made.data_type = "s"  # also where it reads like a formula, a number or an error
        made.alignment = wrapped
        if fill:
            made.fill = fill
        if font:
            made.font = font
        return made

    def fill(name: str, missing: Sequence[str]) -> PatternFill | None:
        return loud if name in missing else filled if name in sheet.typed else None

    page.freeze_panes = "B2"
    for number, name in enumerate(sheet.columns, 1):
        column = page.column_dimensions[get_column_letter(number)]
        column.width, column.hidden = _width(name), name in sheet.hidden
        if name in sheet.choices:
            page.data_validations.append(_choices(sheet.choices[name], column.index))
    page.append([cell(name, ours, bold) for name in sheet.columns])
    for row in sheet.rows:
        missing = cuts.get(row["id"], ())
        page.append([cell(row.get(name, ""), fill(name, missing)) for name in sheet.columns])


def _choices(words: Sequence[str], column: str) -> Any:
    from openpyxl.worksheet.datavalidation import DataValidation

    listed = ", ".join(words)
    return DataValidation(
        type="list",
        formula1=f'"{",".join(words)}"',
        allow_blank=True,
        showErrorMessage=True,
        errorTitle="Not one of the choices",
        error=f"Choose one of: {listed}. Or leave it empty.",
        showInputMessage=True,
        promptTitle="Choose",
        prompt=f"{listed}, or empty.",
        sqref=f"{column}2:{column}{LAST_ROW}",
    )


def _width(name: str) -> int:
    if name in WIDTHS:
        return WIDTHS[name]
    return NARROW if name.endswith(NARROW_ONES) or name.startswith(NARROW_ONES) else WIDTH
