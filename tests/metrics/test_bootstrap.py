"""The bootstrap against scipy, exact enumeration and what must not depend on anything."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from itertools import combinations_with_replacement

import numpy as np
import pytest
from metric_tables import items
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from judgelab.metrics.agreement import METRICS
from judgelab.metrics.bootstrap import (
    Resamples,
    bootstrap_interval,
    resample_clusters,
    resample_items,
)
from judgelab.metrics.confusion import group_tables
from judgelab.metrics.intervals import Interval
from judgelab.metrics.scorecard import scorecard

SMALL = [9, 3, 4, 24, 0, 0]
BOOTSTRAPPED = ("f1_fail", "f1_pass", "balanced_accuracy", "kappa", "mcc", "gwet_ac1")


def limits(found: Interval) -> tuple[float, float]:
    assert found.lo is not None
    assert found.hi is not None
    return found.lo, found.hi


def share_of_items(outcomes: np.ndarray) -> Callable[..., np.ndarray]:
    """A statistic of tables as a statistic of cells of items, for scipy."""

    def of_cells(cells: np.ndarray, axis: int = -1) -> np.ndarray:
        tables = np.stack([(cells == c).sum(axis=axis) for c in range(6)], axis=-1)
        return np.asarray(METRICS[str(outcomes)](tables))

    return of_cells


@pytest.mark.parametrize("name", BOOTSTRAPPED)
@pytest.mark.parametrize("method", ["BCa", "percentile"])
def test_limits_equal_scipy(name: str, method: str) -> None:
    cells = np.repeat(np.arange(6), SMALL)
    theirs = stats.bootstrap(
        (cells,),
        share_of_items(np.str_(name)),
        n_resamples=20_000,
        method=method,
        rng=np.random.default_rng(1),
    ).confidence_interval
    found = bootstrap_interval(resample_items(SMALL, draws=20_000, rng=2), METRICS[name])
    ours = limits(found) if method == "BCa" else found.percentile
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.02)


def test_percentile_limits_equal_the_exact_enumeration() -> None:
    """All multisets of 10 items over 4 cells, with their multinomial probabilities."""
    table = np.array([3, 1, 1, 5])
    kappas: Counter[float] = Counter()
    for chosen in combinations_with_replacement(range(4), 10):
        counts = np.bincount(chosen, minlength=4)
        ways = math.factorial(10) / math.prod(math.factorial(int(k)) for k in counts)
        value = float(METRICS["kappa"](np.pad(counts, (0, 2))))
        if not math.isnan(value):
            kappas[round(value, 12)] += ways * math.prod((table / 10) ** counts)
    values = np.array(sorted(kappas))
    shares = np.cumsum([kappas[value] for value in values])
    exact = [values[np.searchsorted(shares, q * shares[-1])] for q in (0.025, 0.975)]
    found = bootstrap_interval(resample_items(np.pad(table, (0, 2))), METRICS["kappa"])
    assert found.percentile == pytest.approx(exact, abs=1e-9)
    assert found.undefined_share == pytest.approx(1 - shares[-1], abs=0.005)


def efron(values: np.ndarray, whole: float, left_out: np.ndarray, spread: float) -> list[float]:
    """BCa limits, written out once more with scipy's normal."""
    bias = stats.norm.ppf((values < whole - 1e-9).mean() / 2 + (values <= whole + 1e-9).mean() / 2)
    distance = left_out.mean() - left_out
    acceleration = (distance**3).sum() / (6 * (distance**2).sum() ** 1.5)
    shift = bias + np.array([-spread, spread])
    return list(np.quantile(values, stats.norm.cdf(bias + shift / (1 - acceleration * shift))))


def test_bca_shifts_as_efron_says() -> None:
    """The jackknife item by item, with scikit-learn's kappa."""
    resamples = resample_items(SMALL, draws=4000, rng=5)
    expert, judge = items(SMALL)
    keep = ~np.eye(len(expert), dtype=bool)
    left_out = np.array([cohen_kappa_score(expert[k], judge[k] == 1) for k in keep])
    whole = cohen_kappa_score(expert, judge == 1)
    expected = efron(METRICS["kappa"](resamples.tables), whole, left_out, stats.norm.ppf(0.95))
    found = bootstrap_interval(resamples, METRICS["kappa"], level=0.9)
    assert limits(found) == pytest.approx(tuple(expected), abs=1e-9)
    assert found.level == 0.9


