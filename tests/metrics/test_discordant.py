"""McNemar, sign flips and Bonett-Price against scipy, statsmodels and plain loops."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as theirs

from judgelab.metrics.discordant import (
    bonett_price,
    clustered_bonett_price,
    mcnemar,
    sign_flip,
)
from judgelab.metrics.intervals import Interval

DEGENERATE = [(0, 0), (0, 1), (1, 0), (1, 1), (5, 0), (7, 7), (0, 400), (250, 250), (3, 2000)]


def limits(found: Interval) -> tuple[float, float]:
    assert found.lo is not None
    assert found.hi is not None
    return found.lo, found.hi


def test_mcnemar_on_ten_thousand_tables() -> None:
    """Exact against scipy's binomial test, mid-p against the sum of its terms."""
    rng = np.random.default_rng(5)
    counts = rng.integers(0, rng.integers(1, 60, (10_000, 1)), (10_000, 2)).tolist() + DEGENERATE
    known: dict[tuple[int, int], tuple[float, float]] = {}
    for b, c in counts:
        k, total = min(b, c), b + c
        if (k, total) not in known:
            exact = stats.binomtest(k, total).pvalue if total else 1.0
            terms = [math.comb(total, x) for x in range(k + 1)]
            midp = (2 * sum(terms[:-1]) + terms[-1]) / 2**total if total else 1.0
            known[k, total] = (exact, midp)
        found = mcnemar(b, c)
        assert (found.exact, found.midp) == pytest.approx(known[k, total], rel=1e-9, abs=1e-300)


@pytest.mark.parametrize(("b", "c"), [(1, 0), (12, 5), (5, 12), (8, 8), (40, 21)])
def test_mcnemar_equals_statsmodels(b: int, c: int) -> None:
    assert mcnemar(b, c).exact == pytest.approx(theirs([[9, b], [c, 9]]).pvalue)


def test_mcnemar_refuses_negative_counts() -> None:
    with pytest.raises(ValueError, match="-1"):
        mcnemar(-1, 3)


@pytest.mark.parametrize(
    "sums", [[3], [3, -1], [2, 2, 2, -1, 0, 5], [1, -4, 4, 1, 1, 1, -2, 6], [-3, -3], [4, -4]]
)
def test_sign_flips_equal_the_enumeration_of_all_of_them(sums: list[int]) -> None:
    totals = [sum(np.multiply(signs, sums)) for signs in product((1, -1), repeat=len(sums))]
    observed = abs(sum(sums))
    further = sum(abs(total) > observed for total in totals) / len(totals)
    as_far = sum(abs(total) == observed for total in totals) / len(totals)
    found = sign_flip(sums)
    assert found.exact == pytest.approx(further + as_far)
    assert found.midp == pytest.approx(1.0 if observed == 0 else further + as_far / 2)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (5, 0), (12, 5), (30, 31), (400, 300)])
def test_flipping_clusters_of_one_item_is_mcnemar(b: int, c: int) -> None:
    sums = [1] * b + [-1] * c + [0] * 10
    found, expected = sign_flip(sums), mcnemar(b, c)
    assert (found.exact, found.midp) == pytest.approx((expected.exact, expected.midp))


def test_sign_flips_of_large_clusters_are_whole_probabilities() -> None:
    sums = np.random.default_rng(0).integers(-40, 44, 300)
    drawn = np.random.default_rng(1).choice([-1, 1], (40_000, 300)) @ sums
    assert sign_flip(sums).midp == pytest.approx(
        (np.abs(drawn) >= abs(sums.sum())).mean(), abs=0.01
    )


def plain(b: int, c: int, n: int, z: float) -> tuple[float, float]:
    first, second = (b + 1) / (n + 2), (c + 1) / (n + 2)
    spread = math.sqrt((first + second - (first - second) ** 2) / (n + 2))
    lo, hi = first - second - z * spread, first - second + z * spread
    return max(lo, -1.0), min(hi, 1.0)


