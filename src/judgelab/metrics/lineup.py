"""Many judges on the same items."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgelab.metrics.confusion import CELLS, group_codes, item_cells, recode


@dataclass(frozen=True)
class Lineup:
    """The cells of K judges on n items, the policy for abstentions applied.

    Attributes:
        cells: positions in `confusion.CELLS`, shape (K, n).
        fails: whether the expert fails an item, shape (n,).
        codes: the cluster of each item, 0 to G - 1, shape (n,); None where no two share one.
        given: which of the judges as they were given these are, shape (K,): all but those that
            answered nothing, where the policy drops what is not answered.
    """

    cells: NDArray[np.int64]
    fails: NDArray[np.bool_]
    codes: NDArray[np.int64] | None
    given: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        expert: ArrayLike,
        judges: ArrayLike,
        groups: Sequence[Hashable | None] | None,
        policy: str,
    ) -> Lineup:
        """Policy `exclude` keeps the items that all the judges answered; a judge that answered
        none is left out, as it would leave no item to the others.

        Raises:
            ConfigError: an unknown policy.
            ValueError: arrays that are not aligned or hold other values, or no judge.
        """
        verdicts = np.asarray(judges)
        if verdicts.ndim != 2 or not len(verdicts):
            raise ValueError(
                f"judges must hold one row a judge, shape (K, n); got {verdicts.shape}"
            )
        cells = np.stack([item_cells(expert, judge) for judge in verdicts])
        moved = recode(np.eye(len(CELLS), dtype=np.int64), policy)
        scored = (moved.sum(axis=-1) > 0)[cells]
        given = np.flatnonzero(scored.any(axis=1) | ~scored.any())
        kept = scored[given].all(axis=0)
        codes = None
        if groups is not None:
            found = group_codes(groups, cells.shape[1])[kept]
            codes = np.unique(found, return_inverse=True)[1]
            if int(codes.max(initial=-1)) + 1 == len(codes):
                codes = None
        fails = np.asarray(expert, np.bool_)[kept]
        return cls(moved.argmax(axis=-1)[cells[given][:, kept]], fails, codes, given)

    @property
    def n(self) -> int:
        return len(self.fails)

    @property
    def clusters(self) -> int | None:
        return None if self.codes is None else int(self.codes.max(initial=-1)) + 1

    @property
    def too_few(self) -> str | None:
        """Why nothing can be resampled: no_items, one_item or one_cluster."""
        if self.n < 2:
            return "one_item" if self.n else "no_items"
        return "one_cluster" if self.clusters == 1 else None

    def by_unit(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        """Rows of items, shape (n, C), summed over each cluster, shape (G, C), if there are any."""
        rows = rows.astype(np.int64)
        if self.codes is None:
            return rows
        order = np.argsort(self.codes, kind="stable")
        first = np.flatnonzero(np.diff(self.codes[order], prepend=-1))
        return np.asarray(np.add.reduceat(rows[order], first, axis=0), np.int64)
