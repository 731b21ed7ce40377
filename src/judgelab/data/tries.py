"""labels/<name>.checks.jsonl: which checks were held against dev, one line each.

Who tries many and keeps what dev likes has chosen on dev. The n-th candidate is therefore held to
limits at 1 - .05 / n, Bonferroni's for a choice among the n so far. Those before it were held to
narrower ones, as nobody knew how many would come.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from judgelab import resources
from judgelab.data.numbered import NumberedLog, checked

ALPHA = 0.05
KINDS = {"tried": {"candidate": (str,)}}


def tries_path(name: str) -> Path:
    """Where the lab keeps what was held against a dataset's dev."""
    return resources.lab() / "labels" / f"{name}.checks.jsonl"


def level(number: int) -> float:
    """Of the limits that the n-th candidate is held to, n from 1."""
    return 1 - ALPHA / number


class Tries(NumberedLog):
    """The file; the same candidate again is no new line, and keeps its number."""

    what = "check that was tried"

    def number(self, candidate: str, by: str) -> int:
        """The candidate's, from 1; on disk when this returns.

        Args:
            candidate: a hash of what it said of dev: one that says the same is the same.
            by: the name it was given.
        """
        with self._writing() as file:
            if candidate not in self._numbers:
                self._add(file, {"kind": "tried", "by": by, "candidate": candidate})
            return self._numbers[candidate]

    def _clear(self) -> None:
        self._numbers: dict[str, int] = {}

    def _put(self, row: Any, number: int) -> None:
        self._numbers.setdefault(checked(row, number, KINDS)["candidate"], number)
