"""Why agreement stalls, each reason with its number."""

from __future__ import annotations

from collections.abc import Sequence

from judgelab.rounds.reasons import Judged, said, where, why
from judgelab.types import Example, Interaction

GOOD = "The query counts rows where the question asks for users, so the number is too high."


def judged(feature: str, right: int, wrong: int) -> list[Judged]:
    return [
        Judged(
            Interaction(f"{feature}{n}", "in", "out", dimensions={"feature": feature}), n < right
        )
        for n in range(right + wrong)
    ]


def examples(*critiques: str) -> list[Example]:
    return [
        Example(Interaction(str(n), "in", "out"), "fail", text) for n, text in enumerate(critiques)
    ]


def reasons(
    items: Sequence[Judged] = (),
    *,
    critiques: Sequence[str] = (GOOD,),
    train: tuple[int, int] = (20, 20),
    own: dict | None = None,
    flips: tuple[int, int] = (0, 50),
) -> dict[str, str]:
    found = why(items, {}, examples(*critiques), train, own, flips, 0.9)
    return {one["why"]: one["says"] for one in found}


def test_disagreements_in_one_slice_are_concentrated():
    items = [*judged("a", 5, 15), *judged("b", 28, 2), *judged("c", 29, 1)]
    how, (part,) = where(items)
    assert (how, str(part), part.wrong, len(part.ids)) == ("concentrated", "feature=a", 15, 20)
    text = reasons(items)["concentrated"]
    assert text.startswith("15 of the 18 disagreements are in feature=a, 20 of the items")
    assert "left to people" in text
    assert "60 items of it" in text, "twenty items cannot carry that decision"


def test_disagreements_all_over_are_spread():
    items = [one for name in "abcde" for one in judged(name, 12, 4)]
    assert where(items)[0] == "spread"
    assert "20 disagreements lie in 5 of 5 values of feature" in reasons(items)["spread"]


def test_few_disagreements_here_and_there_are_neither():
    items = [*judged("a", 20, 1), *judged("b", 20, 0), *judged("c", 20, 1), *judged("d", 20, 0)]
    assert where(items)[0] == "unclear"
    assert reasons(items) == {}
    assert said([]) == ["nothing in these numbers says why: read the disagreements."]


def test_a_slice_of_few_items_is_not_judged():
    items = [*judged("a", 0, 4), *judged("b", 40, 0), *judged("c", 40, 0)]
    assert where(items)[0] == "unclear"


def test_many_slices_pay_for_being_many():
    """The worst of forty equal slices is no finding."""
    items = [one for n in range(40) for one in judged(f"f{n:02}-", 5, 0 if n % 4 else 1)]
    assert where([*items, *judged("worst", 3, 2)])[0] != "concentrated"


def test_thin_critiques_are_counted():
    text = reasons(critiques=(GOOD, GOOD, "Wrong number.", ""))["thin_critiques"]
    assert text.startswith("critiques of 2 of 4 fails")
    assert "thin_critiques" not in reasons(critiques=(GOOD, GOOD, GOOD, "Wrong number."))


def test_an_expert_below_the_goal_is_the_ceiling():
    own = {"value": 0.8, "lo": 0.63, "hi": 0.9, "n": 30}
    assert ".80 [.63, .90] of 30 items: below .90" in reasons(own=own)["inconsistent"]
    assert "inconsistent" not in reasons(own=own | {"value": 0.93})


def test_labels_that_change_more_than_the_goal_allows_are_said():
    assert reasons(flips=(9, 60))["changed_labels"].startswith("9 of 60 labels changed")
    assert "changed_labels" not in reasons(flips=(6, 60))
    assert "changed_labels" not in reasons(flips=(0, 0))


def test_a_small_train_is_said_with_what_it_lacks():
    assert "9 fails alone" in reasons(train=(9, 30))["small_train"]
    assert "small_train" not in reasons(train=(15, 15))
