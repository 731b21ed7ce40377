"""Label events: appended once, never lost, never overwritten; the view that they make."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from judgelab.data.annotations import ExpertLabel
from judgelab.data.events import CANNOT, ConflictError, EventLog, Given, labels_path
from judgelab.data.readers.jsonl import JsonlReader
from judgelab.data.schema import Dataset, DatasetConfig, load
from judgelab.errors import ConfigError, DataError
from judgelab.types import Annotation, Interaction
from labs import at_once, environment, read_lines, write_rows

TEXTS = "c" * 64


@pytest.fixture
def log(tmp_path: Path) -> EventLog:
    return EventLog(tmp_path / "labels" / "mine.jsonl")


def given(id_: str = "a", verdict: str | None = "fail", expert: str = "ann", **more: Any) -> Given:
    return Given(**({"id": id_, "content": TEXTS, "expert": expert, "verdict": verdict} | more))


def undo(id_: str = "a", expert: str = "ann") -> Given:
    return given(id_, None, expert, kind="undo")


def test_an_event_is_a_line_with_everything_in_it(log: EventLog) -> None:
    said = given(
        critique='naïve "count"\nof rows \u202e',
        seconds=3.5,
        rubric="r" * 64,
        visible={"fields": ["input"], "judge": "hidden"},
    )
    event = log.append(said, None)
    (line,) = read_lines(log.path)
    assert line == {
        "id": "a",
        "content": TEXTS,
        "expert": "ann",
        "kind": "label",
        "verdict": "fail",
        "critique": 'naïve "count"\nof rows \u202e',
        "missing": "",
        "could_be_better": False,
        "seconds": 3.5,
        "rubric": "r" * 64,
        "visible": {"fields": ["input"], "judge": "hidden"},
        "sequence": 1,
        "version": 1,
        "supersedes": None,
        "at": event.at,
    }
    assert event.at.endswith("+00:00")
    assert EventLog(log.path).events == [event]


def test_the_newest_label_is_in_force_and_undo_brings_the_one_before_back(log: EventLog) -> None:
    first = log.append(given(critique="one"), None)
    second = log.append(given(verdict="pass"), first.sequence)
    assert (second.version, second.supersedes) == (2, 1)
    chain = log.chain(first.key)
    assert chain.label == second
    back = log.append(undo(), second.sequence)
    assert (chain.label, chain.head) == (first, back.sequence)
    again = log.append(undo(), back.sequence)
    assert (chain.label, chain.head) == (None, again.sequence)
    with pytest.raises(ConflictError):
        log.append(undo(), again.sequence)
    assert log.append(given(), again.sequence).version == 5
    assert [event.sequence for event in log.of("a")] == [1, 2, 3, 4, 5]
    assert EventLog(log.path).chain(first.key).label == log.chain(first.key).label
    assert EventLog(log.path, upto=2).chain(first.key).label == second


@pytest.mark.parametrize("seen", [None, 2, 7])
def test_what_was_not_seen_is_not_overwritten(log: EventLog, seen: int | None) -> None:
    log.append(given(), None)
    log.append(given("b"), None)
    before = log.path.read_bytes()
    with pytest.raises(ConflictError) as error:
        log.append(given(verdict="pass"), seen)
    assert error.value.chain.label == log.events[0]
    assert log.path.read_bytes() == before


def test_two_people_and_two_texts_have_chains_of_their_own(log: EventLog) -> None:
    log.append(given(), None)
    log.append(given(expert="bob"), None)
    log.append(given(content="d" * 64), None)
    assert log.experts == ["ann", "bob"]
    assert [event.sequence for event in log.labels("ann")] == [1, 3]


def test_another_process_is_seen_and_conflicts_are_told_across_processes(log: EventLog) -> None:
    other = EventLog(log.path)
    log.append(given(critique="mine"), None)
    with pytest.raises(ConflictError) as error:
        other.append(given(), None)
    assert error.value.chain.label == log.events[0]
    other.append(given("b"), None)
    log.refresh()
    assert [event.id for event in log.events] == ["a", "b"]


def test_processes_at_once_lose_nothing(log: EventLog) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from judgelab.data.events import EventLog, Given\n"
        "log, name = EventLog(Path(sys.argv[1])), sys.argv[2]\n"
        "for i in range(40):\n"
        "    log.append(Given(id=f'{name}{i}', content='c', expert='ann', verdict='fail'), None)\n"
    )
    at_once(code, log.path, "abc")
    log.refresh()
    assert [event.sequence for event in log.events] == list(range(1, 121))
    assert len({event.id for event in log.events}) == 120


def test_a_torn_last_line_is_kept_aside_and_said(log: EventLog, lab: Path) -> None:
    log.append(given(), None)
    whole = log.path.read_bytes()
    for cut in (1, 30, len(whole) - 3):
        torn = whole[:cut]
        log.path.write_bytes(whole + torn)
        again = EventLog(log.path)
        assert (again.torn, len(again.events)) == (torn, 1)
        assert log.path.read_bytes() == whole + torn, "reading writes nothing"
        again.append(given("b"), None)
        assert again.aside.read_bytes().endswith(torn + b"\n")
        assert [event.id for event in EventLog(log.path).events] == ["a", "b"]
    assert len(log.aside.read_bytes().splitlines()) == 3


def test_a_whole_last_line_without_its_end_counts(log: EventLog) -> None:
    log.append(given(), None)
    log.path.write_bytes(log.path.read_bytes().rstrip(b"\n"))
    again = EventLog(log.path)
    assert ([event.id for event in again.events], again.torn) == (["a"], b"")
    again.append(given("b"), None)
    assert [event.id for event in again.events] == ["a", "b"]
    log.refresh()
    assert log.events == again.events == EventLog(log.path).events


def lines(log: EventLog) -> list[dict[str, Any]]:
    log.append(given(), None)
    log.append(given("b"), None)
    log.append(given("a", "pass"), 1)
    return read_lines(log.path)


DAMAGES: dict[str, tuple[int, dict[str, Any]]] = {
    "a line is gone": (1, {}),
    "a verdict": (2, {"verdict": "good"}),
    "a type": (2, {"critique": None}),
    "a strange key": (1, {"more": 1}),
    "a number": (3, {"sequence": 4}),
    "a chain": (3, {"supersedes": 2}),
    "a version": (3, {"version": 1}),
}


@pytest.mark.parametrize(("number", "change"), DAMAGES.values(), ids=DAMAGES)
def test_damage_elsewhere_names_file_and_line(
    log: EventLog, number: int, change: dict[str, Any]
) -> None:
    rows = lines(log)
    if change:
        rows[number - 1] |= change
    else:
        del rows[number - 1]
    write_rows(log.path, rows)
    with pytest.raises(DataError, match=rf"mine\.jsonl, line {number}: .*Restore it"):
        EventLog(log.path)


def test_garbage_in_the_middle_is_no_torn_line(log: EventLog) -> None:
    lines(log)
    log.path.write_text('{"id": \n' + log.path.read_text())
    with pytest.raises(DataError, match="line 1"):
        EventLog(log.path)


def test_a_file_that_was_restored_is_read_anew(log: EventLog) -> None:
    rows = lines(log)
    write_rows(log.path, rows[:1])
    log.refresh()
    assert [event.id for event in log.events] == ["a"]
    write_rows(log.path, [rows[0] | {"critique": "longer than before"}, *rows[1:]])
    log.refresh()
    assert [event.id for event in log.events] == ["a", "b", "a"]
    log.path.unlink()
    log.refresh()
    assert log.events == []


def test_a_full_disk_leaves_the_file_as_it_was(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(given(), None)
    before = log.path.read_bytes()
    write = os.write

    def half(file: int, data: bytes) -> int:
        if len(data) < 50:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data[:-20])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", half)
        with pytest.raises(OSError, match="No space"):
            log.append(given("b"), None)
    assert log.path.read_bytes() == before
    assert log.append(given("b"), None).sequence == 2


KILLED = """
import sys
from pathlib import Path
from judgelab.data.events import EventLog, Given
log = EventLog(Path(sys.argv[1]))
for i in range(10**6):
    event = log.append(Given(id=f"i{i}", content="c", expert="ann", verdict="fail"), None)
    print(event.id, flush=True)
