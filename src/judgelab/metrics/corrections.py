"""A difference between two of a judge's shares, corrected for the judge's mistakes."""

from __future__ import annotations

import math
from dataclasses import replace

from judgelab.metrics.intervals import method_name
from judgelab.metrics.scorecard import Metric


def corrected_difference(difference: Metric, youden: Metric) -> Metric:
    """D / J: what a difference D between two shares that a judge fails is in the expert's words.

    With recalls that are the same on both sides a share of fails q becomes a judge's share of
    q J + 1 - recall_pass, J = recall_fail + recall_pass - 1 (Rogan and Gladen 1978), so in a
    difference only J stays. The limits are those of a ratio by MOVER, as of independent estimates.
    Source: Donner and Zou 2012, Statistical Methods in Medical Research 21(4).

    Args:
        difference: of the two shares, with its interval, -1 to 1.
        youden: J, surely above 0: its lower limit is.

    Returns:
        Cut to [-1, 1]; without limits where one of the two has none.
    """
    interval = replace(
        difference.interval,
        lo=None,
        hi=None,
        method=method_name("mover_ratio", False, difference.interval.clusters is not None),
    )
    if difference.value is None or youden.value is None:
        reason = difference.reason or youden.reason or "no_items"
        return Metric(None, replace(interval, reason=reason), reason)
    value = max(-1.0, min(1.0, difference.value / youden.value))
    first, second = difference.interval, youden.interval
    if first.lo is None or first.hi is None or second.lo is None or second.hi is None:
        return Metric(value, replace(interval, reason=first.reason or second.reason))
    lo = -_upper(-difference.value, -first.lo, youden.value, second.lo, second.hi)
    hi = _upper(difference.value, first.hi, youden.value, second.lo, second.hi)
    warnings = tuple(dict.fromkeys(first.warnings + second.warnings))
    return Metric(value, replace(interval, lo=lo, hi=hi, warnings=warnings))


def _upper(above: float, most: float, below: float, least: float, largest: float) -> float:
    """The upper limit of above / below: `most` is that of above, `least` and `largest` are the
    limits of below; at most 1.

    It is the larger root of (above - R below)^2 = (most - above)^2 + R^2 (end - below)^2, with the
    end of below that makes the ratio larger.
    """
    end = least if most >= 0 else largest
    square = end * (2 * below - end)
    if square <= 0:
        return 1.0
    root = math.sqrt(max(0.0, (above * below) ** 2 - square * most * (2 * above - most)))
    return max(-1.0, min(1.0, (above * below + root) / square))
