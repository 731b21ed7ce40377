"""The lab as one expert sees it, and the queues that are made of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from rooms import item, room

from judgelab.data.cells import grid
from judgelab.data.dimensions import Dimensions
from judgelab.data.events import CANNOT, ConflictError, EventLog, Given
from judgelab.data.schema import Dataset
from judgelab.data.standing import Said
from judgelab.review.queues import QUEUES, like, search, stratified, unlabelled
from judgelab.review.room import Room
from judgelab.types import Annotation

GOOD = "It says number {} where the table says another one, so the reader is misled."


def label(made: Room, id_: str, verdict: str = "fail", critique: str = "") -> None:
    made.save(id_, Said(verdict, critique), made.head(id_), 1.0)


def test_what_is_said_is_an_event_with_what_was_visible(tmp_path: Path) -> None:
    items = [item("a", context={"x": 1}, dimensions={"kind": "k"})]
    made = room(tmp_path, items, rubric=lambda: "r" * 64)
    event = made.save("a", Said("pass", "fine", "", True), None, 7.5)
    assert event.visible == {
        "fields": ["input", "output", "context.x", "dimensions.kind"],
        "judge": "hidden",
    }
    assert (event.rubric, event.seconds, event.could_be_better) == ("r" * 64, 7.5, True)
    assert made.labelled["a"].said == Said("pass", "fine", "", True)


def test_the_same_again_is_the_same_label(tmp_path: Path) -> None:
    """A page that is sent twice, or again after a server died before it answered."""
    made = room(tmp_path)
    first = made.save("i1", Said("fail", "x"), None, 1)
    assert made.save("i1", Said("fail", "x"), None, 9) == first
    with pytest.raises(ConflictError):
        made.save("i1", Said("fail", "y"), None, 1)


def test_the_labels_of_the_files_stand_until_one_is_given_and_after_it_is_undone(
    tmp_path: Path,
) -> None:
    made = room(tmp_path, labels={"i1": ("pass", "of the file", "ann")})
    assert made.labelled["i1"].said == Said("pass", "of the file")
    assert made.last is None
    label(made, "i1")
    assert made.labelled["i1"].said.verdict == "fail"
    assert made.last
    undo = made.undo("i1", made.head("i1"))
    assert made.taken_back(undo) == Said("fail")
    assert made.labelled["i1"].said == Said("pass", "of the file")
    assert made.last is None


def test_undo_goes_back_step_by_step(tmp_path: Path) -> None:
    made = room(tmp_path)
    for id_, critique in (("i1", "one"), ("i2", "two"), ("i1", "three")):
        label(made, id_, "fail", critique)
    taken = []
    while made.last:
        undo = made.undo(made.last.id, made.head(made.last.id))
        said = made.taken_back(undo)
        assert said
        taken.append(said.critique)
    assert taken == ["three", "two", "one"]
    assert made.labelled == {}


def test_a_second_person_labels_blind(tmp_path: Path) -> None:
    items = tuple(item(f"i{n}") for n in range(3))
    said = (Annotation("i1", "ann", "pass", "mine"), Annotation("i2", "bob", "fail"))
    labels = room(tmp_path, items, labels={"i0": ("fail", "decides", "bob")}).dataset.labels
    log = EventLog(tmp_path / "labels" / "made.jsonl")
    log.append(
        Given(id="i0", content=items[0].content, expert="bob", verdict="fail", critique="secret"),
        None,
    )
    made = Room(Dataset("made", items, labels, said), log, "ann", principal=False)
    assert {id_: one.said for id_, one in made.labelled.items()} == {"i1": Said("pass", "mine")}
    assert made.history("i0") == []
    assert made.event(1) is None
    label(made, "i0")
    assert [event.expert for event in made.history("i0")] == ["ann", "bob"], "once decided"


def test_another_process_is_seen(tmp_path: Path) -> None:
    made, other = room(tmp_path), room(tmp_path)
    label(other, "i1")
    made.refresh()
    assert made.labelled.keys() == {"i1"}


NUDGES = {
    "": ("fail", "no critique yet"),
    "Fail.": ("fail", "repeats the verdict"),
    "this answer is bad, wrong and not good": ("fail", "repeats the verdict"),
    "Wrong table": ("fail", "is short"),
    "Correct. The dates in the third row are those of the invoice itself": ("fail", ""),
    "Pass. The dates in the third row are those of the invoice itself": ("fail", "other verdict"),
    GOOD: ("fail", ""),
}


@pytest.mark.parametrize(("critique", "expected"), NUDGES.items())
def test_a_nudge_is_gentle_and_to_the_point(
    tmp_path: Path, critique: str, expected: tuple[str, str]
) -> None:
    verdict, words = expected
    found = " ".join(room(tmp_path).nudges("i1", Said(verdict, critique)))
    assert (words in found) if words else not found


def test_a_pass_needs_no_critique_unless_it_could_be_better(tmp_path: Path) -> None:
    made = room(tmp_path)
    assert made.nudges("i1", Said("pass")) == []
    assert made.nudges("i1", Said("pass", could_be_better=True))
    assert made.nudges("i1", Said(CANNOT, missing="the order")) == []


def test_own_good_critiques_are_of_the_verdict_and_good(tmp_path: Path) -> None:
    made = room(tmp_path)
    label(made, "i0", "fail", GOOD.format("i0"))
    label(made, "i1", "fail", "bad")
    label(made, "i2", "fail", GOOD.format("i2"))
    label(made, "i3", "pass", GOOD.format("i3"))
    assert [id_ for id_, _ in made.own_critiques("fail")] == ["i2", "i0"]
    assert [id_ for id_, _ in made.own_critiques("pass")] == ["i3"]


# --- queues


def test_unlabelled_is_random_by_the_seed_and_stays_as_items_come(tmp_path: Path) -> None:
    items = [item(f"i{n}") for n in range(60)]
    orders = [unlabelled(room(tmp_path, items, seed=seed)) for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(one.id for one in items)
    grown = unlabelled(room(tmp_path, [*items, item("new")], seed=1))
    assert [id_ for id_ in grown if id_ != "new"] == orders[0]


@pytest.mark.parametrize("queue", [unlabelled, stratified])
def test_what_was_labelled_here_comes_first_and_files_are_left_out(tmp_path: Path, queue) -> None:
    made = room(tmp_path, labels={"i0": ("pass", "", "ann")})
    before = queue(made)
    assert "i0" not in before
    label(made, before[2])
    label(made, before[0])
    assert queue(made) == [before[2], before[0], before[1], *before[3:]]


def test_stratified_fills_the_thinnest_cell_first(tmp_path: Path) -> None:
    items = [
        item(f"i{n}", dimensions={"kind": "often" if n % 10 else "rare", "lang": "en"})
        for n in range(100)
    ]
    labels = {f"i{n}": ("pass", "", "ann") for n in range(1, 5)}
    made = room(tmp_path, items, labels=labels)
    order = stratified(made)
    kinds = [made.items[id_].dimensions["kind"] for id_ in order]
    assert kinds[:4] == ["rare"] * 4, "as many as the other cell has labels"
    assert Counter(kinds[4:16]) == {"rare": 6, "often": 6}
    assert sorted(order) == sorted(made.items.keys() - labels.keys())
    assert sorted(stratified(room(tmp_path / "x"))) == sorted(unlabelled(room(tmp_path / "x")))


def test_search_looks_through_texts_and_own_critiques(tmp_path: Path) -> None:
    items = [
        item("a", input="Where is my ORDER?", context={"note": "paid twice"}),
        item("b", output="the order is gone"),
        item("c", dimensions={"kind": "refund"}),
    ]
    made = room(tmp_path, items)
    label(made, "c", "fail", "leaves out the Order")
    assert search(made, "order") == ["a", "b", "c"]
    assert search(made, "  ORDER twice ") == ["a"]
    assert search(made, "refund") == ["c"]
    assert search(made, "nothing such") == search(made, "") == []


def test_more_like_this_begins_with_the_item(tmp_path: Path) -> None:
    items = [
        item("a", input="refund of a double charge", output="money back"),
        item("b", input="weather in June", output="sunny"),
        item("c", input="a double charge, refund please", output="no money back"),
    ]
    made = room(tmp_path, items)
    assert like(made, "a") == ["a", "c", "b"]
    assert like(made, "nobody") == []


def test_every_queue_is_a_function_of_the_room(tmp_path: Path) -> None:
    made = room(tmp_path)
    for queue in QUEUES.values():
        if queue.of_run or queue.causes:  # see test_told.py and test_cause_pages.py
            continue
        about = {"words": "number", "id": "i1", "": ""}[queue.about]
        assert set(queue.order(made, about)) == set(made.items)


def test_thin_cells_are_those_of_the_dimensions(tmp_path: Path) -> None:
    items = [item(f"i{n}", dimensions={"f": "ab"[n % 2], "day": str(n)}) for n in range(8)]
    yaml = Dimensions("own", "A tool.", {"f": {"a": "one", "b": "two", "c": "three"}})
    made = room(tmp_path, items, dimensions=yaml)
    for id_ in ("i0", "i2", "i4"):
        label(made, id_, "pass")
    order = [id_ for id_ in QUEUES["stratified"].order(made, "") if id_ not in made.labelled]
    assert set(order[:3]) < {"i1", "i3", "i5", "i7"}, "b has none of the labels, whatever the day"
    assert made.grid == grid(items, yaml)
