"""What the errors of real servers mean: their bodies, word for word, and what follows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from judgelab.models.base import CallFailed, Rejected, Reply
from judgelab.models.faults import Fault, fault, settle

SENT = ("temperature", "max_tokens", "top_p", "seed", "reasoning_effort", "logprobs")
OPTIONAL = (*SENT, "response_format")


def said(status: int, body: Any, optional: tuple[str, ...] = OPTIONAL) -> Reply:
    return settle(fault(status, body, json.dumps(body)), optional)


def error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", **more}}


def gemini(message: str, code: int = 400) -> list[Any]:
    return [{"error": {"code": code, "message": message, "status": "INVALID_ARGUMENT"}}]


# --- parameters that are not taken

NOT_TAKEN = {
    "openai, temperature": (
        error(
            "Unsupported value: 'temperature' does not support 0.0 with this model. Only the "
            "default (1) value is supported.",
            param="temperature",
            code="unsupported_value",
        ),
        "temperature",
    ),
    "the same without a code": (
        error("'temperature' does not support 0.0 with this model.", param=None, code=None),
        "temperature",
    ),
    "openai, logprobs": (
        error(
            "Unrecognized request argument supplied: top_logprobs",
            param=None,
            code=None,
        ),
        "logprobs",
    ),
    "openai, logprobs by param": (
        error("This model does not support the 'logprobs' parameter.", param="logprobs", code=None),
        "logprobs",
    ),
    "openai, schema": (
        error(
            "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this "
            "model.",
            param="response_format.type",
            code=None,
        ),
        "response_format",
    ),
    "openai, schema as text.format": (
        error("Unsupported parameter.", param="text.format", code="unsupported_parameter"),
        "response_format",
    ),
    "openai, effort": (
        error(
            "Unsupported value: 'minimal' is not supported with the 'gpt-5.1' model.",
            param="reasoning.effort",
            code="unsupported_value",
        ),
        "reasoning_effort",
    ),
    "deepseek, schema": (
        error("This response_format type is unavailable now", code="invalid_request_error"),
        "response_format",
    ),
    "groq, schema": (
        error("This model does not support response format `json_schema`."),
        "response_format",
    ),
    "xai, effort": (
        {"code": "x", "error": "Model grok-4 does not support parameter reasoningEffort."},
        "reasoning_effort",
    ),
    "gemini, the first of two": (
        gemini(
            'Invalid JSON payload received. Unknown name "logprobs": Cannot find field.\n'
            'Invalid JSON payload received. Unknown name "seed": Cannot find field.'
        ),
        "logprobs",
    ),
    "gemini, logprobs": (gemini("Logprobs is not enabled for models/gemini-x"), "logprobs"),
    "vllm": (
        {
            "object": "error",
            "message": "[{'type': 'extra_forbidden', 'loc': ('body', 'seed'), "
            "'msg': 'Extra inputs are not permitted'}]",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
        "seed",
    ),
    "mistral": (
        {"detail": [{"loc": ["body", "top_p"], "msg": "Extra inputs are not permitted"}]},
        "top_p",
    ),
    "ollama": (error('"llama3.1" does not support thinking', param=None), "reasoning_effort"),
    "an old ollama": ({"error": "unknown field: response_format"}, "response_format"),
    "openrouter, from its provider": (
        {
            "error": {
                "code": 400,
                "message": "Provider returned error",
                "metadata": {"raw": '{"error":{"message":"top_p is not supported"}}'},
            }
        },
        "top_p",
    ),
}


@pytest.mark.parametrize(("body", "parameter"), NOT_TAKEN.values(), ids=NOT_TAKEN)
def test_a_parameter_that_is_not_taken_is_named(body: Any, parameter: str) -> None:
    with pytest.raises(Rejected) as caught:
        said(400, body)
    assert caught.value.parameter == parameter
    assert caught.value.instead is None
    # One that was not sent cannot be left out.
    with pytest.raises(CallFailed) as failed:
        said(400, body, tuple(name for name in OPTIONAL if name not in (parameter, "seed")))
    assert (failed.value.cause, failed.value.retry) == ("400", False)


def test_logprobs_that_are_forbidden_close_nothing() -> None:
    with pytest.raises(Rejected, match="not allowed") as caught:
        said(403, error("You are not allowed to request logprobs from this model"))
    assert caught.value.parameter == "logprobs"


@pytest.mark.parametrize(
    ("sent", "other"),
    [("max_tokens", "max_completion_tokens"), ("max_completion_tokens", "max_tokens")],
)
def test_a_cap_is_asked_for_under_its_other_name(sent: str, other: str) -> None:
    message = f"Unsupported parameter: '{sent}' is not supported. Use '{other}' instead."
    with pytest.raises(Rejected) as caught:
        said(400, error(message, param=sent, code="unsupported_parameter"), (sent, "seed"))
    assert (caught.value.parameter, caught.value.instead) == (sent, other)


@pytest.mark.parametrize(
    "body",
    [
        error("Invalid 'temperature': 5. It is at most 2.", param="temperature", code="x"),
        error("max_tokens is too large: 99999.", param="max_tokens", code="invalid_value"),
        error("'messages[0].role' does not support 'x'.", param="messages[0].role"),
        error("Unsupported: the model", param="model", code="unsupported_value"),
        error("Unknown model: temperatures"),
        error("the seeds are not supported"),
        error("top_k is not supported"),
        {},
        [],
        None,
        {"error": None},
        {"error": {}},
        {"detail": []},
    ],
)
def test_a_value_out_of_range_and_what_cannot_be_left_out_are_failures(body: Any) -> None:
    with pytest.raises(CallFailed) as failed:
        said(400, body)
    assert not isinstance(failed.value, Rejected)
    assert failed.value.cause == "400"
    assert "None" not in failed.value.detail


# --- faults of the item


@pytest.mark.parametrize(
    ("status", "body", "finish"),
    [
        (400, error("no", code="content_filter"), "content_filter"),
        (400, error("triggering Azure OpenAI's content management policy"), "content_filter"),
        (
            403,
            {"error": {"code": 403, "message": "openai/x requires moderation. Yours was flagged"}},
            "content_filter",
        ),
        (400, error("no", code="context_length_exceeded"), "too_long"),
        (
            400,
            error("This model's maximum context length is 8192 tokens. However, you asked"),
            "too_long",
        ),
        (
            400,
            gemini("The input token count (1200000) exceeds the maximum number of tokens allowed"),
            "too_long",
        ),
        (400, error("the request exceeds the available context size"), "too_long"),
        (413, {"detail": "prompt is too long"}, "too_long"),
    ],
)
def test_an_item_that_is_refused_is_a_reply(status: int, body: Any, finish: str) -> None:
    assert said(status, body) == Reply("", finish=finish)


# --- faults of the account


@pytest.mark.parametrize(
    ("status", "body", "cause"),
    [
        (401, error("Incorrect API key"), "401"),
        (400, gemini("API key not valid. Please pass a valid API key."), "401"),
        (403, error("Your organization may not use this model"), "403"),
        (404, error("no such model"), "404"),
        (405, None, "405"),
        (307, None, "307"),
        (402, error("Insufficient Balance"), "quota"),
        (402, {"error": {"code": 402, "message": "More credits, please"}}, "quota"),
        (400, error("Your credit balance is too low to access the API."), "quota"),
        (429, error("You exceeded your quota.", code="insufficient_quota"), "quota"),
    ],
)
def test_what_cannot_succeed_closes_the_endpoint(status: int, body: Any, cause: str) -> None:
    with pytest.raises(CallFailed) as failed:
        said(status, body)
    assert (failed.value.cause, failed.value.closes, failed.value.retry) == (cause, True, False)


# --- faults of the moment


@pytest.mark.parametrize(
    ("status", "body", "after"),
    [
        (429, error("Rate limit reached. Please try again in 350ms."), 0.35),
        (429, gemini("You exceeded your current quota. Please retry in 34.07s.", 429), 34.07),
        (429, error("Slow down"), 0.0),
        (500, error("try again in 9s"), 0.0),
        (529, error("Overloaded"), 0.0),
        (408, None, 0.0),
    ],
)
def test_what_may_pass_is_tried_again(status: int, body: Any, after: float) -> None:
    with pytest.raises(CallFailed) as failed:
        said(status, body)
    assert (failed.value.retry, failed.value.closes) == (True, False)
    assert failed.value.after == pytest.approx(after)


def test_the_header_s_wait_counts_more_than_words() -> None:
    with pytest.raises(CallFailed) as failed:
        settle(Fault(429, message="try again in 3s", after=7.0), ())
    assert failed.value.after == 7.0


def test_credits_that_are_held_for_a_moment_are_waited_for() -> None:
    with pytest.raises(CallFailed) as failed:
        settle(Fault(402, message="in-flight budget", after=2.0), ())
    assert (failed.value.retry, failed.value.closes, failed.value.after) == (True, False, 2.0)


@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_a_secret_is_blotted_out_before_a_message_is_cut(status: int) -> None:
    secret = "sk-canary-77"
    for at in range(250, 320):
        with pytest.raises(CallFailed) as failed:
            settle(Fault(status, message="x" * at + secret), (), [secret])
        assert "sk-c" not in str(failed.value)
        assert len(failed.value.detail) <= 300


def test_a_rejection_says_no_secret_either() -> None:
    with pytest.raises(Rejected) as caught:
        settle(Fault(400, message="sk-canary-77: seed is not supported"), ("seed",), ["canary"])
    assert "canary" not in str(caught.value)
