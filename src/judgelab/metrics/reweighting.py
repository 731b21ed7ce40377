"""The same recalls in a population of another make-up: another prevalence, other strata."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgelab.metrics.agreement import Proportion
from judgelab.metrics.confusion import ABSTAINED_FAIL, ABSTAINED_PASS, CELLS, FN, FP, TN, TP
from judgelab.metrics.intervals import Interval, clustered_wilson, method_name, wilson
from judgelab.metrics.scorecard import Metric

_FAILS, _PASSES = (TP, FN, ABSTAINED_FAIL), (FP, TN, ABSTAINED_PASS)


@dataclass(frozen=True)
class Reweighted:
    """Metrics at a prevalence other than the labelled items'.

    Attributes:
        prevalence_fail: share of FAIL in the population.
        precision_fail: and `precision_pass`, `agreement` there, each with its interval.
        assumption: code of what must hold; `population.ASSUMPTIONS` has it in words.
    """

    prevalence_fail: float
    precision_fail: Metric
    precision_pass: Metric
    agreement: Metric
    assumption: str = "same_recalls"

    def to_json(self) -> dict[str, Any]:
        """The prevalence, the assumption and the three metrics. Holds no NaN."""
        names = ("precision_fail", "precision_pass", "agreement")
        return {
            "prevalence_fail": self.prevalence_fail,
            "assumption": self.assumption,
        } | {name: getattr(self, name).to_json() for name in names}


def reweighted(labelled: ArrayLike, prevalence_fail: float, level: float = 0.95) -> Reweighted:
    """Precision and agreement of the same judge where `prevalence_fail` of the items fail.

    precision_fail = 1 / (1 + r (1 - q) / q), q the prevalence and r the judge's share of false
    alarms over its recall of fail. The interval of r, a ratio of two independent shares, is MOVER
    on their Wilson intervals; the prevalence counts as known.

    Source: Donner and Zou 2012, Statistical Methods in Medical Research 21(4) (ratios by MOVER).

    Args:
        labelled: counts in the order of `confusion.CELLS`, the policy for abstentions applied,
            shape (6,) or of each cluster (G, 6); the abstained cells may be left out, shape (4,).
        prevalence_fail: between 0 and 1, both excluded.
        level: nominal coverage.

    Raises:
        ValueError: another shape, negative counts, a prevalence or a level outside (0, 1).

    Example:
        >>> round(reweighted([90, 10, 10, 90], 0.05).precision_fail.value, 3)
        0.321
    """
    if not 0 < prevalence_fail < 1:
        raise ValueError(f"prevalence_fail must lie between 0 and 1; got {prevalence_fail}")
    tables = np.asarray(labelled, np.int64)
    if tables.ndim not in (1, 2) or tables.shape[-1] not in (4, len(CELLS)) or (tables < 0).any():
        raise ValueError(
            f"labelled must hold tp, fn, fp, tn, shape (4,) or (clusters, 4); got {tables.shape}"
        )
    tables = np.pad(tables, [(0, 0)] * (tables.ndim - 1) + [(0, len(CELLS) - tables.shape[-1])])
    caught, missed, alarms, passed = (
        share_metric(Proportion((cell,), of), tables, level)
        for cell, of in ((TP, _FAILS), (FN, _FAILS), (FP, _PASSES), (TN, _PASSES))
    )
    return Reweighted(
        prevalence_fail=prevalence_fail,
        precision_fail=_precision(caught, alarms, prevalence_fail),
        precision_pass=_precision(passed, missed, 1 - prevalence_fail),
        agreement=_weighted_mean([caught, passed], [prevalence_fail, 1 - prevalence_fail]),
    )


def share_metric(share: Proportion, tables: NDArray[np.int64], level: float) -> Metric:
    """A share of items and its Wilson interval: of a table, or clustered, of one a cluster.

    Args:
        share: the cells it is made of.
        tables: counts, shape (C,) or (G, C).
        level: nominal coverage.
    """
    hits, among = share.counts(tables)
    n = int(among.sum())
    value = float(hits.sum() / n) if n else None
    if tables.ndim == 2:
        return Metric(value, clustered_wilson(hits, among, level))
    return Metric(value, wilson(int(hits), n, level))


def _weighted_mean(parts: list[Metric], weights: list[float]) -> Metric:
    whole = _whole(parts)
    if any(part.value is None for part in parts):
        return Metric(None, replace(whole, reason="empty_class"), "empty_class")
    value = math.fsum(w * (part.value or 0.0) for w, part in zip(weights, parts, strict=True))
    below, above = [], []
    for weight, part in zip(weights, parts, strict=True):
        if part.value is None or part.interval.lo is None or part.interval.hi is None:
            return Metric(value, replace(whole, reason=part.interval.reason))
        below.append(weight * (part.value - part.interval.lo))
        above.append(weight * (part.interval.hi - part.value))
    return Metric(
        value, replace(whole, lo=value - math.hypot(*below), hi=value + math.hypot(*above))
    )


def _precision(hit: Metric, slip: Metric, prevalence: float) -> Metric:
    """Of one class: `hit` of its own items get its verdict, `slip` of the other's."""
    whole = _whole([hit, slip])
    if hit.value is None or slip.value is None:
        return Metric(None, replace(whole, reason="empty_class"), "empty_class")
    if hit.value == slip.value == 0:
        return Metric(None, replace(whole, reason="never_said"), "never_said")
    odds = prevalence / (1 - prevalence)

    def precision(ratio: float) -> float:
        return odds / (odds + ratio)

    value = odds * hit.value / (odds * hit.value + slip.value)
    ends = (hit.interval.lo, hit.interval.hi, slip.interval.lo, slip.interval.hi)
    if any(end is None for end in ends):
        return Metric(value, replace(whole, reason=hit.interval.reason or slip.interval.reason))
    least, most = _ratio_limits(slip, hit)
    return Metric(value, replace(whole, lo=precision(most), hi=precision(least)))


def _ratio_limits(above: Metric, below: Metric) -> tuple[float, float]:
    """MOVER limits of above / below, written so that nothing is divided by what may vanish."""
    a, a_lo, a_hi = above.value or 0.0, above.interval.lo or 0.0, above.interval.hi or 0.0
    b, b_lo, b_hi = below.value or 0.0, below.interval.lo or 0.0, below.interval.hi or 0.0
    product = a * b
    root = math.sqrt(max(0.0, product**2 - a_lo * b_hi * (2 * a - a_lo) * (2 * b - b_hi)))
    least = a_lo * (2 * a - a_lo) / (product + root) if a_lo else 0.0
    if not b_lo:
        return least, math.inf
    root = math.sqrt(max(0.0, product**2 - a_hi * b_lo * (2 * a - a_hi) * (2 * b - b_lo)))
    return least, (product + root) / (b_lo * (2 * b - b_lo))


def _whole(parts: list[Metric]) -> Interval:
    intervals = [part.interval for part in parts]
    clusters = [i.clusters for i in intervals if i.clusters is not None]
    return Interval(
        None,
        None,
        method_name("mover_wilson", False, bool(clusters)),
        intervals[0].level,
        sum(i.n for i in intervals),
        clusters=min(clusters, default=None),
        warnings=tuple(dict.fromkeys(w for i in intervals for w in i.warnings)),
    )
