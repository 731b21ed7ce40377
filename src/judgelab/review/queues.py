"""Queues: which item comes next. Each is a function of the room to ids, the first ones first.

A queue may hold items that are labelled already; what is next is the first that is not. One more
queue is one more function in the table.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from judgelab.data.dimensions import Cell
from judgelab.review.room import Room

MOST = 500  # items of a search that are listed


@dataclass(frozen=True)
class Queue:
    """`about` is what `order` takes beside the room: "" nothing, "words" or an "id".

    `remarks`: a queue of items with a judge's verdict on them; what is open is what the expert has
    made no remark on. `causes`: one of fails; what is open has no root cause. `of_run`: it needs a
    run's verdicts.
    """

    name: str
    title: str
    says: str
    order: Callable[[Room, str], Sequence[str]]
    about: str = ""
    remarks: bool = False
    causes: bool = False
    of_run: bool = False

    def still_open(self, room: Room, ids: Iterable[str]) -> Iterator[str]:
        """Those of the items that are not done, in their order."""
        if self.causes:
            return (id_ for id_ in ids if room.is_fail(id_) and not room.modes(id_))
        done = room.spoken_of if self.remarks else room.labelled
        return (id_ for id_ in ids if id_ not in done)


def unlabelled(room: Room, about: str = "") -> list[str]:
    """What was labelled here, then all that is open in a random order."""
    return [*room.done_here, *_shuffled(room)]


def stratified(room: Room, about: str = "") -> list[str]:
    """What was labelled here, then always one of the cell that has the fewest labels."""
    cells: dict[Cell, list[str]] = defaultdict(list)
    for id_ in reversed(_shuffled(room)):
        cells[room.cells[id_]].append(id_)
    filled = Counter(room.cells[id_] for id_ in room.labelled)
    heap = [(filled[cell], place, ids) for place, (cell, ids) in enumerate(cells.items())]
    heapq.heapify(heap)
    found = []
    while heap:
        labels, place, ids = heap[0]
        found.append(ids.pop())
        if ids:
            heapq.heapreplace(heap, (labels + 1, place, ids))
        else:
            heapq.heappop(heap)
    return [*room.done_here, *found]


def search(room: Room, about: str) -> list[str]:
    """Items that hold every one of the words, in their texts or in the expert's critique."""
    words = about.casefold().split()
    if not words:
        return []
    found = []
    for id_, text in room.texts.items():
        standing = room.labelled.get(id_)
        said = standing.said.critique.casefold() if standing else ""
        if all(word in text or word in said for word in words):
            found.append(id_)
    return found[:MOST]


def like(room: Room, about: str) -> list[str]:
    """An item, and behind it all others, the most similar first."""
    if about not in room.items:
        return []
    others = sorted(room.alike(about), key=lambda pair: -pair[0])
    return [about, *(id_ for _, id_ in others if id_ != about)][:MOST]


def disagreements(room: Room, about: str = "") -> list[str]:
    """Where the run's judge says the other thing; of what the expert decided alone."""
    told = room.told
    return _said(room, lambda id_, label: told is not None and told.differs(id_, label))


def reasons(room: Room, about: str = "") -> list[str]:
    """A random order of the agreements whose verdict the judge gives a reason for."""
    told = room.told

    def fits(id_: str, label: str) -> bool:
        return told is not None and told.agrees(id_, label) and bool(told.opinions[id_].critique)

    return _said(room, fits)


def uncertain(room: Room, about: str = "") -> list[str]:
    """What the run's judge was least sure of, by its confidence, its repeats or its votes."""
    if room.told is None:
        return []
    sure = {id_: one.sure for id_, one in room.told.opinions.items() if id_ in room.items}
    known = [id_ for id_ in room.shuffled if sure.get(id_) is not None]
    return sorted(known, key=lambda id_: sure[id_] or 0.0)


def causes(room: Room, about: str = "") -> list[str]:
    """The fails, in a random order."""
    return _said(room, lambda id_, label: room.causes is not None and label == "fail")


def _said(room: Room, fits: Callable[[str, str], bool]) -> list[str]:
    labelled = room.labelled
    return [
        id_ for id_ in room.shuffled if id_ in labelled and fits(id_, labelled[id_].said.verdict)
    ]


QUEUES = {
    queue.name: queue
    for queue in (
        Queue("unlabelled", "Unlabelled", "All that is open, in a random order.", unlabelled),
        Queue(
            "stratified",
            "Thin cells",
            "First what there are the fewest labels of, by the dimensions' combinations.",
            stratified,
        ),
        Queue(
            "causes",
            "Fails without a root cause",
            "What you failed, and nobody has said yet what it has in common with others.",
            causes,
            causes=True,
        ),
        Queue(
            "disagreements",
            "Disagreements",
            "Where the judge and you differ: who is wrong?",
            disagreements,
            remarks=True,
            of_run=True,
        ),
        Queue(
            "reasons",
            "Same verdict, same reason?",
            "A sample of what the judge got right: was it for your reason?",
            reasons,
            remarks=True,
            of_run=True,
        ),
        Queue(
            "uncertain",
            "Least sure",
            "First what the judge was least sure of: label it, or say whether it was right.",
            uncertain,
            remarks=True,
            of_run=True,
        ),
        Queue("search", "Search", "Items that hold all of these words.", search, "words"),
        Queue("like", "More like this", "The most similar items first.", like, "id"),
    )
}


def _shuffled(room: Room) -> list[str]:
    """All that is open, in the room's random order."""
    labelled = room.labelled
    return [id_ for id_ in room.shuffled if id_ not in labelled]