"""


def test_what_was_acknowledged_survives_kill_9(log: EventLog) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(log.path)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout
    said = [process.stdout.readline().strip() for _ in range(20)]
    process.send_signal(signal.SIGKILL)
    said += process.stdout.read().split()
    process.stdout.close()
    process.wait()
    kept = EventLog(log.path)
    assert {event.id for event in kept.events} >= set(said)
    assert kept.append(given("after"), None).sequence == len(kept.events)


def test_ten_thousand_events_are_read_once(log: EventLog) -> None:
    log.append(given("first"), None)
    (line,) = read_lines(log.path)
    rows = [line | {"id": f"i{i}", "sequence": i + 1} for i in range(10_000)]
    write_rows(log.path, rows)
    log.refresh()
    assert len(log.events) == 10_000
    start = time.process_time()
    for _ in range(100):
        log.refresh()
    assert (time.process_time() - start) / 100 < 0.005, "a look reads only what was appended"


# --- the view


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JUDGELAB_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loaded(rows: Sequence[dict[str, Any]], **more: Any) -> Dataset:
    write_rows(Path("data.jsonl"), rows)
    at = {key: more.pop(key) for key in ("events", "newcomer") if key in more}
    return load(DatasetConfig("mine", "data.jsonl", JsonlReader(), **more), **at)


def row(id_: str, **more: Any) -> dict[str, Any]:
    return {"id": id_, "input": f"in {id_}", "output": f"out {id_}", **more}


def say(id_: str, verdict: str, expert: str = "ann", **more: Any) -> None:
    content = more.pop("content", Interaction(id_, f"in {id_}", f"out {id_}").content)
    log = EventLog(labels_path("mine"))
    said = given(id_, verdict, expert, content=content, **more)
    log.append(said, log.chain(said.key).head)


ROWS = [
    row("1", label="pass", annotator="ann", critique="old"),
    row("2", label="fail", annotator="ann", critique="stays"),
    row("3"),
    row("4"),
]


def test_without_events_nothing_changes(lab: Path) -> None:
    dataset = loaded(ROWS)
    assert dataset.events == 0
    assert not (lab / "labels").exists()


def test_the_experts_events_win_over_the_file(lab: Path) -> None:
    before = loaded(ROWS)
    say("1", "fail", critique="new")
    say("3", "pass")
    dataset = loaded(ROWS)
    assert dataset.labels == {
        "1": ExpertLabel("fail", "new", "ann"),
        "2": ExpertLabel("fail", "stays", "ann"),
        "3": ExpertLabel("pass", "", "ann"),
    }
    assert (dataset.expert, dataset.events, dataset.annotations) == ("ann", 2, ())
    assert dataset.sha256 != before.sha256
    assert loaded(ROWS, events=0).sha256 == before.sha256, "the labels as they were"
    assert "1 of 4 items are unlabelled." in dataset.notes


def test_what_cannot_be_judged_is_not_labelled(lab: Path) -> None:
    say("1", CANNOT, missing="the customer's order")
    dataset = loaded(ROWS)
    assert dataset.labels.keys() == {"2"}
    assert any("cannot be judged, so unlabelled: 1 (1)" in note for note in dataset.notes)


def test_a_changed_output_is_unlabelled_again_and_that_is_said(lab: Path) -> None:
    say("3", "fail")
    say("4", "fail", content=TEXTS)
    dataset = loaded(ROWS)
    assert dataset.labels.keys() == {"1", "2", "3"}
    assert any("changed since they were labelled: 1 (4)" in note for note in dataset.notes)
    say("4", "pass")
    again = loaded(ROWS)
    assert again.labels["4"].label == "pass"
    assert not any("changed since" in note for note in again.notes)


def test_other_people_feed_the_ceiling(lab: Path) -> None:
    say("1", "fail", "bob", critique="no")
    say("3", "fail", "bob")
    say("4", CANNOT, "bob")
    dataset = loaded(ROWS)
    assert dataset.labels.keys() == {"1", "2"}
    first, second, _ = EventLog(labels_path("mine")).events
    assert set(dataset.annotations) == {
        Annotation("1", "bob", "fail", "no", first.at),
        Annotation("3", "bob", "fail", "", second.at),
    }
    assert loaded(ROWS, expert="bob").labels.keys() == {"1", "3"}


def test_of_two_people_somebody_has_to_be_chosen(lab: Path) -> None:
    say("3", "fail", "ann")
    say("3", "pass", "bob")
    rows = [row("3")]
    with pytest.raises(DataError, match=r"labels/mine\.jsonl.*'ann', 'bob'.*dataset\.expert=NAME"):
        loaded(rows)
    assert loaded(rows, expert="bob").labels["3"].label == "pass"


def test_a_name_may_be_known_from_events_alone_or_be_new(lab: Path) -> None:
    with pytest.raises(DataError, match="who has labelled nothing here"):
        loaded(ROWS, expert="bob")
    assert loaded(ROWS, expert="bob", newcomer="bob").labels == {}
    say("3", "fail", "bob")
    assert loaded(ROWS, expert="bob").labels.keys() == {"3"}


def test_a_replaced_annotation_is_no_second_label(lab: Path) -> None:
    write_rows(
        Path("more.jsonl"),
        [
            {"id": "3", "annotator": "ann", "label": "pass"},
            {"id": "4", "annotator": "ann", "label": "pass"},
        ],
    )
    say("3", "fail")
    dataset = loaded(ROWS, annotations="more.jsonl")
    assert dataset.labels["3"].label == "fail"
    assert dataset.annotations == (Annotation("4", "ann", "pass"),)


def test_labels_of_items_that_are_gone_and_a_torn_line_are_said(lab: Path) -> None:
    say("9", "fail")
    with labels_path("mine").open("a") as file:
        file.write('{"id": "1", "con')
    notes = "\n".join(loaded(ROWS).notes)
    assert "not in the data: 1 (9)" in notes
    assert "last line was torn" in notes


@pytest.mark.parametrize("name", ["", "a/b", "..", "a\\b"])
def test_the_name_is_a_file_name(name: str) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.name"):
        DatasetConfig(name, "data.jsonl", JsonlReader())


def test_what_is_no_event_cannot_be_made() -> None:
    for wrong in (
        {"verdict": "good"},
        {"verdict": None},
        {"expert": ""},
        {"kind": "undo"},
        {"kind": "x"},
    ):
        with pytest.raises(ValueError, match=r"allowed|empty|undo"):
            given(**wrong)


def test_lone_surrogates_are_written_and_read(log: EventLog) -> None:
    log.append(given("\ud800x", critique="\udfff"), None)
    assert json.loads(log.path.read_text())["id"] == "\ud800x"
    assert EventLog(log.path).events == log.events
