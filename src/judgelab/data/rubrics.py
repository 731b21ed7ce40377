"""labels/<name>.rubric.jsonl: the versions of a rubric and what was proposed, one a line.

The rubric itself is a file of the lab that anybody may edit. What is in force is what stands in it;
a text there that is no version yet becomes one, "edited by hand", before anything else is written.
Only accepting a proposal changes the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judgelab import prompts, resources
from judgelab.data.appended import sync_folder
from judgelab.data.numbered import NumberedLog, checked
from judgelab.errors import ConfigError, DataError, UserError
from judgelab.types import sha256

_EVERY: Mapping[str, tuple[type, ...]] = {"rubric": (str,), "why": (str,)}
KINDS: Mapping[str, Mapping[str, tuple[type, ...]]] = {
    "version": {**_EVERY, "text": (str,), "hash": (str,), "proposal": (int, type(None))},
    "proposal": {**_EVERY, "text": (str,), "base": (str,), "remarks": (list,)},
    "accepted": {**_EVERY, "proposal": (int,)},
    "declined": {**_EVERY, "proposal": (int,)},
}
LONGEST = 40_000  # characters of a proposal
FIRST = "as it was found"
BY_HAND = "edited by hand"


def rubrics_path(name: str) -> Path:
    """Where the lab keeps the versions and proposals of a dataset's rubrics."""
    return resources.lab() / "labels" / f"{name}.rubric.jsonl"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A line of the file; which fields it has beside the common ones is by kind.

    Attributes:
        sequence: counts the lines from 1.
        rubric: the name in prompts/rubrics/.
        by: the expert, or the model that proposes; "" where nobody is known.
        hash: of a version's text.
        base: hash of the text that a proposal was made from.
        remarks: `Remark.ref` of what a proposal draws on.
        proposal: the sequence of the proposal that is decided, or that a version came of.
        at: UTC, for display alone.
    """

    sequence: int
    kind: str
    rubric: str
    by: str
    why: str
    at: str
    text: str = ""
    hash: str = ""
    base: str = ""
    remarks: Sequence[str] = ()
    proposal: int | None = None


class MovedError(UserError):
    """The proposal or the rubric is not what it was decided on; nothing was changed."""


class RubricLog(NumberedLog):
    """The file, the rubric of one name, and the view of both; several processes may use them.

    Raises ConfigError for a name that leads out of prompts/rubrics/.
    """

    what = "line of a rubric's history"

    def __init__(self, path: Path, name: str) -> None:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ConfigError(
                f"judge.rubric={name}: the name of a file in prompts/rubrics/, without its .md."
            )
        self.name = name
        super().__init__(path)

    @property
    def file(self) -> Path:
        """The lab's own file, which comes before a shipped one of that name."""
        return resources.lab() / "prompts" / "rubrics" / f"{self.name}.md"

    @property
    def text(self) -> str:
        """What is in force. Raises ConfigError where there is no such file, DataError where it is
        no text."""
        try:
            return prompts.rubric(self.name)
        except UnicodeDecodeError as error:
            raise DataError(
                f"the rubric {self.name}.md is not UTF-8 at byte {error.start}. Save it as UTF-8."
            ) from error

    @property
    def now(self) -> str:
        """The hash of what is in force, as label events hold it."""
        return sha256(self.text)

    @property
    def entries(self) -> Sequence[Entry]:
        with self._lock:
            return [one for one in self._all if one.rubric == self.name]

    @property
    def versions(self) -> Sequence[Entry]:
        """The oldest first; the last is in force, unless the file was edited since."""
        return [one for one in self.entries if one.kind == "version"]

    @property
    def open(self) -> Sequence[Entry]:
        """The proposals that nobody has decided on."""
        decided = {one.proposal for one in self.decisions}
        found = (one for one in self.entries if one.kind == "proposal")
        return [one for one in found if one.sequence not in decided]

    @property
    def decisions(self) -> Sequence[Entry]:
        return [one for one in self.entries if one.kind in ("accepted", "declined")]

    def text_of(self, hash_: str) -> str | None:
        """The text of a version; None where it never was one."""
        return next((one.text for one in self.versions if one.hash == hash_), None)

    def propose(
        self, text: str, *, by: str, why: str, base: str, remarks: Sequence[str] = ()
    ) -> Entry:
        """A text for the rubric, in force only once it is accepted; on disk when this returns.

        Raises ValueError for an empty text, or one that is in force or proposed already.
        """
        text = text.strip()
        with self._writing() as file:
            if not text:
                raise ValueError("it is empty")
            if sha256(text) == self._take_in(file):
                raise ValueError("it is the rubric as it is")
            if any(one.text == text for one in self.open):
                raise ValueError("it is proposed already")
            row = self._row("proposal", by, why) | {"text": text, "base": base}
            self._add(file, row | {"remarks": list(remarks)})
            return self._all[-1]

    def accept(self, number: int, *, by: str, onto: str, why: str = "", text: str = "") -> Entry:
        """Put a proposal in force, or `text` in its place; the version that it became.

        Args:
            number: the proposal's sequence.
            onto: hash of the text in force that the difference was shown to.

        Raises:
            MovedError: another text is in force, it was decided on meanwhile, or it changes
                nothing.
            OSError: it could not be written; file and versions are as they were.
        """
        with self._writing() as file:
            proposal = self._still_open(number)
            made = text.strip() or proposal.text
            now = self._take_in(file)
            if onto != now:
                raise MovedError(
                    "the rubric is another one than the proposal was made from. Nothing was "
                    "changed: look at the difference to it as it is now, and accept again."
                )
            if sha256(made) == now:
                raise MovedError("this is the rubric as it is. Nothing was changed: decline it.")
            rows = [
                self._row("accepted", by, why) | {"proposal": number},
                self._row("version", by, " · ".join(filter(None, (proposal.why, why))))
                | {"text": made, "hash": sha256(made), "proposal": number},
            ]
            with _replaced(self.file.resolve(), f"{made}\n"):
                self._add(file, *rows)
            return self._all[-1]

    def decline(self, number: int, *, by: str, why: str) -> Entry:
        """Raises MovedError where it was decided on meanwhile."""
        with self._writing() as file:
            self._still_open(number)
            self._add(file, self._row("declined", by, why) | {"proposal": number})
            return self._all[-1]

    def _still_open(self, number: int) -> Entry:
        found = next((one for one in self.open if one.sequence == number), None)
        if found is None:
            raise MovedError("this proposal is not open any more. Nothing was changed.")
        return found

    def _take_in(self, file: int) -> str:
        """The hash of what is in force, which is the last version from here on."""
        text, before = self.text, self.versions
        now = sha256(text)
        if not before or before[-1].hash != now:
            row = self._row("version", "", BY_HAND if before else FIRST)
            self._add(file, row | {"text": text, "hash": now, "proposal": None})
        return now

    def _row(self, kind: str, by: str, why: str) -> dict[str, Any]:
        return {"kind": kind, "rubric": self.name, "by": by, "why": why.strip()}

    def _clear(self) -> None:
        self._all: list[Entry] = []

    def _put(self, row: Any, number: int) -> None:
        self._all.append(Entry(**checked(row, number, KINDS)))


@contextmanager
def _replaced(path: Path, text: str) -> Iterator[None]:
    """Another text in a file, whole or not at all, and the old one again where what is done within
    fails. Nobody ever reads a half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new, old = (path.with_name(f".{path.name}.{os.getpid()}.{kind}") for kind in ("new", "old"))
    try:
        with new.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        existed = path.exists()
        if existed:
            new.chmod(path.stat().st_mode & 0o777)
            os.link(path, old)
        new.replace(path)
        try:
            sync_folder(path.parent)
            yield
        except BaseException:
            # Takes no space, so it works on a full disk too.
            old.replace(path) if existed else path.unlink()
            raise
    finally:
        new.unlink(missing_ok=True)
        old.unlink(missing_ok=True)
