"""How far people (or repeats of a judge) agree with each other: alpha, and two at a time."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgelab.metrics.bootstrap import (
    DRAWS,
    bootstrap_interval,
    resample_clusters,
    resample_items,
)
from judgelab.metrics.confusion import Confusion, group_codes, group_tables
from judgelab.metrics.intervals import Interval
from judgelab.metrics.scorecard import Metric, scorecard

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """Two raters on the items that both labelled; which of them comes first changes no digit.

    Attributes:
        n: items that both labelled.
        both_fail: items that both fail; `a_only` and `b_only` fail one, `both_pass` neither.
    """

    n: int
    both_fail: int
    a_only: int
    b_only: int
    both_pass: int
    agreement: Metric
    kappa: Metric

    def to_json(self) -> dict[str, Any]:
        """The counts, and both metrics as in a scorecard's JSON. Holds no NaN."""
        counts = {key: getattr(self, key) for key in ("both_fail", "a_only", "b_only", "both_pass")}
        return {
            "n": self.n,
            **counts,
            "agreement": self.agreement.to_json(),
            "kappa": self.kappa.to_json(),
        }


def krippendorff_alpha(
    values: ArrayLike,
    *,
    groups: Sequence[Hashable | None] | None = None,
    level: float = 0.95,
    seed: int = 0,
    draws: int = DRAWS,
) -> Metric:
    """Krippendorff's alpha for nominal values, with gaps; BCa bootstrap over items or groups.

    alpha = 1 - observed / expected disagreement. An item with one value pairs with nothing and
    is left out of `n`. None where nothing pairs (`no_pairs`) or where all values are the same
    (`constant`): there is then no disagreement to expect.
    Source: Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability".

    Args:
        values: codes >= 0, e.g. 1 = fail and 0 = pass, shape (raters, items); NaN, None or a
            negative code = missing.
        groups: one hashable value an item; whole groups are resampled where items share one.
        level: nominal coverage.
        seed: of the bootstrap.
        draws: number of resamples.

    Raises:
        ValueError: not two dimensions, a code that is no whole number, or groups that do not
            align.

    Example:
        >>> krippendorff_alpha([[1, 1, 0, 0], [1, 0, 0, -1]]).value
        0.4444444444444444
    """
    counts = _category_counts(values)
    codes = None if groups is None else group_codes(groups, len(counts))
    pairs = counts.sum(axis=1) > 1
    profiles, kind = np.unique(counts[pairs], axis=0, return_inverse=True)
    if not pairs.any():
        return Metric(None, Interval(None, None, "bca", level, 0, "no_pairs"), "no_pairs")

    def statistic(tables: NDArray[Any]) -> Floats:
        return _alpha(np.asarray(tables, np.float64), profiles)

    clustered = codes is not None and len(np.unique(codes[pairs])) < pairs.sum()
    if codes is not None and clustered:
        table = np.zeros((codes.max() + 1, len(profiles)), np.int64)
        np.add.at(table, (codes[pairs], kind), 1)
        resamples = resample_clusters(table, draws=draws, rng=seed)
    else:
        table = np.bincount(kind, minlength=len(profiles))
        resamples = resample_items(table, draws=draws, rng=seed)
    interval = bootstrap_interval(resamples, statistic, level)
    value = float(statistic(resamples.observed))
    if np.isnan(value):
        return Metric(None, interval, "constant")
    return Metric(value, interval)


def pairwise(
    a: ArrayLike,
    b: ArrayLike,
    *,
    groups: Sequence[Hashable | None] | None = None,
    level: float = 0.95,
    seed: int = 0,
    draws: int = DRAWS,
) -> Pair:
    """Agreement (Wilson) and kappa (BCa) of two raters, clustered where items share a group.

    Args:
        a: 1 = fail, 0 = pass, -1 (or NaN) = not labelled, shape (n,).
        b: likewise, aligned with `a`.
        groups: one hashable value an item.
        level: nominal coverage.
        seed: of the bootstrap.
        draws: number of resamples.

    Raises:
        ValueError: arrays that are not aligned, or hold anything else.
    """
    first, second = _labels(a), _labels(b)
    if first.shape != second.shape:
        raise ValueError(f"a and b must align, one value an item: {first.shape}, {second.shape}")
    both = (first >= 0) & (second >= 0)
    kept = None if groups is None else _picked(groups, both)
    said, turned = (first[both] == 1, second[both]), (second[both] == 1, first[both])
    # Of the two ways round the one whose table comes first, so that names decide no digit.
    one = min((said, turned), key=lambda pair: _order(pair[0], pair[1], kept))
    card = scorecard(one[0], one[1], groups=kept, level=level, seed=seed, draws=draws)
    counts = Confusion.from_arrays(said[0], said[1])
    return Pair(
        n=card.n,
        both_fail=counts.tp,
        a_only=counts.fn,
        b_only=counts.fp,
        both_pass=counts.tn,
        agreement=card.metrics["agreement"],
        kappa=card.metrics["kappa"],
    )


def _category_counts(values: ArrayLike) -> NDArray[np.int64]:
    """How often each item got each code, shape (items, codes)."""
    given = np.asarray(values, np.float64)
    if given.ndim != 2:
        raise ValueError(f"values must have the shape (raters, items); got {given.shape}")
    known = ~np.isnan(given) & ~(given < 0)
    if (given[known] != np.floor(given[known])).any():
        raise ValueError("values must be whole codes, e.g. 1 = fail and 0 = pass; NaN = missing")
    categories = np.unique(given[known])
    counts = [((given == category) & known).sum(axis=0) for category in categories]
    return np.array(counts, np.int64).reshape(len(categories), given.shape[1]).T


def _alpha(tables: Floats, profiles: NDArray[np.int64]) -> Floats:
    """alpha of tables (..., K) that count the items of each profile, shape (K, codes).

    Disagreement within an item: the unlike ordered pairs among its m values, divided by m - 1.
    """
    sizes = profiles.sum(axis=1)
    unlike = (sizes**2 - (profiles**2).sum(axis=1)) / (sizes - 1)
    totals = tables @ profiles
    n = totals.sum(axis=-1)
    expected = n**2 - (totals**2).sum(axis=-1)
    alpha: Floats = np.full(n.shape, np.nan)
    np.divide((n - 1) * (tables @ unlike), expected, out=alpha, where=expected > 0)
    return 1 - alpha


def _labels(values: ArrayLike) -> NDArray[np.int64]:
    given = np.asarray(values, np.float64)
    labels = np.where(np.isnan(given), -1, given)
    if labels.ndim != 1 or not np.isin(labels, (1, 0, -1)).all():
        raise ValueError("a rater's labels must be 1 = fail, 0 = pass or -1 = none, shape (n,)")
    return labels.astype(np.int64)


def _picked(groups: Sequence[Hashable | None], kept: NDArray[np.bool_]) -> list[Hashable | None]:
    if len(groups) != len(kept):
        raise ValueError(f"groups must have one entry an item: {len(groups)} for {len(kept)}")
    return [group for group, keep in zip(groups, kept, strict=True) if keep]


def _order(
    a: NDArray[np.bool_], b: NDArray[np.int64], groups: Sequence[Hashable | None] | None
) -> list[list[int]]:
    whole = Confusion.from_arrays(a, b).table.tolist()
    return [whole] if groups is None else [whole, *sorted(group_tables(a, b, groups).tolist())]
