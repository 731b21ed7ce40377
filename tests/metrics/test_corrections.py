"""A judge's difference in the expert's words: the ratio, its limits, and their coverage."""

from __future__ import annotations

import numpy as np
import pytest

from judgelab.metrics.corrections import corrected_difference
from judgelab.metrics.intervals import Interval
from judgelab.metrics.scorecard import Metric


def metric(value: float, lo: float | None, hi: float | None) -> Metric:
    return Metric(value, Interval(lo, hi, "made", 0.95, 100, None if lo is not None else "no"))


def test_a_judge_without_mistakes_needs_no_correction() -> None:
    found = corrected_difference(metric(-0.2, -0.3, -0.1), metric(1.0, 1.0, 1.0))
    assert found.value == -0.2
    assert (found.interval.lo, found.interval.hi) == (pytest.approx(-0.3), pytest.approx(-0.1))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_known_recall_stretches_the_limits(sign: int) -> None:
    ends = sorted((sign * 0.05, sign * 0.2))
    found = corrected_difference(metric(sign * 0.1, *ends), metric(0.5, 0.5, 0.5))
    assert found.value == pytest.approx(sign * 0.2)
    assert (found.interval.lo, found.interval.hi) == (
        pytest.approx(2 * ends[0]),
        pytest.approx(2 * ends[1]),
    )


@pytest.mark.parametrize("seed", range(20))
def test_the_other_way_round_is_the_mirror_and_a_vague_recall_widens(seed: int) -> None:
    rng = np.random.default_rng(seed)
    value = rng.uniform(-0.4, 0.4)
    lo, hi = value - rng.uniform(0.01, 0.3), value + rng.uniform(0.01, 0.3)
    youden = metric(0.6, 0.45, 0.72)
    found = corrected_difference(metric(value, lo, hi), youden).interval
    mirror = corrected_difference(metric(-value, -hi, -lo), youden).interval
    sure = corrected_difference(metric(value, lo, hi), metric(0.6, 0.6, 0.6)).interval
    assert found.lo is not None
    assert found.hi is not None
    assert mirror.hi is not None
    assert sure.lo is not None
    assert sure.hi is not None
    assert mirror.hi == pytest.approx(-found.lo)
    assert found.lo <= sure.lo + 1e-12
    assert sure.hi <= found.hi + 1e-12
    assert -1 <= found.lo <= value / 0.6 <= found.hi <= 1
    assert (found.lo < 0 < found.hi) == (lo < 0 < hi), "a claim of a sign is the difference's own"


def test_without_a_recall_there_is_nothing() -> None:
    refused = Metric(None, Interval(None, None, "m", 0.95, 9), "judge_may_be_chance")
    found = corrected_difference(metric(0.1, 0.0, 0.2), refused)
    assert (found.value, found.reason) == (None, "judge_may_be_chance")
    vague = corrected_difference(metric(0.1, None, None), metric(0.5, 0.4, 0.6))
    assert (vague.value, vague.interval.lo, vague.interval.reason) == (0.2, None, "no")
