"""A panel's vote: what each member says, who is heard, and what is booked."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from spelt import WORDS, Says, judged, ready

from builders import interaction
from judgelab.calls.stream import merged
from judgelab.demos.balanced import BalancedDemos
from judgelab.demos.hard import HardDemos
from judgelab.demos.none import NoDemos
from judgelab.errors import ConfigError
from judgelab.judges.classifier import ClassifierJudge
from judgelab.judges.constant import ConstantJudge
from judgelab.judges.panel import PanelJudge
from judgelab.judges.prompted import PromptedJudge
from judgelab.models.base import Request
from judgelab.models.scripted import Scripted
from judgelab.types import Interaction, Verdict


def vote(letters: str, weights: list[float] | None = None) -> Verdict:
    panel = PanelJudge([Says(letter) for letter in letters], weights)
    ready(panel)
    return judged(panel, 1)["i0"]


# --- the vote


@pytest.mark.parametrize(
    ("letters", "weights", "verdict", "reason", "by", "confidence"),
    [
        ("ppf", None, "pass", None, "members.0", 1 / 3),
        ("fpf", None, "fail", None, "members.0", 1 / 3),
        ("pff", None, "fail", None, "members.1", 1 / 3),
        ("fff", None, "fail", None, "members.0", 1.0),
        ("pf", None, None, "tie", None, None),
        ("p-f", None, None, "tie", None, None),
        ("-p-", None, "pass", None, "members.1", 1 / 3),
        ("--", None, None, "refusal", None, None),
        ("pff", [3, 1, 1], "pass", None, "members.0", 1 / 5),
        ("pff", [2, 1, 1], None, "tie", None, None),
        ("pff", [0.3, 0.1, 0.2], None, "tie", None, None),
        ("-ff", [3, 1, 1], "fail", None, "members.1", 2 / 5),
    ],
)
def test_a_table_of_votes(
    letters: str,
    weights: list[float] | None,
    verdict: str | None,
    reason: str | None,
    by: str | None,
    confidence: float | None,
) -> None:
    found = vote(letters, weights)
    assert (found.verdict, found.reason, found.by) == (verdict, reason, by)
    assert found.confidence == (None if confidence is None else round(confidence, 6))
    assert bool(found.critique) == bool(verdict)


@pytest.mark.parametrize("weights", [None, [1.0, 1.0, 1.0, 1.0], [4.0, 2.0, 1.0, 0.5]])
def test_every_vote_of_four_against_plain_counting(weights: list[float] | None) -> None:
    words = ["".join(letters) for letters in itertools.product("pf-", repeat=4)]
    columns = ["".join(column) for column in zip(*words, strict=True)]
    panel = PanelJudge([Says(column) for column in columns], weights)
    ready(panel)
    found = judged(panel, len(words))
    heavy = [Fraction(w) for w in weights or [1.0] * 4]
    for n, word in enumerate(words):
        sides = {
            letter: sum(
                (w for w, one in zip(heavy, word, strict=True) if one == letter), Fraction()
            )
            for letter in "pf"
        }
        verdict = found[f"i{n}"]
        if sides["p"] == sides["f"]:
            assert verdict.verdict is None
            assert verdict.reason == ("tie" if sides["p"] else "refusal")
            continue
        winner = max("pf", key=lambda letter: sides[letter])
        assert verdict.verdict == WORDS[winner]
        margin = abs(sides["p"] - sides["f"]) / sum(heavy)
        assert verdict.confidence == pytest.approx(float(margin), abs=1e-6)
        assert verdict.by == f"members.{word.index(winner)}"
        assert verdict.critique == f"{winner}0"


def test_swapped_verdicts_swap_the_vote_and_members_in_another_order_do_not() -> None:
    swap = str.maketrans("pf", "fp")
    other = {"pass": "fail", "fail": "pass", None: None}
    for letters in itertools.product("pf-", repeat=3):
        word = "".join(letters)
        given, swapped = vote(word), vote(word.translate(swap))
        assert (swapped.verdict, swapped.confidence) == (other[given.verdict], given.confidence)
        turned = vote(word[::-1])
        assert (turned.verdict, turned.confidence) == (given.verdict, given.confidence)


def test_the_voice_is_of_the_winning_side_and_has_something_to_say() -> None:
    panel = PanelJudge([ConstantJudge("pass"), Says("f"), Says("p")])
    ready(panel)
    found = judged(panel, 1)["i0"]
    assert (found.verdict, found.by, found.critique) == ("pass", "members.2", "p0")


def test_a_panel_in_a_panel_says_who_it_was() -> None:
    panel = PanelJudge([Says("f"), PanelJudge([Says("p"), Says("f"), Says("p")]), Says("p")])
    ready(panel)
    assert judged(panel, 1)["i0"].by == "members.1.members.0"


# --- repeats


def test_the_repeats_of_a_member_are_one_vote() -> None:
    panel = PanelJudge([Says("ffp", repeats=3), Says("p"), Says("f")])
    ready(panel)
    found = judged(panel, 1)["i0"]
    assert (found.verdict, found.by, found.critique) == ("fail", "members.0", "f0")
    even = PanelJudge([Says("fp", repeats=2), Says("p"), Says("f")])
    ready(even)
    assert judged(even, 1)["i0"].reason == "tie"


def test_repeats_of_a_panel_are_new_samples_of_every_member() -> None:
    model = Scripted([json.dumps({"critique": "c", "verdict": "fail"})], concurrency=4)
    many = PromptedJudge("generic", "judge", "critique", model, NoDemos(), repeats=2)
    once = PromptedJudge("from_critiques", "judge", "critique", model, NoDemos())
    panel = PanelJudge([many, once], repeats=3)
    calls = ready(panel)
    for repeat in range(3):
        assert judged(panel, 2, repeat)["i1"].repeat == repeat
    asked = [(r.item, r.repeat, "generic" in str(r.messages)) for r in model.requests]
    assert len({r.key for r in model.requests}) == len(asked) == 2 * (6 + 3)
    rows: Any = calls.replies
    assert {row["by"] for row in rows} == {"members.0", "members.1"}
    repeats = {by: {row["repeat"] for row in rows if row["by"] == by} for by in ("members.0",)}
    assert repeats["members.0"] == set(range(6))
    assert panel.answers == 3


# --- failures


def test_an_item_on_which_a_member_failed_has_no_verdict_and_fails_once() -> None:
    panel = PanelJudge([Says("p.pp."), Says("p..fp"), Says("pppp.")])
    calls = ready(panel)
    calls.accounts.planned = 5
    found = judged(panel, 5)
    assert set(found) == {"i0", "i3"}
    assert calls.accounts.failed == {"500": 3}
    for verdict in found.values():
        calls.book(verdict)
    assert calls.accounts.to_json()["pending"] == 0
    assert not calls.accounts.complete


def test_a_failure_deep_inside_is_booked_once_by_the_whole() -> None:
    inside = PanelJudge([Says("."), Says(".")])
    panel = PanelJudge([inside, Says("p")])
    calls = ready(panel)
    assert judged(panel, 1) == {}
    assert calls.accounts.failed == {"500": 1}


def test_what_is_asked_is_the_sum(tmp_path: Path) -> None:
    model = Scripted(["x"], price={"input": 1.0, "output": 1.0})
    hard = PromptedJudge("generic", "judge", "critique", model, HardDemos(2), repeats=2)
    plain = PromptedJudge("generic", "judge", "critique", model, BalancedDemos(2))
    panel = PanelJudge([hard, plain, ClassifierJudge()])
    ready(panel, tmp_path)
    calls, *_, usd = panel.ask_estimate(interaction(99), 0)
    assert calls == 3
    assert usd == sum(
        one.ask_estimate(interaction(99), repeat)[3]
        for one, repeat in ((hard, 0), (hard, 1), (plain, 0))
    )
    assert panel.rehearsal_estimate()[0] == 12
    assert (panel.answers, panel.rehearsed, panel.llm) == (3, 12, True)
    assert set(panel.texts()) == {
        f"members.{n}.{name}" for n in (0, 1) for name in ("rubric.md", "template.j2")
    }


def test_members_are_judged_at_the_same_time() -> None:
    """Each member waits for the other: one after the other this would never end."""
    met = asyncio.Event()

    class Waits(ConstantJudge):
        async def judge(self, interactions: Iterable[Interaction], repeat: int) -> Any:
            if self.verdict == "pass":
                await asyncio.wait_for(met.wait(), 30)
            met.set()
            for item in interactions:
                yield Verdict(item.id, self.verdict, repeat=repeat)

    panel = PanelJudge([Waits("pass"), Waits("fail")])
    ready(panel)
    assert judged(panel, 3)["i2"].reason == "tie"


def test_all_ends_with_the_one_that_raises() -> None:
    ended: list[str] = []

    async def forever() -> Any:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            ended.append("closed")

    async def broken() -> Any:
        await asyncio.sleep(0)
        raise ValueError("broken")
        yield 2

    async def main() -> None:
        with pytest.raises(ValueError, match="broken"):
            async for _ in merged([forever(), broken()]):
                pass

    asyncio.run(main())
    assert ended == ["closed"]


@pytest.mark.parametrize(
    ("members", "more", "message"),
    [
        (["p"], {}, r"judge\.members: a panel has two judges or more, got 1"),
        (
            ["p", "f"],
            {"weights": [1]},
            r"judge\.weights=\[1\]: one number above 0 for each of the 2",
        ),
        (["p", "f"], {"weights": [1, 0]}, r"judge\.weights=\[1, 0\]"),
        (["p", "f"], {"weights": [1, "x"]}, r"judge\.weights"),
    ],
)
def test_what_is_no_panel_is_said(members: list[str], more: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PanelJudge([Says(word) for word in members], **more)


def test_a_member_is_a_judge() -> None:
    with pytest.raises(ConfigError, match=r"judge\.members\.1 is no judge: got dict"):
        PanelJudge([Says("p"), {}])
    with pytest.raises(ValueError, match="repeats must be >= 1, got 0"):
        PanelJudge([Says("p"), Says("p")], repeats=0)


def test_the_request_of_a_member_is_the_request_it_would_send_alone(tmp_path: Path) -> None:
    """What a panel has paid for, its members alone need not pay again."""

    def made(model: Scripted) -> PromptedJudge:
        return PromptedJudge("generic", "judge", "critique", model, BalancedDemos(2))

    model, alone = Scripted([json.dumps({"verdict": "fail"})]), Scripted(["x"])
    panel, judge = PanelJudge([made(model), ConstantJudge("fail")]), made(alone)
    ready(panel, tmp_path / "a")
    ready(judge, tmp_path / "b")
    judged(panel, 3)
    judged(judge, 3)
    keys: list[list[str]] = [[_key(r) for r in m.requests] for m in (model, alone)]
    assert keys[0] == keys[1]


def _key(request: Request) -> str:
    return request.key
