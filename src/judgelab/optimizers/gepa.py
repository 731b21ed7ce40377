"""GEPA: rubrics that evolve by reflection on the expert's critiques.

Source: Agrawal et al. 2025, arXiv 2507.19457, as DSPy implements it.
"""

from __future__ import annotations

import random
from typing import Any, Unpack

from judgelab.optimizers.dspy_bridge import Bridge
from judgelab.optimizers.exam import mixed
from judgelab.optimizers.feedback import ABOUT_RUBRICS, feedback
from judgelab.optimizers.written import Common, WrittenOptimizer

STALLED = 10  # rounds in a row that asked nothing new


class Gepa(WrittenOptimizer):
    """One half of train is reflected on, the other says which rubrics are worth going on from."""

    def __init__(self, budget: int, minibatch: int = 4, **common: Unpack[Common]) -> None:
        super().__init__(budget, **common)
        if minibatch < 1:
            raise ValueError(f"optimizer.minibatch must be >= 1, got {minibatch}")
        self.minibatch = minibatch

    def work(self, bridge: Bridge) -> None:
        import dspy
        from dspy.teleprompt.gepa import InstructionProposer

        from judgelab.optimizers.dspy_room import example_of, program, writer

        def metric(
            gold: Any, pred: Any, trace: Any = None, pred_name: Any = None, pred_trace: Any = None
        ) -> Any:
            example = bridge.example(gold.interaction)
            score = bridge.weight(example) if pred.verdict == example.label else 0.0
            said = feedback(example, pred.verdict, pred.critique)
            return dspy.Prediction(score=score, feedback=said)

        order = mixed(list(bridge.exam.train.values()), random.Random(self.seed))
        order = [bridge.example(bridge.shown(example.interaction)) for example in order]
        half = len(order) // 2
        shown = [example_of(bridge, example) for example in order]
        dspy.GEPA(
            metric=metric,
            max_metric_calls=bridge.exam.left,
            reflection_minibatch_size=min(self.minibatch, half),
            reflection_lm=writer(bridge),
            instruction_proposer=InstructionProposer(additional_instructions=ABOUT_RUBRICS),
            perfect_score=min(bridge.weights.values()),
            use_merge=False,
            num_threads=bridge.threads,
            seed=self.seed,
            gepa_kwargs={"stop_callbacks": [_Stalled(bridge)]},
        ).compile(program(bridge), trainset=shown[:half], valset=shown[half:])


class _Stalled:
    """Whether nothing new has been asked for a while: every verdict it looks at is right."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self.used, self.rounds = -1, 0

    def __call__(self, state: Any) -> bool:
        used = self.bridge.exam.used
        self.rounds = self.rounds + 1 if used == self.used else 0
        self.used = used
        return self.rounds >= STALLED
