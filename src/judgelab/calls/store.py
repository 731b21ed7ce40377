"""The call store: every answer ever paid for, in SQLite, raw, by the hash of its request."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from judgelab.calls.claims import Claims
from judgelab.errors import UserError, is_full
from judgelab.models.base import CallFailed, Reply, Request

SCHEMA_VERSION = 2
COMMIT_WINDOW = 0.005  # seconds that answers wait for company before they are committed together
TRIES = (0.1, 0.5, 1.0, 2.0, 4.0)  # seconds before another try of a commit that failed
SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, endpoint TEXT NOT NULL, url TEXT NOT NULL,
    model TEXT NOT NULL, reply TEXT NOT NULL, usd REAL NOT NULL, at TEXT NOT NULL, sum TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS quarantine (
    key TEXT NOT NULL, endpoint TEXT, url TEXT, model TEXT, reply TEXT, usd REAL, at TEXT, sum TEXT
);
CREATE TABLE IF NOT EXISTS saved (
    endpoint TEXT NOT NULL, model TEXT NOT NULL, answers INTEGER NOT NULL, usd REAL NOT NULL,
    PRIMARY KEY (endpoint, model)
);
"""
COLUMNS = ("key", "endpoint", "url", "model", "reply", "usd", "at", "sum")
INSERT = f"INSERT OR IGNORE INTO calls ({', '.join(COLUMNS)}) VALUES (?,?,?,?,?,?,?,?)"


class StoreFailed(CallFailed):
    """Answers cannot be kept (a full disk), so nothing more is sent."""


@dataclass(frozen=True)
class Answer:
    """A row of the store; `usd` is what was paid for it, `at` when, in UTC."""

    key: str
    endpoint: str
    url: str
    model: str
    reply: str
    usd: float
    at: str
    sum: str

    @property
    def sound(self) -> bool:
        return self.sum == checksum(self.key, self.reply)


def checksum(key: str, reply: str) -> str:
    """16 hex digits over a row's key and answer."""
    data = f"{key}{reply}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=8).hexdigest()


class CallStore:
    """Answers are committed before they are used, several in one transaction.

    Use it within one event loop; several processes may share the file. A row that does not fit
    its checksum goes to the table `quarantine` and counts as not there; `quarantined` lists the
    keys of those met.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with opened(path) as self._read:
            self._write = _connect(path)
            self.claims = Claims(path)
            if self.claims.lost:
                _check_whole(self._read)
        self.quarantined: list[str] = []
        self._saved: dict[tuple[str, str], list[float]] = {}
        self._waiting: list[Answer] = []
        self._next: asyncio.Task[None] | None = None  # collects answers for its commit
        self._commits: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()
        self._writable = asyncio.Event()
        self._writable.set()
        self._failed: StoreFailed | None = None

    def get(self, request: Request) -> Reply | None:
        """The stored answer, if there is one."""
        key = request.key
        with _readable(self.path):
            row = self._read.execute("SELECT reply, sum FROM calls WHERE key=?", (key,)).fetchone()
        if row is None:
            return None
        if row[1] == checksum(key, row[0]):
            return Reply.from_json(row[0])
        with _readable(self.path):
            quarantine(self._write, key)
        self.quarantined.append(key)
        return None

    def used_again(self, request: Request, usd: float) -> None:
        """Note what an answer of the store has saved; written at `close`."""
        total = self._saved.setdefault((request.endpoint, request.model), [0, 0.0])
        total[0] += 1
        total[1] += usd

    async def ready(self) -> None:
        """Returns once answers can be written; raises StoreFailed where that has been given up."""
        if not self._writable.is_set():
            await self._writable.wait()
        if self._failed:
            raise self._failed

    async def put(self, request: Request, reply: Reply, url: str = "", usd: float = 0.0) -> None:
        """Returns once the answer is on disk; raises StoreFailed where it cannot be."""
        key, text = request.key, reply.json
        at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        sum_ = checksum(key, text)
        self._waiting.append(Answer(key, request.endpoint, url, request.model, text, usd, at, sum_))
        if self._next is None:
            self._next = asyncio.create_task(self._commit_soon())
            self._commits.add(self._next)
            self._next.add_done_callback(self._commits.discard)
        await asyncio.shield(self._next)

    async def _commit_soon(self) -> None:
        await asyncio.sleep(COMMIT_WINDOW)
        batch, self._waiting, self._next = self._waiting, [], None
        async with self._one_at_a_time:
            for wait in (*TRIES, None):
                try:
                    await asyncio.to_thread(self._commit, batch)
                    break
                except sqlite3.Error as error:
                    self._writable.clear()
                    if wait is None or self._failed:
                        self._give_up(len(batch), error)
                await asyncio.sleep(wait or 0)
            self._writable.set()

    def _give_up(self, answers: int, error: sqlite3.Error) -> None:
        self._failed = self._failed or StoreFailed(
            "call store",
            f"{answers} answers could not be written to {self.path} ({error}). "
            "Give it space and the right to write",
            closes=True,
        )
        self._writable.set()
        raise self._failed from error

    def _commit(self, batch: Sequence[Answer]) -> None:
        insert(self._write, batch)

    async def close(self) -> None:
        """Commit what still waits, then close the file."""
        await asyncio.gather(*self._commits, return_exceptions=True)
        try:
            if self._saved and not self._failed:
                note_saved(self._write, self._saved)
        finally:
            self._read.close()
            self._write.close()
            self.claims.close()


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a store of this schema; every way in which it can be none is one message."""
    try:
        db = _connect(path)
        _bring_up(db, path)
        yield db
    except sqlite3.DatabaseError as error:
        if is_full(error):
            raise
        raise _no_store(path, error) from error


