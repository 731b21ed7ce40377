"""How many labels: against statsmodels' Wilson intervals, searched one by one."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from metric_tables import items, random_tables
from statsmodels.stats.proportion import proportion_confint

from judgelab.metrics.sample_size import (
    at_least,
    half_width,
    half_width_items,
    in_words,
    needs,
    without_judge,
)
from judgelab.metrics.scorecard import scorecard

PUBLISHED = {0.05: (381, 245, 196, 141, 83), 0.10: (93, 60, 49, 37, 25)}


def width(p: float, n: float, level: float = 0.95) -> float:
    lo, hi = proportion_confint(p * n, n, alpha=1 - level, method="wilson")
    return float(hi - lo) / 2


@pytest.mark.parametrize("wanted", PUBLISHED)
def test_the_published_numbers(wanted: float) -> None:
    found = tuple(half_width_items(p, wanted) for p in (0.5, 0.8, 0.85, 0.9, 0.95))
    assert found == PUBLISHED[wanted]


@pytest.mark.parametrize("level", [0.8, 0.95, 1 - 0.05 / 3])
def test_the_smallest_n_equals_a_search_with_statsmodels(level: float) -> None:
    for p in (0.001, 0.2, 0.37, 0.5, 0.83, 0.99):
        widths = [width(p, n, level) for n in range(1, 1200)]
        for wanted in (0.04, 0.05, 0.1, 0.3, 0.49):
            n = half_width_items(p, wanted, level)
            assert n == next(i for i, found in enumerate(widths, 1) if found <= wanted)
        assert [half_width(p, n, level) for n in (1, 7, 900)] == pytest.approx(
            [widths[0], widths[6], widths[899]]
        )


def test_shares_at_their_end_need_fewest_and_a_wide_interval_needs_one_item() -> None:
    z2 = 1.959963984540054**2
    assert half_width_items(1, 0.05) == half_width_items(0, 0.05) == math.ceil(z2 / 0.1 - z2)
    assert half_width_items(0.5, 0.5) == 1
    assert half_width(0.3, 0) == pytest.approx(0.5)


@pytest.mark.parametrize("call", [(1.1, 0.05), (0.5, 0), (0.5, 0.05, 95)])
def test_impossible_wishes_are_refused(call: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"needs|level"):
        half_width_items(*call)
    with pytest.raises(ValueError, match=r"needs|level"):
        half_width(call[0], -1 if call[0] == 0.5 else 3, *call[2:])


def test_needs_by_hand() -> None:
    """40 fails at .8, 100 passes at .88: the published 60 and 245 are 20 and 205 more."""
    found = needs(scorecard(*items([32, 8, 12, 88, 0, 0])))
    recall = found["metrics"]["recall_fail"]
    assert (recall["n"], recall["unit"], recall["value"]) == (40, "fails", 0.8)
    assert recall["more"] == {"10": 20, "5": 205}
    assert recall["items"] == {"10": 70, "5": math.ceil(205 * 140 / 40)}
    assert recall["half_width"] == pytest.approx(width(0.8, 40))
    assert (recall["planned_at"], recall["planned_because"], recall["deff"]) == (0.8, None, 1)
    passes = found["metrics"]["recall_pass"]
    assert passes["more"] == {"10": 0, "5": half_width_items(0.88, 0.05) - 100}
    assert found["metrics"]["precision_fail"]["unit"] == "flagged"
    assert found["metrics"]["precision_fail"]["n"] == 44
    assert (found["n"], found["fails"], found["prevalence_fail"]) == (140, 40, 40 / 140)


def test_needs_of_the_json_are_needs_of_the_card_and_strict_json() -> None:
    for table in [*random_tables(40, abstentions=True), np.zeros(6, int)]:
        for policy in ("error", "exclude"):
            card = scorecard(*items(table), policy=policy, draws=50)
            found = needs(card)
            assert json.loads(json.dumps(found, allow_nan=False)) == found
            assert needs(json.loads(json.dumps(card.to_json("x")))) == found
            assert len(in_words(found)) == 4


def test_what_is_promised_is_reached_with_that_many_more() -> None:
    for table in random_tables(60, abstentions=False, seed=3):
        found = needs(scorecard(*items(table), draws=50))
        for need in found["metrics"].values():
            for points, more in need["more"].items():
                if more:
                    assert need["half_width"] is None or need["half_width"] > int(points) / 100
                    then = half_width(need["planned_at"], need["n"] + more)
                    assert then <= int(points) / 100 + 1e-12
                else:
                    assert need["half_width"] <= int(points) / 100


def test_clusters_multiply_by_the_design_effect() -> None:
    expert, judge = items([32, 8, 12, 88, 0, 0])
    found = needs(scorecard(expert, judge, groups=[i // 4 for i in range(140)]))
    need = found["metrics"]["agreement"]
    assert need["deff"] > 1.5
    wanted = math.ceil(half_width_items(need["planned_at"], 0.05) * need["deff"])
    assert need["more"]["5"] == wanted - 140
    assert in_words(found)[0].endswith("in new groups")


def test_few_groups_are_never_reached_by_arithmetic_alone() -> None:
    """Three groups: t with 2 df makes the limits wide although n is large."""
    expert, judge = items([320, 80, 120, 880, 0, 0])
    found = needs(scorecard(expert, judge, groups=[i % 3 for i in range(1400)]))
    need = found["metrics"]["recall_fail"]
    assert need["half_width"] > 0.05
    assert need["more"]["5"] >= 1


@pytest.mark.parametrize(("misses", "says"), [(9, 1 - 3 / 9), (60, 0.95), (3, None), (1, None)])
def test_no_miss_proves_little(misses: int, says: float | None) -> None:
    found = needs(scorecard(*items([misses, 0, 5, 90, 0, 0]), draws=50))["metrics"]["recall_fail"]
    assert found["at_least"] == (None if says is None else pytest.approx(says))
    assert at_least(misses) == found["at_least"]
    assert found["planned_because"] == "all_alike"
    assert found["planned_at"] == pytest.approx(max(0.5, 1 - 3 / misses))
    # The exact one-sided bound is .05 ** (1 / m); three over m is its first term.
    if says is not None and misses > 20:
        assert says == pytest.approx(0.05 ** (1 / misses), abs=0.002)


def test_undefined_is_planned_at_a_half_and_said() -> None:
    found = needs(scorecard(*items([0, 0, 3, 20, 0, 0]), draws=50))
    recall = found["metrics"]["recall_fail"]
    assert (recall["value"], recall["half_width"], recall["planned_at"]) == (None, None, 0.5)
    assert recall["planned_because"] == "undefined"
    assert recall["more"] == {"10": 93, "5": 381}
    assert recall["items"] == {"10": None, "5": None}
    assert "nothing to say yet on 0 fails" in in_words(found)[1]


def test_without_a_judge() -> None:
    found = without_judge(40, 100)
    assert found["metrics"]["recall_fail"]["more"] == {"10": 20, "5": 205}
    assert found["metrics"]["recall_fail"]["half_width"] == pytest.approx(width(0.8, 40))
    assert found["metrics"]["agreement"]["more"]["5"] == 105
    assert {m["planned_because"] for m in found["metrics"].values()} == {"no_judge"}
    assert without_judge(0, 0)["metrics"]["recall_pass"]["half_width"] is None
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_words() -> None:
    lines = in_words(needs(scorecard(*items([32, 8, 12, 88, 0, 0]))))
    assert lines[1] == (
        "recall of fail: ±13 points on 40 fails. "
        "To get ±10: 20 more fails (about 70 items); ±5: 205 more (about 718)"
    )
    assert lines[0] == "agreement: ±6 points on 140 items. To get ±5: 49 more items"
    sure = in_words(needs(scorecard(*items([9, 0, 1, 300, 0, 0]))))
    assert "recall of fail: ±15 points on 9 fails; no miss in 9 proves only ≥ .67. To" in sure[1]
    assert sure[1].endswith("planned at .67, which these cannot exclude")
    assert sure[0] == "agreement: ±1 points on 310 items"
    ahead = in_words(without_judge(40, 100))
    assert ahead[1].endswith("205 more (about 718), for a judge that is right in .80")


def test_weights_count_by_the_design_effect_too() -> None:
    expert, judge = items([32, 8, 12, 88, 0, 0])
    found = needs(scorecard(expert, judge, weights=[1 + 9 * (i % 2) for i in range(140)]))
    need = found["metrics"]["agreement"]
    assert need["deff"] > 1.3
    assert need["more"]["5"] == (
        math.ceil(half_width_items(need["planned_at"], 0.05) * need["deff"]) - 140
    )
    assert not in_words(found)[0].endswith("in new groups")
