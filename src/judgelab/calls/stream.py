"""Many interactions at once, a bounded number at a time, results as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

STARTED = 4  # workers at a time: the first calls leave before the last prompts are made
A = TypeVar("A")
B = TypeVar("B")


async def as_completed(
    items: Iterable[A], work: Callable[[A], Awaitable[B]], limit: int
) -> AsyncGenerator[B, None]:
    """`work` of each item, at most `limit` at a time, taken up in the order given.

    Memory is flat where the results are taken as they come. An exception of `work` ends the stream
    at once. Close it (`contextlib.aclosing`) where it may be left early: that ends the work.
    """
    source = iter(items)
    done: asyncio.Queue[B | _End] = asyncio.Queue()

    async def worker() -> None:
        try:
            for item in source:
                done.put_nowait(await work(item))
        except BaseException as error:
            done.put_nowait(_End(error))
            raise
        done.put_nowait(_End())

    workers = []
    try:
        for n in range(limit):
            workers.append(asyncio.create_task(worker()))
            if n % STARTED == STARTED - 1:
                await asyncio.sleep(0)
        async for result in _until_ended(done, limit):
            yield result
    finally:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def merged(streams: Sequence[AsyncGenerator[B, None]]) -> AsyncGenerator[tuple[int, B], None]:
    """What several streams give, as it comes, with the number of the stream.

    An exception of one ends all at once. Close it (`contextlib.aclosing`) where it may be left
    early: that closes them.
    """
    done: asyncio.Queue[tuple[int, B] | _End] = asyncio.Queue()

    async def drain(number: int, stream: AsyncGenerator[B, None]) -> None:
        try:
            async with aclosing(stream):
                async for result in stream:
                    done.put_nowait((number, result))
        except BaseException as error:
            done.put_nowait(_End(error))
            raise
        done.put_nowait(_End())

    tasks = [asyncio.create_task(drain(*numbered)) for numbered in enumerate(streams)]
    try:
        async for result in _until_ended(done, len(tasks)):
            yield result
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _until_ended(done: asyncio.Queue[B | _End], running: int) -> AsyncGenerator[B, None]:
    """What is put into the queue, until all who put something in have ended, or one has failed."""
    while running:
        result = await done.get()
        if not isinstance(result, _End):
            yield result
        elif result.error is None:
            running -= 1
        else:
            raise result.error


@dataclass(frozen=True)
class _End:
    """A worker has nothing left to do, or failed."""

    error: BaseException | None = None
