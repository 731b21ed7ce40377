"""What `judgelab round` prints as next, typed as it stands, opens the room that it promises."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from expert_labs import WORDS, ExpertLab

from judgelab.review import serve
from judgelab.review.queues import QUEUES
from judgelab.review.room import Room


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> ExpertLab:
    made = ExpertLab(tmp_path_factory.mktemp("next"))
    made.label(list(made.rows)[:40])
    return made


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Room, str]]:
    """The room and the link of each review, which ends at once."""
    found: list[tuple[Room, str]] = []

    def served(room: Room, at: serve.Place) -> None:
        at.listening.close()
        found.append((room, at.link))

    monkeypatch.setattr(serve, "serve", served)
    return found


def steps(err: str) -> dict[str, str]:
    """The commands after `next`, by what stands before them."""
    lines = [line.removeprefix("next ") for line in err.splitlines() if line.startswith("next ")]
    found = (line.partition(": judgelab ") for line in lines)
    return {what: f"judgelab {command}" for what, _, command in found if command}


def test_each_step_opens_what_it_says(lab: ExpertLab, opened: list[Any]) -> None:
    done = lab.close("split.name=ours", "judge.rubric=from_critiques")
    assert done.code == 0, done.err
    found = steps(done.err)
    searched = found["find fails"].partition(", and search there for ")[2].split(", then ")
    ends = {
        "find fails": "/",
        "fill thin cells": "/item?queue=stratified",
        "look at the disagreements": "/item?queue=disagreements",
        "label some again, blind, a day later": "/item?queue=unlabelled",
    }
    assert found.keys() == {*ends, "then close the next round"}
    for what, end in ends.items():
        command, _, _ = found[what].partition(", and search")
        reviewed = lab(*shlex.split(command)[1:])
        assert reviewed.code == 0, (what, reviewed.err)
        room, link = opened[-1]
        assert link.endswith(end), what
        assert room.book is not None
        assert {*room.book.parts().values()} == {"cv"}, "the split that the round made"
        if end != "/":
            queue = QUEUES[end.partition("=")[2]]
            assert next(queue.still_open(room, queue.order(room, "")), None), what
    again, _ = opened[-1]
    first = lab.about(1)["result"]
    wrong = {*first["disagreements"]["missed_failures"], *first["disagreements"]["false_alarms"]}
    assert again.again
    assert not again.labelled
    assert 2 * len(wrong & again.items.keys()) == len(again.items)
    assert f"{len(again.items)} of these were labelled less than a day ago" in reviewed.err
    assert len(searched) > 1
    for value in searched:
        assert QUEUES["search"].order(opened[0][0], value), value
    closed = lab(*shlex.split(found["then close the next round"])[1:])
    assert closed.code == 0, closed.err
    assert "shown again" in closed.err


def test_a_recipe_goes_along(lab: ExpertLab, opened: list[Any]) -> None:
    lab.write(
        "experiments/ours.yaml",
        "defaults:\n  - override /dataset: jsonl\n"
        "dataset: {name: mine, path: items.jsonl}\njudge: {rubric: generic}\n",
    )
    done = lab("round", "experiment=ours", WORDS[-1], "tracking=none")
    assert done.code == 0, done.err
    command = steps(done.err)["fill thin cells"]
    assert "experiment=ours" in command
    assert lab(*shlex.split(command)[1:]).code == 0
    assert opened[-1][0].items.keys() == lab.rows.keys()
