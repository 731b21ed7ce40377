"""When rounds have converged, when they stall, and what a proof would take."""

from __future__ import annotations

from typing import Any

import pytest

from judgelab.errors import ConfigError
from judgelab.metrics.intervals import wilson
from judgelab.metrics.power import mcnemar_power
from judgelab.metrics.sample_size import items_apart, items_to_tell
from judgelab.rounds.rule import Point, Rule


def points(*values: float | None, **last: Any) -> list[Point]:
    made = [Point(number, 50, value) for number, value in enumerate(values, 1)]
    return [*made[:-1], Point(len(made), 50, made[-1].agreement, **last)]


@pytest.mark.parametrize(
    ("values", "holds"),
    [
        ((0.9, 0.9), True),
        ((0.95,), False),
        ((0.95, 0.89), False),
        ((0.89, 0.95), False),
        ((0.5, 0.9, 0.92), True),
        ((0.95, None, 0.95), False),
    ],
)
def test_the_goal_is_reached_in_two_rounds_in_a_row(values, holds):
    assert Rule().converged(points(*values)) is holds


def test_the_experts_own_ceiling_is_enough():
    before = Point(1, 50, 0.85, ceiling=0.84)
    assert Rule().converged([before, Point(2, 50, 0.84, ceiling=0.84)])
    assert not Rule().converged([before, Point(2, 50, 0.83, ceiling=0.84)])
    assert not Rule().converged([Point(1, 50, 0.85), Point(2, 50, 0.85, ceiling=0.84)])


def test_a_missed_floor_is_no_round_that_counts():
    """Where nine in ten pass, a judge that passes all agrees in .90."""
    assert not Rule().converged(points(0.95, 0.95, below=("recall of fail 0 < .50",)))


def test_how_many_rounds_is_the_configs():
    assert Rule(0.8, 1).converged(points(0.1, 0.8))
    assert not Rule(0.8, 3).converged(points(0.9, 0.9))


@pytest.mark.parametrize("wrong", [{"agreement": 1.0}, {"agreement": 0.0}, {"rounds": 0}])
def test_other_numbers_are_refused_by_their_key(wrong):
    with pytest.raises(ConfigError, match=rf"round\.{next(iter(wrong))}"):
        Rule(**wrong)


@pytest.mark.parametrize(
    ("values", "stalls"),
    [
        ((0.7, 0.7, 0.7), True),
        ((0.7, 0.6, 0.7), True),
        ((0.7, 0.6, 0.71), False),
        ((0.7, 0.7), False),
        ((0.9, 0.9, 0.9), False),
        ((0.1, 0.7, 0.7, 0.6), True),
        ((0.7, None, 0.7), False),
    ],
)
def test_no_rise_over_two_rounds_is_a_stall(values, stalls):
    assert Rule().stalled(points(*values)) is stalls


def test_what_it_takes_is_where_wilsons_limit_passes_the_goal():
    for p, goal in ((0.95, 0.9), (0.8, 0.9), (1.0, 0.9), (0.93, 0.85)):
        n = items_apart(p, goal)
        assert n
        z = 1.959963984540054

        def score(size: int, p: float = p, goal: float = goal) -> float:
            return abs(p - goal) / (goal * (1 - goal) / size) ** 0.5

        assert score(n) >= z > score(n - 1)
    assert wilson(35, 35).lo >= 0.9 > wilson(34, 34).lo  # type: ignore[operator]
    assert items_apart(1.0, 0.9) == 35
    assert items_apart(0.9, 0.9) is None


def test_the_decision_says_how_many_more():
    rule = Rule()
    open_ = rule.decision(Point(1, 40, 0.95, 0.84, 0.99))
    assert (open_["state"], open_["more"]) == ("open", 139 - 40)
    assert rule.decision(Point(1, 300, 0.95, 0.92, 0.97))["state"] == "shown"
    assert rule.decision(Point(1, 40, 0.5, 0.35, 0.65))["state"] == "refuted"
    assert rule.decision(Point(1, 40, 0.9, 0.77, 0.96))["more"] is None
    clustered = rule.decision(Point(1, 40, 0.95, 0.8, 0.99, n_eff=20.0))
    assert clustered["more"] == 2 * 139 - 40, "items of groups count by their design effect"


def test_telling_two_judges_apart_takes_what_the_power_says():
    n = items_to_tell(0.2, 0.1)
    assert n is not None
    assert 0.77 <= mcnemar_power(n, 0.2, 0.1) <= 0.83
    assert items_to_tell(0.2, 0.0) is None
    assert items_to_tell(0.2, -0.1) == n


def test_the_words_name_the_goal_and_what_is_missing():
    rule = Rule()
    found = points(0.8, 0.95, lo=0.84, hi=0.99)
    said = rule.in_words(found, rule.decision(found[-1]))
    assert "1 of the 2 rounds" in said[0]
    assert "89 more judged items would prove .90" in said[1]
    worse = points(0.8, 0.8, lo=0.65, hi=0.92)
    assert "show that it is less than .90" in rule.in_words(worse, rule.decision(worse[-1]))[1]
