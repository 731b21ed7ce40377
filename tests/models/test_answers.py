"""Chat Completions answers as servers shape them: text, end, tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from judgelab.models.answers import error_status, hidden_error, read
from judgelab.models.base import CallFailed, Reply


def body(usage: Any = None, reason: Any = "stop", **message: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
    return {"model": "m", "choices": [choice], "usage": usage}


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": "a"}, "a"),
        ({"content": None}, ""),
        ({}, ""),
        ({"content": None, "reasoning_content": '{"verdict": "pass"}'}, ""),
        ({"content": "a", "reasoning": "b", "reasoning_details": [{"text": "c"}]}, "a"),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "ab"),
        (
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "b"}]},
                    {"type": "reasoning", "text": "c"},
                    {"type": "text", "text": "a"},
                ]
            },
            "a",
        ),
    ],
)
def test_the_text_is_the_answer_s_and_never_the_thoughts(message: Any, text: str) -> None:
    assert read(body(**message)) == Reply(text, model="m")


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        *((word, "stop") for word in ("stop", "end_turn", "eos", "STOP", "tool_calls", None, 3)),
        *((word, "length") for word in ("length", "max_tokens", "MAX_TOKENS", "model_length")),
        *((word, "content_filter") for word in ("content_filter", "safety", "SAFETY", "SPII")),
        *((word, "content_filter") for word in ("RECITATION", "refusal", "PROHIBITED_CONTENT")),
        ("content_filter: PROHIBITED_CONTENT", "content_filter"),
    ],
)
def test_the_end_in_our_words(reason: Any, finish: str) -> None:
    assert read(body(reason=reason, content="a")).finish == finish


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (None, (0, 0, 0)),
        ({}, (0, 0, 0)),
        ([1], (0, 0, 0)),
        ({"prompt_tokens": None, "completion_tokens": "many"}, (0, 0, 0)),
        ({"prompt_tokens": -5, "completion_tokens": 1.5}, (0, 0, 0)),
        ({"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}, (100, 10, 0)),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 10,
                "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": None},
            },
            (100, 10, 64),
        ),
        ({"prompt_tokens": 9, "prompt_tokens_details": None}, (9, 0, 0)),
        ({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": None}}, (9, 0, 0)),
        # DeepSeek, Anthropic's words, Moonshot.
        ({"prompt_tokens": 100, "prompt_cache_hit_tokens": 64}, (100, 0, 64)),
        ({"prompt_tokens": 100, "cache_read_input_tokens": 64}, (100, 0, 64)),
        ({"prompt_tokens": 100, "cached_tokens": 64}, (100, 0, 64)),
        # More cached than sent is no negative price.
        ({"prompt_tokens": 10, "cached_tokens": 64}, (10, 0, 10)),
        # Gemini: thoughts are paid for, and stand in the total alone.
        ({"prompt_tokens": 20, "completion_tokens": 198, "total_tokens": 623}, (20, 603, 0)),
        # A total without its parts says nothing of either.
        ({"total_tokens": 623}, (0, 0, 0)),
        # OpenAI: thoughts are within.
        (
            {
                "prompt_tokens": 20,
                "completion_tokens": 603,
                "total_tokens": 623,
                "completion_tokens_details": {"reasoning_tokens": 405},
            },
            (20, 603, 0),
        ),
    ],
)
def test_usage(usage: Any, tokens: tuple[int, int, int]) -> None:
    reply = read(body(usage, content="a"))
    assert (reply.tokens_in, reply.tokens_out, reply.tokens_cached) == tokens
    assert reply.text == "a"


def test_confidence_is_that_of_the_verdict_s_tokens() -> None:
    answer = body(content='{"verdict": "fail"}')
    assert read(answer).confidence is None
    pieces = [('{"verdict": "', -3.0), ("fail", -0.5), ('"}', -3.0)]
    answer["choices"][0]["logprobs"] = {
        "content": [
            {"token": piece, "logprob": logprob, "bytes": None} for piece, logprob in pieces
        ]
    }
    assert read(answer).confidence == pytest.approx(0.606531)
    answer["choices"][0]["logprobs"] = ["of another kind"]
    assert read(answer).confidence is None


@pytest.mark.parametrize("answer", [None, [], "a", 5, {}, {"choices": None}, {"choices": [None]}])
def test_what_is_no_answer_is_malformed(answer: Any) -> None:
    with pytest.raises(CallFailed) as failed:
        read(answer)
    assert (failed.value.cause, failed.value.retry) == ("malformed", True)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"error": {"code": 429, "message": "slow"}}, 429),
        ({"error": {"code": "502"}}, 502),
        ({"error": {"code": "server_error"}, "choices": []}, 500),
        ({"error": "broken"}, 500),
        ({"error": {"code": 200}}, 500),
        ({"choices": [{"error": {"code": 503}, "message": {"content": ""}}]}, 503),
    ],
)
def test_an_error_that_came_as_a_success(answer: Any, status: int) -> None:
    assert error_status(hidden_error(answer)) == status


@pytest.mark.parametrize(
    "answer", [None, [], {}, body(content="a") | {"error": None}, {"choices": [None]}]
)
def test_no_error(answer: Any) -> None:
    assert not hidden_error(answer)


def test_a_reply_goes_to_json_in_the_order_of_its_fields_and_back() -> None:
    reply = Reply("ä", "length", "no", "m", 1, 2, 3, 0.5)
    assert list(reply.to_json()) == list(Reply.__dataclass_fields__)
    assert Reply(**json.loads(json.dumps(reply.to_json()))) == reply


@pytest.mark.parametrize("text", ["plain", "ä – ✓", "a \ud83d b"])
def test_a_reply_holds_what_a_file_can_hold(text: str, tmp_path: Path) -> None:
    reply = Reply(text, refusal=text, model=text)
    assert reply.text == text.replace("\ud83d", "?")
    for said in (reply.text, reply.refusal, reply.model):
        (tmp_path / "x").write_text(said, encoding="utf-8")
