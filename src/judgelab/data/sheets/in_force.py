"""The labels in force as a file of annotations: what `dataset.annotations` reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from judgelab.data.schema import Dataset
from judgelab.data.standing import Standing
from judgelab.types import Annotation


def rows(dataset: Dataset, standing: Standing) -> Iterator[dict[str, Any]]:
    """The label that decides of each item, then what everybody else said.

    `dataset` is under its label events; `standing` is of the expert whose labels decide.
    """
    for id_, label in dataset.labels.items():
        event, source = standing.event(id_), label.source
        by = label.annotator or standing.expert
        at = event.at if event else source.at if source else ""
        yield _row(
            Annotation(id_, by, label.label, label.critique, at, source.round if source else None)
        )
    deciding = {id(label.source) for label in dataset.labels.values() if label.source}
    for one in dataset.annotations:
        if id(one) not in deciding and one.annotator:
            yield _row(one)


def _row(one: Annotation) -> dict[str, Any]:
    row = {"id": one.id, "annotator": one.annotator, "label": one.label, "critique": one.critique}
    more = {"at": one.at or None, "round": one.round}
    return row | {name: value for name, value in more.items() if value is not None}
