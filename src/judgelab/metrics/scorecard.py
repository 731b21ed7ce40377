"""Everything one judge's verdicts say against the expert's labels, with its intervals."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgelab.metrics.agreement import METRICS, PROPORTIONS, Proportion, estimate_of
from judgelab.metrics.bootstrap import (
    DRAWS,
    Statistic,
    bootstrap_interval,
    resample_clusters,
    resample_items,
)
from judgelab.metrics.confusion import Confusion, apply_policy, group_tables, recode
from judgelab.metrics.intervals import (
    Interval,
    check_level,
    clustered_wilson,
    method_name,
    mover_mean,
    wilson,
)
from judgelab.metrics.policies import Policy, check_policy
from judgelab.metrics.weighting import Weighted, weighted

if TYPE_CHECKING:
    from judgelab.metrics.repeats import Repeats

FEW_ITEMS, FEW_OF_A_CLASS = 30, 10
WIDE_ITEMS, WIDE_OF_A_CLASS = 100, 25


def lacking(
    fails: int, passes: int, items: int = FEW_ITEMS, of_a_class: int = FEW_OF_A_CLASS
) -> str:
    """What there is too little of for a claim, e.g. "9 fails"; empty where there is enough."""
    counts = ((fails, "fail", "fails"), (passes, "pass", "passes"))
    few = [_count(*count) for count in counts if count[0] < of_a_class]
    if not few and fails + passes < items:
        few = [_count(fails + passes, "item", "items")]
    return ", ".join(few)


_FAILING = Proportion(PROPORTIONS["recall_fail"].among, PROPORTIONS["agreement"].among)


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
        weights: sampling weights, or None where all items stand for equally many. The confusion
            stays one of items; the metrics and the prevalence are weighted.
        repeats: how the judge agrees with itself, where items were judged more than once.
    """

    confusion: Confusion
    policy: Policy
    metrics: Mapping[str, Metric]
    clusters: int | None = None
    weights: Weighted | None = None
    repeats: Repeats | None = None

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
        """Share of the items that the expert fails, by weight if weighted; None without items."""
        if self.weights is not None:
            return float(_FAILING(self.weights.table))
        return self.confusion.fails / self.n if self.n else None

    @property
    def n_excluded(self) -> int | None:
        """Items that policy `exclude` dropped; None under the other policies."""
        return self.confusion.abstained if self.policy == "exclude" else None

    @property
    def reliability(self) -> str | None:
        """e.g. "low (9 fails)" under 30 scored items or 10 of a class, else None."""
        scored = apply_policy(self.confusion, self.policy)
        few = lacking(scored.fails, scored.passes)
        return f"low ({few})" if few else None

    @property
    def caution(self) -> str | None:
        """A softer word under 100 scored items or 25 of a class; None where reliability is low."""
        scored = apply_policy(self.confusion, self.policy)
        few = lacking(scored.fails, scored.passes, WIDE_ITEMS, WIDE_OF_A_CLASS)
        return f"wide intervals (only {few})" if few and not self.reliability else None

    @property
    def warnings(self) -> tuple[str, ...]:
        """The different warnings of the intervals, in the order of the metrics."""
        found = [warning for m in self.metrics.values() for warning in m.interval.warnings]
        return tuple(dict.fromkeys(found))

    def to_json(self, name: str) -> dict[str, Any]:
        """The object that `judgelab score --json` prints for the judge `name`. Holds no NaN."""
        extras = {
            "n_excluded": self.n_excluded,
            "weights": self.weights and self.weights.to_json(),
            "repeats": self.repeats and self.repeats.to_json(),
        }
        return {
            "judge": name,
            "n": self.n,
            "coverage": self.coverage,
            **{key: value for key, value in extras.items() if value is not None},
            "positive": "fail",
            "policy": self.policy,
            "prevalence_fail": self.prevalence_fail,
            "reliability": self.reliability,
            "caution": self.caution,
            "confusion": asdict(self.confusion),
            "metrics": {key: metric.to_json() for key, metric in self.metrics.items()},
        }


