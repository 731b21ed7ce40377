"""From a judge's verdicts on unlabelled traffic to its true pass rate: Rogan and Gladen.

For a random labelled sample of the same traffic `ppi` needs no assumption; this is for labelled
items that are older, or were chosen by label.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgelab.metrics.agreement import PROPORTIONS, Proportion
from judgelab.metrics.bootstrap import DRAWS, resample_clusters, resample_items
from judgelab.metrics.confusion import CELLS, recode
from judgelab.metrics.intervals import (
    Interval,
    check_level,
    critical,
    few_clusters,
    method_name,
    mover_mean,
)
from judgelab.metrics.reweighting import share_metric
from judgelab.metrics.scorecard import Metric

MOST_BY_CHANCE = 0.01
ASSUMPTIONS = {
    "same_recalls": "the judge's recalls are the same on the labelled items and on the unlabelled",
    "random_sample": "the labelled items are a random sample of the same traffic",
}
REASONS = {
    "judge_not_better_than_chance": "recall of fail + recall of pass is 1 or less",
    "judge_may_be_chance": "the interval of recall of fail + recall of pass - 1 holds 0",
    "transport_assumption_failed": "no pass rate explains this share with these recalls: the "
    "unlabelled traffic differs from the labelled items",
    "recall_at_end": "a bootstrap sees no error of a recall of 0 or 1; the formula does",
    "resamples_not_better_than_chance": "too many resamples have a judge no better than chance",
}
_JUDGE_PASSES = Proportion((0,), (0, 1))


@dataclass(frozen=True)
class PassRate:
    """An estimate of the share of traffic that the expert would pass.

    Attributes:
        value: within [0, 1]; None where it is refused, with `reason` (see `REASONS`).
        interval: cut to [0, 1]; its `undefined_share` counts resamples no better than chance.
        reason: why there is no value or no interval.
        raw: the estimate before it was cut to [0, 1], also where it is refused as an answer.
        judge_pass: the judge's own pass rate on the unlabelled items.
        youden: recall_pass + recall_fail - 1: what the judge is better than chance by.
        assumption: code of what must hold; `ASSUMPTIONS` has it in words.
    """

    value: float | None
    interval: Interval
    judge_pass: Metric
    youden: Metric
    reason: str | None = None
    raw: float | None = None
    assumption: str = "same_recalls"

    @property
    def clipped(self) -> bool:
        """Whether `raw` lies outside [0, 1]."""
        return self.raw is not None and not 0 <= self.raw <= 1

    def to_json(self) -> dict[str, Any]:
        """The metric's keys, what it was made of, and the assumption. Holds no NaN."""
        return {
            **Metric(self.value, self.interval, self.reason).to_json(),
            "raw": self.raw,
            "clipped": self.clipped,
            "judge_pass": self.judge_pass.to_json(),
            "youden": self.youden.to_json(),
            "assumption": self.assumption,
        }


@dataclass(frozen=True)
class Bounds:
    """The pass rate with every abstention counted as a pass, and as a fail, on both sides."""

    as_pass: PassRate
    as_fail: PassRate

    @property
    def limits(self) -> tuple[float, float] | None:
        """From the lowest to the highest limit; None where either has none."""
        ends = [
            end
            for rate in (self.as_pass, self.as_fail)
            for end in (rate.interval.lo, rate.interval.hi)
        ]
        known = [end for end in ends if end is not None]
        return (min(known), max(known)) if len(known) == len(ends) else None

    def to_json(self) -> dict[str, Any]:
        """Both estimates and the limits around them."""
        return {
            "as_pass": self.as_pass.to_json(),
            "as_fail": self.as_fail.to_json(),
            "limits": None if self.limits is None else list(self.limits),
        }


