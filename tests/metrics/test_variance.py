from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from judgelab.metrics.variance import explained


def test_the_share_is_that_of_the_analysis_of_variance() -> None:
    rng = np.random.default_rng(0)
    values = ["a"] * 5 + ["b"] * 7 + ["c"] * 4
    scores = rng.normal(size=16) + np.repeat([0.0, 1.0, 0.5], [5, 7, 4])
    found = explained(values, scores.tolist(), seed=0)
    assert found is not None
    groups = [scores[np.array(values) == name] for name in "abc"]
    f, p = stats.f_oneway(*groups)
    assert found.share == pytest.approx(2 * f / (2 * f + 13), abs=1e-12)
    assert found.p == pytest.approx(p, abs=0.03)


def test_without_an_effect_chance_is_exceeded_one_time_in_twenty() -> None:
    rng = np.random.default_rng(1)
    values = ["a", "b", "c"] * 5
    found = [explained(values, rng.normal(size=15).tolist(), seed=n) for n in range(300)]
    over = sum(one.share > one.chance for one in found if one is not None)
    assert stats.binomtest(over, 300, 0.05).pvalue > 0.01
    assert {one.p <= 0.05 for one in found if one is not None} == {True, False}


@pytest.mark.parametrize(
    ("values", "scores"),
    [
        (["a"] * 4, [0.1, 0.2, 0.3, 0.4]),
        (["a", "b", "c"], [0.1, 0.2, 0.3]),
        (["a", "a", "b"], [0.1, 0.1, 0.1]),
        ([], []),
    ],
    ids=["one value", "each its own", "equal scores", "none"],
)
def test_where_nothing_can_be_said(values: list[str], scores: list[float]) -> None:
    assert explained(values, scores, seed=0) is None


def test_the_same_seed_gives_the_same() -> None:
    values, scores = ["a", "b"] * 4, [0.1, 0.3, 0.2, 0.5, 0.4, 0.1, 0.3, 0.6]
    assert explained(values, scores, seed=3) == explained(values, scores, seed=3)
