"""What an analysis of a run finds: analysis.json, numbers and names of slices, no text of any item
and no id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from judgelab.analysis.corrected import Traffic, corrected
from judgelab.analysis.cuts import Cut
from judgelab.analysis.slices import RATES, Judged, Slice, rates, slices, table
from judgelab.data.assignment import group_of
from judgelab.metrics.confusion import group_codes
from judgelab.runner import Bench
from judgelab.scoring import codes
from judgelab.tracking.folder import RunFolder
from judgelab.tracking.sweeps import Sweep, tried_beside
from judgelab.types import Interaction, Verdict


def judged_of(bench: Bench, verdicts: Sequence[Verdict], kept: Sequence[str]) -> Judged:
    """The labelled items of a run with its verdicts."""
    labels = bench.labels
    return Judged(
        kept,
        np.array([labels[item] == "fail" for item in kept], dtype=bool),
        codes(kept, verdicts),
        group_codes([bench.split.clusters.get(item) for item in kept], len(kept)),
        bench.policy,
    )


def traffic_of(bench: Bench, items: Sequence[Interaction], verdicts: Sequence[Verdict]) -> Traffic:
    """Unlabelled items with what the judge says of them, in groups as the labelled ones are."""
    ids = [item.id for item in items]
    groups = [group_of(item, bench.split.config.group) for item in items]
    return Traffic(ids, codes(ids, verdicts), group_codes(groups, len(ids)))


def findings(
    judged: Judged, dimensions: Sequence[Cut], traffic: Traffic | None, level: float
) -> dict[str, Any]:
    """The whole, every slice and every pair of slices. Holds no NaN.

    Args:
        judged: labelled items with their verdicts.
        dimensions: of these items and of the traffic.
        traffic: unlabelled items with their verdicts; None where none was judged.
        level: nominal coverage; a claim is made at 1 - level.
    """
    everything = np.ones(len(judged.items), dtype=bool)
    found = list(slices(judged.items, dimensions))
    rows, tests = table(judged, found, level)
    whole = rates(judged, everything, level)
    if traffic is not None and traffic.items:
        beyond = {tuple(one.by.items()): one for one in slices(traffic.items, dimensions)}
        whole["corrected"] = corrected(judged, everything, traffic, level)
        for one, row in zip(found, rows, strict=True):
            row["corrected"] = _corrected(judged, one, row, traffic, beyond, level)
    return {
        "whole": whole,
        "looked_at": len(rows),
        "tested": sum(any(t["p"] is not None for t in row["tests"].values()) for row in rows),
        "tests": tests,
        "slices": [row for row in rows if len(row["by"]) == 1],
        "pairs": [row for row in rows if len(row["by"]) == 2],
    }


def is_claimed(row: Mapping[str, Any], name: str, level: float) -> bool:
    """Whether a slice is shown to differ from the rest, after Holm."""
    holm = row["tests"][name].get("holm")
    return holm is not None and holm < 1 - level


def claimed(found: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """What is shown: (rate, row), the most certain first."""
    shown = [
        (name, row)
        for row in (*found["slices"], *found["pairs"])
        for name in RATES
        if is_claimed(row, name, found["level"])
    ]
    return sorted(shown, key=lambda one: one[1]["tests"][one[0]]["holm"])


def about(folder: RunFolder, bench: Bench) -> dict[str, Any]:
    """Of which judge this is, on which items, and whether it was chosen on them."""
    record = folder.record
    sweep = Sweep.around(folder)
    chosen = bool(sweep and sweep.selection and sweep.selection.get("chosen") == folder.id)
    tried = len(tried_beside(folder)) if record["part"] == "dev" else 0
    where = "out of fold" if bench.split.exploratory else bench.part
    return {
        "run": folder.id,
        "judge": record["name"],
        "dataset": bench.dataset.name,
        "positive": "fail",
        "part": bench.part,
        "on": where,
        "chosen_here": chosen,
        "tried_here": tried,
        "look": str(bench.look) if bench.look else None,
        "exploratory": bench.split.exploratory,
        "level": bench.level,
        "policy": bench.policy,
        "group": bench.split.config.group or "group",
        "unlabelled": len(bench.dataset.interactions) - len(bench.dataset.labels),
    }


def _corrected(
    judged: Judged,
    one: Slice,
    row: Mapping[str, Any],
    traffic: Traffic,
    beyond: Mapping[tuple[tuple[str, str], ...], Slice],
    level: float,
) -> dict[str, Any] | None:
    """Of a slice; None where no unlabelled item is of it."""
    there = beyond.get(tuple(one.by.items()))
    if there is None:
        return None
    differs = any(is_claimed(row, name, level) for name in ("missed", "false_alarms"))
    return corrected(judged, one.inside, traffic.some(there.inside), level, differs=differs)
