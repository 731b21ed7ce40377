"""k examples that cover the space of train, drawn once."""

from __future__ import annotations

import random
from collections.abc import Sequence

from judgelab.demos.base import DemoSelector, by_label
from judgelab.types import Example, Interaction


class DiverseDemos(DemoSelector):
    """Farthest first (Gonzalez 1985): each next one is the least like all before it.

    Fails and passes take turns; the first is drawn.
    """

    def select(
        self,
        train: Sequence[Example],
        interaction: Interaction | None,
        k: int,
        rng: random.Random,
    ) -> list[Example]:
        from judgelab.demos.similarity import Space

        if not train or not k:
            return []
        space = Space(train)
        fails, passes = by_label(train)
        first = train.index(rng.choice(fails or passes))
        chosen, closest = [first], space.between(first)
        while len(chosen) < min(k, len(train)):
            wanted = "fail" if train[chosen[-1]].label == "pass" else "pass"
            free = [i for i in range(len(train)) if i not in chosen]
            side = [i for i in free if train[i].label == wanted] or free
            best = min(side, key=lambda i: (closest[i], i))
            chosen.append(best)
            closest = closest.clip(space.between(best))
        return [train[i] for i in chosen]
