"""The call store: on disk before it is used, whole, and shared by processes."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import judgelab
from judgelab.calls import store as stores
from judgelab.calls.store import Answer, CallStore, StoreFailed
from judgelab.errors import UserError
from judgelab.models.base import Reply, Request


def request(key: object, **more: object) -> Request:
    message = {"role": "user", "content": f"question {key}"}
    return replace(Request("here", "m", (message,), {"temperature": 0.0}), **more)  # type: ignore[arg-type]


def rows(path: Path) -> int:
    """What another reader of the file sees."""
    with sqlite3.connect(path) as db:
        n: int = db.execute("SELECT count(*) FROM calls").fetchone()[0]
    db.close()
    return n


def test_an_answer_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "calls.db"
    reply = Reply('{"a": "é\u2028🙂\u0000"}', "length", "no", "m-1", 10, 5, 3, 0.25)

    async def main() -> None:
        store = CallStore(path)
        assert store.get(request(1)) is None
        await store.put(request(1), reply, "http://there")
        assert store.get(request(1)) == reply
        await store.close()
        again = CallStore(path)
        assert again.get(request(1)) == reply
        assert again.get(request(2)) is None
        await again.close()

    asyncio.run(main())
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT endpoint, url, model FROM calls").fetchall() == [
            ("here", "http://there", "m")
        ]
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    db.close()


@pytest.mark.parametrize(
    "more",
    [
        {"endpoint": "there"},
        {"model": "n"},
        {"parameters": {"temperature": 0.1}},
        {"parameters": {}},
        {"response_format": {"type": "json"}},
        {"repeat": 1},
        {"messages": ({"role": "system", "content": "question 1"},)},
    ],
)
def test_everything_that_can_change_the_answer_is_in_the_key(more: dict[str, object]) -> None:
    assert request(1, **more).key != request(1).key


def test_whose_the_question_is_does_not_matter() -> None:
    assert request(1, item="a").key == request(1, item="b").key == request(1).key
    one = request(1, parameters={"a": 1, "b": 2})
    assert one.key == request(1, parameters={"b": 2, "a": 1}).key
    # Keys are for good: a paid answer has to be found by the next version too.
    assert request(1).key == "19563132d47ab955deaa8db7862934d4aa38df48708d0238c5ba79955991821c"


def test_an_answer_is_on_disk_before_it_is_used(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    seen: list[int] = []

    async def main() -> None:
        store = CallStore(path)

        async def put(i: int) -> None:
            await store.put(request(i), Reply(str(i)), "")
            seen.append(rows(path))

        await asyncio.gather(*(put(i) for i in range(20)))
        await store.close()

    asyncio.run(main())
    assert seen == [20] * 20


def test_answers_that_come_together_are_committed_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    commit = CallStore._commit

    def counted(self: CallStore, batch: list[Answer]) -> None:
        batches.append(len(batch))
        commit(self, batch)

    monkeypatch.setattr(CallStore, "_commit", counted)

    async def main() -> None:
        store = CallStore(tmp_path / "calls.db")
        await asyncio.gather(*(store.put(request(i), Reply("x"), "") for i in range(50)))
        await store.put(request("later"), Reply("x"), "")
        await store.close()

    asyncio.run(main())
    assert batches == [50, 1]


def test_the_first_answer_to_a_question_is_the_one_that_stays(tmp_path: Path) -> None:
    async def main() -> None:
        store = CallStore(tmp_path / "calls.db")
        await store.put(request(1), Reply("first"), "")
        await store.put(request(1), Reply("second"), "")
        assert store.get(request(1)) == Reply("first")
        await store.close()

    asyncio.run(main())


def test_a_slow_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that come while an earlier commit still waits for the file's lock."""
    monkeypatch.setattr(stores, "COMMIT_WINDOW", 0.001)
    path = tmp_path / "calls.db"

    async def main() -> None:
        store = CallStore(path)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        waves = []
        for i in range(5):
            waves.append(asyncio.create_task(store.put(request(i), Reply(str(i)), "")))
            await asyncio.sleep(0.02)  # each wave has a commit of its own
        assert not any(wave.done() for wave in waves)
        other.execute("ROLLBACK")
        other.close()
        await asyncio.gather(*waves)
        await store.close()

    asyncio.run(main())
    assert rows(path) == 5


def test_closing_commits_what_still_waits(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"

    async def main() -> None:
        store = CallStore(path)
        task = asyncio.create_task(store.put(request(1), Reply("paid"), ""))
        await asyncio.sleep(0)
        task.cancel()
        await store.close()

    asyncio.run(main())
    assert rows(path) == 1


def full(store: CallStore) -> None:
    """No page more: what SQLite says of a full disk."""
    pages = store._write.execute("PRAGMA page_count").fetchone()[0]
    store._write.execute(f"PRAGMA max_page_count={pages}")


def test_a_full_disk_is_said_and_nothing_more_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "TRIES", (0.001, 0.001))
    path = tmp_path / "calls.db"

    async def main() -> None:
        store = CallStore(path)
        await store.put(request("before"), Reply("kept"))
        await store.ready()
        full(store)
        large = [store.put(request(i), Reply("x" * 50_000)) for i in range(3)]
        for found in await asyncio.gather(*large, return_exceptions=True):
            assert isinstance(found, StoreFailed), found
            assert "3 answers could not be written to" in str(found)
            assert found.closes
        with pytest.raises(StoreFailed):
            await store.ready()
        assert store.get(request("before")) == Reply("kept")
        await store.close()

    asyncio.run(main())
    assert rows(path) == 1