def test_bonett_price_on_ten_thousand_tables() -> None:
    rng = np.random.default_rng(3)
    for n in rng.integers(1, 300, 10_000).tolist():
        b = int(rng.integers(0, n + 1)) if rng.random() < 0.8 else 0
        c = int(rng.integers(0, n - b + 1))
        found = limits(bonett_price(b, c, n))
        assert found == pytest.approx(plain(b, c, n, stats.norm.ppf(0.975)), abs=1e-12)
        assert found[0] <= (b - c) / n <= found[1]
        lo, hi = limits(bonett_price(c, b, n))
        assert found == pytest.approx((-hi, -lo), abs=1e-12)


def test_bonett_price_is_wide_without_a_discordant_item() -> None:
    lo, hi = limits(bonett_price(0, 0, 50))
    assert lo == -hi
    assert hi == pytest.approx(1.96 * math.sqrt(2 / 52) / math.sqrt(52), rel=1e-4)
    assert bonett_price(0, 0, 0).reason == "no_items"
    with pytest.raises(ValueError, match="b \\+ c <= n"):
        bonett_price(3, 3, 5)


def test_clusters_of_one_item_are_nearly_items() -> None:
    """t instead of z, and CR1's G / (G - 1)."""
    b, c = np.repeat([1, 0, 0], [30, 20, 150]), np.repeat([0, 1, 0], [30, 20, 150])
    found = clustered_bonett_price(b, c, np.ones(200, int))
    assert limits(found) == pytest.approx(limits(bonett_price(30, 20, 200)), abs=0.002)
    assert found.n_eff == pytest.approx(199)


def test_effective_items_by_a_plain_loop() -> None:
    b, c, sizes = [3, 0, 1, 2, 0], [0, 1, 1, 0, 0], [4, 3, 2, 2, 5]
    n, mean = 16, (6 - 2) / 16
    cr1 = 5 / 4 * sum((x - y - mean * z) ** 2 for x, y, z in zip(b, c, sizes, strict=True)) / n**2
    deff = cr1 / ((8 / n - mean**2) / n)
    alike = sum(z * z for z in sizes) / n
    found = clustered_bonett_price(b, c, sizes)
    assert found.n_eff == pytest.approx(n / max(deff, (4 * deff + alike) / 5))
    assert found.clusters == 5
    assert found.warnings == ("few_clusters (5)",)


def test_a_data_set_repeated_in_its_clusters_is_no_more_certain() -> None:
    b, c, sizes = np.array([1, 0, 0, 1] * 9), np.array([0, 1, 0, 0] * 9), np.ones(36, int)
    once = limits(clustered_bonett_price(b, c, sizes))
    twice = limits(clustered_bonett_price(2 * b, 2 * c, 2 * sizes))
    assert twice == pytest.approx(once, abs=0.01)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (3, 0)])
def test_clusters_without_a_sign_of_their_likeness_count_as_wholly_alike(b: int, c: int) -> None:
    found = clustered_bonett_price([b] * 6, [c] * 6, [3] * 6)
    assert found.n_eff == pytest.approx(6)
    assert clustered_bonett_price([b], [c], [3]).reason == "one_cluster"
    assert clustered_bonett_price([], [], []).reason == "no_items"


def test_clustered_counts_must_fit() -> None:
    with pytest.raises(ValueError, match="align"):
        clustered_bonett_price([1, 0], [0], [3, 3])
    with pytest.raises(ValueError, match="size"):
        clustered_bonett_price([1, 3], [0, 1], [3, 3])


@pytest.mark.slow
@pytest.mark.parametrize("alike", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("shares", [(0.05, 0.05), (0.05, 0.01), (0.15, 0.05), (0.1, 0.0)])
@pytest.mark.parametrize(("clusters", "size"), [(12, 8), (40, 5)])
def test_clustered_limits_hold_the_difference(
    clusters: int, size: int, shares: tuple[float, float], alike: float
) -> None:
    held = 0
    for seed in range(600):
        rng = np.random.default_rng(seed)
        sizes = rng.integers(1, 2 * size, clusters)
        code = np.repeat(np.arange(clusters), sizes)
        common = rng.random(len(code)) < alike
        draw = np.where(common, rng.random(clusters)[code], rng.random(len(code)))
        b, c = (np.bincount(code, hit) for hit in (draw < shares[0], draw > 1 - shares[1]))
        lo, hi = limits(clustered_bonett_price(b, c, sizes))
        held += lo <= shares[0] - shares[1] <= hi
    assert held / 600 >= 0.92
