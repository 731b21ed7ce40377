"""Who said what of each item: the label that decides, the expert's other labels, other people's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from judgelab.data.annotations import age, age_of, time_of
from judgelab.data.assignment import group_of
from judgelab.data.schema import Dataset
from judgelab.types import Annotation, Label

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Said:
    """One label by one person."""

    label: Label
    at: datetime | None = None
    round: int | None = None

    @classmethod
    def of(cls, annotation: Annotation) -> Said:
        return cls(annotation.label, time_of(annotation), annotation.round)

    @property
    def age(self) -> tuple[int, datetime]:
        """What labels are sorted by, oldest first."""
        return age_of(self.round, self.at)


@dataclass(frozen=True)
class Voices:
    """Everything that was said of the items.

    Attributes:
        expert: whose label decides, or "" where that is not one name.
        deciding: the label that decides, by id.
        again: the other labels of the same expert by id, oldest first.
        people: the newest label by id of everybody else, by name.
        clusters: the group by id; None or no entry is a group of its own.
        notes: one-line remarks for the user.
    """

    expert: str
    deciding: Mapping[str, Said]
    again: Mapping[str, tuple[Said, ...]]
    people: Mapping[str, Mapping[str, Label]]
    clusters: Mapping[str, str | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> dict[str, Label]:
        """The label that decides, by id."""
        return {id_: said.label for id_, said in self.deciding.items()}

    @property
    def decider(self) -> str:
        """How the label that decides is called."""
        return self.expert or "deciding label"

    @property
    def rounds(self) -> dict[int | None, int]:
        """How many of the labels that decide each round gave (None: without a round)."""
        counts = Counter(said.round for said in self.deciding.values())
        return {name: counts[name] for name in sorted(counts, key=round_number)}

    @property
    def mixed(self) -> str | None:
        """The banner where the labels that decide come from several rounds of the rubric."""
        if len(self.rounds) < 2:
            return None
        counts = ", ".join(f"{count} {_named(name)}" for name, count in self.rounds.items())
        return f"the labels are of several rounds: {counts}; each round may be another rubric"

    def only(self, ids: Collection[str]) -> Voices:
        """What was said of these items."""
        kept = set(ids)
        return Voices(
            self.expert,
            {id_: said for id_, said in self.deciding.items() if id_ in kept},
            {id_: said for id_, said in self.again.items() if id_ in kept},
            {
                name: {id_: label for id_, label in labels.items() if id_ in kept}
                for name, labels in self.people.items()
            },
            self.clusters,
            self.notes,
        )

    def groups(self, ids: Sequence[str]) -> list[str | None]:
        """The group of each of these items."""
        return [self.clusters.get(id_) for id_ in ids]


def hear(
    labels: Mapping[str, Label],
    annotations: Sequence[Annotation],
    expert: str,
    clusters: Mapping[str, str | None] | None = None,
    sources: Mapping[str, Annotation] | None = None,
) -> Voices:
    """Sort the annotations into the expert's own and other people's.

    Annotation files often repeat the labels that decide. Which annotation does is known where
    `sources` names it. Elsewhere the expert's annotations that are not known to be second labels
    are taken for a log of the labels where each item has one equal to its label and they cover all
    items or start before round 2: the newest equal one of each item is then the label itself.
    Otherwise all are second labels.

    Args:
        labels: the label that decides, by id.
        annotations: of any people and items.
        expert: who gave `labels`, or "".
        clusters: the group by id.
        sources: the annotation or label event that decides, by id, where one does.
    """
    sources = sources or {}
    own: dict[str, list[Annotation]] = {}
    people: dict[str, dict[str, Label]] = {}
    for annotation in sorted(annotations, key=age):  # stable: the file's order breaks ties
        if annotation.annotator != expert:
            people.setdefault(annotation.annotator, {})[annotation.id] = annotation.label
        elif annotation.id in labels:
            own.setdefault(annotation.id, []).append(annotation)
    known = {id_: given for id_, given in sources.items() if id_ in labels}
    doubtful = {id_: [one for one in own[id_] if not one.second] for id_ in own if id_ not in known}
    found, notes = _log(labels, {id_: given for id_, given in doubtful.items() if given})
    for id_, decides in (known | found).items():
        if decides in (given := own.get(id_, [])):
            given.remove(decides)
    deciding = {id_: Said(label) for id_, label in labels.items()}
    deciding |= {id_: Said.of(decides) for id_, decides in (known | found).items()}
    again = {id_: tuple(map(Said.of, others)) for id_, others in own.items() if others}
    ordered = {name: people[name] for name in sorted(people)}
    return Voices(expert, deciding, again, ordered, clusters or {}, notes)


def round_number(name: int | None) -> int:
    """What rounds are sorted by; labels without one come first."""
    return -1 if name is None else name


def _named(name: int | None) -> str:
    return "without a round" if name is None else f"of round {name}"


def voices_of(dataset: Dataset, group: str | None = None) -> Voices:
    """What was said of a dataset's items, clustered by the field `group` (split.group)."""
    labels = {id_: known.label for id_, known in dataset.labels.items()}
    annotations: Sequence[Annotation] = dataset.annotations
    if not dataset.expert:  # several people decide: nobody is another person to himself
        by = {id_: known.annotator for id_, known in dataset.labels.items()}
        annotations = [one for one in annotations if by.get(one.id) != one.annotator]
    return hear(
        labels,
        annotations,
        dataset.expert,
        {one.id: group_of(one, group) for one in dataset.interactions},
        {id_: known.source for id_, known in dataset.labels.items() if known.source},
    )


def _log(
    labels: Mapping[str, Label], own: Mapping[str, Sequence[Annotation]]
) -> tuple[dict[str, Annotation], tuple[str, ...]]:
    """The annotation of each item that is its deciding label itself, if this is a log of them."""
    equal = {id_: [one for one in given if one.label == labels[id_]] for id_, given in own.items()}
    early = any((one.round or 0) < 2 for given in own.values() for one in given)
    if not own or not all(equal.values()) or not (early or len(own) == len(labels)):
        return {}, ()
    single = sum(len(given) == 1 for given in own.values())
    note = (
        f"annotations by the expert that equal the deciding label of their item: {single}, and no "
        "other differs; they are taken for those labels themselves. If they are second, blind "
        "labels, give them a round of 2 or more."
    )
    partly = single == len(own) < len(labels)
    return {id_: given[-1] for id_, given in equal.items()}, (note,) if partly else ()


def second(voices: Voices) -> dict[str, Said]:
    """The newest other label of the expert by id; not one known to be under a day away.

    A label changed within a day is a correction, or remembered; it is no second look.
    """
    found = {}
    for id_, others in voices.again.items():
        decides = voices.deciding[id_]
        if blind := [one for one in others if not too_soon(decides, one)]:
            found[id_] = blind[-1]
    return found


def too_soon(one: Said, other: Said) -> bool:
    """Whether both have a time, and they are less than a day apart."""
    return one.at is not None and other.at is not None and abs(one.at - other.at) < DAY
