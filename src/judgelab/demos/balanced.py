"""As many fails as passes, drawn once, in turn."""

from __future__ import annotations

import random
from collections.abc import Sequence

from judgelab.demos.base import DemoSelector, by_label, take_turns
from judgelab.types import Example, Interaction


class BalancedDemos(DemoSelector):
    def select(
        self,
        train: Sequence[Example],
        interaction: Interaction | None,
        k: int,
        rng: random.Random,
    ) -> list[Example]:
        fails, passes = by_label(train)
        return take_turns(rng.sample(fails, len(fails)), rng.sample(passes, len(passes)), k)
