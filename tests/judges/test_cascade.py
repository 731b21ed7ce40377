"""A cascade: who decides, what is handed over, and what is booked."""

from __future__ import annotations

from typing import Any

import pytest
from spelt import Says, judged, ready

from judgelab.errors import ConfigError
from judgelab.judges.base import Judge
from judgelab.judges.cascade import CascadeJudge
from judgelab.judges.constant import ConstantJudge
from judgelab.judges.panel import PanelJudge
from judgelab.types import Interaction, Verdict


class Sure(Judge):
    """Fails everything, as sure as it is told to be of each item."""

    def __init__(self, *confidences: float | None) -> None:
        self.confidences = confidences

    async def judge(self, interactions: Any, repeat: int) -> Any:
        for item in interactions:
            sure = self.confidences[int(item.id[1:])]
            yield Verdict(item.id, "fail", critique="cheap", repeat=repeat, confidence=sure)


class Seen(ConstantJudge):
    """Passes everything, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__("pass")
        self.seen: list[str] = []

    async def judge(self, interactions: Any, repeat: int) -> Any:
        items: list[Interaction] = list(interactions)
        self.seen += [item.id for item in items]
        async for verdict in super().judge(items, repeat):
            yield verdict


@pytest.mark.parametrize(
    ("threshold", "by_cheap"),
    [(0.0, "0124"), (0.5, "014"), (0.7, "04"), (0.9, "0"), (0.91, ""), (1.01, "")],
)
def test_from_the_threshold_on_the_cheap_one_decides(threshold: float, by_cheap: str) -> None:
    dear = Seen()
    cascade = CascadeJudge(Sure(0.9, 0.6, 0.2, None, 0.7), dear, threshold=threshold)
    ready(cascade)
    found = judged(cascade, 5)
    cheap = {f"i{n}" for n in by_cheap}
    for item, verdict in found.items():
        expected = ("fail", "cheap") if item in cheap else ("pass", "dear")
        assert (verdict.verdict, verdict.by) == expected
    assert len(found) == 5
    assert dear.seen == [item for item in ("i0", "i1", "i2", "i3", "i4") if item not in cheap]


def test_what_the_cheap_one_abstains_on_is_handed_over() -> None:
    dear = Seen()
    cascade = CascadeJudge(Says("p-f", confidence=1.0), dear, threshold=0.0)
    ready(cascade)
    found = judged(cascade, 3)
    assert dear.seen == ["i1"]
    assert [found[f"i{n}"].verdict for n in range(3)] == ["pass", "pass", "fail"]


def test_the_dear_one_may_abstain() -> None:
    cascade = CascadeJudge(Sure(0.1), Says("-"))
    ready(cascade)
    verdict = judged(cascade, 1)["i0"]
    assert (verdict.verdict, verdict.reason, verdict.by) == (None, "refusal", "dear")


@pytest.mark.parametrize(
    ("threshold", "handed"), [(0.5, "3"), (0.7, "123"), (1.0, "123"), (1.01, "0123")]
)
def test_sure_by_how_many_repeats_agree(threshold: float, handed: str) -> None:
    # fff, ffp, f-f and -p-: agreement 1, 2/3, 2/3 and 1/3
    dear = Seen()
    cheap = Says("fffffpf-f-p-", repeats=3)
    cascade = CascadeJudge(cheap, dear, sure_by="repeats", threshold=threshold)
    ready(cascade)
    assert len(judged(cascade, 4)) == 4
    assert dear.seen == [f"i{n}" for n in handed]


def test_sure_by_the_votes_of_a_panel() -> None:
    panel = PanelJudge([Says("fffp"), Says("ff--"), Says("fpp-")])  # margins 1, 1/3, tie, 1/3
    dear = Seen()
    cascade = CascadeJudge(panel, dear, sure_by="votes", threshold=0.3)
    ready(cascade)
    found = judged(cascade, 4)
    assert dear.seen == ["i2"]
    assert found["i3"].by == "cheap.members.0"
    assert (found["i0"].confidence, found["i1"].confidence) == (1.0, 0.333333)


def test_failures_of_either_are_booked_once() -> None:
    cascade = CascadeJudge(Says("p.-p-", confidence=1.0), Says("pp.pp"), threshold=0.5)
    calls = ready(cascade)
    calls.accounts.planned = 5
    found = judged(cascade, 5)
    assert set(found) == {"i0", "i3", "i4"}
    assert calls.accounts.failed == {"500": 2}


def test_repeats_of_a_cascade() -> None:
    cascade = CascadeJudge(Sure(0.9, 0.1), Says("pppppf", repeats=3), repeats=2)
    ready(cascade)
    found = judged(cascade, 2, repeat=1)
    assert {verdict.repeat for verdict in found.values()} == {1}
    assert found["i1"].verdict == "pass"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"sure_by": "luck"}, r"judge\.sure_by=luck: one of confidence, repeats, votes is needed"),
        ({"sure_by": "votes"}, r"judge\.sure_by=votes needs a panel as judge\.cheap"),
        ({"sure_by": "repeats"}, r"judge\.sure_by=repeats: the cheap judge is asked once"),
    ],
)
def test_what_it_cannot_be_sure_by_is_said(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CascadeJudge(Says("p"), Says("p"), **more)
