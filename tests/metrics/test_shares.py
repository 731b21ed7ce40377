"""A slice against the rest: as Fisher without groups, and no more certain than its groups."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import hypergeom

from judgelab.metrics.intervals import clustered_wilson, wilson
from judgelab.metrics.shares import share, slice_p

Bools = NDArray[np.bool_]


def made(seed: int, n: int = 120, p: float = 0.3) -> tuple[Bools, Bools]:
    rng = np.random.default_rng(seed)
    return rng.random(n) < p, rng.random(n) < 0.3


def in_groups(
    seed: int, kind: str, *, count: int, p: float, alike: float
) -> tuple[Bools, Bools, list[int]]:
    """Hits that go with their group and not with the slice, which holds whole groups or cuts
    through them."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(count), rng.integers(1, 10, count))
    if kind == "whole":
        there = np.zeros(count, bool)
        there[rng.choice(count, count // 5, replace=False)] = True
        inside = there[groups]
    else:
        inside = rng.random(len(groups)) < 0.2
    spread = (1 - alike) / alike
    rates = rng.beta(p * spread, (1 - p) * spread, count)
    return rng.random(len(groups)) < rates[groups], inside, groups.tolist()


@pytest.mark.parametrize("seed", range(6))
def test_without_groups_it_is_fishers_midp(seed: int) -> None:
    hits, inside = made(seed)
    table = hypergeom(120, int(hits.sum()), int(inside.sum()))
    both = int((hits & inside).sum())
    tails = [table.cdf(both) - table.pmf(both) / 2, table.sf(both - 1) - table.pmf(both) / 2]
    found = slice_p(hits, inside, [None] * 120)
    assert found == pytest.approx(min(1, 2 * min(tails)))
    assert slice_p(hits, ~inside, [None] * 120) == pytest.approx(found), "either side says the same"
    assert slice_p(~hits, inside, [None] * 120) == pytest.approx(found)


@pytest.mark.parametrize("seed", range(6))
def test_copies_of_an_item_in_its_group_are_no_new_witnesses(seed: int) -> None:
    hits, inside = made(seed)
    alone = slice_p(hits, inside, list(range(120)))
    copies = slice_p(np.repeat(hits, 4), np.repeat(inside, 4), np.repeat(range(120), 4).tolist())
    strangers = slice_p(np.repeat(hits, 4), np.repeat(inside, 4), [None] * 480)
    assert alone is not None
    assert copies is not None
    assert strangers is not None
    assert copies > strangers or copies > 0.9
    assert copies == pytest.approx(alone, abs=0.1)


@pytest.mark.parametrize("kind", ["whole", "cut"])
def test_neither_order_nor_names_change_a_digit(kind: str) -> None:
    hits, inside, groups = in_groups(1, kind, count=40, p=0.3, alike=0.3)
    order = np.random.default_rng(0).permutation(len(hits))
    renamed = [f"g{groups[i]}" for i in order]
    assert slice_p(hits[order], inside[order], renamed) == slice_p(hits, inside, groups)


@pytest.mark.parametrize("kind", ["whole", "cut"])
@pytest.mark.parametrize(("p", "alike"), [(0.3, 0.3), (0.1, 0.3)])
def test_where_there_is_no_effect_few_tests_find_one(kind: str, p: float, alike: float) -> None:
    found = [
        slice_p(*in_groups(seed, kind, count=60, p=p, alike=alike)) or 1.0 for seed in range(400)
    ]
    below = np.mean(np.array(found) < 0.05)
    assert below <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 400)
    assert below > 0.005, "it can find something"


def test_a_true_difference_is_found() -> None:
    groups = np.repeat(np.arange(60), 5)
    inside = groups < 20
    rng = np.random.default_rng(0)
    hits = rng.random(300) < np.where(inside, 0.6, 0.2)
    found = slice_p(hits, inside, groups.tolist())
    assert found is not None
    assert found < 1e-3


def test_what_can_say_nothing() -> None:
    hits = np.array([True, False, True])
    assert slice_p(hits, np.zeros(3, bool), [None] * 3) is None
    assert slice_p(hits, np.ones(3, bool), [None] * 3) is None
    assert slice_p(np.ones(3, bool), hits, [None] * 3) == 1
    assert slice_p(hits, np.array([True, False, False]), ["g"] * 3) == 1, "one group"
    with pytest.raises(ValueError, match="aligned"):
        slice_p(hits, hits[:2], [None] * 3)


def test_a_share_is_wilson_and_clustered_where_groups_repeat() -> None:
    hits = np.array([True, True, False, True, False, False, True, False])
    assert share(hits, [None] * 8, 0.95).interval == wilson(4, 8)
    groups = [0, 0, 1, 1, 2, 2, 3, 3]
    assert share(hits, groups, 0.9).interval == clustered_wilson([2, 1, 0, 1], [2, 2, 2, 2], 0.9)
