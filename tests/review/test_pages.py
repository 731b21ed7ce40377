"""The pages: what they show, what they write, and that nothing an expert typed is lost."""

from __future__ import annotations

import errno
import json
import re
import time
from pathlib import Path

import pytest
from rooms import Visitor, item, room, visitor

from judgelab.data.events import EventLog, Given
from judgelab.review.room import Room

WORDS = "It says number one where the table holds two, so the reader is misled."


@pytest.fixture
def made(tmp_path: Path) -> Room:
    return room(tmp_path)


@pytest.fixture
def ann(made: Room) -> Visitor:
    return visitor(made)


def test_one_screen_holds_everything_of_an_item(tmp_path: Path) -> None:
    one = item(
        "order/7 & co",
        group="call 3",
        context={"messages": [{"role": "user", "content": "hello"}], "rows": [{"a": 1, "b": 2}]},
        dimensions={"kind": "refund"},
    )
    links = {"CRM": "https://crm.example.com/{id}"}
    answer = visitor(room(tmp_path, [one], links=links)).item("order/7 & co")
    assert answer.status == 200
    for words in (
        *("What is order/7 & co?", "It is number", "user hello", "group call 3", "kind : refund"),
        *("a b 1 2", "0 of 1 labelled", "1 left", "Not labelled yet", "Save and next"),
    ):
        assert words in answer.words or words in answer.text, words
    assert 'href="https://crm.example.com/order%2F7%20%26%20co"' in answer.text
    assert "about=order%2F7+%26+co" in answer.text


def test_a_label_is_saved_and_the_next_open_item_comes(made: Room, ann: Visitor) -> None:
    first = ann.get("/item?queue=unlabelled").field("id")
    answer = ann.label(first, "fail", WORDS, opened=str(int(time.time()) - 5))
    query = answer.query
    assert query["id"] != first
    assert query["queue"] == "unlabelled"
    (event,) = EventLog(made.log.path).events
    assert (event.id, event.verdict, event.critique) == (first, "fail", WORDS)
    assert event.seconds
    assert 4 <= event.seconds <= 60
    shown = ann.get(answer["location"])
    assert f"Saved : {first} fail" in shown.words
    assert "5 left" in shown.words


def test_saved_is_shown_of_what_is_in_the_log_alone(ann: Visitor) -> None:
    for number in ("1", "0", "-1", "x", "9" * 30, "²"):
        assert "Saved" not in ann.item("i1", saved=number).words.replace("Save and next", "")
    ann.label("i1", "pass")
    assert "Saved : i1 pass" in ann.item("i2", saved="1").words


def test_all_are_labelled_and_then_it_is_done(ann: Visitor, made: Room) -> None:
    answer = ann.get("/item")
    for _ in range(6):
        answer = ann.get(ann.label(answer.field("id"), "pass")["location"])
        if "id=" not in answer.text:
            break
    assert "All 6 are labelled" in answer.words
    assert "Saved" in answer.words
    assert len(made.labelled) == 6
    assert "6 of 6 labelled, 0 left" in ann.get("/").words
    assert "All 6 are labelled" in ann.get("/item").words


def test_what_is_labelled_in_the_files_leaves_nothing_in_the_queue(tmp_path: Path) -> None:
    labels = {f"i{n}": ("pass", "", "ann") for n in range(6)}
    ann = visitor(room(tmp_path, labels=labels))
    assert "Nothing here" in ann.get("/item?queue=stratified").words
    assert "from the data's own file" in ann.item("i1").words


def test_a_verdict_is_asked_for_and_what_was_typed_stays(ann: Visitor, made: Room) -> None:
    answer = ann.label("i1", "", "half a thought <b>")
    assert answer.status == 422
    assert "Choose a verdict" in answer.words
    assert "half a thought &lt;b&gt;</textarea>" in answer.text
    answer = ann.label("i1", "maybe", "x")
    assert answer.status == 422
    answer = ann.label("i1", "cannot_judge", "x", missing="  ")
    assert answer.status == 422
    assert "Say what is missing" in answer.words
    assert re.search(r'id="missing"[^>]* autofocus>', answer.text)
    assert not made.log.path.exists()
    assert ann.label("i1", "cannot_judge", missing="the\r\norder").status == 303
    (event,) = made.log.events
    assert (event.verdict, event.missing) == ("cannot_judge", "the\norder")
    assert "cannot be judged" in ann.get("/history?id=i1").words


def test_could_be_better_is_of_a_pass_alone(ann: Visitor, made: Room) -> None:
    ann.label("i1", "pass", WORDS, could_be_better="yes")
    ann.label("i2", "fail", WORDS, could_be_better="yes", missing="x")
    assert [event.could_be_better for event in made.log.events] == [True, False]
    assert made.log.events[1].missing == ""


def test_a_terse_critique_gets_a_nudge_and_is_saved_all_the_same(ann: Visitor, made: Room) -> None:
    answer = ann.label("i1", "fail", "Bad answer.")
    assert len(made.log.events) == 1
    shown = ann.get(answer["location"])
    assert "repeats the verdict" in shown.words
    assert "Add to i1" in shown.words
    assert "repeats the verdict" in ann.item("i1").words
    assert "repeats" not in ann.get(ann.label("i1", "fail", WORDS)["location"]).words


def test_two_tabs_never_overwrite_each_other(ann: Visitor, made: Room) -> None:
    head = ann.item("i1").field("head")
    ann.label("i1", "pass", "first tab", head=head)
    answer = ann.label("i1", "fail", "second tab", head=head)
    assert answer.status == 409
    assert "Two labels of i1" in answer.words
    assert "first tab" in answer.words
    assert "second tab\n\nfirst tab</textarea>" in answer.text
    assert len(made.log.events) == 1
    merged = ann.label("i1", "fail", "both", head=answer.field("head"))
    assert merged.status == 303
    assert [event.supersedes for event in made.log.events] == [None, 1]


