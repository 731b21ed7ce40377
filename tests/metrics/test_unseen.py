"""The Good-Turing estimate: its exact values, its limits, and that they hold in simulation."""

from __future__ import annotations

import numpy as np
import pytest

from judgelab.metrics.unseen import unseen


def test_one_kind_a_unit_is_goods_estimate_with_estys_limits() -> None:
    # f1 = 2 (c, d), f2 = 1 (b) of n = 10, by hand.
    found = unseen([{k} for k in "aaaaaabbcd"])
    assert (found.value, found.kinds, found.once, found.twice) == (0.2, 4, 2, 1)
    half = 1.959963984540054 * np.sqrt((2 * (1 - 0.2) + 2 * 1) / 10**2)
    assert found.interval.lo == 0  # .2 - .37 is below 0
    assert found.interval.hi == pytest.approx(0.2 + half)
    assert found.to_json()["method"] == "esty"


def test_several_kinds_a_unit_is_the_share_that_is_new_to_the_others() -> None:
    units = [{"a", "b"}, {"a"}, {"b", "c"}, {"a", "d", "e"}, {"b"}]
    left_out = [
        bool(unit - set().union(*(units[:n] + units[n + 1 :]))) for n, unit in enumerate(units)
    ]
    assert unseen(units).value == np.mean(left_out) == 0.4
    assert unseen(list(reversed(units))) == unseen(units)


def test_nothing_seen_once_is_no_proof_that_all_is_seen() -> None:
    found = unseen([{"a"}] * 20 + [{"b"}] * 20)
    assert (found.value, found.interval.lo) == (0, 0)
    assert found.interval.hi == pytest.approx(0.0876, abs=1e-4)  # Wilson's of 0 of 40


def test_no_unit_says_nothing_and_a_unit_without_a_kind_is_refused() -> None:
    found = unseen([])
    assert (found.value, found.interval.lo, found.interval.reason) == (None, None, "no_items")
    with pytest.raises(ValueError, match="needs a kind"):
        unseen([{"a"}, set()])


@pytest.mark.parametrize("kinds", [11, 40])
@pytest.mark.parametrize("zipf", [0, 1])
def test_the_limits_hold_the_true_share(kinds: int, zipf: int) -> None:
    rng = np.random.default_rng(kinds + zipf)
    p = 1 / np.arange(1, kinds + 1) ** zipf
    p /= p.sum()
    held, error = 0, []
    for _ in range(400):
        drawn = rng.choice(kinds, 60, p=p)
        found = unseen([{int(k)} for k in drawn])
        true = p[np.setdiff1d(np.arange(kinds), drawn)].sum()
        held += (found.interval.lo or 0) <= true <= (found.interval.hi or 0)
        error.append((found.value or 0) - true)
    assert held / 400 > 0.9
    assert abs(np.mean(error)) < 0.02
