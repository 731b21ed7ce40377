"""The queues of a run's verdicts, what is said of them, and second labels."""

from __future__ import annotations

from pathlib import Path

import pytest
import rooms

from judgelab.data.events import EventLog
from judgelab.data.overlay import second_looks
from judgelab.data.remarks import Remark, RemarkLog
from judgelab.errors import DataError, UserError
from judgelab.expert.same_reason import wrong_reasons
from judgelab.review import queues
from judgelab.review.room import Room
from judgelab.review.told import Opinion, Told, _opinions
from judgelab.tracking.folder import RunFolder
from judgelab.types import Verdict
from labs import Lab, rows, write_rows

LABELS = {
    "i0": ("fail", "No source is named."),
    "i1": ("pass", "It answers."),
    "i2": ("fail", "It is about another city."),
    "i3": ("pass", "Short and right."),
}
OPINIONS = {
    "i0": Opinion("pass", "All is well.", 0.9),
    "i1": Opinion("pass", "It answers in full.", 0.6),
    "i2": Opinion("fail", "Too long.", 0.5),
    "i3": Opinion("fail", "Too short.", 0.99),
    "i4": Opinion("fail", "Hidden until ann has decided.", 0.7),
}

AGREEMENT = {"value": 0.5, "lo": 0.15, "hi": 0.85, "n": 4}


@pytest.fixture
def room(tmp_path: Path) -> Room:
    items = [rooms.item(f"i{n}") for n in range(6)]
    log = RemarkLog(tmp_path / "labels" / "made.remarks.jsonl")
    content = {one.id: one.content for one in items}
    told = Told("0abc-run", "nearest k=4", OPINIONS, log, AGREEMENT, content)
    return rooms.room(tmp_path, items, labels=LABELS, told=told)


def test_the_queues_hold_what_they_say(room: Room) -> None:
    assert sorted(queues.disagreements(room)) == ["i0", "i3"]
    assert sorted(queues.reasons(room)) == ["i1", "i2"]
    assert queues.uncertain(room) == ["i2", "i1", "i4", "i0", "i3"]
    room.told = None
    for name in (one.name for one in queues.QUEUES.values() if one.of_run):
        assert queues.QUEUES[name].order(room, "") == []


def test_the_judges_verdict_is_hidden_until_the_expert_has_decided(room: Room) -> None:
    who = rooms.visitor(room)
    before = who.item("i4", queue="uncertain")
    assert "Hidden until" not in before.text
    assert 'action="/remark"' not in before.text
    assert "Hidden until" not in who.get("/history?id=i4").text
    assert who.label("i4", "pass", "It names the number.", queue="uncertain").status == 303
    after = who.item("i4", queue="uncertain")
    assert "Hidden until ann has decided." in after.words
    assert "You and the judge differ" in after.words
    assert room.log.events[0].visible["judge"] == "hidden", "as it was when it was decided"
    assert who.label("i4", "fail", "It does not, after all.").status == 303
    assert room.log.events[1].visible["judge"] == "shown: 0abc-run"


def test_what_the_judge_was_least_sure_of_is_open_until_it_is_spoken_of(room: Room) -> None:
    queue = queues.QUEUES["uncertain"]
    order = queues.uncertain(room)
    assert list(queue.still_open(room, order)) == order, "labelled or not"
    room.say("i2", "same_reason", "")
    assert "4 left" in rooms.visitor(room).item("i4", queue="uncertain").words
    assert list(queue.still_open(room, order)) == [id_ for id_ in order if id_ != "i2"]


def test_who_is_wrong_is_said_once_and_the_next_one_comes(room: Room) -> None:
    who = rooms.visitor(room)
    first, second = queues.disagreements(room)
    page = who.get("/item?queue=disagreements")
    assert f'data-item="{first}"' in page.text or f'data-item="{second}"' in page.text
    form = {"id": first, "queue": "disagreements", "says": "judge_wrong", "comment": "Sources!"}
    moved = who.post("/remark", form)
    assert moved.query["id"] == second
    assert f"what you say of the judge on {first}" in who.get(moved["location"]).words
    (kept,) = RemarkLog(room.told.log.path).of("ann", "0abc-run")  # type: ignore[union-attr]
    assert (kept.id, kept.says, kept.comment) == (first, "judge_wrong", "Sources!")
    form = {"id": second, "queue": "disagreements", "says": "unclear", "comment": ""}
    assert "id" not in who.post("/remark", form).query
    assert "i0" not in who.get("/item?queue=disagreements").text


def test_a_wrong_label_stays_on_the_page_to_be_changed(room: Room) -> None:
    who = rooms.visitor(room)
    form = {"id": "i3", "queue": "disagreements", "says": "label_wrong"}
    moved = who.post("/remark", form)
    assert moved.query["id"] == "i3"
    page = who.get(moved["location"])
    assert "change it now" in page.words
    assert who.label("i3", "fail", "Too short indeed.", queue="disagreements").status == 303
    assert queues.disagreements(room) == ["i0"]
    assert room.remark("i3") is not None, "what was said of it stays said"


