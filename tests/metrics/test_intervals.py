"""Intervals of proportions against statsmodels, scipy, exact coverage and by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from judgelab.metrics.intervals import (
    Interval,
    clopper_pearson,
    clustered_variance,
    clustered_wilson,
    critical,
    few_clusters,
    mover_mean,
    wilson,
    wilson_limits,
)

RNG = np.random.default_rng(3)
# Every share of small samples, with both ends, and a thousand random ones.
COUNTS = [(k, n) for n in (1, 2, 3, 10, 30) for k in range(n + 1)] + [
    (int(RNG.integers(0, n + 1)), int(n)) for n in RNG.integers(1, 5000, 1000)
]


@pytest.mark.parametrize("level", [0.5, 0.95, 1 - 0.05 / 3])
@pytest.mark.parametrize(("ours", "name"), [(wilson, "wilson"), (clopper_pearson, "beta")])
def test_limits_equal_statsmodels(ours: object, name: str, level: float) -> None:
    successes, n = np.array(COUNTS).T
    lo, hi = proportion_confint(successes, n, alpha=1 - level, method=name)
    found = [ours(k, m, level) for k, m in COUNTS]  # type: ignore[operator]
    np.testing.assert_allclose([i.lo for i in found], np.where(successes == 0, 0, lo), atol=1e-9)
    np.testing.assert_allclose([i.hi for i in found], np.where(successes == n, 1, hi), atol=1e-9)


@pytest.mark.parametrize(("k", "n"), [(0, 7), (3, 7), (7, 7), (99, 120)])
def test_limits_equal_scipy(k: int, n: int) -> None:
    for ours, name in ((wilson, "wilson"), (clopper_pearson, "exact")):
        theirs = stats.binomtest(k, n).proportion_ci(0.95, method=name)
        found = ours(k, n)
        assert (found.lo, found.hi) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_limits_hold_the_share_and_stay_within_0_and_1() -> None:
    for k, n in COUNTS:
        for found in (wilson(k, n), clopper_pearson(k, n)):
            assert found.lo is not None
            assert found.hi is not None
            assert 0 <= found.lo <= k / n <= found.hi <= 1
            assert (found.n, found.level) == (n, 0.95)


@pytest.mark.parametrize("ours", [wilson, clopper_pearson])
def test_no_items_no_limits(ours: object) -> None:
    found = ours(0, 0)  # type: ignore[operator]
    assert (found.lo, found.hi, found.reason, found.n) == (None, None, "no_items", 0)


@pytest.mark.parametrize("ours", [wilson, clopper_pearson])
def test_impossible_counts_and_levels_are_refused(ours: object) -> None:
    for args in ((3, 2), (-1, 2), (1, 2, 0.0), (1, 2, 1.0), (0, 0, 95)):
        with pytest.raises(ValueError, match=r"successes|level"):
            ours(*args)  # type: ignore[operator]


@pytest.mark.parametrize(("p", "n"), [(0.95, 20), (0.98, 50), (0.8, 50), (0.5, 100)])
def test_exact_coverage(p: float, n: int) -> None:
    """Coverage summed over the binomial: Clopper-Pearson never below its level."""
    share = stats.binom.pmf(np.arange(n + 1), n, p)
    covered = {
        ours: sum(
            share[k]
            for k in range(n + 1)
            if (i := ours(k, n)).lo <= p <= i.hi  # type: ignore
        )
        for ours in (wilson, clopper_pearson)
    }
    assert covered[clopper_pearson] >= 0.95
    assert covered[wilson] >= 0.92


def test_critical_is_z_and_t_for_any_number_of_clusters() -> None:
    assert critical(0.95) == pytest.approx(1.959963984540054, abs=1e-15)
    for clusters in (2, 9, 30, 1000):
        assert critical(0.95, clusters) == pytest.approx(stats.t.ppf(0.975, clusters - 1))


def test_under_fifty_clusters_a_warning() -> None:
    assert few_clusters(49) == ("few_clusters (49)",)
    assert few_clusters(50) == few_clusters(None) == few_clusters(1) == ()


def random_clusters(seed: int, groups: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 12, groups)
    return rng.binomial(sizes, rng.beta(2, 1, groups)), sizes


@pytest.mark.parametrize("seed", range(20))
def test_clustered_variance_equals_statsmodels(seed: int) -> None:
    """An intercept-only regression: statsmodels' (N - 1) / (N - 1) leaves G / (G - 1)."""
    hits, sizes = random_clusters(seed, 5 + seed)
    wins = [np.r_[np.ones(k), np.zeros(m - k)] for k, m in zip(hits, sizes, strict=True)]
    labels = np.repeat(np.arange(len(sizes)), sizes)
    outcome = np.concatenate(wins)
    fit = sm.OLS(outcome, np.ones_like(outcome)).fit(
        cov_type="cluster", cov_kwds={"groups": labels, "use_correction": True}
    )
    assert clustered_variance(hits, sizes) == pytest.approx(fit.bse[0] ** 2, rel=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_clustered_wilson_is_wilson_at_the_effective_items(seed: int) -> None:
    hits, sizes = random_clusters(seed, 10 + 5 * seed)
    n, p = int(sizes.sum()), hits.sum() / sizes.sum()
    n_eff = min(n, p * (1 - p) / clustered_variance(hits, sizes))
    # Wilson at the quantile of t: the normal's interval whose level has that quantile.
    alpha = 2 * stats.norm.sf(stats.t.ppf(0.975, len(sizes) - 1))
    lo, hi = proportion_confint(p * n_eff, n_eff, alpha=alpha, method="wilson")
    found = clustered_wilson(hits, sizes)
    assert (found.lo, found.hi) == pytest.approx((lo, hi), abs=1e-12)
    assert (found.n, found.clusters) == (n, len(sizes))
    assert found.n_eff == pytest.approx(n_eff)


def test_clustered_wilson_by_hand() -> None:
    """Three clusters of 4 with 4, 3 and 1: p = 2/3, Var = 3/2 (16/9 + 1/9 + 25/9) / 144 = 7/144."""
    found = clustered_wilson([4, 3, 1], [4, 4, 4])
    n_eff = (2 / 9) / (7 / 144)
    assert found.n_eff == pytest.approx(n_eff)
    t = stats.t.ppf(0.975, 2)
    # Wilson's limits are the shares at which the score statistic equals the quantile.
    for limit in (found.lo, found.hi):
        assert limit is not None
        assert abs(2 / 3 - limit) == pytest.approx(t * np.sqrt(limit * (1 - limit) / n_eff))
    assert found.warnings == ("few_clusters (3)",)
    assert 2 / 3 + t * np.sqrt(7 / 144) > 1, "the t interval that it replaces leaves [0, 1]"


def test_design_effect_is_never_below_one() -> None:
    found = clustered_wilson([2] * 12, [4] * 12)
    assert (found.lo, found.hi) == wilson_limits(0.5, 48, critical(0.95, 12))
    assert found.n_eff == 48


def test_without_errors_clusters_count_as_wholly_alike() -> None:
    found = clustered_wilson([5] * 20, [5] * 20)
    assert (found.lo, found.hi) == wilson_limits(1.0, 20, critical(0.95, 20))
    assert found.n_eff == 20
    assert clustered_wilson([0, 0], [3, 1]).n_eff == pytest.approx(16 / 10)


def test_duplicated_items_halve_the_variance_but_not_the_clustered_one() -> None:
    rng = np.random.default_rng(0)
    hits = (rng.random(400) < 0.8).astype(int)

    def variance(found: Interval) -> float:
        assert found.lo is not None
        assert found.hi is not None
        return (found.hi - found.lo) ** 2

    once, twice = wilson(hits.sum(), 400), wilson(2 * hits.sum(), 800)
    assert variance(once) / variance(twice) == pytest.approx(2, rel=0.02)
    alike = clustered_wilson(2 * hits, np.full(400, 2))
    assert variance(once) / variance(alike) == pytest.approx(1, rel=0.02)


def test_one_cluster_has_no_limits_and_empty_clusters_do_not_count() -> None:
    found = clustered_wilson([3, 0], [4, 0])
    assert (found.lo, found.hi, found.reason) == (None, None, "one_cluster")
    assert (found.n, found.clusters, found.warnings) == (4, 1, ())
    assert clustered_wilson([], []).reason == "no_items"


def test_clusters_at_the_door() -> None:
    with pytest.raises(ValueError, match="align"):
        clustered_wilson([1, 2], [3])
    with pytest.raises(ValueError, match="0 <= successes <= trials"):
        clustered_wilson([4, 1], [3, 3])


def test_mover_mean_by_hand() -> None:
    first = Interval(0.6, 1.0, "wilson", 0.95, 10)
    second = Interval(0.5, 0.8, "wilson", 0.95, 90, warnings=("few_clusters (4)",))
    found = mover_mean((0.9, 0.7), (first, second))
    assert found.lo == pytest.approx(0.8 - np.sqrt(0.3**2 + 0.2**2) / 2)
    assert found.hi == pytest.approx(0.8 + np.sqrt(0.1**2 + 0.1**2) / 2)
    assert (found.n, found.method, found.warnings) == (100, "mover_wilson", ("few_clusters (4)",))


def test_mover_mean_needs_both_parts() -> None:
    none = Interval(None, None, "wilson_clustered", 0.95, 5, "one_cluster")
    found = mover_mean((1.0, 0.7), (none, wilson(7, 10)))
    assert (found.lo, found.hi, found.reason) == (None, None, "one_cluster")


def test_json_holds_the_six_keys_and_what_applies() -> None:
    assert set(wilson(3, 4).to_json()) == {"lo", "hi", "method", "level", "n"}
    found = clustered_wilson([4, 3, 1], [4, 4, 4]).to_json()
    assert set(found) == {"lo", "hi", "method", "level", "n", "n_eff", "clusters", "warnings"}
    assert json.loads(json.dumps(found, allow_nan=False)) == found
