"""`judgelab review` as it is typed: what it says, who labels, and what its labels become."""

from __future__ import annotations

import re
import signal
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from judgelab.data.annotations import ExpertLabel
from judgelab.data.events import EventLog, Given
from judgelab.data.readers.jsonl import JsonlReader
from judgelab.data.schema import DatasetConfig, load
from judgelab.types import Interaction
from labs import Lab, rows, write_rows

OWN = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    write_rows(tmp_path / "data.jsonl", [row | {"annotator": "ann"} for row in rows(6)])
    return Lab(tmp_path)


def said(lab: Lab, expert: str) -> None:
    log = EventLog(lab.folder / "labels" / "own.jsonl")
    content = Interaction("", rows(6)[1]["input"], rows(6)[1]["output"]).content
    log.append(Given(id="item-001", content=content, expert=expert, verdict="fail"), None)


MISTAKES = {
    "queue": (("--queue", "best"), "--queue best: there are unlabelled, stratified, causes, dis"),
    "queue of a run": (("--queue", "reasons"), "--queue reasons is about .* --run RUN says which"),
    "run": (("--run", "nope"), "RUN=nope: there are no runs"),
    "second labels of nothing": (("dataset.columns.label=null", "--again", "4"), "no item has a"),
    "queue that takes words": (("--queue", "search"), "there are unlabelled"),
    "open": (("--host", "0.0.0.0"), "export JUDGELAB_REVIEW_TOKEN="),
    "host": (("--host", "nowhere.invalid"), "JUDGELAB_REVIEW_TOKEN"),
    "link": (("+dataset.links.crm='javascript:x'",), r"dataset\.links\.crm"),
    "rubric": (("judge.rubric=nope",), "prompts/rubrics/nope"),
    "no model is needed, data is": (("dataset.path=gone.jsonl",), "gone.jsonl"),
}


@pytest.mark.parametrize(("words", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_message(lab: Lab, words: tuple[str, ...], message: str) -> None:
    done = lab("review", *OWN, *words)
    assert (done.code, done.out) == (2, "")
    assert re.search(message, done.message)
    assert not (lab.folder / "labels").exists()


def test_of_two_people_somebody_decides(lab: Lab) -> None:
    write_rows(lab.folder / "data.jsonl", [{"id": "a", "input": "x", "output": "y"}])
    said(lab, "bob")
    done = lab("review", *OWN, "--expert", "ann")
    assert done.code == 2
    assert "'ann', 'bob' labelled. Say whose label decides: dataset.expert=NAME" in done.message


def test_a_damaged_file_is_said_with_its_line(lab: Lab) -> None:
    lab.write("labels/own.jsonl", "{}\n{}\n")
    done = lab("review", *OWN)
    assert done.code == 2
    assert "own.jsonl, line 1" in done.message


def test_what_is_labelled_in_a_browser_is_what_the_data_says(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = lab.start("review", *OWN)
    assert running.stdout
    assert running.stderr
    link = running.stdout.readline().strip()
    try:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", link), running.stderr.read()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{link}item?id=item-001", timeout=20) as answer:
            assert "item-001" in answer.read().decode()
            assert answer.headers["server"] is None
        form = {"id": "item-001", "verdict": "fail", "critique": "no", "head": ""}
        body = urllib.parse.urlencode(form).encode()
        headers = {"Origin": link.rstrip("/")}
        with opener.open(urllib.request.Request(f"{link}label", body, headers), timeout=20) as done:
            assert "Saved" in done.read().decode()
    finally:
        running.send_signal(signal.SIGTERM)
        out, err = running.communicate(timeout=20)
    assert running.returncode == 0
    assert out == ""
    assert "6 of 6 items are labelled by ann; labels go to labels/own.jsonl" in err
    assert "Traceback" not in err
    (event,) = EventLog(lab.folder / "labels" / "own.jsonl").events
    assert (event.expert, event.id, event.critique) == ("ann", "item-001", "no")
    assert len(event.rubric or "") == 64
    monkeypatch.setenv("JUDGELAB_HOME", str(lab.folder))
    dataset = load(DatasetConfig("own", "data.jsonl", JsonlReader()))
    assert dataset.labels["item-001"] == ExpertLabel("fail", "no", "ann")
