"""Flips and shares, against independent implementations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, binomtest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from judgelab.metrics.effects import effect, upper
from judgelab.metrics.shares import share

ALONE = None  # a group of its own


def codes(seed: int, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.choice([1, 0, -1], n, p=[0.5, 0.4, 0.1]), rng.choice([1, 0, -1], n)


@pytest.mark.parametrize("seed", range(8))
def test_flips_and_p_values(seed: int) -> None:
    before, after = codes(seed)
    found = effect(before, after, [ALONE] * 60, 0.95)
    b, c = int(((before == 1) & (after == 0)).sum()), int(((before == 0) & (after == 1)).sum())
    assert (found["n"], found["to_pass"], found["to_fail"]) == (60, b, c)
    assert found["abstained"] == (after == -1).sum()
    table = [[0, b], [c, 0]]
    assert found["mcnemar_exact"] == pytest.approx(mcnemar(table, exact=True).pvalue)
    few = min(b, c)
    midp = 2 * binom.cdf(few - 1, b + c, 0.5) + binom.pmf(few, b + c, 0.5)
    assert found["p"] == found["mcnemar_midp"] == pytest.approx(midp)
    assert found["difference"]["value"] == (b - c) / 60
    assert found["difference"]["lo"] < (b - c) / 60 < found["difference"]["hi"]
    swapped = effect(after, before, [ALONE] * 60, 0.95)["difference"]
    assert swapped["lo"] == pytest.approx(-found["difference"]["hi"])


@pytest.mark.parametrize(("k", "n"), [(0, 1), (0, 30), (7, 30), (30, 30), (3, 200)])
def test_a_share_and_the_most_it_may_be(k: int, n: int) -> None:
    hits = np.arange(n) < k
    metric = share(hits, [ALONE] * n, 0.95)
    assert metric.value == k / n
    lo, hi = proportion_confint(k, n, method="wilson")
    assert (metric.interval.lo, metric.interval.hi) == (pytest.approx(lo), pytest.approx(hi))
    exact = binomtest(k, n).proportion_ci(0.95, "exact").high
    assert upper(hits, [ALONE] * n, 0.95) == pytest.approx(exact)


def test_a_guarantee_is_no_tighter_where_items_share_groups() -> None:
    hits = np.arange(40) < 10
    groups = [f"g{i // 10}" for i in range(40)]
    alone, shared = upper(hits, [ALONE] * 40, 0.95), upper(hits, groups, 0.95)
    assert alone is not None
    assert shared is not None
    assert shared > alone
    one = upper(hits, ["g"] * 40, 0.95)
    assert one == pytest.approx(alone), "one group says nothing of how alike they are"


def test_no_items_are_no_numbers() -> None:
    nothing = np.array([], dtype=np.int64)
    found = effect(nothing, nothing, [], 0.95)
    assert (found["n"], found["p"], found["detectable"]) == (0, 1, None)
    assert found["difference"]["value"] is None
    assert share(nothing.astype(bool), [], 0.95).value is None
    assert upper(nothing.astype(bool), [], 0.95) is None


def test_one_group_has_flips_but_no_interval() -> None:
    found = effect(np.ones(5, int), np.zeros(5, int), ["g"] * 5, 0.95)
    assert (found["to_pass"], found["clusters"], found["p"]) == (5, 1, 0.5)
    assert found["difference"]["lo"] is None
