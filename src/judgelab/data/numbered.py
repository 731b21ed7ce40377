"""A file of numbered lines that several processes append to, and the view of it."""

from __future__ import annotations

import json
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from judgelab.data.appended import WholeLines, appending, cut_torn, write_whole
from judgelab.errors import DataError

COMMON: Mapping[str, tuple[type, ...]] = {
    "sequence": (int,),
    **dict.fromkeys(("kind", "by", "at"), (str,)),
}


class NumberedLog(ABC):
    """What `_put` makes of the lines, which count from 1 in their field `sequence`.

    Args:
        path: the file; it need not be there.
        upto: only the first so many lines, to see it as it was.
    """

    what: ClassVar[str]  # a line is called so where it is damaged

    def __init__(self, path: Path, upto: int | None = None) -> None:
        self.path, self.lines = path, 0
        self._upto = upto
        self._lock = threading.RLock()
        self._file = WholeLines(path)
        self.refresh()

    @abstractmethod
    def _clear(self) -> None:
        """Forget all lines."""

    @abstractmethod
    def _put(self, row: Any, number: int) -> None:
        """Take in one line. Raises ValueError for what cannot be line `number`."""

    def refresh(self) -> None:
        """Take in what was appended. Raises DataError, with the line, for a damaged file."""
        with self._lock:
            self._file.hand_over(self._take)

    def _add(self, file: int, *rows: Mapping[str, Any]) -> None:
        """Lines behind the others, all or none; number and time are set here."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        numbered = ({"sequence": self.lines + n, **row, "at": at} for n, row in enumerate(rows, 1))
        lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in numbered]
        write_whole(file, "".join(f"{line}\n" for line in lines))
        self._take(os.pread(file, os.fstat(file).st_size, 0))

    @contextmanager
    def _writing(self) -> Iterator[int]:
        """The file under its lock, read; a last line that a dying process tore is gone."""
        with self._lock, appending(self.path) as file:
            self._take(cut_torn(file))
            try:
                yield file
            finally:
                self._file.forget()

    def _take(self, data: bytes) -> None:
        self._clear()
        self.lines = 0
        for line in data[: data.rfind(b"\n") + 1].splitlines()[: self._upto]:
            try:
                self._put(json.loads(line), self.lines + 1)
            except ValueError as error:
                raise DataError(
                    f"{self.path}, line {self.lines + 1}: no {self.what} ({error}). Restore it "
                    "from a copy."
                ) from error
            self.lines += 1


def checked(
    row: Any, number: int, kinds: Mapping[str, Mapping[str, tuple[type, ...]]]
) -> dict[str, Any]:
    """A line whose fields are those of its kind. Raises ValueError for another one.

    Args:
        number: what its `sequence` has to be.
        kinds: the fields of each kind, besides `COMMON`, and their types; lists are of texts.
    """
    if not isinstance(row, dict) or row.get("kind") not in kinds:
        raise ValueError("it is of no known kind")
    types = {**COMMON, **kinds[row["kind"]]}
    if row.keys() != types.keys():
        raise ValueError(f"its fields are not those of a {row['kind']}")
    for name, value in row.items():
        if not isinstance(value, types[name]):
            raise ValueError(f"{name} is {value!r:.40}")
        if isinstance(value, list) and not all(isinstance(one, str) for one in value):
            raise ValueError(f"{name} are texts")
    if row["sequence"] != number:
        raise ValueError(f"it is number {row['sequence']} of {number}")
    return row
