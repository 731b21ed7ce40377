"""DSPy on judgelab's pool: its calls are ours, its prompts are our bytes, its threads end with us.

DSPy works in a thread and has threads of its own; every answer it needs is asked in our event
loop, so that store, limits, budgets and accounts hold. It catches every Exception and goes on, so
what has to end it (no budget, no answer, an interrupt) is none.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field, replace
from typing import Any

from judgelab.models.base import CallFailed, Model, Reply, Request, Turn
from judgelab.optimizers.exam import Candidate, Exam, Spent
from judgelab.parsing import Parsed, parse
from judgelab.types import Example, Interaction

FIELDS = {"interaction", "critique", "verdict"}
MOST_THREADS = 16
NO_VERDICT = "none"
Place = tuple[str, int | None]  # an item, and which sample of its answer


class Halt(BaseException):
    """Ends DSPy's work in every thread of it."""


@dataclass
class Learnt:
    """What the judges made so far got right on train: candidate -> place -> right or not.

    `fresh` is of a batch that is not over: it waits for `settle`, because which of its answers
    came before a budget was spent is chance.
    """

    settled: dict[Candidate, dict[Place, bool]] = field(default_factory=lambda: defaultdict(dict))
    fresh: dict[Candidate, dict[Place, bool]] = field(default_factory=lambda: defaultdict(dict))

    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, candidate: Candidate, place: Place, right: bool) -> None:
        with self._lock:
            self.fresh[candidate][place] = right

    def settle(self) -> None:
        """The batch is over. Called where no thread is at work."""
        fresh, self.fresh = self.fresh, defaultdict(dict)
        for candidate in sorted(fresh, key=repr):  # the order that threads came in is chance
            self.settled[candidate] |= fresh[candidate]

    def ranked(self, weight: Mapping[str, float]) -> list[tuple[Candidate, float]]:
        """Best first by the weighted share of right verdicts, those of samples left out; whoever
        was seen on few items is left out too."""
        seen = {
            candidate: {item: right for (item, rollout), right in places.items() if rollout is None}
            for candidate, places in self.settled.items()
        }
        most = max(map(len, seen.values()), default=0)
        shares = []
        for candidate, items in seen.items():
            if items and len(items) * 2 >= most:
                right = sum(weight[item] for item, good in items.items() if good)
                shares.append((candidate, right / sum(weight[item] for item in items)))
        return sorted(shares, key=lambda pair: -pair[1])


