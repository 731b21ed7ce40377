"""Expert labels from a file, for `score`: any format, our own names."""

from __future__ import annotations

from pathlib import Path

from judgelab.data.readers import reader_for
from judgelab.errors import DataError
from judgelab.types import Label


def read_labels(
    path: Path, group: str | None = None
) -> tuple[dict[str, Label], dict[str, str | None] | None]:
    """Label by id, and the cluster by id: `group` or, where there is one, the field group.

    Only id and label are needed; an empty label is unlabelled and left out. Raises DataError.
    """
    labels: dict[str, Label] = {}
    clusters: dict[str, str | None] = {}
    for found in reader_for(path).rows(path):
        where, row = found.where, found.values
        missing = [name for name in ("id", "label") if name not in row]
        if missing:
            raise DataError(f"{path}, {where}: no {missing[0]}; found {', '.join(map(str, row))}.")
        word = "" if row["label"] is None else str(row["label"]).strip().casefold()
        if not word:
            continue
        if word not in ("pass", "fail"):
            raise DataError(f"{path}, {where}, label: found {row['label']!r}; allowed: pass, fail.")
        id_ = "" if row["id"] is None else str(row["id"]).strip()
        if not id_:
            raise DataError(f"{path}, {where}, id: it is empty; a label names its item.")
        if id_ in labels:
            raise DataError(f"{path}, {where}, id: {id_!r} stands twice.")
        labels[id_] = "pass" if word == "pass" else "fail"
        clusters[id_] = _at(row, group or "group")
    if not labels:
        raise DataError(f"{path}: no labelled items.")
    if group and not any(clusters.values()):
        raise DataError(f"{path}: no item has the field {group!r} (--group).")
    return labels, clusters if any(clusters.values()) else None


def _at(row: dict[str, object], path: str) -> str | None:
    """A dotted path into nested objects, or a flat column of that very name."""
    at: object = row.get(path)
    if at is None:
        at = row
        for step in path.split("."):
            at = at.get(step) if isinstance(at, dict) else None
    return None if at in (None, "") else str(at)
