"""PPI++: item by item in plain loops, unbiased, and its coverage."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy import stats

from judgelab.metrics.intervals import clustered_wilson, wilson
from judgelab.metrics.ppi import Powered, ppi

Z = 1.959963984540054


def sample(
    seed: int, n: int = 80, more: int = 400, theta: float = 0.75, right: float = 0.9
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, verdicts on them and verdicts alone, of a judge that is right in `right`."""
    rng = np.random.default_rng(seed)
    y, hidden = rng.random(n) < theta, rng.random(more) < theta
    return (
        y,
        np.where(rng.random(n) < right, y, ~y),
        np.where(rng.random(more) < right, hidden, ~hidden),
    )


def limits(found: Powered) -> tuple[float, float]:
    assert found.interval.lo is not None
    assert found.interval.hi is not None
    return found.interval.lo, found.interval.hi


def item_by_item(
    y: np.ndarray, yhat: np.ndarray, more: np.ndarray, lam: float | None, ddof: int
) -> tuple[float, float, float]:
    """lam, the estimate and its standard error, from the arrays themselves."""
    n, size = len(y), len(more)
    y, yhat, more = y * 1.0, yhat * 1.0, more * 1.0
    if lam is None:
        pooled = np.var(np.concatenate([yhat, more]), ddof=1)
        covariance = np.cov(y, yhat, ddof=0)[0, 1]
        lam = min(1.0, max(0.0, covariance / ((1 + n / size) * pooled))) if pooled else 0.0
    estimate = lam * more.mean() + (y - lam * yhat).mean()
    variance = np.var(lam * more, ddof=ddof) / size + np.var(y - lam * yhat, ddof=ddof) / n
    return lam, estimate, float(np.sqrt(variance))


@pytest.mark.parametrize("lam", [None, 0.0, 0.4, 1.0])
def test_random_samples_equal_the_arrays_item_by_item(lam: float | None) -> None:
    rng = np.random.default_rng(1)
    for seed in range(300):
        n, more = int(rng.integers(3, 250)), int(rng.integers(3, 500))
        arrays = sample(seed, n, more, rng.random(), rng.random())
        found = ppi(*arrays, lam=lam, method="wald")
        weight, estimate, error = item_by_item(*arrays, lam, ddof=0)
        assert found.lam == pytest.approx(weight, abs=1e-12)
        assert found.raw == pytest.approx(estimate, abs=1e-12)
        assert found.standard_error == pytest.approx(error, abs=1e-9)
        json.dumps(found.to_json(), allow_nan=False)
        if error < 1e-9:
            assert found.reason == "nothing_varies"
            continue
        half = Z * error
        if n < 100:
            half = stats.t.ppf(0.975, n - 1) * item_by_item(*arrays, lam, ddof=1)[2]
        expected = (max(0, estimate - half), min(1, estimate + half))
        assert limits(found) == pytest.approx(expected, abs=1e-9)
        assert found.clipped == (not 0 <= estimate <= 1)


def test_lam_zero_is_the_labels_alone_and_one_is_plain_ppi() -> None:
    y, yhat, more = sample(3)
    assert ppi(y, yhat, more, lam=0).raw == pytest.approx(y.mean())
    assert ppi(y, yhat, more, lam=1).raw == pytest.approx(
        more.mean() + y.mean() - yhat.mean(), abs=1e-12
    )


def test_wilson_stands_at_the_labels_that_this_is_worth() -> None:
    """Half an item in each cell: two items more, which the arrays cannot hold but weights can."""
    y, yhat, more = sample(4)
    found = ppi(y, yhat, more)
    lam = found.lam
    assert lam is not None
    cells = np.array([[1, 1], [1, 0], [0, 1], [0, 0]])
    values = np.r_[y - lam * yhat, cells[:, 0] - lam * cells[:, 1]]
    weights = np.r_[np.ones(80), np.full(4, 0.5)]
    rectifier = np.average(values, weights=weights)
    p = lam * more.mean() + rectifier
    variance = np.average((values - rectifier) ** 2, weights=weights) / 81
    n_eff = p * (1 - p) / (variance + lam**2 * np.var(more, ddof=1) / 400)
    assert found.interval.n_eff == pytest.approx(n_eff)
    t = stats.t.ppf(0.975, 79)
    for limit in limits(found):
        spread = np.sqrt(limit * (1 - limit) / n_eff)
        assert abs(found.raw - limit) == pytest.approx(t * spread)  # type: ignore[operator]
    assert found.interval.method == "ppi_wilson"


def test_a_judge_that_helps_is_worth_more_labels_and_one_that_does_not_costs_nothing() -> None:
    good, useless = sample(5, right=0.97), sample(5, right=0.5)
    found = ppi(*good)
    assert found.labelled.value == pytest.approx(good[0].mean())
    assert found.labelled.interval == wilson(int(good[0].sum()), 80)
    p = found.labelled.value
    assert found.worth == pytest.approx(p * (1 - p) / found.standard_error**2)  # type: ignore
    assert found.gain == pytest.approx(found.worth / 80)  # type: ignore[operator]
    assert found.gain > 2  # type: ignore[operator]
    assert ppi(*useless).gain == pytest.approx(1, abs=0.1)
    assert ppi(*useless).lam < 0.2  # type: ignore[operator]
    assert found.assumption == "random_sample"


