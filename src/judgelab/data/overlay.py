"""Label events over what the files say: the view that a dataset is loaded with."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from judgelab.data.annotations import ExpertLabel
from judgelab.data.events import CANNOT, Event, EventLog
from judgelab.data.readers.problems import shown
from judgelab.errors import DataError
from judgelab.types import Annotation, Interaction, Label


@dataclass
class Overlaid:
    """What the files and the events say together.

    `expert` is whose events decide, "" where there are none. `overruled` are the ids whose older
    label the same expert has replaced: an old label that was in sight is no second one.
    """

    labels: dict[str, ExpertLabel]
    expert: str = ""
    annotations: list[Annotation] = field(default_factory=list)
    overruled: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    def decide(self, event: Event) -> None:
        """The expert's own label of an item as it is."""
        self.overruled.add(event.id)
        if event.verdict == CANNOT:
            self.labels.pop(event.id, None)
        else:
            said = _annotation(event)
            self.labels[event.id] = ExpertLabel(said.label, said.critique, said.annotator, said)

    def hear(self, event: Event, *, second: bool = False) -> None:
        """Somebody else's label of an item as it is, or a second one."""
        if event.verdict != CANNOT:
            self.annotations.append(_annotation(event, second))


def principal_of(
    expert: str | None, labels: Mapping[str, ExpertLabel], given: Collection[str], where: str
) -> str:
    """Whose events decide: `expert`, else who gave the labels, else who gave the events.

    Raises DataError where that are several people.
    """
    if expert is not None:
        return expert
    names = {label.annotator for label in labels.values()} - {""} or set(given)
    if len(names) > 1:
        there = ", ".join(repr(name) for name in sorted(names))
        raise DataError(
            f"{where} holds labels of a dataset that {there} labelled. Say whose label decides: "
            "dataset.expert=NAME."
        )
    return next(iter(names), "")


def overlay(
    log: EventLog,
    labels: Mapping[str, ExpertLabel],
    interactions: Sequence[Interaction],
    expert: str | None,
) -> Overlaid:
    """The newest event of the principal expert wins over the file's label of an item.

    A label of texts that the item does not have any more counts for nothing. Labels of other
    people are annotations. Raises DataError where nobody is named and several people labelled.
    """
    made = Overlaid(dict(labels))
    if not log.events:
        return made
    made.expert = principal = principal_of(expert, labels, log.experts, shown(log.path))
    content = {one.id: one.content for one in interactions}
    standing = [event for name in log.experts for event in log.labels(name)]
    fitting = [event for event in standing if content.get(event.id) == event.content]
    own = {event.id: event for event in fitting if event.expert == principal}
    for event in fitting:
        if event.expert == principal:
            made.decide(event)
        else:
            made.hear(event)
    there = {event.id for event in standing if event.expert == principal and event.id in content}
    cannot = [id_ for id_, event in own.items() if event.verdict == CANNOT]
    gone = {event.id for event in standing} - content.keys()
    made.notes = list(_notes(log, cannot, there - own.keys(), gone))
    return made


def second_looks(log: EventLog, interactions: Sequence[Interaction]) -> list[Annotation]:
    """Blind second labels of the items as they are: for the ceiling, they decide nothing."""
    made = Overlaid({})
    content = {one.id: one.content for one in interactions}
    for expert in log.experts:
        for event in log.labels(expert):
            if content.get(event.id) == event.content:
                made.hear(event, second=True)
    return made.annotations


def _notes(
    log: EventLog, cannot: Collection[str], changed: Collection[str], gone: Collection[str]
) -> Iterator[str]:
    where = shown(log.path)
    if cannot:
        yield (
            f"items that cannot be judged, so unlabelled: {_listed(cannot)}. What is missing "
            f"stands in {where}."
        )
    if changed:
        yield (
            f"items whose input or output changed since they were labelled: {_listed(changed)}. A "
            "label belongs to the texts it was given for; label them again: judgelab review."
        )
    if gone:
        yield f"labels in {where} of items that are not in the data: {_listed(gone)}."
    if log.torn:
        yield (
            f"{where}: its last line was torn when it was written and is not counted. The next "
            f"label keeps it aside in {log.aside.name}."
        )


def _annotation(event: Event, second: bool = False) -> Annotation:
    label: Label = "fail" if event.verdict == "fail" else "pass"
    return Annotation(event.id, event.expert, label, event.critique, event.at, second=second)


def _listed(ids: Collection[str]) -> str:
    first = sorted(ids)[:5]
    return f"{len(ids)} ({', '.join(first)}{', …' if len(ids) > len(first) else ''})"
