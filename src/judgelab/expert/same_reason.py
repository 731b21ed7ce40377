"""Is a judge right for the expert's reason? What the expert said of its agreements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from judgelab.data.remarks import Remark, RemarkLog, remarks_path
from judgelab.data.schema import Dataset

if TYPE_CHECKING:
    from judgelab.metrics.scorecard import Metric


def remarks_on(run: str, dataset: Dataset) -> list[Remark]:
    """Those of whose labels decide, on the texts as they are; where nobody is known to have given
    the labels, of who made remarks, if that is one person."""
    content = {one.id: one.content for one in dataset.interactions}
    log = RemarkLog(remarks_path(dataset.name))
    known = {dataset.expert} - {""} or {one.expert for one in log.all if one.run == run}
    said = log.of(known.pop(), run) if len(known) == 1 else []
    return [one for one in said if content.get(one.id) == one.content]


def of_run(
    run: str, dataset: Dataset, clusters: Mapping[str, str | None], level: float
) -> dict[str, Any]:
    """`wrong_reasons` of what was said of a run, as JSON."""
    return wrong_reasons(remarks_on(run, dataset), clusters, level).to_json()


def wrong_reasons(
    remarks: Sequence[Remark], clusters: Mapping[str, str | None], level: float = 0.95
) -> Metric:
    """The share of agreements in which the judge is right for another reason than the expert.

    Args:
        remarks: of one run; what is not decided (unclear), or of a disagreement, is left out.
        clusters: the group of an item, by its id.
        level: nominal coverage of the interval.
    """
    import numpy as np

    from judgelab.metrics.shares import share

    told = [one for one in remarks if one.label == one.verdict and one.says != "unclear"]
    other = np.array([one.says == "other_reason" for one in told], dtype=bool)
    return share(other, [clusters.get(one.id) for one in told], level)
