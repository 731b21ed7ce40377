"""Expert labels from a file, for `score` and `compare`: any format, our own names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judgelab.data.readers import reader_for
from judgelab.data.readers.values import body_text, key_text
from judgelab.errors import DataError
from judgelab.types import Interaction, Label

LIGHTEST, HEAVIEST = 1e-12, 1e12  # of weights: beyond them a number is another field, or a slip
Clusters = Mapping[str, str | None]


@dataclass(frozen=True)
class Labels:
    """What verdicts are held against, everything by item id.

    Attributes:
        labels: the expert's label of every labelled item.
        clusters: the group of each labelled item, or None where no item has one.
        content: hash of (input, output) of the items whose texts are known: a label and a
            verdict of other texts are not of the same item, whatever its id.
        weights: how many items of the population each labelled item stands for, or None.
        expert: who gave every label, or "" where that is not one name.
        where: what a message calls them.
    """

    labels: Mapping[str, Label]
    clusters: Clusters | None
    content: Mapping[str, str]
    weights: Mapping[str, float] | None = None
    expert: str = ""
    where: str = "the labels"


def read_labels(path: Path, group: str | None = None, weights: str | None = None) -> Labels:
    """Labels by id, clustered by `group` or, where there is one, the field group.

    Only id and label are needed; an empty label is unlabelled and left out. `group` and `weights`
    are columns or dotted paths. Raises DataError.
    """
    labels: dict[str, Label] = {}
    clusters: dict[str, str | None] = {}
    content: dict[str, str] = {}
    weighted: dict[str, float] = {}
    experts: set[str] = set()
    for found in reader_for(path).rows(path):
        where, row = f"{path}, {found.where}", found.values
        label = _label(where, row)
        if label is None:
            continue
        id_ = "" if row["id"] is None else str(row["id"]).strip()
        if not id_:
            raise DataError(f"{where}, id: it is empty; a label names its item.")
        if id_ in labels:
            raise DataError(f"{where}, id: {id_!r} stands twice.")
        labels[id_] = label
        experts.add(key_text(row.get("annotator")))
        group_at = _at(row, group or "group")
        clusters[id_] = None if group_at in (None, "") else str(group_at)
        if known := _content(row):
            content[id_] = known
        if weights:
            weighted[id_] = _weight(where, _at(row, weights), weights)
    if not labels:
        raise DataError(f"{path}: no labelled items.")
    if group and not any(clusters.values()):
        raise DataError(f"{path}: no item has the field {group!r} (--group).")
    grouped = clusters if any(clusters.values()) else None
    expert = experts.pop() if len(experts) == 1 else ""
    return Labels(labels, grouped, content, weighted if weights else None, expert, str(path))


def _content(row: Mapping[str, Any]) -> str | None:
    """The hash that a label belongs to, of a row that holds the item's texts."""
    if row.get("input") is None or row.get("output") is None:
        return None
    return Interaction("", body_text(row["input"]), body_text(row["output"])).content


def _label(where: str, row: Mapping[str, Any]) -> Label | None:
    missing = [name for name in ("id", "label") if name not in row]
    if missing:
        raise DataError(f"{where}: no {missing[0]}; found {', '.join(map(str, row))}.")
    word = "" if row["label"] is None else str(row["label"]).strip().casefold()
    if not word:
        return None
    if word not in ("pass", "fail"):
        raise DataError(f"{where}, label: found {row['label']!r}; allowed: pass, fail.")
    return "pass" if word == "pass" else "fail"


def _weight(where: str, value: object, field: str) -> float:
    try:
        weight = math.nan if isinstance(value, bool) else float(str(value))
    except ValueError:
        weight = math.nan
    if not LIGHTEST <= weight <= HEAVIEST:
        raise DataError(
            f"{where}, {field}: found {value!r:.40}; a weight is a number over 0, from "
            f"{LIGHTEST:g} to {HEAVIEST:g}: how many items of the population this one stands for."
        )
    return weight


def _at(row: Mapping[str, Any], path: str) -> object:
    """A dotted path into nested objects, or a flat column of that very name."""
    at: object = row.get(path)
    if at is None:
        at = row
        for step in path.split("."):
            at = at.get(step) if isinstance(at, dict) else None
    return at
