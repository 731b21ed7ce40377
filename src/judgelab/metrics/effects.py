"""Flips between two judgings of the same items: pure functions of arrays."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judgelab.metrics.confusion import ABSTAINED, FAIL, PASS, Groups
from judgelab.metrics.discordant import bonett_price, clustered_bonett_price
from judgelab.metrics.intervals import clopper_pearson
from judgelab.metrics.paired import flips
from judgelab.metrics.power import detectable
from judgelab.metrics.scorecard import Metric
from judgelab.metrics.shares import by_group, clustered, share_interval

Codes = NDArray[np.int64]
_detectable = cache(detectable)  # most rows of a probe have the same few flips


def effect(before: Codes, after: Codes, groups: Groups, level: float) -> dict[str, Any]:
    """Flips from fail to pass and back on the same items, as a paired test.

    Args:
        before: integers, shape (n,); 1 = fail, 0 = pass, -1 = abstained.
        after: as `before`, of the same items.
        groups: one entry an item; None = a group of its own.
        level: nominal coverage of the difference's interval.

    Returns:
        n, the flips, McNemar's p-values and the one that decides (as in `paired.Flips`), the share
        flipped to pass minus that to fail (Bonett-Price), and the smallest that n items would show.
    """
    both = flips(before, after, groups=groups, level=level)
    to_pass, to_fail = (before == FAIL) & (after == PASS), (before == PASS) & (after == FAIL)
    n, b, c = both.n, both.fail_to_pass, both.pass_to_fail
    if both.clusters is None:
        interval = bonett_price(b, c, n, level)
    else:
        every = np.ones(n, dtype=bool)
        first, second, sizes = (by_group(groups, hits) for hits in (to_pass, to_fail, every))
        interval = clustered_bonett_price(first, second, sizes, level)
    worth = int(interval.n_eff or n)
    difference = Metric((b - c) / n if n else None, interval, None if n else "no_items")
    return {
        "n": n,
        "to_pass": b,
        "to_fail": c,
        "abstained": int((after == ABSTAINED).sum()),
        "mcnemar_exact": both.mcnemar_exact,
        "mcnemar_midp": both.mcnemar_midp,
        "p": both.p,
        "p_method": both.p_method,
        "difference": difference.to_json(),
        "detectable": _detectable(worth, (b + c) / n, level=level) if n else None,
        "clusters": both.clusters,
    }


def upper(hits: NDArray[np.bool_], groups: Groups, level: float) -> float | None:
    """The most that the share of hits may be: Clopper-Pearson's upper limit, and where items share
    groups the larger of it and that of the clustered Wilson interval; None without items."""
    exact = clopper_pearson(int(hits.sum()), len(hits), level).hi
    limits = [exact, share_interval(hits, groups, level).hi]
    known = [limit for limit in (limits if clustered(groups) else limits[:1]) if limit is not None]
    return max(known, default=None) if len(hits) else None
