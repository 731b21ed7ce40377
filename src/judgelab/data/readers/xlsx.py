"""XLSX: the first row of a sheet names the columns."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from judgelab.data.readers.base import Reader, Row
from judgelab.data.readers.guard import unguard
from judgelab.data.readers.problems import Problems, quoted, shown
from judgelab.data.readers.table import header_names
from judgelab.data.readers.values import is_empty
from judgelab.errors import DataError

UNPACKED_CAP = 2 * 1024**3  # bytes
RATIO_CAP = 200  # unpacked to packed; a spreadsheet of text has 5 to 30
RATIO_MATTERS = 16 * 1024**2  # bytes; below, no ratio can hurt


class XlsxReader(Reader):
    """Reads one sheet of an XLSX workbook; of a formula, the value that was saved with it.

    A reader with `formulas` = False takes no such value: a cell with a formula is a problem.

    Args:
        sheet: the sheet's name; may be left out where there is one sheet only.
    """

    name: ClassVar[str] = "xlsx"
    extensions: ClassVar[tuple[str, ...]] = (".xlsx", ".xlsm")
    formulas: ClassVar[bool] = True

    def __init__(self, sheet: str | None = None) -> None:
        self.sheet = sheet

    def sheets(self, path: Path) -> list[str]:
        """The names of the workbook's sheets, in its order."""
        self.check(path)
        with _workbook(path) as book:
            return [sheet.title for sheet in book.worksheets]

    def _read(self, path: Path, problems: Problems) -> Iterator[Row]:
        with _workbook(path, values=self.formulas) as book:
            sheet = self._choose(book, path)
            sheet.reset_dimensions()  # a wrong size in the file would cut or pad the rows
            cells = enumerate(self._cells(sheet, problems), 1)
            _, head = next(cells, (1, ()))
            source = f"{shown(path)}, sheet {sheet.title!r}"
            names = header_names(head, source)
            for number, values in cells:
                if all(map(is_empty, values)):
                    continue
                extra = [f"column {n}" for n in range(len(names) + 1, len(values) + 1)]
                padded = [*values, *[None] * (len(names) - len(values))]
                row = dict(zip([*names, *extra], map(_cell, padded), strict=True))
                yield Row(f"sheet {sheet.title!r}, row {number}", row)

    def _cells(self, sheet: Any, problems: Problems) -> Iterator[Sequence[Any]]:
        """The values of every row."""
        for row in sheet.iter_rows(values_only=self.formulas):
            yield row if self.formulas else [_typed(cell, sheet.title, problems) for cell in row]

    def _choose(self, book: Any, path: Path) -> Any:
        names = [sheet.title for sheet in book.worksheets]
        if self.sheet is None and len(names) == 1:
            return book.worksheets[0]
        if self.sheet in names:
            return book[self.sheet]
        found = "it has several sheets" if self.sheet is None else f"no sheet {self.sheet!r}"
        raise DataError(
            f"{shown(path)}: {found}. Set dataset.reader.sheet to one of: "
            f"{', '.join(map(repr, names))}."
        )


@contextmanager
def _workbook(path: Path, *, values: bool = True) -> Iterator[Any]:
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        _check_packing(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what openpyxl cannot keep when writing
            book = load_workbook(path, read_only=True, data_only=values)
            try:
                yield book
            finally:
                book.close()
    except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, SyntaxError) as error:
        raise DataError(
            f"{shown(path)}: the file is no readable XLSX workbook ({error}). Save it as .xlsx "
            "(not .xls) and without a password."
        ) from error


def _check_packing(path: Path) -> None:
    with zipfile.ZipFile(path) as file:
        unpacked = sum(entry.file_size for entry in file.infolist())
    ratio = unpacked / path.stat().st_size
    if unpacked > UNPACKED_CAP or (unpacked > RATIO_MATTERS and ratio > RATIO_CAP):
        raise DataError(
            f"{shown(path)}: the file unpacks to {unpacked:,} bytes, {ratio:.0f} times its size; "
            f"allowed: {UNPACKED_CAP:,} bytes and {RATIO_CAP} times. Save it as CSV instead."
        )


def _typed(cell: Any, sheet: str, problems: Problems) -> Any:
    """What somebody typed into a cell, as it stands there."""
    if cell.data_type != "f":
        return cell.value
    formula = quoted(getattr(cell.value, "text", cell.value))
    allowed = "what the formula shows, typed or pasted as a value"
    problems.add(
        "cells with a formula", f"sheet {sheet!r}, cell {cell.coordinate}", formula, allowed
    )
    return None


def _cell(value: Any) -> Any:
    from openpyxl.utils.escape import unescape

    return unguard(unescape(value)) if isinstance(value, str) else value
