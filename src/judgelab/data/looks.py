"""The looks at a test split: append-only, each one written down before the labels open.

`splits/<name>.looks.jsonl` holds a line for each look (its number, the declared budget, the
variant, the data, the run that holds its scores), one for the metrics that it saw, and one for each
time that the budget was raised, with the reason.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from judgelab.errors import ClaimError, ConfigError, DataError
from judgelab.types import Label, sha256_of

if TYPE_CHECKING:
    from judgelab.data.schema import Dataset

DAMAGED = "Restore it from a copy: it counts the looks at test."


@dataclass(frozen=True)
class Look:
    """Look `number` of `budget`; intervals of this test split are at `level`.

    `raised` is the banner of a budget that was raised after the first look.
    """

    number: int
    budget: int
    variant: str
    data: str
    raised: str = ""

    @property
    def level(self) -> float:
        """Bonferroni over the declared looks: 1 - 0.05 / budget."""
        return 1 - 0.05 / self.budget

    def __str__(self) -> str:
        said = f"look {self.number} of {self.budget} on this test split"
        return f"{said} ({self.raised})" if self.raised else said


@dataclass(frozen=True)
class Looks:
    """The looks that a file holds, all under the budget in force: None before the first look."""

    taken: tuple[Look, ...] = ()
    budget: int | None = None

    def of(self, variant: str, data: str) -> Look | None:
        """The look of this variant at this data."""
        return next((x for x in self.taken if (x.variant, x.data) == (variant, data)), None)


def recorded_look(record: Mapping[str, Any]) -> Look | None:
    """The look that a run is, of its record.json; None where it is none."""
    if "look" not in record:
        return None
    return Look(
        record["look"],
        record["looks"],
        record["variant"],
        record["dataset"]["sha256"],
        record.get("looks_raised", ""),
    )


def opened(labels: Mapping[str, Label], content: Mapping[str, str]) -> str:
    """Hash of what a look opens: each item's id, its texts (`content` is their hash), its label."""
    return sha256_of([id_, content[id_], labels[id_]] for id_ in sorted(labels))


def is_same_look(record: Mapping[str, Any], labels: Mapping[str, Label], dataset: Dataset) -> bool:
    """Whether a recorded look saw these very labels, of these texts: then they open again.

    Items that came to the dataset since do not matter; a record that does not hold what was opened
    is held against the whole dataset's hash.
    """
    if "opened" not in record:
        return bool(dataset.sha256 == record["dataset"]["sha256"])
    content = {one.id: one.content for one in dataset.interactions if one.id in labels}
    return bool(opened(labels, content) == record["opened"])


def read_looks(path: Path) -> Looks:
    """Raises DataError for a damaged file."""
    with _locked(path, "r") as file:
        return _looks(path, file)


def take(
    path: Path,
    judges: Mapping[str, str],
    data: str,
    budget: int,
    *,
    raised: tuple[int, str] | None = None,
) -> list[Look]:
    """A look at test with each of these judges on this data, all of them or none; the same again
    is the same look.

    Args:
        path: the looks file of the split.
        judges: by the hash of a judge and its texts, the run folder that will hold what is seen.
        data: hash of the dataset.
        budget: of the config; it counts where nothing was looked at yet.
        raised: a larger budget and the reason for it, to be written down first.

    Raises:
        ClaimError: there are not as many of the declared looks left.
        ConfigError: a raise without a reason, or to no larger number.
        DataError: a damaged file.
    """
    with _locked(path, "a+") as file:
        known = _looks(path, file)
        in_force = known.budget or budget
        new = [judge for judge in judges if known.of(judge, data) is None]
        if raised is not None:
            more, reason = raised
            _check_raise(more, reason, in_force)
            _check_room(path, len(known.taken), len(new), more)
            _append(file, {"raised": more, "from": in_force, "reason": " ".join(reason.split())})
            in_force = more
        else:
            _check_room(path, len(known.taken), len(new), in_force)
        for number, judge in enumerate(new, len(known.taken) + 1):
            entry = {"number": number, "budget": in_force}
            _append(file, entry | {"variant": judge, "data": data, "run": judges[judge]})
        known = _looks(path, file)
        return [found for judge in judges if (found := known.of(judge, data))]


def saw(path: Path, look: Look, metrics: Mapping[str, float | None], run: str = "") -> None:
    """Write down what a look has seen, name to value; once, as the same look sees the same.

    Raises DataError for a damaged file.
    """
    with _locked(path, "a+") as file:
        _looks(path, file)
        if not any(entry.get("seen_by") == look.number for entry in _entries(path, file)):
            _append(file, {"seen_by": look.number, "metrics": dict(metrics), "run": run})


def _check_room(path: Path, taken: int, wanted: int, in_force: int) -> None:
    if taken + wanted <= in_force:
        return
    left = f"{max(in_force - taken, 0)} of the {in_force}"
    short = f"the {in_force} looks at this test split are used up ({path.name}). One more"
    if wanted > 1:
        short = f"{left} looks at this test split are left ({path.name}), for {wanted}. More"
    raise ClaimError(
        f"{short} would make it a second dev split: label new items for it. Or raise the number, "
        "with the reason that every report will show: "
        f'judgelab holdout RUN --looks {taken + wanted} --reason "..."; all intervals of '
        "this split, earlier ones included, then become wider."
    )


def _check_raise(more: int, reason: str, in_force: int) -> None:
    if more <= in_force:
        raise ConfigError(
            f"--looks {more}: {in_force} looks are declared for this test split; a number of looks "
            f"can only be raised, from {in_force + 1}."
        )
    if not reason.strip():
        raise ConfigError(
            f"--looks {more} needs --reason TEXT: why {in_force} looks are not enough. It is "
            "written down beside them."
        )


def _looks(path: Path, file: IO[str] | None) -> Looks:
    entries = _entries(path, file)
    try:
        taken = [entry for entry in entries if "variant" in entry]
        raised = [entry for entry in entries if "raised" in entry]
        strange = [e for e in entries if not {"variant", "raised", "seen_by"} & set(e)]
        if strange:
            raise ValueError(f"a line is no look: {strange[0]}")
        said = (f"raised from {e['from']} to {e['raised']}: {e['reason']}" for e in raised)
        banner = "; ".join(said)
        budgets = [int(e["budget"]) for e in taken[:1]] + [int(e["raised"]) for e in raised]
        looks = tuple(
            Look(number, budgets[-1], entry["variant"], entry["data"], banner)
            for number, entry in enumerate(taken, 1)
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error}). {DAMAGED}") from error
    return Looks(looks, budgets[-1] if budgets else None)


def _entries(path: Path, file: IO[str] | None) -> list[dict[str, Any]]:
    if file is None:
        return []
    file.seek(0)
    try:
        entries = [json.loads(line) for line in file.read().splitlines() if line.strip()]
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}). {DAMAGED}") from error
    if not all(isinstance(entry, dict) for entry in entries):
        raise DataError(f"{path} is damaged (a line is no object). {DAMAGED}")
    return entries


@contextmanager
def _locked(path: Path, mode: str) -> Iterator[IO[str] | None]:
    """The file for this process alone; None where it is to be read and is not there."""
    if mode == "r" and not path.exists():
        yield None
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open(mode, encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_SH if mode == "r" else fcntl.LOCK_EX)
        yield file


def _append(file: IO[str] | None, entry: Mapping[str, Any]) -> None:
    assert file is not None
    who = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "user": _user()}
    file.write(json.dumps({**entry, **who}, ensure_ascii=False) + "\n")
    file.flush()
    os.fsync(file.fileno())


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