def test_no_bias_even_for_a_judge_worse_than_chance() -> None:
    estimates = [ppi(*sample(seed, right=0.2), lam=1).raw for seed in range(400)]
    assert np.mean(estimates) == pytest.approx(0.75, abs=0.02)  # type: ignore[arg-type]
    assert ppi(*sample(0, right=0.2)).lam == 0, "lam is cut to [0, 1]: no judge is turned round"


def test_the_bootstrap_resamples_both_sides() -> None:
    y, yhat, more = sample(6)
    rng = np.random.default_rng(0)
    rates = []
    for _ in range(3000):
        kept = rng.integers(0, 80, 80)
        again = more[rng.integers(0, 400, 400)]
        rates.append(item_by_item(y[kept], yhat[kept], again, None, 0)[1])
    found = ppi(y, yhat, more, method="bootstrap")
    assert limits(found) == pytest.approx(tuple(np.quantile(rates, [0.025, 0.975])), abs=0.012)
    assert (found.interval.method, found.interval.draws) == ("ppi_bootstrap", 10_000)
    assert limits(ppi(y, yhat, more, method="bootstrap", seed=1)) != limits(found)


def test_groups_are_resampled_whole() -> None:
    rng = np.random.default_rng(7)
    truth = np.repeat(rng.random(25) < 0.7, 4)
    yhat = np.where(rng.random(100) < 0.9, truth, ~truth)
    more = np.repeat(rng.random(60) < 0.7, 5)
    groups, others = (np.arange(100) // 4).tolist(), (np.arange(300) // 5).tolist()
    found = ppi(truth, yhat, more, groups=groups, unlabelled_groups=others)
    plain = ppi(truth, yhat, more, method="bootstrap")
    assert np.ptp(limits(found)) > 1.4 * np.ptp(limits(plain))
    assert found.interval.method == "ppi_bootstrap_clustered"
    assert (found.interval.clusters, found.worth) == (25, None)
    hits = truth.reshape(25, 4).sum(axis=1)
    assert found.labelled.interval == clustered_wilson(hits, [4] * 25)
    order = rng.permutation(100)
    moved = ppi(
        truth[order],
        yhat[order],
        more,
        groups=[f"user {groups[i]}" for i in order],
        unlabelled_groups=others,
    )
    assert moved == found
    alone = ppi(truth, yhat, more, groups=range(100), method="wald")
    assert alone == ppi(truth, yhat, more, method="wald")
    one = ppi(truth, yhat, more, groups=["a"] * 100)
    assert (one.reason, one.interval.lo) == ("one_cluster", None)


def test_nothing_varies() -> None:
    """30 passes, all seen by the judge: no Wald interval, but Wilson's."""
    passes = np.ones(30, bool)
    for method in ("wald", "bootstrap"):
        found = ppi(passes, passes, np.ones(50, bool), method=method)
        assert (found.value, found.interval.lo, found.reason) == (1.0, None, "nothing_varies")
        assert found.worth is None
    found = ppi(passes, passes, np.ones(50, bool))
    assert limits(found)[1] == 1
    assert 0.8 < limits(found)[0] < limits(ppi(passes, passes, np.ones(50, bool), level=0.8))[0]
    assert found.lam == 0


def test_without_labels_or_verdicts() -> None:
    some = np.array([True, False])
    none = np.array([], bool)
    assert ppi(none, none, some).reason == "no_labels"
    found = ppi(some, some, none)
    assert (found.value, found.reason) == (None, "no_unlabelled")
    assert found.labelled.value == 0.5
    for one in (found, ppi(none, none, some), ppi(some[:1], some[:1], some)):
        json.dumps(one.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        (([1, 0], [True, False], [True]), {}, "bool"),
        (([True], [True, False], [True]), {}, "align"),
        (([True], [True], [True]), {"lam": 1.5}, "lam"),
        (([True], [True], [True]), {"method": "t"}, "wilson, wald, bootstrap"),
        (([True], [True], [True]), {"level": 95}, "level"),
        (([True], [True], [True]), {"groups": ["a", "b"]}, "groups"),
    ],
)
def test_at_the_door(args: tuple[Any, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ppi(*args, **options)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "theta", "right"),
    [(20, 0.8, 0.9), (50, 0.8, 0.9), (50, 0.9, 0.9), (50, 0.8, 0.98), (100, 0.9, 0.9)],
)
def test_simulated_coverage(n: int, theta: float, right: float) -> None:
    covered = []
    for seed in range(1500):
        lo, hi = limits(ppi(*sample(seed, n, 1000, theta, right)))
        covered.append(lo <= theta <= hi)
    assert 0.93 <= np.mean(covered) <= 0.99
