"""Rogan and Gladen: published intervals, the formulas once more, refusals, and coverage."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from judgelab.metrics.intervals import Interval, clustered_wilson, wilson
from judgelab.metrics.population import (
    ASSUMPTIONS,
    REASONS,
    PassRate,
    abstention_bounds,
    apart,
    rogan_gladen,
)

Z = 1.959963984540054
LABELLED = [40, 10, 5, 95]  # tp, fn, fp, tn: recall of fail .8, of pass .95


def limits(rate: PassRate) -> tuple[float, float]:
    assert rate.interval.lo is not None
    assert rate.interval.hi is not None
    return rate.interval.lo, rate.interval.hi


# Lang and Reiczigel 2014, examples 1 to 4: hits and items of the test, of its sensitivity and of
# its specificity, and the limits. Their positive is our PASS.
PUBLISHED = [
    ((4060, 11284), (178, 179), (358, 359), (0.349, 0.372)),
    ((51, 2971), (32, 33), (20, 20), (0, 0.053)),
    ((712, 11862), (8, 10), (12, 12), (0, 0.147)),
    ((259, 509), (84, 127), (96, 109), (0.58, 0.87)),
    ((51, 509), (23, 41), (187, 195), (0.037, 0.195)),
]


@pytest.mark.parametrize(("judge", "passed", "failed", "expected"), PUBLISHED)
def test_the_published_intervals(
    judge: tuple[int, int],
    passed: tuple[int, int],
    failed: tuple[int, int],
    expected: tuple[float, float],
) -> None:
    table = [failed[0], failed[1] - failed[0], passed[1] - passed[0], passed[0]]
    found = limits(rogan_gladen(table, *judge))
    assert found == pytest.approx(expected, abs=0.0051 if expected[1] == 0.87 else 0.00051)


def by_hand(table: list[int], judge: tuple[int, int]) -> tuple[float, float, float]:
    """The estimate and the unclipped limits, written from the paper in its own terms."""
    tp, fn, fp, tn = table
    n_se, n_sp, n_p = tn + fp, tp + fn, judge[1]
    se, sp, ap = tn / n_se, tp / n_sp, judge[0] / n_p
    plain = (ap + sp - 1) / (se + sp - 1)
    se, sp = (n_se * se + 1) / (n_se + 2), (n_sp * sp + 1) / (n_sp + 2)
    ap = (n_p * ap + Z**2 / 2) / (n_p + Z**2)
    prevalence = (ap + sp - 1) / (se + sp - 1)
    v_se, v_sp = se * (1 - se) / (n_se + 2), sp * (1 - sp) / (n_sp + 2)
    shift = 2 * Z**2 * (prevalence * v_se - (1 - prevalence) * v_sp)
    spread = ap * (1 - ap) / (n_p + Z**2) + prevalence**2 * v_se + (1 - prevalence) ** 2 * v_sp
    half = Z * spread**0.5 / (se + sp - 1)
    return plain, prevalence + shift - half, prevalence + shift + half


def test_random_tables_equal_the_formulas_or_are_refused_for_their_reason() -> None:
    rng = np.random.default_rng(5)
    seen: set[str | None] = set()
    for _ in range(3000):
        table = (rng.integers(0, 60, 4) * (rng.random(4) < 0.9)).tolist()
        total = int(rng.integers(0, 500))
        judge = int(rng.integers(0, total + 1))
        found = rogan_gladen(table, judge, total)
        seen.add(found.reason)
        tp, fn, fp, tn = table
        json.dumps(found.to_json(), allow_nan=False)
        if found.reason in ("no_expert_fails", "no_expert_passes", "no_unlabelled"):
            assert 0 in (tp + fn, fp + tn, total)
            continue
        exact = Fraction(tp, tp + fn) + Fraction(tn, tn + fp) - 1
        assert (found.reason == "judge_not_better_than_chance") == (exact <= 0)
        if exact <= 0:
            assert (found.value, found.raw, found.interval.lo) == (None, None, None)
            continue
        plain, lo, hi = by_hand(table, (judge, total))
        assert found.raw == pytest.approx(plain, abs=1e-9)
        if found.reason == "judge_may_be_chance":
            assert found.youden.interval.lo <= 0  # type: ignore[operator]
        elif found.reason == "transport_assumption_failed":
            assert hi < 0 or lo > 1
        else:
            assert found.reason is None
            assert found.value == pytest.approx(min(1, max(0, plain)), abs=1e-9)
            assert found.clipped == (not 0 <= found.raw <= 1)  # type: ignore[operator]
            assert limits(found) == pytest.approx((max(0, lo), min(1, hi)), abs=1e-9)
    assert seen >= {None, "judge_not_better_than_chance", "judge_may_be_chance"}
    assert seen >= {"transport_assumption_failed", "no_expert_fails", "no_unlabelled"}
    assert {reason for reason in seen if reason and not reason.startswith("no_")} <= set(REASONS)


def test_the_estimate_inverts_what_the_judge_does() -> None:
    """Of 300 fails it passes a fifth, of 700 passes it fails a twentieth."""
    found = rogan_gladen(LABELLED, 60 + 665, 1000)
    assert found.value == pytest.approx(0.7)
    assert found.judge_pass.value == 0.725
    assert found.judge_pass.interval == wilson(725, 1000)
    assert found.youden.value == pytest.approx(0.75)
    assert not found.clipped
    assert ASSUMPTIONS[found.assumption]
    assert found.interval.method == "lang_reiczigel"


def test_a_weak_judge_on_few_labels_is_refused_but_nothing_is_hidden() -> None:
    """J = .2 from 40 labels: its interval holds 0."""
    found = rogan_gladen([12, 8, 8, 12], 500, 1000)
    assert (found.value, found.interval.lo) == (None, None)
    assert found.reason == found.interval.reason == "judge_may_be_chance"
    assert found.raw == pytest.approx(0.5)
    sure = rogan_gladen([1200, 800, 800, 1200], 500, 1000)
    assert sure.value == pytest.approx(0.5)


def test_traffic_that_these_recalls_cannot_explain() -> None:
    """The judge passes far more than even traffic without a fail would let it."""
    found = rogan_gladen([90, 10, 40, 60], 990, 1000)
    assert (found.value, found.reason) == (None, "transport_assumption_failed")
    assert found.raw > 1.2  # type: ignore[operator]
    assert found.clipped
    # A little outside is cut, and said.
    near = rogan_gladen([45, 5, 5, 45], 93, 100)
    assert (near.value, near.clipped, near.interval.hi) == (1.0, True, 1.0)


def test_the_bootstrap_resamples_the_labelled_and_the_unlabelled() -> None:
    """Item by item, both sides; with either held fixed it is shorter."""
    rng = np.random.default_rng(0)
    cells = np.repeat(np.arange(4), LABELLED)
    drawn = cells[rng.integers(0, 150, (8000, 150))]
    tp, fn, fp, tn = ((drawn == c).sum(axis=1) for c in range(4))
    fail, passed = tp / (tp + fn), tn / (tn + fp)
    judge = rng.binomial(200, 0.7, 8000) / 200
    expected = np.quantile((judge + fail - 1) / (passed + fail - 1), [0.025, 0.975])
    found = rogan_gladen(LABELLED, 140, 200, bootstrap=True)
    assert limits(found) == pytest.approx(tuple(expected), abs=0.015)
    fixed = np.quantile((0.7 + fail - 1) / (passed + fail - 1), [0.025, 0.975])
    assert np.ptp(fixed) < 0.9 * np.ptp(expected)
    assert (found.interval.seed, found.interval.draws) == (0, 10_000)
    assert found.interval.undefined_share == 0
    again = rogan_gladen(LABELLED, 140, 200, bootstrap=True)
    other = rogan_gladen(LABELLED, 140, 200, bootstrap=True, seed=1)
    assert limits(again) == limits(found) != limits(other)


def test_a_bootstrap_with_too_many_resamples_by_chance_is_refused() -> None:
    found = rogan_gladen([5, 2, 4, 11], 40, 100, bootstrap=True)
    refusal = found.reason
    assert refusal in ("judge_may_be_chance", "resamples_not_better_than_chance")
    # At a lower level the gate of J lets it through, and the resamples do not.
    low = rogan_gladen([5, 2, 4, 11], 40, 100, bootstrap=True, level=0.8)
    assert low.reason == low.interval.reason == "resamples_not_better_than_chance"
    assert low.interval.undefined_share > 0.01  # type: ignore[operator]
    assert low.value is not None
    assert low.interval.lo is None


def test_the_bootstrap_is_blind_to_a_recall_of_one() -> None:
    found = rogan_gladen([20, 0, 1, 32], 51, 200, bootstrap=True)
    assert (found.reason, found.interval.lo) == ("recall_at_end", None)
    assert found.value is not None
    assert limits(rogan_gladen([20, 0, 1, 32], 51, 200))


def clustered(seed: int = 0, groups: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    tables = rng.multinomial(6, [0.28, 0.07, 0.05, 0.6], groups)
    totals = rng.integers(5, 30, 50)
    return tables, rng.binomial(totals, rng.beta(6, 3, 50)), totals


def test_clusters_count_by_their_effective_items() -> None:
    tables, passes, totals = clustered()
    found = rogan_gladen(tables, passes, totals)
    plain = rogan_gladen(tables.sum(axis=0), passes.sum(), totals.sum())
    assert found.raw == pytest.approx(plain.raw)
    assert np.ptp(limits(found)) > np.ptp(limits(plain))
    assert found.judge_pass.interval == clustered_wilson(passes, totals)
    assert found.interval.method == "lang_reiczigel_clustered"
    assert found.interval.clusters == 40
    resampled = rogan_gladen(tables, passes, totals, bootstrap=True)
    assert limits(resampled) == pytest.approx(limits(found), abs=0.06)
    order = np.random.default_rng(1).permutation(40)
    assert rogan_gladen(tables[order], passes, totals, bootstrap=True) == resampled


def test_duplicated_data_halve_the_variance_but_not_the_clustered_one() -> None:
    def square(rate: PassRate) -> float:
        return float(np.ptp(limits(rate)) ** 2)

    table = np.array(LABELLED) * 4
    once, twice = (rogan_gladen(table * k, 280 * k, 400 * k) for k in (1, 2))
    assert square(once) / square(twice) == pytest.approx(2, rel=0.05)
    singles = np.repeat(np.eye(4, dtype=int), table, axis=0)
    verdicts = np.repeat([1, 0], [280, 120])
    alike = rogan_gladen(singles * 2, verdicts * 2, np.full(400, 2))
    assert square(once) / square(alike) == pytest.approx(1, rel=0.05)


def test_one_cluster_has_no_limits() -> None:
    found = rogan_gladen([LABELLED], 700, 1000)
    assert (found.value, found.reason) == (None, "one_cluster")


def test_abstentions_are_bounded_on_both_sides_alike() -> None:
    found = abstention_bounds([40, 10, 5, 95, 4, 6], 700, 250, 50)
    assert found.as_pass == rogan_gladen([40, 14, 5, 101], 750, 1000)
    assert found.as_fail == rogan_gladen([44, 10, 11, 95], 700, 1000)
    ends = (*limits(found.as_pass), *limits(found.as_fail))
    assert found.limits == (min(ends), max(ends))
    assert found.to_json()["limits"] == [min(ends), max(ends)]
    none = abstention_bounds([0, 0, 5, 95, 4, 6], 700, 250, 50)
    assert none.limits is None
    json.dumps(none.to_json(), allow_nan=False)


def test_two_estimates_with_nothing_in_common_are_apart() -> None:
    def interval(lo: float | None, hi: float | None) -> Interval:
        return Interval(lo, hi, "x", 0.95, 10)

    assert apart(interval(0.1, 0.2), interval(0.3, 0.4))
    assert apart(interval(0.3, 0.4), interval(0.1, 0.2))
    assert not apart(interval(0.1, 0.3), interval(0.3, 0.4))
    assert not apart(interval(0.1, 0.2), interval(None, None))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (([1, 2, 3], 1, 2), "shape"),
        (([1, 2, 3, -1], 1, 2), "labelled"),
        (([1, 2, 3, 4, 1, 0], 1, 2), "abstentions"),
        (([1, 2, 3, 4], 3, 2), "judge_pass"),
        (([1, 2, 3, 4], [1, 2], [3]), "judge_pass"),
    ],
)
def test_other_counts_are_refused(args: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rogan_gladen(*args)
    with pytest.raises(ValueError, match="level"):
        rogan_gladen(LABELLED, 1, 2, level=95)


@pytest.mark.slow
@pytest.mark.parametrize("bootstrap", [False, True])
@pytest.mark.parametrize(
    ("labels", "traffic", "theta", "fail", "passed"),
    [
        (100, 200, 0.8, 0.8, 0.9),
        (100, 2000, 0.8, 0.8, 0.9),
        (200, 1000, 0.8, 0.8, 0.9),
        (50, 5000, 0.7, 0.85, 0.85),
    ],
)
def test_simulated_coverage(
    labels: int, traffic: int, theta: float, fail: float, passed: float, bootstrap: bool
) -> None:
    rng = np.random.default_rng(2)
    cells = [(1 - theta) * fail, (1 - theta) * (1 - fail), theta * (1 - passed), theta * passed]
    share = theta * passed + (1 - theta) * (1 - fail)
    covered = []
    for seed, table in enumerate(rng.multinomial(labels, cells, 1500)):
        judge = int(rng.binomial(traffic, share))
        found = rogan_gladen(table, judge, traffic, bootstrap=bootstrap, draws=1000, seed=seed)
        if found.interval.lo is not None:
            covered.append(limits(found)[0] <= theta <= limits(found)[1])
    assert len(covered) > 1250
    assert 0.93 <= np.mean(covered) <= 0.99
