"""Recalls carried to another make-up: in exact fractions, against weights, and coverage."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from judgelab.metrics.confusion import Confusion
from judgelab.metrics.reweighting import reweighted
from judgelab.metrics.scorecard import Metric, scorecard


def limits(metric: Metric) -> tuple[float, float]:
    assert metric.interval.lo is not None
    assert metric.interval.hi is not None
    return metric.interval.lo, metric.interval.hi


def test_precision_at_five_percent_fails() -> None:
    found = reweighted([90, 10, 10, 90], 0.05)
    assert found.precision_fail.value == pytest.approx(0.045 / 0.14)
    assert found.precision_pass.value == pytest.approx(0.855 / 0.86)
    assert found.agreement.value == pytest.approx(0.9)
    assert found.assumption == "same_recalls"
    assert found.to_json()["precision_fail"]["method"] == "mover_wilson"


def test_random_tables_in_exact_fractions_with_limits_around_them() -> None:
    rng = np.random.default_rng(0)
    missing = 0
    for _ in range(3000):
        table = (rng.integers(0, 40, 6) * (rng.random(6) < 0.75)).tolist()
        q = Fraction(int(rng.integers(1, 99)), 100)
        found = reweighted(table, float(q))
        json.dumps(found.to_json(), allow_nan=False)
        tp, fn, fp, tn, none_fail, none_pass = table
        fails, passes = tp + fn + none_fail, fp + tn + none_pass
        for metric, own, other, size, rest, share in (
            (found.precision_fail, tp, fp, fails, passes, q),
            (found.precision_pass, tn, fn, passes, fails, 1 - q),
        ):
            if not size or not rest or own + other == 0:
                missing += 1
                assert metric.value is None
                assert metric.reason == ("never_said" if size and rest else "empty_class")
                continue
            hit, slip = share * Fraction(own, size), (1 - share) * Fraction(other, rest)
            assert metric.value == pytest.approx(float(hit / (hit + slip)))
            lo, hi = limits(metric)
            assert 0 <= lo <= metric.value + 1e-12
            assert metric.value - 1e-12 <= hi <= 1
        if fails and passes:
            value = q * Fraction(tp, fails) + (1 - q) * Fraction(tn, passes)
            assert found.agreement.value == pytest.approx(float(value))
        else:
            assert found.agreement.reason == "empty_class"
    assert missing > 100


def test_it_is_what_weights_by_label_say() -> None:
    expert = np.repeat([True, True, False, False], [40, 10, 15, 85])
    judge = np.repeat([1, 0, 1, 0], [40, 10, 15, 85])
    weights = np.where(expert, 0.1 / 50, 0.9 / 100)
    card = scorecard(expert, judge, weights=weights).metrics
    found = reweighted(Confusion.from_arrays(expert, judge).table, 0.1)
    for name in ("precision_fail", "precision_pass", "agreement"):
        metric = getattr(found, name)
        assert metric.value == pytest.approx(card[name].value)
        assert limits(metric) == pytest.approx(limits(card[name]), abs=0.06)


def test_swapping_the_labels_swaps_the_classes() -> None:
    one, other = reweighted([40, 10, 15, 85], 0.1), reweighted([85, 15, 10, 40], 0.9)
    assert limits(one.precision_fail) == pytest.approx(limits(other.precision_pass))
    assert limits(one.agreement) == pytest.approx(limits(other.agreement))


def test_clusters_widen() -> None:
    tables = np.random.default_rng(1).multinomial(8, [0.3, 0.1, 0.1, 0.5], 30) * 2
    found, plain = reweighted(tables, 0.2), reweighted(tables.sum(axis=0), 0.2)
    assert found.precision_fail.value == pytest.approx(plain.precision_fail.value)
    assert np.ptp(limits(found.precision_fail)) > np.ptp(limits(plain.precision_fail))
    assert found.precision_fail.interval.method == "mover_wilson_clustered"
    assert found.precision_fail.interval.clusters == 30
    one = reweighted(tables[:1], 0.2)
    assert one.agreement.value is not None
    assert one.agreement.interval.reason == one.precision_fail.interval.reason == "one_cluster"


@pytest.mark.parametrize(
    "call",
    [
        lambda: reweighted([1, 2, 3, 4], 0),
        lambda: reweighted([1, 2, 3], 0.5),
        lambda: reweighted([1, 2, 3, -4], 0.5),
    ],
)
def test_at_the_door(call: Any) -> None:
    with pytest.raises(ValueError, match=r"must|needs"):
        call()


@pytest.mark.parametrize(
    ("sizes", "recall", "alarms", "prevalence"),
    [((50, 50), 0.8, 0.1, 0.05), ((50, 50), 0.95, 0.02, 0.05), ((30, 300), 0.7, 0.3, 0.05)],
)
def test_exact_coverage_of_precision(
    sizes: tuple[int, int], recall: float, alarms: float, prevalence: float
) -> None:
    """Summed over both binomials where they have weight."""
    truth = prevalence * recall / (prevalence * recall + (1 - prevalence) * alarms)
    covered = total = 0.0
    for hits in range(sizes[0] + 1):
        for slips in range(sizes[1] + 1):
            weight = binom.pmf(hits, sizes[0], recall) * binom.pmf(slips, sizes[1], alarms)
            if weight < 1e-5 or hits + slips == 0:
                continue
            table = [hits, sizes[0] - hits, slips, sizes[1] - slips]
            lo, hi = limits(reweighted(table, prevalence).precision_fail)
            total += weight
            covered += weight * (lo <= truth <= hi)
    assert total > 0.98
    assert 0.93 <= covered / total <= 0.99
