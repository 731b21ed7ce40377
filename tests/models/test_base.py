"""The contract of a model: what a request estimates, and what a model adds to it."""

from __future__ import annotations

from typing import Any

import pytest

from judgelab.models.base import Request
from judgelab.models.scripted import Scripted


def asked(text: str, **more: Any) -> Request:
    return Request("e", "m", ({"role": "user", "content": text},), **more)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 4),
        ("word" * 100, 104),
        ("ж" * 100, 54),  # two bytes a letter
        ("語" * 100, 79),  # three
        ("\ud83d" * 4, 5),
    ],
)
def test_tokens_are_estimated_by_the_bytes_of_the_text(text: str, tokens: int) -> None:
    assert asked(text).estimated_tokens() == (tokens, 200)


@pytest.mark.parametrize(
    ("parameters", "tokens"),
    [
        ({"max_tokens": 50}, 50),
        ({"max_completion_tokens": 50}, 50),
        ({"max_tokens": 5000}, 200),
        ({"max_tokens": None}, 200),
    ],
)
def test_an_answer_is_estimated_at_its_cap_or_its_usual_length(
    parameters: dict[str, Any], tokens: int
) -> None:
    assert asked("", parameters=parameters).estimated_tokens()[1] == tokens


def test_prompt_and_answer_share_the_context_window() -> None:
    question = ({"role": "user", "content": "word" * 100},)  # 104 tokens, and 200 of an answer
    fits, not_quite = Scripted(["x"], context_window=304), Scripted(["x"], context_window=303)
    assert not fits.request(question, 0, "a").too_long
    assert not_quite.request(question, 0, "a").too_long
    assert not Scripted(["x"]).request(question, 0, "a").too_long


def test_the_arguments_that_all_models_take_reach_the_model() -> None:
    model = Scripted(
        ["x"],
        temperature=0.5,
        max_tokens=7,
        top_p=None,
        timeout=3,
        requests_per_minute=60,
        tokens_per_minute=1000,
        price={"input": 1.0, "output": 2.0},
    )
    assert model.parameters == {"temperature": 0.5, "max_tokens": 7}
    assert (model.requests_per_minute, model.tokens_per_minute) == (60, 1000)
    assert (model.timeout, model.concurrency, model.context_window) == (3, 4, None)
    assert model.price is not None