def rogan_gladen(
    labelled: ArrayLike,
    judge_pass: ArrayLike,
    judge_total: ArrayLike,
    *,
    bootstrap: bool = False,
    level: float = 0.95,
    seed: int = 0,
    draws: int = DRAWS,
) -> PassRate:
    """(p + recall_fail - 1) / J, J = recall_pass + recall_fail - 1: the pass rate of the traffic.

    The errors of the labelled items and of the unlabelled both count: by the adjusted interval
    of Lang and Reiczigel, or by resampling both sides (percentiles). Clusters: at the effective
    number of items, or by resampling whole clusters. Refused, with a reason: a judge that is not
    surely better than chance, limits wholly outside [0, 1], and a bootstrap with more than 1 %
    of resamples no better than chance, or with a recall of 0 or 1, whose error it cannot see.

    Sources: Rogan and Gladen 1978, American Journal of Epidemiology 107(1); Lang and Reiczigel
    2014, Preventive Veterinary Medicine 113(1), eq. 4 (its typing error put right), 6, 7, 16, 17.

    Args:
        labelled: tp, fn, fp, tn of the labelled items, shape (4,), or of each cluster, (G, 4).
        judge_pass: unlabelled items that the judge passes, or of each cluster, shape (H,).
        judge_total: unlabelled items, aligned with `judge_pass`.
        bootstrap: resample, in place of the formula.
        level: nominal coverage.
        seed: of the bootstrap.
        draws: number of resamples.

    Raises:
        ValueError: other shapes, negative counts, abstentions that were not recoded, or a level
            outside (0, 1).

    Example:
        >>> rogan_gladen([40, 10, 5, 95], 700, 1000).value
        0.6666666666666667
    """
    check_level(level)
    tables, passes = _labelled(labelled), _unlabelled(judge_pass, judge_total)
    shares = [
        share_metric(PROPORTIONS["recall_fail"], tables, level),
        share_metric(PROPORTIONS["recall_pass"], tables, level),
        share_metric(_JUDGE_PASSES, passes, level),
    ]
    clusters = [len(side) for side in (tables, passes) if side.ndim == 2]
    youden = _youden(shares[0], shares[1])
    name = method_name("bootstrap" if bootstrap else "lang_reiczigel", False, bool(clusters))
    n = int(tables.sum() + passes.sum())
    none = Interval(None, None, name, level, n, clusters=min(clusters, default=None))
    rate = PassRate(None, none, judge_pass=shares[2], youden=youden)
    if reason := _refusal(shares, youden):
        return _refused(rate, reason)
    fail, passed, judge = (share.value or 0.0 for share in shares)
    raw = (judge + fail - 1) / (passed + fail - 1)
    rate = replace(rate, raw=raw)
    if youden.interval.lo is None or youden.interval.lo <= 0:
        return _refused(rate, youden.interval.reason or "judge_may_be_chance")
    if not bootstrap:
        return _cut(rate, raw, _lang_reiczigel(none, shares))
    if {fail, passed} & {0.0, 1.0}:
        return _cut(rate, raw, replace(none, reason="recall_at_end"))
    return _cut(rate, raw, _bootstrap(none, tables, passes, draws, seed))


def abstention_bounds(
    labelled: ArrayLike,
    judge_pass: int,
    judge_fail: int,
    judge_abstained: int,
    *,
    level: float = 0.95,
) -> Bounds:
    """`rogan_gladen` with all abstentions as passes and as fails, on both sides alike.

    Args:
        labelled: a table of six cells (see `confusion.CELLS`), shape (6,), or (G, 6).
        judge_pass: unlabelled items that the judge passes.
        judge_fail: those that it fails.
        judge_abstained: those without a verdict.
        level: nominal coverage.
    """
    tables = np.asarray(labelled, np.int64)
    total = judge_pass + judge_fail + judge_abstained
    return Bounds(
        *(
            rogan_gladen(recode(tables, policy), judge_pass + more, total, level=level)
            for policy, more in (("as_pass", judge_abstained), ("as_fail", 0))
        )
    )


def apart(first: Interval, second: Interval) -> bool:
    """Whether two intervals of the same pass rate have nothing in common: one's assumption fails.

    Without limits of both there is nothing to say.
    """
    ends = (first.lo, first.hi, second.lo, second.hi)
    if any(end is None for end in ends):
        return False
    a_lo, a_hi, b_lo, b_hi = (float(end) for end in ends if end is not None)
    return a_hi < b_lo or b_hi < a_lo


def _labelled(tables: ArrayLike) -> NDArray[np.int64]:
    given = np.asarray(tables, np.int64)
    if given.ndim not in (1, 2) or given.shape[-1] not in (4, len(CELLS)) or (given < 0).any():
        raise ValueError(
            f"labelled must hold tp, fn, fp, tn, shape (4,) or (clusters, 4); got {given.shape}"
        )
    if given[..., 4:].any():
        raise ValueError("labelled holds abstentions: recode both sides, or use abstention_bounds")
    return np.pad(given[..., :4], [(0, 0)] * (given.ndim - 1) + [(0, 2)])


