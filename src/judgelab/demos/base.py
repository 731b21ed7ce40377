"""The contract of a demo selector: which examples of train a judge is shown.

A selector that picks by what the judge gets wrong has a rehearsal: the judge asks it what to judge,
judges that through its own pool, and tells it the verdicts before the first real prompt is made.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from judgelab.data.critiques import is_fit, is_missing
from judgelab.data.split import TrainSet
from judgelab.types import Example, Interaction, Label

SHOW = ("critique", "label")
Rehearsed = tuple[Sequence[Example], Example]  # demos, and the example to be judged with them


class DemoSelector(ABC):
    """`prepare` once, `learn` once where there is a rehearsal, then `pick` for each interaction.

    A selector with `per_interaction` false picks once, and the same demos stand in every prompt.
    `select` is given the usable examples of train and an rng that depends on the seed alone; it
    changes neither.
    """

    per_interaction = False

    def __init__(self, k: int, seed: int = 0, show: str = "critique") -> None:
        if k < 0:
            raise ValueError(f"demos.k must be >= 0, got {k}")
        if not isinstance(seed, int):
            raise ValueError(f"demos.seed must be a whole number, got {seed!r}")
        if show not in SHOW:
            raise ValueError(f"demos.show must be one of {SHOW}, got {show!r}")
        self.k = k
        self.seed = seed
        self.show = show
        self._picked: list[Example] | None = None

    @classmethod
    def unused(cls, node: Mapping[str, Any]) -> Iterable[str]:
        """The keys of this selector's config that have no effect."""
        return ()

    def prepare(self, train: TrainSet) -> None:
        """Called once, with all of train."""
        self.train = usable(train, self.show)
        if not self.per_interaction:
            self._picked = self.select(self.train, None, self.k, random.Random(self.seed))

    def rehearsal(self) -> list[Rehearsed]:
        """What the judge is to judge before this selector picks for good, asked after `prepare`:
        examples of train, each with the demos to be shown. Empty: nothing. Until `learn`, `pick`
        gives demos that cost as much to show."""
        return []

    def learn(self, verdicts: Mapping[str, Label | None]) -> None:  # noqa: B027
        """The verdict on each example of the rehearsal, by id; None: the judge abstained."""

    def pick(self, interaction: Interaction) -> list[Example]:
        """The demos to show for this interaction, in the order they are shown."""
        if self._picked is not None:
            return self._picked
        return self.select(self.train, interaction, self.k, random.Random(self.seed))

    @abstractmethod
    def select(
        self,
        train: Sequence[Example],
        interaction: Interaction | None,
        k: int,
        rng: random.Random,
    ) -> list[Example]:
        """At most k examples; fewer only where train has fewer."""


def usable(train: Sequence[Example], show: str) -> list[Example]:
    """The examples fit to be shown, sorted by id so that no file order matters.

    Where critiques are shown, one that contradicts its label stays out, and so does a fail without
    one, which teaches nothing; where no fail has a critique at all, the labels have to do.
    """
    ordered = sorted(train, key=lambda example: example.id)
    if show == "label" or all(is_missing(e) for e in ordered if e.label == "fail"):
        return ordered
    return [example for example in ordered if is_fit(example)]


def by_label(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """(fails, passes)."""
    fails = [example for example in examples if example.label == "fail"]
    return fails, [example for example in examples if example.label == "pass"]


def take_turns(fails: Sequence[Example], passes: Sequence[Example], k: int) -> list[Example]:
    """Fail, pass, fail, ... up to k; where one side ends, the other goes on."""
    taken: list[Example] = []
    sides = [list(fails), list(passes)]
    while len(taken) < k and any(sides):
        side = sides[len(taken) % 2] or sides[1 - len(taken) % 2]
        taken.append(side.pop(0))
    return taken
