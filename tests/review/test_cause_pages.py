"""Root causes in the room: named after a fail, proposed, accepted one by one."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from rooms import Answer, Visitor, room, visitor

from judgelab.data.modes import Classified, ModeLog, Proposal
from judgelab.review.room import Room


@pytest.fixture
def log(tmp_path: Path) -> ModeLog:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "made.taxonomy.yaml").write_text("late: Too late.\nrude: ''\n")
    folder = tmp_path / "labels"
    return ModeLog(folder / "made.modes.jsonl", folder / "made.taxonomy.yaml")


@pytest.fixture
def place(tmp_path: Path, log: ModeLog) -> Room:
    return room(tmp_path, labels={"i1": ("fail", "It comes late.", "ann")}, causes=log)


@pytest.fixture
def ann(place: Room) -> Visitor:
    return visitor(place)


def head(page: Answer) -> str:
    form = page.text[page.text.index('action="/causes/name"') :]
    found = re.search(r'name="head" value="([^"]*)"', form)
    assert found
    return html.unescape(found[1])


def name(ann: Visitor, id_: str, *modes: str, **more: str) -> Answer:
    form = {"id": id_, "head": head(ann.item(id_))} | more
    return ann.post("/causes/name", form | {f"mode-{n}": one for n, one in enumerate(modes)})


def test_a_fail_is_named_and_a_pass_is_not(ann: Visitor, place: Room, log: ModeLog) -> None:
    assert "What makes it fail?" not in ann.item("i2").text
    assert ann.label("i2", "fail", "It says nothing of the day.").status == 303
    saved = ann.get("/item?saved=1")
    assert "Name the root cause" in saved.words
    assert name(ann, "i1", "late", "rude").status == 303
    done = name(ann, "i2", new="No  Day")
    assert done.query["named"] == "i2"
    assert place.modes("i1") == ("late", "rude")
    assert place.modes("i2") == ("No Day",)
    assert "No Day" in log.yaml.read_text()
    page = ann.item("i2", named="i2")
    assert "Saved: the root cause of i2" in page.words
    assert re.search(r'value="No Day" id="m-3" checked', page.text)
    assert name(ann, "i1").status == 303, "taken back"
    assert place.modes("i1") == ()
    assert ann.post("/causes/name", {"id": "i3", "mode-1": "late"}).status == 404


def test_the_queue_of_fails_without_a_root_cause(ann: Visitor, place: Room) -> None:
    assert "Fails without a root cause" in ann.get("/").words
    assert 'data-item="i1"' in ann.get("/item?queue=causes").text
    assert name(ann, "i1", "late", queue="causes").status == 303
    assert 'data-item="i1"' not in ann.get("/item?queue=causes").text


def test_somebody_else_was_faster(ann: Visitor, place: Room, log: ModeLog) -> None:
    seen = head(ann.item("i1"))
    other = ModeLog(log.path, log.yaml)
    content = place.items["i1"].content
    other.classify([Classified(id="i1", content=content, modes=("rude",), by="bob")])
    done = ann.post("/causes/name", {"id": "i1", "head": seen, "mode-1": "late"})
    assert done.status == 409
    assert "bob said rude meanwhile" in done.words
    assert place.modes("i1") == ("rude",)


@pytest.mark.parametrize("typed", ["a;b", "_", "x" * 81])
def test_what_is_no_name_is_refused(ann: Visitor, log: ModeLog, typed: str) -> None:
    before = log.yaml.read_text()
    done = name(ann, "i1", new=typed)
    assert done.status == 422
    assert "the name of a failure mode" in done.words
    assert log.yaml.read_text() == before


def test_a_proposal_is_accepted_under_a_name_or_declined(ann: Visitor, log: ModeLog) -> None:
    ideas = [("no day", "i1"), ("Late", "i1"), ("odd", "i2"), ("no_day", "i3")]
    made = [Proposal(name=n, description="", items=(i,), by="clusters") for n, i in ideas]
    assert [one.name for one in log.propose(made)] == ["no_day", "odd"], "each name once"
    assert log.propose(made) == []
    second, first = log.open
    page = ann.get("/causes")
    assert "Root causes (2 proposed)" in page.words
    decide = {"proposal": str(second.sequence), "name": "says no day", "do": "accept"}
    assert ann.post("/causes/decide", decide | {"name": "late"}).status == 422
    assert ann.post("/causes/decide", decide | {"do": "perhaps"}).status == 422
    assert ann.post("/causes/decide", decide).status == 303
    assert ann.post("/causes/decide", decide).status == 422, "it is not open any more"
    assert log.taxonomy.names == ["late", "rude", "says no day"]
    decline = {"proposal": str(first.sequence), "do": "decline"}
    assert ann.post("/causes/decide", decline).status == 303
    log.refresh()
    assert log.open == []
    assert (log.suggested("i3"), log.suggested("i2")) == (["says no day"], [])
    assert log.on(("i3", "")) is None, "no item has it before somebody says so"


def test_who_labels_a_second_time_sees_no_root_causes(tmp_path: Path) -> None:
    second = visitor(room(tmp_path, principal=False))
    second.label("i1", "fail", "It comes late.")
    assert second.get("/causes").status == 404
    assert "Root causes" not in second.get("/").words
