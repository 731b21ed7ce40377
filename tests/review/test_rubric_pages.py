"""The rubric's page: beside the queue, proposed for, decided on; and what it keeps to itself."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rooms
from rooms import Answer, Visitor, visitor

from judgelab.data.remarks import Remark, RemarkLog
from judgelab.data.rubrics import LONGEST, RubricLog, rubrics_path
from judgelab.review.book import Book
from judgelab.review.diffs import difference
from judgelab.review.room import Room

OLD = "# What counts\n\nAn answer passes when it names its source.\n\n- No <b>guesses</b>."
NEW = OLD.replace("its source", "its source and the day")


def made(folder: Path, parts: Mapping[str, str] | None = None, **more: Any) -> Room:
    file = folder / "prompts" / "rubrics" / "mine.md"
    file.parent.mkdir(parents=True)
    file.write_text(f"{OLD}\n")
    log = RubricLog(rubrics_path("made"), "mine")
    book = Book(log, RemarkLog(folder / "labels" / "made.remarks.jsonl"), lambda: parts or {})
    return rooms.room(folder, book=book, rubric=lambda: log.now, **more)


@pytest.fixture(autouse=True)
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JUDGELAB_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def room(lab: Path) -> Room:
    return made(lab)


@pytest.fixture
def ann(room: Room) -> Visitor:
    return visitor(room)


def book(room: Room) -> Book:
    assert room.book
    return room.book


def remark(room: Room, id_: str, comment: str, **more: str) -> None:
    given = {
        **{"id": id_, "content": room.items[id_].content, "expert": "ann", "run": "0abc-run"},
        **{"label": "fail", "verdict": "pass", "says": "judge_wrong", "comment": comment},
    }
    book(room).remarks.append(Remark(**(given | more)))


def propose(who: Visitor, text: str = NEW, why: str = "days are missing", **more: str) -> Answer:
    base = re.search(r'name="base" value="(\w+)"', who.get("/rubric").text)
    assert base
    return who.post("/rubric/propose", {"text": text, "why": why, "base": base[1], **more})


def decide(who: Visitor, number: int, do: str = "accept", **more: str) -> Answer:
    """With what the page's own form holds; a box that is to be ticked is left alone."""
    page = who.get("/rubric").text
    form = page[page.index(f'id="p-{number}"') :]
    form = form[: form.index("</form>")]
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="(\w+)"', form))
    return who.post("/rubric/decide", {**hidden, "do": do, **more})


def test_the_rubric_is_beside_the_queue_and_folded_in_the_first_round(room: Room) -> None:
    ann = visitor(room)
    folded = '<details class="own rubric" id="rubric">'
    page = ann.item("i1").text
    assert folded in page
    assert "What counts</b>" in page, "rendered, and no heading of the page"
    assert "&lt;b&gt;guesses" in page, "and never executed"
    ann.label("i1", "pass", "Fine.")
    remark(room, "i1", "")
    assert '<details class="own rubric" id="rubric" open>' in ann.item("i2").text
    ann.label("i2", "pass", "Fine.")
    assert [event.visible["rubric"] for event in room.log.events] == ["folded", "open"]
    assert {event.rubric for event in room.log.events} == {book(room).log.now}


def test_the_first_round_ends_with_an_accepted_version_too(room: Room, ann: Visitor) -> None:
    propose(ann)
    assert book(room).first_round
    decide(ann, 2)
    assert not book(room).first_round


def test_a_closed_round_ends_it_as_well(lab: Path) -> None:
    room = made(lab)
    assert book(room).first_round
    assert not replace(book(room), begun=True).first_round


def test_a_room_without_a_rubric_has_no_such_page(lab: Path) -> None:
    who = visitor(rooms.room(lab))
    assert who.get("/rubric").status == 404
    assert "rubric" not in who.item("i1").text.casefold()


