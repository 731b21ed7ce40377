"""AlignEval's CSV: id, input, output, label with 0 = pass, 1 = fail, empty = unlabelled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from judgelab.data.readers.base import Row
from judgelab.data.readers.csv import CsvReader
from judgelab.data.readers.problems import Problems, shown
from judgelab.errors import DataError

COLUMNS = ("id", "input", "output", "label")


class AlignEvalReader(CsvReader):
    """Reads AlignEval's CSV; an `explanation` column holds the critiques.

    Beside a `prediction` column the explanation is the model's, not the expert's: it is then no
    critique and stays unread.
    """

    name: ClassVar[str] = "aligneval"
    extensions: ClassVar[tuple[str, ...]] = (".csv",)

    def _read(self, path: Path, problems: Problems) -> Iterator[Row]:
        for row in super()._read(path, problems):
            missing = [column for column in COLUMNS if column not in row.values]
            if missing:
                raise DataError(
                    f"{shown(path)}: AlignEval's columns {', '.join(map(repr, missing))} are "
                    f"missing; there are: {', '.join(map(repr, row.values))}. Other names are "
                    "read by dataset=csv, with dataset.columns saying which is which."
                )
            yield Row(row.where, _with_critique(row.values))


def _with_critique(values: dict[str, object]) -> dict[str, object]:
    if "explanation" not in values or "critique" in values or "prediction" in values:
        return values
    return {("critique" if key == "explanation" else key): cell for key, cell in values.items()}
