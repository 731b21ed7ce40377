"""Examples named by their ids, shown as they stand."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from judgelab.data.split import TrainSet
from judgelab.demos.base import DemoSelector
from judgelab.errors import ConfigError
from judgelab.types import Example, Interaction

SHOWN = 5  # ids in a message


class ChosenDemos(DemoSelector):
    """`ids` are examples of train, shown in the order given. `k` and `seed` are the group's common
    keys; what is named needs neither."""

    def __init__(
        self, ids: Sequence[str | int], show: str = "critique", k: int | None = None, seed: int = 0
    ) -> None:
        if isinstance(ids, str) or not all(type(one) in (str, int) for one in ids):
            raise ValueError(f"demos.ids must be a list of ids, such as [a,b], got {ids!r}")
        self.ids = [str(one) for one in ids]
        if twice := sorted({one for one in self.ids if self.ids.count(one) > 1}):
            raise ValueError(f"demos.ids names {', '.join(twice[:SHOWN])} more than once")
        super().__init__(len(self.ids), seed, show)

    @classmethod
    def unused(cls, node: Mapping[str, Any]) -> Iterable[str]:
        return ("k", "seed")

    def prepare(self, train: TrainSet) -> None:
        """Raises ConfigError where an id is not of train, and names it."""
        known = {example.id: example for example in train}
        if gone := [one for one in self.ids if one not in known]:
            raise ConfigError(
                f"demos.ids: {', '.join(gone[:SHOWN])} ({len(gone)} of {len(self.ids)}) "
                f"{'is' if len(gone) == 1 else 'are'} not among the {len(known)} labelled examples "
                "of train. Demonstrations come from train alone: judgelab data split shows who is "
                "there."
            )
        self.train = list(train)
        self._picked = [known[one] for one in self.ids]

    def select(
        self,
        train: Sequence[Example],
        interaction: Interaction | None,
        k: int,
        rng: random.Random,
    ) -> list[Example]:
        known = {example.id: example for example in train}
        return [known[one] for one in self.ids if one in known][:k]
