"""A disk without space: nothing more is sent, old files stay whole, and it goes on later."""

from __future__ import annotations

import errno
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fault_labs import asked, lab_of, outcome, record_of, words

from judgelab.calls import store as stores
from judgelab.calls.store import CallStore
from judgelab.tracking import folder as folders
from labs import Lab, read_lines
from server import Body, ChatServer, by_hash

ITEMS = 40


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "TRIES", (0.001, 0.001))


def limit_store(pages: int, patch: pytest.MonkeyPatch) -> None:
    """The call store gets so many pages more, and then SQLite says that the disk is full."""
    made = CallStore.__init__

    def init(store: CallStore, path: Path) -> None:
        made(store, path)
        now = store._write.execute("PRAGMA page_count").fetchone()[0]
        store._write.execute(f"PRAGMA max_page_count={now + pages}")

    patch.setattr(CallStore, "__init__", init)


def long(body: Body) -> str:
    """Answers that fill a page each."""
    return by_hash(body).replace("Because", "Because " * 500)


@pytest.mark.parametrize("axes", [(), ("-m", "demos.show=critique,label")], ids=["run", "sweep"])
def test_a_full_call_store_stops_everything_and_is_said_once(
    tmp_path: Path, server: ChatServer, axes: tuple[str, ...]
) -> None:
    server.answer = long
    lab = lab_of(tmp_path, ITEMS)
    command = ("run", *axes, *words(server, "demos.k=2", "model.concurrency=4"))
    with pytest.MonkeyPatch.context() as patch:
        limit_store(10, patch)
        done = lab(*command)
    assert done.code == 3, done.err
    assert "answers could not be written to" in done.message
    assert "database or disk is full" in done.message
    assert "Give it space" in done.message
    assert "go on with: judgelab run" in done.message
    assert done.message.count("could not be written") == 1
    sent, runs = len(server.seen), 1 + len(axes) // 2
    records = [record["calls"] for record in lab.records.values()]
    answered = sum(calls["answered"] for calls in records)
    assert answered > 0
    # What was on its way, or waited for the commit that failed, and nothing after it.
    assert answered < sent <= answered + 2 * 4 + 8
    assert sum(calls["failed"]["call store"] for calls in records) == runs * ITEMS - answered

    server.seen.clear()
    again = lab(*command)
    assert again.code == 0, again.err
    assert len(server.seen) == runs * ITEMS - answered, "what was kept is not asked again"
    assert f"note {sent - answered} calls were on their way" in again.err
    assert sum(record["calls"]["answered"] for record in lab.records.values()) == runs * ITEMS


def test_answers_wait_for_space(
    tmp_path: Path, server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full for a moment: nothing is lost, and nothing is sent meanwhile."""
    monkeypatch.setattr(stores, "TRIES", (0.001,) * 20)
    server.answer = long
    commit, tries, sent = CallStore._commit, list[int](), list[int]()

    def full_at_first(store: CallStore, batch: list[tuple[str, ...]]) -> None:
        tries.append(len(batch))
        sent.append(len(server.seen))
        if len(tries) < 10:
            store._write.execute("PRAGMA max_page_count=1")
        else:
            store._write.execute("PRAGMA max_page_count=100000")
        commit(store, batch)

    monkeypatch.setattr(CallStore, "_commit", full_at_first)
    lab = lab_of(tmp_path, ITEMS)
    done = lab("run", *words(server, "demos=none", "model.concurrency=4"))
    assert done.code == 0, done.err
    assert len(server.seen) == ITEMS
    assert record_of(lab)["calls"]["answered"] == ITEMS
    assert len(set(tries[:10])) == 1, "the same answers are tried again"
    assert sent[9] <= sent[1] + 4


@pytest.fixture
def calm(tmp_path: Path, server: ChatServer) -> Lab:
    """A lab that nothing happens to."""
    lab = lab_of(tmp_path / "calm", ITEMS)
    assert lab("run", *words(server, "demos=none")).code == 0
    server.seen.clear()
    return lab


class Full:
    """`os`, whose fsync finds no space the n-th time."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.synced = 0

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    def fsync(self, file: int) -> None:
        self.synced += 1
        if self.synced == self.n:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file)


def test_whichever_file_of_a_run_has_no_space_the_same_command_makes_it_whole(
    tmp_path: Path, server: ChatServer, calm: Lab
) -> None:
    lab = lab_of(tmp_path, ITEMS)
    command = ("run", *words(server, "demos=none"))
    (whole,) = calm.runs
    failed = 0
    while True:
        shutil.rmtree(lab.folder / "runs", ignore_errors=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(folders, "os", Full(failed + 1))
            done = lab(*command)
        if done.code == 0:
            break
        failed += 1
        assert done.code == 3, done.err
        assert "No space left on device. Give it space. What is answered is kept" in done.message
        assert "go on with: judgelab run model=openai_compatible" in done.message
        for path in lab.folder.glob("runs/*/*"):
            same = path.name in ("record.json", "config.yaml")  # a port, a time
            assert same or path.read_bytes() == (whole / path.name).read_bytes()
        assert not list(lab.folder.glob("runs/*/.*")), "what was half written is gone"
        again = lab(*command)
        assert again.code == 0, again.err
        assert outcome(lab) == outcome(calm)
    assert failed == len(list(whole.iterdir())) == 8
    assert set(asked(server).values()) == {1}, "all is in the call store"


def test_a_sweep_without_space_is_incomplete_and_no_mistake(
    tmp_path: Path, server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One variant finds no space for its record; the other keeps what it asked."""
    lab = lab_of(tmp_path, ITEMS)
    command = ("run", "-m", *words(server, "demos.k=1,2"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folders, "os", Full(4))
        done = lab(*command)
    assert done.code == 3
    assert "No space left on device" in done.message
    assert "go on with: judgelab run -m" in done.message
    assert len(lab.runs) == 1
    assert len(server.seen) == 2 * ITEMS
    again = lab(*command)
    assert again.code == 0, again.err
    assert len(server.seen) == 2 * ITEMS
    assert len(lab.runs) == 2


@pytest.fixture
def largest() -> Iterator[Callable[[int], None]]:
    """Sets how large a file may be, for this process and this test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_limit_on_files_is_found_while_replies_come(
    tmp_path: Path, largest: Callable[[int], None]
) -> None:
    lab = lab_of(tmp_path, 300)
    own = words_without_server()
    assert lab("run", "judge=always_fail", "limit=1", *own).code == 0  # the call store is there
    before = {path: path.read_bytes() for path in lab.folder.glob("runs/*/*")}
    command = ("run", "demos=nearest", "demos.k=1", "judge.repeats=3", "model=neighbours", *own)
    largest(2**16)
    done = lab(*command)
    largest(resource.RLIM_INFINITY)
    assert done.code == 3, done.err
    assert "File too large. Give it space." in done.message
    assert {path: path.read_bytes() for path in before} == before
    assert lab(*command).code == 0
    (run,) = [path for path in lab.runs if (path / "rubric.md").exists()]
    assert (run / "replies.jsonl").stat().st_size > 2**16
    assert len(read_lines(run / "replies.jsonl")) == len(read_lines(run / "verdicts.jsonl"))


def words_without_server() -> tuple[str, ...]:
    data = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl")
    return (*data, "tracking=none", "baselines=[]")
