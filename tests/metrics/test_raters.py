"""Agreement of people: against a coincidence matrix filled pair by pair, and scikit-learn."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import ArrayLike
from sklearn.metrics import cohen_kappa_score

from judgelab.metrics.intervals import clustered_wilson, wilson
from judgelab.metrics.raters import krippendorff_alpha, pairwise

# Krippendorff 2011, section C: 4 observers, 12 units, nominal alpha = .743.
PUBLISHED = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, -1, -1, -1],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, -1, 3],
    [-1, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, -1],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, -1],
]


def brute_force(values: ArrayLike) -> float:
    """alpha by filling the coincidence matrix pair by pair; NaN where it is undefined."""
    matrix: dict[tuple[float, float], float] = {}
    for unit in np.asarray(values, float).T:
        given = [v for v in unit if not np.isnan(v) and v >= 0]
        for i, first in enumerate(given):
            for j, second in enumerate(given):
                if i != j:
                    pair = (first, second)
                    matrix[pair] = matrix.get(pair, 0) + 1 / (len(given) - 1)
    n = sum(matrix.values())
    totals = {c: sum(v for (a, _), v in matrix.items() if a == c) for c, _ in matrix}
    observed = sum(v for (a, b), v in matrix.items() if a != b)
    expected = sum(totals[a] * totals[b] for a in totals for b in totals if a != b)
    return 1 - (n - 1) * observed / expected if expected else float("nan")


def ratings(seed: int) -> np.ndarray:
    """1 to 5 raters, 1 to 30 items, 2 or 3 codes, gaps; now and then constant."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 6)), int(rng.integers(1, 31)))
    truth = rng.integers(0, rng.integers(1, 4), shape[1])
    given = np.where(rng.random(shape) < rng.random(), truth, rng.integers(0, truth.max() + 1))
    return np.where(rng.random(shape) < rng.random() / 2, -1, given)


@pytest.mark.parametrize(
    "seeds",
    [range(400), pytest.param(range(400, 10_400), marks=pytest.mark.slow)],
    ids=["some", "ten thousand"],
)
def test_alpha_equals_the_coincidence_matrix(seeds: range) -> None:
    undefined = 0
    for seed in seeds:
        values = ratings(seed)
        found, expected = krippendorff_alpha(values, draws=1), brute_force(values)
        if np.isnan(expected):
            undefined += 1
            assert found.value is None
            assert found.reason in ("no_pairs", "constant")
        else:
            assert found.value == pytest.approx(expected, abs=1e-12)
    assert undefined > len(seeds) / 50


def test_alpha_of_the_published_example() -> None:
    found = krippendorff_alpha(PUBLISHED)
    assert found.value == pytest.approx(0.743, abs=5e-4)
    assert found.interval.n == 11, "the last item was labelled once and pairs with nothing"
    assert found.interval.lo is not None
    assert found.interval.lo < found.value < 1


def test_alpha_of_two_raters_is_scotts_pi_for_small_samples() -> None:
    """alpha = pi + (1 - pi) / 2n for two raters without gaps."""
    rng = np.random.default_rng(2)
    a = rng.integers(0, 2, 60)
    b = np.where(rng.random(60) < 0.8, a, 1 - a)
    share = (a.sum() + b.sum()) / 120
    chance = share**2 + (1 - share) ** 2
    pi = ((a == b).mean() - chance) / (1 - chance)
    assert krippendorff_alpha([a, b], draws=1).value == pytest.approx(pi + (1 - pi) / 120)


def test_gaps_are_nan_none_or_negative() -> None:
    gaps = [krippendorff_alpha([[1, 0, 1, g], [1, 0, 0, 1]], draws=99) for g in (-1, None, np.nan)]
    assert gaps[0] == gaps[1] == gaps[2]
    assert gaps[0].interval.n == 3


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([[1, 1, -1], [1, 1, 0]], "constant"),
        ([[1, -1], [-1, 1]], "no_pairs"),
        ([[1, 0, 1]], "no_pairs"),
        (np.empty((2, 0)), "no_pairs"),
        (np.full((3, 4), -1), "no_pairs"),
    ],
)
def test_undefined_alpha_is_none_with_a_reason(values: ArrayLike, reason: str) -> None:
    found = krippendorff_alpha(values)
    assert (found.value, found.reason) == (None, reason)
    assert found.interval.lo is None
    json.dumps(found.to_json(), allow_nan=False)


