"""The looks at a test split: append-only, each one written down before the labels open."""

from __future__ import annotations

import getpass
import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from judgelab.errors import ClaimError, DataError


@dataclass(frozen=True)
class Look:
    """Look `number` of `budget`; intervals of this test split are at `level`."""

    number: int
    budget: int
    variant: str
    data: str

    @property
    def level(self) -> float:
        """Bonferroni over the declared looks: 1 - 0.05 / budget."""
        return 1 - 0.05 / self.budget

    def __str__(self) -> str:
        return f"look {self.number} of {self.budget} on this test split"


def look(path: Path, variant: str, data: str, budget: int) -> Look:
    """The look at test of this variant on this data; the same again is the same look.

    Raises ClaimError where the declared looks are used up, DataError for a damaged file.
    """
    known = _known(path)
    for number, entry in enumerate(known, 1):
        if entry == (variant, data):
            return Look(number, budget, variant, data)
    if len(known) >= budget:
        raise ClaimError(
            f"the {budget} looks at this test split are used up ({path.name}). One more would make "
            "it a second dev split: label new items for it."
        )
    taken = Look(len(known) + 1, budget, variant, data)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        who = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "user": _user()}
        file.write(json.dumps({**asdict(taken), **who}) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return taken


def _known(path: Path) -> list[tuple[str, str]]:
    """(variant, data) of every look so far."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    try:
        entries = [json.loads(line) for line in lines if line.strip()]
        return [(entry["variant"], entry["data"]) for entry in entries]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is damaged ({error}). Restore it from a copy: it counts the looks at test."
        ) from error


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
