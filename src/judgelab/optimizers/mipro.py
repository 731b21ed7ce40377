"""MIPROv2: rubrics proposed from the data, demonstrations from what the judge gets right, combined.

Source: Opsahl-Ong et al. 2024, arXiv 2406.11695, as DSPy implements it.
"""

from __future__ import annotations

import random
from typing import Any, Unpack

from judgelab.optimizers.dspy_bridge import Bridge
from judgelab.optimizers.exam import mixed
from judgelab.optimizers.written import Common, WrittenOptimizer

MOST_TRIALS = 20
A_SET = 8  # answers that a set of demonstrations takes, roughly
A_RUBRIC = 3  # answers of the writer
SUMMARY = 12


class Mipro(WrittenOptimizer):
    """One half of train is drawn from, the other says which of `candidates` rubrics and sets of
    demonstrations go together; it makes the trials that the budget holds."""

    def __init__(
        self, budget: int, max_demos: int = 4, candidates: int = 6, **common: Unpack[Common]
    ) -> None:
        super().__init__(budget, max_demos=max_demos, **common)
        if candidates < 3:
            raise ValueError(f"optimizer.candidates must be >= 3, got {candidates}")
        self.candidates = candidates

    def work(self, bridge: Bridge) -> None:
        import dspy

        from judgelab.optimizers.dspy_room import example_of, program, writer

        def metric(gold: Any, pred: Any, trace: Any = None) -> float:
            example = bridge.example(gold.interaction)
            return bridge.weight(example) if pred.verdict == example.label else 0.0

        order = mixed(list(bridge.exam.train.values()), random.Random(self.seed))
        shown = [example_of(bridge, example) for example in order]
        half = len(shown) // 2
        first = self.candidates * (A_SET + A_RUBRIC) + SUMMARY
        trials = (bridge.exam.left - first) // (len(shown) - half) - 1
        dspy.MIPROv2(
            metric=metric,
            prompt_model=writer(bridge),
            task_model=dspy.settings.lm,
            max_bootstrapped_demos=self.max_demos,
            max_labeled_demos=self.max_demos,
            auto=None,
            num_candidates=self.candidates,
            num_threads=bridge.threads,
            seed=self.seed,
        ).compile(
            program(bridge),
            trainset=shown[:half],
            valset=shown[half:],
            num_trials=max(1, min(MOST_TRIALS, trials)),
            minibatch=False,
        )
