"""Annotations: more than one label an item, and whose label decides."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from judgelab.data.readers import reader_for
from judgelab.data.readers.base import Row
from judgelab.data.readers.problems import Problems, quoted, shown
from judgelab.data.readers.values import body_text, key_text
from judgelab.data.spellings import Spellings
from judgelab.errors import DataError
from judgelab.types import Annotation, Label

_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class ExpertLabel:
    """The label that decides for an item, the critique and who gave them.

    `source` is the annotation or the label event that it is, or None where it stands in the item's
    own row; labels are equal wherever they stand.
    """

    label: Label
    critique: str = ""
    annotator: str = ""
    source: Annotation | None = field(default=None, compare=False)


def read_annotations(path: Path, spellings: Spellings, ids: set[str]) -> list[Annotation]:
    """Every labelled row {id, annotator, label, critique?, at?, round?}, in the file's order.

    Raises:
        DataError: an id that is not in `ids`, no annotator, an unknown label, a time that is not
            ISO 8601 or a round that is no whole number; all such rows at once.
    """
    rows = list(reader_for(path).rows(path))
    problems = Problems(shown(path))
    for column in ("id", "annotator", "label"):
        if all(column not in row.values for row in rows):
            there = ", ".join(map(repr, rows[0].values))
            problems.say(f"there is no column {column!r}. Columns there are: {there}.")
    cells = [(row.where, row.values.get("label")) for row in rows]
    labels = spellings.read_all(cells, "label", problems)
    found = [
        _annotation(row, label, ids, problems)
        for row, label in zip(rows, labels, strict=True)
        if label is not None
    ]
    problems.check()
    return found


def decide(
    inline: Mapping[str, ExpertLabel],
    annotations: Sequence[Annotation],
    expert: str | None,
    known: Collection[str] = (),
) -> dict[str, ExpertLabel]:
    """Whose label counts for each item.

    The label in the interaction's own row does, unless `expert` names somebody else than that
    row's annotator. Otherwise the newest annotation (by round, then time, then order) of the
    expert does, or without `expert` of the one annotator there is. `known` are people who have
    labelled elsewhere, or are about to.

    Raises:
        DataError: `expert` has labelled nothing, or several people have and none is named.
    """
    _check_expert(inline, annotations, expert, known)
    open_ids = {a.id for a in annotations} - set(inline)
    names = {a.annotator for a in annotations if a.id in open_ids}
    if expert is None and len(names) > 1:
        raise DataError(
            f"items without a label of their own: {len(open_ids)}, with annotations by "
            f"{_listed(names)}. Say whose label decides: dataset.expert=NAME."
        )
    decided = {
        id_: label for id_, label in inline.items() if expert in (None, label.annotator or expert)
    }
    newest: dict[str, Annotation] = {}
    for annotation in sorted(annotations, key=age):  # stable: the file's order breaks ties
        if annotation.annotator == expert or (expert is None and annotation.id in open_ids):
            newest[annotation.id] = annotation
    for id_, annotation in newest.items():
        label = ExpertLabel(annotation.label, annotation.critique, annotation.annotator, annotation)
        decided.setdefault(id_, label)
    return decided


def age(annotation: Annotation) -> tuple[int, datetime]:
    """What annotations are sorted by, oldest first; see `age_of`."""
    return age_of(annotation.round, time_of(annotation))


def age_of(round: int | None, at: datetime | None) -> tuple[int, datetime]:
    """The round, then the time; none comes first."""
    return (-1 if round is None else round, at or _EARLIEST)


def time_of(annotation: Annotation) -> datetime | None:
    """When it was made; without a zone it is UTC. None where it does not say."""
    try:
        time = datetime.fromisoformat(annotation.at)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _check_expert(
    inline: Mapping[str, ExpertLabel],
    annotations: Sequence[Annotation],
    expert: str | None,
    known: Collection[str],
) -> None:
    names = {label.annotator for label in inline.values()} | {a.annotator for a in annotations}
    names |= set(known)
    if expert is not None and expert not in names and "" not in names:
        there = _listed(names) if names else "nobody"
        raise DataError(
            f"dataset.expert is {expert!r}, who has labelled nothing here. Labels are by: {there}."
        )


def _annotation(row: Row, label: Label, ids: set[str], problems: Problems) -> Annotation:
    values = row.values
    annotation = Annotation(
        id=key_text(values.get("id")),
        annotator=key_text(values.get("annotator")),
        label=label,
        critique=body_text(values.get("critique")).strip(),
        at=key_text(values.get("at")),
        round=_round(values.get("round"), row.where, problems),
    )
    if annotation.id not in ids:
        allowed = "an id of the dataset's interactions"
        problems.add("unknown ids (column 'id')", row.where, quoted(annotation.id), allowed)
    if not annotation.annotator:
        problems.add("no annotator (column 'annotator')", row.where, "", "a name")
    if annotation.at and time_of(annotation) is None:
        allowed = "ISO 8601 such as 2026-03-02T09:00:00Z"
        problems.add("unreadable times (column 'at')", row.where, quoted(annotation.at), allowed)
    return annotation


def _round(value: Any, where: str, problems: Problems) -> int | None:
    text = key_text(value)
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        problems.add("unreadable rounds (column 'round')", where, quoted(text), "a whole number")
        return None


def _listed(names: set[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names) if name)