class Bridge:
    """One optimisation's side of DSPy. Make it within the event loop that it asks in.

    Args:
        exam: asks, within its budget.
        writer: the model that reflects and writes rubrics.
        demos: whether DSPy picks the demonstrations; else the judge's own selector does.
    """

    def __init__(self, exam: Exam, writer: Model, *, demos: bool) -> None:
        self.exam = exam
        self.writer = writer
        self.learnt = Learnt()
        self.ended: Spent | CallFailed | None = None
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self.demos = demos
        self._rubric = inspect.cleandoc(exam.judge.prompt.rubric)
        self._items: dict[str, Example] = {}
        for example in sorted(exam.train.values(), key=lambda e: e.id):
            self._items.setdefault(self.shown(example.interaction), example)
        labels = [example.label for example in exam.train.values()]
        rarer = min((labels.count(label) for label in set(labels)), default=1)
        self.weights = {e.id: rarer / labels.count(e.label) for e in exam.train.values()}

    @property
    def threads(self) -> int:
        return min(MOST_THREADS, self.exam.judge.model.concurrency)

    @property
    def own_demos(self) -> tuple[str, ...]:
        """The demonstrations that the judge came with, where they are the same for every item."""
        selector = self.exam.judge.demos
        if selector.per_interaction:
            return ()
        return tuple(example.id for example in selector.pick(Interaction("", "", "")))

    def shown(self, interaction: Interaction) -> str:
        """An interaction as a field of DSPy's: what the judge sees of it."""
        return self.exam.judge.prompt.data(interaction)

    def example(self, shown: str) -> Example:
        return self._items[shown]

    def weight(self, example: Example) -> float:
        """Of an item in a score, so that a judge that always says the same gets half: 1 for the
        rarer label."""
        return self.weights[example.id]

    def candidate(self, instructions: str, demos: Sequence[Mapping[str, Any]]) -> Candidate:
        """The judge that a program of DSPy's is."""
        rubric = None if instructions == self._rubric else instructions.strip()
        if not self.demos:
            return Candidate(rubric, None)
        ids = tuple(dict.fromkeys(self.example(demo["interaction"]).id for demo in demos))
        return Candidate(rubric, None if ids == self.own_demos else ids)

    async def run(self, work: Callable[[], str]) -> str:
        """Do `work` in a thread; how it ended, in words: what it says itself, or the budget.

        Raises:
            CallFailed: an answer did not come, or the run is being stopped.
        """
        # A thread of its own: the loop's few are what answers are kept in, and optimisers that
        # held them all would wait for each other's answers for ever.
        own = concurrent.futures.ThreadPoolExecutor(1, "optimizer")
        context = copy_context()
        thread = self._loop.run_in_executor(own, context.run, _until_halted, work)
        try:
            ended = await asyncio.shield(thread)
        finally:
            own.shutdown(wait=False)
            self._closed = True
            await self.exam.close()  # who still waits for an answer learns that none comes
            await asyncio.gather(thread, return_exceptions=True)
        if isinstance(self.ended, CallFailed):
            raise self.ended
        if self.ended is None:
            self.learnt.settle()
        return ended

    def complete(self, model: Model, asked: Any) -> Reply:
        """The answer to a request of DSPy's; called in its threads. Raises Halt."""
        request = self.request(model, asked, _item.get(), _rollout.get())
        future = asyncio.run_coroutine_threadsafe(self._answer(model, request), self._loop)
        try:
            return future.result()
        except (Spent, CallFailed) as ended:
            self.ended = self.ended or ended
            raise Halt from ended
        except concurrent.futures.CancelledError:
            raise Halt from None

    async def _answer(self, model: Model, request: Request) -> Reply:
        async with self.exam.calls.pool.turn(model):
            if self._closed or self.ended is not None:
                raise Spent
            return await self.exam.ask(model, request)

    def request(self, model: Model, asked: Any, item: str, rollout: int | None) -> Request:
        """Our request for one of DSPy's: for a judge, what the runner sends.

        A temperature of DSPy's overrides the model's, and its rollout is our repeat: two rollouts
        are two samples.
        """
        turns = [Turn("system", asked.system)] if asked.system else []
        turns += [Turn(message.role, message.text) for message in asked.messages]
        request = model.request(tuple(turns), rollout or 0, item)
        if not item:  # the writer gives no verdict
            request = replace(request, response_format=None)
        if asked.config.temperature is not None:
            parameters = {**request.parameters, "temperature": asked.config.temperature}
            request = replace(request, parameters=parameters)
        return request

    def judged(self, candidate: Candidate, interaction: Interaction, text: str) -> Parsed:
        """A judge's answer, read by our parser; whether it was right is noted."""
        parsed = parse(Reply(text))
        example = self.exam.train[interaction.id]
        place = (example.id, _rollout.get())
        self.learnt.note(candidate, place, parsed.label == example.label)
        return parsed

    def settle(self) -> None:
        """A batch is over: what it taught counts. Called where no thread is at work."""
        self.learnt.settle()
        if ranked := self.learnt.ranked(self.weights):
            self.exam.best = f"{ranked[0][1]:.0%} of train"

    def finalists(self, most: int) -> list[tuple[Candidate, float]]:
        """The best on train, with what they got right there, the judge as it came left out."""
        ranked = self.learnt.ranked(self.weights)
        return [(one, share) for one, share in ranked if one != Candidate()][:most]


def _until_halted(work: Callable[[], str]) -> str:
    try:
        return work()
    except Halt:
        return "the budget of answers was used"


_item: ContextVar[str] = ContextVar("item", default="")
_rollout: ContextVar[int | None] = ContextVar("rollout", default=None)


@contextmanager
def asking(item: str) -> Iterator[None]:
    """What is asked within is the judging of this item."""
    token = _item.set(item)
    try:
        yield
    finally:
        _item.reset(token)


@contextmanager
def sampling(rollout: int | None) -> Iterator[None]:
    """What is asked within is this sample."""
    token = _rollout.set(rollout)
    try:
        yield
    finally:
        _rollout.reset(token)
