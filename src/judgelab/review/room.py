"""The lab as one expert sees it: the items, what the expert said of them, and saying more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

from judgelab.data.cells import Grid, grid
from judgelab.data.critiques import contradicts, is_terse, names_something, restates
from judgelab.data.dimensions import Cell, Dimensions
from judgelab.data.events import CANNOT, Event, EventLog, Given
from judgelab.data.modes import ModeLog
from judgelab.data.remarks import Remark
from judgelab.data.schema import Dataset
from judgelab.data.standing import Said, from_files
from judgelab.review.book import Book
from judgelab.review.told import Opinion, Told
from judgelab.types import Example, Interaction, Label, canonical_json, sha256

if TYPE_CHECKING:
    from judgelab.demos.similarity import Space

EXAMPLES = 4  # of the expert's own critiques on a page
SETTLED = ("label_wrong", "criterion_changed")
LOOKED_AT = 200  # labels, at most, to find them


@dataclass(frozen=True)
class Standing:
    """What the expert said of an item: in an event, or in the dataset's own files."""

    said: Said
    event: Event | None = None


@dataclass
class Room:
    """The state that pages and queues are made of; `refresh` takes in what others appended.

    Args:
        dataset: as its files say, without label events.
        log: the label events.
        expert: who labels here.
        principal: whether this expert's labels decide; others' are second labels.
        again: whether this expert decided before, and labels a second time, blind.
        links: of the dataset's config.
        seed: of the random orders.
        rubric: the hash of the rubric in force, or None.
        told: what a run's judge said, where a run is looked at.
        book: the rubric with its versions and proposals, where the judge has one.
        causes: the failure modes of what fails, where these labels decide.
        dimensions: what the items differ in, where a yaml says so.
    """

    dataset: Dataset
    log: EventLog
    expert: str
    principal: bool = True
    again: bool = False
    links: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    rubric: Callable[[], str | None] = lambda: None
    told: Told | None = None
    book: Book | None = None
    causes: ModeLog | None = None
    dimensions: Dimensions | None = None

    def __post_init__(self) -> None:
        self.items = {one.id: one for one in self.dataset.interactions}
        files = from_files(self.dataset, self.expert, self.principal)
        self.from_files = {id_: Standing(said) for id_, said in files.items()}
        self._lock = threading.Lock()
        self._space_lock = threading.Lock()
        self._seen: tuple[int, int] = (0, 0)
        self._labelled = dict(self.from_files)
        self._teaches: dict[tuple[str, str, str], bool] = {}

    @cached_property
    def grid(self) -> Grid:
        """The cells that the items lie in, those of judgelab data coverage."""
        return grid(self.dataset.interactions, self.dimensions)

    @property
    def stamp(self) -> tuple[int, int]:
        """Changes with every event."""
        return len(self.log.events), id(self.log.events[-1]) if self.log.events else 0

    def refresh(self) -> None:
        self.log.refresh()
        if self.told:
            self.told.log.refresh()
        if self.book:
            self.book.refresh()
        if self.causes:
            self.causes.refresh()

    def is_fail(self, id_: str) -> bool:
        """Whether the expert fails it."""
        standing = self.labelled.get(id_)
        return standing is not None and standing.said.verdict == "fail"

    def modes(self, id_: str) -> Sequence[str]:
        """The failure modes of an item that the expert fails."""
        said = self.causes.on((id_, self.items[id_].content)) if self.causes else None
        known = said is not None and self.causes is not None and self.is_fail(id_)
        return self.causes.taxonomy.in_order(said.modes) if known and said and self.causes else ()

    def opinion(self, id_: str) -> Opinion | None:
        """What the run's judge said; hidden until the expert has decided."""
        standing = self.labelled.get(id_)
        decided = standing is not None and standing.said.verdict in ("pass", "fail")
        return self.told.opinions.get(id_) if self.told and decided else None

    def remark(self, id_: str) -> Remark | None:
        """The expert's remark on the judge's verdict, where both are as they were then."""
        found = self.told.remark(self.expert, id_) if self.told else None
        return found if found and self._fits(found) else None

    @property
    def spoken_of(self) -> set[str]:
        """The ids with such a remark."""
        found = self.told.remarks(self.expert) if self.told else {}
        return {id_ for id_, one in found.items() if self._fits(one)}

    def _fits(self, remark: Remark) -> bool:
        """Whether the label is as it was, or the remark is settled by changing it."""
        standing = self.labelled.get(remark.id)
        same = standing is not None and standing.said.verdict == remark.label
        return same or (standing is not None and remark.says in SETTLED)

    def say(self, id_: str, says: str, comment: str) -> None:
        """A remark on the judge's verdict; it is on disk when this returns.

        Raises ValueError where there is no verdict to speak of, or nothing known is said.
        """
        opinion = self.opinion(id_)
        if self.told is None or opinion is None:
            raise ValueError("there is no verdict of a judge on this item")
        remark = Remark(
            id=id_,
            content=self.items[id_].content,
            expert=self.expert,
            run=self.told.run,
            label=self.labelled[id_].said.verdict,
            verdict=opinion.verdict,
            says=says,
            comment=comment,
        )
        self.told.log.append(remark)

    @property
    def labelled(self) -> Mapping[str, Standing]:
        """What the expert said, by id: first what the files hold, then by event, oldest first."""
        with self._lock:
            if self._seen != self.stamp:
                self._labelled, self._seen = self._view(), self.stamp
            return self._labelled

    @property
    def done_here(self) -> Sequence[str]:
        """The ids with a label event, in the order in which they were labelled."""
        return [id_ for id_, standing in self.labelled.items() if standing.event]

    def head(self, id_: str) -> int | None:
        """What the next event of this item supersedes."""
        return self.log.chain((self.expert, id_, self.items[id_].content)).head

    def event(self, sequence: int) -> Event | None:
        """An event of this expert, by its number."""
        found = self.log.events[sequence - 1 : sequence] if sequence > 0 else []
        return found[0] if found and found[0].expert == self.expert else None

    @property
    def last(self) -> Event | None:
        """The last label of this expert that was not undone: what an undo takes back."""
        for id_ in reversed(self.done_here):
            return self.labelled[id_].event
        return None

    def history(self, id_: str) -> Sequence[Event]:
        """Events of an item, the newest first; those of others once this expert has decided."""
        others = id_ in self.labelled
        return [e for e in reversed(self.log.of(id_)) if others or e.expert == self.expert]

    def taken_back(self, undo: Event) -> Said | None:
        """What an undo took back."""
        standing: list[Event] = []
        for event in self.log.chain(undo.key).events:
            if event.sequence == undo.sequence:
                break
            standing.append(event) if event.kind == "label" else standing.pop()
        return Said.of(standing[-1]) if standing else None

    def save(self, id_: str, said: Said, head: int | None, seconds: float | None) -> Event:
        """A label; it is on disk when this returns. The same again is the same label.

        Raises ConflictError where `head` is not what was said last.
        """
        self.refresh()
        standing = self.labelled.get(id_)
        if standing and standing.event and standing.said == said:
            return standing.event
        item = self.items[id_]
        given = said.given(
            id_,
            item.content,
            self.expert,
            seconds=seconds,
            rubric=self.rubric(),
            visible={
                "fields": fields_of(item),
                "judge": f"shown: {self.told.run}" if self.told and self.opinion(id_) else "hidden",
                **({"rubric": "folded" if self.book.first_round else "open"} if self.book else {}),
            },
        )
        return self.log.append(given, head)

    def undo(self, id_: str, head: int | None) -> Event:
        """Takes the last label of an item back. Raises ConflictError as `save`."""
        content = self.items[id_].content
        given = Given(id=id_, content=content, expert=self.expert, kind="undo")
        return self.log.append(given, head)

    def nudges(self, id_: str, said: Said) -> list[str]:
        """What would make a critique teach more; never in the way of a label."""
        if said.verdict == CANNOT:
            return []
        example = Example(self.items[id_], _label(said.verdict), said.critique)
        if not said.critique.strip():
            if said.verdict == "fail" or said.could_be_better:
                return ["There is no critique yet. What would have to be different?"]
            return []
        found = []
        if restates(example):
            found.append("The critique repeats the verdict. What in this answer led you to it?")
        elif is_terse(example):
            found.append("The critique is short. Would a new colleague decide the same from it?")
        if contradicts(example):
            found.append("The critique opens as if it were the other verdict.")
        return found

    def own_critiques(self, verdict: str) -> list[tuple[str, str]]:
        """Id and text of a few good critiques of this verdict by this expert, the newest first."""
        found = []
        for id_, standing in islice(reversed(list(self.labelled.items())), LOOKED_AT):
            said = standing.said
            if said.verdict == verdict and self._teaching(id_, said):
                found.append((id_, said.critique))
            if len(found) == EXAMPLES:
                break
        return found

    def _teaching(self, id_: str, said: Said) -> bool:
        """Whether a critique says enough, of this very item; looked at once."""
        key = (id_, said.verdict, said.critique)
        if key not in self._teaches:
            example = Example(self.items[id_], _label(said.verdict), said.critique)
            fit = said.critique.strip() and not (is_terse(example) or contradicts(example))
            self._teaches[key] = bool(fit) and names_something(example)
        return self._teaches[key]

    @cached_property
    def shuffled(self) -> Sequence[str]:
        """All ids in a random order, which stays as it is where items are added."""
        return sorted(self.items, key=lambda id_: sha256(f"{self.seed}:{id_}"))

    @cached_property
    def cells(self) -> Mapping[str, Cell]:
        """The cell of each item, by id."""
        return {id_: self.grid.of(one) for id_, one in self.items.items()}

    @cached_property
    def texts(self) -> Mapping[str, str]:
        """What a search looks through, by id, in lower case."""
        return {id_: "\n".join(_texts(one)).casefold() for id_, one in self.items.items()}

    def alike(self, id_: str) -> list[tuple[float, str]]:
        """Similarity to each item, and its id; the first call makes the index."""
        with self._space_lock:
            space, ids = self._space
        return list(zip(space.to_all(self.items[id_]).tolist(), ids, strict=True))

    def warm(self) -> None:
        """Make the indexes before somebody waits for them."""
        if self.items:
            self.alike(next(iter(self.items)))
        _ = self.texts, self.cells, self.shuffled

    @cached_property
    def _space(self) -> tuple[Space, list[str]]:
        from judgelab.demos.similarity import Space

        # The space looks at texts alone; a label is only what an example has.
        return Space([Example(one, "pass") for one in self.items.values()]), list(self.items)

    def _view(self) -> dict[str, Standing]:
        """One more label is put behind the others; an undo or another file makes it all anew."""
        count, last = self._seen
        events = self.log.events
        goes_on = not count or (count <= len(events) and id(events[count - 1]) == last)
        new = [one for one in events[count:] if one.expert == self.expert]
        if goes_on and all(one.kind == "label" for one in new):
            made = dict(self._labelled)
        else:
            made = dict(self.from_files)
            new = sorted(self.log.labels(self.expert), key=lambda event: event.sequence)
        for event in new:
            item = self.items.get(event.id)
            if item is not None and item.content == event.content:
                made.pop(event.id, None)
                made[event.id] = Standing(Said.of(event), event)
        return made


def fields_of(item: Interaction) -> list[str]:
    """The names of everything that is shown of an item."""
    return [
        *("input", "output"),
        *(f"context.{name}" for name in item.context),
        *(f"dimensions.{name}" for name in item.dimensions),
    ]


def _label(verdict: str) -> Label:
    return "fail" if verdict == "fail" else "pass"


def _texts(item: Interaction) -> Sequence[str]:
    return (
        *(item.id, item.input, item.output, item.group or ""),
        *(canonical_json(item.context), canonical_json(item.dimensions)),
    )
