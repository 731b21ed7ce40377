"""Many tests at once: p-values adjusted for the whole family, those not at hand included."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray


def all_pairs(judges: int) -> int:
    """K (K - 1) / 2, the family of pairs with a judge that these items chose, e.g. their best.

    The choice looks at every pair, and which K - 1 of them are tested depends on it: a claim about
    any holds only where it would hold of all. A judge named before the items were seen needs K - 1.
    Source: Berk, Brown, Buja, Zhang and Zhao 2013, Annals of Statistics 41(2): valid after any
    selection is what is valid for all that could have been selected.

    Raises:
        ValueError: a negative number of judges.
    """
    if judges < 0:
        raise ValueError(f"judges must be 0 or more; got {judges}")
    return judges * (judges - 1) // 2


def holm(ps: Sequence[float | None], m: int | None = None) -> list[float | None]:
    """Holm's step-down p-values: at most alpha of the families hold a false claim at alpha.

    Source: Holm 1979, Scandinavian Journal of Statistics 6(2).

    Args:
        ps: p-values, in any order; None or NaN where a test could not be made.
        m: tests in the family, at least len(ps); by default those at hand. Tests of variants that
            were tried earlier or pruned count. Where the reference was chosen by the same items,
            the family is `all_pairs`. Whatever has no p-value counts as one of 1.

    Returns:
        The adjusted p-values in the given order; None where there was none.

    Raises:
        ValueError: a p-value outside [0, 1], or m < len(ps).
    """

    def step_down(ordered: NDArray[np.float64], family: int) -> NDArray[np.float64]:
        left = family - np.arange(len(ordered))
        return np.maximum.accumulate(ordered * left)

    return _adjusted(ps, m, step_down)


def bh(ps: Sequence[float | None], m: int | None = None) -> list[float | None]:
    """Benjamini-Hochberg's step-up p-values: at most alpha of the finds are false, for lists.

    Source: Benjamini and Hochberg 1995, Journal of the Royal Statistical Society B 57(1).

    Args, returns and errors as `holm`.
    """

    def step_up(ordered: NDArray[np.float64], family: int) -> NDArray[np.float64]:
        ranks = np.arange(1, len(ordered) + 1)
        return np.minimum.accumulate((ordered * family / ranks)[::-1])[::-1]

    return _adjusted(ps, m, step_up)


def _adjusted(
    ps: Sequence[float | None],
    m: int | None,
    adjust: Callable[[NDArray[np.float64], int], NDArray[np.float64]],
) -> list[float | None]:
    values = np.array([np.nan if p is None else p for p in ps], np.float64)
    known = np.flatnonzero(~np.isnan(values))
    if ((values[known] < 0) | (values[known] > 1)).any():
        raise ValueError(f"p-values lie between 0 and 1; got {list(ps)}")
    family = len(ps) if m is None else m
    if family < len(ps):
        raise ValueError(f"the family is at least the {len(ps)} tests at hand; got m={m}")
    order = known[np.argsort(values[known], kind="stable")]
    adjusted = np.minimum(adjust(values[order], family), 1.0)
    found = dict(zip(order.tolist(), adjusted.tolist(), strict=True))
    return [found.get(position) for position in range(len(ps))]
