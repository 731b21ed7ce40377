"""The share that the system fails where the judge was asked about unlabelled items as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judgelab.analysis.slices import Judged, Mask
from judgelab.metrics.confusion import ABSTAINED, FAIL, PASS, count_tables, group_codes
from judgelab.metrics.population import apart, rogan_gladen
from judgelab.metrics.ppi import ppi
from judgelab.metrics.shares import by_group, clustered, share

REASONS = {
    "no_unlabelled": "every item is labelled, so the expert's own share stands",
    "recalls_differ_here": "the judge errs otherwise here than elsewhere, so the recalls of all "
    "labelled items do not hold",
}


@dataclass(frozen=True)
class Traffic:
    """Unlabelled items with their verdicts, aligned; fields as in `Judged`."""

    items: Sequence[str]
    judge: NDArray[np.int64]
    groups: NDArray[np.int64]

    def some(self, inside: Mask) -> Traffic:
        """Those of a slice."""
        ids = [item for item, there in zip(self.items, inside.tolist(), strict=True) if there]
        return Traffic(ids, self.judge[inside], self.groups[inside])


def passing(judge: NDArray[np.int64], policy: str) -> Mask:
    """What the correction takes for the judge's word: passed or not, so that an abstention is not
    passed, on both sides alike; passed under as_pass."""
    abstained = np.equal(judge, ABSTAINED) & (policy == "as_pass")
    return np.asarray(np.equal(judge, PASS) | abstained, np.bool_)


def tables(judged: Judged) -> NDArray[np.int64]:
    """tp, fn, fp, tn of the labelled items, shape (4,), or of each group, (G, 4)."""
    passed = passing(judged.judge, judged.policy)
    cells = np.where(judged.expert, passed.astype(np.int64), 2 + passed.astype(np.int64))
    if not clustered(judged.groups):
        return np.bincount(cells, minlength=4)
    return count_tables(cells, group_codes(judged.groups, len(cells)), 4)


def corrected(
    labelled: Judged, inside: Mask, traffic: Traffic, level: float, *, differs: bool = False
) -> dict[str, Any]:
    """The share failing in a slice of the traffic by two ways, or why not.

    Args:
        labelled: all labelled items; their recalls are those of the judge everywhere.
        inside: which of them are of the slice.
        traffic: the unlabelled items of the slice.
        level: nominal coverage.
        differs: whether the judge was shown to err otherwise in this slice.

    Returns:
        n of the traffic; the share that the judge fails there; rogan_gladen and ppi as metrics of
        fail, each with what it assumes; apart: whether they exclude one another.
    """
    passed = passing(traffic.judge, labelled.policy)
    judge = share(traffic.judge == FAIL, traffic.groups, level).to_json()
    by_recalls = rogan_gladen(tables(labelled), *counts(passed, traffic.groups), level=level)
    by_sample = ppi(
        ~labelled.expert[inside],
        passing(labelled.judge[inside], labelled.policy),
        passed,
        groups=labelled.groups[inside],
        unlabelled_groups=traffic.groups,
        level=level,
    )
    first, second = failing(by_recalls.to_json()), failing(by_sample.to_json())
    if differs and first["value"] is not None:
        first |= {"value": None, "lo": None, "hi": None, "reason": "recalls_differ_here"}
    exclude = not differs and apart(by_recalls.interval, by_sample.interval)
    return {
        "n": len(traffic.items),
        "judge_fails": judge,
        "rogan_gladen": first,
        "ppi": second,
        "apart": exclude,
    }


def failing(rate: Mapping[str, Any]) -> dict[str, Any]:
    """A pass rate's metric as the metric of fail."""
    kept = ("method", "level", "n", "n_eff", "clusters", "warnings", "reason", "assumption")
    lo, hi = rate["lo"], rate["hi"]
    found = {
        "value": None if rate["value"] is None else 1 - rate["value"],
        "lo": None if hi is None else 1 - hi,
        "hi": None if lo is None else 1 - lo,
    }
    return found | {key: rate[key] for key in kept if key in rate}


def counts(passed: Mask, groups: NDArray[np.int64]) -> tuple[Any, Any]:
    """Passes and items, in all or of each group."""
    if not clustered(groups):
        return int(passed.sum()), len(passed)
    return by_group(groups, passed), by_group(groups, np.ones(len(passed), bool))
