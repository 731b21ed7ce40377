"""The system under test answers inputs: each output kept as it comes, once."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from judgelab.build import variant_id
from judgelab.calls.pool import DRAIN
from judgelab.data.readers.problems import Problems
from judgelab.data.readers.values import check_cell, parse_json
from judgelab.errors import UserError
from judgelab.generate.inputs import Input
from judgelab.generate.systems.base import LONGEST, Answer, System, SystemFailed
from judgelab.models.base import unicode_text
from judgelab.models.secrets import blot, known
from judgelab.types import sha256

BACKOFF = 0.5  # seconds before the first retry, doubled each time, with full jitter
LONGEST_WAIT = 60.0
NOBODY = 8  # inputs in a row for which nobody was there, until the others are not tried
Row = dict[str, Any]


def outputs_path(inputs: Path, system: str) -> Path:
    """Where the lab keeps what a system said to these inputs."""
    stem = inputs.name.removesuffix(inputs.suffix).removesuffix(".inputs")
    return inputs.with_name(f"{stem}.{system}.jsonl")


def errors_path(outputs: Path) -> Path:
    """Beside the interactions: the inputs that have no output, and why."""
    return outputs.with_name(f"{outputs.stem}.errors.jsonl")


def identity(node: Mapping[str, Any]) -> str:
    """Hash of a system's config: of all that can change an output."""
    return variant_id(node)[:16]


def missing(
    items: Sequence[Input], rows: Sequence[Mapping[str, Any]], system: str, where: str
) -> list[Input]:
    """The inputs without an output among `rows`.

    Raises UserError where a row is of another system, or of another text.
    """
    texts = {row.get("id"): row.get("input") for row in rows}
    for row in rows:
        by = (row.get("metadata") or {}).get("config")
        if by != system:
            raise UserError(
                f"{where} holds outputs of a system with another config. Give this one a name of "
                "its own, system.name=NAME, or another file, --out FILE."
            )
    moved = [one.id for one in items if one.id in texts and texts[one.id] != one.input]
    if moved:
        raise UserError(
            f"{where}: {len(moved)} inputs have another text now than when they were answered "
            f"({', '.join(moved[:3])}). Give another file, --out FILE, or them other ids."
        )
    return [one for one in items if one.id not in texts]


