"""Coverage: how many items and labels each cell has, and how often its items fail.

The labels of test stay closed: they are counted, and nothing is said of what they are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from judgelab.data.cells import Grid, grid
from judgelab.data.dimensions import Cell, Dimensions
from judgelab.data.schema import Dataset
from judgelab.data.split import Split
from judgelab.scoring import in_words_of
from judgelab.types import Interaction, Label

if TYPE_CHECKING:
    from judgelab.metrics.intervals import Interval
    from judgelab.metrics.unseen import Unseen

THIN = 5  # labels under which a cell is thin


@dataclass(frozen=True)
class Covered:
    """A cell and what it holds.

    Attributes:
        n: its items.
        labelled: those with a label of the expert's, closed ones too.
        open: labels that may be looked at; `fails` are those that fail.
        interval: of the share of fails among the open labels.
        state: empty, thin, or "".
        odd: whether the dimensions yaml does not know such a cell.
    """

    cell: Cell
    n: int
    labelled: int
    open: int
    fails: int
    interval: Interval
    state: str
    odd: bool

    @property
    def rate(self) -> float | None:
        """Share of fails among the open labels."""
        return self.fails / self.open if self.open else None

    def to_json(self, names: Sequence[str]) -> dict[str, Any]:
        return {
            "cell": dict(zip(names, self.cell, strict=True)),
            "n": self.n,
            "labelled": self.labelled,
            "open": self.open,
            "fails": self.fails,
            "fail_rate": {"value": self.rate, **self.interval.to_json()},
            "state": self.state,
            "odd": self.odd,
        }


@dataclass(frozen=True)
class Coverage:
    """Every cell, empty and thin ones first, and what the next failure may show."""

    grid: Grid
    rows: Sequence[Covered]
    thin: int
    unseen: Unseen | None = None

    @property
    def counts(self) -> dict[str, int]:
        states = Counter(row.state for row in self.rows)
        return {
            "cells": len(self.rows),
            "impossible": self.grid.impossible,
            "empty": states["empty"],
            "thin": states["thin"],
            "odd": sum(row.odd for row in self.rows),
            "items": sum(row.n for row in self.rows),
            "labelled": sum(row.labelled for row in self.rows),
            "closed": sum(row.labelled - row.open for row in self.rows),
        }

    def first(self, most: int) -> list[Covered]:
        """At most so many rows; empty ones are alike, so a third of them at most, if others are
        left."""
        empty = [row for row in self.rows if row.state == "empty"]
        filled = [row for row in self.rows if row.state != "empty"]
        kept = max(most // 3, most - len(filled))
        return [*empty[:kept], *filled][:most]

    @property
    def in_words(self) -> str:
        """The counts in one line."""
        counts = self.counts
        said = (
            f"{counts['cells']:,} cells: {counts['empty']:,} empty, {counts['thin']:,} thin (fewer "
            f"than {self.thin} labels); {counts['items']:,} items, {counts['labelled']:,} labelled"
        )
        if self.grid.declared:
            said += f"; {counts['impossible']:,} impossible combinations are left out"
        if counts["odd"]:
            said += f"; {counts['odd']:,} cells hold items that the dimensions yaml does not know"
        if not self.grid.whole:
            said += "; too many combinations to list, so empty ones are not among them"
        return said

    def to_json(self) -> dict[str, Any]:
        return {
            "positive": "fail",
            "dimensions": list(self.grid.names),
            "declared": self.grid.declared,
            "whole": self.grid.whole,
            "thin_below": self.thin,
            "counts": self.counts,
            "cells": [row.to_json(self.grid.names) for row in self.rows],
            "unseen": self.unseen.to_json() if self.unseen else None,
        }


def coverage_of(
    dataset: Dataset,
    split: Split | None,
    dimensions: Dimensions | None,
    *,
    by: Sequence[str] = (),
    modes: Mapping[str, Collection[str]] | None = None,
    thin: int = THIN,
) -> Coverage:
    """The coverage of a dataset; without a split there is no label.

    Raises:
        ConfigError: a dimension of `by` that is not there.
    """
    cells = grid(dataset.interactions, dimensions, by)
    if split is None:
        return coverage(cells, dataset.interactions, {}, thin=thin)
    parts = ("cv",) if split.exploratory else ("train", "dev")
    labels = {id_: label for part in parts for id_, label in split.labels(part).items()}
    closed = dataset.labels.keys() - labels.keys()
    return coverage(cells, dataset.interactions, labels, closed, split.clusters, modes, thin)


def coverage(
    cells: Grid,
    items: Sequence[Interaction],
    labels: Mapping[str, Label],
    closed: Collection[str] = (),
    clusters: Mapping[str, str | None] | None = None,
    modes: Mapping[str, Collection[str]] | None = None,
    thin: int = THIN,
) -> Coverage:
    """The cells of a grid.

    Args:
        cells: which ones there are.
        items: all items of the dataset.
        labels: those that may be looked at, by id.
        closed: ids of labelled items whose labels stay closed.
        clusters: the cluster of each item by id, None where it has none.
        modes: failure modes of failed items by id; those without one say nothing.
        thin: labels under which a cell is thin.
    """
    from judgelab.metrics.unseen import unseen

    shut, groups = set(closed) - labels.keys(), clusters or {}
    there: dict[Cell, list[str]] = {cell: [] for cell in cells.cells}
    known = set(cells.cells)
    for item in items:
        there.setdefault(cells.of(item), []).append(item.id)
    rows = []
    for cell, ids in there.items():
        opened = [id_ for id_ in ids if id_ in labels]
        labelled = len(opened) + sum(id_ in shut for id_ in ids)
        state = "" if labelled >= thin else "thin" if ids else "empty"
        fails = sum(labels[id_] == "fail" for id_ in opened)
        rate = _interval(opened, labels, groups)
        odd = cells.declared and cell not in known
        rows.append(Covered(cell, len(ids), labelled, len(opened), fails, rate, state, odd))
    rows.sort(key=lambda row: (row.labelled, row.n, row.cell))
    new = unseen(_units(labels, groups, modes)) if modes is not None else None
    return Coverage(cells, rows, thin, new)


def rate_in_words(row: Covered) -> str:
    """`.20 [.04, .62]`; without limits it says why."""
    if row.rate is None:
        return ""
    one = " (one group)" if row.interval.reason == "one_cluster" else ""
    return in_words_of({"value": row.rate, **row.interval.to_json()}) + one


def hint(found: Unseen) -> str:
    """Whether to go on looking for failures, in words."""
    n, value = found.interval.n, found.value
    if value is None:
        return "no failed interaction has a failure mode yet: how many are unseen is not known"
    about = in_words_of({"value": value, "lo": found.interval.lo, "hi": found.interval.hi})
    modes, failed = ("s" * (count != 1) for count in (found.kinds, n))
    return (
        f"{found.kinds} failure mode{modes} in {n} failed interaction{failed} (a conversation "
        f"counts once), {found.once} of them seen once: the next one shows an unseen mode with "
        f"probability {about}"
    )


def _interval(
    ids: Sequence[str], labels: Mapping[str, Label], clusters: Mapping[str, str | None]
) -> Interval:
    """Of the share of fails; clustered where some of these items belong together."""
    from judgelab.metrics.intervals import clustered_wilson, wilson

    hits: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for id_ in ids:
        group = clusters.get(id_)
        key = f"i{id_}" if group is None else f"g{group}"
        sizes[key] += 1
        hits[key] += labels[id_] == "fail"
    if len(sizes) == len(ids):
        return wilson(hits.total(), len(ids))
    order = sorted(sizes)
    return clustered_wilson([hits[k] for k in order], [sizes[k] for k in order])


def _units(
    labels: Mapping[str, Label],
    clusters: Mapping[str, str | None],
    modes: Mapping[str, Collection[str]] | None,
) -> list[set[str]]:
    """The modes of each failed interaction that has some, those of a cluster together."""
    units: dict[str, set[str]] = defaultdict(set)
    for id_, named in sorted((modes or {}).items()):
        if named and labels.get(id_) == "fail":
            group = clusters.get(id_)
            units[f"i{id_}" if group is None else f"g{group}"] |= set(named)
    return list(units.values())
