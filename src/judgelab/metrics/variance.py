"""How much of the difference between variants goes with an axis of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PERMUTATIONS = 2000


@dataclass(frozen=True)
class Explained:
    """An axis's share of the variance, and what an axis without any effect would reach.

    Attributes:
        share: eta squared: sum of squares between the axis's values over the total, in [0, 1].
        chance: the `level` quantile of the share when the scores are dealt out at random.
        p: the share of such deals (this one counted) that explain at least as much.
    """

    share: float
    chance: float
    p: float


def explained(
    values: Sequence[str], scores: Sequence[float], *, seed: int, level: float = 0.95
) -> Explained | None:
    """One-way: the share of the variance of `scores` between groups of equal `values`.

    Args:
        values: of the axis, one a variant.
        scores: of the variants, in the same order.
        seed: of the permutations.
        level: of `chance`.

    Returns:
        None where it is undefined: one value, all values distinct, or scores that are all equal.

    Source: Fisher's correlation ratio, eta squared; its distribution without an effect by
    permutation of the scores.
    """
    kinds, codes = np.unique(np.array(values, dtype=str), return_inverse=True)
    y = np.array(scores, dtype=float)
    centred = y - y.mean() if len(y) else y
    total = float((centred**2).sum())
    if not 1 < len(kinds) < len(y) or total <= 1e-18 * len(y):
        return None
    rng = np.random.default_rng(seed)
    deals = np.vstack([centred, rng.permuted(np.tile(centred, (PERMUTATIONS, 1)), axis=1)])
    shares = _between(deals, codes, len(kinds)) / total
    own, others = float(shares[0]), shares[1:]
    p = (1 + float((others >= own - 1e-12).sum())) / (1 + PERMUTATIONS)
    return Explained(own, float(np.quantile(others, level)), p)


def _between(
    deals: NDArray[np.float64], codes: NDArray[np.intp], kinds: int
) -> NDArray[np.float64]:
    """Sum of squares between groups of each row; rows have mean 0."""
    members = np.zeros((len(codes), kinds))
    members[np.arange(len(codes)), codes] = 1.0
    sums: NDArray[np.float64] = deals @ members
    return np.asarray((sums**2 / members.sum(axis=0)).sum(axis=1))
