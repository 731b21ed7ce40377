"""Candidates on labelled examples: asked within a budget of answers, scored as a sweep chooses."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from judgelab import config as configs
from judgelab.calls.line import Calls
from judgelab.calls.stream import as_completed
from judgelab.data.split import TrainSet
from judgelab.errors import ConfigError
from judgelab.judges.base import Judge
from judgelab.judges.prompted import PromptedJudge
from judgelab.metrics.names import named
from judgelab.models.base import Message, Model, Reply, Request
from judgelab.optimizers.base import Watch, unwatched
from judgelab.parsing import Parsed, parse
from judgelab.prompts import Prompt
from judgelab.scoring import short
from judgelab.types import CODES, Example, Interaction, Label

CHOSEN = "judgelab.demos.chosen.ChosenDemos"
NOBODY = "judgelab.demos.none.NoDemos"
FEWEST = 8  # items that the first cut of a race looks at


class Spent(Exception):
    """The budget of answers does not hold the next ones; nothing of them was asked."""


@dataclass(frozen=True)
class Candidate:
    """A judge by what it changes: None is the rubric that it has, or the demos its selector
    picks; `demos` are ids of train, in the order shown."""

    rubric: str | None = None
    demos: tuple[str, ...] | None = None


@dataclass(frozen=True, order=True)
class Score:
    """How good a candidate is: the metric (-inf where undefined), and where that ties the mean of
    the two recalls; both over `n` items."""

    metric: float
    balance: float
    n: int = 0

    def to_json(self) -> dict[str, Any]:
        value = None if math.isinf(self.metric) else round(self.metric, 6)
        return {"metric": value, "balanced": round(self.balance, 6), "n": self.n}


class Exam:
    """Every answer an optimizer gets. Use it within one event loop.

    An answer counts once, by the key of its request, wherever it came from: the same seed then
    makes the same judge whatever the call store holds. `watch` is told of every answer, and of
    the `best` so far.
    """

    def __init__(
        self,
        node: Mapping[str, Any],
        train: TrainSet,
        calls: Calls,
        budget: int,
        metric: str,
        watch: Watch = unwatched,
    ) -> None:
        self.node = node
        self.judge = prompted(node)
        self.judge.prepare(train, calls)
        self.train = {example.id: example for example in train}
        self.calls = calls
        self.budget = budget
        self.metric = metric
        self.best = ""
        self._watch, self._of = watch, budget
        self.tried: dict[Candidate, None] = {}
        self._answers: dict[str, asyncio.Task[Reply]] = {}
        self._prompts: dict[str, Prompt] = {}
        self._requests: dict[tuple[Candidate, str], Request] = {}

    @property
    def used(self) -> int:
        return len(self._answers)

    @property
    def left(self) -> int:
        return self.budget - self.used

    async def ask(self, model: Model, request: Request) -> Reply:
        """The answer to a request. Raises Spent, and CallFailed as the pool does."""
        task = self._answers.get(request.key)
        if task is None:
            if self.left < 1:
                raise Spent
            task = asyncio.create_task(self.calls.ask(model, request))
            self._answers[request.key] = task
            self._watch(self.used, self._of, self.best)
        return await asyncio.shield(task)

    def say_best(self, score: Score) -> None:
        """The score of the best so far, on dev."""
        found = "–" if math.isinf(score.metric) else short(score.metric)
        self.best = f"{named(self.metric)} {found}"
        self._watch(self.used, self._of, self.best)

    async def close(self) -> None:
        """End what is still being asked; what is on the wire comes in, and is kept."""
        waiting = [task for task in self._answers.values() if not task.done()]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    def prompt(self, rubric: str | None) -> Prompt:
        """The judge's prompt with another rubric."""
        if rubric is None or rubric == self.judge.prompt.rubric:
            return self.judge.prompt
        if rubric not in self._prompts:
            self._prompts[rubric] = replace(self.judge.prompt, rubric=rubric)
        return self._prompts[rubric]

    def messages(self, candidate: Candidate, interaction: Interaction) -> tuple[Message, ...]:
        """What the judge is asked. An example of train is not shown to itself, nor its group."""
        if candidate.demos is None:
            demos = self.judge.demos.pick(interaction)
        else:
            demos = [self.train[one] for one in candidate.demos]
        if interaction.id in self.train:
            demos = [demo for demo in demos if not _related(demo.interaction, interaction)]
        return self.prompt(candidate.rubric).messages(demos, interaction)

    def request(self, candidate: Candidate, interaction: Interaction) -> Request:
        """As the runner would send it."""
        place = (candidate, interaction.id)
        if place not in self._requests:
            messages = self.messages(candidate, interaction)
            self._requests[place] = self.judge.model.request(messages, 0, interaction.id)
        return self._requests[place]

    def judge_of(self, candidate: Candidate) -> dict[str, Any]:
        """The node of the judge that a candidate is."""
        node = dict(self.node)
        if candidate.rubric is not None and candidate.rubric != self.judge.prompt.rubric:
            node["rubric"] = candidate.rubric.strip() + "\n"  # a line break: the text itself
        if candidate.demos is not None:
            ids, show = list(candidate.demos), self.judge.demos.show
            chosen = {"_target_": CHOSEN, "ids": ids, "show": show}
            node["demos"] = chosen if ids else {"_target_": NOBODY}
        return configs.variant_of(node)

    def cost(self, candidate: Candidate, examples: Sequence[Example]) -> int:
        """How many of its answers on these are not there yet."""
        keys = {self.request(candidate, example.interaction).key for example in examples}
        return len(keys - self._answers.keys())

    async def verdicts(self, candidate: Candidate, examples: Sequence[Example]) -> list[Parsed]:
        """In the order of the examples. Raises Spent where the budget does not hold them all."""
        model = self.judge.model
        requests = [self.request(candidate, example.interaction) for example in examples]
        if self.cost(candidate, examples) > self.left:
            raise Spent
        self.tried[candidate] = None

        async def one(numbered: tuple[int, Request]) -> tuple[int, Parsed]:
            number, request = numbered
            async with self.calls.pool.turn(model):
                return number, parse(await self.ask(model, request))

        found: dict[int, Parsed] = {}
        workers = self.calls.pool.workers(model)
        async with aclosing(as_completed(enumerate(requests), one, workers)) as answers:
            async for number, parsed in answers:
                found[number] = parsed
        return [found[number] for number in range(len(requests))]

    async def score(self, candidate: Candidate, examples: Sequence[Example]) -> Score:
        """Raises Spent where the budget does not hold all its answers."""
        verdicts = await self.verdicts(candidate, examples)
        return score_of(self.metric, examples, [verdict.label for verdict in verdicts])

    async def race(
        self, candidates: Sequence[Candidate], examples: Sequence[Example], answers: int
    ) -> list[tuple[Candidate, Score]]:
        """Those that stand at the end, best first: every cut keeps the better half, on more items.

        All see the same items, the first of `examples`; `answers` are shared evenly by the cuts.
        Source: successive halving, Jamieson & Talwalkar 2016, AISTATS, algorithm 1.
        """
        standing = list(dict.fromkeys(candidates))
        cuts = max(1, math.ceil(math.log2(max(2, len(standing)))))
        seen = 0
        while True:
            more = max(1, answers // (cuts * len(standing)))
            seen = min(len(examples), max(FEWEST, seen + more))
            scored = [(one, await self.score(one, examples[:seen])) for one in standing]
            scored.sort(key=lambda pair: pair[1], reverse=True)
            if len(standing) <= 2 or seen == len(examples):
                return scored
            standing = [one for one, _ in scored[: math.ceil(len(scored) / 2)]]


def prompted(node: Mapping[str, Any]) -> PromptedJudge:
    """The prompted judge of a node. Raises ConfigError for one of another kind."""
    judge = configs.build(node, Judge, "judge")
    if not isinstance(judge, PromptedJudge):
        raise ConfigError(
            f"optimizer: {type(judge).__name__} has no rubric and no demonstrations to improve. "
            "Take judge=prompted, or optimizer=none."
        )
    return judge


def score_of(metric: str, examples: Sequence[Example], labels: Sequence[Label | None]) -> Score:
    """The point estimate over these; an abstention counts as wrong, positive class fail."""
    from judgelab.metrics.agreement import estimate
    from judgelab.metrics.confusion import Confusion

    expert = [example.label == "fail" for example in examples]
    table = Confusion.from_arrays(expert, [CODES[label] for label in labels])
    value, balance = (estimate(name, table).value for name in (metric, "balanced_accuracy"))
    if balance is None:
        balance = estimate("agreement", table).value or 0.0
    return Score(-math.inf if value is None else value, balance, len(examples))


def mixed(examples: Sequence[Example], rng: random.Random) -> list[Example]:
    """In random order, both labels spread evenly: the first n hold their share of fails."""
    sides = ([e for e in examples if e.label == "fail"], [e for e in examples if e.label == "pass"])
    placed = []
    for side in sides:
        for number, example in enumerate(rng.sample(side, len(side))):
            placed.append(((number + rng.random()) / len(side), example.id, example))
    return [example for *_, example in sorted(placed, key=lambda one: one[:2])]


def _related(one: Interaction, other: Interaction) -> bool:
    return one.id == other.id or (one.group is not None and one.group == other.group)
