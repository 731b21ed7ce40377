"""The corrected share against traffic whose truth is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from judgelab.analysis.corrected import Traffic, corrected, failing
from judgelab.analysis.slices import Judged
from judgelab.metrics.population import rogan_gladen
from judgelab.metrics.ppi import ppi

TRUTH = 0.3


def drawn(
    seed: int, *, labelled: int = 60, traffic: int = 150, alike: bool = True
) -> tuple[Judged, Traffic]:
    """Groups of one to five items, alike in whether they fail; the judge catches .8 of the fails
    and fails .15 of the passes."""
    rng = np.random.default_rng(seed)

    def some(groups: int) -> tuple[Any, Any, Any]:
        of = np.repeat(np.arange(groups), rng.integers(1, 6, groups))
        rate = rng.beta(TRUTH * 3, (1 - TRUTH) * 3, groups)[of] if alike else TRUTH
        fails = rng.random(len(of)) < rate
        flagged = rng.random(len(of)) < np.where(fails, 0.8, 0.15)
        return fails, flagged.astype(np.int64), of

    fails, judge, groups = some(labelled)
    items = [f"i{n}" for n in range(len(fails))]
    _, other, of = some(traffic)
    return Judged(items, fails, judge, groups), Traffic(
        [f"u{n}" for n in range(len(of))], other, of
    )


def whole(judged: Judged, traffic: Traffic, **more: Any) -> dict[str, Any]:
    return corrected(judged, np.ones(len(judged.items), bool), traffic, 0.95, **more)


@pytest.mark.parametrize("n", [12, pytest.param(120, marks=pytest.mark.slow)])
def test_both_ways_cover_the_truth_and_the_judges_own_share_does_not(n: int) -> None:
    found = [whole(*drawn(seed)) for seed in range(n)]
    for way in ("rogan_gladen", "ppi"):
        limits = [(one[way]["lo"], one[way]["hi"]) for one in found if one[way]["lo"] is not None]
        assert len(limits) > 0.9 * n
        covered = [lo <= TRUTH <= hi for lo, hi in limits]
        assert np.mean(covered) >= 0.95 - 2.6 * np.sqrt(0.95 * 0.05 / len(covered))
        assert np.mean([hi - lo for lo, hi in limits]) < 0.45, "and say something"
    shares = [one["judge_fails"]["value"] for one in found]
    assert np.mean(shares) > TRUTH + 0.02


def test_the_numbers_are_those_of_the_metrics() -> None:
    judged, traffic = drawn(1, alike=False)
    judged = Judged(judged.items, judged.expert, judged.judge, np.arange(len(judged.items)))
    traffic = Traffic(traffic.items, traffic.judge, np.arange(len(traffic.items)))
    found = whole(judged, traffic)
    fails, flagged = judged.expert, judged.judge == 1
    table = [(fails & flagged).sum(), (fails & ~flagged).sum(), (~fails & flagged).sum(),
             (~fails & ~flagged).sum()]  # fmt: skip
    passed = traffic.judge == 0
    by_recalls = rogan_gladen(table, int(passed.sum()), len(passed))
    assert by_recalls.value is not None
    assert found["rogan_gladen"]["value"] == pytest.approx(1 - by_recalls.value)
    by_sample = ppi(~fails, ~flagged, passed)
    assert by_sample.value is not None
    assert by_sample.interval.hi is not None
    assert found["ppi"]["value"] == pytest.approx(1 - by_sample.value)
    assert found["ppi"]["lo"] == pytest.approx(1 - by_sample.interval.hi)
    assert (found["n"], found["apart"]) == (len(passed), False)


def test_an_abstention_is_not_passed_on_both_sides() -> None:
    judged, traffic = drawn(2)
    silent = Judged(judged.items, judged.expert, np.where(judged.judge == 1, -1, 0), judged.groups)
    quiet = Traffic(traffic.items, np.where(traffic.judge == 1, -1, 0), traffic.groups)
    assert whole(silent, quiet)["rogan_gladen"] == whole(judged, traffic)["rogan_gladen"]


def test_it_is_refused_with_its_reason() -> None:
    judged, traffic = drawn(3)
    flipped = Judged(judged.items, judged.expert, 1 - judged.judge, judged.groups)
    refused = whole(flipped, traffic)["rogan_gladen"]
    assert (refused["value"], refused["reason"]) == (None, "judge_not_better_than_chance")
    differs = whole(judged, traffic, differs=True)
    assert (differs["rogan_gladen"]["lo"], differs["rogan_gladen"]["reason"]) == (
        None,
        "recalls_differ_here",
    )
    assert differs["ppi"]["value"] is not None, "that needs no recalls"


def test_fail_is_the_complement_of_pass() -> None:
    rate = {"value": 0.7, "lo": 0.6, "hi": 0.9, "method": "m", "level": 0.95, "n": 5, "raw": 1.2}
    turned = failing(rate)
    assert (turned["value"], turned["lo"], turned["hi"]) == (
        pytest.approx(0.3), pytest.approx(0.1), pytest.approx(0.4),
    )  # fmt: skip
    assert "raw" not in turned
