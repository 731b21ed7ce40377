"""A sample of the interactions that there are: at random, or evenly over cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from judgelab.data.cells import Grid
from judgelab.data.dimensions import Cell
from judgelab.types import Interaction, sha256


@dataclass(frozen=True)
class Drawn:
    """An interaction of a sample. `weight` is how many of the population it stands for: the inverse
    of the probability with which it was drawn."""

    item: Interaction
    weight: float

    def to_json(self) -> dict[str, Any]:
        """As a row that dataset=jsonl reads; without a label, and the weight where no judge sees
        it."""
        one = self.item
        row: dict[str, Any] = {"id": one.id, "input": one.input, "output": one.output}
        row |= {"context": dict(one.context), "dimensions": dict(one.dimensions)}
        row |= {"group": one.group, "metadata": {"weight": self.weight}}
        return {name: value for name, value in row.items() if value}


def draw(items: Sequence[Interaction], n: int, seed: int, cells: Grid | None = None) -> list[Drawn]:
    """At most `n` of the items, in a random order; whatever their order, the same ones.

    With `cells` as many of each cell as there can be: one of every cell in turn, the cells in a
    random order, until there are n.
    """
    shuffled = sorted(items, key=lambda one: sha256(f"{seed}:{one.id}"))
    if cells is None:
        return [Drawn(one, len(items) / min(n, len(items))) for one in shuffled[:n]]
    there: dict[Cell, list[Interaction]] = {}
    for one in shuffled:
        there.setdefault(cells.of(one), []).append(one)
    order = sorted(there, key=lambda cell: sha256(f"{seed}:{cell}"))
    taken = dict.fromkeys(order, 0)
    left = min(n, len(items))
    while left:
        for cell in order:
            if left and taken[cell] < len(there[cell]):
                taken[cell] += 1
                left -= 1
    drawn = [
        Drawn(one, len(there[cell]) / taken[cell])
        for cell in order
        for one in there[cell][: taken[cell]]
    ]
    return sorted(drawn, key=lambda one: sha256(f"{seed}:{one.item.id}"))
