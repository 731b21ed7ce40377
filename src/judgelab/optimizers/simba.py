"""SIMBA: rules and demonstrations from samples that are right where others are wrong.

Source: DSPy's SIMBA, stochastic introspective mini-batch ascent.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Unpack

from judgelab.optimizers.dspy_bridge import Bridge
from judgelab.optimizers.feedback import feedback
from judgelab.optimizers.written import Common, WrittenOptimizer

MOST_STEPS = 8


class Simba(WrittenOptimizer):
    """Each step samples `candidates` answers to `batch` examples of train and makes as many new
    judges from them; it takes the steps that the budget holds."""

    def __init__(
        self,
        budget: int,
        max_demos: int = 4,
        batch: int = 16,
        candidates: int = 4,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(budget, max_demos=max_demos, **common)
        if batch < 2 or candidates < 2:
            raise ValueError(
                f"optimizer.batch and optimizer.candidates must be >= 2, got {batch}, {candidates}"
            )
        self.batch = batch
        self.candidates = candidates

    def work(self, bridge: Bridge) -> None:
        import dspy

        from judgelab.optimizers.dspy_room import example_of, program, writer

        def metric(gold: Any, pred: Any) -> Any:
            example = bridge.example(gold.interaction)
            if pred is None:  # the program raised
                return 0.0
            score = bridge.weight(example) if pred.verdict == example.label else 0.0
            said = feedback(example, pred.verdict, pred.critique)
            return dspy.Prediction(score=score, feedback=said)

        examples = sorted(bridge.exam.train.values(), key=lambda example: example.id)
        batch = min(self.batch, len(examples))
        a_step = batch * (2 * self.candidates + 1) + self.candidates + 1
        the_end = (self.candidates + 1) * len(examples)
        steps = (bridge.exam.left - the_end) // a_step
        simba = dspy.SIMBA(
            metric=metric,
            bsize=batch,
            num_candidates=self.candidates,
            max_steps=max(1, min(MOST_STEPS, steps)),
            max_demos=self.max_demos,
            prompt_model=writer(bridge),
            num_threads=bridge.threads,
        )
        simba.strategies = [_settling(bridge, strategy) for strategy in simba.strategies]
        shown = [example_of(bridge, example) for example in examples]
        simba.compile(program(bridge), trainset=shown, seed=self.seed)


def _settling(bridge: Bridge, strategy: Callable[..., bool]) -> Callable[..., bool]:
    """SIMBA makes a new judge after all answers of a batch are there."""

    @functools.wraps(strategy)
    def settled(*given: Any, **more: Any) -> bool:
        bridge.settle()
        return strategy(*given, **more)

    return settled