def scorecard(
    expert: ArrayLike,
    judge: ArrayLike,
    *,
    groups: Sequence[Hashable | None] | None = None,
    weights: ArrayLike | None = None,
    policy: str = "error",
    level: float = 0.95,
    seed: int = 0,
    draws: int = DRAWS,
) -> Scorecard:
    """Score verdicts against expert labels.

    Proportions have a Wilson interval (precision: given the number of verdicts of that class),
    balanced accuracy MOVER on those of the two recalls, everything else a BCa bootstrap. Where
    items share a group, all intervals are clustered by it. Where
    items carry weights, the estimates are weighted, Wilson stands at the effective number of items
    and the bootstrap is the Bayesian one, with room for heavy items that are not there.

    Args:
        expert: bool, shape (n,); True = fail.
        judge: integers, shape (n,); 1 = fail, 0 = pass, -1 = abstained.
        groups: one hashable value an item, e.g. the conversation; None = a group of its own.
        weights: one positive number an item, the inverse of the probability with which it came
            into the sample, shape (n,); equal weights are no weights.
        policy: what an abstention counts as: error, as_fail, as_pass or exclude.
        level: nominal coverage of the intervals.
        seed: of the bootstrap; the same arrays and seed give the same numbers in any row order.
        draws: number of resamples.

    Raises:
        ConfigError: an unknown policy.
        ValueError: arrays that are not aligned or hold other values, weights that are not positive,
            a level outside (0, 1), or draws < 1.

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
    given = None if weights is None else weighted(expert, judge, weights, groups)
    sample = _Sample(
        apply_policy(confusion, policy),
        None if tables is None else recode(tables, policy),
        None if given is None else given.under(policy),
    )
    resampled = sample.resampled(draws, seed)
    few_of_a_class = min(sample.scored.fails, sample.scored.passes) < FEW_OF_A_CLASS

    metrics: dict[str, Metric] = {}
    for name in METRICS:
        point = estimate_of(name, sample.table, sample.scored, confusion.n)
        if name in PROPORTIONS:
            interval = sample.interval(PROPORTIONS[name], level)
        elif name == "balanced_accuracy" and _by_recalls(metrics, sample):
            interval = _balanced_accuracy_interval(metrics, sample)
        elif resampled is None:
            interval = Interval(None, None, sample.method("bca"), level, 0, "no_items")
        else:
            interval = resampled(METRICS[name], level)
        if name not in PROPORTIONS and interval.lo is not None and few_of_a_class:
            interval = replace(interval, warnings=(*interval.warnings, "low_information"))
        metrics[name] = Metric(point.value, interval, point.reason)
    groups_seen = None if tables is None else len(tables)
    return Scorecard(confusion, policy, metrics, groups_seen, given)


@dataclass(frozen=True)
class _Sample:
    """The items under a policy: their counts, those of each cluster, their weights, if any."""

    scored: Confusion
    clusters: NDArray[np.int64] | None
    weights: Weighted | None

    @property
    def table(self) -> NDArray[Any]:
        return self.scored.table if self.weights is None else self.weights.table

    def method(self, name: str) -> str:
        return method_name(name, self.weights is not None, self.clusters is not None)

    def interval(self, proportion: Proportion, level: float) -> Interval:
        if self.weights is not None:
            return self.weights.interval(proportion, level)
        if self.clusters is not None:
            return clustered_wilson(*proportion.counts(self.clusters), level)
        hits, among = proportion.counts(self.scored.table)
        return wilson(int(hits), int(among), level)

    def resampled(self, draws: int, seed: int) -> Callable[[Statistic, float], Interval] | None:
        """The interval of any statistic, from the same resamples; None without items."""
        if self.scored.n == 0:
            return None
        if self.weights is not None:
            return self.weights.resamples(draws, seed).interval
        if self.clusters is None:
            return partial(
                bootstrap_interval, resample_items(self.scored.table, draws=draws, rng=seed)
            )
        return partial(bootstrap_interval, resample_clusters(self.clusters, draws=draws, rng=seed))


def _by_recalls(metrics: Mapping[str, Metric], sample: _Sample) -> bool:
    """Whether the recalls' intervals make that of their mean.

    Of independent items the two recalls are independent. Of clusters they are not: only where one
    is 0 or 1, to which a bootstrap is blind.
    """
    recalls = (metrics["recall_fail"].value, metrics["recall_pass"].value)
    if None in recalls:
        return False
    return sample.clusters is None or 0.0 in recalls or 1.0 in recalls


def _balanced_accuracy_interval(metrics: Mapping[str, Metric], sample: _Sample) -> Interval:
    fail, passed = metrics["recall_fail"], metrics["recall_pass"]
    values = (fail.value or 0.0, passed.value or 0.0)
    interval = replace(
        mover_mean(values, (fail.interval, passed.interval)), method=sample.method("mover_wilson")
    )
    if sample.clusters is None:
        return interval
    return replace(interval, clusters=int(np.count_nonzero(sample.clusters.sum(axis=-1))))


def _count(number: int, word: str, plural: str) -> str:
    return f"{number} {word if number == 1 else plural}"


def baselines(card: Scorecard) -> dict[str, dict[str, float]]:
    """What judges that never look would score on the same labels: always_pass and always_fail.

    Values of the metrics that are defined for them, without intervals; by weight if weighted.
    """
    table = card.confusion.table if card.weights is None else card.weights.table
    fails = float(table[list(_FAILING.hits)].sum())
    passes = float(table.sum()) - fails
    tables = {
        "always_pass": [0, fails, 0, passes, 0, 0],
        "always_fail": [fails, 0, passes, 0, 0, 0],
    }
    return {
        judge: {
            name: float(value)
            for name, metric in METRICS.items()
            if not np.isnan(value := metric(np.array(cells)))
        }
        for judge, cells in tables.items()
    }
