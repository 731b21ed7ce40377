"""The choice of a sweep: floors, ties, baselines, the set, what is cheaper, what is said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from judgelab.errors import ConfigError
from judgelab.metrics.multiplicity import bh, holm
from judgelab.metrics.scorecard import scorecard
from judgelab.rules import Rules
from judgelab.selection import Candidate, Selection
from judgelab.sentences import sentences

N = 120
EXPERT = np.arange(N) % 3 == 0  # 40 fails
DRAWS = 500


def codes(wrong: Sequence[int] = (), abstained: Sequence[int] = ()) -> NDArray[np.int64]:
    """Verdicts that are right but for these places."""
    found = EXPERT.astype(np.int64)
    found[list(wrong)] = 1 - found[list(wrong)]
    found[list(abstained)] = -1
    return found


def candidate(
    name: str, said: NDArray[np.int64], *, cost: float = 0.0, baseline: bool = False
) -> Candidate:
    card = scorecard(EXPERT, said, draws=DRAWS).to_json(name)
    return Candidate(f"id-{name}", name, card, said, cost, baseline)


ALWAYS_PASS = candidate("always pass", np.zeros(N, np.int64), baseline=True)
ALWAYS_FAIL = candidate("always fail", np.ones(N, np.int64), baseline=True)
GOOD = candidate("good", codes(range(6)))  # 2 missed fails, 4 false alarms
FAIR = candidate("fair", codes(range(30)))
POOR = candidate("poor", codes(range(66)))
BLIND = candidate("blind", np.where(np.arange(N) % 9 == 0, 1, 0))  # a third of the fails


def chosen(*candidates: Candidate, **more: Any) -> dict[str, Any]:
    more = {"draws": DRAWS} | more
    rules = more.pop("rules", Rules())
    made = Selection(rules, candidates, more.pop("expert", EXPERT), **more)
    found = made.to_json()
    return found | {"text": list(sentences(made, found))}


def test_the_best_that_meets_the_floors_is_chosen() -> None:
    found = chosen(FAIR, GOOD, POOR, ALWAYS_PASS)
    assert found["chosen"] == found["reference"] == "id-good"
    assert found["best_set"] == ["id-good"]
    assert found["text"][0].startswith("good is chosen: the highest kappa of the 2 (of 3) with")
    assert "recall of fail >= .50" in found["text"][0]
    assert "good alone is left as the best of 3 on 120 items." in found["text"]


def test_a_variant_below_a_floor_is_not_chosen_however_good_its_metric() -> None:
    careful = candidate("careful", np.where(EXPERT & (np.arange(N) % 9 != 0), 1, 0))
    rules = Rules(floors={"recall_fail": 0.9})
    found = chosen(careful, FAIR, rules=rules)
    assert found["chosen"] is None
    assert found["below_floors"]["id-careful"] == ["recall of fail .65 under .90"]
    assert found["reference"] == "id-careful"
    assert found["text"][0].startswith(
        "No winner: no variant with recall of fail >= .90. The highest kappa is of careful"
    )


def test_a_baseline_never_wins() -> None:
    found = chosen(BLIND, ALWAYS_FAIL, candidate("oracle", codes(), baseline=True))
    assert found["chosen"] is None
    assert found["best_set"] == ["id-blind"]
    assert any("The baseline oracle is at least as good: kappa 1" in text for text in found["text"])


def test_a_baseline_is_beaten_in_the_metric_that_chooses() -> None:
    """As often right as each other, yet one raises no false alarm."""
    careful = candidate("careful", np.where(EXPERT & (np.arange(N) % 6 == 0), 1, 0))
    eager = candidate("eager", np.where(EXPERT | (np.arange(N) % 6 == 1), 1, 0), baseline=True)
    assert careful.value("agreement") == eager.value("agreement")
    by_precision = chosen(careful, eager, rules=Rules(metric="precision_fail", floors={}))
    by_agreement = chosen(careful, eager, rules=Rules(metric="agreement", floors={}))
    assert not any("eager" in text for text in by_precision["text"])
    assert any("eager" in text for text in by_agreement["text"])


def test_an_undefined_metric_is_last_and_below_every_floor() -> None:
    silent = candidate("silent", np.full(N, -1))
    rules = Rules(metric="precision_fail", floors={})
    found = chosen(silent, POOR, rules=rules)
    assert found["chosen"] == "id-poor"
    assert found["below_floors"] == {"id-silent": ["precision of fail is undefined"]}
    alone = chosen(silent, rules=rules)
    assert (alone["chosen"], alone["reference"]) == (None, None)
    assert "precision of fail is undefined for every variant" in alone["text"][0]


def test_where_the_metric_ties_the_cheaper_is_chosen() -> None:
    dear, cheap = candidate("a", codes(range(6)), cost=2.0), candidate("b", codes(range(6)), cost=1)
    assert chosen(dear, cheap)["chosen"] == "id-b"


def test_what_cannot_be_told_apart_is_said_with_what_the_items_could_show() -> None:
    other = candidate("other", codes(range(3, 10)))
    found = chosen(GOOD, other, POOR)
    assert found["best_set"] == ["id-good", "id-other"]
    assert "good and other cannot be told apart on 120 items." in found["text"]
    assert any("could show a difference in agreement from" in text for text in found["text"])
    assert found["detectable"] > 0


def test_a_cheaper_one_is_offered_only_where_it_is_shown_to_be_no_worse() -> None:
    dear = candidate("dear", codes([0, 5, 50]), cost=2.0)
    same = candidate("same", codes([0, 5, 50, 53]), cost=0.5)
    worse = candidate("worse", codes(range(25)), cost=0.1)
    offered = chosen(dear, same, worse, rules=Rules(margin=0.2))["cheaper"]
    assert offered["run"] == "id-same"
    assert offered["saves_usd"] == pytest.approx(1.5)
    assert chosen(dear, same, worse, rules=Rules(margin=0.001))["cheaper"] is None
    assert chosen(dear, worse, rules=Rules(margin=0.2))["cheaper"] is None


def test_pairs_pay_for_all_that_was_tried() -> None:
    few = chosen(GOOD, FAIR, POOR)
    many = chosen(GOOD, FAIR, POOR, tried=40)
    assert (few["family"], many["family"]) == (3, 43)
    assert [pair["a"] for pair in few["pairs"]] == ["id-fair", "id-poor"]
    assert all(pair["b"] == "id-good" for pair in few["pairs"])
    for before, after in zip(few["pairs"], many["pairs"], strict=True):
        assert before["p"] == after["p"] <= before["holm"] <= after["holm"]
    # The reference was chosen among them: of three that is three pairs, of 43 it is 903.
    ps = [pair["p"] for pair in few["pairs"]]
    for found, pairs in ((few, 3), (many, 903)):
        assert [pair["holm"] for pair in found["pairs"]] == holm(ps, pairs)
        assert [pair["bh"] for pair in found["pairs"]] == bh(ps, pairs)


def test_the_optimism_of_the_best_of_many_is_said_and_of_one_is_not() -> None:
    assert chosen(GOOD)["optimism"] is None
    found = chosen(GOOD, FAIR)
    assert found["optimism"]["variants"] == 2
    assert found["text"][-1].endswith("comes from judgelab holdout.")
    few = chosen(GOOD, FAIR, held_out=False)["text"][-1]
    assert "optimistic" in few
    assert "no held-out number" in few


def first(n: int, one: Candidate) -> Candidate:
    """The same judge on the first n items alone."""
    said = one.codes[:n]
    card = scorecard(EXPERT[:n], said, draws=DRAWS).to_json(one.name)
    return Candidate(one.id, one.name, card, said, one.cost, one.baseline)


WHY = "8 fails, where it takes 30 items and 10 of each class"


def test_from_few_labels_the_numbers_are_shown_and_nothing_is_claimed() -> None:
    """24 items, 8 fails: one is without a mistake, the others no better than a coin."""
    best = candidate("best", codes())
    coin = candidate("coin", np.where(np.arange(N) % 2 == 0, 1, 0))
    few = [first(24, one) for one in (best, coin, ALWAYS_PASS)]
    found = chosen(*few, expert=EXPERT[:24])
    assert (found["chosen"], found["best_set"], found["too_few"]) == (
        "id-best",
        ["id-best"],
        "8 fails",
    )
    assert "best is chosen: the highest kappa of the 2 (of 2)" in found["text"][0]
    assert f"That best alone is the best of 2 is not claimed: {WHY}." in found["text"]
    assert (
        f"best is not claimed to be better than the baseline always pass: {WHY}." in found["text"]
    )
    many = chosen(best, coin, ALWAYS_PASS)
    assert many["too_few"] is None
    assert "best alone is left as the best of 2 on 120 items." in many["text"]
    assert not any("claimed" in text for text in many["text"])


def test_a_cheaper_one_is_offered_from_few_labels_without_the_claim() -> None:
    dear, same = candidate("dear", codes(), cost=2.0), candidate("same", codes([1]), cost=0.5)
    rules = Rules(margin=0.4)
    enough = chosen(dear, same, rules=rules)["text"]
    assert any("same costs $1.5000 less and is at most" in text for text in enough)
    found = chosen(first(24, dear), first(24, same), expert=EXPERT[:24], rules=rules)
    (said,) = [text for text in found["text"] if "costs" in text]
    assert said.startswith("same costs $1.5000 less, a difference in kappa of -.09 [")
    assert said.endswith(f"(margin 40) is not claimed: {WHY}.")


def test_under_thirty_items_nothing_is_claimed_either() -> None:
    expert = np.arange(24) % 2 == 0
    said = expert.astype(np.int64)
    card = scorecard(expert, said, draws=DRAWS).to_json("j")
    found = chosen(Candidate("id-j", "j", card, said), expert=expert)
    assert found["too_few"] == "24 items"
    assert card["reliability"] == "low (24 items)"


def test_the_set_names_the_items_that_it_was_made_on() -> None:
    half = candidate("half", codes(range(3, 10), abstained=range(60, N)))
    all_ = chosen(GOOD, half)
    assert (all_["set_n"], all_["n"]) == (N, N)
    answered = chosen(GOOD, half, policy="exclude")
    assert (answered["set_n"], answered["n"]) == (60, N)
    assert any(text.endswith("told apart on 60 items.") for text in answered["text"])


def test_hardly_any_optimism_is_not_called_about_0() -> None:
    found = chosen(candidate("best", codes()), candidate("worst", 1 - EXPERT.astype(np.int64)))
    assert found["optimism"]["value"] < 0.005
    assert found["text"][-1] == (
        "As that of the best of 2 this kappa is hardly optimistic. The number to report comes from "
        "judgelab holdout."
    )


def test_what_is_missing_from_the_choice_is_said() -> None:
    found = chosen(GOOD, FAIR, missing=2)
    assert found["text"][1] == "Not among them: 2 that are incomplete or could not run."
    none = chosen(ALWAYS_PASS, missing=3)
    assert (none["chosen"], none["best_set"]) == (None, [])
    assert none["text"] == ["No variant is complete yet."]


def test_the_order_of_the_variants_changes_nothing() -> None:
    forth, back = chosen(GOOD, FAIR, POOR), chosen(POOR, FAIR, GOOD)
    assert {k: v for k, v in forth.items() if k != "pairs"} == {
        k: v for k, v in back.items() if k != "pairs"
    }


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"metric": "accuracy"}, "search.metric: accuracy is no metric"),
        ({"metric": "gwet_ac1"}, "never chooses"),
        ({"floors": {"recall": 0.5}}, "search.floors.recall: recall is no metric"),
        ({"floors": {"kappa": 7}}, "search.floors.kappa=7"),
        ({"margin": 0}, "search.margin=0"),
    ],
)
def test_rules_that_are_none(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace(".", r"\.")):
        Rules(**wrong)
