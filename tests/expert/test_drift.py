"""Flips between rounds: drift, or the expert's own inconsistency."""

from __future__ import annotations

import json
import random

import pytest
from people_labs import by, flipped, noisy, part, truths

from judgelab.expert.drift import by_round, drift
from judgelab.expert.voices import hear
from judgelab.types import Annotation, Label

LABELS = truths(200)
IDS = list(LABELS)
FAILS = [i for i in IDS if LABELS[i] == "fail"]
PASSES = [i for i in IDS if LABELS[i] == "pass"]


def rounds(*labels: dict[str, Label]) -> list[Annotation]:
    return [a for number, given in enumerate(labels, 1) for a in by("ann", given, round=number)]


def newest(log: list[Annotation]) -> dict[str, Label]:
    return {a.id: a.label for a in log}


def test_flips_to_one_side_are_drift() -> None:
    log = rounds(LABELS, flipped(LABELS, PASSES[:12]))
    found = drift(hear(newest(log), log, "ann"))
    (step,) = found.steps
    assert (step.round, step.changes.n, step.changes.flipped) == (2, 200, 12)
    assert (step.changes.fail_to_pass, step.changes.pass_to_fail) == (0, 12)
    assert step.changes.p == pytest.approx(0.5**12)  # mid-p of 0 of 12
    assert step.excess_p is None
    assert found.verdict == "drift"


def test_flips_both_ways_that_are_as_many_within_a_round_are_not() -> None:
    log = rounds(LABELS, flipped(LABELS, PASSES[:6] + FAILS[:6]))
    log += by("ann", flipped(LABELS, PASSES[6:12] + FAILS[6:12]), round=1)
    found = drift(hear(newest(rounds(LABELS, flipped(LABELS, PASSES[:6] + FAILS[:6]))), log, "ann"))
    assert found.within == (200, 12)
    assert found.verdict == "none_seen"


def test_more_flips_than_within_a_round_are_drift_whatever_their_sides() -> None:
    turned = flipped(LABELS, PASSES[:15] + FAILS[:15])
    log = by("ann", LABELS, at="2026-01-01", round=1) + by("ann", LABELS, at="2026-01-05", round=1)
    log += by("ann", turned, round=2)
    found = drift(hear(turned, log, "ann"))
    (step,) = found.steps
    assert found.within == (200, 0)
    assert step.changes.p == 1
    assert step.excess_p is not None
    assert step.excess_p < 0.001
    assert found.verdict == "drift"


def test_an_inconsistent_expert_is_rarely_taken_for_a_drifting_one() -> None:
    wrongly = 0
    for seed in range(60):
        first, again, later = (noisy(LABELS, 0.1, seed * 3 + k) for k in range(3))
        log = by("ann", first, at="2026-01-01", round=1) + by(
            "ann", again, at="2026-01-09", round=1
        )
        log += by("ann", later, round=2)
        wrongly += drift(hear(later, log, "ann")).verdict == "drift"
    assert wrongly <= 6


def test_labels_within_a_day_are_corrections_and_no_drift() -> None:
    log = by("ann", LABELS, at="2026-01-01T09:00", round=1)
    log += by("ann", flipped(LABELS, PASSES[:12]), at="2026-01-01T10:00", round=2)
    found = drift(hear(flipped(LABELS, PASSES[:12]), log, "ann"))
    assert (found.verdict, found.steps) == ("unknown", ())


def test_a_round_is_compared_with_the_newest_one_before_it() -> None:
    log = rounds(LABELS, part(LABELS, IDS[:50]), flipped(LABELS, PASSES[:12]))
    steps = drift(hear(newest(log), log, "ann")).steps
    assert [(step.round, step.changes.n, step.changes.flipped) for step in steps] == [
        (2, 50, 0),
        (3, 200, 12),
    ]


def test_labels_of_the_rows_come_before_round_2() -> None:
    again = flipped(part(LABELS, IDS[:42]), [i for i in PASSES if i in IDS[:42]][:4])
    found = drift(hear(LABELS, by("ann", again, round=2), "ann"))
    assert [(step.round, step.changes.pass_to_fail) for step in found.steps] == [(2, 4)]
    assert found.mixed is None


def test_clustered_flips_count_by_group() -> None:
    log = rounds(LABELS, flipped(LABELS, PASSES[:12]))
    same = dict.fromkeys(PASSES[:12], "one")
    found = drift(hear(newest(log), log, "ann", same))
    assert found.steps[0].changes.p_method == "sign_flip_clustered"
    assert found.verdict == "none_seen"


def test_mixed_rounds_are_counted_in_a_banner() -> None:
    log = rounds(LABELS, part(LABELS, IDS[:30]))
    found = drift(hear(LABELS, log, "ann"))
    assert found.rounds == {1: 170, 2: 30}
    assert found.mixed is not None
    assert "170 of round 1, 30 of round 2" in found.mixed
    assert drift(hear(LABELS, rounds(LABELS), "ann")).mixed is None


def test_agreement_by_round_of_the_expert_and_of_a_judge() -> None:
    second = flipped(part(LABELS, IDS[:80]), IDS[:8])
    log = rounds(LABELS, second)
    labels = newest(log)
    judge: dict[str, Label | None] = {**LABELS, IDS[100]: None}
    first, later = by_round(hear(labels, log, "ann"), judge)
    assert (first["round"], first["labels"], first["self"]) == (1, 200, None)
    assert first["judge"]["n"] == 200
    assert first["judge"]["agreement"]["value"] == 199 / 200
    assert (later["round"], later["labels"], later["self"]["n"]) == (2, 80, 80)
    assert later["self"]["agreement"]["value"] == later["judge"]["agreement"]["value"] == 72 / 80
    assert by_round(hear(labels, log, "ann"))[0]["judge"] is None


def test_the_order_of_the_file_changes_nothing() -> None:
    log = rounds(
        LABELS, part(noisy(LABELS, 0.1, 1), IDS[:90]), part(noisy(LABELS, 0.1, 2), IDS[:60])
    )
    labels = newest(log)
    found = drift(hear(labels, log, "ann")).to_json()
    mixed = random.Random(0).sample(log, len(log))
    assert drift(hear(labels, mixed, "ann")).to_json() == found
    json.dumps(found, allow_nan=False)
