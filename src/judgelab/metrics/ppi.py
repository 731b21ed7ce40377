"""Prediction-powered inference: few labels of a random sample, many verdicts, one pass rate."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgelab.metrics.agreement import Proportion
from judgelab.metrics.bootstrap import DRAWS, resample_clusters, resample_items
from judgelab.metrics.confusion import Groups, count_tables, group_codes
from judgelab.metrics.intervals import (
    Interval,
    check_level,
    critical,
    few_clusters,
    method_name,
    wilson_limits,
)
from judgelab.metrics.reweighting import share_metric
from judgelab.metrics.scorecard import Metric

FEW_LABELS = 100
METHODS = ("wilson", "wald", "bootstrap")
# Cells of a labelled item: both pass it, the expert alone, the judge alone, neither.
_EXPERT_PASSES = Proportion((0, 1), (0, 1, 2, 3))
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Powered:
    """The pass rate from labels and verdicts together, and from the labels alone.

    Attributes:
        value: within [0, 1]; None without labels or verdicts, with `reason`.
        interval: cut to [0, 1]; `n` counts the labelled items, `n_eff` what they are worth here.
        labelled: the pass rate of the labels alone, with its Wilson interval.
        lam: weight of the verdicts: 0 = the labels alone, 1 = plain PPI.
        raw: the estimate before it was cut to [0, 1].
        standard_error: of `raw`, variances over n and N, as ppi_py.
        n_unlabelled: items with a verdict alone.
        worth: labels that would say as much without a judge; None where nothing varies or items
            are clustered.
        reason: why there is no value or no interval.
        assumption: code of what must hold; `population.ASSUMPTIONS` has it in words.
    """

    value: float | None
    interval: Interval
    labelled: Metric
    lam: float | None
    raw: float | None
    standard_error: float | None
    n_unlabelled: int
    worth: float | None
    reason: str | None = None
    assumption: str = "random_sample"

    @property
    def clipped(self) -> bool:
        """Whether `raw` lies outside [0, 1]."""
        return self.raw is not None and not 0 <= self.raw <= 1

    @property
    def gain(self) -> float | None:
        """Worth of each label: 1.0 where the verdicts add nothing."""
        return None if self.worth is None else self.worth / self.interval.n

    def to_json(self) -> dict[str, Any]:
        """The metric's keys, what the labels alone say, and the assumption. Holds no NaN."""
        return {
            **Metric(self.value, self.interval, self.reason).to_json(),
            "labelled": self.labelled.to_json(),
            "lam": self.lam,
            "raw": self.raw,
            "clipped": self.clipped,
            "standard_error": self.standard_error,
            "n_unlabelled": self.n_unlabelled,
            "worth": self.worth,
            "gain": self.gain,
            "assumption": self.assumption,
        }


