"""The first signal lets the calls that are on their way come in, the second ends at once."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol, TypeVar

from judgelab.calls.pool import DRAIN
from judgelab.commands import show
from judgelab.errors import Stopped

T = TypeVar("T")


class Stoppable(Protocol):
    """What work asks: a pool of calls, or a system under test."""

    interrupted: int

    @property
    def on_wire(self) -> int: ...

    def interrupt(self, signal: int, /) -> None: ...

    async def close(self) -> None: ...


def run_stoppable(work: Coroutine[Any, Any, T], pool: Stoppable) -> T:
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
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise Stopped(pool.interrupted or signal.SIGINT) from None


@contextmanager
def _watching(pool: Stoppable) -> Iterator[None]:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    signals = 0

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal signals
        signals += 1
        if signals == 1:
            loop.call_soon_threadsafe(interrupt, number)
        elif pool.interrupted:
            loop.call_soon_threadsafe(task.cancel)
        else:  # a judge that is code holds the loop
            raise KeyboardInterrupt

    def interrupt(number: int) -> None:
        pool.interrupt(number)
        show.notes(
            [f"stopping: {pool.on_wire} calls on their way get {DRAIN:g} s; once more ends at once"]
        )

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
