"""How many labels: what the ones at hand can say, and how many more would say it better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from judgelab.metrics.intervals import check_level
from judgelab.metrics.names import named

if TYPE_CHECKING:
    from judgelab.metrics.scorecard import Scorecard

POINTS = (10, 5)
WITHOUT_JUDGE = 0.8
# The metrics, and what their denominator counts.
UNITS = {
    "agreement": "items",
    "recall_fail": "fails",
    "recall_pass": "passes",
    "precision_fail": "flagged",
}


def half_width(p: float, n: float, level: float = 0.95) -> float:
    """Half the width of the Wilson interval of a share p of n items; .5 where n = 0.

    Raises:
        ValueError: p outside [0, 1], n < 0, or a level outside (0, 1).
    """
    if not 0 <= p <= 1 or n < 0:
        raise ValueError(f"needs 0 <= p <= 1 and n >= 0; got p={p} and n={n}")
    z = _z(level)
    return z * math.sqrt(n * p * (1 - p) + z**2 / 4) / (n + z**2)


def half_width_items(p: float, half_width: float, level: float = 0.95) -> int:
    """The smallest n at which the Wilson interval of a share p is no wider than +-half_width.

    The width falls as n grows, so n is the root of a quadratic, rounded up.

    Raises:
        ValueError: p outside [0, 1], half_width <= 0, or a level outside (0, 1).

    Example:
        >>> half_width_items(0.8, 0.05)
        245
    """
    if not 0 <= p <= 1 or half_width <= 0:
        raise ValueError(f"needs 0 <= p <= 1 and half_width > 0; got {p} and {half_width}")
    z2, spread = _z(level) ** 2, p * (1 - p)
    root = math.sqrt((z2 * spread) ** 2 + 4 * half_width**2 * z2**2 * (0.25 - spread))
    exact = (z2 * spread + root) / (2 * half_width**2) - z2
    return max(1, math.ceil(exact - 1e-9))


def at_least(n: int, level: float = 0.95) -> float | None:
    """What a share can be shown to exceed where all of n items are hits: 1 - 3 / n at 95 %.

    None where that proves nothing (n <= 3). Source: Hanley and Lippman-Hand 1983, JAMA 249(13).
    """
    bound = 1 - _rule(level) / n if n else 0.0
    return bound if bound > 0 else None


def items_apart(p: float, bound: float, level: float = 0.95) -> int | None:
    """The smallest n at which the Wilson interval of a share p leaves the bound out; None at p.

    Wilson's interval is the score test turned round, so n = z^2 b (1 - b) / (p - b)^2, rounded up.
    Source: Wilson 1927, Journal of the American Statistical Association 22(158).

    Raises:
        ValueError: p outside [0, 1], a bound outside (0, 1), or a level outside (0, 1).

    Example:
        >>> items_apart(0.95, 0.9)
        139
    """
    if not 0 <= p <= 1 or not 0 < bound < 1:
        raise ValueError(f"needs 0 <= p <= 1 and 0 < bound < 1; got {p} and {bound}")
    if p == bound:
        return None
    return math.ceil(_z(level) ** 2 * bound * (1 - bound) / (p - bound) ** 2 - 1e-9)


def items_to_tell(differ: float, difference: float, *, power: float = 0.8,
                  level: float = 0.95) -> int | None:  # fmt: skip
    """Items on which McNemar's test shows such a difference in agreement; None where it is 0.

    Source: Connor 1987, Biometrics 43(1): n = (z_a sqrt(psi) + z_b sqrt(psi - d^2))^2 / d^2.

    Args:
        differ: psi, the share of items on which one judge alone is right.
        difference: d, of the agreements.
        power: probability that the test shows it.
        level: 1 - the level of the test.

    Raises:
        ValueError: not |difference| <= differ <= 1, or a level or power outside (0, 1).
    """
    if not abs(difference) <= differ <= 1 or not 0 < power < 1:
        raise ValueError(f"needs |difference| <= differ <= 1; got {difference} and {differ}")
    if difference == 0:
        return None
    spread = math.sqrt(differ - difference**2)
    root = _z(level) * math.sqrt(differ) + NormalDist().inv_cdf(power) * spread
    return math.ceil(root**2 / difference**2 - 1e-9)


def needs(card: Scorecard | Mapping[str, Any]) -> dict[str, Any]:
    """What the labels at hand can say of a judge, and how many more would make it +-10 and +-5.

    Planned at the current rate; where it is undefined at .5, and where it is 0 or 1 at the
    nearest rate that the counts leave open (3 / n away, at most .5): `planned_because` says so.
    Clusters and weights count by the design effect of the interval, so the new items are meant
    to fall into new groups.

    Args:
        card: a scorecard, or the JSON of one.

    Returns:
        n, fails, passes, prevalence_fail, level, and for each metric of `UNITS`: value, n, unit,
        half_width (None without limits), clusters, planned_at, planned_because, deff, `more`
        labels of the unit for each of the points (0 where reached), `items` to label for them
        (None where the share of the unit is 0), and `at_least` where there was no miss (None:
        proves nothing).
    """
    found = card if isinstance(card, Mapping) else card.to_json("")
    counts = found["confusion"]
    n = int(found["n"])
    fails = counts["tp"] + counts["fn"] + counts["abstained_fail"]
    level = found["metrics"]["agreement"]["level"]
    metrics = {name: _need(found["metrics"][name], unit, n) for name, unit in UNITS.items()}
    return _whole(fails, n - fails, level, metrics)


def without_judge(
    fails: int, passes: int, *, level: float = 0.95, p: float = WITHOUT_JUDGE
) -> dict[str, Any]:
    """`needs` before there is a judge: what these labels would say of one that is right in p.

    The assumption stands in `planned_because`: "no_judge".

    Raises:
        ValueError: negative counts, p outside [0, 1] or a level outside (0, 1).
    """
    n = fails + passes
    sizes = {"agreement": n, "recall_fail": fails, "recall_pass": passes}
    metrics = {}
    for name, size in sizes.items():
        width = half_width(p, size, level) if size else None
        metrics[name] = {
            "value": None,
            "n": size,
            "unit": UNITS[name],
            "half_width": width,
            "clusters": None,
            **_plan(p, "no_judge", size, width, 1.0, n, level),
        }
    return _whole(fails, passes, level, metrics)


def in_words(needs: Mapping[str, Any]) -> list[str]:
    """Short lines for a person: how sure each metric is, and what to label next."""
    lines = []
    for name, need in needs["metrics"].items():
        unit, n = need["unit"], need["n"]
        if need["half_width"] is None:
            text = f"{named(name)}: nothing to say yet on {_count(n, unit)}"
        else:
            text = f"{named(name)}: ±{_points(need['half_width'])} points on {_count(n, unit)}"
        if "at_least" in need:
            text += f"; no miss in {n} proves " + (
                "nothing" if need["at_least"] is None else f"only ≥ {_share(need['at_least'])}"
            )
        if steps := _steps(need):
            text += f". To get {steps}{_assumption(need)}"
        lines.append(text)
    return lines


def _need(metric: Mapping[str, Any], unit: str, items: int) -> dict[str, Any]:
    value, n, level = metric["value"], int(metric["n"]), metric["level"]
    width = None if metric["lo"] is None else (metric["hi"] - metric["lo"]) / 2
    deff = max(1.0, n / metric["n_eff"]) if n and metric.get("n_eff") else 1.0
    clusters = metric.get("clusters")
    need = {"value": value, "n": n, "unit": unit, "half_width": width, "clusters": clusters}
    if value is None:
        return need | _plan(0.5, "undefined", n, width, deff, items, level)
    if value not in (0.0, 1.0):
        return need | _plan(value, None, n, width, deff, items, level)
    away = min(0.5, _rule(level) * deff / n)
    plan = _plan(abs(value - away), "all_alike", n, width, deff, items, level)
    return need | plan | ({"at_least": at_least(int(n / deff), level)} if value == 1 else {})


def _plan(
    p: float,
    because: str | None,
    n: int,
    width: float | None,
    deff: float,
    items: int,
    level: float,
) -> dict[str, Any]:
    share = n / items if items else 0.0
    more, new = {}, {}
    for points in POINTS:
        wanted = math.ceil(half_width_items(p, points / 100, level) * deff - 1e-9)
        reached = width is not None and width <= points / 100
        missing = 0 if reached else max(1, wanted - n)
        more[str(points)] = missing
        new[str(points)] = 0 if reached else math.ceil(missing / share - 1e-9) if share else None
    return {
        "planned_at": p,
        "planned_because": because,
        "deff": deff,
        "more": more,
        "items": new,
    }


def _whole(fails: int, passes: int, level: float, metrics: Mapping[str, Any]) -> dict[str, Any]:
    n = fails + passes
    return {
        "n": n,
        "fails": fails,
        "passes": passes,
        "prevalence_fail": fails / n if n else None,
        "level": level,
        "metrics": metrics,
    }


def _steps(need: Mapping[str, Any]) -> str:
    """±10: 20 more fails (about 70 items); ±5: 205 more (about 718)."""
    steps: list[str] = []
    for points, more in need["more"].items():
        if not more:
            continue
        items = need["items"][points]
        step = f"±{points}: " + (f"{more:,} more" if steps else _count(more, need["unit"], "more "))
        if need["unit"] != "items" and items is not None:
            step += f" (about {items:,})" if steps else f" (about {_count(items, 'items')})"
        steps.append(step)
    return "; ".join(steps)


def _assumption(need: Mapping[str, Any]) -> str:
    at = _share(need["planned_at"])
    said = {
        "undefined": f", planned at {at} as there is no rate yet",
        "all_alike": f", planned at {at}, which these cannot exclude",
        "no_judge": f", for a judge that is right in {at}",
    }.get(need["planned_because"], "")
    return said + (", in new groups" if need["clusters"] else "")


def _count(number: int, unit: str, more: str = "") -> str:
    words = {"items": "item", "fails": "fail", "passes": "pass", "flagged": "flagged item"}
    plural = "flagged items" if unit == "flagged" else unit
    return f"{number:,} {more}{words[unit] if number == 1 else plural}"


def _share(value: float) -> str:
    return f"{value:.2f}".replace("0.", ".", 1)


def _points(width: float) -> str:
    """Rounded up, so that +-10.4 is not printed as if +-10 were reached."""
    return f"{math.ceil(100 * width - 1e-9)}"


def _rule(level: float) -> float:
    """-ln(1 - level), 3.0 at 95 %."""
    return round(-math.log(1 - check_level(level)), 1)


def _z(level: float) -> float:
    return NormalDist().inv_cdf((1 + check_level(level)) / 2)
