"""How far a judge agrees with itself: K verdicts of each item."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgelab.metrics.bootstrap import (
    DRAWS,
    bootstrap_interval,
    resample_clusters,
    resample_items,
)
from judgelab.metrics.confusion import ABSTAINED, FAIL, PASS, group_codes
from judgelab.metrics.intervals import Interval, clustered_wilson, wilson
from judgelab.metrics.raters import krippendorff_alpha
from judgelab.metrics.scorecard import Metric

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Repeats:
    """K verdicts of each item, an abstention being a verdict of its own. K of them are one item.

    Attributes:
        k: the most verdicts that an item has.
        n: items with two or more.
        flip_rate: share of the items whose verdicts are not all the same.
        pairwise_disagreement: mean over the items of the share of unlike pairs of verdicts.
        alpha: Krippendorff's, nominal; None where all verdicts are the same.
    """

    k: int
    n: int
    flip_rate: Metric
    pairwise_disagreement: Metric
    alpha: Metric

    def to_json(self) -> dict[str, Any]:
        """k, n and the three metrics as in a scorecard's JSON. Holds no NaN."""
        names = ("flip_rate", "pairwise_disagreement", "alpha")
        return {"k": self.k, "n": self.n} | {name: getattr(self, name).to_json() for name in names}


def repeats(
    verdicts: ArrayLike,
    *,
    groups: Sequence[Hashable | None] | None = None,
    level: float = 0.95,
    seed: int = 0,
    draws: int = DRAWS,
) -> Repeats:
    """Flips, pairwise disagreement and alpha over items, clustered where they share a group.

    The flip rate has a Wilson interval, the others a BCa bootstrap over items. The disagreement
    takes the flip rate's interval where no item flips (it cannot be larger) or K is 2 (it is the
    flip rate).

    Args:
        verdicts: 1 = fail, 0 = pass, -1 = abstained, NaN = not asked, shape (items, K).
        groups: one hashable value an item.
        level: nominal coverage.
        seed: of the bootstrap.
        draws: number of resamples.

    Raises:
        ValueError: another shape or other values.

    Example:
        >>> repeats([[1, 1, 1], [0, 1, 0], [-1, 0, 0], [0, 0, 0]]).flip_rate.value
        0.5
    """
    given = np.asarray(verdicts, np.float64)
    known = ~np.isnan(given)
    if given.ndim != 2 or not np.isin(given[known], (FAIL, PASS, ABSTAINED)).all():
        raise ValueError(
            "verdicts must be 1 = fail, 0 = pass, -1 = abstained or NaN = not asked, of shape "
            f"(items, K); got shape {given.shape}"
        )
    codes = None if groups is None else group_codes(groups, len(given))
    counts = np.stack([(given == code).sum(axis=1) for code in (PASS, FAIL, ABSTAINED)], axis=1)
    pairs = counts.sum(axis=1) > 1
    n, k = int(pairs.sum()), int(known.sum(axis=1).max(initial=0))
    counts, codes = counts[pairs], None if codes is None else codes[pairs]
    if codes is not None and len(np.unique(codes)) == n:
        codes = None
    flips = (counts > 0).sum(axis=1) > 1
    flip_rate = _share(flips, codes, level)
    disagreement = flip_rate
    if n and k > 2:
        disagreement = _mean_unlike(counts, codes, level=level, seed=seed, draws=draws)
        if not flips.any():
            disagreement = replace(disagreement, interval=flip_rate.interval)
    # An abstention is a verdict, and no gap.
    alike = np.where(known, np.where(given == ABSTAINED, 2, given), np.nan)
    return Repeats(
        k=k,
        n=n,
        flip_rate=flip_rate,
        pairwise_disagreement=disagreement,
        alpha=krippendorff_alpha(alike.T, groups=groups, level=level, seed=seed, draws=draws),
    )


def _share(hits: NDArray[np.bool_], codes: Counts | None, level: float) -> Metric:
    if not len(hits):
        return Metric(None, Interval(None, None, "wilson", level, 0, "no_items"), "no_items")
    if codes is None:
        return Metric(float(hits.mean()), wilson(int(hits.sum()), len(hits), level))
    won = np.bincount(codes, hits).astype(np.int64)
    return Metric(float(hits.mean()), clustered_wilson(won, np.bincount(codes), level))


def _mean_unlike(
    counts: Counts, codes: Counts | None, *, level: float, seed: int, draws: int
) -> Metric:
    """Mean over items of the share of unlike pairs, from the kinds of item and how many of each."""
    kinds, kind = np.unique(counts, axis=0, return_inverse=True)
    size = kinds.sum(axis=1)
    unlike = 1 - (kinds * (kinds - 1)).sum(axis=1) / (size * (size - 1))

    def mean(tables: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(tables @ unlike / tables.sum(axis=-1), np.float64)

    if codes is None:
        resamples = resample_items(np.bincount(kind), draws=draws, rng=seed)
    else:
        tables = np.zeros((int(codes.max()) + 1, len(kinds)), np.int64)
        np.add.at(tables, (codes, kind), 1)
        resamples = resample_clusters(tables, draws=draws, rng=seed)
    return Metric(float(mean(resamples.observed)), bootstrap_interval(resamples, mean, level))
