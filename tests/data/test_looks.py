"""The looks at test: written down before they are taken, counted, and paid for in the level."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from judgelab.data.looks import Look, look
from judgelab.errors import ClaimError, DataError


def test_looks_are_counted_and_written_down(tmp_path: Path) -> None:
    path = tmp_path / "splits" / "made.looks.jsonl"
    first = look(path, "a", "data", 3)
    second = look(path, "b", "data", 3)
    assert (first.number, second.number) == (1, 2)
    assert str(second) == "look 2 of 3 on this test split"
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(e["number"], e["variant"], e["data"]) for e in entries] == [
        (1, "a", "data"),
        (2, "b", "data"),
    ]
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
