"""Self-agreement, people with each other, and whose labels say less than they seem to."""

from __future__ import annotations

import random
from typing import Any

import pytest
from people_labs import adjudicated, by, flipped, noisy, part, truths

from judgelab.expert.people import (
    chosen_parts,
    fisher,
    inter_agreement,
    made_of_others,
    needed,
    self_agreement,
)
from judgelab.expert.voices import hear
from judgelab.metrics.intervals import wilson
from judgelab.types import Annotation

LABELS = truths(300)
IDS = list(LABELS)


def test_self_agreement_is_that_of_the_items_labelled_again() -> None:
    from sklearn.metrics import cohen_kappa_score

    again = flipped(part(LABELS, IDS[:40]), IDS[:5])
    found = self_agreement(hear(LABELS, by("ann", again, round=2), "ann"))
    assert found.pair is not None
    agreement, interval = found.pair.agreement, wilson(35, 40)
    assert agreement.value == 35 / 40
    assert (agreement.interval.lo, agreement.interval.hi) == (interval.lo, interval.hi)
    first = [LABELS[i] for i in again]
    assert found.pair.kappa.value == pytest.approx(cohen_kappa_score(first, list(again.values())))
    assert found.pair.kappa.interval.method == "bca"
    assert (found.n, found.of, found.needed) == (40, 300, 30)
    assert found.to_json()["enough"] is True


def test_self_agreement_is_clustered_by_the_group() -> None:
    again = flipped(part(LABELS, IDS[:40]), IDS[:5])
    groups = {i: f"g{k // 4}" for k, i in enumerate(IDS)}
    found = self_agreement(hear(LABELS, by("ann", again, round=2), "ann", groups)).pair
    assert found is not None
    assert found.agreement.interval.method == "wilson_clustered"
    assert found.agreement.interval.clusters == found.kappa.interval.clusters == 10


@pytest.mark.parametrize(("items", "enough"), [(0, 30), (300, 30), (301, 31), (1490, 149)])
def test_how_many_second_labels_are_enough(items: int, enough: int) -> None:
    assert needed(items) == enough


def test_times_and_rounds_of_the_second_look_are_counted() -> None:
    log = by("ann", LABELS, at="2026-01-01", round=1)
    log += by("ann", flipped(part(LABELS, IDS[:9]), IDS[:2]), at="2026-02-01", round=1)
    log += by("ann", part(LABELS, IDS[9:12]), at="2026-01-01T01:00", round=1)
    log += by("ann", part(LABELS, IDS[12:14]), round=2)
    found = self_agreement(hear(LABELS, log, "ann"))
    assert (found.n, found.apart, found.too_soon, found.same_round) == (11, 9, 3, 9)


@pytest.mark.parametrize(
    ("expert", "log", "reason"),
    [
        ("ann", [], "no_second_labels"),
        ("", by("bob", LABELS), "expert_unnamed"),
        (
            "ann",
            by("ann", LABELS, at="2026-01-01T00:00") + by("ann", LABELS, at="2026-01-01T01:00"),
            "labelled_again_too_soon",
        ),
    ],
)
def test_unknown_consistency_has_a_reason_and_no_number(
    expert: str, log: list[Annotation], reason: str
) -> None:
    found = self_agreement(hear(LABELS, log, expert)).to_json()
    assert (found["reason"], found["n"], found["enough"]) == (reason, 0, False)
    assert "agreement" not in found


def test_people_with_the_expert_and_with_each_other() -> None:
    bob, eve = noisy(LABELS, 0.1, 1), noisy(LABELS, 0.2, 2)
    found = inter_agreement(hear(LABELS, by("bob", bob) + by("eve", part(eve, IDS[:200])), "ann"))
    assert [(one.a, one.b, one.pair.n) for one in found.pairs] == [
        ("ann", "bob", 300),
        ("ann", "eve", 200),
        ("bob", "eve", 200),
    ]
    same = sum(bob[i] == eve[i] for i in IDS[:200])
    assert found.pairs[2].pair.agreement.value == same / 200
    assert found.alpha_of == ("ann", "bob", "eve")
    assert found.alpha is not None
    assert found.alpha.value is not None
    assert not found.chosen
    assert found.made_of_others is None


