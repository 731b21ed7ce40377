"""Many at once: in the order given, so many at a time, and nothing left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from judgelab.calls.stream import as_completed


def run(main: Coroutine[Any, Any, None]) -> None:
    async def watched() -> None:
        async with asyncio.timeout(10):
            await main
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not others, "tasks were left behind"

    asyncio.run(watched())


class Work:
    """Work that waits for its gate; knows what was taken up and how many at a time."""

    def __init__(self) -> None:
        self.gates: dict[int, asyncio.Event] = {}
        self.taken: list[int] = []
        self.ended: list[int] = []
        self.most = 0

    async def __call__(self, item: int) -> int:
        self.taken.append(item)
        self.most = max(self.most, len(self.taken) - len(self.ended))
        try:
            await self.gates.setdefault(item, asyncio.Event()).wait()
        finally:
            self.ended.append(item)
        return item * 10

    async def until_taken(self, n: int) -> None:
        while len(self.taken) < n:
            await asyncio.sleep(0)

    def open(self, *items: int) -> None:
        for item in items:
            self.gates.setdefault(item, asyncio.Event()).set()


def test_taken_up_in_order_given_out_as_they_come() -> None:
    async def main() -> None:
        work = Work()
        async with aclosing(as_completed(range(6), work, 3)) as stream:
            first = asyncio.ensure_future(anext(stream))
            await work.until_taken(3)
            for _ in range(20):
                await asyncio.sleep(0)
            assert work.taken == [0, 1, 2]
            work.open(2)
            assert await first == 20
            await work.until_taken(4)
            work.open(*range(6))
            rest = [result async for result in stream]
        assert sorted(rest) == [0, 10, 30, 40, 50]
        assert work.taken == [0, 1, 2, 3, 4, 5]
        assert work.most == 3

    run(main())


@pytest.mark.parametrize("n", [0, 1, 2])
def test_fewer_items_than_the_limit(n: int) -> None:
    async def main() -> None:
        work = Work()
        work.open(*range(n))
        assert [r async for r in as_completed(range(n), work, 8)] == [i * 10 for i in range(n)]

    run(main())


def test_items_are_taken_from_the_source_only_when_there_is_room() -> None:
    async def main() -> None:
        drawn: list[int] = []

        def source() -> Iterator[int]:
            for i in range(100):
                drawn.append(i)
                yield i

        work = Work()
        async with aclosing(as_completed(source(), work, 4)) as stream:
            first = asyncio.ensure_future(anext(stream))
            await work.until_taken(4)
            assert drawn == [0, 1, 2, 3]
            work.open(0)
            await first
        assert len(drawn) <= 5

    run(main())


def test_an_exception_ends_the_stream_at_once() -> None:
    async def main() -> None:
        work = Work()

        async def failing(item: int) -> int:
            if item == 1:
                await work.until_taken(2)
                raise KeyError("item 1")
            return await work(item)

        with pytest.raises(KeyError, match="item 1"):
            async for _ in as_completed(range(100), failing, 3):
                pass
        # The others were ended, not waited for: their gates never opened.
        assert sorted(work.taken) == [0, 2]
        assert sorted(work.ended) == [0, 2]

    run(main())


def test_a_source_that_fails_ends_the_stream() -> None:
    async def main() -> None:
        def source() -> Iterator[int]:
            yield 0
            raise OSError("no more")

        work = Work()
        work.open(0)
        with pytest.raises(OSError, match="no more"):
            async for _ in as_completed(source(), work, 2):
                pass

    run(main())


def test_leaving_early_ends_the_work() -> None:
    async def main() -> None:
        work = Work()
        work.open(0)
        async with aclosing(as_completed(range(100), work, 4)) as stream:
            async for result in stream:
                assert result == 0
                break
        assert sorted(work.ended) == sorted(work.taken)
        assert len(work.taken) <= 5

    run(main())


def test_a_cancelled_reader_ends_the_work() -> None:
    async def main() -> None:
        work = Work()

        async def read() -> None:
            async with aclosing(as_completed(range(100), work, 4)) as stream:
                async for _ in stream:
                    pass

        reader = asyncio.create_task(read())
        await work.until_taken(4)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert sorted(work.ended) == [0, 1, 2, 3]

    run(main())