def ppi(
    labelled_y: ArrayLike,
    labelled_yhat: ArrayLike,
    unlabelled_yhat: ArrayLike,
    *,
    lam: float | None = None,
    groups: Groups | None = None,
    unlabelled_groups: Groups | None = None,
    method: str = "wilson",
    level: float = 0.95,
    seed: int = 0,
    draws: int = DRAWS,
) -> Powered:
    """Share of PASS: lam mean(yhat unlabelled) + mean(y - lam yhat). Unbiased for any judge.

    Interval, by `method`, cut to [0, 1]:
    - wilson: Wilson's limits at the effective number of labels, p (1 - p) / Var, both from a
      labelled table with half an item added to each cell. In simulations it covers .95 to .98
      from 20 labels up; wald falls to .88 where the judge is seldom wrong or most items pass.
    - wald: normal with variances over n, as ppi_py; under 100 labels t with n - 1 df and
      variances over n - 1. None where nothing varies.
    - bootstrap: percentiles of resamples of both sides; the one that is taken, of whole groups,
      where items share a group.

    Source: Angelopoulos, Duchi and Zrnic 2023, arXiv 2311.01453 (PPI++; lam as in ppi_py: the
    covariance over n, the pooled variance over n + N - 1, cut to [0, 1]).

    Args:
        labelled_y: the expert passes the item, bool, shape (n,).
        labelled_yhat: the judge passes it, bool, aligned.
        unlabelled_yhat: the judge passes an unlabelled item, bool, shape (N,).
        lam: weight of the verdicts; None = the one with the least variance.
        groups: one hashable value a labelled item.
        unlabelled_groups: one hashable value an unlabelled item.
        method: of the interval: wilson, wald or bootstrap.
        level: nominal coverage.
        seed: of the bootstrap.
        draws: number of resamples.

    Raises:
        ValueError: arrays that are not bool or not aligned, another method, lam outside
            [0, 1], or a level outside (0, 1).

    Example:
        >>> ppi([True, True, False, True], [True, True, False, False], [True, False] * 50).value
        0.75
    """
    check_level(level)
    y, yhat, more = (_verdicts(a) for a in (labelled_y, labelled_yhat, unlabelled_yhat))
    if y.shape != yhat.shape:
        raise ValueError(f"labelled_y and labelled_yhat must align: {y.shape} and {yhat.shape}")
    if lam is not None and not 0 <= lam <= 1:
        raise ValueError(f"lam must lie in [0, 1]; got {lam}")
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}; got {method}")
    sides = (
        _tables(3 - 2 * y.astype(np.int64) - yhat, 4, groups),
        _tables(1 - more.astype(np.int64), 2, unlabelled_groups),
    )
    clusters = [len(side) for side in sides if side.ndim == 2]
    labels, verdicts = (side.reshape(-1, side.shape[-1]).sum(axis=0) for side in sides)
    alone = share_metric(_EXPERT_PASSES, sides[0], level)
    if clusters:
        method = "bootstrap"
    none = Interval(
        None,
        None,
        method_name(f"ppi_{method}", False, bool(clusters)),
        level,
        len(y),
        clusters=min(clusters, default=None),
    )
    if not len(y) or not len(more):
        reason = "no_labels" if not len(y) else "no_unlabelled"
        interval = replace(none, reason=reason)
        return Powered(None, interval, alone, None, None, None, len(more), None, reason)
    weight = float(_lam(labels, verdicts)) if lam is None else lam
    raw = float(_estimate(labels, verdicts, weight))
    variance = _variance(labels, verdicts, weight, ddof=0)
    if method == "bootstrap":
        interval = _percentiles(none, sides, lam, draws, seed)
    elif method == "wald":
        interval = _wald(none, raw, labels, verdicts, weight)
    else:
        interval = _wilson(none, raw, labels, verdicts, weight)
    p = alone.value or 0.0
    comparable = variance > 0 and 0 < p < 1 and not clusters
    return Powered(
        value=min(1.0, max(0.0, raw)),
        interval=interval,
        labelled=alone,
        lam=weight,
        raw=raw,
        standard_error=math.sqrt(variance),
        n_unlabelled=len(more),
        worth=p * (1 - p) / variance if comparable else None,
        reason=interval.reason,
    )


def _verdicts(values: ArrayLike) -> NDArray[np.bool_]:
    given = np.asarray(values)
    if given.ndim != 1 or (given.size and given.dtype != np.bool_):
        raise ValueError(f"needs bool arrays of shape (n,), True = pass; got {given.dtype}")
    return given.astype(np.bool_)


def _tables(cells: NDArray[np.int64], size: int, groups: Groups | None) -> NDArray[np.int64]:
    """Items in each cell, shape (size,); one row a group where items share one."""
    codes = None if groups is None else group_codes(groups, len(cells))
    if codes is None or len(np.unique(codes)) == len(cells):
        return np.bincount(cells, minlength=size)
    return count_tables(cells, codes, size)


def _shares(labels: NDArray[Any]) -> tuple[Floats, ...]:
    """n, and the shares that both pass, the expert alone, the judge alone."""
    n = labels.sum(axis=-1, keepdims=True)
    shares = labels / n
    return n[..., 0], shares[..., 0], shares[..., 1], shares[..., 2]


