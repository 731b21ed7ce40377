"""One file a format; `reader_for` finds the one that reads a file."""

from pathlib import Path

from judgelab.data.readers.base import Reader, Row
from judgelab.data.readers.csv import CsvReader
from judgelab.data.readers.jsonl import JsonlReader
from judgelab.data.readers.parquet import ParquetReader
from judgelab.data.readers.problems import shown
from judgelab.data.readers.xlsx import XlsxReader
from judgelab.errors import DataError

__all__ = ["Reader", "Row", "reader_for"]


def reader_for(path: Path) -> Reader:
    """The reader of a file's extension, with its defaults.

    Raises:
        DataError: no reader reads this extension.
    """
    readers: list[Reader] = [JsonlReader(), CsvReader(), XlsxReader(), ParquetReader()]
    for reader in readers:
        if path.suffix.lower() in reader.extensions:
            return reader
    known = ", ".join(extension for reader in readers for extension in reader.extensions)
    raise DataError(
        f"{shown(path)}: no reader for {path.suffix or 'no extension'!r}; allowed: {known}."
    )
