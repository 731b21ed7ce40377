"""For each interaction the k most similar examples."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from judgelab.data.split import TrainSet
from judgelab.demos.base import DemoSelector
from judgelab.types import Example, Interaction


class NearestDemos(DemoSelector):
    """The most similar one stands last, closest to the question."""

    per_interaction = True

    @classmethod
    def unused(cls, node: Mapping[str, Any]) -> Iterable[str]:
        return ("seed",)

    def prepare(self, train: TrainSet) -> None:
        from judgelab.demos.similarity import Space

        super().prepare(train)
        self._space = Space(self.train) if self.train else None

    def select(
        self,
        train: Sequence[Example],
        interaction: Interaction | None,
        k: int,
        rng: random.Random,
    ) -> list[Example]:
        if interaction is None or self._space is None:
            return []
        order = (-self._space.to_all(interaction)).argsort(kind="stable")
        return [train[i] for i in order[:k]][::-1]
