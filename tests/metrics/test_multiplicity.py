"""Adjusted p-values against statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from judgelab.metrics.multiplicity import all_pairs, bh, holm

BOTH = [(holm, "holm"), (bh, "fdr_bh")]


@pytest.mark.parametrize(("adjust", "name"), BOTH)
def test_equal_to_statsmodels(adjust, name) -> None:
    rng = np.random.default_rng(2)
    for size in range(1, 200):
        ps = rng.random(size) ** rng.integers(1, 6)
        ps[rng.random(size) < 0.2] = ps[0]
        assert adjust(ps.tolist()) == pytest.approx(multipletests(ps, method=name)[1])


@pytest.mark.parametrize(("adjust", "name"), BOTH)
def test_what_is_not_at_hand_counts_as_one(adjust, name) -> None:
    """Variants that were pruned or tried earlier, and tests without a p-value."""
    ps = [0.004, 0.03, 0.0001, 0.2]
    expected = multipletests([*ps, *[1.0] * 6], method=name)[1][:4]
    assert adjust(ps, m=10) == pytest.approx(expected)
    without = adjust([None, *ps, float("nan"), None, None], m=10)
    assert [without[k] for k in (0, 5, 6, 7)] == [None] * 4
    assert without[1:5] == pytest.approx(expected)
    assert adjust([*ps, None]) == [*adjust(ps, m=5), None]


def test_pairs_with_a_judge_that_the_items_chose_are_a_family_of_all_pairs() -> None:
    assert [all_pairs(judges) for judges in (0, 1, 2, 5, 50)] == [0, 0, 1, 10, 1225]
    with pytest.raises(ValueError, match="-1"):
        all_pairs(-1)


@pytest.mark.parametrize(("adjust", "name"), BOTH)
def test_ends(adjust, name) -> None:
    assert adjust([]) == []
    assert adjust([None]) == [None]
    assert adjust([1.0, 0.0]) == [1.0, 0.0]
    with pytest.raises(ValueError, match="m=1"):
        adjust([0.1, 0.2], m=1)
    with pytest.raises(ValueError, match=r"1\.2"):
        adjust([0.1, 1.2])
