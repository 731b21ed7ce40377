"""Many interactions at once, a bounded number at a time, results as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


async def as_completed(
    items: Iterable[A], work: Callable[[A], Awaitable[B]], limit: int
) -> AsyncIterator[B]:
    """`work` of each item, at most `limit` at a time, taken up in the order given.

    Memory is flat where the results are taken as they come. An exception of `work` ends the stream.
    """
    source = iter(items)
    done: asyncio.Queue[B | _End] = asyncio.Queue()

    async def worker() -> None:
        try:
            for item in source:
                done.put_nowait(await work(item))
        finally:
            done.put_nowait(_End())

    workers = [asyncio.create_task(worker()) for _ in range(limit)]
    try:
        running = limit
        while running:
            result = await done.get()
            if isinstance(result, _End):
                running -= 1
            else:
                yield result
        await asyncio.gather(*workers)
    finally:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


class _End:
    """A worker has nothing left to do."""
