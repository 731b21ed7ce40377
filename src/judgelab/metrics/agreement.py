"""Point estimates: one formula each, for one table or for thousands at once.

Every function takes tables of shape (..., 6) in the order of `confusion.CELLS`, the policy for
abstentions already applied (`confusion.recode`), and returns an array of shape (...): NaN where
the estimate is undefined, never 0. Abstentions that are still in a table count as wrong
(policy `error`). Positive class: FAIL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judgelab.errors import ConfigError
from judgelab.metrics.confusion import (
    ABSTAINED_FAIL,
    ABSTAINED_PASS,
    CELLS,
    FN,
    FP,
    TN,
    TP,
    Confusion,
    apply_policy,
)

Array = NDArray[np.float64]
Tables = NDArray[Any]


@dataclass(frozen=True)
class Proportion:
    """A share of items: those in the cells `hits` among those in the cells `among`."""

    hits: tuple[int, ...]
    among: tuple[int, ...]

    def counts(self, tables: Tables) -> tuple[Tables, Tables]:
        """(hits, among), each of shape (...)."""
        return (
            tables[..., list(self.hits)].sum(axis=-1),
            tables[..., list(self.among)].sum(axis=-1),
        )

    def __call__(self, tables: Tables) -> Array:
        return _ratio(*self.counts(tables))


@dataclass(frozen=True)
class _Counts:
    """Cells and margins of tables, as floats of shape (...)."""

    tp: Array
    tn: Array
    n: Array
    expert_fail: Array
    expert_pass: Array
    judge_fail: Array
    judge_pass: Array
    abstained: Array


def _counts(tables: Tables) -> _Counts:
    tp, fn, fp, tn, none_fail, none_pass = np.moveaxis(np.asarray(tables, np.float64), -1, 0)
    expert_fail, expert_pass = tp + fn + none_fail, fp + tn + none_pass
    return _Counts(
        tp=tp,
        tn=tn,
        n=expert_fail + expert_pass,
        expert_fail=expert_fail,
        expert_pass=expert_pass,
        judge_fail=tp + fp,
        judge_pass=tn + fn,
        abstained=none_fail + none_pass,
    )


def _ratio(numerator: Tables, denominator: Tables) -> Array:
    """numerator / denominator; NaN where the denominator is 0."""
    ratio: Array = np.full(np.shape(denominator), np.nan)
    np.divide(numerator, denominator, out=ratio, where=denominator != 0)
    return ratio


def f1_fail(tables: Tables) -> Array:
    """2 tp / (2 tp + fp + fn + abstained_fail): 0 where nothing is found, never undefined by it."""
    c = _counts(tables)
    return _ratio(2 * c.tp, c.expert_fail + c.judge_fail)


def f1_pass(tables: Tables) -> Array:
    """2 tn / (2 tn + fp + fn + abstained_pass)."""
    c = _counts(tables)
    return _ratio(2 * c.tn, c.expert_pass + c.judge_pass)


def balanced_accuracy(tables: Tables) -> Array:
    """Mean of recall_fail and recall_pass; undefined where the expert uses one class only."""
    return (PROPORTIONS["recall_fail"](tables) + PROPORTIONS["recall_pass"](tables)) / 2


def _chance(c: _Counts) -> Array:
    """n^2 times the agreement expected of independent raters; the expert never abstains."""
    return c.expert_fail * c.judge_fail + c.expert_pass * c.judge_pass


def kappa(tables: Tables) -> Array:
    """(po - pe) / (1 - pe); an abstention is a third category of the judge's.

    Source: Cohen 1960, Educational and Psychological Measurement 20(1).
    """
    c = _counts(tables)
    chance = _chance(c)
    return _ratio(c.n * (c.tp + c.tn) - chance, c.n**2 - chance)


def mcc(tables: Tables) -> Array:
    """Matthews correlation; with abstentions as a third category Gorodkin's R_K.

    Source: Gorodkin 2004, Computational Biology and Chemistry 28(5-6), eq. 8.
    """
    c = _counts(tables)
    expert = c.n**2 - c.expert_fail**2 - c.expert_pass**2
    judge = c.n**2 - c.judge_fail**2 - c.judge_pass**2 - c.abstained**2
    return _ratio(c.n * (c.tp + c.tn) - _chance(c), np.sqrt(expert * judge))


def gwet_ac1(tables: Tables) -> Array:
    """(po - pe) / (1 - pe), pe = 2 q (1 - q), q = mean share of FAIL over both raters.

    Undefined where a table holds abstentions: two raters, two categories.
    Source: Gwet 2008, British Journal of Mathematical and Statistical Psychology 61(1).
    """
    c = _counts(tables)
    fails = (c.expert_fail + c.judge_fail) / 2
    chance = 2 * fails * (c.n - fails)
    value = _ratio(c.n * (c.tp + c.tn) - chance, c.n**2 - chance)
    return np.where(c.abstained > 0, np.nan, value)


_FAILS, _PASSES = (TP, FN, ABSTAINED_FAIL), (FP, TN, ABSTAINED_PASS)
PROPORTIONS: Mapping[str, Proportion] = {
    "agreement": Proportion((TP, TN), tuple(range(len(CELLS)))),
    "precision_fail": Proportion((TP,), (TP, FP)),
    "recall_fail": Proportion((TP,), _FAILS),
    "precision_pass": Proportion((TN,), (TN, FN)),
    "recall_pass": Proportion((TN,), _PASSES),
}
METRICS: Mapping[str, Callable[[Tables], Array]] = {
    "agreement": PROPORTIONS["agreement"],
    "precision_fail": PROPORTIONS["precision_fail"],
    "recall_fail": PROPORTIONS["recall_fail"],
    "f1_fail": f1_fail,
    "precision_pass": PROPORTIONS["precision_pass"],
    "recall_pass": PROPORTIONS["recall_pass"],
    "f1_pass": f1_pass,
    "balanced_accuracy": balanced_accuracy,
    "kappa": kappa,
    "mcc": mcc,
    "gwet_ac1": gwet_ac1,
}


def check_metric(name: str) -> str:
    """The metric, if it is one.

    Raises:
        ConfigError: it is not.
    """
    if name not in METRICS:
        raise ConfigError(f"{name} is not a metric; choose one of {', '.join(METRICS)}")
    return name


@dataclass(frozen=True)
class Estimate:
    """A value, or None and the code of the reason why there is none."""

    value: float | None
    reason: str | None = None


def estimate(name: str, confusion: Confusion, policy: str = "error") -> Estimate:
    """One metric of one table, under a policy for abstentions.

    Raises:
        ConfigError: the metric or the policy is unknown.
    """
    scored = apply_policy(confusion, policy)
    return estimate_of(name, scored.table, scored, confusion.n)


def estimate_of(name: str, table: Tables, scored: Confusion, items: int) -> Estimate:
    """One metric of one table, shape (6,), of counts or of weights.

    Args:
        name: of the metric.
        table: the policy for abstentions already applied.
        scored: the counts of the same items, from which the reason is read.
        items: number of items before the policy.

    Raises:
        ConfigError: the metric is unknown.
    """
    check_metric(name)
    value = float(METRICS[name](table))
    if np.isnan(value):
        return Estimate(None, _why_undefined(name, scored, items))
    return Estimate(value)


def estimates(confusion: Confusion, policy: str = "error") -> dict[str, Estimate]:
    """Every metric of one table; see `estimate`."""
    return {name: estimate(name, confusion, policy) for name in METRICS}


def _why_undefined(name: str, scored: Confusion, items: int) -> str:
    if scored.n == 0:
        return "all_abstained" if items else "no_items"
    one_class = "no_expert_fails" if scored.fails == 0 else "no_expert_passes"
    reasons = {
        "precision_fail": "judge_never_fails",
        "precision_pass": "judge_never_passes",
        "recall_fail": one_class,
        "recall_pass": one_class,
        "balanced_accuracy": one_class,
        "f1_fail": "no_fails",
        "f1_pass": "no_passes",
        "kappa": "both_constant_and_equal",
        "mcc": "expert_constant" if 0 in (scored.fails, scored.passes) else "judge_constant",
        "gwet_ac1": "abstentions",
    }
    return reasons[name]
