"""judge.repair: an answer that cannot be read is asked for once more, counted, priced and kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fault_labs import ByItem, completion, item_of, lab_of, record_of, verdicts_of, words

from labs import Done, Lab, read_lines
from server import Body, ChatServer, Fault

FAIL = '{"critique": "Now in the format.", "verdict": "fail"}'
PRICE = "model.price={input: 10, output: 20, date: 2026-11-23}"
N = 12
EACH = (100 * 10 + 10 * 20) / 1e6  # USD for a call
REPAIR = ("demos=none", "judge.repair=true", PRICE)


def says(content: Any, finish: str = "stop", **message: Any) -> Fault:
    return Fault(data=completion(content, finish, **message))


# What is said first, and the reason of the abstention where it is said again.
REPAIRED = {
    "prose": (says("It fails."), "unparsable"),
    "two verdicts": (says('{"verdict": "pass"} {"verdict": "fail"}'), "unparsable"),
    "another word": (says('{"verdict": "bad"}'), "out_of_enum"),
}
AS_IT_IS = {
    "empty": (says(""), "empty"),
    "refusal": (says(None, refusal="No."), "refusal"),
    "cut": (says('{"critique": "It', "length"), "truncated"),
    "filtered": (says("", "content_filter"), "content_filter"),
    "unsure": (says('{"verdict": "unsure"}'), "unsure"),
}
NAMES = [*REPAIRED, *AS_IT_IS]
ITEM = {name: f"item-{n:03}" for n, name in enumerate(NAMES)}


def original(body: Body) -> str:
    """The judged item, also where it is asked for once more."""
    return item_of({"messages": body["messages"][:2]})


class Once(ByItem):
    """Faults for the first question about an item, and none for the repair."""

    def __call__(self, number: int, body: Body) -> Fault | None:
        return super().__call__(number, {"messages": body["messages"][:2]})


@dataclass
class Told:
    lab: Lab
    server: ChatServer
    done: Done


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    lab = lab_of(tmp_path_factory.mktemp("repair"), N)
    with ChatServer(lambda body: FAIL) as server:
        said = REPAIRED | AS_IT_IS
        server.faults = Once({ITEM[name]: [fault] for name, (fault, _) in said.items()})
        yield Told(lab, server, lab("run", *words(server, *REPAIR)))


@pytest.mark.parametrize("name", REPAIRED)
def test_what_cannot_be_read_is_asked_for_once_more(told: Told, name: str) -> None:
    first, again = [b["messages"] for b in told.server.bodies if original(b) == ITEM[name]]
    assert again[: len(first)] == first
    content = json.loads(REPAIRED[name][0].data or b"")["choices"][0]["message"]["content"]
    assert again[len(first)] == {"role": "assistant", "content": content}
    assert "could not be read" in again[len(first) + 1]["content"]
    assert len(again) == len(first) + 2
    verdict = verdicts_of(told.lab)[ITEM[name]]
    assert (verdict["verdict"], verdict["critique"]) == ("fail", "Now in the format.")


@pytest.mark.parametrize("name", AS_IT_IS)
def test_what_says_why_is_no_verdict_is_left_as_it_is(told: Told, name: str) -> None:
    assert [original(body) for body in told.server.bodies].count(ITEM[name]) == 1
    verdict = verdicts_of(told.lab)[ITEM[name]]
    assert (verdict["verdict"], verdict["reason"]) == (None, AS_IT_IS[name][1])


def test_repairs_are_counted_priced_and_kept(told: Told) -> None:
    assert told.done.code == 0, told.done.err
    calls = record_of(told.lab)["calls"]
    sent = N + len(REPAIRED)
    assert (calls["planned"], calls["repaired"]) == (N, len(REPAIRED))
    assert calls["sent"] == len(told.server.seen) == sent
    assert calls["cost_usd"] == calls["spent_usd"] == pytest.approx(sent * EACH)
    (run,) = told.lab.runs
    replies = read_lines(run / "replies.jsonl")
    kept = [row["id"] for row in replies]
    assert len({row["key"] for row in replies}) == len(kept) == sent
    assert sorted(kept, key=kept.index) == kept, "of one item together"
    assert all(kept.count(ITEM[name]) == 2 for name in REPAIRED)


def test_a_replay_gives_the_same(told: Told) -> None:
    seen = len(told.server.seen)
    again = told.lab("rerun", "latest")
    assert again.code == 0, again.err
    assert f"{N} verdicts and all scores are the same (replayed, no call sent)" in again.out
    assert len(told.server.seen) == seen


def test_it_is_asked_once_and_no_more(tmp_path: Path, server: ChatServer) -> None:
    lab = lab_of(tmp_path, N)
    server.answer = lambda body: "I would say that it fails."
    done = lab("run", *words(server, *REPAIR))
    assert done.code == 0, done.err
    calls = record_of(lab)["calls"]
    assert calls["abstained"] == {"unparsable": N}
    assert calls["repaired"] == N
    assert len(server.seen) == 2 * N


def test_without_it_nothing_is_asked_again(tmp_path: Path, server: ChatServer) -> None:
    server.answer = lambda body: "I would say that it fails."
    lab = lab_of(tmp_path, N)
    assert lab("run", *words(server, "demos=none")).code == 0
    assert len(server.seen) == N
    assert record_of(lab)["calls"]["repaired"] == 0


def test_a_repair_that_fails_is_asked_again_alone(tmp_path: Path, server: ChatServer) -> None:
    lab = lab_of(tmp_path, N)

    def down(number: int, body: Body) -> Fault | None:
        return Fault(503) if len(body["messages"]) > 2 else None

    server.answer = lambda body: FAIL if len(body["messages"]) > 2 else "Fails."
    server.faults = down
    command = ("run", *words(server, *REPAIR, "model.retries=0"))
    done = lab(*command)
    assert done.code == 3
    assert record_of(lab)["calls"]["failed"] == {"503": N}
    server.faults = {}
    server.seen.clear()
    assert lab(*command).code == 0
    assert [len(body["messages"]) for body in server.bodies] == [4] * N
    calls = record_of(lab)["calls"]
    assert (calls["answered"], calls["repaired"], calls["from_store"]) == (N, N, N)


def test_a_budget_stops_repairs_too(tmp_path: Path, server: ChatServer) -> None:
    lab = lab_of(tmp_path, N)
    server.answer = lambda body: FAIL if len(body["messages"]) > 2 else "Fails."
    command = ("run", *words(server, *REPAIR))
    done = lab(*command, "budget.calls=13")
    assert done.code == 3
    assert len(server.seen) == 13
    calls = record_of(lab)["calls"]
    assert calls["answered"] + calls["skipped"] == N
    assert calls["skipped"] > 0
    assert lab(*command).code == 0
    assert len(server.seen) == 2 * N