def test_same_seed_same_numbers_and_another_seed_others() -> None:
    def kappa(rng: int | np.random.Generator) -> Interval:
        return bootstrap_interval(resample_items([90, 31, 47, 240, 5, 9], rng=rng), METRICS["mcc"])

    assert kappa(4) == kappa(4)
    assert limits(kappa(4)) == limits(kappa(np.random.default_rng(4)))
    assert limits(kappa(4)) != limits(kappa(5))
    assert (kappa(4).seed, kappa(np.random.default_rng(4)).seed) == (4, None)


def test_draws_keep_the_size_and_the_mean_of_the_data() -> None:
    table = np.array([90, 31, 47, 240, 0, 9])
    resamples = resample_items(table, draws=20_000)
    assert (resamples.tables.sum(axis=1) == table.sum()).all()
    spread = np.sqrt(table / 20_000)
    assert (np.abs(resamples.tables.mean(axis=0) - table) <= 5 * spread).all()
    assert (resamples.tables[:, 4] == 0).all()


def test_clusters_of_one_item_are_items() -> None:
    """The kinds of cluster come in another order, so only the numbers of the jackknife agree."""
    table = np.array([12, 5, 6, 40, 2, 3])
    singles = np.repeat(np.eye(6, dtype=int), table, axis=0)
    both = [resample_items(table, draws=40_000), resample_clusters(singles, draws=40_000)]
    first, second = (bootstrap_interval(r, METRICS["kappa"]) for r in both)
    assert limits(first) == pytest.approx(limits(second), abs=0.012)
    assert (first.method, second.method) == ("bca", "bca_clustered")
    assert second.clusters == table.sum()


def test_clusters_against_resampling_by_index() -> None:
    rng = np.random.default_rng(8)
    clusters = rng.integers(0, 4, size=(40, 6)) * (rng.random((40, 6)) < 0.6)
    found = bootstrap_interval(resample_clusters(clusters), METRICS["kappa"])
    picked = rng.integers(0, 40, size=(10_000, 40))
    values = METRICS["kappa"](clusters[picked].sum(axis=1))
    assert found.percentile == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])), abs=0.015)
    rest = METRICS["kappa"](clusters.sum(axis=0) - clusters)
    assert np.sort(np.repeat(*jackknife(clusters))) == pytest.approx(np.sort(rest), abs=1e-12)


