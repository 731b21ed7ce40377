"""CSV: a header, then a row an interaction. Rows are counted as a spreadsheet counts them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from judgelab.data.readers.base import FILE_CAP, Reader, Row
from judgelab.data.readers.guard import unguard
from judgelab.data.readers.problems import Problems, shown
from judgelab.data.readers.table import header_names
from judgelab.data.readers.text import lines
from judgelab.errors import ConfigError, DataError

DELIMITERS = (",", ";", "\t", "|")


class CsvReader(Reader):
    """Reads UTF-8 CSV with double quotes.

    Args:
        delimiter: one character; `\\t` for a tab.
    """

    name: ClassVar[str] = "csv"
    extensions: ClassVar[tuple[str, ...]] = (".csv", ".tsv")

    def __init__(self, delimiter: str = ",") -> None:
        self.delimiter = "\t" if delimiter == "\\t" else delimiter
        if len(self.delimiter) != 1 or self.delimiter in '"\r\n':
            raise ConfigError(
                f"dataset.reader.delimiter is {delimiter!r}; allowed: one character such as "
                "',', ';', '|' or '\\t'."
            )

    def _read(self, path: Path, problems: Problems) -> Iterator[Row]:
        text = [line for _, line in lines(path, problems)]
        problems.check()  # a line left out would shift the quoting of all that follow
        records = self._records(text, path)
        _, head = next(records, ("", []))
        self._check_delimiter(head, path)
        names = header_names(head, shown(path))
        for where, cells in records:
            if len(cells) == len(names):
                yield Row(where, dict(zip(names, map(unguard, cells), strict=True)))
            else:
                allowed = (
                    f"{len(names)} cells, as in the header; put a cell that holds "
                    f"{self.delimiter!r} or a line break in double quotes"
                )
                problems.add("ragged rows", where, f"{len(cells)} cells", allowed)

    def _records(self, text: list[str], path: Path) -> Iterator[tuple[str, list[str]]]:
        """(where, cells) of every record that holds anything, the header first."""
        known_limit = csv.field_size_limit(FILE_CAP)  # our own cap names the row and the column
        try:
            reader = csv.reader(text, delimiter=self.delimiter, strict=True)
            row, line = 0, 1
            while True:
                row += 1
                where = f"row {row}" if row == line else f"row {row} (line {line})"
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    raise DataError(_broken(path, where, error)) from None
                line = reader.line_num + 1
                if any(cell.strip() for cell in cells):
                    yield where, cells
        finally:
            csv.field_size_limit(known_limit)

    def _check_delimiter(self, head: list[str], path: Path) -> None:
        others = [d for d in DELIMITERS if len(head) == 1 and d != self.delimiter and d in head[0]]
        if others:
            best = max(others, key=head[0].count)
            raise DataError(
                f"{shown(path)}: the header is one single cell, {head[0].strip()!r}: the "
                f"delimiter looks like {best!r}, not {self.delimiter!r}. "
                f"Set dataset.reader.delimiter to {best!r}."
            )


def _broken(path: Path, where: str, error: csv.Error) -> str:
    if "new-line character" in str(error):
        return (
            f"{shown(path)}: nothing was loaded. {where} holds a bare carriage return. Allowed: "
            "lines that end in a newline, and line breaks of a cell inside double quotes."
        )
    return (
        f"{shown(path)}: nothing was loaded. The quoting breaks in {where}: {error}. Allowed: a "
        "cell in double quotes, closed again, with a double quote inside it written twice."
    )
