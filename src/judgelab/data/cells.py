"""Cells: the combinations of dimensions that items lie in, the same for all who count them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from judgelab.data.dimensions import Cell, Dimensions
from judgelab.errors import ConfigError
from judgelab.types import Interaction

MOST = 2000  # cells that are made from the data's own values; of more, those that occur


@dataclass(frozen=True)
class Grid:
    """The cells of some dimensions.

    Attributes:
        names: the dimensions.
        cells: what can be, empty ones among them, in a fixed order.
        impossible: how many combinations the dimensions yaml rules out.
        declared: whether a dimensions yaml says so; else the cells are made from the data.
        whole: whether `cells` holds all combinations that can be; not where they would be too many.
    """

    names: tuple[str, ...]
    cells: tuple[Cell, ...]
    impossible: int = 0
    declared: bool = False
    whole: bool = True

    def of(self, item: Interaction) -> Cell:
        """The cell of an item; "" stands for a dimension that it lacks."""
        return tuple(str(item.dimensions.get(name, "")) for name in self.names)


def grid(
    items: Sequence[Interaction], dimensions: Dimensions | None = None, by: Sequence[str] = ()
) -> Grid:
    """The cells of `by`, or of all dimensions.

    Raises:
        ConfigError: a dimension that is not there.
    """
    found = sorted({str(name) for item in items for name in item.dimensions})
    there = [*dimensions.names, *found] if dimensions else found
    if strange := [name for name in by if name not in there]:
        raise ConfigError(
            f"--by {','.join(strange)}: no such dimension. There are: "
            f"{', '.join(dict.fromkeys(there)) or 'none in the data'}."
        )
    names = tuple(dict.fromkeys(by or (dimensions.names if dimensions else found)))
    if dimensions and set(names) <= set(dimensions.names):
        places = [dimensions.names.index(name) for name in names]
        cells = _unique(tuple(cell[at] for at in places) for cell in dimensions.possible)
        size = math.prod(len(dimensions.dimensions[name]) for name in names)
        return Grid(names, cells, size - len(cells), declared=True)
    values = [sorted({str(i.dimensions.get(name, "")) for i in items} - {""}) for name in names]
    if not names or math.prod(map(len, values)) > MOST:
        empty = Grid(names, ())
        return Grid(names, tuple(sorted({empty.of(item) for item in items})), whole=not names)
    return Grid(names, tuple(product(*values)))


def _unique(cells: Iterable[Cell]) -> tuple[Cell, ...]:
    return tuple(dict.fromkeys(cells))
