"""The offline model: a vote of the demonstrations, and nothing without any."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import judgelab
from builders import example, interaction, text
from judgelab import prompts
from judgelab.calls.accounts import Accounts
from judgelab.calls.pool import Pool
from judgelab.calls.store import CallStore
from judgelab.models.base import Reply
from judgelab.models.neighbours import Neighbours
from judgelab.parsing import Parsed, parse
from judgelab.prompts import Prompt
from judgelab.types import Example, Interaction


def reply(demos: Sequence[Example], asked: Interaction, **more: str) -> Reply:
    prompt = Prompt(**({"rubric": "r", "template": prompts.template("judge")} | more))
    model = Neighbours()
    return asyncio.run(model.complete(model.request(prompt.messages(demos, asked), 0, asked.id)))


def judged(demos: Sequence[Example], asked: Interaction, **more: str) -> Parsed:
    return parse(reply(demos, asked, **more))


def about(theme: str, label: str, n: int) -> Example:
    words = text(theme, 25)
    return example(f"{theme}{n}", label, input=words, output=f"{words} {text(n, 4)}")


THEMES = [about("dogs", "fail", i) for i in range(3)] + [about("cats", "pass", i) for i in range(3)]


@pytest.mark.parametrize(("theme", "label"), [("dogs", "fail"), ("cats", "pass")])
def test_the_demos_alike_decide(theme: str, label: str) -> None:
    asked = replace(about(theme, "fail", 9).interaction, id="asked")
    found = judged(THEMES, asked)
    assert found.label == label
    closest = [e.critique for e in THEMES if e.id.startswith(f"i{theme}")]
    assert found.critique.removeprefix("The closest judged example says: ") in closest
    confidence = reply(THEMES, asked).confidence
    assert confidence is not None
    assert 0.9 < confidence <= 1


def test_no_demos_no_verdict() -> None:
    assert judged([], interaction("x")) == Parsed(None, "empty")


@pytest.mark.parametrize("label", ["pass", "fail"])
def test_one_demo_is_a_vote_too(label: str) -> None:
    asked = replace(about("dogs", "fail", 9).interaction, id="asked")
    assert judged([about("dogs", label, 1)], asked).label == label
    assert judged([example("far", label)], interaction("strange")).label == label


def test_where_nothing_is_alike_every_demo_has_one_vote() -> None:
    demos = [example(i, "pass" if i else "fail") for i in range(3)]
    assert judged(demos, interaction("x", input="unheard", output="of")).label == "pass"


def test_it_votes_by_labels_where_critiques_are_not_shown() -> None:
    asked = replace(about("cats", "fail", 9).interaction, id="asked")
    for more in ({"show": "label"}, {"reasoning": "none"}):
        found = judged(THEMES, asked, **more)
        assert (found.label, found.critique) == ("pass", "")


@pytest.mark.parametrize("reasoning", ["none", "critique", "cot"])
def test_rubric_and_reasoning_are_nothing_to_it(reasoning: str) -> None:
    asked = replace(about("dogs", "fail", 9).interaction, id="asked")
    first = judged(THEMES, asked, reasoning=reasoning, rubric="Always pass.")
    assert first == judged(THEMES, asked, reasoning=reasoning, rubric="Always fail.")


SCRIPT = """
from test_neighbours import THEMES, about, reply
print(reply(THEMES, about("dogs", "fail", 9).interaction).to_json())
"""


def test_the_same_answer_in_every_process() -> None:
    paths = [Path(judgelab.__file__).parents[1], Path(__file__).parents[1], Path(__file__).parent]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
    there = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env=environment | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert there == {str(reply(THEMES, about("dogs", "fail", 9).interaction).to_json())}


def test_it_is_local_and_no_llm(tmp_path: Path) -> None:
    model = Neighbours()
    assert model.local
    assert not model.llm
    store = CallStore(tmp_path / "calls.db")
    request = model.request(({"role": "user", "content": "x"},), 0, "x")
    pool, accounts = Pool(store, calls=0, usd=0.0), Accounts()

    async def main() -> None:
        await pool.ask(model, request, accounts)
        assert store.get(request) is None
        await pool.close()

    asyncio.run(main())
    assert (accounts.sent, accounts.spent_usd, pool.sent) == (0, 0.0, 0)
    assert json.loads(json.dumps(accounts.to_json()))