def test_answers_wait_in_memory_until_the_disk_has_space_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "TRIES", (0.005,) * 1000)
    path = tmp_path / "calls.db"

    async def main() -> None:
        store = CallStore(path)
        await store.put(request("before"), Reply("kept"))
        full(store)
        large = [asyncio.create_task(store.put(request(i), Reply("x" * 50_000))) for i in range(3)]
        while store._writable.is_set():
            await asyncio.sleep(0.001)
        next_call = asyncio.create_task(store.ready())
        await asyncio.sleep(0.02)
        assert not next_call.done(), "nothing is sent while nothing can be kept"
        store._write.execute("PRAGMA max_page_count=100000")
        await asyncio.gather(*large, next_call)
        await store.close()

    asyncio.run(main())
    assert rows(path) == 4


@pytest.mark.parametrize(
    "reply", ["replace(reply, 'first', 'fierst')", "CAST(x'7bff00fe' AS TEXT)", "x'00'", "''"]
)
def test_a_damaged_row_is_set_aside_and_counts_as_not_there(reply: str, tmp_path: Path) -> None:
    path = tmp_path / "calls.db"

    async def put(*answers: tuple[int, str]) -> None:
        store = CallStore(path)
        for i, text in answers:
            await store.put(request(i), Reply(text), "u", 0.5)
        await store.close()

    asyncio.run(put((1, "first"), (2, "second")))
    with sqlite3.connect(path) as db:
        db.execute(f"UPDATE calls SET reply={reply} WHERE id=1")
        damaged = db.execute("SELECT CAST(reply AS BLOB) FROM calls WHERE id=1").fetchone()
    db.close()

    async def main() -> None:
        store = CallStore(path)
        assert store.get(request(1)) is None
        assert store.get(request(2)) == Reply("second")
        assert store.quarantined == [request(1).key]
        await store.put(request(1), Reply("again"))
        assert store.get(request(1)) == Reply("again")
        await store.close()

    asyncio.run(main())
    with sqlite3.connect(path) as db:
        kept = db.execute("SELECT key, CAST(reply AS BLOB) FROM quarantine").fetchall()
    db.close()
    assert kept == [(request(1).key, *damaged)]


def test_an_older_store_is_brought_up_to_date_with_a_backup_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    with sqlite3.connect(path) as db:
        db.execute(
            "CREATE TABLE calls (key TEXT PRIMARY KEY, endpoint TEXT NOT NULL, url TEXT NOT NULL, "
            "model TEXT NOT NULL, reply TEXT NOT NULL, at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)"
            " WITHOUT ROWID"
        )
        for i in range(50):
            row = (request(i).key, "here", "u", "m", json.dumps(Reply(f"old {i}").to_json()))
            db.execute(
                "INSERT INTO calls (key, endpoint, url, model, reply) VALUES (?,?,?,?,?)", row
            )
        db.execute("PRAGMA user_version=1")
    db.close()

    async def main() -> None:
        store = CallStore(path)
        assert [store.get(request(i)) for i in range(50)] == [Reply(f"old {i}") for i in range(50)]
        assert not store.quarantined
        await store.put(request("new"), Reply("new"))
        await store.close()

    asyncio.run(main())
    assert rows(path) == 51
    assert rows(tmp_path / "calls.db.v1") == 50


def test_what_was_used_again_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"

    async def main() -> None:
        for _ in range(2):
            store = CallStore(path)
            store.used_again(request(1), 0.25)
            store.used_again(request(2), 0.25)
            await store.close()

    asyncio.run(main())
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT * FROM saved").fetchall() == [("here", "m", 4, 1.0)]
    db.close()


@pytest.mark.parametrize("content", [b"not a database at all, but long enough " * 40])
def test_a_file_that_is_no_store_is_said_and_kept(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    path.write_bytes(content)
    with pytest.raises(UserError, match="cannot be opened as a call store"):
        CallStore(path)
    assert path.read_bytes() == content


def test_a_store_of_another_version_is_said_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=9")
    db.close()
    with pytest.raises(UserError, match="schema version 9; this judgelab reads 2"):
        CallStore(path)
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (9,)
        assert db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    db.close()


SCRIPT = """
import asyncio, sys
from pathlib import Path
from judgelab.calls.store import CallStore
from judgelab.models.base import Reply, Request

async def main(path, me):
    store = CallStore(Path(path))
    def request(i):
        return Request("here", "m", ({"role": "user", "content": f"question {i}"},))
    for wave in range(10):
        some = range(wave * 10, wave * 10 + 10)
        await asyncio.gather(*(store.put(request(i), Reply(me), "") for i in some))
    await asyncio.gather(*(store.put(request(f"{me}{i}"), Reply(me), "") for i in range(20)))
    print(sum(store.get(request(i)) is not None for i in range(100)))
    await store.close()

asyncio.run(main(*sys.argv[1:]))
"""


def test_several_processes_share_a_new_store(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(judgelab.__file__).parents[1])}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path / "calls.db"), name],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in "abcd"
    ]
    ended = [process.communicate(timeout=60) for process in running]
    assert [out.strip() for out, _ in ended] == ["100"] * 4, ended
    assert [process.returncode for process in running] == [0] * 4
    assert rows(tmp_path / "calls.db") == 100 + 4 * 20
