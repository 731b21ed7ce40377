"""A call store that was damaged, and a clock that jumps."""

from __future__ import annotations

import random
import sqlite3
import time
from pathlib import Path

import pytest
from fault_labs import item_of, lab_of, outcome, record_of, words

from judgelab.calls import store as stores
from labs import Lab
from server import Body, ChatServer, Fault

ITEMS = 20


@pytest.fixture
def lab(tmp_path: Path, server: ChatServer) -> Lab:
    """A lab with a run, all of whose answers are in the call store."""
    made = lab_of(tmp_path, ITEMS)
    assert made("run", *words(server, "demos=none")).code == 0
    server.seen.clear()
    return made


def store_of(lab: Lab) -> Path:
    return lab.folder / ".judgelab" / "calls.db"


def again(server: ChatServer) -> tuple[str, ...]:
    """Another run, of the same answers."""
    return ("run", *words(server, "demos=none", "scores.policy=exclude"))


DAMAGES = {
    "a letter": "replace(reply, 'verdict', 'vexdict')",
    "the verdict": "iif(instr(reply, 'pass'), replace(reply, 'pass', 'fail'), "
    "replace(reply, 'fail', 'pass'))",
    "no UTF-8": "CAST(x'7bff00fe' AS TEXT)",
    "a blob": "x'00ff'",
    "nothing": "''",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_answers_are_set_aside_told_and_asked_again(
    lab: Lab, server: ChatServer, damage: str
) -> None:
    with sqlite3.connect(store_of(lab)) as db:
        db.execute(f"UPDATE calls SET reply={damage} WHERE id IN (3, 7)")
    db.close()
    (before,) = [(path / "verdicts.jsonl").read_bytes() for path in lab.runs]
    done = lab(*again(server))
    assert done.code == 0, done.err
    assert "note 2 damaged answers in the call store were set aside and asked again" in done.err
    assert len(server.seen) == len({item_of(body) for body in server.bodies}) == 2
    assert {(path / "verdicts.jsonl").read_bytes() for path in lab.runs} == {before}
    with sqlite3.connect(store_of(lab)) as db:
        assert db.execute("SELECT count(*) FROM quarantine").fetchone() == (2,)
        assert db.execute("SELECT count(*) FROM calls").fetchone() == (ITEMS,)
    db.close()
    later = lab("run", *words(server, "demos=none", "scores.policy=as_fail"))
    assert later.code == 0
    assert "damaged" not in later.err
    assert len(server.seen) == 2


@pytest.mark.parametrize("axes", [(), ("-m", "judge.reasoning=critique,cot")], ids=["run", "sweep"])
def test_a_file_that_is_damaged_beyond_its_rows_says_what_to_do(
    lab: Lab, server: ChatServer, axes: tuple[str, ...]
) -> None:
    path = store_of(lab)
    data = bytearray(path.read_bytes())
    data[4096:] = random.Random(1).randbytes(len(data) - 4096)  # the first page is the schema
    path.write_bytes(data)
    done = lab(*again(server), *axes)
    assert done.code == 2, done.err
    assert f"{path} cannot be opened as a call store" in done.message.replace("\n", "")
    assert "Move it away to start a new one" in done.message
    assert path.read_bytes()[4096:] == data[4096:], "it is left for who can mend it"
    path.rename(path.with_name("damaged.db"))
    assert lab(*again(server), *axes).code == 0


def test_a_store_of_a_later_version_is_left_alone(lab: Lab, server: ChatServer) -> None:
    with sqlite3.connect(store_of(lab)) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    before = store_of(lab).read_bytes()
    done = lab(*again(server))
    assert done.code == 2
    assert "schema version 99; this judgelab reads" in done.message
    assert "Update judgelab" in done.message
    assert server.seen == []
    assert store_of(lab).read_bytes() == before


def test_a_store_of_an_earlier_version_is_brought_up_with_a_backup(
    lab: Lab, server: ChatServer
) -> None:
    old = lab.folder / "old.db"
    with sqlite3.connect(store_of(lab)) as db:
        rows = db.execute("SELECT key, endpoint, url, model, reply, at FROM calls").fetchall()
    db.close()
    with sqlite3.connect(old) as db:
        db.execute("CREATE TABLE calls (key TEXT PRIMARY KEY, endpoint, url, model, reply, at)")
        db.executemany("INSERT INTO calls VALUES (?,?,?,?,?,?)", rows)
        db.execute("PRAGMA user_version=1")
    db.close()
    for path in store_of(lab).parent.glob("calls.db*"):
        path.unlink()
    old.rename(store_of(lab))
    done = lab(*again(server))
    assert done.code == 0, done.err
    assert server.seen == [], "what was paid for is found"
    assert store_of(lab).with_name("calls.db.v1").exists()


def test_a_store_without_space_for_its_tables_is_not_called_damaged(
    tmp_path: Path, server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = stores._connect

    def full(path: Path) -> sqlite3.Connection:
        db = connect(path)
        db.execute("PRAGMA max_page_count=1")
        return db

    lab = lab_of(tmp_path, ITEMS)
    with monkeypatch.context() as patch:
        patch.setattr(stores, "_connect", full)
        done = lab("run", *words(server, "demos=none"))
    assert done.code == 3
    assert "database or disk is full. Give it space." in done.message
    assert server.seen == []
    assert lab("run", *words(server, "demos=none")).code == 0


def test_no_wait_and_no_limit_looks_at_a_clock_that_jumps(
    lab: Lab, server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time of day moves by up to two days between any two looks at it."""
    real, rng = time.time, random.Random(5)
    monkeypatch.setattr(time, "time", lambda: real() + rng.uniform(-2, 2) * 86_400)
    monkeypatch.setattr("judgelab.calls.pool.BACKOFF", 0.001)
    monkeypatch.setattr("judgelab.calls.limits.MINUTE", 0.4)
    faults = [
        Fault(429, headers={"Retry-After": "0.2"}),
        Fault(503),
        Fault(hang=True),
        Fault(cut=True),
    ]
    broken = set[str]()

    def once(number: int, body: Body) -> Fault | None:
        item = item_of(body)
        if number % 5 or item in broken or not faults:
            return None
        broken.add(item)
        return faults.pop(0)

    server.faults = once
    rough = lab_of(lab.folder / "rough", ITEMS)
    limits = ("model.requests_per_minute=10", "model.timeout=1.5", "model.concurrency=4")
    done = rough("run", *words(server, "demos=none", *limits))
    assert done.code == 0, done.err
    assert faults == []
    assert record_of(rough)["calls"]["answered"] == ITEMS
    assert outcome(rough) == outcome(lab)
    sent = [one.at for one in server.seen]
    for n, at in enumerate(sent):
        # Those of a window; it is looked at from the server, which sees them a little later.
        assert sum(at <= other < at + 0.2 for other in sent[n:]) <= 10