def _lam(labels: NDArray[Any], verdicts: NDArray[Any]) -> Floats:
    """cov(y, yhat) / ((1 + n / N) var(yhat)), the variance over both sides; 0 where there is none.

    Tables (..., 4) of both pass, the expert alone, the judge alone, neither; and (..., 2).
    """
    n, both, expert, judge = _shares(labels)
    more = verdicts.sum(axis=-1)
    mean = ((both + judge) * n + verdicts[..., 0]) / (n + more)
    pooled = mean * (1 - mean) * (n + more) / (n + more - 1) * (1 + n / more)
    lam: Floats = np.zeros(np.shape(mean))
    np.divide(both - (both + expert) * (both + judge), pooled, out=lam, where=pooled > 0)
    return np.clip(lam, 0, 1)


def _estimate(labels: NDArray[Any], verdicts: NDArray[Any], lam: float | Floats) -> Floats:
    _, both, expert, judge = _shares(labels)
    passes = verdicts[..., 0] / verdicts.sum(axis=-1)
    return np.asarray(both + expert + lam * (passes - both - judge))


def _variance(labels: NDArray[Any], verdicts: NDArray[Any], lam: float, ddof: int) -> float:
    """Of the estimate: lam^2 var(yhat) / N + var(y - lam yhat) / n."""
    n, both, expert, judge = (float(share) for share in _shares(labels))
    more = int(verdicts.sum())
    passes = float(verdicts[0] / more)
    mean = both + expert - lam * (both + judge)
    spread = both * (1 - lam) ** 2 + expert + judge * lam**2 - mean**2
    rest = lam**2 * passes * (1 - passes) / max(1, more - ddof)
    return max(0.0, spread) / (n - ddof) + rest


def _quantile(none: Interval) -> float:
    """z; under 100 labels t with n - 1 df, as the variance is estimated from as few."""
    if none.n >= FEW_LABELS:
        return critical(none.level)
    from scipy.special import stdtrit

    return float(stdtrit(max(1, none.n - 1), (1 + none.level) / 2))


def _wilson(
    none: Interval,
    raw: float,
    labels: NDArray[np.int64],
    verdicts: NDArray[np.int64],
    lam: float,
) -> Interval:
    more = labels + 0.5
    p = min(1.0, max(0.0, float(_estimate(more, verdicts, lam))))
    n_eff = p * (1 - p) / _variance(more, verdicts, lam, ddof=1)
    if n_eff <= 0:
        return replace(none, reason="nothing_varies")
    lo, hi = wilson_limits(min(1.0, max(0.0, raw)), n_eff, _quantile(none))
    return replace(none, lo=lo, hi=hi, n_eff=n_eff)


def _wald(
    none: Interval,
    raw: float,
    labels: NDArray[np.int64],
    verdicts: NDArray[np.int64],
    lam: float,
) -> Interval:
    few = none.n < FEW_LABELS
    if none.n < 2 or _variance(labels, verdicts, lam, ddof=0) <= 0:
        return replace(none, reason="nothing_varies")
    half = _quantile(none) * math.sqrt(_variance(labels, verdicts, lam, ddof=int(few)))
    return replace(none, lo=max(0.0, raw - half), hi=min(1.0, raw + half))


def _percentiles(
    none: Interval,
    sides: tuple[NDArray[np.int64], NDArray[np.int64]],
    lam: float | None,
    draws: int,
    seed: int,
) -> Interval:
    if any(side.ndim == 2 and len(side) < 2 for side in sides):
        return replace(none, reason="one_cluster")
    streams = np.random.SeedSequence(seed).spawn(2)
    labels, verdicts = (
        (resample_items if side.ndim == 1 else resample_clusters)(
            side, draws=draws, rng=np.random.default_rng(stream)
        ).tables
        for side, stream in zip(sides, streams, strict=True)
    )
    weights = _lam(labels, verdicts) if lam is None else lam
    rates = _estimate(labels, verdicts, weights)
    found = replace(none, seed=seed, draws=draws, warnings=few_clusters(none.clusters))
    if np.ptp(rates) <= 1e-12:
        return replace(found, reason="nothing_varies")
    tail = (1 - none.level) / 2
    lo, hi = (float(q) for q in np.quantile(rates, [tail, 1 - tail]))
    return replace(found, lo=max(0.0, lo), hi=min(1.0, hi))
