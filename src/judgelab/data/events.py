"""labels/<name>.jsonl: what experts said, one event a line, only ever appended to.

A label belongs to the texts it was given for (the hash of input and output) and to who gave it, so
each (expert, item, texts) has a chain of its own: labels pile up on it, an undo takes the last one
off. An event names the one that it was made on top of; one that is not the last any more is a
conflict, and nothing is written. The order is the sequence; the time is for people.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from judgelab import resources
from judgelab.data.appended import appending, locked, write_whole
from judgelab.errors import DataError, UserError

KINDS = ("label", "undo")
CANNOT = "cannot_judge"
VERDICTS = ("pass", "fail", CANNOT)
RESTORE = "Restore it from a copy: it holds the expert's labels."

Key = tuple[str, str, str]  # expert, id, content


def labels_path(name: str) -> Path:
    """Where the lab keeps the label events of a dataset."""
    return resources.lab() / "labels" / f"{name}.jsonl"


def again_path(name: str) -> Path:
    """Where the blind second labels of a dataset are kept: events that supersede no first label."""
    return resources.lab() / "labels" / f"{name}.again.jsonl"


@dataclass(frozen=True, kw_only=True)
class Given:
    """What an expert says of an item; `kind` undo takes back the label it supersedes.

    Attributes:
        content: hash of (input, output) that the label belongs to.
        verdict: pass, fail or cannot_judge; None in an undo.
        missing: what it would take to judge it, where it cannot be judged.
        could_be_better: of a pass.
        seconds: from the item's page to the label.
        rubric: hash of the rubric in force, or None.
        visible: what was on the page: `fields`, and `judge` hidden or shown.
    """

    id: str
    content: str
    expert: str
    kind: str = "label"
    verdict: str | None = None
    critique: str = ""
    missing: str = ""
    could_be_better: bool = False
    seconds: float | None = None
    rubric: str | None = None
    visible: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind is {self.kind!r}; allowed: {', '.join(KINDS)}")
        if not self.id or not self.content or not self.expert:
            raise ValueError("id, content and expert cannot be empty")
        if (self.verdict is None) == (self.kind == "label"):
            raise ValueError("a label has a verdict, and an undo has none")
        if self.verdict not in (None, *VERDICTS):
            raise ValueError(f"verdict is {self.verdict!r}; allowed: {', '.join(VERDICTS)}")

    @property
    def key(self) -> Key:
        return self.expert, self.id, self.content


@dataclass(frozen=True, kw_only=True)
class Event(Given):
    """A line of the file.

    `sequence` counts the events of the file from 1, `version` those of the chain; `supersedes` is
    the sequence of the event before it in the chain, or None. `at` is UTC, for display alone.
    """

    sequence: int
    version: int
    supersedes: int | None
    at: str


@dataclass
class Chain:
    """All events of one (expert, item, texts), and the labels that were not undone."""

    events: list[Event] = field(default_factory=list)
    standing: list[Event] = field(default_factory=list)

    @property
    def head(self) -> int | None:
        """What the next event supersedes."""
        return self.events[-1].sequence if self.events else None

    @property
    def label(self) -> Event | None:
        """The label in force."""
        return self.standing[-1] if self.standing else None

    def add(self, event: Event) -> None:
        if event.supersedes != self.head:
            raise ValueError(f"it supersedes {event.supersedes}, the last is {self.head}")
        if event.version != len(self.events) + 1:
            raise ValueError(f"it is version {event.version} of {len(self.events) + 1}")
        if event.kind == "undo":
            if not self.standing:
                raise ValueError("an undo of nothing")
            self.standing.pop()
        else:
            self.standing.append(event)
        self.events.append(event)


class ConflictError(UserError):
    """Somebody labelled the item meanwhile; `chain` holds what they said. Nothing was written."""

    def __init__(self, chain: Chain) -> None:
        super().__init__("this item was labelled meanwhile; nothing was overwritten.")
        self.chain = chain


class EventLog:
    """The file and the view of it; several processes and threads may use one file.

    `refresh` reads what was appended since. A last line that a dying process tore is not counted;
    `torn` holds it until the next `append` keeps it aside, in <name>.torn.

    Args:
        path: the file; it need not be there.
        upto: only the first so many events, to see the labels as they were.
    """

    def __init__(self, path: Path, upto: int | None = None) -> None:
        self.path = path
        self.events: list[Event] = []
        self.torn = b""
        self._upto = upto
        self._lock = threading.RLock()
        self._forget()
        self.refresh()

    @property
    def aside(self) -> Path:
        """Where a torn line is kept."""
        return self.path.with_suffix(".torn")

    @property
    def experts(self) -> list[str]:
        """Who has said something, in order."""
        return list(dict.fromkeys(event.expert for event in self.events))

    def chain(self, key: Key) -> Chain:
        """The chain of (expert, id, content); an empty one where nothing was said."""
        return self._chains.get(key) or Chain()

    def labels(self, expert: str) -> Iterator[Event]:
        """The labels of this expert that are in force, the oldest chain first."""
        with self._lock:
            chains = list(self._chains.items())
        return (one.standing[-1] for key, one in chains if key[0] == expert and one.standing)

    def of(self, id_: str) -> Sequence[Event]:
        """Everything that was said of an item, whatever its texts were."""
        with self._lock:
            return tuple(self._by_id.get(id_, ()))

    def refresh(self) -> None:
        """Read what was appended. Raises DataError, with the line, for a damaged file."""
        with self._lock:
            try:
                file = os.open(self.path, os.O_RDONLY)
            except FileNotFoundError:
                self._forget()
                return
            with locked(file, fcntl.LOCK_SH):
                self._read(file)

    def append(self, given: Given, supersedes: int | None) -> Event:
        """Write one event on top of the one that was seen; it is on disk when this returns.

        Raises:
            ConflictError: `supersedes` is not the last of its chain any more.
            DataError: the file is damaged.
            OSError: it could not be written whole; the file is as it was.
        """
        with self._lock:
            with appending(self.path) as file:
                self._read(file)
                chain = self.chain(given.key)
                if chain.head != supersedes or (given.kind == "undo" and not chain.standing):
                    raise ConflictError(chain)
                event = Event(
                    **{one.name: getattr(given, one.name) for one in fields(Given)},
                    sequence=len(self.events) + 1,
                    version=len(chain.events) + 1,
                    supersedes=supersedes,
                    at=datetime.now(UTC).isoformat(timespec="seconds"),
                )
                self._set_aside(file)
                write_whole(file, ("\n" if self._unended else "") + _line(event))
                self._read(file)
            return self.events[event.sequence - 1]

    def _forget(self) -> None:
        self.events.clear()
        self.torn = b""
        self._chains: dict[Key, Chain] = {}
        self._by_id: dict[str, list[Event]] = {}
        self._offset, self._lines, self._file, self._last = 0, 0, 0, b""
        self._unended = False  # the last event is whole, and its line has no end

    def _read(self, file: int) -> None:
        """Everything behind the offset, under a lock."""
        state = os.fstat(file)
        if state.st_ino != self._file or not self._goes_on(file):
            self._forget()  # another file: restored, or merged by hand
            self._file = state.st_ino
        if state.st_size == self._offset or len(self.events) == self._upto:
            return
        data = os.pread(file, state.st_size - self._offset, self._offset)
        whole, end, tail = data.rpartition(b"\n")
        for line in whole.split(b"\n") if end else ():
            self._take(line + end)
            self._offset += len(line) + 1
            self._unended = False
        self.torn = b""
        if tail:
            try:
                json.loads(tail)
            except ValueError:
                self.torn = tail
            else:
                self._take(tail)
                self._offset += len(tail)
                self._unended = True

    def _goes_on(self, file: int) -> bool:
        """Whether what was read last still stands before the offset."""
        last = self._last
        return os.pread(file, len(last), self._offset - len(last)) == last

    def _take(self, line: bytes) -> None:
        self._last = line
        self._lines += bool(line.strip() or not self._unended)
        if not line.strip() or len(self.events) == self._upto:
            return
        try:
            event = _event(json.loads(line))
            if event.sequence != len(self.events) + 1:
                raise ValueError(f"it is number {event.sequence} of {len(self.events) + 1}")
            self._chains.setdefault(event.key, Chain()).add(event)
        except (ValueError, TypeError, KeyError) as error:
            where = f"{self.path}, line {self._lines}"
            raise DataError(f"{where}: no label event ({error}). {RESTORE}") from error
        self.events.append(event)
        self._by_id.setdefault(event.id, []).append(event)

    def _set_aside(self, file: int) -> None:
        """A torn last line goes to a file of its own before anything is put behind it."""
        if not self.torn:
            return
        kept = os.open(self.aside, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(kept, self.torn + b"\n")
            os.fsync(kept)
        finally:
            os.close(kept)
        os.ftruncate(file, self._offset)
        self.torn = b""


_TYPES: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("id", "content", "expert", "kind", "critique", "missing", "at"), (str,)),
    **dict.fromkeys(("verdict", "rubric"), (str, type(None))),
    **dict.fromkeys(("sequence", "version"), (int,)),
    "supersedes": (int, type(None)),
    "could_be_better": (bool,),
    "seconds": (int, float, type(None)),
    "visible": (dict,),
}


def _event(row: Any) -> Event:
    if not isinstance(row, dict):
        raise ValueError("it is no object")
    if row.keys() != _TYPES.keys():
        odd = sorted(row.keys() ^ _TYPES.keys())
        raise ValueError(f"missing or unknown: {', '.join(map(repr, odd))}")
    for name, allowed in _TYPES.items():
        if not isinstance(row[name], allowed):
            raise ValueError(f"{name} is {row[name]!r:.40}")
    return Event(**row)


def _line(event: Event) -> str:
    return json.dumps(asdict(event), ensure_ascii=False, allow_nan=False) + "\n"