def test_the_share_of_right_verdicts_for_another_reason(room: Room) -> None:
    who = rooms.visitor(room)
    for id_, says in (("i1", "same_reason"), ("i2", "other_reason")):
        who.post("/remark", {"id": id_, "queue": "reasons", "says": says})
    said = "Right for the wrong reason: 50% (9 to 91%) of 2 agreements looked at."
    assert f"Agreement: 50% (15 to 85%) of 4 items. {said}" in who.get("/").words
    remarks = list(room.told.remarks("ann").values())  # type: ignore[union-attr]
    found = wrong_reasons(remarks, {}).to_json()
    assert (found["value"], found["n"], found["method"]) == (0.5, 2, "wilson")
    tied = wrong_reasons([*remarks, *remarks], {"i1": "a", "i2": "b"}).to_json()
    assert tied["clusters"] == 2, "the same two, twice, are no four"
    assert tied["hi"] - tied["lo"] >= found["hi"] - found["lo"] - 1e-9
    assert wrong_reasons([], {}).value is None


@pytest.mark.parametrize(
    "form",
    [
        {"id": "i0", "says": "same_reason"},
        {"id": "i1", "says": "judge_wrong"},
        {"id": "i4", "says": "judge_wrong"},
        {"id": "i5", "says": "unclear"},
        {"id": "i0", "says": ""},
    ],
    ids=["an agreement's", "a disagreement's", "undecided", "no verdict", "nothing"],
)
def test_what_cannot_be_said_is_not_kept(room: Room, form: dict[str, str]) -> None:
    answer = rooms.visitor(room).post("/remark", {"queue": "disagreements", **form})
    assert answer.status == 422
    assert not room.told.log.path.exists()  # type: ignore[union-attr]


def test_a_remark_fits_the_texts_and_the_label_it_was_made_of(room: Room) -> None:
    room.say("i0", "judge_wrong", "")
    assert room.remark("i0") is not None
    room.told.content = {**room.told.content, "i0": "other texts"}  # type: ignore[union-attr]
    assert room.remark("i0") is None


def test_a_torn_remark_was_never_saved_and_a_strange_line_is_named(tmp_path: Path) -> None:
    log = RemarkLog(tmp_path / "made.remarks.jsonl")
    one = Remark(id="a", content="c", expert="ann", run="r", label="pass", verdict="fail",
                 says="unclear")  # fmt: skip
    log.append(one)
    with log.path.open("ab") as file:
        file.write(b'{"id": "b", "con')
    again = RemarkLog(log.path)
    assert len(again.of("ann", "r")) == 1
    again.append(Remark(**{**vars(one), "says": "judge_wrong"}))
    assert [r.says for r in RemarkLog(log.path).of("ann", "r")] == ["judge_wrong"]
    log.path.write_text("[]\n")
    with pytest.raises(DataError, match="line 1: no remark"):
        RemarkLog(log.path)


def test_how_sure_a_judge_was() -> None:
    said = [
        Verdict("a", "pass", confidence=0.8),
        Verdict("b", "fail", repeat=0, critique="x"),
        Verdict("b", "fail", repeat=1),
        Verdict("b", "pass", repeat=2),
        Verdict("c", "fail"),
        Verdict("d", None, reason="empty"),
    ]
    found = _opinions(said)
    assert found["a"].sure == 0.8
    assert (found["b"].verdict, found["b"].critique) == ("fail", "x")
    assert found["b"].sure == pytest.approx(2 / 3)
    assert found["c"].sure is None
    assert "d" not in found


def test_second_labels_decide_nothing(room: Room, tmp_path: Path) -> None:
    log = EventLog(tmp_path / "labels" / "made.again.jsonl")
    again = Room(
        room.dataset.__class__("made", room.dataset.interactions, {}), log, "ann", False, True
    )
    rooms.visitor(again).label("i0", "pass", "On second thoughts.")
    assert (
        "your first labels are not shown, and go on deciding" in rooms.visitor(again).get("/").words
    )
    (look,) = second_looks(log, room.dataset.interactions)
    assert (look.id, look.annotator, look.label) == ("i0", "ann", "pass")
    assert room.labelled["i0"].said.verdict == "fail"
    assert not room.log.events


def test_a_verdict_on_other_texts_is_none(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    write_rows(lab.folder / "data.jsonl", rows(6))
    lab.run("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl", "judge=always_pass")
    folder = RunFolder(lab.runs[0])
    content = {row["id"]: row["content"] for row in folder.assignment}
    log = RemarkLog(tmp_path / "made.remarks.jsonl")
    assert Told.of(folder, log, content).opinions.keys() == content.keys()
    changed = content | {"item-000": "of other texts"}
    assert Told.of(folder, log, changed).opinions.keys() == content.keys() - {"item-000"}
    with pytest.raises(UserError, match="as it was judged"):
        Told.of(folder, log, dict.fromkeys(content, "of other texts"))
