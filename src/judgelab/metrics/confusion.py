"""The six counts every number is computed from, and what an abstention counts as."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgelab.metrics.policies import Policy, check_policy

Number = TypeVar("Number", np.int64, np.float64)
Groups = Sequence[Hashable | None] | NDArray[np.int64]  # one entry an item; see `group_codes`

# Positions in the last axis of every array of tables; the first word of each pair is the expert's.
TP, FN, FP, TN, ABSTAINED_FAIL, ABSTAINED_PASS = range(6)
CELLS = ("tp", "fn", "fp", "tn", "abstained_fail", "abstained_pass")

FAIL, PASS, ABSTAINED = 1, 0, -1
# Row: the expert (pass, fail). Column: the judge (pass, fail, and -1 reaches the last one).
_CELL = np.array([[TN, FP, ABSTAINED_PASS], [FN, TP, ABSTAINED_FAIL]])

# Where each policy moves the two abstained cells; None drops them.
_MOVES: dict[Policy, tuple[int, int] | None] = {
    "error": (ABSTAINED_FAIL, ABSTAINED_PASS),
    "as_fail": (TP, FP),
    "as_pass": (FN, TN),
    "exclude": None,
}


@dataclass(frozen=True)
class Confusion:
    """Counts of items, positive class FAIL: `tp` is fail by the expert and by the judge.

    `fn` are missed failures, `fp` false alarms; `abstained_fail` and `abstained_pass` are the
    items without a verdict that the expert fails and passes.
    """

    tp: int = 0
    fn: int = 0
    fp: int = 0
    tn: int = 0
    abstained_fail: int = 0
    abstained_pass: int = 0

    @classmethod
    def from_arrays(cls, expert: ArrayLike, judge: ArrayLike) -> Confusion:
        """Count the items of two aligned arrays.

        Args:
            expert: bool, shape (n,); True = fail.
            judge: integers, shape (n,); 1 = fail, 0 = pass, -1 = abstained.

        Raises:
            ValueError: the arrays are not aligned, or hold anything else.
        """
        return cls.from_table(np.bincount(item_cells(expert, judge), minlength=len(CELLS)))

    @classmethod
    def from_table(cls, table: NDArray[Any]) -> Confusion:
        """The counts of one table, shape (6,), in the order of `CELLS`."""
        return cls(*(int(count) for count in table))

    @property
    def table(self) -> NDArray[np.int64]:
        """The counts as an array, shape (6,), in the order of `CELLS`."""
        return np.array([getattr(self, cell) for cell in CELLS], dtype=np.int64)

    @property
    def fails(self) -> int:
        return self.tp + self.fn + self.abstained_fail

    @property
    def passes(self) -> int:
        return self.fp + self.tn + self.abstained_pass

    @property
    def n(self) -> int:
        return self.fails + self.passes

    @property
    def abstained(self) -> int:
        return self.abstained_fail + self.abstained_pass

    @property
    def coverage(self) -> float | None:
        """Share of the items with a verdict; None without items."""
        return (self.n - self.abstained) / self.n if self.n else None


def item_cells(expert: ArrayLike, judge: ArrayLike) -> NDArray[np.int64]:
    """The cell of each item, shape (n,): a position in `CELLS`. See `Confusion.from_arrays`."""
    labels, verdicts = np.asarray(expert), np.asarray(judge)
    if labels.ndim != 1 or labels.shape != verdicts.shape:
        raise ValueError(
            f"expert and judge must be aligned, one value an item; got shapes {labels.shape} "
            f"and {verdicts.shape}"
        )
    if labels.size == 0:
        return np.zeros(0, dtype=np.int64)
    if labels.dtype != np.bool_:
        raise ValueError(f"expert must be a bool array, True = fail; got {labels.dtype}")
    if verdicts.dtype.kind not in "iu" or not np.isin(verdicts, (FAIL, PASS, ABSTAINED)).all():
        raise ValueError("judge must hold 1 = fail, 0 = pass, -1 = abstained, and nothing else")
    return np.asarray(_CELL[labels.astype(np.int64), verdicts], dtype=np.int64)


def group_tables(
    expert: ArrayLike, judge: ArrayLike, groups: Sequence[Hashable | None]
) -> NDArray[np.int64]:
    """One table for each group, shape (G, 6). An item whose group is None is a group of its own.

    Raises:
        ValueError: `groups` has not one entry an item, or see `Confusion.from_arrays`.
    """
    cells = item_cells(expert, judge)
    return count_tables(cells, group_codes(groups, len(cells)), len(CELLS))


def group_codes(groups: Groups, items: int) -> NDArray[np.int64]:
    """The group of each item as a number from 0 up, shape (n,); None is a group of its own.
    An array holds numbers already.

    Raises:
        ValueError: `groups` has not one entry an item.
    """
    if len(groups) != items:
        raise ValueError(f"groups must have one entry an item: {len(groups)} for {items}")
    if isinstance(groups, np.ndarray):
        return np.asarray(np.unique(groups, return_inverse=True)[1], np.int64)
    rows: dict[Hashable, int] = {}
    codes = [
        rows.setdefault((None, item) if group is None else (group,), len(rows))
        for item, group in enumerate(groups)
    ]
    return np.array(codes, dtype=np.int64)


def count_tables(
    cells: NDArray[np.int64], codes: NDArray[np.int64], width: int
) -> NDArray[np.int64]:
    """One table of `width` cells for each group, shape (G, width), of items' cells and groups."""
    size = int(codes.max(initial=-1)) + 1
    return np.bincount(codes * width + cells, minlength=size * width).reshape(-1, width)


def recode(tables: NDArray[Number], policy: str) -> NDArray[Number]:
    """Apply a policy for abstentions to tables of shape (..., 6), of counts or of weights.

    `error` leaves the abstentions where they are (wrong, but no prediction of either class),
    `as_fail` and `as_pass` count them as that verdict, `exclude` drops them.
    """
    target = _MOVES[check_policy(policy)]
    recoded = tables.copy()
    abstained = tables[..., [ABSTAINED_FAIL, ABSTAINED_PASS]]
    recoded[..., [ABSTAINED_FAIL, ABSTAINED_PASS]] = 0
    if target is not None:
        recoded[..., list(target)] += abstained
    return recoded


def apply_policy(confusion: Confusion, policy: str) -> Confusion:
    """`recode` for one `Confusion`."""
    return Confusion.from_table(recode(confusion.table, policy))