def jackknife(clusters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    resamples = resample_clusters(clusters[clusters.sum(axis=1) > 0], draws=1)
    empty = (clusters.sum(axis=1) == 0).sum()
    whole = METRICS["kappa"](resamples.observed)
    values = np.append(METRICS["kappa"](resamples.left_out), whole)
    return values, np.append(resamples.units, empty)


def test_order_and_names_of_clusters_change_nothing() -> None:
    rng = np.random.default_rng(1)
    expert, judge = items([30, 10, 12, 80, 3, 4])
    groups = rng.integers(0, 25, len(expert))
    order = rng.permutation(len(expert))
    first = group_tables(expert, judge, groups.tolist())
    second = group_tables(expert[order], judge[order], [f"user {g}" for g in groups[order]])
    intervals = [
        bootstrap_interval(resample_clusters(t), METRICS["f1_fail"]) for t in (first, second)
    ]
    assert intervals[0] == intervals[1]


def test_duplicated_items_halve_the_variance_but_not_the_clustered_one() -> None:
    table = np.array([60, 15, 20, 160, 0, 0])

    def width(resamples: Resamples) -> float:
        lo, hi = limits(bootstrap_interval(resamples, METRICS["kappa"]))
        return hi - lo

    once = width(resample_items(table))
    twice = width(resample_items(2 * table))
    pairs = width(resample_clusters(2 * np.repeat(np.eye(6, dtype=int), table, axis=0)))
    assert (once / twice) ** 2 == pytest.approx(2, rel=0.08)
    assert (once / pairs) ** 2 == pytest.approx(1, rel=0.08)


def test_few_undefined_resamples_are_left_out_and_more_refuse_the_interval() -> None:
    few = bootstrap_interval(resample_items([4, 0, 3, 40, 0, 0]), METRICS["balanced_accuracy"])
    assert few.undefined_share == pytest.approx((43 / 47) ** 47, abs=0.005)
    assert limits(few) > (0, 0)
    many = bootstrap_interval(resample_items([2, 0, 3, 40, 0, 0]), METRICS["balanced_accuracy"])
    assert many.undefined_share == pytest.approx((43 / 45) ** 45, abs=0.02)
    assert (many.lo, many.hi, many.percentile) == (None, None, None)
    assert many.reason == "undefined_resamples"


@pytest.mark.parametrize(
    ("resamples", "name", "reason"),
    [
        (resample_items([12, 0, 0, 20, 0, 0]), "kappa", "constant_resamples"),
        (resample_items([0, 12, 0, 80, 0, 0]), "kappa", "constant_resamples"),
        (resample_items([0, 0, 0, 20, 0, 0]), "kappa", "undefined_estimate"),
        (resample_items([5, 3, 4, 9, 1, 0]), "gwet_ac1", "undefined_estimate"),
        (resample_clusters([[5, 3, 4, 9, 0, 0]]), "kappa", "one_cluster"),
    ],
)
def test_no_limits_and_the_reason(resamples: Resamples, name: str, reason: str) -> None:
    found = bootstrap_interval(resamples, METRICS[name])
    assert (found.lo, found.hi, found.reason) == (None, None, reason)


def test_one_sided_or_unstable_statistics_have_no_bca() -> None:
    resamples = resample_items(SMALL, draws=500)
    whole = resamples.observed

    def above(tables: np.ndarray) -> np.ndarray:
        """0 for the data, positive for every resample."""
        return np.asarray(0.0) if tables.ndim == 1 else 1.0 + tables[..., 0]

    def gone(tables: np.ndarray) -> np.ndarray:
        """Undefined where an item is missing from the data."""
        return np.where(tables.sum(axis=-1) < whole.sum(), np.nan, tables[..., 0] * 1.0)

    for statistic in (above, gone):
        found = bootstrap_interval(resamples, statistic)
        assert (found.lo, found.reason) == (None, "bca_undefined")


@pytest.mark.parametrize(
    ("groups", "spread", "warnings"),
    [
        (9, stats.t.ppf(0.975, 8) * np.sqrt(9 / 8), ("few_clusters (9)",)),
        (10, stats.t.ppf(0.975, 9) * np.sqrt(10 / 9), ("few_clusters (10)",)),
        (400, stats.t.ppf(0.975, 399) * np.sqrt(400 / 399), ()),
    ],
)
def test_clusters_widen_and_few_warn(groups: int, spread: float, warnings: tuple[str, ...]) -> None:
    clusters = np.random.default_rng(2).integers(1, 9, size=(groups, 6))
    resamples = resample_clusters(clusters)
    kappa = METRICS["kappa"]
    left_out = kappa(clusters.sum(axis=0) - clusters)
    expected = efron(kappa(resamples.tables), float(kappa(clusters.sum(axis=0))), left_out, spread)
    found = bootstrap_interval(resamples, kappa)
    assert limits(found) == pytest.approx(tuple(expected), abs=1e-9)
    assert (found.clusters, found.warnings) == (groups, warnings)


def test_past_the_pole_a_limit_is_the_last_resample() -> None:
    """Three clusters at level .999: the corrected level has its pole inside of t sqrt(3/2)."""
    clusters = [[9, 1, 0, 9, 0, 0], [9, 1, 0, 9, 0, 0], [1, 9, 5, 5, 0, 0]]
    resamples = resample_clusters(clusters)
    values = METRICS["kappa"](resamples.tables)
    found = bootstrap_interval(resamples, METRICS["kappa"], level=0.999)
    assert limits(found) == pytest.approx((values.min(), values.max()))


def test_rounding_alone_is_no_variation() -> None:
    def noisy(tables: np.ndarray) -> np.ndarray:
        return np.asarray(0.5 + 1e-16 * (tables[..., 0] % 2))

    assert len(set(noisy(np.arange(4).reshape(4, 1)))) == 2
    found = bootstrap_interval(resample_items(SMALL), noisy)
    assert (found.lo, found.reason) == (None, "constant_resamples")


def test_two_clusters_reach_the_ends_of_the_resamples() -> None:
    resamples = resample_clusters([[9, 1, 2, 9, 0, 0], [5, 4, 3, 6, 0, 0]])
    values = METRICS["kappa"](resamples.tables)
    found = bootstrap_interval(resamples, METRICS["kappa"])
    assert limits(found) == pytest.approx((values.min(), values.max()))


def test_without_items_or_draws() -> None:
    with pytest.raises(ValueError, match="at least one item"):
        resample_items([0] * 6)
    with pytest.raises(ValueError, match="at least one item"):
        resample_clusters(np.zeros((3, 6)))
    with pytest.raises(ValueError, match="draws=0"):
        resample_items(SMALL, draws=0)
    with pytest.raises(ValueError, match="level"):
        bootstrap_interval(resample_items(SMALL), METRICS["kappa"], level=95)


def test_chunks_draw_the_same_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = resample_items(SMALL, draws=1000)
    monkeypatch.setattr("judgelab.metrics.bootstrap.CHUNK", 300)
    np.testing.assert_array_equal(resample_items(SMALL, draws=1000).tables, whole.tables)


def test_no_work_grows_with_the_items() -> None:
    """A resample is a draw of the table: a thousand times the items are as many numbers to draw."""
    one = resample_items(SMALL, draws=100)
    thousand = resample_items(np.array(SMALL) * 1000, draws=100)
    assert thousand.tables.shape == one.tables.shape == (100, 6)
    assert thousand.left_out.shape == one.left_out.shape == (4, 6)
    kinds = np.array([[2, 1, 0, 4, 0, 0], [0, 0, 3, 1, 0, 0]])
    alike = resample_clusters(np.repeat(kinds, 5000, axis=0), draws=100)
    assert alike.left_out.shape == (2, 6)


@pytest.mark.slow
@pytest.mark.parametrize(("prevalence", "n"), [(0.1, 100), (0.3, 50), (0.3, 200)])
def test_simulated_coverage_of_every_metric(prevalence: float, n: int) -> None:
    shares = np.array([0.8, 0.2, 0.1, 0.9, 0, 0]) * ([prevalence] * 2 + [1 - prevalence] * 4)
    covered: dict[str, list[bool]] = {name: [] for name in METRICS}
    for seed, table in enumerate(np.random.default_rng(6).multinomial(n, shares, size=1000)):
        card = scorecard(*items(table), draws=1000, seed=seed)
        for name, hits in covered.items():
            found = card.metrics[name].interval
            if found.lo is not None and found.hi is not None:
                hits.append(found.lo <= float(METRICS[name](shares)) <= found.hi)
    # Upwards two standard errors of the simulation are let pass: too wide claims nothing false.
    most = 0.99 + 2 * math.sqrt(0.99 * 0.01 / 1000)
    for name, hits in covered.items():
        assert len(hits) > 980
        assert 0.93 <= np.mean(hits) <= most, name


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kappa", "f1_fail"])
@pytest.mark.parametrize("groups", [30, 60])
def test_simulated_coverage_of_clusters(name: str, groups: int) -> None:
    """Five items a group; prevalence and accuracy differ from group to group."""
    rng = np.random.default_rng(6)

    def tables(count: int) -> np.ndarray:
        fails, right = rng.beta(2.4, 5.6, (count, 1)), rng.beta(5.1, 0.9, (count, 1))
        expert, good = rng.random((count, 5)) < fails, rng.random((count, 5)) < right
        cells = np.where(expert, np.where(good, 0, 1), np.where(good, 3, 2))
        return np.stack([(cells == c).sum(axis=1) for c in range(6)], axis=1)

    truth = float(METRICS[name](tables(400_000).sum(axis=0)))
    covered = []
    for _ in range(1000):
        resamples = resample_clusters(tables(groups), draws=2000, rng=rng)
        lo, hi = limits(bootstrap_interval(resamples, METRICS[name]))
        covered.append(lo <= truth <= hi)
    assert 0.93 <= np.mean(covered) <= 0.99
