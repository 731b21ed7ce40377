"""Everything one judge's verdicts say against the expert's labels, with its intervals."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgelab.metrics.agreement import METRICS, PROPORTIONS, Proportion, estimate
from judgelab.metrics.bootstrap import (
    DRAWS,
    Resamples,
    bootstrap_interval,
    resample_clusters,
    resample_items,
)
from judgelab.metrics.confusion import (
    Confusion,
    apply_policy,
    group_tables,
    recode,
)
from judgelab.metrics.intervals import Interval, check_level, clustered_wilson, mover_mean, wilson
from judgelab.metrics.policies import Policy, check_policy

FEW_ITEMS, FEW_OF_A_CLASS = 30, 10


@dataclass(frozen=True)
class Metric:
    """A point estimate and its interval; `value` is None where it is undefined, with `reason`."""

    value: float | None
    interval: Interval
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """value, lo, hi, method, level, n; reason where the value or its limits are missing."""
        limits = self.interval.to_json()
        return {"value": self.value} | limits | ({"reason": self.reason} if self.reason else {})


@dataclass(frozen=True)
class Scorecard:
    """The scores of one judge. Positive class: FAIL.

    Attributes:
        confusion: counts before the policy for abstentions, so that nothing is hidden by it.
        policy: what an abstention counts as.
        metrics: one `Metric` for each name in `agreement.METRICS`, in that order.
        clusters: number of groups, or None where no two items share one.
    """

    confusion: Confusion
    policy: Policy
    metrics: Mapping[str, Metric]
    clusters: int | None = None

    @property
    def n(self) -> int:
        """All items, abstentions included."""
        return self.confusion.n

    @property
    def coverage(self) -> float | None:
        """Share of the items with a verdict; None without items."""
        return self.confusion.coverage

    @property
    def prevalence_fail(self) -> float | None:
        """Share of the items that the expert fails; None without items."""
        return self.confusion.fails / self.n if self.n else None

    @property
    def n_excluded(self) -> int | None:
        """Items that policy `exclude` dropped; None under the other policies."""
        return self.confusion.abstained if self.policy == "exclude" else None

    @property
    def reliability(self) -> str | None:
        """e.g. "low (9 fails)" under 30 scored items or 10 of a class, else None."""
        scored = apply_policy(self.confusion, self.policy)
        few = [
            _count(number, word, plural)
            for number, word, plural in (
                (scored.fails, "fail", "fails"),
                (scored.passes, "pass", "passes"),
            )
            if number < FEW_OF_A_CLASS
        ]
        if not few and scored.n < FEW_ITEMS:
            few = [_count(scored.n, "item", "items")]
        return f"low ({', '.join(few)})" if few else None

    @property
    def warnings(self) -> tuple[str, ...]:
        """The different warnings of the intervals, in the order of the metrics."""
        found = [warning for m in self.metrics.values() for warning in m.interval.warnings]
        return tuple(dict.fromkeys(found))

    def to_json(self, name: str) -> dict[str, Any]:
        """The object that `judgelab score --json` prints for the judge `name`. Holds no NaN."""
        excluded = {} if self.n_excluded is None else {"n_excluded": self.n_excluded}
        return {
            "judge": name,
            "n": self.n,
            "coverage": self.coverage,
            **excluded,
            "positive": "fail",
            "policy": self.policy,
            "prevalence_fail": self.prevalence_fail,
            "reliability": self.reliability,
            "confusion": asdict(self.confusion),
            "metrics": {key: metric.to_json() for key, metric in self.metrics.items()},
        }


def scorecard(
    expert: ArrayLike,
    judge: ArrayLike,
    *,
    groups: Sequence[Hashable | None] | None = None,
    policy: str = "error",
    level: float = 0.95,
    seed: int = 0,
    draws: int = DRAWS,
) -> Scorecard:
    """Score verdicts against expert labels.

    Proportions have a Wilson interval (precision: given the number of verdicts of that class),
    everything else a BCa bootstrap; balanced accuracy takes MOVER on the two Wilson intervals
    where a recall is 0 or 1. Where items share a group, all intervals are clustered by it.

    Args:
        expert: bool, shape (n,); True = fail.
        judge: integers, shape (n,); 1 = fail, 0 = pass, -1 = abstained.
        groups: one hashable value an item, e.g. the conversation; None = a group of its own.
        policy: what an abstention counts as: error, as_fail, as_pass or exclude.
        level: nominal coverage of the intervals.
        seed: of the bootstrap; the same arrays and seed give the same numbers in any row order.
        draws: number of resamples.

    Raises:
        ConfigError: an unknown policy.
        ValueError: arrays that are not aligned or hold other values, a level outside (0, 1), or
            draws < 1.

    Example:
        >>> card = scorecard([True, True, False], [1, -1, 0])
        >>> card.metrics["recall_fail"].value
        0.5
    """
    policy = check_policy(policy)
    check_level(level)
    confusion = Confusion.from_arrays(expert, judge)
    tables = None if groups is None else group_tables(expert, judge, groups)
    if tables is not None and len(tables) == confusion.n:
        tables = None
    scored = apply_policy(confusion, policy)
    clusters = None if tables is None else recode(tables, policy)
    resamples = _resamples(scored, clusters, draws, seed)
    few_of_a_class = min(scored.fails, scored.passes) < FEW_OF_A_CLASS

    metrics: dict[str, Metric] = {}
    for name in METRICS:
        point = estimate(name, confusion, policy)
        if name in PROPORTIONS:
            interval = _proportion_interval(PROPORTIONS[name], scored, clusters, level)
        elif name == "balanced_accuracy" and _recall_at_end(metrics):
            interval = _balanced_accuracy_interval(metrics, clusters)
        else:
            interval = _bootstrap_interval(name, resamples, clusters is not None, level)
        if name not in PROPORTIONS and interval.lo is not None and few_of_a_class:
            interval = replace(interval, warnings=(*interval.warnings, "low_information"))
        metrics[name] = Metric(point.value, interval, point.reason)
    return Scorecard(confusion, policy, metrics, None if tables is None else len(tables))


def _resamples(
    scored: Confusion, clusters: NDArray[np.int64] | None, draws: int, seed: int
) -> Resamples | None:
    if scored.n == 0:
        return None
    if clusters is None:
        return resample_items(scored.table, draws=draws, rng=seed)
    return resample_clusters(clusters, draws=draws, rng=seed)


def _proportion_interval(
    proportion: Proportion, scored: Confusion, clusters: NDArray[np.int64] | None, level: float
) -> Interval:
    if clusters is not None:
        return clustered_wilson(*proportion.counts(clusters), level)
    hits, among = proportion.counts(scored.table)
    return wilson(int(hits), int(among), level)


def _recall_at_end(metrics: Mapping[str, Metric]) -> bool:
    """Whether both recalls are defined and one is 0 or 1, where the bootstrap is blind to it."""
    recalls = (metrics["recall_fail"].value, metrics["recall_pass"].value)
    return None not in recalls and (0.0 in recalls or 1.0 in recalls)


def _balanced_accuracy_interval(
    metrics: Mapping[str, Metric], clusters: NDArray[np.int64] | None
) -> Interval:
    fail, passed = metrics["recall_fail"], metrics["recall_pass"]
    values = (fail.value or 0.0, passed.value or 0.0)
    interval = mover_mean(values, (fail.interval, passed.interval))
    if clusters is None:
        return interval
    groups = int(np.count_nonzero(clusters.sum(axis=-1)))
    return replace(interval, method="mover_wilson_clustered", clusters=groups)


def _bootstrap_interval(
    name: str, resamples: Resamples | None, clustered: bool, level: float
) -> Interval:
    if resamples is None:
        method = "bca_clustered" if clustered else "bca"
        return Interval(None, None, method, level, 0, "no_items")
    return bootstrap_interval(resamples, METRICS[name], level)


def _count(number: int, word: str, plural: str) -> str:
    return f"{number} {word if number == 1 else plural}"
