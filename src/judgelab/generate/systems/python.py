"""A Python function as the system under test."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Mapping
from typing import Any, Unpack

from judgelab import resources
from judgelab.errors import ConfigError
from judgelab.generate.inputs import Input
from judgelab.generate.systems.base import Answer, Common, System, SystemFailed

TAKES = ("input", "item")


class PythonSystem(System):
    """Calls a function by its dotted path; it may be `async`.

    Args:
        call: the dotted path; modules in the lab's folder can be imported.
        takes: `input`, its text alone, or `item`, a mapping of id, input, context, dimensions,
            group.

    It gives a text, or a mapping of output and perhaps context and metadata. A function that is
    not `async` runs in a thread of its own; one that takes too long is left there and not waited
    for.
    """

    def __init__(
        self,
        call: str,
        takes: str = "input",
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        if takes not in TAKES:
            raise ValueError(f"takes must be one of {', '.join(TAKES)}, got {takes!r}")
        self.call, self.takes = call, takes

    def check(self) -> None:
        found = resources.python_object(self.call, "system.call")
        if not callable(found):
            raise ConfigError(f"system.call={self.call} is a {type(found).__name__}, no function.")
        self._function: Callable[[Any], Any] = found

    def preview(self, item: Input) -> str:
        return f"{self.call}({self._given(item)!r})"

    async def answer(self, item: Input) -> Answer:
        given = self._given(item)
        try:
            if inspect.iscoroutinefunction(self._function):
                said = await self._function(given)
            else:
                said = await _in_thread(self._function, given)
        except Exception as error:  # the function is its author's code: it may raise anything
            raise SystemFailed(type(error).__name__, str(error), retry=True) from error
        if isinstance(said, str):
            return Answer(said)
        if not isinstance(said, Mapping) or not isinstance(said.get("output"), str):
            kind = type(said).__name__
            raise SystemFailed("no output", f"{self.call} gave a {kind}: a text is needed, or a "
                               "mapping with an output")  # fmt: skip
        more = {name: said.get(name) or {} for name in ("context", "metadata")}
        if odd := [name for name, value in more.items() if not isinstance(value, Mapping)]:
            raise SystemFailed("no output", f"{', '.join(odd)} of {self.call} is no mapping")
        return Answer(said["output"], **more)

    def _given(self, item: Input) -> Any:
        if self.takes == "input":
            return item.input
        return {
            **{"id": item.id, "input": item.input, "group": item.group},
            **{"context": dict(item.context), "dimensions": dict(item.dimensions)},
        }


async def _in_thread(function: Callable[[Any], Any], given: Any) -> Any:
    """What a function gives; in a thread that no exit waits for."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def settle(said: Any, error: BaseException | None) -> None:
        if done.done():  # it took too long
            return
        if error is None:
            done.set_result(said)
        elif isinstance(error, Exception):
            done.set_exception(error)
        else:  # SystemExit is the function's, not ours
            done.set_exception(RuntimeError(f"{type(error).__name__}: {error}"))

    def run() -> None:
        said, error = None, None
        try:
            said = function(given)
        except BaseException as raised:
            error = raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, said, error)

    threading.Thread(target=run, daemon=True).start()
    return await done
