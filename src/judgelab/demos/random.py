"""k examples, drawn once."""

from __future__ import annotations

import random
from collections.abc import Sequence

from judgelab.demos.base import DemoSelector
from judgelab.types import Example, Interaction


class RandomDemos(DemoSelector):
    def select(
        self,
        train: Sequence[Example],
        interaction: Interaction | None,
        k: int,
        rng: random.Random,
    ) -> list[Example]:
        return rng.sample(train, min(k, len(train)))