def test_alpha_is_for_more_than_two_or_gaps() -> None:
    bob = noisy(LABELS, 0.1, 1)
    assert inter_agreement(hear(LABELS, by("bob", bob), "ann")).alpha is None
    gaps = inter_agreement(hear(LABELS, by("bob", part(bob, IDS[:99])), "ann"))
    assert gaps.alpha is not None
    assert gaps.alpha.interval.n == 99


def test_nobody_else() -> None:
    assert inter_agreement(hear(LABELS, [], "ann")).to_json()["pairs"] == []


def test_who_labelled_where_others_differ_is_found_and_left_out_of_alpha() -> None:
    one, two, third, _ = adjudicated(LABELS, 0.1, 5)
    voices = hear(one, by("two", two) + by("third", third), "one")
    assert set(chosen_parts(voices)) == {"third"}
    assert f"{len(third)} of the {len(third)} items" in chosen_parts(voices)["third"]
    found = inter_agreement(voices)
    assert found.alpha is None  # one and two alone, without gaps
    parts = {pair.b if pair.a == "one" else "both": pair.part for pair in found.pairs}
    assert parts == {"two": None, "third": "third", "both": "third"}


def test_who_labelled_a_random_part_is_not_taken_for_chosen() -> None:
    for seed in range(20):
        bob, eve = noisy(LABELS, 0.1, seed), noisy(LABELS, 0.1, seed + 100)
        eve = part(eve, random.Random(seed).sample(IDS, 60))
        assert chosen_parts(hear(LABELS, by("bob", bob) + by("eve", eve), "ann")) == {}


@pytest.mark.parametrize("seed", range(5))
def test_a_majority_is_recognised_as_the_deciding_label_and_as_a_person(seed: int) -> None:
    one, two, third, majority = adjudicated(LABELS, 0.1, seed)
    log = by("one", one) + by("two", two) + by("third", third)
    assert made_of_others(hear(majority, log, "majority")) == "majority"
    assert made_of_others(hear(majority, log, "")) == "deciding label"
    rest = [a for a in log if a.annotator != "one"] + by("majority", majority)
    assert made_of_others(hear(one, rest, "one")) == "majority"


@pytest.mark.parametrize("people", [2, 3])
@pytest.mark.parametrize("wrong", [0.0, 0.02, 0.1, 0.3])
def test_an_expert_of_his_own_is_not_taken_for_a_majority(people: int, wrong: float) -> None:
    """He is as often wrong as the others are."""
    labels, wrongly = truths(1000), 0
    for seed in range(20):
        log = [a for k in range(people) for a in by(f"p{k}", noisy(labels, wrong, 50 * seed + k))]
        wrongly += (
            made_of_others(hear(noisy(labels, wrong, 50 * seed + 49), log, "ann")) is not None
        )
    assert wrongly == 0


def test_fisher_is_scipys() -> None:
    from scipy.stats import fisher_exact

    rng = random.Random(0)
    for _ in range(300):
        n, m = rng.randint(1, 60), rng.randint(1, 60)
        a, b = rng.randint(0, n), rng.randint(0, m)
        expected = fisher_exact([[a, n - a], [b, m - b]], alternative="greater").pvalue
        assert fisher(a, n, b, m) == pytest.approx(expected, abs=1e-12)


def test_neither_the_order_of_rows_nor_names_change_a_digit() -> None:
    bob, eve = noisy(LABELS, 0.1, 1), noisy(LABELS, 0.2, 2)
    log = by("bob", bob) + by("eve", eve)
    found = inter_agreement(hear(LABELS, log, "ann")).to_json()
    mixed = random.Random(1).sample(log, len(log))
    shuffled = dict(random.Random(2).sample(list(LABELS.items()), len(LABELS)))
    assert inter_agreement(hear(shuffled, mixed, "ann")).to_json() == found
    renamed = inter_agreement(hear(LABELS, by("zoe", bob) + by("al", eve), "kim")).to_json()
    assert renamed["alpha"] == found["alpha"]
    assert numbers(renamed) == numbers(found)


def numbers(found: dict[str, Any]) -> list[tuple[float, ...]]:
    return sorted(
        (p["agreement"]["value"], p["kappa"]["lo"], p["kappa"]["hi"]) for p in found["pairs"]
    )
