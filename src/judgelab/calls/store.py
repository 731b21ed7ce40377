"""The call store: every answer ever paid for, in SQLite, raw, by the hash of its request."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

from judgelab.errors import IncompleteError, UserError
from judgelab.models.base import Reply, Request

SCHEMA_VERSION = 1
COMMIT_WINDOW = 0.02  # seconds that answers wait for company before they are committed together


class CallStore:
    """Answers are committed before they are used, several in one transaction.

    Use it within one event loop; several processes may share the file.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        try:
            self._open(path)
        except sqlite3.DatabaseError as error:
            raise UserError(
                f"{path} cannot be opened as a call store ({error}). "
                "Move it away to start a new one; the answers in it are then asked again."
            ) from error
        self._waiting: list[tuple[Request, Reply, str]] = []
        self._next: asyncio.Task[None] | None = None  # collects answers for its commit
        self._commits: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()

    def _open(self, path: Path) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, SCHEMA_VERSION):
            raise UserError(
                f"{path} has schema version {version}; this judgelab reads {SCHEMA_VERSION}. "
                "Update judgelab, or set JUDGELAB_HOME to another lab."
            )
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        if version == SCHEMA_VERSION:
            return
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS calls (key TEXT PRIMARY KEY, endpoint TEXT NOT NULL, "
            "url TEXT NOT NULL, model TEXT NOT NULL, reply TEXT NOT NULL, "
            "at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP) WITHOUT ROWID"
        )
        self._db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    def get(self, request: Request) -> Reply | None:
        """The stored answer, if there is one."""
        row = self._db.execute("SELECT reply FROM calls WHERE key=?", (request.key,)).fetchone()
        return Reply(**json.loads(row[0])) if row else None

    async def put(self, request: Request, reply: Reply, url: str) -> None:
        """Returns once the answer is on disk; raises IncompleteError where it cannot be."""
        self._waiting.append((request, reply, url))
        if self._next is None:
            self._next = asyncio.create_task(self._commit_soon())
            self._commits.add(self._next)
            self._next.add_done_callback(self._commits.discard)
        await asyncio.shield(self._next)

    async def _commit_soon(self) -> None:
        await asyncio.sleep(COMMIT_WINDOW)
        batch, self._waiting, self._next = self._waiting, [], None
        async with self._one_at_a_time:
            try:
                await asyncio.to_thread(self._commit, batch)
            except sqlite3.Error as error:
                raise IncompleteError(
                    f"{len(batch)} answers could not be written to the call store ({error}). Give "
                    "it space and the right to write, then give the same command again."
                ) from error

    def _commit(self, batch: list[tuple[Request, Reply, str]]) -> None:
        rows = [
            (q.key, q.endpoint, url, q.model, json.dumps(r.to_json(), ensure_ascii=False))
            for q, r, url in batch
        ]
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany(
                "INSERT OR IGNORE INTO calls (key, endpoint, url, model, reply) VALUES (?,?,?,?,?)",
                rows,
            )
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    async def close(self) -> None:
        """Commit what still waits, then close the file."""
        await asyncio.gather(*self._commits, return_exceptions=True)
        self._db.close()
