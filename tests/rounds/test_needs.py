"""What to label next, in counts."""

from __future__ import annotations

import pytest

from judgelab.metrics.scorecard import scorecard
from judgelab.rounds.needs import PRIOR, for_fails, in_words, next_labels, slices
from judgelab.types import Interaction, Label


def item(id_: str, **dimensions: str) -> Interaction:
    return Interaction(id_, f"in {id_}", f"out {id_}", dimensions=dimensions)


def world() -> tuple[list[Interaction], dict[str, Label]]:
    """Plan a fails 8 of 10 times, plan b 2 of 20; 15 of each are open."""
    items, labels = [], dict[str, Label]()
    for plan, n, fails in (("a", 10, 8), ("b", 20, 2)):
        for number in range(n + 15):
            items.append(item(f"{plan}{number}", plan=plan))
            if number < n:
                labels[f"{plan}{number}"] = "fail" if number < fails else "pass"
    return items, labels


def card(right: int, wrong: int, fails: int) -> dict:
    n = right + wrong
    expert = [i < fails for i in range(n)]
    judge = [int(label) if i >= wrong else 1 - int(label) for i, label in enumerate(expert)]
    return scorecard(expert, judge).to_json("judge")


OPEN = {"state": "open", "goal": 0.9}


def test_a_slice_counts_its_labels_fails_and_open_items():
    a, b = slices(*world())
    assert (str(a), a.labels, a.fails, a.open) == ("plan=a", 10, 8, 15)
    prevalence = 10 / 30
    assert a.rate == pytest.approx((8 + PRIOR * prevalence) / (10 + PRIOR))
    assert b.rate < prevalence < a.rate < 0.8, "drawn to the rate of all"


def test_fails_are_looked_for_where_they_are_frequent():
    found = slices(*world())
    where = for_fails(found, 5, 10 / 30)
    assert where is not None
    (part,) = where["parts"]
    assert part["slice"] == "plan=a"
    assert part["labels"] == where["labels"] == 9  # 5 / .567
    assert where["labels"] < 15, "at random it takes 15"
    more = for_fails(found, 50, 10 / 30)
    assert more is not None
    assert more["parts"][0]["labels"] == 15, "no more than there are"
    assert more["labels"] == 15 + 125, "the others at random: 50 - 15 * .567 at .333 each"


def test_no_slice_is_named_where_none_is_richer_or_known():
    items, labels = world()
    even = {id_: "fail" if int(id_[1:]) % 2 else "pass" for id_ in labels}
    assert for_fails(slices(items, even), 5, 0.5) is None  # type: ignore[arg-type]
    few = {f"a{n}": "fail" for n in range(4)} | {f"b{n}": "pass" for n in range(20)}
    assert for_fails(slices(items, few), 5, 4 / 24) is None, "four labels say little"  # type: ignore[arg-type]


def test_the_best_slice_shrinks_recall_of_fail_most_and_agreement_alike():
    items, labels = world()
    found = next_labels(card(25, 5, 10), items, labels, [], {"decide": 100}, 1.0)
    random, best = found["ways"]
    assert best["of"] == "plan=a"
    assert best["fails"] > random["fails"]
    assert best["half_width"]["recall_fail"] < random["half_width"]["recall_fail"]
    assert random["half_width"]["recall_fail"] < found["half_width"]["recall_fail"]
    assert best["half_width"]["agreement"] == random["half_width"]["agreement"]
    assert found["open"] == 30
    said = in_words(found, OPEN)
    assert said[0].startswith("100 more labels, at random, until agreement is decided")
    assert "(30 items are open)" in said[0]
    assert "plan=a (8 of 10 failed)" in said[1]


def test_only_a_share_of_new_labels_is_judged_on():
    items, labels = world()
    whole = next_labels(card(25, 5, 10), items, labels, [], {"decide": 100}, 1.0)
    some = next_labels(card(25, 5, 10), items, labels, [], {"decide": 100}, 0.4)
    assert some["decide"] == 250
    assert some["fails"]["more"] > 2 * whole["fails"]["more"]
    assert "40%" in in_words(some, OPEN)[-1]


def test_closed_labels_are_not_looked_at():
    items, labels = world()
    shut = [f"a{n}" for n in range(10)]
    known = {id_: label for id_, label in labels.items() if id_ not in shut}
    found = next_labels(card(25, 5, 10), items, known, shut, {}, 1.0)
    assert found["thin"] == [
        {"dimension": "plan", "value": "a", "labels": 0, "fails": 0, "open": 15,
         "rate": pytest.approx(0.1), "lacks": 10}
    ]  # fmt: skip
    assert found["open"] == 30


def test_a_decided_agreement_asks_for_no_labels():
    items, labels = world()
    found = next_labels(card(10, 20, 10), items, labels, [], {"decide": 0}, 1.0)
    said = in_words(found, {"state": "refuted", "goal": 0.9})
    assert "no more labels" in said[0]


def test_without_dimensions_or_open_items_it_says_so():
    items = [item(str(n)) for n in range(30)]
    labels: dict[str, Label] = {one.id: "fail" if int(one.id) < 10 else "pass" for one in items}
    found = next_labels(card(25, 5, 10), items, labels, [], {"decide": 5}, 1.0)
    assert (len(found["ways"]), found["thin"], found["open"]) == (1, [], 0)
    assert in_words(found, OPEN)[-1] == "every item is labelled: it takes new interactions"
