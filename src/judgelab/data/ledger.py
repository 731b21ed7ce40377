"""splits/<name>.csv: who is where, only ever appended to."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from judgelab.errors import ConfigError, DataError

Slot = tuple[str, int]  # (part, fold); the fold is -1 outside cv

QUARANTINED: Slot = ("quarantined", -1)
INSTRUCTION: Slot = ("instruction", -1)  # of an input that is too common to tell items apart
KNOWN = ("train", "dev", "test", "cv", QUARANTINED[0], INSTRUCTION[0])


class Ledger:
    """A line of settings, then key, part, fold; a key's last line counts."""

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        self.settings = settings

    def read(self) -> dict[str, Slot]:
        """The slot of every key; empty where there is no file yet.

        Raises:
            DataError: a file that is no ledger.
            ConfigError: a ledger that was made with other settings.
        """
        if not self.path.exists():
            return {}
        try:
            with self.path.open(encoding="utf-8", newline="") as file:
                settings = json.loads(file.readline().removeprefix("# "))
                rows = csv.DictReader(file, strict=True)
                known = {row["key"]: (row["part"], int(row["fold"])) for row in rows}
        except (ValueError, KeyError, TypeError, csv.Error) as error:
            raise DataError(f"{self.path} is damaged ({error}). {RESTORE}") from error
        strange = {part for part, _ in known.values()} - set(KNOWN)
        if strange or not isinstance(settings, dict):
            raise DataError(f"{self.path} is damaged (part {', '.join(strange)!r}). {RESTORE}")
        self._check(settings)
        return known

    def append(self, slots: Mapping[str, Slot]) -> None:
        """Write down new slots, on disk before this returns."""
        if not slots:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if file.tell() == 0:
                file.write(f"# {json.dumps(self.settings, sort_keys=True)}\n")
                writer.writerow(["key", "part", "fold"])
            writer.writerows((key, *slots[key]) for key in sorted(slots))
            file.flush()
            os.fsync(file.fileno())

    def _check(self, settings: Mapping[str, Any]) -> None:
        moved = {k: v for k, v in self.settings.items() if settings.get(k) != v}
        if moved:
            before = {key: settings.get(key) for key in moved}
            raise ConfigError(
                f"split {self.path.stem!r} was made with {before}, now it is {moved}. "
                "Assignments are for good: take the old values, or a new split.name."
            )


RESTORE = "Restore it from a copy: it says who is test."
