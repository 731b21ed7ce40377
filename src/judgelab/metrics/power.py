"""How small a difference between two judges so many items could show."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from judgelab.metrics.intervals import check_level

_RARE = 1e-12  # numbers of discordant items less likely than this are left out


def mcnemar_power(n: int, discordant_share: float, difference: float, level: float = 0.95) -> float:
    """Probability that McNemar's mid-p falls below 1 - level, by enumeration of b and c.

    The number of discordant items is Bin(n, discordant_share), and each is right by the better
    judge with probability (1 + difference / discordant_share) / 2.
    Source: the definition, as in Connor 1987, Biometrics 43(1), without its approximation by the
    normal.

    Raises:
        ValueError: not 0 <= difference <= discordant_share <= 1, n < 0, or a level outside (0, 1).
    """
    if n < 0 or not 0 <= difference <= discordant_share <= 1:
        raise ValueError(
            "needs n >= 0 and 0 <= difference <= discordant_share <= 1; got "
            f"{n}, {difference} and {discordant_share}"
        )
    if n == 0 or discordant_share == 0:
        return 0.0
    from scipy.special import bdtr
    from scipy.stats import binom

    lowest = max(int(binom.ppf(_RARE, n, discordant_share)), 1)
    discordant = np.arange(lowest, int(binom.ppf(1 - _RARE, n, discordant_share)) + 1)
    few = _rejected(discordant, check_level(level))
    discordant, few = discordant[few >= 0], few[few >= 0]
    better = (1 + difference / discordant_share) / 2
    shown = bdtr(few, discordant, better) + bdtr(few, discordant, 1 - better)
    return float((binom.pmf(discordant, n, discordant_share) * shown).sum())


def detectable(
    n: int, discordant_share: float, *, power: float = 0.8, level: float = 0.95
) -> float | None:
    """The smallest difference in agreement that McNemar's mid-p shows with that power.

    A difference above the discordant share needs more discordant items than that: they are then
    all to the credit of one judge. None where the items are too few for any difference.

    Args:
        n: items that both judges judged.
        discordant_share: share of them on which one judge alone is right.
        power: probability of p < 1 - level.
        level: 1 - the level of the test.

    Raises:
        ValueError: a share, power or level out of range.
    """
    if not 0 < power < 1 or not 0 <= discordant_share <= 1:
        raise ValueError(
            f"needs 0 < power < 1 and a share from 0 to 1; got {power} and {discordant_share}"
        )

    def enough(difference: float) -> bool:
        return mcnemar_power(n, max(discordant_share, difference), difference, level) >= power

    if not enough(1.0):
        return None
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _rejected(discordant: NDArray[np.int64], level: float) -> NDArray[np.int64]:
    """The largest number of items by the worse judge with a mid-p < 1 - level; -1 for none."""
    from scipy.special import bdtr
    from scipy.stats import binom

    # The first number whose share of the tail reaches half the level: one less is surely rejected.
    few = np.asarray(binom.ppf((1 - level) / 2, discordant, 0.5), np.int64)
    below = np.where(few > 0, bdtr(np.maximum(few - 1, 0), discordant, 0.5), 0.0)
    return np.where(below + bdtr(few, discordant, 0.5) < 1 - level, few, few - 1)
