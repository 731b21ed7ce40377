"""Optimizers that have a model write the rubric, and pick demonstrations: DSPy's, on our pool."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, ClassVar, TypedDict

from judgelab.calls.line import Calls
from judgelab.data.split import DevSet, TrainSet
from judgelab.errors import ConfigError, UserError
from judgelab.models.base import Model
from judgelab.optimizers.base import Improved, Optimizer, check_budget, check_metric
from judgelab.optimizers.choice import choose, kept_back
from judgelab.optimizers.dspy_bridge import Bridge
from judgelab.optimizers.dspy_room import in_room
from judgelab.optimizers.exam import Exam, prompted
from judgelab.optimizers.kept import check_name

FEWEST_EXAMPLES = 8  # of train: half of them teach, half of them tell
FINALISTS = 8


class Common(TypedDict, total=False):
    """The arguments that these optimizers hand on as they are."""

    metric: str
    seed: int
    model: Any
    save: str | None


class WrittenOptimizer(Optimizer):
    """What these share: DSPy learns from train alone, then dev chooses among what it came to.

    `model` writes; null is the judge's own. `save` names the rubric in the lab that the result is
    kept as. `max_demos` is how many demonstrations are picked; 0 leaves the judge's own.
    """

    transport: ClassVar[frozenset[str]] = frozenset({"save"})

    def __init__(
        self,
        budget: int,
        metric: str = "kappa",
        seed: int = 0,
        model: Any = None,
        save: str | None = None,
        max_demos: int = 0,
    ) -> None:
        if isinstance(model, str):
            raise ValueError(
                f"optimizer.model={model!r} is a model's node: choose it with "
                f"model@optimizer.model={model}"
            )
        if max_demos < 0:
            raise ValueError(f"optimizer.max_demos must be >= 0, got {max_demos}")
        self.budget: int = check_budget(budget)
        self.metric = check_metric(metric)
        self.seed = seed
        self.model = model if isinstance(model, Model) else None
        self.save = check_name(save)
        self.max_demos = max_demos

    @classmethod
    def unused(cls, node: Mapping[str, Any]) -> Iterable[str]:
        model = node.get("model")
        nobody = model is None or (isinstance(model, Mapping) and "_target_" not in model)
        return ("model",) if nobody else ()

    def check(self, judge: Mapping[str, Any]) -> None:
        made = prompted(judge)
        name = type(self).__name__.lower()
        if not made.llm:
            raise ConfigError(
                f"optimizer={name}: model={made.model.name} is no LLM: it reads no rubric, so none "
                "can be written for it. Take a model such as model=openai, or "
                "optimizer=demo_search, which looks for the demonstrations alone."
            )
        if self.model is not None:
            if not self.model.llm:
                raise ConfigError(
                    f"optimizer={name}: optimizer.model={self.model.name} is no LLM and cannot "
                    "write a rubric. Leave it out, and the judge's own model writes."
                )
            self.model.check()

    async def improve(
        self, judge: Mapping[str, Any], train: TrainSet, dev: DevSet, calls: Calls
    ) -> Improved:
        if len(train) < FEWEST_EXAMPLES or len({example.label for example in train}) < 2:
            raise UserError(
                f"train holds {len(train)} labelled examples, and an optimizer that writes rubrics "
                f"learns from {FEWEST_EXAMPLES} at least, of both labels. split.ratios says how "
                "many are train's; a new split.name assigns anew."
            )
        exam = Exam(judge, train, calls, self.budget, self.metric, self.watch)
        bridge = Bridge(exam, self.model or exam.judge.model, demos=self.max_demos > 0)
        try:
            # What dev needs to choose is kept back.
            exam.budget = self.budget - kept_back(self.budget, dev)
            ended = await bridge.run(partial(in_room, bridge, self.work))
            learnt = exam.used
            exam.budget = self.budget
            finalists = bridge.finalists(FINALISTS)
            best, on_dev = await choose(
                exam, [one for one, _ in finalists], dev, random.Random(self.seed)
            )
        finally:
            await exam.close()
        on_train = [
            {"rubric": one.rubric, "demos": one.demos, "right": round(share, 6)}
            for one, share in finalists
        ]
        story = {
            "metric": self.metric,
            "ended": ended,
            "answers": {"train": learnt, "dev": exam.used - learnt},
            "on_train": on_train,
            "on_dev": on_dev,
        }
        return Improved(exam.judge_of(best), len(exam.tried), story)

    @abstractmethod
    def work(self, bridge: Bridge) -> None:
        """Let DSPy learn; every judge it tries is noted by the bridge. Runs in a thread."""
