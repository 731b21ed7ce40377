"""Who said what: which annotation is the deciding label itself, and which a second look."""

from __future__ import annotations

from dataclasses import replace

import pytest
from people_labs import by, flipped, noisy, part, truths

from judgelab.data.annotations import ExpertLabel
from judgelab.data.schema import Dataset
from judgelab.expert.voices import Said, hear, second, voices_of
from judgelab.types import Annotation, Interaction

LABELS = truths(40)
IDS = list(LABELS)


def test_other_people_and_the_expert_are_kept_apart() -> None:
    again = flipped(part(LABELS, IDS[:10]), IDS[:2])
    voices = hear(LABELS, by("bob", noisy(LABELS, 0.2, 1)) + by("ann", again), "ann")
    assert list(voices.people) == ["bob"]
    assert {i: said.label for i, said in second(voices).items()} == again
    assert voices.labels == LABELS


def test_a_log_of_the_labels_is_not_a_second_look() -> None:
    voices = hear(LABELS, by("ann", LABELS, at="2026-01-01"), "ann")
    assert voices.again == {}
    assert voices.deciding[IDS[0]].at is not None
    assert voices.notes == ()  # everything is in the log: no doubt


def test_a_log_with_second_looks_in_it_gives_those_alone() -> None:
    """The label itself is taken out once an item, whichever way the second look went."""
    again = flipped(part(LABELS, IDS[:10]), IDS[:3])
    log = by("ann", LABELS, round=1) + by("ann", again, round=2)
    for order in (log, log[::-1]):
        voices = hear(LABELS, order, "ann")
        assert {i: said.label for i, said in second(voices).items()} == again


def test_the_newest_decides_and_the_older_one_is_the_second_look() -> None:
    before = flipped(part(LABELS, IDS[:10]), IDS[:3])
    log = by("ann", before | part(LABELS, IDS[10:]), round=1)
    log += by("ann", part(LABELS, IDS[:10]), round=2)
    voices = hear(LABELS, log, "ann")
    assert {i: said.label for i, said in second(voices).items()} == before
    assert {voices.deciding[i].round for i in IDS[:10]} == {2}


def test_a_copy_of_some_labels_is_recognised_and_said() -> None:
    voices = hear(LABELS, by("ann", part(LABELS, IDS[:12])), "ann")
    assert voices.again == {}
    (note,) = voices.notes
    assert "12" in note
    assert "round of 2" in note


def test_a_second_round_without_a_flip_is_a_second_look() -> None:
    voices = hear(LABELS, by("ann", part(LABELS, IDS[:12]), round=2), "ann")
    assert len(second(voices)) == 12
    assert voices.notes == ()


@pytest.mark.parametrize(("later", "kept"), [("2026-01-02T09:00", 1), ("2026-01-02T08:59", 0)])
def test_a_label_within_a_day_is_a_correction(later: str, kept: int) -> None:
    log = [Annotation("a", "ann", "pass", at="2026-01-01T09:00")]
    log.append(Annotation("a", "ann", "fail", at=later))
    voices = hear({"a": "fail"}, log, "ann")
    assert voices.deciding["a"].label == "fail"
    assert len(second(voices)) == kept


def test_what_is_known_to_be_a_second_label_is_one_without_a_flip_too() -> None:
    again = [replace(one, second=True) for one in by("ann", part(LABELS, IDS[:12]))]
    voices = hear(LABELS, again, "ann")
    assert len(second(voices)) == 12
    assert voices.notes == ()
    both = hear(LABELS, [*by("ann", LABELS, at="2026-01-01"), *again], "ann")
    assert len(second(both)) == 12
    assert both.deciding[IDS[0]].at is not None


def test_a_label_that_decides_has_its_time_though_no_annotation_repeats_it() -> None:
    first = {"a": Annotation("a", "ann", "pass", at="2026-01-01T09:00")}
    for later, kept in (("2026-01-01T10:00", 0), ("2026-01-02T10:00", 1)):
        again = [Annotation("a", "ann", "pass", at=later, second=True)]
        voices = hear({"a": "pass"}, again, "ann", sources=first)
        assert voices.deciding["a"].at is not None
        assert len(second(voices)) == kept


def test_only_some_items() -> None:
    voices = hear(LABELS, by("bob", LABELS), "ann", {IDS[0]: "g"}).only(IDS[:3])
    assert list(voices.deciding) == IDS[:3] == list(voices.people["bob"])
    assert voices.groups(IDS[:2]) == ["g", None]


def data(labels: dict[str, ExpertLabel], annotations: list[Annotation], expert: str) -> Dataset:
    items = tuple(Interaction(i, i, i, group="g") for i in IDS)
    return Dataset("x", items, labels, tuple(annotations), expert)


def test_a_dataset_knows_which_annotation_decides() -> None:
    """Half the labels stand in their rows, so that the annotations look like second labels."""
    old, new = (
        by("ann", part(LABELS, IDS[:20]), round=1),
        by("ann", part(LABELS, IDS[:20]), round=2),
    )
    again = by("ann", flipped(part(LABELS, IDS[20:]), IDS[20:22]), round=2)
    labels = {one.id: ExpertLabel(one.label, "", "ann", one) for one in new}
    labels |= {i: ExpertLabel(LABELS[i], "", "ann") for i in IDS[20:]}
    voices = voices_of(data(labels, [*old, *new, *again], "ann"))
    assert set(second(voices)) == set(IDS)
    assert second(voices)[IDS[0]] == Said(LABELS[IDS[0]], None, 1)
    assert voices.deciding[IDS[0]].round == 2
    assert voices.groups(IDS[:1]) == ["g"]


def test_where_several_people_decide_nobody_is_compared_with_himself() -> None:
    names = {i: "ann" if k % 2 else "bob" for k, i in enumerate(IDS)}
    labels = {i: ExpertLabel(LABELS[i], "", names[i]) for i in IDS}
    voices = voices_of(data(labels, by("ann", LABELS) + by("bob", LABELS), ""))
    assert voices.again == {}
    assert {names[i] for i in voices.people["ann"]} == {"bob"}
