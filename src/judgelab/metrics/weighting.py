"""Items that stand for unequally many others: their sampling weights, and what they are worth."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgelab.metrics.agreement import Proportion
from judgelab.metrics.bayesian import WeightedResamples, resample_weighted
from judgelab.metrics.confusion import (
    ABSTAINED_FAIL,
    ABSTAINED_PASS,
    CELLS,
    FN,
    FP,
    TN,
    TP,
    Confusion,
    group_codes,
    item_cells,
    recode,
)
from judgelab.metrics.intervals import Interval, weighted_wilson

Floats = NDArray[np.float64]
_LABELS = ([TP, FN, ABSTAINED_FAIL], [FP, TN, ABSTAINED_PASS])
_VERDICTS = ([TP, FP], [FN, TN], [ABSTAINED_FAIL, ABSTAINED_PASS])


@dataclass(frozen=True)
class Weighted:
    """The weights of items by cell, each item or each cluster one unit.

    A weight is the inverse of the probability with which the item came into the sample (Horvitz
    and Thompson 1952, Journal of the American Statistical Association 47(260)); only the ratios
    count.

    Attributes:
        units: weights of each unit, shape (U, 6), before the policy for abstentions.
        squares: sum of the squared weights in each cell, shape (6,).
        counts: number of items in each cell, shape (6,).
        clusters: number of clusters, or None where each unit is an item.
        most: the largest weight in each cell, 0 where it is empty, shape (6,).
        least: the smallest weight of all.
    """

    units: Floats
    squares: Floats
    counts: NDArray[np.int64]
    clusters: int | None
    most: Floats
    least: float

    @cached_property
    def kinds(self) -> tuple[Floats, NDArray[np.int64]]:
        """The units that differ, shape (K, 6), and how many there are of each, shape (K,)."""
        return np.unique(self.units, axis=0, return_counts=True)

    @property
    def table(self) -> Floats:
        """Weights in each cell, shape (6,)."""
        kinds, counts = self.kinds
        return np.asarray(counts @ kinds, np.float64)

    @property
    def n_eff(self) -> float:
        """Kish's effective number of all items: (sum w)^2 / sum w^2."""
        return float(self.table.sum() ** 2 / self.squares.sum())

    def under(self, policy: str) -> Weighted:
        """The same under a policy for abstentions; see `confusion.recode`."""
        units = recode(self.units, policy)
        squares, counts = recode(self.squares, policy), recode(self.counts, policy)
        kept = units[units.sum(axis=1) > 0]
        groups = None if self.clusters is None else len(kept)
        most = recode(np.diag(self.most), policy).max(axis=0)
        return Weighted(kept, squares, counts, groups, most, self.least)

    def interval(self, proportion: Proportion, level: float) -> Interval:
        """Wilson at the effective items of the proportion's denominator."""
        kinds, counts = self.kinds
        hits, sizes = proportion.counts(kinds)
        won, of = (float(squares) for squares in proportion.counts(self.squares))
        return weighted_wilson(
            hits,
            sizes,
            counts,
            n=int(proportion.counts(self.counts)[1]),
            squares=(won, of - won),
            heaviest=float(self.heaviest[list(proportion.among)].max()),
            clustered=self.clusters is not None,
            level=level,
        )

    @property
    def heaviest(self) -> Floats:
        """The largest weight that an item of each cell has, or could have had, shape (6,).

        An empty cell may have missed the heaviest of all. Not so where the weights show by what the
        items were drawn: alike in each class of the expert's and not of the verdicts, or the other
        way round.
        """
        found = np.full(len(CELLS), self.most.max())
        by_label, by_verdict = self._alike(_LABELS), self._alike(_VERDICTS)
        if by_label != by_verdict:
            for cells in _LABELS if by_label else _VERDICTS:
                if self.counts[cells].any():
                    found[cells] = self.most[cells].max()
        return found

    def _alike(self, classes: Sequence[list[int]]) -> bool:
        """Whether the items of each class weigh the same."""
        squares = [self.squares[cells].sum() for cells in classes]
        largest = [self.most[cells].max() ** 2 * self.counts[cells].sum() for cells in classes]
        return np.allclose(squares, largest, atol=0)

    def resamples(self, draws: int, seed: int) -> WeightedResamples:
        """Resampled tables of weights."""
        return resample_weighted(
            *self.kinds,
            int(self.counts.sum()),
            self.heaviest,
            clusters=self.clusters,
            draws=draws,
            seed=seed,
        )

    def to_json(self) -> dict[str, Any]:
        """n_eff (Kish), min and max, as multiples of the mean weight."""
        mean = float(self.table.sum() / self.counts.sum())
        return {"n_eff": self.n_eff, "min": self.least / mean, "max": float(self.most.max()) / mean}


def weighted(
    expert: ArrayLike,
    judge: ArrayLike,
    weights: ArrayLike,
    groups: Sequence[Hashable | None] | None = None,
) -> Weighted | None:
    """Weights by cell and unit; None where all are equal, as equal weights say nothing.

    Summed in an order that the items' own does not change.

    Raises:
        ValueError: not one positive, finite weight an item; or see `Confusion.from_arrays`.
    """
    cells, given = item_cells(expert, judge), np.asarray(weights, np.float64)
    if given.shape != cells.shape or not (np.isfinite(given) & (given > 0)).all():
        raise ValueError(
            f"weights must be positive and finite, one an item; got shape {given.shape} for "
            f"{len(cells)} items"
        )
    if not given.size or given.min() == given.max():
        return None
    codes = np.arange(len(cells)) if groups is None else group_codes(groups, len(cells))
    clusters = int(codes.max()) + 1
    # A power of two changes no digit of the ratios, and no square is too large for a float.
    given = np.ldexp(given, -np.frexp(given.max())[1])
    order = np.lexsort((given, cells))
    cells, given, codes = cells[order], given[order], codes[order]
    units = np.bincount(codes * len(CELLS) + cells, given, clusters * len(CELLS))
    squares, most = np.bincount(cells, given**2, len(CELLS)), np.zeros(len(CELLS))
    np.maximum.at(most, cells, given)
    return Weighted(
        units=units.astype(np.float64).reshape(-1, len(CELLS)),
        squares=squares.astype(np.float64),
        counts=Confusion.from_arrays(expert, judge).table,
        clusters=None if clusters == len(cells) else clusters,
        most=most,
        least=float(given.min()),
    )
