"""The race of a sweep's variants, as the runner meets it: blocks of items, until one is stopped.

All variants meet the items in one fixed random order, in step: a block is given out once every
variant still racing has answered all but the block before it. Who is stopped when depends on the
verdicts alone (`metrics.racing`), never on which call was the fastest.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from judgelab.rules import Rules
from judgelab.runner import Lane
from judgelab.scoring import majority
from judgelab.types import CODES, Label, Verdict

if TYPE_CHECKING:
    from judgelab.metrics.racing import Race


def in_flight(node: Any) -> int:
    """The most calls that a judge's models have on their way at a time."""
    inner = node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ()
    own = node.get("concurrency") if isinstance(node, Mapping) else None
    return max([own if isinstance(own, int) else 1, *map(in_flight, inner)])


def order(labels: Mapping[str, Label], seed: int) -> list[str]:
    """The one order in which all variants meet the items."""
    return random.Random(seed).sample(sorted(labels), len(labels))


class Track:
    """One race over the labelled items of a bench.

    Args:
        labels: of the items that are judged, by id.
        keys: who races.
        rules: the metric and the floors that choose the winner.
        seed: of the items' order, over all folds.
        wide: calls that may be on their way at a time.
        alpha: the most that the probability of stopping the winner may be.
        fast: by Optuna's WilcoxonPruner, without a promise.
    """

    def __init__(
        self,
        labels: Mapping[str, Label],
        keys: Sequence[str],
        rules: Rules,
        *,
        seed: int = 0,
        wide: int = 1,
        alpha: float = 0.05,
        fast: bool = False,
    ) -> None:
        import numpy as np

        from judgelab.metrics.racing import Race
        from judgelab.metrics.wilcoxon import WilcoxonRace

        self.order = order(labels, seed)
        self._place = {id_: n for n, id_ in enumerate(self.order)}
        self._index = {key: n for n, key in enumerate(keys)}
        self._wide = wide
        fails = np.array([labels[id_] == "fail" for id_ in self.order])
        self._race: Race
        if fast:
            self._race = WilcoxonRace(fails, len(keys), metric=rules.metric)
        else:
            metric, floors = rules.metric, rules.floors
            self._race = Race(fails, len(keys), metric=metric, floors=floors, alpha=alpha)
        self._left = [len(self.order)] * len(keys)  # items without a verdict
        self._moved = asyncio.Event()

    def lane(self, key: str) -> RaceLane:
        return RaceLane(self, self._index[key])

    def stopped(self, variant: int) -> int | None:
        """The number of items after which it was stopped."""
        at = int(self._race.at[variant])
        return None if at in (-1, len(self.order)) else at

    def racing(self, variant: int) -> bool:
        return bool(self._race.alive[variant])

    async def blocks(self, variant: int) -> AsyncIterator[Sequence[str]]:
        """Items to judge now, until all are judged or it is stopped."""
        start, before = 0, 0
        while start < len(self.order):
            while self.racing(variant) and self._race.seen < before:
                await self._moved.wait()
            if self.stopped(variant) is not None:
                return
            before = start
            size = math.ceil(self._wide / max(1, int(self._race.alive.sum())))
            yield self.order[start : start + size]
            start += size

    def tell(self, variant: int, ids: Sequence[str], verdicts: Sequence[Verdict]) -> None:
        """The verdicts on some items; who has none on one of them is no longer in the race."""
        found = majority(verdicts)
        for id_ in ids:
            if id_ not in found:
                self.withdraw(variant)
                return
            self._left[variant] -= 1
            if self.racing(variant):
                self._race.tell(variant, self._place[id_], CODES[found[id_]])
        self._move()

    def leave(self, variant: int) -> None:
        """It ended; where it has not answered all, it is in the race no longer."""
        if self._left[variant]:
            self.withdraw(variant)

    def withdraw(self, variant: int) -> None:
        """It is in the race no longer, and not stopped."""
        if self.racing(variant):
            self._race.withdraw(variant)
        self._move()

    def _move(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()


class RaceLane(Lane):
    """One variant's side of a race."""

    def __init__(self, track: Track, variant: int) -> None:
        self.track, self.variant = track, variant

    def blocks(self, ids: Sequence[str]) -> AsyncIterator[Sequence[str]]:
        return self.track.blocks(self.variant)

    def tell(self, ids: Sequence[str], verdicts: Sequence[Verdict]) -> None:
        self.track.tell(self.variant, ids, verdicts)

    def leave(self) -> None:
        self.track.leave(self.variant)

    @property
    def stopped(self) -> int | None:  # type: ignore[override]
        return self.track.stopped(self.variant)
