"""Bootstrap intervals of any function of a table of counts, over items or whole clusters.

A resample of items is one multinomial draw of the table, so nothing here grows with the items.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgelab.metrics.intervals import (
    Interval,
    check_level,
    critical,
    few_clusters,
    method_name,
)

DRAWS = 10_000
MOST_UNDEFINED = 0.05
_TIE = 1e-12  # values that differ by rounding alone are equal
CHUNK = 4_000_000  # weights held at once, so that many unlike clusters stay within memory

Statistic = Callable[[NDArray[Any]], NDArray[np.float64]]


@dataclass(frozen=True)
class Resamples:
    """Resampled tables of one data set, to be shared by every statistic of it.

    Attributes:
        observed: the table itself, shape (C,).
        tables: resampled tables, shape (B, C).
        left_out: the table without one unit, for each kind of unit, shape (U, C).
        units: number of units of each kind, shape (U,).
        clusters: number of clusters, or None where the units are items.
        seed: as given, or None where the caller passed a generator.
    """

    observed: NDArray[Any]
    tables: NDArray[np.float64]
    left_out: NDArray[Any]
    units: NDArray[np.int64]
    clusters: int | None
    seed: int | None


def resample_items(
    table: ArrayLike, *, draws: int = DRAWS, rng: int | np.random.Generator = 0
) -> Resamples:
    """Resample the items of one table, shape (C,), of any cells (e.g. the joint table of a pair).

    Raises:
        ValueError: a table without items, or draws < 1.
    """
    counts = np.asarray(table, np.int64)
    return _resample(np.eye(len(counts), dtype=np.int64), counts, None, draws, rng)


def resample_clusters(
    tables: ArrayLike, *, draws: int = DRAWS, rng: int | np.random.Generator = 0
) -> Resamples:
    """Resample whole clusters, given one table for each, shape (G, C).

    Alike clusters are exchangeable, so the draw is multinomial over the kinds of cluster: the
    order of the clusters and their names change nothing.
    Source: Cameron, Gelbach and Miller 2008, Review of Economics and Statistics 90(3), pairs
    cluster bootstrap.

    Raises:
        ValueError: no items at all, or draws < 1.
    """
    clusters = np.asarray(tables, np.int64)
    clusters = clusters[clusters.sum(axis=-1) > 0]
    kinds, counts = np.unique(clusters, axis=0, return_counts=True)
    return _resample(kinds, counts, len(clusters), draws, rng)


def _resample(
    kinds: NDArray[Any],
    counts: NDArray[np.int64],
    clusters: int | None,
    draws: int,
    rng: int | np.random.Generator,
) -> Resamples:
    if draws < 1 or counts.sum() < 1:
        raise ValueError(f"needs draws >= 1 and at least one item; got draws={draws}")
    kinds, counts = kinds[counts > 0], counts[counts > 0]
    generator = np.random.default_rng(rng)
    size = int(counts.sum())
    step = max(1, CHUNK // len(counts))
    tables = [
        generator.multinomial(size, counts / size, size=min(step, draws - start)).astype(float)
        @ kinds.astype(float)
        for start in range(0, draws, step)
    ]
    observed = counts @ kinds
    return Resamples(
        observed=observed,
        tables=np.concatenate(tables),
        left_out=observed - kinds,
        units=counts,
        clusters=clusters,
        seed=None if isinstance(rng, np.random.Generator) else rng,
    )


def bootstrap_interval(resamples: Resamples, statistic: Statistic, level: float = 0.95) -> Interval:
    """BCa limits of a statistic, the percentile limits beside them.

    No limits, and the reason, where: the estimate is undefined; there is one cluster; more than
    5 % of the resamples are undefined (fewer are left out, and their share is reported); every
    resample gives the same value, which says nothing of the error (e.g. a judge without a
    mistake); all lie on one side of the estimate, or it is undefined without some unit. Clusters:
    the levels are widened to t with G - 1 df; under 50 of them also a warning.

    Sources: Efron 1987, Journal of the American Statistical Association 82(397), with ties
    counted half and the acceleration by the jackknife; Hesterberg 2015, The American
    Statistician 69(4) (widened levels).

    Args:
        resamples: of items or of clusters.
        statistic: tables (..., C) to values (...), NaN where undefined.
        level: nominal coverage.

    Raises:
        ValueError: a level outside (0, 1).
    """
    clusters = resamples.clusters
    estimate = float(statistic(resamples.observed))
    values = statistic(resamples.tables)
    defined = values[~np.isnan(values)]
    undefined = (len(values) - len(defined)) / len(values)
    interval = Interval(
        None,
        None,
        method_name("bca", False, clusters is not None),
        check_level(level),
        int(resamples.observed.sum()),
        clusters=clusters,
        seed=resamples.seed,
        draws=len(values),
        undefined_share=undefined,
        warnings=few_clusters(clusters),
    )
    if np.isnan(estimate):
        return replace(interval, reason="undefined_estimate")
    if clusters == 1:
        return replace(interval, reason="one_cluster")
    if undefined > MOST_UNDEFINED:
        return replace(interval, reason="undefined_resamples")
    percentile = quantiles(defined, (1 - level) / 2, (1 + level) / 2)
    interval = replace(interval, percentile=percentile)
    if np.ptp(defined) <= _TIE:
        return replace(interval, reason="constant_resamples")
    ties = np.abs(defined - estimate) <= _TIE
    below = float(((defined < estimate) & ~ties).mean() + ties.mean() / 2)
    acceleration = _acceleration(statistic(resamples.left_out), resamples.units)
    if below in (0.0, 1.0) or math.isnan(acceleration):
        return replace(interval, reason="bca_undefined")
    lo, hi = quantiles(defined, *_bca_levels(below, acceleration, spread(level, clusters)))
    return replace(interval, lo=lo, hi=hi)


def quantiles(values: NDArray[np.float64], lower: float, upper: float) -> tuple[float, float]:
    """The values at two levels between 0 and 1."""
    lo, hi = np.quantile(values, [lower, upper])
    return float(lo), float(hi)


def spread(level: float, clusters: int | None) -> float:
    """z; of clusters t with G - 1 df, times sqrt(G / (G - 1)), which a bootstrap's spread lacks."""
    factor = 1.0 if clusters is None else math.sqrt(clusters / (clusters - 1))
    return critical(level, clusters) * factor


def _acceleration(values: NDArray[np.float64], units: NDArray[np.int64]) -> float:
    """Skewness of the jackknife / 6; 0 where leaving out any unit gives the same value."""
    mean = np.average(values, weights=units)
    distance = mean - values
    squares = float((units * distance**2).sum())
    return float((units * distance**3).sum()) / (6 * squares**1.5) if squares else 0.0


def _bca_levels(below: float, acceleration: float, spread: float) -> tuple[float, float]:
    normal = NormalDist()
    bias = normal.inv_cdf(below)

    def level(quantile: float) -> float:
        shift = bias + quantile
        scale = 1 - acceleration * shift
        # Past the pole the corrected level has reached its end.
        return normal.cdf(bias + shift / scale) if scale > 0 else float(shift > 0)

    return level(-spread), level(spread)
