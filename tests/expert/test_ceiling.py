"""The ceiling row, and a judge that is held against it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from people_labs import adjudicated, by, flipped, noisy, part, truths

from judgelab.data.readers.jsonl import JsonlReader
from judgelab.data.schema import Dataset, DatasetConfig, load
from judgelab.data.verdicts import read_verdicts
from judgelab.expert.ceiling import BEYOND, Ceiling, beyond, ceiling, ceiling_of
from judgelab.expert.voices import voices_of
from judgelab.metrics.scorecard import scorecard
from judgelab.types import Annotation, Label
from labs import SHARED

LABELS = truths(300)
IDS = list(LABELS)


def again(n: int = 60, flips: int = 5) -> list[Annotation]:
    return by("ann", flipped(part(LABELS, IDS[:n]), IDS[:flips]), round=2)


def soon() -> list[Annotation]:
    """The label that decides, and another within the hour."""
    first = by("ann", part(LABELS, IDS[:5]), at="2026-03-01T10:00:00+00:00")
    return [*first, *by("ann", part(LABELS, IDS[:5]), at="2026-03-01T10:30:00+00:00")]


def value(found: Ceiling, name: str) -> float | None:
    assert found.card is not None
    return found.card.metrics[name].value


def test_second_labels_are_scored_as_if_they_were_a_judge() -> None:
    found = ceiling(LABELS, again(), "ann")
    said = flipped(part(LABELS, IDS[:60]), IDS[:5])
    alike = scorecard([LABELS[i] == "fail" for i in said], [int(said[i] == "fail") for i in said])
    assert found.card is not None
    assert found.card.metrics == alike.metrics
    assert (found.source, found.who, found.n, found.enough) == (
        "self",
        "ann, a second time",
        60,
        True,
    )
    made = found.to_json()
    assert made["metrics"] == alike.to_json("")["metrics"]
    assert made["reason"] is None
    assert found.in_words() == ""


def test_it_is_of_the_items_that_the_judge_is_scored_on() -> None:
    found = ceiling(LABELS, again(), "ann", ids=IDS[3:40])
    assert (found.n, value(found, "agreement")) == (37, 35 / 37)
    few = ceiling(LABELS, again(), "ann", ids=IDS[50:])
    assert (few.source, few.n, few.enough) == ("self", 10, False)
    assert "10 items alone" in few.in_words()


@pytest.mark.parametrize(
    ("annotations", "ids", "reason"),
    [
        ([], None, "no_second_labels"),
        (again(), IDS[60:], "none_on_these_items"),
        (by("bob", part(LABELS, IDS[:10])), IDS[60:], "none_on_these_items"),
        (soon(), None, "within_a_day"),
    ],
)
def test_an_unknown_ceiling_has_a_reason(
    annotations: list[Annotation], ids: list[str] | None, reason: str
) -> None:
    found = ceiling(LABELS, annotations, "ann", ids)
    assert found.to_json() == {
        "source": None,
        "who": "",
        "n": 0,
        "enough": False,
        "metrics": {},
        "reason": reason,
        "notes": [],
    }
    assert "ceiling unknown" in found.in_words()
    assert "30 or more" in found.in_words()


def test_other_people_where_the_second_labels_are_not_enough() -> None:
    bob = by("bob", noisy(LABELS, 0.1, 1))
    assert ceiling(LABELS, again(29) + bob, "ann", IDS[:200]).source == "people"
    assert ceiling(LABELS, again(30) + bob, "ann", IDS[:200]).source == "self"
    assert ceiling(LABELS, again(29) + bob[:20], "ann").source == "self"  # neither is: the expert


def test_other_people_are_pooled_and_clustered_by_item() -> None:
    bob, eve = noisy(LABELS, 0.1, 1), noisy(LABELS, 0.2, 2)
    found = ceiling(LABELS, by("bob", bob) + by("eve", eve), "ann")
    assert found.card is not None
    assert (found.source, found.who, found.n) == ("people", "bob and eve against ann", 300)
    right = sum(bob[i] == LABELS[i] for i in IDS) + sum(eve[i] == LABELS[i] for i in IDS)
    assert value(found, "agreement") == right / 600
    assert found.card.clusters == 300


def test_the_same_label_twice_does_not_halve_the_variance() -> None:
    bob = noisy(LABELS, 0.1, 1)
    one = ceiling(LABELS, by("bob", bob), "ann").card
    two = ceiling(LABELS, by("bob", bob) + by("bill", bob), "ann").card
    assert one is not None
    assert two is not None
    first, second = (card.metrics["agreement"].interval for card in (one, two))
    assert (second.lo, second.hi) == pytest.approx((first.lo, first.hi), abs=0.001)


def test_people_are_held_against_each_other_where_the_label_is_their_majority() -> None:
    one, two, third, majority = adjudicated(LABELS, 0.1, 3)
    log = by("one", one) + by("two", two) + by("third", third)
    found = ceiling(majority, log, "majority")
    assert found.who == "one and two against each other"
    assert value(found, "agreement") == sum(one[i] == two[i] for i in IDS) / 300
    assert value(found, "recall_fail") == value(found, "precision_fail")
    assert "majority" in found.notes[0]
    swapped = by("two", one) + by("one", two) + by("third", third)
    assert ceiling(majority, swapped, "majority").to_json() == found.to_json()


def test_chosen_items_make_no_ceiling() -> None:
    """What is left of three people where only the one who settled differences is asked."""
    one, two, third, _ = adjudicated(LABELS, 0.1, 3)
    found = ceiling(one, by("third", third) + by("two", two), "one")
    assert found.who == "two against one"
    alone = ceiling(one, by("third", third) + by("two", two), "one", ids=list(third))
    assert alone.who == "two against one"  # told by all items, not by these


def test_neither_order_nor_names_change_a_digit() -> None:
    bob, eve = noisy(LABELS, 0.1, 1), noisy(LABELS, 0.2, 2)
    groups = {i: f"g{k % 90}" for k, i in enumerate(IDS)}
    log = by("bob", bob) + by("eve", eve)
    found = ceiling(LABELS, log, "ann", clusters=groups).to_json()
    mixed = random.Random(0).sample(log, len(log))
    shuffled = dict(random.Random(1).sample(list(LABELS.items()), 300))
    assert ceiling(shuffled, mixed, "ann", clusters=groups).to_json() == found
    named = {i: f"{99 - int(g[1:])}" for i, g in groups.items()}
    renamed = ceiling(LABELS, by("zoe", bob) + by("al", eve), "kim", clusters=named).to_json()
    assert renamed["metrics"] == found["metrics"]


def test_a_judge_above_the_ceiling_is_beyond_what_the_labels_verify() -> None:
    found = ceiling(LABELS, by("bob", noisy(LABELS, 0.2, 1)), "ann")
    judge: dict[str, Label | None] = {**noisy(LABELS, 0.02, 9)}
    above = beyond(found, judge)
    assert above.code == BEYOND
    assert above.n == 300
    assert above.difference is not None
    card = scorecard([LABELS[i] == "fail" for i in IDS], [int(judge[i] == "fail") for i in IDS])
    kappa = card.metrics["kappa"].value
    human = value(found, "kappa")
    assert kappa is not None
    assert human is not None
    assert above.difference.value == pytest.approx(kappa - human)


def test_a_judge_like_the_people_is_not() -> None:
    found = ceiling(LABELS, by("bob", noisy(LABELS, 0.1, 1)), "ann")
    assert beyond(found, {**noisy(LABELS, 0.1, 5)}).code is None
    assert beyond(found, {**noisy(LABELS, 0.4, 5)}).code is None


@pytest.mark.slow
def test_a_judge_is_rarely_beyond_by_chance() -> None:
    """Judge and person are wrong at the same rate: one-sided 2.5 %."""
    labels = truths(100)
    wrongly = 0
    for seed in range(80):
        found = ceiling(labels, by("bob", noisy(labels, 0.15, seed)), "ann")
        wrongly += beyond(found, {**noisy(labels, 0.15, seed + 1000)}).code is not None
    assert wrongly <= 6


def test_nothing_is_said_without_a_ceiling_or_common_items() -> None:
    assert beyond(ceiling(LABELS, [], "ann"), {**LABELS}).reason == "ceiling_unknown"
    assert beyond(ceiling(LABELS, again(), "ann"), {"strange": "fail"}).reason == "no_common_items"


def test_an_abstention_is_no_agreement_and_a_missing_line_is_left_out() -> None:
    found = ceiling(LABELS, again(), "ann")
    judge: dict[str, Label | None] = dict.fromkeys(IDS[:30])
    held = beyond(found, judge)
    assert (held.code, held.n) == (None, 30)
    assert held.difference is not None
    assert held.difference.value is not None
    assert held.difference.value < 0


needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the shared data sets are not beside this checkout"
)
OPEN_QA = SHARED / "open-qa-answers"


def open_qa(expert: str | None = None) -> Dataset:
    spellings = {"pass": ["pass"], "fail": ["fail"]}
    files = str(OPEN_QA / "interactions.jsonl"), str(OPEN_QA / "annotations.jsonl")
    return load(DatasetConfig("qa", files[0], JsonlReader(), {}, spellings, files[1], expert))


@needs_shared
def test_the_people_of_a_real_set_are_a_ceiling_and_no_judge_is_above_it() -> None:
    """1,490 answers, two people's labels, a third's where they differ, and their majority."""
    found = ceiling_of(voices_of(open_qa(), "context.question_id"))
    assert found.who == "annotator1 and annotator2 against each other"
    assert found.n == 1483
    assert value(found, "agreement") == pytest.approx(1288 / 1483)
    assert found.card is not None
    assert found.card.clusters == 301
    judges = read_verdicts(Path(OPEN_QA / "verdicts.jsonl"))
    assert set(judges) == {"gpt-4", "text-davinci-003", "bem"}
    for given in judges.values():
        held = beyond(found, {one.id: one.verdict for one in given.values()})
        assert held.code is None
        assert held.difference is not None
        assert held.difference.interval.hi is not None
        assert held.difference.interval.hi < 0


@needs_shared
def test_one_of_them_can_be_the_expert() -> None:
    found = ceiling_of(voices_of(open_qa("annotator1"), "context.question_id"))
    assert found.who == "annotator2 against annotator1"
