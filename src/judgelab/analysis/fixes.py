"""Before and after a change of the system: the same inputs, paired, by the same judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judgelab.analysis.corrected import counts, failing, passing, tables
from judgelab.analysis.cuts import Cut
from judgelab.analysis.pairing import Pairs
from judgelab.analysis.slices import FEW_GROUPS, Judged, Mask, slices
from judgelab.metrics.confusion import ABSTAINED
from judgelab.metrics.corrections import corrected_difference
from judgelab.metrics.effects import effect
from judgelab.metrics.intervals import Interval
from judgelab.metrics.multiplicity import holm
from judgelab.metrics.population import rogan_gladen
from judgelab.metrics.ppi import ppi
from judgelab.metrics.scorecard import FEW_ITEMS, Metric
from judgelab.metrics.shares import clustered, share

# What became of an item: before, then after.
STATES = ("gone", "stays", "new", "passes", "untold_fail", "untold_pass")
FATES = ("gone", "stays", "new", "untold_fail")  # of what fails before or after


@dataclass(frozen=True)
class Change:
    """Items with their old and new outputs judged, aligned.

    Attributes:
        before: labels and verdicts of the old outputs.
        after: verdicts of the new ones: 1 = fail, 0 = pass, -1 = abstained, shape (n,).
        labels: of the new outputs: 1 = fail, 0 = pass, -1 = not labelled, shape (n,).
        changed: whether the new output is another one, shape (n,).
        level: nominal coverage of every interval.
    """

    before: Judged
    after: NDArray[np.int64]
    labels: NDArray[np.int64]
    changed: Mask
    level: float

    def states(self) -> NDArray[np.int64]:
        """Of each item its place in STATES.

        What the expert says of the new output counts. Else the judge's word does, where it was
        right about the old output; where it was wrong or silent, of either, nothing is told.
        """
        expert, judge = self.before.expert, self.before.judge
        right = (judge != ABSTAINED) & ((judge == 1) == expert) & (self.after != ABSTAINED)
        said = np.where(self.labels >= 0, self.labels, np.where(right, self.after, -1))
        fails = np.select([said == 1, said == 0], [1, 0], 4)  # stays, gone, untold
        passes = np.select([said == 1, said == 0], [2, 3], 5)  # new, passes, untold
        return np.asarray(np.where(expert, fails, passes), np.int64)

    def some(self, kept: Mask) -> Change:
        """Of some of the items."""
        one = self.before
        items = [item for item, there in zip(one.items, kept.tolist(), strict=True) if there]
        before = Judged(items, one.expert[kept], one.judge[kept], one.groups[kept], one.policy)
        rest = (self.after[kept], self.labels[kept], self.changed[kept])
        return Change(before, *rest, self.level)


def findings(
    change: Change, cuts: Sequence[Cut], modes: Mapping[str, Sequence[str]], pairs: Pairs
) -> dict[str, Any]:
    """The block of after.json, without the items' ids. Holds no NaN.

    Args:
        change: all items with a new output.
        cuts: the dimensions.
        modes: failure modes of the old outputs, by item.
        pairs: what was paired.
    """
    states = change.states()
    whole = _part(change)
    youden = whole.pop("youden")
    rows = []
    for one in slices(change.before.items, cuts):
        if len(one.by) == 1:
            row = {"by": dict(one.by), **_part(change.some(one.inside), youden)}
            rows.append(row | {"few": few(change, one.inside)})
    adjusted = holm([None if row["few"] else row["by_judge"]["p"] for row in rows])
    return {
        **whole,
        "labelled": _labelled(change),
        "slices": [row | {"holm": p} for row, p in zip(rows, adjusted, strict=True)],
        "causes": _causes(change, states, modes, pairs.modes),
        "unchanged": int((~change.changed).sum()),
        "by_expert": int((change.labels >= 0).sum()),
        "without": pairs.without,
        "left": dict(pairs.left),
    }


def items(change: Change) -> dict[str, list[str]]:
    """The ids of what is gone, stays, is new, and of failures of which nothing is told."""
    states = change.states()
    return {
        name: sorted(
            item
            for item, state in zip(change.before.items, states.tolist(), strict=True)
            if STATES[state] == name
        )
        for name in FATES
    }


def _part(change: Change, youden: Metric | None = None) -> dict[str, Any]:
    """Counts of the states, both rates by the judge and corrected, and their differences.

    Without a `youden` of its own a slice takes that of all items: its recalls are the judge's.
    """
    one, states = change.before, change.states()
    per_state = np.bincount(states, minlength=len(STATES)).tolist()
    old, new = (~passing(judge, one.policy) for judge in (one.judge, change.after))
    flips = effect(new.astype(np.int64), old.astype(np.int64), one.groups, change.level)
    difference = _metric(flips["difference"])
    found: dict[str, Any] = {
        "n": len(one.items),
        "states": dict(zip(STATES, per_state, strict=True)),
        "expert_before": share(one.expert, one.groups, change.level).to_json(),
        "judge_before": share(old, one.groups, change.level).to_json(),
        "judge_after": share(new, one.groups, change.level).to_json(),
        "by_judge": {key: flips[key] for key in ("difference", "p", "p_method", "detectable")},
    }
    if youden is not None:
        return found | {"corrected_difference": corrected_difference(difference, youden).to_json()}
    rate = rogan_gladen(tables(one), *counts(~new, one.groups), level=change.level)
    refused = rate.reason if rate.value is None else None
    youden = Metric(None, rate.youden.interval, refused) if refused else rate.youden
    return found | {
        "corrected_after": failing(rate.to_json()),
        "corrected_difference": corrected_difference(difference, youden).to_json(),
        "youden": youden,
    }


def _labelled(change: Change) -> dict[str, Any] | None:
    """What the expert says of the outputs that changed, and PPI for all of those; None where no
    label is of one. What did not change is no random sample of anything."""
    change = change.some(change.changed)
    known = change.labels >= 0
    if not known.any():
        return None
    some = change.some(known)
    old, new = some.before.expert, some.labels == 1
    flips = effect(new.astype(np.int64), old.astype(np.int64), some.before.groups, change.level)
    passed = passing(change.after, change.before.policy)
    powered = ppi(
        ~new,
        passed[known],
        passed[~known],
        groups=some.before.groups,
        unlabelled_groups=change.before.groups[~known],
        level=change.level,
    )
    return {
        "n": int(known.sum()),
        "changed": len(change.before.items),
        "before": share(old, some.before.groups, change.level).to_json(),
        "after": share(new, some.before.groups, change.level).to_json(),
        "difference": flips["difference"],
        "p": flips["p"],
        "p_method": flips["p_method"],
        "ppi": failing(powered.to_json()),
    }


def _causes(
    change: Change,
    states: NDArray[np.int64],
    modes: Mapping[str, Sequence[str]],
    new: Mapping[str, Sequence[str]],
) -> list[dict[str, Any]]:
    """A row a root cause: of the failures that were classified, what is gone and what stays, and
    the new ones; None is what nobody classified. The share gone is of what something is told of."""
    fate = [STATES[state] for state in states.tolist()]
    of: list[Sequence[str | None]] = [
        ((new if state == "new" else modes).get(item) or (None,)) if state in FATES else ()
        for item, state in zip(change.before.items, fate, strict=True)
    ]
    rows = []
    for name in [*sorted({mode for own in of for mode in own if mode}), None]:
        own = [n for n, there in enumerate(of) if name in there]
        if not own:
            continue
        counts = {state: sum(fate[n] == state for n in own) for state in FATES}
        told = np.array([n for n in own if fate[n] in ("gone", "stays")], dtype=np.int64)
        gone = share(states[told] == STATES.index("gone"), change.before.groups[told], change.level)
        failed = len(own) - counts["new"]
        rows.append({"mode": name, "n": failed, **counts, "share_gone": gone.to_json()})
    return rows


def few(change: Change, inside: Mask) -> str | None:
    """What a slice has too little of for a claim."""
    n, groups = int(inside.sum()), change.before.groups
    if n < FEW_ITEMS:
        return f"{n} items"
    if clustered(groups) and (there := len(np.unique(groups[inside]))) < FEW_GROUPS:
        return f"{there} groups"
    return None


def _metric(json: Mapping[str, Any]) -> Metric:
    """A metric again, of its JSON."""
    interval = Interval(
        json["lo"], json["hi"], json["method"], json["level"], json["n"],
        reason=json.get("reason"), n_eff=json.get("n_eff"), clusters=json.get("clusters"),
        warnings=tuple(json.get("warnings", ())),
    )  # fmt: skip
    return Metric(json["value"], interval, json.get("reason"))
