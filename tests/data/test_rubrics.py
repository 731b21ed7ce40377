"""The history of a rubric: versions, proposals, the file itself, and what was labelled before."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from judgelab import prompts, resources
from judgelab.data import numbered, rubrics
from judgelab.data.annotations import ExpertLabel
from judgelab.data.events import EventLog, Given
from judgelab.data.rubrics import MovedError, RubricLog, rubrics_path
from judgelab.data.schema import Dataset
from judgelab.data.seen import Before, in_words, labelled_before, parts_of
from judgelab.data.split import SplitConfig, make_split
from judgelab.errors import ConfigError, DataError
from judgelab.types import Interaction, sha256
from labs import at_once, read_lines

OLD = "An answer passes when it names its source."
NEW = "An answer passes when it names its source and the day."


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RubricLog:
    monkeypatch.setenv("JUDGELAB_HOME", str(tmp_path))
    own = tmp_path / "prompts" / "rubrics" / "mine.md"
    own.parent.mkdir(parents=True)
    own.write_text(f"{OLD}\n")
    return RubricLog(rubrics_path("data"), "mine")


def propose(log: RubricLog, text: str = NEW, **more: Any) -> int:
    given = {"by": "bob", "why": "days are missing", "base": log.now, **more}
    return log.propose(text, **given).sequence


def test_what_is_accepted_is_in_the_file_and_a_version(log: RubricLog) -> None:
    number = propose(log, remarks=["abc"])
    assert log.text == OLD, "a proposal is in force only once it is accepted"
    assert [one.sequence for one in log.open] == [number]
    version = log.accept(number, by="ann", onto=log.now, why="yes")
    assert log.file.read_text() == f"{NEW}\n"
    assert (version.text, version.hash, version.by) == (NEW, sha256(NEW), "ann")
    assert version.hash == log.now == sha256(prompts.rubric("mine")), "as label events hold it"
    assert log.open == []
    rows = read_lines(log.path)
    assert [row["kind"] for row in rows] == ["version", "proposal", "accepted", "version"]
    assert [row["sequence"] for row in rows] == [1, 2, 3, 4]
    assert rows[0]["why"] == rubrics.FIRST
    assert rows[1]["base"] == rows[0]["hash"] == sha256(OLD)
    assert rows[1]["remarks"] == ["abc"]
    assert rows[3]["why"] == "days are missing · yes"
    assert list(log.file.parent.iterdir()) == [log.file], "nothing is left beside it"
    again = RubricLog(log.path, "mine")
    assert again.entries == log.entries


def test_a_shipped_rubric_becomes_the_labs_own(log: RubricLog, tmp_path: Path) -> None:
    log = RubricLog(log.path, "generic")
    shipped = resources.find("generic", "prompts/rubrics", ".md")
    before = shipped.read_text()
    log.accept(propose(log), by="ann", onto=log.now)
    assert (tmp_path / "prompts" / "rubrics" / "generic.md").read_text() == f"{NEW}\n"
    assert shipped.read_text() == before
    assert prompts.rubric("generic") == NEW
    assert RubricLog(log.path, "mine").entries == [], "each rubric has its own history"


def test_an_edit_by_hand_is_a_version_before_anything_else(log: RubricLog) -> None:
    number, seen = propose(log), log.now
    log.file.write_text("By hand.\n")
    with pytest.raises(MovedError, match="look at the difference"):
        log.accept(number, by="ann", onto=seen)
    assert log.file.read_text() == "By hand.\n"
    assert [one.why for one in log.versions] == [rubrics.FIRST, rubrics.BY_HAND]
    assert [one.sequence for one in log.open] == [number]
    log.accept(number, by="ann", onto=log.now)
    assert [one.text for one in log.versions] == [OLD, "By hand.", NEW]


def test_an_edited_proposal_is_what_is_accepted(log: RubricLog) -> None:
    version = log.accept(propose(log), by="ann", onto=log.now, text=f"{NEW} Or the week.\r\n")
    assert version.text == log.text == f"{NEW} Or the week."


def test_what_is_decided_is_decided_once(log: RubricLog) -> None:
    number = propose(log)
    log.decline(number, by="ann", why="it is too strict")
    for decide in (
        lambda: log.accept(number, by="ann", onto=log.now),
        lambda: log.decline(number, by="ann", why="x"),
        lambda: log.decline(99, by="ann", why="x"),
    ):
        with pytest.raises(MovedError, match="not open any more"):
            decide()
    assert log.text == OLD


def test_a_proposal_changes_something_that_nobody_has_proposed(log: RubricLog) -> None:
    propose(log)
    for text, why in ((f" {OLD}\n", "as it is"), (NEW, "proposed already"), (" ", "empty")):
        with pytest.raises(ValueError, match=why):
            propose(log, text)
    other = propose(log, "Another.")
    log.file.write_text("Another.")
    with pytest.raises(MovedError, match="as it is"):
        log.accept(other, by="ann", onto=log.now)


@pytest.mark.parametrize("fails", ["write_whole", "sync_folder"])
@pytest.mark.parametrize("shipped", [False, True])
def test_what_cannot_be_kept_changes_nothing(
    log: RubricLog, monkeypatch: pytest.MonkeyPatch, fails: str, shipped: bool
) -> None:
    if shipped:
        log = RubricLog(log.path, "generic")
    before, number = log.text, propose(log)
    lines = log.path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(numbered if fails == "write_whole" else rubrics, fails, full)
    with pytest.raises(OSError, match="No space"):
        log.accept(number, by="ann", onto=log.now)
    monkeypatch.undo()
    monkeypatch.setenv("JUDGELAB_HOME", str(log.path.parents[1]))
    log.refresh()
    assert log.text == before
    assert log.path.read_bytes() == lines
    assert [one.sequence for one in log.open] == [number]
    assert log.file.exists() != shipped
    assert not list(log.file.parent.glob(".*"))


def test_a_torn_line_is_not_there_and_a_damaged_one_is_said(log: RubricLog) -> None:
    propose(log)
    whole = log.path.read_bytes()
    log.path.write_bytes(whole + b'{"sequence": 3, "ki')
    log.refresh()
    assert len(log.entries) == 2
    propose(log, "Another.")
    assert len(read_lines(log.path)) == 3
    rows = read_lines(log.path)
    for odd in (
        rows[0] | {"kind": "edict"},
        rows[0] | {"sequence": 7},
        rows[0] | {"text": 1},
        rows[1] | {"remarks": [1]},
        rows[1] | {"hash": ""},
        [],
    ):
        log.path.write_text(f"{json.dumps(odd)}\n")
        with pytest.raises(DataError, match=r"data\.rubric\.jsonl, line 1"):
            log.refresh()


def test_a_name_is_one_of_a_rubric(log: RubricLog) -> None:
    for name in ("../mine", "/etc/mine", "a/../../mine"):
        with pytest.raises(ConfigError, match=r"judge\.rubric="):
            RubricLog(log.path, name)
    log.file.write_bytes(b"caf\xe9")
    with pytest.raises(DataError, match="not UTF-8"):
        _ = log.now


WRITER = """
import os, sys
from pathlib import Path
os.environ["JUDGELAB_HOME"] = str(Path(sys.argv[1]))
from judgelab.data.rubrics import RubricLog, rubrics_path
log = RubricLog(rubrics_path("data"), "mine")
for n in range(15):
    log.propose(f"{sys.argv[2]} {n}", by=sys.argv[2], why="x", base=log.now)
