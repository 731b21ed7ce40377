"""What the judge itself gets wrong in train, in cross-validation."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from judgelab.data.split import TrainSet
from judgelab.demos.balanced import BalancedDemos
from judgelab.demos.base import DemoSelector, Rehearsed, by_label, take_turns
from judgelab.types import Example, Interaction, Label, sha256

FOLDS = 5


class HardDemos(DemoSelector):
    """Each usable example of train is judged with k balanced demos of the other folds; those judged
    otherwise than the expert did are picked, fails and passes in turn.

    Of more mistakes than k the seed draws; where there are too few, balanced demos fill up, each
    label its own places. An abstention is no mistake. What belongs together is in one fold.
    """

    def prepare(self, train: TrainSet) -> None:
        self._wrong: frozenset[str] = frozenset()
        super().prepare(train)
        self._folds = _folds(self.train, train.groups, self.seed)

    def rehearsal(self) -> list[Rehearsed]:
        if not self.k:
            return []
        found: list[Rehearsed] = []
        for fold in self._folds:
            own = {example.id for example in fold}
            others = [example for example in self.train if example.id not in own]
            shown = BalancedDemos(self.k, self.seed)
            demos = shown.select(others, None, self.k, random.Random(self.seed))
            found += [(demos, example) for example in fold]
        return found

    def learn(self, verdicts: Mapping[str, Label | None]) -> None:
        labels = {example.id: example.label for example in self.train}
        self._wrong = frozenset(
            id_ for id_, verdict in verdicts.items() if verdict not in (None, labels[id_])
        )
        self._picked = self.select(self.train, None, self.k, random.Random(self.seed))

    def select(
        self,
        train: Sequence[Example],
        interaction: Interaction | None,
        k: int,
        rng: random.Random,
    ) -> list[Example]:
        sides = [rng.sample(side, len(side)) for side in by_label(train)]
        fails, passes = (
            sorted(side, key=lambda example: example.id not in self._wrong) for side in sides
        )
        return take_turns(fails, passes, k)


def _folds(train: Sequence[Example], groups: Mapping[str, str], seed: int) -> list[list[Example]]:
    """Whole groups dealt out in an order that the seed draws, those with a fail first, so that each
    fold has some; fewer than FOLDS where there are fewer groups, none where there is but one."""
    members: dict[str, list[Example]] = {}
    for example in train:
        members.setdefault(groups[example.id], []).append(example)

    def place(group: str) -> tuple[bool, str]:
        return all(e.label == "pass" for e in members[group]), sha256([seed, group])

    order = sorted(members, key=place)
    n = min(FOLDS, len(order)) if len(order) > 1 else 0
    return [[e for group in order[fold::n] for e in members[group]] for fold in range(n)]
