"""Random and degenerate tables of counts, and the items behind a table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from judgelab.metrics.confusion import CELLS

# What the expert and the judge say in each cell, in the order of `CELLS`.
EXPERT = np.array([True, True, False, False, True, False])
JUDGE = np.array([1, 0, 1, 0, -1, -1], dtype=np.int8)


def items(table: NDArray[np.int64] | list[int]) -> tuple[NDArray[np.bool_], NDArray[np.int8]]:
    """(expert, judge) of every item of a table."""
    counts = np.asarray(table)
    counts = np.pad(counts, (0, len(CELLS) - len(counts)))
    return np.repeat(EXPERT, counts), np.repeat(JUDGE, counts)


def random_tables(count: int, *, abstentions: bool, seed: int = 7) -> NDArray[np.int64]:
    """Tables (count, 6) with 1 to 200 items; about half of the cells are empty."""
    rng = np.random.default_rng(seed)
    tables = rng.integers(0, 34, size=(count, len(CELLS))) * rng.integers(0, 2, (count, len(CELLS)))
    if not abstentions:
        tables[:, 4:] = 0
    return tables[tables.sum(axis=1) > 0]


def swapped(table: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same items with pass and fail exchanged for both raters."""
    return table[..., [3, 2, 1, 0, 5, 4]]
