"""No demonstrations."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from judgelab.demos.base import DemoSelector
from judgelab.types import Example, Interaction


class NoDemos(DemoSelector):
    def __init__(self) -> None:
        super().__init__(0)

    @classmethod
    def unused(cls, node: Mapping[str, Any]) -> Iterable[str]:
        return ("k", "seed", "show")

    def select(
        self,
        train: Sequence[Example],
        interaction: Interaction | None,
        k: int,
        rng: random.Random,
    ) -> list[Example]:
        return []
