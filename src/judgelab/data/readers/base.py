"""The contract of a reader: a file in, rows out, nothing half-read."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from judgelab.data.readers.problems import Problems, shown
from judgelab.data.readers.values import check_cell
from judgelab.errors import DataError

FILE_CAP = 512 * 1024**2  # bytes
ROW_CAP = 1_000_000


@dataclass(frozen=True)
class Row:
    """One row as JSON values. `where` is what a person finds it by: "line 7", "row 7"."""

    where: str
    values: dict[str, Any]


class Reader(ABC):
    """Reads one file format.

    `rows` is what others call; a new format implements `_read`, which yields every row it can
    read and adds the others to `problems`. No row may be used before `rows` has ended: it raises
    DataError at the end of the file, with all that was wrong in it.
    """

    name: ClassVar[str]  # as in dataset=NAME
    extensions: ClassVar[tuple[str, ...]]

    def rows(self, path: Path) -> Iterator[Row]:
        """Every row of the file, its cells as JSON values.

        Raises:
            DataError: no such file, another format's extension, over a cap, no rows at all, or
                rows that cannot be read (file, row, column, found, allowed, how many).
        """
        self.check(path)
        problems = Problems(shown(path))
        count = 0
        for row in self._read(path, problems):
            count += 1
            if count > ROW_CAP:
                raise DataError(f"{shown(path)}: more than {ROW_CAP:,} rows. Split the file.")
            yield Row(row.where, _checked(row, problems))
        problems.check()
        if not count:
            raise DataError(f"{shown(path)}: the file holds no rows. {self._shape()}")

    def notes(self) -> list[str]:
        """What a user should know of what was read last: rows that are no interactions."""
        return []

    @abstractmethod
    def _read(self, path: Path, problems: Problems) -> Iterator[Row]:
        """The rows in the file's order; what cannot be read goes to `problems`."""

    def _shape(self) -> str:
        return "It needs a header and at least one row below it."

    def check(self, path: Path) -> None:
        """Raises DataError for what is wrong with the file before it is read."""
        if not path.exists():
            raise DataError(
                f"{shown(path)}: there is no such file (the working directory is {Path.cwd()})."
                + _similar_file(path)
            )
        if not path.is_file():
            raise DataError(f"{shown(path)} is no file. Give the path of one file.")
        if path.suffix.lower() not in self.extensions:
            raise DataError(self._wrong_extension(path))
        size = path.stat().st_size
        if size == 0:
            raise DataError(f"{shown(path)}: the file is empty (0 bytes). {self._shape()}")
        if size > FILE_CAP:
            raise DataError(
                f"{shown(path)}: the file has {size:,} bytes; allowed: {FILE_CAP:,}. Split it."
            )

    def _wrong_extension(self, path: Path) -> str:
        found = f"the extension {path.suffix!r}" if path.suffix else "no extension"
        return (
            f"{shown(path)}: {found} is not one that dataset={self.name} reads "
            f"({', '.join(self.extensions)}). Choose the reader of this format with dataset= "
            "jsonl (.jsonl, .ndjson), csv (.csv, .tsv), xlsx (.xlsx), parquet (.parquet) or "
            "aligneval (.csv)."
        )


def _checked(row: Row, problems: Problems) -> dict[str, Any]:
    return {
        column: check_cell(value, column, row.where, problems)
        for column, value in row.values.items()
    }


def _similar_file(path: Path) -> str:
    if not path.parent.is_dir():
        return f" There is no folder {shown(path.parent)} either."
    names = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    close = difflib.get_close_matches(path.name, names, n=1)
    return f" Did you mean {close[0]}?" if close else ""
