"""The looks at test: written down before they are taken, counted, and paid for in the level."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from judgelab.data.looks import Look, Looks, opened, read_looks, saw, take
from judgelab.errors import ClaimError, ConfigError, DataError
from labs import at_once


def look(path: Path, variant: str, data: str, budget: int, *, run: str = "", **raised: Any) -> Look:
    """The look of one judge."""
    (found,) = take(path, {variant: run}, data, budget, **raised)
    return found


def test_looks_are_counted_and_written_down(tmp_path: Path) -> None:
    path = tmp_path / "splits" / "made.looks.jsonl"
    first = look(path, "a", "data", 3, run="0f-a-test")
    second = look(path, "b", "data", 3)
    assert (first.number, second.number) == (1, 2)
    assert str(second) == "look 2 of 3 on this test split"
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(e["number"], e["variant"], e["data"]) for e in entries] == [
        (1, "a", "data"),
        (2, "b", "data"),
    ]
    assert entries[0]["run"] == "0f-a-test"
    assert all(entry["user"] for entry in entries)
    assert all(datetime.fromisoformat(entry["at"]).utcoffset() is not None for entry in entries)


def test_the_same_look_again_is_no_new_one(tmp_path: Path) -> None:
    path = tmp_path / "looks.jsonl"
    look(path, "a", "data", 3)
    look(path, "b", "data", 3)
    before = path.read_bytes()
    assert look(path, "a", "data", 3).number == 1
    assert path.read_bytes() == before
    # Other data under the same variant is another look.
    assert look(path, "a", "grown data", 3).number == 3


def test_past_the_declared_looks_there_is_none(tmp_path: Path) -> None:
    path = tmp_path / "looks.jsonl"
    look(path, "a", "data", 2)
    look(path, "b", "data", 2)
    before = path.read_bytes()
    with pytest.raises(ClaimError, match=r"the 2 looks .* are used up") as error:
        look(path, "c", "data", 2)
    assert error.value.exit_code == 1
    assert path.read_bytes() == before
    assert look(path, "b", "data", 2).number == 2


@pytest.mark.parametrize(("budget", "level"), [(1, 0.95), (2, 0.975), (5, 0.99)])
def test_every_declared_look_is_paid_for_by_all(budget: int, level: float) -> None:
    assert Look(1, budget, "a", "data").level == pytest.approx(level)


@pytest.mark.parametrize("line", ['{"variant": "a"', "[]", '{"variant": "a"}'])
def test_a_damaged_file_is_no_empty_one(line: str, tmp_path: Path) -> None:
    path = tmp_path / "looks.jsonl"
    path.write_text(line)
    with pytest.raises(DataError, match="damaged"):
        look(path, "a", "data", 3)
    assert path.read_text() == line


def test_the_number_of_looks_is_that_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "looks.jsonl"
    look(path, "a", "data", 2)
    assert look(path, "b", "data", 9).budget == 2, "a later config declares nothing"
    with pytest.raises(ClaimError, match="the 2 looks"):
        look(path, "c", "data", 9)


def test_a_raise_is_written_down_and_reaches_every_look(tmp_path: Path) -> None:
    path = tmp_path / "looks.jsonl"
    look(path, "a", "data", 1)
    second = look(path, "b", "data", 1, raised=(4, "the rubric\nwas wrong"))
    assert (second.number, second.budget, second.level) == (2, 4, pytest.approx(0.9875))
    banner = "raised from 1 to 4: the rubric was wrong"
    assert str(second) == f"look 2 of 4 on this test split ({banner})"
    known = read_looks(path)
    assert known.budget == 4
    assert [(x.number, x.budget, x.raised) for x in known.taken] == [(1, 4, banner), (2, 4, banner)]
    assert look(path, "a", "data", 1) == known.taken[0], "reading it again is no new look"
    (entry,) = [e for e in map(json.loads, path.read_text().splitlines()) if "raised" in e]
    assert entry["user"]
    assert datetime.fromisoformat(entry["at"])


@pytest.mark.parametrize(
    ("raised", "said"),
    [((5, " \n"), "needs --reason"), ((2, "why"), "raised, from 3"), ((1, "why"), "from 3")],
)
def test_a_raise_needs_a_reason_and_goes_up(
    raised: tuple[int, str], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "looks.jsonl"
    look(path, "a", "data", 2)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=said):
        look(path, "b", "data", 2, raised=raised)
    assert path.read_bytes() == before


def test_two_processes_do_not_take_the_same_look(tmp_path: Path) -> None:
    path = tmp_path / "looks.jsonl"
    code = (
        "import sys; from pathlib import Path; from judgelab.data.looks import take\n"
        "for n in range(20): take(Path(sys.argv[1]), {f'{sys.argv[2]}{n}': ''}, 'data', 100)"
    )
    at_once(code, path)
    numbers = [json.loads(line)["number"] for line in path.read_text().splitlines()]
    assert numbers == list(range(1, 41))


def test_what_a_look_saw_is_written_down_once(tmp_path: Path) -> None:
    path = tmp_path / "looks.jsonl"
    first = look(path, "a", "data", 2)
    for _ in range(2):
        saw(path, first, {"kappa": 0.4, "precision_fail": None}, "0f-a-test")
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    assert [entry.get("seen_by") for entry in entries] == [None, 1]
    assert entries[1]["metrics"] == {"kappa": 0.4, "precision_fail": None}
    assert entries[1]["user"]
    assert datetime.fromisoformat(entries[1]["at"])
    assert look(path, "b", "data", 2).number == 2, "what was seen is no look"
    assert len(read_looks(path).taken) == 2


def test_what_is_opened_is_the_ids_texts_and_labels() -> None:
    labels, content = {"a": "pass", "b": "fail"}, {"a": "1", "b": "2"}
    seen = opened(labels, content)
    assert opened(dict(reversed(labels.items())), content | {"c": "3"}) == seen
    assert opened(labels | {"a": "fail"}, content) != seen
    assert opened(labels, content | {"b": "3"}) != seen
    assert opened({"a": "pass"}, content) != seen


def test_before_the_first_look_nothing_is_declared(tmp_path: Path) -> None:
    assert read_looks(tmp_path / "none.jsonl") == Looks((), None)