def test_proposed_shown_as_a_difference_accepted(room: Room, ann: Visitor) -> None:
    answer = ann.get(propose(ann)["location"])
    assert "Proposed as number 2" in answer.words
    assert "(1 proposed)" in answer.words
    assert re.search(r"<ins>.*</span> and the day</ins>", answer.text)
    assert "days are missing" in answer.words
    accepted = decide(ann, 2, why="yes")
    shown = ann.get(accepted["location"])
    assert "proposal 2 is in force now, as version 2" in shown.words
    assert book(room).log.text == NEW
    assert "Version 2, by ann" in shown.words
    assert "days are missing · yes" in shown.words
    assert "None is open." in shown.words
    ann.label("i1", "pass", "Fine.")
    assert room.log.events[0].rubric == book(room).log.versions[-1].hash


def test_edited_before_accepting_and_declined_with_a_reason(room: Room, ann: Visitor) -> None:
    propose(ann)
    propose(ann, "Another.")
    decide(ann, 2, text=f"{NEW}\r\n\r\nAnd the hour.")
    assert book(room).log.text == f"{NEW}\n\nAnd the hour."
    number = book(room).log.open[0].sequence
    answer = decide(ann, number, "decline")
    assert answer.status == 422
    assert "Say why it is declined" in answer.words
    answer = ann.get(decide(ann, number, "decline", why="<i>no</i>")["location"])
    assert f"Declined: proposal {number}" in answer.words
    assert "&lt;i&gt;no&lt;/i&gt;" in answer.text
    assert decide_blind(ann, number).status == 409


def decide_blind(who: Visitor, number: int | str, **more: str) -> Answer:
    return who.post("/rubric/decide", {"proposal": str(number), "do": "accept", **more})


def test_a_rubric_that_moved_is_looked_at_again(room: Room, ann: Visitor) -> None:
    propose(ann)
    log, seen = book(room).log, book(room).log.now
    log.file.write_text("By hand.\n")
    answer = decide_blind(ann, 2, onto=seen, text="Mine.")
    assert answer.status == 409
    assert log.file.read_text() == "By hand.\n"
    assert "made from another text than the one in force" in answer.words
    assert "What it meant to change" in answer.words
    assert "\nMine.</textarea>" in answer.text, "what was typed stays"
    assert decide(ann, 2).status == 409, "the box is not ticked"
    assert log.file.read_text() == "By hand.\n"
    assert decide(ann, 2, onto=log.now).status == 303
    assert [one.text for one in log.versions] == [OLD, "By hand.", NEW]
    assert "edited by hand" in ann.get("/rubric").words


def test_looking_writes_nothing(room: Room, ann: Visitor) -> None:
    ann.get("/rubric")
    ann.item("i1")
    assert not book(room).log.path.exists()
    propose(ann)
    before = book(room).log.path.read_bytes()
    book(room).log.file.write_text("By hand.")
    assert "edited by hand since the last version" in ann.get("/rubric").words
    assert book(room).log.path.read_bytes() == before


def test_what_is_not_taken_is_still_in_the_form(
    room: Room, ann: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text, why, says in (
        (NEW, " ", "Say why"),
        (OLD, "x", "as it is"),
        ("", "x", "it is empty"),
        ("x" * 40_001, "x", "at most 40,000 characters"),
    ):
        answer = propose(ann, text, why)
        assert answer.status == 422
        assert says in answer.words
        assert f"\n{html.escape(text)}</textarea>" in answer.text
    assert book(room).log.entries == [] or book(room).log.open == []

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RubricLog, "propose", full)
    answer = propose(ann)
    assert answer.status == 507
    assert "Not saved: No space left" in answer.words
    assert html.escape(NEW) in answer.text