@dataclass
class Line:
    """The way to a system: how many inputs are in work, and whether it is being stopped."""

    system: System
    config: str
    interrupted: int = 0
    on_wire: int = 0
    unreachable: str = ""
    _workers: list[asyncio.Task[None]] = field(default_factory=list)
    _deadline: asyncio.TimerHandle | None = None
    _in_a_row: int = 0

    async def ask_all(
        self,
        items: Sequence[Input],
        keep: Callable[[Row], None],
        fail: Callable[[Row], None],
    ) -> None:
        """Every input once, `concurrency` at a time; `keep` gets interactions, `fail` errors."""
        waiting = iter(items)
        n = min(self.system.concurrency, len(items))
        self._workers = [asyncio.create_task(self._work(waiting, keep, fail)) for _ in range(n)]
        done = await asyncio.gather(*self._workers, return_exceptions=True)
        for one in done:
            if isinstance(one, BaseException) and not isinstance(one, asyncio.CancelledError):
                raise one

    def interrupt(self, signal: int) -> None:
        """Begin with nothing more; what is in work gets DRAIN seconds to end."""
        self.interrupted = signal
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(DRAIN, self._end)

    async def close(self) -> None:
        if self._deadline:
            self._deadline.cancel()
        self._end()
        await asyncio.gather(*self._workers, return_exceptions=True)
        await self.system.close()

    def _end(self) -> None:
        for worker in self._workers:
            worker.cancel()

    async def _work(
        self, waiting: Iterator[Input], keep: Callable[[Row], None], fail: Callable[[Row], None]
    ) -> None:
        for item in waiting:
            if self.interrupted or self.unreachable:
                return
            self.on_wire += 1
            try:
                await self._one(item, keep, fail)
            finally:
                self.on_wire -= 1

    async def _one(
        self, item: Input, keep: Callable[[Row], None], fail: Callable[[Row], None]
    ) -> None:
        tries = 0
        while True:
            tries += 1
            begun = time.monotonic()
            try:
                answer = await self._answer(item)
                row = self._row(item, answer, time.monotonic() - begun, tries)
            except SystemFailed as failure:
                latency = time.monotonic() - begun
                again = failure.retry and tries <= self.system.retries
                if not again or self.interrupted or failure.after > LONGEST_WAIT:
                    fail(self._error(item, failure, latency, tries))
                    self._count(failure)
                    return
                jitter = random.uniform(0, min(LONGEST_WAIT, BACKOFF * 2 ** (tries - 1)))
                await asyncio.sleep(failure.after + jitter)
                continue
            self._in_a_row = 0
            keep(row)
            return

    async def _answer(self, item: Input) -> Answer:
        try:
            return await asyncio.wait_for(self.system.answer(item), self.system.timeout)
        except TimeoutError:
            said = f"no answer in {self.system.timeout:g} s"
            raise SystemFailed("timeout", said, retry=True) from None

    def _count(self, failure: SystemFailed) -> None:
        self._in_a_row = self._in_a_row + 1 if failure.unreachable else 0
        if self._in_a_row >= NOBODY:
            self.unreachable = failure.detail

    def _row(self, item: Input, answer: Answer, latency: float, tries: int) -> Row:
        """The interaction. Raises SystemFailed where no dataset could hold it."""
        if not answer.output.strip():
            raise SystemFailed("empty", "the output holds no text")
        if len(answer.output) > LONGEST:
            raise SystemFailed("too long", f"more than {LONGEST:,} characters")
        row = item.to_json()
        row |= {
            "output": _text(answer.output),
            "context": {**item.context, **answer.context},
            "metadata": {
                **self._about(latency, tries),
                **({"by": row.pop("by")} if item.by else {}),
                **({"said": dict(answer.metadata)} if answer.metadata else {}),
            },
        }
        return _as_data(row)

    def _error(self, item: Input, failure: SystemFailed, latency: float, tries: int) -> Row:
        return {
            **{"id": item.id, "input": item.input},
            "error": {"cause": failure.cause, "detail": failure.detail},
            "metadata": self._about(latency, tries),
        }

    def _about(self, latency: float, tries: int) -> Row:
        at = datetime.now(UTC).isoformat(timespec="seconds")
        found = {"system": self.system.name, "config": self.config, "at": at}
        return {**found, "latency_s": round(latency, 3), "tries": tries}


def order(items: Sequence[Input], seed: int, limit: int | None) -> list[Input]:
    """A random order, the seed's: whoever stops early has asked a random sample."""
    return sorted(items, key=lambda one: sha256(f"{seed}:{one.id}"))[:limit]


def _text(text: str) -> str:
    """What a file can hold of a text: no NUL, no lone surrogate."""
    return unicode_text(text).replace("\x00", "\ufffd")


def _as_data(row: Row) -> Row:
    """The row as a dataset would read it. Raises SystemFailed where none could."""
    problems, secrets = Problems("the answer"), list(known().values())
    try:
        read = dict(row)
        for name in ("output", "context", "metadata"):  # a system may say the lab's keys
            text = json.dumps(row[name], ensure_ascii=False, allow_nan=False)
            read[name] = parse_json(blot(text, secrets))
    except (TypeError, ValueError, RecursionError) as error:
        raise SystemFailed("not data", f"the answer holds what JSON does not: {error}") from error
    for name, value in read.items():
        check_cell(value, name, "the answer", problems)
    if problems:
        raise SystemFailed("not data", "the answer holds what is no text, or too much of it")
    return read
