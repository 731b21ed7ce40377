"""Before and after: what became of each failure, and the rates against a truth that is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from judgelab.analysis.cuts import Cut
from judgelab.analysis.fixes import STATES, Change, findings, items
from judgelab.analysis.pairing import Pairs
from judgelab.analysis.slices import Judged

NOTHING = Pairs({}, {}, {}, frozenset(), {"of test inputs, left closed": 3}, 2, {})


def change(
    expert: list[int], before: list[int], after: list[int], labels: list[int] | None = None
) -> Change:
    n = len(expert)
    judged = Judged([f"i{k}" for k in range(n)], np.array(expert, bool), np.array(before),
                    np.arange(n))  # fmt: skip
    said = np.array(labels or [-1] * n)
    return Change(judged, np.array(after), said, np.ones(n, bool), 0.95)


def drawn(
    seed: int, *, fixed: float, new: float, groups: int = 80, alike: float = 0.5
) -> tuple[Change, float, float]:
    """Failures of groups are fixed together; the judge catches .8 of the fails, fails .15 of the
    passes, and makes the same mistake twice in `alike` of the items. With the true rate after, and
    the true difference."""
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(groups), rng.integers(1, 6, groups))
    n, rate = len(of), 0.35
    fails = rng.random(n) < rng.beta(rate * 3, (1 - rate) * 3, groups)[of]
    share = rng.beta(fixed * 3, (1 - fixed) * 3, groups)[of] if 0 < fixed < 1 else fixed
    now = np.where(fails, rng.random(n) >= share, rng.random(n) < new)
    luck = rng.random(n)
    again = np.where(rng.random(n) < alike, luck, rng.random(n))
    before, after = (chance < np.where(bad, 0.8, 0.15) for chance, bad in
                     ((luck, fails), (again, now)))  # fmt: skip
    judged = Judged([f"i{k}" for k in range(n)], fails, before.astype(np.int64), of)
    made = Change(judged, after.astype(np.int64), np.full(n, -1), np.ones(n, bool), 0.95)
    truth = rate * (1 - fixed) + (1 - rate) * new
    return made, truth, truth - rate


def found(made: Change, cuts: tuple[Cut, ...] = (), modes: Any = None) -> dict[str, Any]:
    return findings(made, cuts, modes or {}, NOTHING)


def test_what_became_of_each_item() -> None:
    made = change(
        expert=[1, 1, 1, 1, 0, 0, 0, 0, 1, 0],
        before=[1, 1, 0, 1, 0, 0, 1, 0, 0, 1],
        after=[0, 1, 0, -1, 1, 0, 0, -1, 0, 1],
        labels=[-1, -1, -1, -1, -1, -1, -1, -1, 1, 1],
    )
    assert [STATES[state] for state in made.states()] == [
        "gone",
        "stays",
        "untold_fail",  # the judge did not see this failure in the old output
        "untold_fail",  # nor says anything of the new one
        "new",
        "passes",
        "untold_pass",
        "untold_pass",
        "stays",  # the expert's word, where the judge was wrong
        "new",
    ]
    assert items(made) == {
        "gone": ["i0"], "stays": ["i1", "i8"], "new": ["i4", "i9"], "untold_fail": ["i2", "i3"],
    }  # fmt: skip
    assert found(made)["states"] == {
        "gone": 1, "stays": 2, "new": 2, "passes": 1, "untold_fail": 2, "untold_pass": 2,
    }  # fmt: skip


def test_the_corrected_difference_is_that_of_the_corrected_rates() -> None:
    made, _, _ = drawn(1, fixed=0.5, new=0.05)
    one = found(made)
    gap = one["corrected_after"]["value"] - one["expert_before"]["value"]
    assert one["corrected_difference"]["value"] == pytest.approx(gap)
    assert one["corrected_difference"]["clusters"] == 80


@pytest.mark.parametrize("n", [30, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("fixed", "new"), [(0.5, 0.03), (0.0, 0.0)])
def test_the_corrected_rate_and_difference_cover_the_truth(
    n: int, fixed: float, new: float
) -> None:
    rates, gaps, raw = [], [], []
    for seed in range(n):
        made, truth, gap = drawn(seed, fixed=fixed, new=new)
        one = found(made)
        for known, metric, true in (
            (rates, one["corrected_after"], truth), (gaps, one["corrected_difference"], gap),
        ):  # fmt: skip
            if metric["lo"] is not None:
                known.append(metric["lo"] <= true <= metric["hi"])
        raw.append(one["judge_after"]["value"] - truth)
    for known in (rates, gaps):
        assert len(known) > 0.95 * n
        assert np.mean(known) >= 0.95 - 2.6 * np.sqrt(0.95 * 0.05 / len(known))
    assert np.mean(raw) > 0.02, "the judge's own rate is another"


@pytest.mark.parametrize("n", [12, pytest.param(200, marks=pytest.mark.slow)])
def test_without_a_change_few_are_claimed(n: int) -> None:
    """The same system again: other outputs, as bad as before, in slices that say nothing."""
    claims = 0
    for seed in range(n):
        made, _, _ = drawn(seed, fixed=0.0, new=0.0, alike=0.0)
        rng = np.random.default_rng(seed)
        names = dict(zip(made.before.items, rng.choice(list("abc"), len(made.after)), strict=True))
        one = found(made, (Cut("name", names, ("a", "b", "c")),))
        claims += any(row["holm"] is not None and row["holm"] < 0.05 for row in one["slices"])
    assert claims <= 0.05 * n + 2.6 * np.sqrt(0.05 * 0.95 * n)


def test_a_judge_no_better_than_chance_corrects_nothing() -> None:
    rng = np.random.default_rng(0)
    made = change(*(rng.integers(0, 2, 100).tolist() for _ in range(3)))
    one = found(made)
    assert one["corrected_after"]["value"] is None
    assert one["corrected_difference"]["value"] is None
    assert one["corrected_difference"]["reason"] == one["corrected_after"]["reason"]
    assert one["by_judge"]["p"] <= 1


def test_root_causes_count_what_is_told() -> None:
    made = change(
        expert=[1] * 6 + [0] * 3,
        before=[1, 1, 1, 0, 1, 1, 0, 0, 0],
        after=[0, 0, 1, 0, 1, 0, 1, 1, 0],
    )
    modes = {"i0": ("dates",), "i1": ("dates", "units"), "i2": ("dates",), "i3": ("dates",),
             "i4": ("units",)}  # fmt: skip
    new = replace(NOTHING, modes={"i7": ("units", "rude"), "i8": ("rude",), "i0": ("rude",)})
    one = findings(made, (), modes, new)
    rows = [
        tuple(row[key] for key in ("mode", "n", "gone", "stays", "new", "untold_fail"))
        for row in one["causes"]
    ]
    assert rows == [
        ("dates", 4, 2, 1, 0, 1),
        ("rude", 0, 0, 0, 1, 0),
        ("units", 2, 1, 1, 1, 0),
        (None, 1, 1, 0, 1, 0),
    ]
    assert [row["share_gone"]["n"] for row in one["causes"]] == [3, 0, 2, 1]


def test_what_the_expert_says_of_changed_outputs_alone() -> None:
    rng = np.random.default_rng(0)
    expert, before, after = (rng.integers(0, 2, 60) for _ in range(3))
    labels = np.where(np.arange(60) < 40, rng.integers(0, 2, 60), -1)
    changed = np.arange(60) >= 20
    judged = Judged([f"i{k}" for k in range(60)], expert == 1, before, np.arange(60))
    one = found(Change(judged, after, labels, changed, 0.95))
    assert (one["unchanged"], one["by_expert"]) == (20, 40)
    assert (one["labelled"]["n"], one["labelled"]["changed"]) == (20, 40)
    assert one["labelled"]["after"]["value"] == labels[20:40].mean()
    nothing = found(Change(judged, after, np.where(changed, -1, labels), changed, 0.95))
    assert nothing["labelled"] is None
