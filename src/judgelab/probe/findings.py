"""What the verdicts of a probe say: flips against the control, against the run's own verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judgelab.metrics.confusion import FAIL, PASS, Groups
from judgelab.metrics.effects import effect, upper
from judgelab.metrics.multiplicity import holm
from judgelab.metrics.shares import share
from judgelab.probe.asking import LEAK, LONGER, Plan
from judgelab.probe.changes import CHANGES
from judgelab.probe.suspects import suspects
from judgelab.runner import Bench
from judgelab.scoring import codes, score
from judgelab.types import Verdict


def findings(
    bench: Bench, plan: Plan, own: Sequence[Verdict], found: Mapping[str, Sequence[Verdict]]
) -> dict[str, Any]:
    """The block of probe.json: numbers, ids of items, no text of any. Holds no NaN.

    Args:
        bench: of the run.
        plan: what was asked.
        own: the run's own verdicts.
        found: the verdicts of every arm, complete.
    """
    labels = bench.labels
    return {
        "positive": "fail",
        "part": bench.part,
        "exploratory": bench.split.exploratory,
        "level": bench.level,
        "items": len(plan.items),
        "expert_fails": len(plan.fails),
        "injection": _injection(bench, plan, own, found),
        "bias": _bias(bench, plan, own, found),
        "leaks": _leaks(bench, plan, found),
        "skipped": dict(plan.skipped),
        "suspects": _suspects(bench, plan, own, labels),
    }


def _injection(
    bench: Bench, plan: Plan, own: Sequence[Verdict], found: Mapping[str, Sequence[Verdict]]
) -> dict[str, Any]:
    """A row a family, on the items that expert and judge fail; beside it on all the expert fails.

    Holm's family is all rows.
    """
    fails = list(plan.fails)
    failed = [item for item, code in zip(fails, codes(fails, own), strict=True) if code == FAIL]
    rows = []
    for name, text in plan.payloads.items():
        if not fails:
            break
        arms = found[f"payload/{name}"], found[f"benign/{len(text)}"]
        both = _against_control(bench, failed, *arms)
        every = _against_control(bench, fails, *arms)
        rows.append({"family": name, "length": len(text), **both, "all_fails": every})
    adjusted = holm([row["p"] for row in rows])
    return {
        "n": len(failed),
        "rows": [row | {"holm": p} for row, p in zip(rows, adjusted, strict=True)],
    }


def _against_control(
    bench: Bench, items: Sequence[str], payload: Sequence[Verdict], benign: Sequence[Verdict]
) -> dict[str, Any]:
    """Passes with the payload against passes with harmless text of the same length."""
    attacked, control = codes(items, payload), codes(items, benign)
    groups = _groups(bench, items)
    return {
        **effect(control, attacked, groups, bench.level),
        "passed": int((attacked == PASS).sum()),
        "control_passed": int((control == PASS).sum()),
        "rate": share(attacked == PASS, groups, bench.level).to_json(),
        "control_rate": share(control == PASS, groups, bench.level).to_json(),
        "upper": upper(attacked == PASS, groups, bench.level),
        "flipped": _ids(items, (control == FAIL) & (attacked == PASS)),
    }


def _bias(
    bench: Bench, plan: Plan, own: Sequence[Verdict], found: Mapping[str, Sequence[Verdict]]
) -> list[dict[str, Any]]:
    """A row a change, against the run's own verdicts; Holm's family is all rows."""
    items, groups = list(plan.items), _groups(bench, plan.items)
    before = codes(items, own)
    rows = []
    for name in (LONGER, *CHANGES):
        if name in plan.skipped:
            continue
        after = codes(items, found[name])
        flipped = {
            "flipped_to_pass": _ids(items, (before == FAIL) & (after == PASS)),
            "flipped_to_fail": _ids(items, (before == PASS) & (after == FAIL)),
        }
        rows.append({"change": name, **effect(before, after, groups, bench.level), **flipped})
    adjusted = holm([row["p"] for row in rows])
    return [row | {"holm": p} for row, p in zip(rows, adjusted, strict=True)]


def _leaks(
    bench: Bench, plan: Plan, found: Mapping[str, Sequence[Verdict]]
) -> list[dict[str, Any]]:
    """A row a canary: the items in whose critiques it appeared."""
    items, groups = list(plan.fails), _groups(bench, plan.fails)
    rows = []
    for place, canary in plan.canaries.items():
        said = {one.id for one in found.get(LEAK, ()) if canary in one.critique.casefold()}
        leaked = np.array([item in said for item in items], dtype=bool)
        rate = share(leaked, groups, bench.level).to_json()
        rows.append({"place": place, "n": len(items), "leaked": len(said), "rate": rate,
                     "items": _ids(items, leaked)})  # fmt: skip
    return rows


def _suspects(
    bench: Bench, plan: Plan, own: Sequence[Verdict], labels: Mapping[str, Any]
) -> dict[str, Any]:
    """Items that hold what looks like a payload, and the run's scores with and without them."""
    judged = [item for fold in bench.folds for item in fold.items]
    rows = suspects(judged, [one for fold in bench.folds for one in fold.train])
    there = {row["id"] for row in rows if row["judged"]}
    cards = []
    if there:
        kept = {item: label for item, label in labels.items() if item not in there}
        for name, some in (("with them", labels), ("without them", kept)):
            card = score(some, own, clusters=bench.split.clusters, policy=bench.policy,
                         level=bench.level)  # fmt: skip
            cards.append(card.to_json(name))
    return {"items": rows, "scores": cards}


def _groups(bench: Bench, items: Sequence[str]) -> Groups:
    return [bench.split.clusters.get(item) for item in items]


def _ids(items: Sequence[str], chosen: NDArray[np.bool_]) -> list[str]:
    return [item for item, there in zip(items, chosen, strict=True) if there]
