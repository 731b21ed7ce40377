"""Flips between two judgings of the same items, and shares of items: pure functions of arrays."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judgelab.metrics.confusion import ABSTAINED, FAIL, PASS, count_tables, group_codes
from judgelab.metrics.discordant import bonett_price, clustered_bonett_price
from judgelab.metrics.intervals import Interval, clopper_pearson, clustered_wilson, wilson
from judgelab.metrics.paired import flips
from judgelab.metrics.power import detectable
from judgelab.metrics.scorecard import Metric

Codes = NDArray[np.int64]
Groups = Sequence[Hashable | None]
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
        first, second, sizes = (_by_group(groups, hits) for hits in (to_pass, to_fail, every))
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


def share(hits: NDArray[np.bool_], groups: Groups, level: float) -> Metric:
    """The share of hits, Wilson; clustered where two items share a group."""
    n = len(hits)
    value = float(hits.mean()) if n else None
    return Metric(value, _wilson(hits, groups, level), None if n else "no_items")


def upper(hits: NDArray[np.bool_], groups: Groups, level: float) -> float | None:
    """The most that the share of hits may be: Clopper-Pearson's upper limit, and where items share
    groups the larger of it and that of the clustered Wilson interval; None without items."""
    exact = clopper_pearson(int(hits.sum()), len(hits), level).hi
    limits = [exact, _wilson(hits, groups, level).hi]
    known = [limit for limit in (limits if _clustered(groups) else limits[:1]) if limit is not None]
    return max(known, default=None) if len(hits) else None


def _wilson(hits: NDArray[np.bool_], groups: Groups, level: float) -> Interval:
    if not _clustered(groups):
        return wilson(int(hits.sum()), len(hits), level)
    sizes = _by_group(groups, np.ones(len(hits), bool))
    return clustered_wilson(_by_group(groups, hits), sizes, level)


def _clustered(groups: Groups) -> bool:
    return len(set(group_codes(groups, len(groups)).tolist())) < len(groups)


def _by_group(groups: Groups, hits: NDArray[np.bool_]) -> Codes:
    """How many items of each group are hits, shape (G,)."""
    return count_tables(hits.astype(np.int64), group_codes(groups, len(hits)), 2)[:, 1]
