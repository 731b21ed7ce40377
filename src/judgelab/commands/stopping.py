"""The first signal lets the calls that are on their way come in, the second ends at once."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

from judgelab.calls.pool import DRAIN, Pool
from judgelab.commands import show
from judgelab.errors import Stopped

T = TypeVar("T")
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_stoppable(work: Coroutine[Any, Any, T], pool: Pool) -> T:
    """`asyncio.run` of work that asks a pool, which is closed at the end.

    Raises Stopped where a second signal came; after one the work ends by itself, with what it has.
    """
    gc.freeze()  # the data stay to the end: to look through them for garbage is lost time
    return asyncio.run(_watched(work, pool))


async def _watched(work: Coroutine[Any, Any, T], pool: Pool) -> T:
    task = asyncio.create_task(work)
    before = {number: signal.getsignal(number) for number in SIGNALS}
    loop = asyncio.get_running_loop()

    def stop(number: int) -> None:
        if pool.interrupted:
            task.cancel()
            return
        pool.interrupt(number)
        show.notes(
            [f"stopping: {pool.on_wire} calls on their way get {DRAIN:g} s. Once more ends at once"]
        )

    try:
        for number in SIGNALS:
            loop.add_signal_handler(number, stop, number)
    except (ValueError, RuntimeError, NotImplementedError):
        pass  # not the main thread: nobody sends signals here
    try:
        return await task
    except asyncio.CancelledError:
        if pool.interrupted and task.cancelled():
            raise Stopped(pool.interrupted) from None
        raise
    finally:
        for number, handler in before.items():
            if loop.remove_signal_handler(number):
                signal.signal(number, handler)
        await pool.close()