def answers(
    db: sqlite3.Connection, where: str = "1", values: Sequence[Any] = ()
) -> Iterator[Answer]:
    """The rows that fit an SQL condition, oldest first."""
    query = f"SELECT {', '.join(COLUMNS)} FROM calls WHERE {where} ORDER BY id"
    return (Answer(*row) for row in db.execute(query, values))


def insert(db: sqlite3.Connection, rows: Iterable[Answer]) -> int:
    """Put answers in that are not there yet; how many these were."""
    before = db.total_changes
    with _transaction(db):
        values = ([getattr(row, name) for name in COLUMNS] for row in rows)
        db.executemany(INSERT, values)
    return db.total_changes - before


def listed(db: sqlite3.Connection, keys: Iterable[str]) -> str:
    """An SQL condition for the answers with these keys, for as long as the connection is open."""
    db.execute("BEGIN")  # of the temporary table alone: no one else waits
    db.execute("CREATE TEMP TABLE listed (key TEXT PRIMARY KEY) WITHOUT ROWID")
    db.executemany("INSERT OR IGNORE INTO listed VALUES (?)", ((key,) for key in keys))
    db.execute("COMMIT")
    return "key IN (SELECT key FROM listed)"


def totals(
    db: sqlite3.Connection, where: str = "1", values: Sequence[Any] = ()
) -> list[dict[str, Any]]:
    """What the rows that fit an SQL condition hold, by endpoint and model."""
    tokens = ", ".join(
        f"ifnull(sum(CASE WHEN json_valid(reply) THEN json_extract(reply, '$.{name}') END), 0) "
        f"AS {name}"
        for name in ("tokens_in", "tokens_out", "tokens_cached")
    )
    found = db.execute(
        f"SELECT endpoint, model, count(*) AS answers, {tokens}, sum(usd) AS usd, "
        f"min(at) AS first, max(at) AS last FROM calls WHERE {where} "
        "GROUP BY endpoint, model ORDER BY endpoint, model",
        values,
    )
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found]


def delete(db: sqlite3.Connection, where: str, values: Sequence[Any] = ()) -> int:
    """Delete the rows that fit an SQL condition; how many these were."""
    with _transaction(db):
        return db.execute(f"DELETE FROM calls WHERE {where}", values).rowcount


def shrink(db: sqlite3.Connection) -> bool:
    """Give the space of deleted rows back to the disk; False where others keep the file busy."""
    db.execute("PRAGMA busy_timeout=2000")  # ms: it is no loss where it has to be done later
    try:
        db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.OperationalError:
        return False
    return True


def quarantine(db: sqlite3.Connection, key: str) -> None:
    """Set a row aside that does not fit its checksum: it is asked again, and can be looked at."""
    names = ", ".join(COLUMNS)
    with _transaction(db):
        db.execute(
            f"INSERT INTO quarantine ({names}) SELECT {names} FROM calls WHERE key=?", (key,)
        )
        db.execute("DELETE FROM calls WHERE key=?", (key,))


def note_saved(db: sqlite3.Connection, saved: Mapping[tuple[str, str], Sequence[float]]) -> None:
    """Add to what the store has saved: (endpoint, model) -> answers, USD."""
    with _transaction(db):
        db.executemany(
            "INSERT INTO saved VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET "
            "answers = answers + excluded.answers, usd = usd + excluded.usd",
            [(*who, *total) for who, total in saved.items()],
        )


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """A file that is damaged beyond its rows is said to be so."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise _no_store(path, error) from error
        raise


def _no_store(path: Path, error: sqlite3.Error) -> UserError:
    return UserError(
        f"{path} cannot be opened as a call store ({error}). "
        "Move it away to start a new one; the answers in it are then asked again."
    )


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA synchronous=FULL")
    # Damaged bytes are read as damaged text, which fits no checksum.
    db.text_factory = partial(str, encoding="utf-8", errors="replace")
    return db


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _bring_up(db: sqlite3.Connection, path: Path) -> None:
    """Make the schema, or bring an older one up to date with a backup beside it."""
    version = _version(db)
    if version == SCHEMA_VERSION:
        return
    if version > SCHEMA_VERSION:
        raise UserError(
            f"{path} has schema version {version}; this judgelab reads {SCHEMA_VERSION}. "
            "Update judgelab, or set JUDGELAB_HOME to another lab."
        )
    db.execute("PRAGMA journal_mode=WAL")
    with _transaction(db):
        version = _version(db)  # another process may have been first
        if version == 1:
            _back_up(path, path.with_name(f"{path.name}.v1"))
            db.execute("ALTER TABLE calls RENAME TO calls_1")
        if version < SCHEMA_VERSION:
            for statement in SCHEMA.split(";")[:-1]:
                db.execute(statement)
        if version == 1:
            old = db.execute("SELECT key, endpoint, url, model, reply, at FROM calls_1 ORDER BY at")
            rows = ((*row[:5], 0.0, row[5], checksum(row[0], row[4])) for row in old)
            db.executemany(INSERT, rows)
            db.execute("DROP TABLE calls_1")
        db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def _back_up(path: Path, copy: Path) -> None:
    source, target = sqlite3.connect(path), sqlite3.connect(copy)
    source.backup(target)
    source.close()
    target.close()


def _check_whole(db: sqlite3.Connection) -> None:
    """After a kill: whether the file is still sound."""
    found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError(found)
