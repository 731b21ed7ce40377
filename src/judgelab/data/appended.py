"""Files that are only ever appended to: under a lock, whole, and on disk before it counts. Others
are replaced whole."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from judgelab.errors import UserError


class WholeLines:
    """The whole lines of a file, handed over again where it has changed since."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._taken: tuple[int, int] | None = None  # size and time of what was handed over

    def hand_over(self, take: Callable[[bytes], None]) -> None:
        """Call `take` with them, unless they are as they were; a file that is not there has none.

        What `take` raises is raised every time, until the file is another.
        """
        try:
            state = self.path.stat()
            now, data = (state.st_size, state.st_mtime_ns), None
        except FileNotFoundError:
            now, data = (0, 0), b""
        if now != self._taken:
            data = self.path.read_bytes() if data is None else data
            take(data[: data.rfind(b"\n") + 1])
            self._taken = now

    def forget(self) -> None:
        """Whatever it is next time counts as changed."""
        self._taken = None


def write_whole(file: int, text: str) -> None:
    """All of it, on disk, or the file as it was."""
    before = os.fstat(file).st_size
    left = text.encode("utf-8", "backslashreplace")
    try:
        while left:
            left = left[os.write(file, left) :]
        os.fsync(file)
    except BaseException:
        os.ftruncate(file, before)
        raise


def sync_folder(folder: Path) -> None:
    """A new file is there after a power cut only if its folder is on disk too."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def replace_whole(path: Path, content: bytes) -> None:
    """A file written beside its place and moved there, so that nobody ever reads a half."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        sync_folder(path.parent)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def appending(path: Path) -> Iterator[int]:
    """The file to append to, made where it is not there, under a lock across processes."""
    created = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    with locked(file, fcntl.LOCK_EX):
        yield file
        if created:
            sync_folder(path.parent)


def cut_torn(file: int) -> bytes:
    """The file's whole lines; a last one that a dying process tore was never shown as saved, and
    goes."""
    data = os.pread(file, os.fstat(file).st_size, 0)
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        os.ftruncate(file, len(whole))
    return whole


@contextmanager
def locked(file: int, how: int) -> Iterator[None]:
    """An open file under a lock across processes; closed at the end, which unlocks it."""
    try:
        fcntl.flock(file, how)
        yield
    finally:
        os.close(file)


def lines_of(data: bytes) -> list[str]:
    """The whole lines of such a file."""
    return data[: data.rfind(b"\n") + 1].decode("utf-8", "backslashreplace").split("\n")[:-1]


class Spool:
    """Lines of a file that one process alone appends to."""

    def __init__(self, file: int, whole: bytes) -> None:
        self._file = file
        self.lines = lines_of(whole)

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Rows as JSON lines, all of them on disk when this returns, or none."""
        lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows)
        write_whole(self._file, "".join(f"{line}\n" for line in lines))


@contextmanager
def only_writer(path: Path) -> Iterator[Spool]:
    """The file to append to, for this process alone as long as this lasts; others may read it.

    Raises UserError where another process has it.
    """
    created = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        with locked(file, fcntl.LOCK_EX | fcntl.LOCK_NB):
            if created:
                sync_folder(path.parent)
            yield Spool(file, cut_torn(file))
    except BlockingIOError:
        raise UserError(
            f"{path}: another judgelab process is writing to it. Wait for it, or name another file."
        ) from None
