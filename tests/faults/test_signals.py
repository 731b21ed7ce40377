"""Ctrl-C and SIGTERM: what is on its way is kept, nothing more is sent, and it goes on later."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread

import pytest
from fault_labs import asked, lab_of, outcome, record_of, words

from labs import Done, Lab
from server import ChatServer, Fault

SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}
ITEMS = 30
FOUR = ("demos=none", "model.concurrency=4", "model.retries=0")


@pytest.fixture
def gate(server: ChatServer) -> Iterator[Event]:
    """Holds back every answer."""
    server.gate = Event()
    yield server.gate
    server.gate.set()


def wait_for(something: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    until = time.monotonic() + 60
    while not something():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.005)


def stop(process: subprocess.Popen[str], number: int) -> list[str]:
    """Send a signal and wait until it is heard; what was said until then."""
    assert process.stderr
    process.send_signal(number)
    said = []
    while not said or not said[-1].startswith("note stopping:"):
        said.append(process.stderr.readline())
        assert said[-1], said
    return said


def ended(process: subprocess.Popen[str]) -> str:
    """The rest of what it says; it has to end by itself."""
    assert process.stderr
    assert process.stdout
    said = process.stderr.read()
    assert process.stdout.read() == "", "no table of half a run"
    process.wait(timeout=20)
    process.stderr.close()
    process.stdout.close()
    assert "Traceback" not in said
    return said


def kept(lab: Lab) -> int:
    with sqlite3.connect(lab.folder / ".judgelab" / "calls.db") as store:
        n: int = store.execute("SELECT count(*) FROM calls").fetchone()[0]
    store.close()
    return n


@pytest.mark.parametrize("number", SIGNALS, ids=["SIGINT", "SIGTERM"])
def test_answers_on_their_way_are_kept_and_nothing_more_is_sent(
    tmp_path: Path, server: ChatServer, gate: Event, number: int
) -> None:
    lab = lab_of(tmp_path, ITEMS)
    command = ("run", *words(server, *FOUR))
    process = lab.start(*command)
    wait_for(lambda: server.in_flight == 4, process)
    assert "4 calls on their way" in stop(process, number)[-1]
    gate.set()
    said = ended(process)
    assert process.returncode == SIGNALS[signal.Signals(number)], said
    assert len(server.seen) == kept(lab) == 4
    assert f"{ITEMS} planned = 4 answered" in said
    assert f"{ITEMS - 4} not come to" in said
    assert re.search(r"judgelab: interrupted\. .*; go on with: judgelab run model=", said)
    calls = record_of(lab)["calls"]
    assert (calls["answered"], calls["pending"], calls["failed"]) == (4, ITEMS - 4, {})

    done = lab(*command)
    assert done.code == 0, done.err
    assert "on their way" not in done.err, "nothing was lost"
    assert set(asked(server).values()) == {1}
    calm = lab_of(tmp_path / "calm", ITEMS)
    assert calm(*command).code == 0
    assert outcome(lab) == outcome(calm)


def test_a_second_signal_ends_at_once_and_the_loss_is_told(
    tmp_path: Path, server: ChatServer, gate: Event
) -> None:
    lab = lab_of(tmp_path, ITEMS)
    command = ("run", *words(server, *FOUR))
    process = lab.start(*command)
    wait_for(lambda: server.in_flight == 4, process)
    stop(process, signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    said = ended(process)  # while the server still holds its answers
    assert process.returncode in SIGNALS.values()
    assert "planned" not in said, "it did not wait for the end of the calls"
    assert "judgelab: interrupted. What is answered is kept; go on with: judgelab run" in said
    gate.set()
    done = lab(*command)
    assert done.code == 0
    assert "note 4 calls were on their way when an earlier run was ended" in done.err
    assert len(server.seen) == ITEMS + 4


def test_a_look_at_test_is_drained_and_goes_on_as_the_same_look(
    tmp_path: Path, server: ChatServer, gate: Event
) -> None:
    lab = lab_of(tmp_path, 130)
    gate.set()
    assert lab("run", *words(server, *FOUR, "limit=5")).code == 0
    server.seen.clear()
    gate.clear()
    process = lab.start("holdout", "latest")
    wait_for(lambda: server.in_flight == 4, process)
    stop(process, signal.SIGINT)
    gate.set()
    said = ended(process)
    assert process.returncode == 130
    assert "judgelab: interrupted. What is answered is kept; go on with: judgelab holdout" in said
    assert len(server.seen) == 4
    dev = next(p.name for p in lab.runs if p.name.endswith("dev"))
    done = lab("holdout", dev)
    assert done.code == 0, done.err
    assert "look 1 of 3" in done.err
    assert len(server.seen) == len({str(body["messages"]) for body in server.bodies})
    (looks,) = lab.folder.glob("splits/*.looks.jsonl")
    assert looks.read_text().count('"variant"') == 1


def interrupted(lab: Lab, command: tuple[str, ...], server: ChatServer) -> Done:
    """The command in this process, which gets SIGINT once four calls are on their way."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def stop_this() -> None:
        wait_for(lambda: server.in_flight == 4)
        os.kill(os.getpid(), signal.SIGINT)

    stopper = Thread(target=stop_this)
    stopper.start()
    try:
        return lab(*command)
    finally:
        stopper.join()
        signal.signal(signal.SIGINT, before)


def test_what_does_not_come_is_not_waited_for_for_ever(
    tmp_path: Path, server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("judgelab.calls.pool.DRAIN", 0.1)
    server.faults = lambda number, body: Fault(hang=True)
    lab = lab_of(tmp_path, ITEMS)
    command = ("run", *words(server, *FOUR))
    done = interrupted(lab, command, server)
    assert done.code == 130
    assert "0 failed" in done.err
    assert record_of(lab)["calls"]["pending"] == ITEMS
    server.faults = {}
    again = lab(*command)
    assert again.code == 0
    assert "note 4 calls were on their way" in again.err


def test_who_waits_for_another_try_is_not_waited_for(tmp_path: Path, server: ChatServer) -> None:
    server.faults = lambda number, body: Fault(429, headers={"Retry-After": "59"})
    lab = lab_of(tmp_path, ITEMS)
    process = lab.start("run", *words(server, "demos=none", "model.concurrency=4"))
    wait_for(lambda: len(server.seen) == 4 and server.in_flight == 0, process)
    stop(process, signal.SIGTERM)
    said = ended(process)
    assert process.returncode == 143
    assert f"{ITEMS} not come to" in said
    assert record_of(lab)["calls"]["failed"] == {}