def _unlabelled(passes: ArrayLike, totals: ArrayLike) -> NDArray[np.int64]:
    """Passes and the others, shape (2,) or (H, 2)."""
    won, all_of = np.asarray(passes, np.int64), np.asarray(totals, np.int64)
    if won.shape != all_of.shape or won.ndim > 1 or (won < 0).any() or (won > all_of).any():
        raise ValueError("needs 0 <= judge_pass <= judge_total, two numbers or aligned arrays")
    return np.stack([won, all_of - won], axis=-1)


def _youden(fail: Metric, passed: Metric) -> Metric:
    """J and its interval: twice the mean of the two recalls, minus 1 (MOVER)."""
    if fail.value is None or passed.value is None:
        values = (0.0, 0.0)
        return Metric(None, mover_mean(values, (fail.interval, passed.interval)), "no_recall")
    mean = mover_mean((fail.value, passed.value), (fail.interval, passed.interval))
    lo, hi = (None if end is None else 2 * end - 1 for end in (mean.lo, mean.hi))
    return Metric(fail.value + passed.value - 1, replace(mean, lo=lo, hi=hi))


def _refusal(shares: list[Metric], youden: Metric) -> str | None:
    names = ("no_expert_fails", "no_expert_passes", "no_unlabelled")
    for share, name in zip(shares, names, strict=True):
        if share.value is None:
            return name
    by_chance = youden.value is not None and youden.value <= 0
    return "judge_not_better_than_chance" if by_chance else None


def _refused(rate: PassRate, reason: str) -> PassRate:
    return replace(rate, reason=reason, interval=replace(rate.interval, reason=reason))


def _cut(rate: PassRate, raw: float, interval: Interval) -> PassRate:
    """Cut the estimate and its limits to [0, 1]; refused where nothing is left of the limits."""
    value, lo, hi = min(1.0, max(0.0, raw)), interval.lo, interval.hi
    if lo is None or hi is None:
        return replace(rate, value=value, interval=interval, reason=interval.reason)
    if hi < 0 or lo > 1:
        return _refused(rate, "transport_assumption_failed")
    return replace(rate, value=value, interval=replace(interval, lo=max(0.0, lo), hi=min(1.0, hi)))


def _lang_reiczigel(none: Interval, shares: list[Metric]) -> Interval:
    z = critical(none.level, none.clusters)
    adjusted = [
        _adjusted(share, pseudo) for share, pseudo in zip(shares, (2.0, 2.0, z**2), strict=True)
    ]
    (fail, fail_n), (passed, passed_n), (judge, judge_n) = adjusted
    youden = fail + passed - 1
    rate = (judge + fail - 1) / youden
    by_pass = passed * (1 - passed) / passed_n
    by_fail = fail * (1 - fail) / fail_n
    shift = 2 * z**2 * (rate * by_pass - (1 - rate) * by_fail)
    variance = judge * (1 - judge) / judge_n + rate**2 * by_pass + (1 - rate) ** 2 * by_fail
    half = z * math.sqrt(variance) / youden
    return replace(
        none,
        lo=rate + shift - half,
        hi=rate + shift + half,
        warnings=few_clusters(none.clusters),
    )


def _adjusted(share: Metric, pseudo: float) -> tuple[float, float]:
    """A share with `pseudo` items added, half of them hits; and its number of items."""
    n = share.interval.n if share.interval.n_eff is None else share.interval.n_eff
    return ((share.value or 0.0) * n + pseudo / 2) / (n + pseudo), n + pseudo


def _bootstrap(
    none: Interval,
    tables: NDArray[np.int64],
    passes: NDArray[np.int64],
    draws: int,
    seed: int,
) -> Interval:
    streams = np.random.SeedSequence(seed).spawn(2)
    both = [
        (resample_items if side.ndim == 1 else resample_clusters)(
            side, draws=draws, rng=np.random.default_rng(stream)
        ).tables
        for side, stream in zip((tables, passes), streams, strict=True)
    ]
    fail, passed = (PROPORTIONS[name](both[0]) for name in ("recall_fail", "recall_pass"))
    youden = fail + passed - 1
    kept = youden > 0
    rates = (_JUDGE_PASSES(both[1])[kept] + fail[kept] - 1) / youden[kept]
    by_chance = 1 - float(kept.mean())
    found = replace(none, seed=seed, draws=draws, undefined_share=by_chance)
    if by_chance > MOST_BY_CHANCE:
        return replace(found, reason="resamples_not_better_than_chance")
    tail = (1 - none.level) / 2
    lo, hi = (float(q) for q in np.quantile(rates, [tail, 1 - tail]))
    return replace(found, lo=lo, hi=hi, warnings=few_clusters(none.clusters))
