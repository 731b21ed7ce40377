"""What one expert said of the items as they are: label events over the dataset's files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from judgelab.data.annotations import age
from judgelab.data.events import CANNOT, Event, EventLog, Given
from judgelab.data.schema import Dataset
from judgelab.types import sha256

DIGITS = 16  # hex digits of a hash in a cell


@dataclass(frozen=True)
class Said:
    """A verdict with its words; `verdict` is "" where there is none."""

    verdict: str = ""
    critique: str = ""
    missing: str = ""
    could_be_better: bool = False

    @property
    def hash(self) -> str:
        """Equal for labels that say the same; programs write line ends as they like."""
        texts = (" ".join(text.splitlines()) for text in (self.critique, self.missing))
        return sha256([self.verdict, *texts, self.could_be_better])[:DIGITS]

    @classmethod
    def of(cls, event: Event) -> Said:
        """What a label event says."""
        texts = event.critique.strip(), event.missing.strip()
        return cls(event.verdict or "", *texts, event.could_be_better)

    def given(self, id_: str, content: str, expert: str, **more: Any) -> Given:
        """As an event to append; `more` are other fields of it."""
        return Given(
            id=id_,
            content=content,
            expert=expert,
            verdict=self.verdict,
            critique=self.critique,
            missing=self.missing,
            could_be_better=self.could_be_better,
            **more,
        )

    @property
    def wrong(self) -> str:
        """What does not go together, or ""."""
        if self.verdict == CANNOT and not self.missing:
            return "cannot judge, and nothing says what is missing"
        if self.verdict != CANNOT and self.missing:
            return "something is missing, and the verdict is not cannot judge"
        if self.verdict != "pass" and self.could_be_better:
            return "could be better, and the verdict is not pass"
        return ""


class Standing:
    """The labels of one expert that are in force.

    Args:
        dataset: as its files say, without label events (`load(config, events=0)`).
        log: the label events.
        expert: whose labels.
        principal: whether this expert's labels decide; others' are second labels.
    """

    def __init__(self, dataset: Dataset, log: EventLog, expert: str, principal: bool) -> None:
        self.log, self.expert = log, expert
        self.items = {one.id: one for one in dataset.interactions}
        self._files = from_files(dataset, expert, principal)

    def said(self, id_: str) -> Said:
        """The label in force: the newest event, else what the files say."""
        label = self.event(id_)
        return Said.of(label) if label else self._files.get(id_, Said())

    def event(self, id_: str) -> Event | None:
        """The label event in force, where there is one."""
        return self.log.chain(self._key(id_)).label

    def head(self, id_: str) -> int | None:
        """What the next event of this item supersedes."""
        return self.log.chain(self._key(id_)).head

    def newest(self, id_: str) -> Event | None:
        """The last event of the item, label or undo."""
        events = self.log.chain(self._key(id_)).events
        return events[-1] if events else None

    def state(self, id_: str) -> str:
        """The number of the last event and a hash of the label in force: what was seen."""
        return state_of(self.head(id_), self.said(id_))

    def version(self, id_: str) -> str:
        """The texts that a label is given for, as a short hash."""
        return version_of(self.items[id_].content)

    def given(self, id_: str, said: Said, visible: Mapping[str, object]) -> Given:
        """The label as an event to append."""
        return said.given(id_, self.items[id_].content, self.expert, visible=visible)

    def _key(self, id_: str) -> tuple[str, str, str]:
        return self.expert, id_, self.items[id_].content


# Both begin with a letter: a spreadsheet would read 1234e567 as a number.
def version_of(content: str) -> str:
    """A content hash as it stands in a cell."""
    return "v" + content[:DIGITS]


def state_of(head: int | None, said: Said) -> str:
    return f"e{head or 0}-{said.hash}"


def shows(state: str, said: Said) -> bool:
    """Whether the label that was seen is this one."""
    return state.rpartition("-")[2] == said.hash


def from_files(dataset: Dataset, expert: str, principal: bool) -> dict[str, Said]:
    """What the dataset's own files hold of this expert: the labels that decide, or second ones."""
    if principal:
        return {id_: Said(one.label, one.critique) for id_, one in dataset.labels.items()}
    own = (one for one in dataset.annotations if one.annotator == expert)
    return {one.id: Said(one.label, one.critique) for one in sorted(own, key=age)}
