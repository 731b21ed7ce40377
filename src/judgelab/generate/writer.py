"""A model writes user inputs, cell by cell; never what the product answers.

A request is made of the cell and of the inputs it has, and inputs are accepted in the cells' fixed
order alone. So a command that was ended goes on as if it had not been: what was asked is in the
call store, and what was accepted in the file.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from judgelab import prompts, resources
from judgelab.calls.line import Calls
from judgelab.data.dimensions import Cell, Dimensions
from judgelab.data.duplicates import Seen
from judgelab.generate.inputs import Input
from judgelab.models.base import CallFailed, Model, Reply, Request, Turn, unicode_text
from judgelab.parsing import after_thoughts
from judgelab.types import canonical_json, sha256

MOST = 20  # inputs asked for at a time
TRIES = 3  # answers in a row with nothing new, until a cell is left as it is
SEEDS = 1000  # repeats that a seed has for itself
LONGEST = 20_000  # characters of an input
TOKENS = 60  # of an input, for estimates


@dataclass
class Order:
    """What is to be written.

    Args:
        dimensions: the cells, with their descriptions.
        n: inputs of each cell.
        seed: of the cells' order, and of what is asked.
        limit: the first so many cells of the order alone.
    """

    dimensions: Dimensions
    n: int
    seed: int = 0
    limit: int | None = None
    there: list[Input] = field(default_factory=list, init=False)
    _seen: Seen | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.template = template()
        shuffled = sorted(self.dimensions.possible, key=lambda c: sha256(f"{self.seed}:{c}"))
        self.own: dict[Cell, list[str]] = {cell: [] for cell in shuffled[: self.limit]}

    def take(self, one: Input) -> None:
        """An input that is there; of no cell, it only keeps others from being like it."""
        self.there.append(one)
        cell = tuple(one.dimensions.get(name, "") for name in self.dimensions.names)
        if cell in self.own:
            self.own[cell].append(one.input)

    @property
    def lacking(self) -> dict[Cell, int]:
        """How many inputs each cell lacks, in the order in which they are asked for."""
        found = {cell: self.n - len(texts) for cell, texts in self.own.items()}
        return {cell: lacks for cell, lacks in found.items() if lacks > 0}

    def request(self, model: Model, cell: Cell, tries: int = 0) -> Request:
        """The question for what the cell lacks now."""
        own = self.own[cell]
        asked = {
            "n": min(MOST, self.n - len(own)),
            "cell": self.dimensions.described(cell),
            "earlier": canonical_json(own) if own else "",
        }
        system = prompts.block(self.template, "system", {"about": self.dimensions.about.strip()})
        turns = (Turn("system", system), Turn("user", prompts.block(self.template, "user", asked)))
        made = model.request(turns, self.seed * SEEDS + tries, "·".join(cell))
        return replace(made, response_format=None)

    def accept(self, cell: Cell, texts: Sequence[str], by: str) -> list[Input]:
        """Those of the texts that are like nothing before them, at most what the cell lacks."""
        named = dict(zip(self.dimensions.names, cell, strict=True))
        before = len(self.there)
        for text in texts:
            if len(self.own[cell]) < self.n and not self.has_like(text):
                self.take(Input.made(text, named, by))
        return self.there[before:]

    def has_like(self, text: str) -> bool:
        """Whether one of those that are there is nearly the same."""
        if self._seen is None:
            self._seen = Seen()
        for one in self.there[len(self._seen) :]:
            self._seen.add(one.input)
        return self._seen.has_like(text)


@dataclass
class Written:
    """What came of it: inputs accepted, texts that were too alike, answers of no use by reason, and
    the cells that were left as they are."""

    accepted: int = 0
    alike: int = 0
    useless: Counter[str] = field(default_factory=Counter)
    given_up: list[Cell] = field(default_factory=list)


def template() -> str:
    """The text of prompts/generate/inputs.j2."""
    return resources.find("inputs", "prompts/generate", ".j2").read_text(encoding="utf-8")


async def write(
    calls: Calls, model: Model, order: Order, keep: Callable[[Sequence[Input]], None]
) -> Written:
    """Asks for what is lacking. The first question of every cell is on its way at once.

    `keep` is called with what is accepted, in the cells' order. Raises CallFailed where there is no
    answer; the other first questions are asked before that, as far as they can be.
    """
    done = Written()
    first = {cell: asyncio.create_task(_ask(calls, model, order, cell)) for cell in order.lacking}
    try:
        for cell, answer in first.items():
            await _fill(calls, model, order, cell, answer, keep, done)
    except CallFailed:
        await asyncio.gather(*first.values(), return_exceptions=True)
        raise
    finally:
        for answer in first.values():
            answer.cancel()
    return done


async def _fill(
    calls: Calls,
    model: Model,
    order: Order,
    cell: Cell,
    answer: asyncio.Task[Reply],
    keep: Callable[[Sequence[Input]], None],
    done: Written,
) -> None:
    tries, reply = 0, await answer
    while True:
        texts, why = read(reply)
        new = order.accept(cell, texts, model.name)
        keep(new)
        done.accepted += len(new)
        done.alike += 0 if cell not in order.lacking else len(texts) - len(new)
        if why:
            done.useless[why] += 1
        tries = 0 if new else tries + 1
        if cell not in order.lacking:
            return
        if tries == TRIES:
            done.given_up.append(cell)
            return
        reply = await _ask(calls, model, order, cell, tries)


async def _ask(calls: Calls, model: Model, order: Order, cell: Cell, tries: int = 0) -> Reply:
    async with calls.pool.turn(model):
        return await calls.ask(model, order.request(model, cell, tries))


def read(reply: Reply) -> tuple[list[str], str]:
    """The inputs of an answer; none, and why, where it holds none."""
    if reply.finish in ("too_long", "length", "content_filter"):
        return [], {"length": "cut off (model.max_tokens)"}.get(reply.finish, reply.finish)
    if reply.refusal:
        return [], "refusal"
    text = after_thoughts(reply.text)
    start, end = text.find("{"), text.rfind("}")
    try:
        found = json.loads(text[start : end + 1])
    except (ValueError, RecursionError):
        return [], "not readable"
    texts = found.get("inputs") if isinstance(found, Mapping) else None
    if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
        return [], "not readable"
    cleaned = (unicode_text(one).replace("\x00", "").strip() for one in texts)
    kept = [one for one in cleaned if one and len(one) <= LONGEST]
    return kept, "" if kept else "empty"
