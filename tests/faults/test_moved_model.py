"""Names of models move: which one answered is kept, and a change within a run is a banner."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from pathlib import Path

import pytest
from fault_labs import lab_of, record_of, words

from labs import Lab, read_lines
from server import Body, ChatServer, Fault, by_hash

ITEMS = 20
BANNER = "The name moved within this run: its scores are of no one judge"
ONE = ("demos=none", "model.concurrency=1", "model.retries=0")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return lab_of(tmp_path, ITEMS)


def stored(lab: Lab) -> Counter[str]:
    """The ids that the call store holds beside the answers."""
    with sqlite3.connect(lab.folder / ".judgelab" / "calls.db") as db:
        replies = [json.loads(reply) for (reply,) in db.execute("SELECT reply FROM calls")]
    db.close()
    return Counter(reply["model"] for reply in replies)


def test_the_id_that_the_server_reports_is_kept(lab: Lab, server: ChatServer) -> None:
    server.model = "m-2026-01-01"
    done = lab("run", *words(server, *ONE))
    assert done.code == 0, done.err
    assert "several models" not in done.err
    assert record_of(lab)["calls"]["models"] == {"m-2026-01-01": ITEMS}
    assert stored(lab) == {"m-2026-01-01": ITEMS}
    (run,) = lab.runs
    replies = read_lines(run / "replies.jsonl")
    assert {row["reply"]["model"] for row in replies} == {"m-2026-01-01"}


def test_a_change_within_a_run_is_a_banner(lab: Lab, server: ChatServer) -> None:
    def answer(body: Body) -> str:
        server.model = "m-old" if len(server.seen) <= 12 else "m-new"
        return by_hash(body)

    server.answer = answer
    done = lab("run", *words(server, *ONE))
    assert done.code == 0
    (said,) = [line for line in done.err.splitlines() if BANNER in line]
    assert "m-new (8), m-old (12)" in said
    assert record_of(lab)["calls"]["models"] == {"m-new": 8, "m-old": 12}
    assert stored(lab) == {"m-new": 8, "m-old": 12}


def test_a_change_between_a_run_and_its_completion_is_one_too(lab: Lab, server: ChatServer) -> None:
    server.model = "m-old"
    server.faults = lambda number, body: Fault(503) if number >= 5 else None
    first = lab("run", *words(server, *ONE))
    assert first.code == 3
    assert BANNER not in first.err
    server.model, server.faults = "m-new", {}
    second = lab("run", *words(server, *ONE))
    assert second.code == 0
    assert f"m-new ({ITEMS - 5}), m-old (5). {BANNER}" in second.err


def test_it_is_said_of_the_variant_it_happened_to(lab: Lab, server: ChatServer) -> None:
    """By the number of demonstrations in the prompt: one variant moves, the other does not."""

    def answer(body: Body) -> str:
        many = len(body["messages"]) > 4
        server.model = "m-new" if many and len(server.seen) % 2 else "m-old"
        return by_hash(body)

    server.answer = answer
    done = lab("run", "-m", "demos.k=1,2", "model.concurrency=1", *words(server))
    assert done.code == 0
    (said,) = [line for line in done.err.splitlines() if BANNER in line]
    assert "note k=2: the server answered with several models" in said
    assert lab.records["k=1"]["calls"]["models"] == {"m-old": ITEMS}