def test_agreement_without_a_slip_has_a_value_and_no_limits() -> None:
    found = krippendorff_alpha([[1, 0] * 8] * 2)
    assert (found.value, found.interval.lo) == (1, None)
    assert found.interval.reason == "constant_resamples"


def test_alpha_at_the_door() -> None:
    for values in ([1, 0], [[0.5, 1], [1, 1]]):
        with pytest.raises(ValueError, match=r"shape|whole codes"):
            krippendorff_alpha(values)
    with pytest.raises(ValueError, match="groups"):
        krippendorff_alpha([[1, 0], [1, 0]], groups=["a"])


def test_order_of_items_raters_and_names_of_groups_change_nothing() -> None:
    rng = np.random.default_rng(4)
    values = np.where(rng.random((3, 60)) < 0.1, -1, rng.integers(0, 2, 60))
    values[2] = rng.integers(0, 2, 60)
    groups = rng.integers(0, 20, 60)
    order = rng.permutation(60)
    whole = krippendorff_alpha(values, groups=groups.tolist())
    moved = krippendorff_alpha(values[::-1, order], groups=[f"user {g}" for g in groups[order]])
    assert whole == moved
    assert whole.interval.method == "bca_clustered"
    assert whole.interval.clusters == 20
    assert krippendorff_alpha(values, groups=list(range(60))) == krippendorff_alpha(values)


def test_the_interval_equals_resampling_by_index() -> None:
    rng = np.random.default_rng(6)
    truth = rng.integers(0, 2, 50)
    values = np.where(rng.random((3, 50)) < 0.85, truth, 1 - truth)
    values[1, :9] = -1
    picked = rng.integers(0, 50, (1500, 50))
    theirs = np.quantile([brute_force(values[:, p]) for p in picked], [0.025, 0.975])
    found = krippendorff_alpha(values).interval.percentile
    assert found == pytest.approx(tuple(theirs), abs=0.02)


def test_a_pair_of_people() -> None:
    rng = np.random.default_rng(1)
    a = rng.integers(-1, 2, 300)
    b = np.where(rng.random(300) < 0.8, a, rng.integers(-1, 2, 300))
    both = (a >= 0) & (b >= 0)
    found = pairwise(a, b)
    assert found.n == both.sum()
    counts = [(a[both] * 2 + b[both] == code).sum() for code in (3, 2, 1, 0)]
    assert [found.both_fail, found.a_only, found.b_only, found.both_pass] == counts
    assert found.kappa.value == pytest.approx(cohen_kappa_score(a[both], b[both]))
    assert found.agreement.interval == wilson(int((a[both] == b[both]).sum()), int(both.sum()))
    assert found.kappa.interval.method == "bca"
    assert found.kappa.interval.lo < found.kappa.value < found.kappa.interval.hi  # type: ignore


def test_a_pair_clustered_by_the_groups_of_the_items_both_labelled() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 2, 90), rng.integers(0, 2, 90)
    b[:30] = -1
    groups = [i % 15 for i in range(90)]
    hits = np.bincount(np.arange(60) % 15, weights=a[30:] == b[30:]).astype(int)
    found = pairwise(a, b, groups=groups)
    assert found.agreement.interval == clustered_wilson(hits, [4] * 15)
    assert found.kappa.interval.clusters == 15


@pytest.mark.parametrize("clustered", [False, True])
def test_who_comes_first_changes_no_digit(clustered: bool) -> None:
    rng = np.random.default_rng(9)
    a = rng.integers(0, 2, 120)
    b = np.where(rng.random(120) < 0.7, a, 1)
    groups = [i // 3 for i in range(120)] if clustered else None
    one, other = pairwise(a, b, groups=groups), pairwise(b, a, groups=groups)
    assert (one.agreement, one.kappa) == (other.agreement, other.kappa)
    assert (one.a_only, one.b_only) == (other.b_only, other.a_only)
    assert one.a_only != one.b_only


def test_nobody_in_common_and_strange_labels() -> None:
    found = pairwise([1, -1], [-1, 0], groups=["a", "a"])
    assert (found.n, found.agreement.value, found.kappa.reason) == (0, None, "no_items")
    json.dumps(found.to_json(), allow_nan=False)
    assert pairwise([1, np.nan], [1, 0]).n == 1
    for a, b in (([1, 2], [1, 1]), ([1], [1, 1]), ([[1]], [[1]])):
        with pytest.raises(ValueError, match=r"align|label"):
            pairwise(a, b)
    with pytest.raises(ValueError, match="groups"):
        pairwise([1, 0], [1, 0], groups=["a"])
