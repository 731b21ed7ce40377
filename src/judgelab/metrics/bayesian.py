"""The bootstrap of items that stand for unequally many others, and may hide others as heavy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from judgelab.metrics.bootstrap import CHUNK, MOST_UNDEFINED, Statistic, quantiles, spread
from judgelab.metrics.confusion import FN, FP, TN, TP
from judgelab.metrics.intervals import Interval, check_level, few_clusters, method_name

Floats = NDArray[np.float64]
_PRIOR = 0.5  # items added to each cell of the 2x2 table


@dataclass(frozen=True)
class WeightedResamples:
    """Resampled tables of weights of one data set, to be shared by every statistic of it.

    Attributes:
        observed: the table itself, shape (6,).
        tables: resampled tables, shape (B, 6).
        items: number of items.
        clusters: number of clusters, or None where the units are items.
        seed: of the draws.
    """

    observed: Floats
    tables: Floats
    items: int
    clusters: int | None
    seed: int

    def interval(self, statistic: Statistic, level: float = 0.95) -> Interval:
        """Percentile limits of a statistic, moved where needed to hold its estimate.

        No limits, and the reason, where the estimate is undefined, there is one cluster, or more
        than 5 % of the resamples are undefined. Clusters: the levels are widened to t with G - 1
        df, as in `bootstrap_interval`.

        Args:
            statistic: tables (..., 6) to values (...), NaN where undefined.
            level: nominal coverage.

        Raises:
            ValueError: a level outside (0, 1).
        """
        estimate, values = float(statistic(self.observed)), statistic(self.tables)
        defined = values[~np.isnan(values)]
        undefined = 1 - len(defined) / len(values)
        reason = None
        if np.isnan(estimate):
            reason = "undefined_estimate"
        elif self.clusters == 1:
            reason = "one_cluster"
        elif undefined > MOST_UNDEFINED:
            reason = "undefined_resamples"
        lo = hi = None
        if reason is None:
            tail = NormalDist().cdf(-spread(level, self.clusters))
            lo, hi = quantiles(defined, tail, 1 - tail)
            lo, hi = min(lo, estimate), max(hi, estimate)
        return Interval(
            lo,
            hi,
            method_name("bayesian", True, self.clusters is not None),
            check_level(level),
            self.items,
            reason=reason,
            clusters=self.clusters,
            seed=self.seed,
            draws=len(values),
            undefined_share=undefined,
            warnings=few_clusters(self.clusters),
        )


def resample_weighted(
    kinds: Floats,
    counts: NDArray[np.int64],
    items: int,
    heaviest: Floats,
    *,
    clusters: int | None,
    draws: int,
    seed: int,
) -> WeightedResamples:
    """Bayesian bootstrap of items (or whole clusters) that carry sampling weights.

    Each unit counts as often as a standard exponential number says. A cell without a heavy item
    does not show that heavy items are never there: each cell of the 2x2 table has half an item
    of the largest weight it could hold beside its own, as in Jeffreys' prior. Resampling
    the items alone covers .86 at the least where they weigh 1 and 4 (scripts/check_statistics.py).

    Sources: Rubin 1981, Annals of Statistics 9(1); Brown, Cai and DasGupta 2001, Statistical
    Science 16(2) (Jeffreys' interval).

    Args:
        kinds: weights in each cell, one row a kind of item or of cluster, shape (K, 6).
        counts: number of units of each kind, shape (K,).
        items: number of items in them.
        heaviest: the largest weight that an item of each cell could have, shape (6,).
        clusters: number of clusters, or None where the units are items.
        draws: number of resamples.
        seed: of the draws.

    Raises:
        ValueError: no items at all, or draws < 1.
    """
    if draws < 1 or items < 1:
        raise ValueError(f"needs draws >= 1 and at least one item; got {draws} and {items}")
    generator = np.random.default_rng(seed)
    step = max(1, CHUNK // len(counts))

    def drawn() -> Iterator[Floats]:
        for start in range(0, draws, step):
            size = (min(step, draws - start), len(counts))
            yield generator.standard_gamma(np.broadcast_to(counts, size)) @ kinds

    tables = np.concatenate(list(drawn()))
    square = [TP, FN, FP, TN]
    tables[:, square] += heaviest[square] * generator.standard_gamma(_PRIOR, (draws, 4))
    return WeightedResamples(counts @ kinds, tables, items, clusters, seed)
