"""From how sure on a cascade's cheap judge decides: the least handed over for a recall of fail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judgelab import config as configs
from judgelab.calls.line import Calls
from judgelab.data.split import DevSet, TrainSet
from judgelab.errors import ConfigError
from judgelab.judges.base import Judge
from judgelab.judges.cascade import CascadeJudge
from judgelab.judges.several import Member
from judgelab.metrics.agreement import estimate
from judgelab.metrics.confusion import Confusion
from judgelab.optimizers.base import Improved, Optimizer
from judgelab.scoring import short
from judgelab.types import CODES, Example, Verdict

Array = NDArray[Any]
ALL_HANDED = 1.01  # nobody is that sure


class Threshold(Optimizer):
    """Both judges of a cascade judge dev, and every threshold that makes a difference is tried.

    The one that hands over the least is taken of those with a recall of fail on dev of `recall` or
    more; where none has it, the one with the highest recall. An abstention on what the expert fails
    is a miss. `budget` caps the answers by judging only the first items of dev.
    """

    def __init__(self, recall: float = 0.9, budget: int | None = None) -> None:
        if not 0 < recall <= 1:
            raise ValueError(f"recall must be above 0 and at most 1, got {recall}")
        if budget is not None and budget < 1:
            raise ValueError(f"budget must be a number of answers from 1, or null, got {budget}")
        self.recall = recall
        self.budget = budget

    @classmethod
    def unused(cls, node: Mapping[str, Any]) -> Iterable[str]:
        return ("seed",)

    def check(self, judge: Mapping[str, Any]) -> None:
        if not isinstance(configs.build(judge, Judge, "judge"), CascadeJudge):
            raise ConfigError(
                f"optimizer=threshold finds the threshold of a cascade; this judge is a "
                f"{judge['_target_'].rsplit('.', 1)[-1]}. Take judge=cascade, or optimizer=none."
            )

    async def improve(
        self, judge: Mapping[str, Any], train: TrainSet, dev: DevSet, calls: Calls
    ) -> Improved:
        """The cascade with the threshold found; `story` holds the whole curve.

        Raises:
            ConfigError: dev has no fail, the budget no room, or the cheap judge is never sure.
            CallFailed: one of the two has no verdict on an item.
        """
        cascade = configs.build(judge, CascadeJudge, "judge")
        cascade.prepare(train, calls)
        examples = self._within_budget(cascade, dev)
        fails = np.array([example.label == "fail" for example in examples])
        if not fails.any():
            raise ConfigError(
                f"optimizer=threshold: none of the {len(examples)} items of dev is a fail, so no "
                "recall of fail can be reached. Label more, or give judge.threshold a number."
            )
        start = calls.accounts.cost_usd
        cheap = await self._judged(cascade, cascade.cheap, examples)
        between = calls.accounts.cost_usd
        dear = await self._judged(cascade, cascade.dear, examples)
        usd = between - start, calls.accounts.cost_usd - between

        sure = np.array([cascade.sure(given) for given in cheap])
        if sure.max() < 0:
            raise ConfigError(
                f"optimizer=threshold: the cheap judge is sure of none of {len(examples)} items "
                f"(judge.sure_by={cascade.sure_by}). Confidences come from endpoints that give "
                "log-probabilities (model.logprobs=true); else take judge.sure_by=repeats with "
                "judge.cheap='{repeats: 3}'."
            )
        first = _codes(cascade.cheap, cheap)
        second = _codes(cascade.dear, dear)
        thresholds = [*np.unique(sure[sure >= 0]).tolist(), ALL_HANDED]
        curve = [_point(one, fails, sure, first, second, usd) for one in thresholds]
        good = [point for point in curve if point["recall_fail"] >= self.recall]
        chosen = good[0] if good else max(curve, key=lambda point: point["recall_fail"])
        said = _said(chosen, self.recall, len(examples), int(fails.sum()), reached=bool(good))
        story = {
            "sure_by": cascade.sure_by,
            "recall": self.recall,
            "reached": bool(good),
            "n": len(examples),
            "fails": int(fails.sum()),
            "chosen": chosen,
            "curve": curve,
        }
        better = dict(judge) | {"threshold": chosen["threshold"]}
        return Improved(better, len(curve), story, [said])

    def _within_budget(self, cascade: CascadeJudge, dev: DevSet) -> Sequence[Example]:
        if self.budget is None or not cascade.answers:
            return dev
        room = (self.budget - cascade.rehearsed) // cascade.answers
        if room < 1:
            raise ConfigError(
                f"optimizer.budget={self.budget}: one item alone takes {cascade.answers} answers, "
                f"after {cascade.rehearsed} that choose demos. Give more, or null for all of dev."
            )
        return dev[:room]

    async def _judged(
        self, cascade: CascadeJudge, member: Member, examples: Sequence[Example]
    ) -> list[list[Verdict]]:
        """The repeats of a member on each item, in their order."""
        items = [example.interaction for example in examples]
        each = member.judge.repeats * member.judge.answers
        before = len(items) * (cascade.answers - each) if member is cascade.dear else 0
        found: dict[str, list[Verdict]] = {}
        async for given in member.judged(items, 0):
            found[given[0].id] = given
            self.watch(before + len(found) * each, len(items) * cascade.answers, "")
        failures = filter(None, (member.failure(item.id, 0) for item in items))
        if failure := next(failures, None):
            raise failure
        return [found[item.id] for item in items]


def _codes(member: Member, given: Sequence[Sequence[Verdict]]) -> Array:
    return np.array([CODES[member.verdict(one, 0).verdict] for one in given], dtype=np.int64)


def _point(
    threshold: float,
    fails: Array,
    sure: Array,
    cheap: Array,
    dear: Array,
    usd: tuple[float, float],
) -> dict[str, Any]:
    """The cascade at a threshold; `usd` is estimated from the mean price of the dear judge."""
    handed = sure < threshold
    table = Confusion.from_arrays(fails, np.where(handed, dear, cheap))
    share = float(handed.mean())
    return {
        "threshold": threshold,
        "handed": round(share, 6),
        "usd": round(usd[0] + share * usd[1], 6),
        "recall_fail": estimate("recall_fail", table).value,
        "kappa": estimate("kappa", table).value,
    }


def _said(point: Mapping[str, Any], recall: float, n: int, fails: int, *, reached: bool) -> str:
    found = (
        f"threshold {point['threshold']:.4g}: {point['handed']:.0%} of {n} dev items handed over, "
        f"recall of fail {short(point['recall_fail'])} on {fails} fails"
    )
    if reached:
        return f"{found}, the least that reaches {short(recall)}. Chosen on these items: optimistic"
    return f"{found}. No threshold reaches {short(recall)}: this is the highest there is"