@pytest.mark.parametrize("head", ["7", "x", "-1", "9" * 30])
def test_a_version_that_never_was_is_a_conflict(ann: Visitor, made: Room, head: str) -> None:
    assert ann.label("i1", "fail", head=head).status == 409
    assert not made.log.events


def test_a_label_that_was_taken_back_meanwhile_is_a_conflict_too(ann: Visitor, made: Room) -> None:
    ann.label("i1", "pass")
    head = ann.item("i1").field("head")
    ann.post("/undo", {"id": "i1", "head": head})
    answer = ann.label("i1", "fail", "mine", head=head)
    assert answer.status == 409
    assert "The label was taken back" in answer.words


def test_undo_takes_the_last_label_back_and_keeps_its_words(ann: Visitor, made: Room) -> None:
    ann.label("i1", "fail", WORDS)
    assert "the last label, of i1" in ann.item("i2").words
    answer = ann.post("/undo", {"id": "i1", "head": "1"})
    assert answer.query["id"] == "i1"
    shown = ann.get(answer["location"])
    assert "Undone" in shown.words
    assert f"{WORDS}</textarea>" in shown.text
    assert "Not labelled yet" in shown.words
    assert made.labelled == {}
    again = ann.post("/undo", {"id": "i1", "head": "1"})
    assert again.status == 409
    assert "Nothing was undone" in again.words
    assert "taken back" in ann.get("/history?id=i1").words


def test_history_holds_every_version_and_the_file(tmp_path: Path) -> None:
    made = room(tmp_path, labels={"i1": ("pass", "of the file", "ann")})
    ann = visitor(made)
    ann.label("i1", "fail", "version one")
    ann.label("i1", "pass", "version two")
    other = Given(id="i1", content="other texts", expert="ann", verdict="fail", critique="old")
    made.log.append(other, None)
    words = ann.get("/history?id=i1").words
    for said in ("of the file", "version one", "version two", "old", "from the data's own file"):
        assert said in words
    assert "was another one then" in words
    assert ann.get("/history?id=nobody").status == 404


def test_moving_on_can_save_in_both_directions(ann: Visitor, made: Room) -> None:
    order = [ann.get("/item").field("id")]
    page = ann.get("/item")
    for _ in range(2):
        after = page.text.split('id="after" href="')[1].split('"')[0].replace("&amp;", "&")
        page = ann.get(after)
        order.append(page.field("id"))
    assert ann.label(order[1], "pass", go="after").query["id"] == order[2]
    assert ann.label(order[2], "pass", go="previous").query["id"] == order[0]
    assert ann.label(order[0], "pass", go="stay").query["id"] == order[0]


def test_search_and_more_like_this_list_what_they_find_and_are_queues(ann: Visitor) -> None:
    ann.label("i3", "fail", WORDS)
    found = ann.get("/item?queue=search&about=NUMBER")
    assert "6 items" in found.words
    assert f"i3 fail What is i3? {WORDS}" in found.words
    assert "i1 not labelled" in found.words
    assert "No item holds all" in ann.get("/item?queue=search&about=%3Cx%3E").words
    assert "no such item" in ann.get("/item?queue=like&about=nobody").words
    found = ann.get("/item?queue=like&about=i3")
    assert found.words.index("i3 fail") < found.words.index("i1 not labelled")
    page = ann.item("i1", queue="like", about="i3")
    assert "More like this: i3" in page.words
    query = ann.label("i1", "fail", queue="like", about="i3").query
    assert (query["queue"], query["about"]) == ("like", "i3")
    assert query["id"] not in ("i1", "i3")


def test_a_disk_that_is_full_loses_no_word(
    ann: Visitor, made: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(made.log, "append", full)
        answer = ann.label("i1", "fail", WORDS)
    assert answer.status == 507
    assert "Not saved: No space left" in answer.words
    assert f"{WORDS}</textarea>" in answer.text
    assert ann.label("i1", "fail", WORDS, head=answer.field("head")).status == 303


def test_a_damaged_log_is_said(ann: Visitor, made: Room) -> None:
    ann.label("i1", "fail")
    made.log.path.write_text("{}\n")
    answer = ann.get("/")
    assert answer.status == 500
    assert "line 1" in answer.words
    assert "Traceback" not in answer.text


def test_hostile_ids_names_and_critiques_stay_text(tmp_path: Path) -> None:
    id_ = '"><script>alert(1)</script>{{7*7}}'
    one = item(id_, group=id_, dimensions={id_: id_}, context={id_: id_})
    made = room(tmp_path, [one, item("i1")])
    ann = visitor(made)
    pages = [ann.item(id_), ann.get("/"), ann.label(id_, "", id_)]
    saved = ann.label(id_, "fail", id_ + " =1+1 \u202e" + WORDS)
    pages += [ann.get(saved["location"]), ann.get("/"), ann.item(id_)]
    pages += [ann.get(f"/history?id={id_.replace('=', '%3D')}")]
    pages += [ann.label(id_, "pass", id_, head="")]
    pages += [ann.get("/item?queue=search&about=" + id_.replace("{", "%7B"))]
    for page in pages:
        assert "<script>alert" not in page.text
        assert "49" not in page.words
        assert page.text.count("<script") == 1
    assert json.loads(made.log.path.read_text().splitlines()[0])["critique"].startswith(id_)


def test_a_lone_surrogate_breaks_no_page(tmp_path: Path) -> None:
    made = room(tmp_path, [item("a", input="\ud800 and \0 more")])
    answer = visitor(made).item("a")
    assert answer.status == 200
    assert "and" in answer.words