"""


def test_two_processes_lose_nothing(log: RubricLog, tmp_path: Path) -> None:
    at_once(WRITER, tmp_path)
    log.refresh()
    assert {one.text for one in log.open} == {f"{name} {n}" for name in "ab" for n in range(15)}


# --- what was labelled before


def items(n: int) -> list[Interaction]:
    return [Interaction(f"i{k}", f"Ask {k}", f"Say {k}") for k in range(n)]


def test_labels_are_counted_by_part_and_rubric(tmp_path: Path) -> None:
    events = EventLog(tmp_path / "labels.jsonl")
    all_of_them = items(6)
    content = {one.id: one.content for one in all_of_them}

    def label(id_: str, rubric: str | None, expert: str = "ann", **more: str) -> None:
        given = Given(
            **({"content": content[id_]} | more),
            id=id_,
            expert=expert,
            verdict="pass",
            rubric=rubric,
        )
        events.append(given, events.chain(given.key).head)

    label("i0", "old")
    label("i1", "old")
    label("i1", "new")  # seen before, whatever was said later
    label("i2", "new")
    label("i3", None)
    label("i4", "new")
    label("i4", "old", content="of other texts")
    label("i4", "old", expert="bob")
    parts = {"i0": "test", "i1": "test", "i2": "test", "i3": "dev", "i4": "dev"}
    found = labelled_before(content, events, content, parts, "new", "ann")
    assert found == [
        Before("dev", 2, 0, 1),
        Before("test", 3, 2, 0),
        Before("not assigned", 1, 0, 1),
    ]
    rounds = labelled_before(content, events, content, parts, "new", "ann", {"i2", "i3"})
    assert rounds[:2] == [Before("dev", 2, 1, 0), Before("test", 3, 3, 0)], "as a round froze them"
    said = in_words(found)
    assert "2 of 6 (dev 0 of 2, test 2 of 3, not assigned 0 of 1); of 2 it is not known" in said
    assert "The 2 of test were in sight" in said
    assert in_words(labelled_before(["i5"], events, content, parts, "new")) == ""
    assert "of test" not in in_words(
        labelled_before(["i2", "i4"], events, content, parts, "new", "ann")
    )


def test_parts_are_those_of_the_split_and_nobody_is_assigned(tmp_path: Path) -> None:
    some = items(130)
    config = SplitConfig("s")
    assert parts_of(some, config, tmp_path) == {}
    assert os.listdir(tmp_path) == []
    labels = {
        one.id: ExpertLabel("fail" if n % 3 else "pass", "", "ann")
        for n, one in enumerate(some[:120])
    }
    split = make_split(Dataset("d", tuple(some), labels), config, tmp_path)
    found = parts_of(some, config, tmp_path)
    assert found == {id_: place.part for id_, place in split.places.items()}
    assert set(found.values()) == {"train", "dev", "test"}