def test_comments_on_disagreements_are_material_those_on_test_are_not(lab: Path) -> None:
    room = made(lab, {"i0": "dev", "i1": "test", "i2": "train"})
    ann = visitor(room)
    remark(room, "i0", "It should name the day.")
    remark(room, "i1", "Of a test item.")
    remark(room, "i2", "Changed.", says="criterion_changed")
    remark(room, "i3", "Mine was wrong.", says="label_wrong")
    remark(room, "i4", "Other reason.", says="other_reason", label="pass")
    page = ann.get("/rubric")
    for comment, listed in (
        ("It should name the day.", True),
        ("Changed.", True),
        ("Of a test item.", False),
        ("Mine was wrong.", False),
        ("Other reason.", False),
    ):
        assert (comment in page.text) == listed, comment
    (first, second) = re.findall(r'name="remark-\d+" value="(\w+)"', page.text)
    hidden = next(one for one in book(room).remarks.all if one.id == "i1")
    ticked = {"remark-1": second, "remark-2": hidden.ref, "remark-3": "../x"}
    assert propose(ann, **ticked).status == 303
    assert book(room).log.open[0].remarks == [second]
    assert first != second


def test_who_labels_a_second_time_sees_no_comment_and_decides_nothing(lab: Path) -> None:
    room = made(lab, principal=False)
    remark(room, "i0", "It should name the day.")
    bob = visitor(room)
    assert "name the day" not in bob.get("/rubric").text
    assert propose(bob).status == 303
    page = bob.get("/rubric")
    assert "Proposal 2" in page.words
    assert "/rubric/decide" not in page.text
    assert decide_blind(bob, 2, onto=book(room).log.now).status == 403
    assert book(room).log.text == OLD


def test_labels_from_before_are_counted_by_part(lab: Path) -> None:
    room = made(lab, {"i0": "test", "i1": "dev"})
    ann = visitor(room)
    ann.label("i0", "pass", "Fine.")
    propose(ann)
    decide(ann, 2)
    ann.label("i1", "pass", "Fine.")
    words = ann.get("/rubric").words
    assert "part labels before not known dev 1 0 0 test 1 1 0" in words


def test_nonsense_is_refused_and_paths_are_none(room: Room, ann: Visitor, lab: Path) -> None:
    propose(ann)
    for number in ("", "x", "-1", "1", "99", "../../mine", "9" * 30):
        assert decide_blind(ann, number, onto=book(room).log.now).status == 409
    assert ann.post("/rubric/decide", {"proposal": "2", "do": "burn"}).status == 422
    assert ann.get("/rubric/propose").status == 405
    foreign = {"origin": "http://elsewhere", "sec-fetch-site": "cross-site"}
    assert ann.post("/rubric/decide", {"do": "accept"}, headers=foreign).status == 403
    for query in ("accepted=2", "proposed=1", "declined=²", "proposed=<b>"):
        assert 'role="status"' not in ann.get(f"/rubric?{query}").text
    assert book(room).log.text == OLD
    assert sorted(path.name for path in lab.rglob("*") if path.is_file()) == [
        "made.rubric.jsonl",
        "mine.md",
    ]


def test_a_difference_names_words_and_leaves_out_what_is_the_same() -> None:
    lines = [f"line {n}" for n in range(20)]
    changed = [*lines[:10], "line 10, or ten", *lines[11:], "one more"]
    found = difference("\n".join(lines), "\n".join(changed))
    assert [one.left_out for one in found if one.left_out] == [8, 5]
    (words,) = [one for one in found if one.kind == "changed"]
    assert ("new", ", or ten") in words.pieces
    assert [one.pieces[0] for one in found if one.kind == "new"] == [("new", "one more")]
    (grown, added) = difference("one two three", "one two four\nand more")
    assert (grown.kind, added.kind) == ("changed", "new")
    assert difference("a", "a") == []
    gone, new = difference("entirely of this", "quite another thing, and longer")
    assert (gone.kind, new.kind) == ("gone", "new")


def test_a_hostile_difference_takes_no_time() -> None:
    text = "a\n" * (LONGEST // 2)
    assert difference(text, "b\n" + text.replace("a", "b", 5))
    assert difference("a " * 20_000, "b " * 20_000)
