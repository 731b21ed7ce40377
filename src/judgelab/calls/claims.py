"""Which process asks what: a request is sent by one of several that share a call store.

A claim is a lock on one byte of a file, at a place that the request's key names. The system gives
it back when its process dies, so that no lease runs out under a slow call and no clock matters.
"""

from __future__ import annotations

import fcntl
import os
import struct
import uuid
from pathlib import Path

COUNTS = struct.Struct("<qq")  # calls sent, calls settled


class Claims:
    """One process's claims beside a call store. `lost` counts the calls that processes which are
    gone had sent and neither kept nor given up: only these are paid for twice."""

    def __init__(self, store: Path) -> None:
        self._file = os.open(f"{store}.claims", os.O_RDWR | os.O_CREAT, 0o644)
        self.lost = sum(_lost(path) for path in store.parent.glob(f"{store.name}.session-*"))
        name = uuid.uuid4().hex[:12]
        new = store.with_name(f"{store.name}.new-{name}")
        self._session = os.open(new, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(self._session, fcntl.LOCK_EX)  # before the others can see it
        self._session_path = new.rename(store.with_name(f"{store.name}.session-{name}"))
        self._sent = self._settled = 0
        self.count()  # a full disk is known now, and not with a call under way

    def take(self, key: str) -> bool:
        """Claim the request with this key (hex); False where another process has it."""
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(key))
        except (BlockingIOError, PermissionError):  # what systems say where it is held
            return False
        return True

    def give_back(self, key: str) -> None:
        """The request is answered and kept, or has failed."""
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _place(key))

    def count(self, *, sent: int = 0, settled: int = 0) -> None:
        """Note calls that are sent or settled, so that a kill at any moment leaves their number."""
        self._sent += sent
        self._settled += settled
        os.pwrite(self._session, COUNTS.pack(self._sent, self._settled), 0)

    def close(self) -> None:
        """Calls that were given up on their way stay noted."""
        if self._sent == self._settled:
            self._session_path.unlink(missing_ok=True)
        os.close(self._session)
        os.close(self._file)


def judging(store: Path) -> int:
    """How many processes use a call store now."""
    return sum(_lives(path) for path in store.parent.glob(f"{store.name}.session-*"))


def _lives(path: Path) -> bool:
    try:
        session = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(session, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(session)
    return False


def _place(key: str) -> int:
    return int(key[:15], 16)


def _lost(path: Path) -> int:
    """What a process that is gone had under way; 0 for one that lives, whose file stays."""
    try:
        session = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return 0
    try:
        fcntl.flock(session, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.fstat(session).st_nlink:  # another process has counted it since we opened it
            return 0
        noted = os.pread(session, COUNTS.size, 0)
        path.unlink(missing_ok=True)
    except BlockingIOError:
        return 0
    finally:
        os.close(session)
    if len(noted) < COUNTS.size:
        return 0
    sent, settled = COUNTS.unpack(noted)
    return int(max(0, sent - settled))
