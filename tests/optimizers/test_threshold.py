"""The threshold of a cascade: the least handed over for a recall of fail, chosen on dev alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from builders import example, split
from judgelab import config as configs
from judgelab.calls.line import Calls
from judgelab.calls.pool import Pool
from judgelab.data.split import DevSet, TrainSet
from judgelab.errors import ConfigError
from judgelab.judges.base import Judge
from judgelab.optimizers.base import Improved
from judgelab.optimizers.threshold import ALL_HANDED, Threshold
from judgelab.types import Example, Verdict

# (label, verdict of cheap, its confidence, verdict of dear)
Row = tuple[str, str | None, float | None, str | None]
ROWS: list[Row] = [
    ("fail", "fail", 0.9, "fail"),
    ("fail", "fail", 0.8, "fail"),
    ("fail", "pass", 0.7, "fail"),
    ("fail", "pass", 0.6, "fail"),
    ("fail", None, None, "pass"),
    ("pass", "pass", 0.9, "pass"),
    ("pass", "pass", 0.8, "pass"),
    ("pass", "fail", 0.7, "pass"),
    ("pass", "pass", 0.6, "fail"),
    ("pass", "pass", 0.5, "pass"),
]
TOLD: dict[str, Row] = {}


class Told(Judge):
    """The side of a row that it is, by item."""

    answers = 1

    def __init__(self, side: str) -> None:
        self.side = side

    async def judge(self, interactions: Any, repeat: int) -> Any:
        for item in interactions:
            _, cheap, sure, dear = TOLD[item.id]
            label: Any = cheap if self.side == "cheap" else dear
            reason = None if label else "refusal"
            confidence = sure if self.side == "cheap" else None
            yield Verdict(item.id, label, reason, "c", repeat, confidence)


NODE = {
    "_target_": "judgelab.judges.cascade.CascadeJudge",
    "cheap": {"_target_": f"{__name__}.Told", "side": "cheap"},
    "dear": {"_target_": f"{__name__}.Told", "side": "dear"},
    "sure_by": "confidence",
    "threshold": 0.9,
}


def sets(rows: Sequence[Row], folder: Path) -> tuple[TrainSet, DevSet]:
    """A dev of these rows alone, in their order."""
    items: list[Example] = []
    for n, row in enumerate(rows):
        label: Any = row[0]
        items.append(example(n, label))
        TOLD[items[-1].id] = row
    made = split(items, folder, mode="holdout", ratios={"train": 0.0, "dev": 1.0, "test": 0.0})
    return made.folds("dev")[0].train, made.dev()


def found(optimizer: Threshold, rows: Sequence[Row], folder: Path, **more: Any) -> Improved:
    train, dev = sets(rows, folder)
    return asyncio.run(optimizer.improve(NODE | more, train, dev, Calls(Pool())))


def point(curve: Sequence[dict[str, Any]], threshold: float) -> dict[str, Any]:
    (one,) = [point for point in curve if point["threshold"] == threshold]
    return one


def test_the_curve_is_every_threshold_that_makes_a_difference(tmp_path: Path) -> None:
    story = found(Threshold(), ROWS, tmp_path).story
    curve = story["curve"]
    assert [point["threshold"] for point in curve] == [0.5, 0.6, 0.7, 0.8, 0.9, ALL_HANDED]
    assert [point["handed"] for point in curve] == [0.1, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert [point["recall_fail"] for point in curve] == [0.4, 0.4, 0.6, 0.8, 0.8, 0.8]
    assert (story["n"], story["fails"]) == (10, 5)


def test_each_point_is_what_the_cascade_scores_at_that_threshold(tmp_path: Path) -> None:
    """Against the cascade itself, and kappa against scikit-learn."""
    from sklearn.metrics import cohen_kappa_score

    train, dev = sets(ROWS, tmp_path)
    curve = found(Threshold(), ROWS, tmp_path).story["curve"]

    async def judged(threshold: float) -> dict[str, Verdict]:
        cascade = configs.build(NODE | {"threshold": threshold}, Judge, "judge")
        cascade.prepare(train, Calls(Pool()))
        items = [e.interaction for e in dev]
        return {v.id: v async for v in cascade.judge(items, 0)}

    for one in curve:
        verdicts = asyncio.run(judged(one["threshold"]))
        assert one["handed"] == sum(v.by == "dear" for v in verdicts.values()) / 10
        said = [str(verdicts[e.id].verdict) for e in dev]
        labels = [e.label for e in dev]
        caught = sum(s == "fail" for s, label in zip(said, labels, strict=True) if label == "fail")
        assert one["recall_fail"] == pytest.approx(caught / 5)
        if "None" not in said:
            assert one["kappa"] == pytest.approx(cohen_kappa_score(labels, said))


@pytest.mark.parametrize(
    ("recall", "threshold", "handed", "reached"),
    [(0.3, 0.5, 0.1, True), (0.5, 0.7, 0.4, True), (0.6, 0.7, 0.4, True), (0.61, 0.8, 0.6, True),
     (0.8, 0.8, 0.6, True), (0.81, 0.8, 0.6, False), (1.0, 0.8, 0.6, False)],
)  # fmt: skip
def test_the_least_handed_over_that_reaches_the_recall_else_the_best(
    recall: float, threshold: float, handed: float, reached: bool, tmp_path: Path
) -> None:
    improved = found(Threshold(recall), ROWS, tmp_path)
    assert improved.judge == NODE | {"threshold": threshold}
    assert improved.story["chosen"] == point(improved.story["curve"], threshold)
    assert improved.story["chosen"]["handed"] == handed
    assert improved.story["reached"] is reached
    assert improved.candidates == 6
    (said,) = improved.notes
    assert f"threshold {threshold:.4g}: {handed:.0%} of 10 dev items handed over" in said
    assert ("No threshold reaches" in said) is not reached


def test_all_is_handed_over_where_only_that_reaches_it(tmp_path: Path) -> None:
    rows: list[Row] = [("fail", "pass", 1.0, "fail"), ("pass", "pass", 0.5, "pass")]
    improved = found(Threshold(1.0), rows, tmp_path)
    assert improved.judge["threshold"] == ALL_HANDED
    assert improved.story["chosen"]["handed"] == 1.0


def test_the_rest_of_the_judge_stays_as_it_was(tmp_path: Path) -> None:
    improved = found(Threshold(0.5), ROWS, tmp_path, threshold=0.123)
    assert {k: v for k, v in improved.judge.items() if k != "threshold"} == {
        k: v for k, v in NODE.items() if k != "threshold"
    }


def test_a_budget_judges_only_the_first_items(tmp_path: Path) -> None:
    rows = ROWS * 3
    train, dev = sets(rows, tmp_path)
    whole = asyncio.run(Threshold(budget=60).improve(NODE, train, dev, Calls(Pool()))).story
    part = asyncio.run(Threshold(budget=41).improve(NODE, train, dev, Calls(Pool()))).story
    assert (whole["n"], part["n"]) == (30, 20)
    assert part["fails"] == sum(e.label == "fail" for e in dev[:20])
    with pytest.raises(ConfigError, match=r"optimizer\.budget=1: one item alone takes 2 answers"):
        asyncio.run(Threshold(budget=1).improve(NODE, train, dev, Calls(Pool())))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("pass", "pass", 0.5, "pass")] * 4, "none of the 4 items of dev is a fail"),
        ([("fail", "pass", None, "fail")] * 4, "the cheap judge is sure of none of 4 items"),
        ([("fail", None, 0.9, "fail")] * 4, "the cheap judge is sure of none of 4 items"),
    ],
)
def test_where_there_is_nothing_to_choose_by_it_says_so(
    rows: list[Row], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        found(Threshold(), rows, tmp_path)


@pytest.mark.parametrize("wrong", [{"recall": 0.0}, {"recall": 1.1}, {"budget": 0}])
def test_wrong_arguments_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Threshold(**wrong)


def test_it_is_for_cascades_alone() -> None:
    constant = {"_target_": "judgelab.judges.constant.ConstantJudge", "verdict": "fail"}
    with pytest.raises(ConfigError, match="of a cascade; this judge is a ConstantJudge"):
        Threshold().check(constant)
    Threshold().check(NODE)
