"""Repeats of a judge: flips, unlike pairs and alpha, counted pair by pair."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from judgelab.metrics.intervals import clustered_wilson, wilson
from judgelab.metrics.raters import krippendorff_alpha
from judgelab.metrics.repeats import repeats


def random_verdicts(seed: int, items: int = 60, k: int = 4, gaps: float = 0.1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    truth = rng.integers(-1, 2, (items, 1))
    said = np.where(rng.random((items, k)) < 0.8, truth, rng.integers(-1, 2, (items, k)))
    return np.where(rng.random((items, k)) < gaps, np.nan, said * 1.0)


def by_hand(verdicts: np.ndarray) -> tuple[list[bool], list[float]]:
    """Of each item with two verdicts or more: whether it flips, its share of unlike pairs."""
    rows = [[v for v in row if not np.isnan(v)] for row in verdicts]
    pairs = [list(itertools.combinations(row, 2)) for row in rows if len(row) > 1]
    shares = [sum(a != b for a, b in of_item) / len(of_item) for of_item in pairs]
    return [share > 0 for share in shares], shares


@pytest.mark.parametrize("seed", range(30))
def test_flips_and_unlike_pairs_by_hand(seed: int) -> None:
    verdicts = random_verdicts(seed, items=5 + 3 * seed, k=2 + seed % 5)
    flips, shares = by_hand(verdicts)
    found = repeats(verdicts, draws=500)
    assert found.n == len(flips)
    assert found.flip_rate.value == pytest.approx(np.mean(flips))
    assert found.flip_rate.interval == wilson(sum(flips), len(flips))
    assert found.pairwise_disagreement.value == pytest.approx(np.mean(shares))
    filled = np.where(np.isnan(verdicts), -1, np.where(verdicts == -1, 2, verdicts))
    assert found.alpha == krippendorff_alpha(filled.T, draws=500)
    assert found.alpha.value is not None


def test_an_abstention_is_a_verdict_and_a_gap_is_none() -> None:
    found = repeats([[1, -1, 1], [0, np.nan, 0], [-1, -1, -1], [1, np.nan, np.nan]])
    assert (found.k, found.n) == (3, 3)
    assert found.flip_rate.value == pytest.approx(1 / 3)
    assert found.pairwise_disagreement.value == pytest.approx(2 / 9)


def test_k_repeats_are_not_k_items() -> None:
    once = repeats(random_verdicts(1, k=3, gaps=0))
    thrice = repeats(np.tile(random_verdicts(1, k=3, gaps=0), (1, 3)))
    assert once.flip_rate.interval.n == thrice.flip_rate.interval.n == 60
    assert once.flip_rate == thrice.flip_rate


def test_the_interval_of_the_disagreement_equals_resampling_items() -> None:
    verdicts = random_verdicts(7, items=90)
    shares = np.array(by_hand(verdicts)[1])
    rng = np.random.default_rng(0)
    means = shares[rng.integers(0, len(shares), (10_000, len(shares)))].mean(axis=1)
    found = repeats(verdicts).pairwise_disagreement.interval
    assert found.percentile == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.01)
    assert (found.method, found.n) == ("bca", len(shares))


def test_two_repeats_flip_where_they_disagree() -> None:
    found = repeats(random_verdicts(3, k=2))
    assert found.flip_rate == found.pairwise_disagreement


def test_a_judge_that_never_flips_may_still_flip() -> None:
    found = repeats([[1, 1, 1]] * 20 + [[0, 0, 0]] * 20)
    assert (found.flip_rate.value, found.pairwise_disagreement.value) == (0, 0)
    assert found.pairwise_disagreement.interval == wilson(0, 40)
    assert found.alpha.value == 1
    constant = repeats([[1, 1, 1]] * 20)
    assert (constant.alpha.value, constant.alpha.reason) == (None, "constant")


def test_clusters_and_the_order_of_rows_and_repeats() -> None:
    verdicts = random_verdicts(5, gaps=0)
    groups = np.arange(60) // 4
    flips = np.array(by_hand(verdicts)[0])
    found = repeats(verdicts, groups=groups.tolist())
    hits = np.bincount(groups, flips).astype(int)
    assert found.flip_rate.interval == clustered_wilson(hits, [4] * 15)
    assert found.pairwise_disagreement.interval.method == "bca_clustered"
    order = np.random.default_rng(0).permutation(60)
    moved = repeats(verdicts[order][:, ::-1], groups=[f"g{g}" for g in groups[order]])
    assert moved == found
    assert repeats(verdicts, groups=range(60)) == repeats(verdicts)


@pytest.mark.parametrize("verdicts", [np.empty((0, 3)), [[1], [0]], [[np.nan, 1], [0, np.nan]]])
def test_nothing_to_compare(verdicts: object) -> None:
    found = repeats(verdicts)  # type: ignore[arg-type]
    assert found.n == 0
    for metric in (found.flip_rate, found.pairwise_disagreement, found.alpha):
        assert (metric.value, metric.interval.lo) == (None, None)
        assert metric.reason in ("no_items", "no_pairs")
    json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.parametrize("verdicts", [[1, 0], [[1, 2]], [["fail", "pass"]]])
def test_other_shapes_and_codes_are_refused(verdicts: object) -> None:
    with pytest.raises(ValueError, match=r"verdicts must be|could not convert"):
        repeats(verdicts)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("n", [50, 100])
def test_simulated_coverage(n: int) -> None:
    """A judge that says fail to 85 % of the fails and 8 % of the passes, each time anew."""
    rng = np.random.default_rng(2)

    def verdicts(items: int) -> np.ndarray:
        chance = np.where(rng.random(items) < 0.3, 0.85, 0.08)
        return (rng.random((items, 3)) < chance[:, None]).astype(int)

    names = ("flip_rate", "pairwise_disagreement", "alpha")
    truth = repeats(verdicts(300_000), draws=20)
    covered: dict[str, list[bool]] = {name: [] for name in names}
    for seed in range(800):
        found = repeats(verdicts(n), draws=1000, seed=seed)
        for name, hits in covered.items():
            interval = getattr(found, name).interval
            if interval.lo is not None:
                hits.append(interval.lo <= getattr(truth, name).value <= interval.hi)
    for name, hits in covered.items():
        assert len(hits) > 780
        assert 0.93 <= np.mean(hits) <= 0.99, name
