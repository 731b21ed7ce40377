"""Error rates of the system and of the judge in every slice, each with its interval, and the slices
held against the rest: one family of tests for all that was looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judgelab.analysis.cuts import Cut
from judgelab.metrics.confusion import ABSTAINED, FAIL
from judgelab.metrics.multiplicity import bh, holm
from judgelab.metrics.scorecard import FEW_ITEMS, FEW_OF_A_CLASS
from judgelab.metrics.shares import clustered, share, slice_p

FEW_GROUPS = 10  # on a side of a comparison
RATES = ("fails", "missed", "false_alarms")  # what is tested; the first is of the system
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Judged:
    """Labelled items with their verdicts, aligned.

    Attributes:
        items: their ids.
        expert: True = fail, shape (n,).
        judge: 1 = fail, 0 = pass, -1 = abstained, shape (n,).
        groups: the number of each item's group, shape (n,).
        policy: what an abstention counts as; see `confusion.recode`.
    """

    items: Sequence[str]
    expert: Mask
    judge: NDArray[np.int64]
    groups: NDArray[np.int64]
    policy: str = "error"

    @property
    def flagged(self) -> Mask:
        """Items that the judge fails; an abstention is one of them under as_fail."""
        abstained = np.equal(self.judge, ABSTAINED) & (self.policy == "as_fail")
        return np.asarray(np.equal(self.judge, FAIL) | abstained, np.bool_)

    @property
    def scored(self) -> Mask:
        """Items that the judge's rates are made of: under exclude those with a verdict."""
        answered = np.not_equal(self.judge, ABSTAINED)
        return np.asarray(answered | (self.policy != "exclude"), np.bool_)

    def rate(self, name: str) -> tuple[Mask, Mask]:
        """What hits, and among which items.

        missed: the expert fails it, the judge does not (an abstention misses, but under as_fail).
        false_alarms: the expert passes it, the judge fails it.
        """
        if name == "fails":
            return self.expert, np.ones(len(self.items), dtype=bool)
        if name == "judge_fails":
            return self.flagged, self.scored
        if name == "missed":
            return ~self.flagged, self.expert & self.scored
        return self.flagged, ~self.expert & self.scored


@dataclass(frozen=True)
class Slice:
    """Items of one value, or of two values of two dimensions."""

    by: Mapping[str, str]
    inside: Mask


def slices(items: Sequence[str], dimensions: Sequence[Cut]) -> Iterator[Slice]:
    """Every value of every dimension, then every pair of values of two that has any item."""
    masks = {
        (one.name, value): np.array([one.of[item] == value for item in items], dtype=bool)
        for one in dimensions
        for value in one.order
    }
    for one in dimensions:
        for value in one.order:
            if masks[one.name, value].any():
                yield Slice({one.name: value}, masks[one.name, value])
    for one, other in combinations(dimensions, 2):
        for first, second in product(one.order, other.order):
            both = masks[one.name, first] & masks[other.name, second]
            if both.any():
                yield Slice({one.name: first, other.name: second}, both)


def table(judged: Judged, found: Sequence[Slice], level: float) -> tuple[list[dict[str, Any]], int]:
    """A row a slice: its rates, and the tests of it against all other items; and how many tests the
    family of all rows holds.

    A slice that is too small is not tested. Which are depends on sizes alone: for what the system
    fails on how many items there are, for the judge on how many the expert fails or passes, never
    on what is tested.
    """
    rows = [
        {"by": dict(one.by), **rates(judged, one.inside, level),
         "tests": {name: _test(judged, one.inside, name, level) for name in RATES}}
        for one in found
    ]  # fmt: skip
    return rows, _adjust(judged, found, rows)


def rates(judged: Judged, inside: Mask, level: float) -> dict[str, Any]:
    """n, groups, expert's fails and the rates of some items, as JSON."""
    groups = judged.groups[inside]
    found: dict[str, Any] = {
        "n": int(inside.sum()),
        "groups": len(np.unique(groups)) if clustered(judged.groups) else None,
        "abstained": int((judged.judge[inside] == ABSTAINED).sum()),
    }
    for name in ("fails", "judge_fails", "missed", "false_alarms"):
        found[name] = _rate(judged, inside, name, level)
    return found


def _rate(judged: Judged, inside: Mask, name: str, level: float) -> dict[str, Any]:
    hits, among = judged.rate(name)
    kept = inside & among
    metric = share(hits[kept], judged.groups[kept], level)
    return {"hits": int(hits[kept].sum())} | metric.to_json()


def _test(judged: Judged, inside: Mask, name: str, level: float) -> dict[str, Any]:
    """The slice against the rest; without a p-value where one of them is too small."""
    hits, among = judged.rate(name)
    groups = judged.groups[among]
    few = _few(name, inside[among], groups)
    rest = _rate(judged, ~inside, name, level)
    p = None if few else slice_p(hits[among], inside[among], groups)
    return {"rest": rest, "p": p, "few": few}


def _few(name: str, inside: Mask, groups: NDArray[np.int64]) -> str | None:
    """What there is too little of for a claim, in the slice or outside it."""
    least, what = (FEW_ITEMS, "items") if name == "fails" else (FEW_OF_A_CLASS, _CLASS[name])
    by_group = clustered(groups)
    for side, where in ((inside, ""), (~inside, " outside it")):
        if (n := int(side.sum())) < least:
            return f"{n} {what}{where}"
        there = groups[side]
        if by_group and (n := len(np.unique(there))) < FEW_GROUPS:
            return f"{n} groups{where}"
    return None


_CLASS = {"missed": "expert fails", "false_alarms": "expert passes"}


def _adjust(judged: Judged, found: Sequence[Slice], rows: Sequence[dict[str, Any]]) -> int:
    """Holm's and BH's p-values over every test of every rate; gives how many there are. The two
    values of one dimension, and slices of the same items, are one test."""
    places: dict[tuple[str, bytes], list[dict[str, Any]]] = {}
    for one, row in zip(found, rows, strict=True):
        for name, test in row["tests"].items():
            if test["p"] is not None:
                kept = one.inside[judged.rate(name)[1]]
                key = min(kept.tobytes(), (~kept).tobytes())
                places.setdefault((name, key), []).append(test)
    ps = [same[0]["p"] for same in places.values()]
    for same, by_holm, by_bh in zip(places.values(), holm(ps), bh(ps), strict=True):
        for test in same:
            test |= {"holm": by_holm, "bh": by_bh}
    return len(ps)
