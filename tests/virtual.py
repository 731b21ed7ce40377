"""An event loop whose clock jumps to the next thing to do: minutes pass at once, and exactly."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from judgelab.calls import limits
from judgelab.calls import pool as pools


class VirtualLoop(asyncio.SelectorEventLoop):
    """For work without threads and sockets; what waits for nothing is a failure of the test."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__()
        select = self._selector.select  # type: ignore[attr-defined]

        def jump(timeout: float | None = None) -> Any:
            assert timeout is not None, "everybody waits, and nothing will come"
            self.now += timeout
            return select(0)

        self._selector.select = jump  # type: ignore[attr-defined]

    def time(self) -> float:
        return self.now


def in_virtual_time(main: Coroutine[Any, Any, None], patch: pytest.MonkeyPatch) -> None:
    """Run it with the clock that the limits and the pool look at."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        clock = SimpleNamespace(monotonic=runner.get_loop().time)
        patch.setattr(limits, "time", clock)
        patch.setattr(pools, "time", clock)
        runner.run(main)


def now() -> float:
    return asyncio.get_running_loop().time()
