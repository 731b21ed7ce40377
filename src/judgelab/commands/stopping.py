"""The first signal lets the calls that are on their way come in, the second ends at once."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

from judgelab.calls.pool import DRAIN, Pool
from judgelab.commands import show
from judgelab.errors import Stopped

T = TypeVar("T")


def run_stoppable(work: Coroutine[Any, Any, T], pool: Pool) -> T:
    """`asyncio.run` of work that asks a pool, which is closed at the end.

    After one SIGINT or SIGTERM the work ends by itself, with what it has (`pool.interrupted`).
    Raises Stopped where a second one came.
    """

    async def closing() -> T:
        try:
            with _watching(pool):
                return await work
        finally:
            await pool.close()

    gc.freeze()  # the data stay to the end: to look through them for garbage is lost time
    try:
        return asyncio.run(closing())
    except KeyboardInterrupt:
        raise Stopped(pool.interrupted or signal.SIGINT) from None


@contextmanager
def _watching(pool: Pool) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    stopping = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        if stopping:
            raise KeyboardInterrupt
        stopping = True
        loop.call_soon_threadsafe(interrupt, number)

    def interrupt(number: int) -> None:
        show.notes(
            [f"stopping: {pool.on_wire} calls on their way get {DRAIN:g} s; once more ends at once"]
        )
        pool.interrupt(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number, handler in before.items():
            if handler != signal.SIG_IGN:  # as a shell sets it for what runs in the background
                signal.signal(number, stop)
    except ValueError:  # not the main thread: no signal comes here
        before = {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
