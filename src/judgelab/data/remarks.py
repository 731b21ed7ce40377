"""labels/<name>.remarks.jsonl: what the expert says of a judge's verdicts, one remark a line.

Of a disagreement: who is wrong. Of an agreement: whether the judge's critique gives the same
reason. Only ever appended to; the newest remark of an expert on an item and a run counts.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from judgelab import resources
from judgelab.data.appended import WholeLines, appending, cut_torn, write_whole
from judgelab.errors import DataError
from judgelab.types import sha256

DISAGREEMENT: Mapping[str, str] = {
    "judge_wrong": "The judge is wrong",
    "label_wrong": "My label is wrong",
    "criterion_changed": "My criterion has changed",
    "unclear": "Unclear",
}
AGREEMENT: Mapping[str, str] = {
    "same_reason": "For the same reason",
    "other_reason": "For another reason",
    "unclear": "Unclear",
}


def remarks_path(name: str) -> Path:
    """Where the lab keeps the remarks on a dataset's verdicts."""
    return resources.lab() / "labels" / f"{name}.remarks.jsonl"


@dataclass(frozen=True, kw_only=True)
class Remark:
    """Attributes:
    content: hash of (input, output).
    run: the run whose verdict it is of.
    label: the expert's, at the time.
    verdict: the judge's.
    says: a key of DISAGREEMENT or of AGREEMENT, by whether the two differ.
    at: UTC, for display alone.
    """

    id: str
    content: str
    expert: str
    run: str
    label: str
    verdict: str
    says: str
    comment: str = ""
    at: str = ""

    def __post_init__(self) -> None:
        allowed = AGREEMENT if self.label == self.verdict else DISAGREEMENT
        if self.says not in allowed:
            raise ValueError(f"says is {self.says!r}; allowed: {', '.join(allowed)}")

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.expert, self.id, self.content, self.run

    @property
    def ref(self) -> str:
        """What it is named by where something is drawn from it."""
        return sha256(list(self.key))[:12]

    @property
    def teaches(self) -> bool:
        """Whether it says, in words, what the rubric should."""
        wrong = self.label != self.verdict and self.says in ("judge_wrong", "criterion_changed")
        return wrong and bool(self.comment.strip())


class RemarkLog:
    """The file and the view of it; several processes may use one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._lines = WholeLines(path)
        self._newest: dict[tuple[str, str, str, str], Remark] = {}
        self.refresh()

    def refresh(self) -> None:
        """Take in what was appended. Raises DataError, with the line, for a damaged file."""
        with self._lock:
            self._lines.hand_over(self._take)

    def append(self, remark: Remark) -> None:
        """One remark more; it is on disk when this returns. Raises OSError where it is not."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        line = json.dumps(asdict(remark) | {"at": at}, ensure_ascii=False, allow_nan=False)
        with appending(self.path) as file:
            cut_torn(file)
            write_whole(file, line + "\n")
        self.refresh()

    def _take(self, whole: bytes) -> None:
        rows = [line for line in whole.split(b"\n") if line.strip()]
        found = (_remark(self.path, number, line) for number, line in enumerate(rows, 1))
        self._newest = {one.key: one for one in found}

    @property
    def all(self) -> Sequence[Remark]:
        """The remarks that count, of everybody on every run, the oldest first."""
        return sorted(self._newest.values(), key=lambda one: one.at)

    def on(self, expert: str, id_: str, content: str, run: str) -> Remark | None:
        """The remark that counts of one expert on an item's texts and a run."""
        return self._newest.get((expert, id_, content, run))

    def of(self, expert: str, run: str) -> Sequence[Remark]:
        """The remarks that count of one expert on one run."""
        newest = list(self._newest.values())
        return [one for one in newest if (one.expert, one.run) == (expert, run)]


def _remark(path: Path, number: int, line: bytes) -> Remark:
    try:
        row: Any = json.loads(line)
        if not isinstance(row, dict) or row.keys() != {one.name for one in fields(Remark)}:
            raise ValueError("its fields are not those of a remark")
        if not all(isinstance(value, str) for value in row.values()):
            raise ValueError("a field is no text")
        return Remark(**row)
    except ValueError as error:
        raise DataError(
            f"{path}, line {number}: no remark ({error}). Restore it from a copy."
        ) from error
