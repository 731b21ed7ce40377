"""Which of the expert's critiques to show: sets of demonstrations, raced on dev."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from judgelab.calls.line import Calls
from judgelab.data.split import DevSet, TrainSet
from judgelab.demos.base import by_label, take_turns, usable
from judgelab.errors import ConfigError
from judgelab.optimizers.base import Improved, Optimizer, check_budget, check_metric
from judgelab.optimizers.choice import choose, kept_back
from judgelab.optimizers.exam import FEWEST, Candidate, Exam, Score, Spent, mixed, prompted
from judgelab.types import Example

STRATEGIES = ("greedy", "random", "bootstrap")
MOST = 64  # sets in a race
LOOKS = 8  # answers a set gets before the first cut of a race, on average
STEP = 8  # sets that differ in one demonstration, raced at a time
FINALISTS = 3
PATIENCE = 4  # changes in a row that were none for the better
LEAST_LOOKS = 6  # at all of dev: with fewer answers than that a part of dev stands for it


class DemoSearch(Optimizer):
    """Keeps the number of demonstrations (`demos.k`) and looks for the best ones.

    `strategy`: random draws sets anew and races them; greedy goes on from the best of such a race,
    grows its best half again one demonstration at a time, then changes one at a time; bootstrap
    draws from the examples that the judge itself gets right.
    """

    def __init__(
        self, budget: int, metric: str = "kappa", strategy: str = "greedy", seed: int = 0
    ) -> None:
        if strategy not in STRATEGIES:
            raise ValueError(f"optimizer.strategy must be one of {STRATEGIES}, got {strategy!r}")
        self.budget: int = check_budget(budget)
        self.metric = check_metric(metric)
        self.strategy = strategy
        self.seed = seed

    def check(self, judge: Mapping[str, Any]) -> None:
        if not prompted(judge).demos.k:
            raise ConfigError(
                "optimizer=demo_search looks for the best demos.k critiques, and this judge is "
                "shown none. Take demos=balanced demos.k=8 to say how many."
            )

    async def improve(
        self, judge: Mapping[str, Any], train: TrainSet, dev: DevSet, calls: Calls
    ) -> Improved:
        exam = Exam(judge, train, calls, self.budget, self.metric, self.watch)
        try:
            exam.budget -= kept_back(self.budget, dev, looks=2)
            search = _Search(exam, dev, random.Random(self.seed))
            if search.k:
                await search.run(self.strategy)
            exam.budget = self.budget
            found = [search.best] if search.best != Candidate() else []
            # The same order of dev as in the search: what is answered there is not asked again.
            best, on_dev = await choose(exam, found, dev, random.Random(self.seed))
        finally:
            await exam.close()
        story = {"strategy": self.strategy, "metric": self.metric, "answers": exam.used}
        story |= search.story() | {"on_dev": on_dev}
        return Improved(exam.judge_of(best), len(exam.tried), story)


class _Search:
    """The best so far, and how it was come to."""

    def __init__(self, exam: Exam, dev: Sequence[Example], rng: random.Random) -> None:
        self.exam = exam
        self.rng = rng
        self.pool = usable(list(exam.train.values()), exam.judge.demos.show)
        self.k = min(exam.judge.demos.k, len(self.pool))
        self.dev = mixed(dev, rng)[: max(FEWEST, exam.budget // LEAST_LOOKS)]
        self.best = Candidate()
        self.found: list[tuple[Candidate, Score]] = []

    def story(self) -> dict[str, Any]:
        rows = [{"demos": one.demos, **score.to_json()} for one, score in self.found]
        return {"dev_items": len(self.dev), "found": rows}

    async def run(self, strategy: str) -> None:
        """Until the budget does not hold another judge on all of dev."""
        try:
            await self._look(self.best)
            pool = await self._mastered() if strategy == "bootstrap" else self.pool
            await self._draw(pool)
            if strategy == "greedy":
                await self._grow()
                await self._change()
            before = -1
            while self.exam.left > len(self.dev) and self.exam.used > before:
                before = self.exam.used
                await self._draw(pool)
        except Spent:
            pass

    async def _draw(self, pool: Sequence[Example]) -> None:
        """Random sets: half of the answers that are left go into their race."""
        answers = self.exam.left // 2
        field = self._field(self._draws(self.k, pool), answers)
        for one in (await self._race(field, answers))[:FINALISTS]:
            await self._look(one)

    async def _look(self, candidate: Candidate) -> bool:
        """Score it on all of dev; True where it is the best so far. Of equal ones the first is."""
        score = await self.exam.score(candidate, self.dev)
        better = not self.found or score > self.found[-1][1]
        if better:
            self.best = candidate
            self.found.append((candidate, score))
            self.exam.say_best(score)
        return better

    async def _race(self, field: Sequence[Candidate], answers: int) -> list[Candidate]:
        return [one for one, _ in await self.exam.race(field, self.dev, answers)]

    async def _grow(self) -> None:
        """Forward from the best half of the best set: each time the one that adds most."""
        answers = self.exam.left // 4
        whole = self._ids()
        few = max(1, self.k // 2)
        halves = [self.rng.sample(whole, min(few, len(whole))) for _ in range(STEP)]
        demos = await self._first([tuple(half) for half in halves], answers // 2)
        while len(demos) < self.k:
            grown = [(*demos, more) for more in self._others(demos, STEP)]
            demos = await self._first(grown, answers // 2 // (self.k - few))
        await self._look(Candidate(None, demos))

    async def _change(self) -> None:
        """Put another demonstration in the place of one, while that makes it better."""
        missed = 0
        while self.exam.left > len(self.dev) and missed < PATIENCE:
            best = self._ids()
            field = [best]
            for other in self._others(best, STEP):
                place = self.rng.randrange(len(best))
                field.append((*best[:place], other, *best[place + 1 :]))
            first = await self._first(field, 2 * len(self.dev))
            better = first != best and await self._look(Candidate(None, first))
            missed = 0 if better else missed + 1

    async def _first(self, sets: Sequence[tuple[str, ...]], answers: int) -> tuple[str, ...]:
        return (await self._race([Candidate(None, one) for one in sets], answers))[0].demos or ()

    def _ids(self) -> tuple[str, ...]:
        """The demonstrations of the best set; where the judge picks them for each item, those
        that it picks for one."""
        if self.best.demos is not None:
            return self.best.demos
        picked = self.exam.judge.demos.pick(self.dev[0].interaction)
        return tuple(example.id for example in picked)

    def _others(self, demos: Sequence[str], n: int) -> list[str]:
        rest = [example.id for example in self.pool if example.id not in demos]
        return self.rng.sample(rest, min(n, len(rest)))

    def _field(self, candidates: Iterator[Candidate], answers: int) -> list[Candidate]:
        """As many different ones as a race of so many answers has a use for."""
        field: dict[Candidate, None] = {}
        for candidate in candidates:
            n = len(field) + 1
            if n > MOST or (n > 2 and n * math.ceil(math.log2(n)) * LOOKS > answers):
                break
            field[candidate] = None
        return list(field)

    def _draws(self, k: int, pool: Sequence[Example]) -> Iterator[Candidate]:
        """Random sets, in turn as many fails as passes and whatever comes."""
        fails, passes = by_label(pool)
        for number in range(8 * MOST):
            if number % 2:
                drawn = self.rng.sample(pool, min(k, len(pool)))
            else:
                drawn = take_turns(
                    self.rng.sample(fails, len(fails)), self.rng.sample(passes, len(passes)), k
                )
            yield Candidate(None, tuple(example.id for example in drawn))

    async def _mastered(self) -> list[Example]:
        """The examples of train that the judge gets right without seeing their labels; all of
        them where it masters too few."""
        verdicts = await self.exam.verdicts(Candidate(), self.pool)
        pairs = zip(self.pool, verdicts, strict=True)
        right = [example for example, verdict in pairs if verdict.label == example.label]
        return right if len(right) > self.k else self.pool
