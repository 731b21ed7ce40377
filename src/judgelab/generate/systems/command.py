"""A command as the system under test: a process an input, and never a shell."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
from collections.abc import Callable, Mapping
from typing import Any, Unpack

from judgelab import resources
from judgelab.errors import ConfigError
from judgelab.generate.inputs import Input
from judgelab.generate.systems.base import LONGEST, Answer, Common, System, SystemFailed
from judgelab.generate.systems.filling import answer_of, check_places, filled_text

STDERR = 64 * 1024  # bytes of it that are looked at


class CommandSystem(System):
    """Runs a program for each input, in the lab's folder, and takes what it prints.

    Args:
        command: the program and its arguments, a list, or a text that is split into words as a
            shell would. It is split before it is filled: an input is one argument, or a part of
            one, whatever is in it.
        stdin: what the program reads; None gives it nothing.
        response: where the output is, if it prints JSON; None takes all that it prints.
        context: more of the JSON that a judge may see, name -> path.
        metadata: more of the JSON to keep, name -> path.
    """

    def __init__(
        self,
        command: Any,
        stdin: str | None = "{input}",
        response: str | None = None,
        context: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        words = shlex.split(command) if isinstance(command, str) else command
        if not isinstance(words, list) or not words:
            raise ValueError(f"command={command!r} must be a list of words, or a text of them")
        self.words, self.stdin, self.response = [str(word) for word in words], stdin, response
        check_places(self.words[1:], stdin, key="system.command and system.stdin")
        self.context, self.metadata = dict(context or {}), dict(metadata or {})

    def check(self) -> None:
        program = self.words[0]
        here = resources.lab() / program
        if shutil.which(program) is None and not os.access(here, os.X_OK):
            raise ConfigError(
                f"system.command: there is no program {program!r} that can be run. Give its name, "
                "or its path from the lab's folder."
            )

    def preview(self, item: Input) -> str:
        said = shlex.join(self._filled(item))
        return said if self.stdin is None else f"{said}  <<< {filled_text(self.stdin, item)!r}"

    async def answer(self, item: Input) -> Answer:
        sent = "" if self.stdin is None else filled_text(self.stdin, item)
        code, said, wrong = await self._run(self._filled(item), sent.encode("utf-8", "replace"))
        if len(said) > LONGEST:
            raise SystemFailed("too long", f"more than {LONGEST:,} bytes")
        if code:
            ended = f"exit {code}" if code > 0 else signal.Signals(-code).name
            raise SystemFailed(ended, wrong.decode("utf-8", "replace"), retry=True, last=True)
        text = said.decode("utf-8", "replace").removesuffix("\n")
        return answer_of(text, self.response, self.context, self.metadata)

    def _filled(self, item: Input) -> list[str]:
        return [self.words[0], *(filled_text(word, item) for word in self.words[1:])]

    async def _run(self, words: list[str], sent: bytes) -> tuple[int, bytes, bytes]:
        """Exit code, stdout up to one byte more than can be kept, and the end of stderr."""
        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=resources.lab(),
                start_new_session=True,  # so that its children end with it
            )
        except (OSError, ValueError) as error:  # no such program; a NUL, or too long an argument
            raise SystemFailed("not started", str(error)) from error
        assert process.stdin
        assert process.stdout
        assert process.stderr

        def end() -> None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

        try:
            _, said, wrong = await asyncio.gather(
                _give(process.stdin, sent), _most(process.stdout, end), _last(process.stderr)
            )
            return await process.wait(), said, wrong
        finally:
            end()
            await process.wait()


async def _give(stream: asyncio.StreamWriter, data: bytes) -> None:
    # A program need not read what it is given.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        stream.write(data)
        await stream.drain()
        stream.close()
        await stream.wait_closed()


async def _most(stream: asyncio.StreamReader, end: Callable[[], None]) -> bytes:
    """What is printed; of more than can be kept the beginning, and `end` is called."""
    found = bytearray()
    while chunk := await stream.read(65_536):
        if len(found) <= LONGEST:
            found += chunk
        else:
            end()
    return bytes(found)


async def _last(stream: asyncio.StreamReader) -> bytes:
    found = b""
    while chunk := await stream.read(65_536):
        found = (found + chunk)[-STDERR:]
    return found
