"""openai_compatible and litellm against one loopback server: the same answers, the same faults."""

from __future__ import annotations

import asyncio
import json
import math
import socket
import time
import traceback
from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from builders import examples, split
from judgelab.calls import pool as pools
from judgelab.calls.accounts import Accounts
from judgelab.calls.line import Calls
from judgelab.calls.pool import Pool
from judgelab.demos.balanced import BalancedDemos
from judgelab.errors import ConfigError
from judgelab.judges.prompted import PromptedJudge
from judgelab.models.base import CallFailed, Model, Reply
from judgelab.models.endpoint import EndpointModel
from judgelab.models.litellm import LiteLLM
from judgelab.models.openai_compatible import MOST_BYTES, OpenAICompatible
from judgelab.parsing import parse
from judgelab.types import Verdict
from server import ChatServer, Fault

Make = Callable[..., Model]


def _openai(server: ChatServer | str, **more: Any) -> Model:
    url = server if isinstance(server, str) else server.url
    return OpenAICompatible("m", url, **({"temperature": 0.0, "retries": 2} | more))


def _litellm(server: ChatServer | str, **more: Any) -> Model:
    url = server if isinstance(server, str) else server.url
    return LiteLLM("openai/m", base_url=url, **({"temperature": 0.0, "retries": 2} | more))


both = pytest.mark.parametrize("make", [_openai, _litellm], ids=["openai_compatible", "litellm"])


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "BACKOFF", 0.001)


def ask(
    model: Model, n: int = 1, pool: Pool | None = None, start: int = 0
) -> list[Reply | CallFailed]:
    """n different questions at once; what came of each."""

    async def main() -> list[Reply | CallFailed]:
        through = pool or Pool()
        asked = [
            through.ask(
                model, model.request(({"role": "user", "content": f"q{i}"},), 0, str(i)), Accounts()
            )
            for i in range(start, start + n)
        ]
        try:
            found = await asyncio.gather(*asked, return_exceptions=True)
        finally:
            await through.close()
        for one in found:
            if isinstance(one, BaseException) and not isinstance(one, CallFailed):
                raise one
        return found  # type: ignore[return-value]

    return asyncio.run(main())


def failure(found: Sequence[Reply | CallFailed]) -> CallFailed:
    (one,) = found
    assert isinstance(one, CallFailed), one
    return one


def text(found: Sequence[Reply | CallFailed]) -> str:
    (one,) = found
    assert isinstance(one, Reply), one
    return one.text


# --- answers


def test_both_give_the_same_verdicts(server: ChatServer, tmp_path: Path) -> None:
    made = split(examples(60), tmp_path)

    def judged(model: Model) -> tuple[list[Verdict], dict[str, Any]]:
        async def main() -> list[Verdict]:
            calls, found = Calls(Pool()), []
            for fold in made.folds("dev"):
                demos = BalancedDemos(4)
                judge = PromptedJudge("generic", "judge", "critique", model, demos)
                judge.prepare(fold.train, calls)
                found += [verdict async for verdict in judge.judge(fold.items, 0)]
            accounts.update(calls.accounts.to_json())
            await calls.pool.close()
            return found

        accounts: dict[str, Any] = {}
        found = asyncio.run(main())
        return sorted(found, key=lambda verdict: verdict.id), accounts

    one, fast = judged(_openai(server, concurrency=8))
    sent = server.bodies[:]
    two, slow = judged(_litellm(server, concurrency=8))
    assert len(one) == 60
    assert {v.verdict for v in one} == {"pass", "fail"}
    assert all(v.critique.startswith("Because of ") for v in one)
    assert two == one
    assert fast == slow
    assert fast["tokens_in"] == 6000
    assert fast["models"] == {"served-model": 60}

    def said(body: Any) -> str:
        return json.dumps(
            {k: body[k] for k in ("model", "messages", "temperature")}, sort_keys=True
        )

    assert sorted(map(said, sent)) == sorted(map(said, server.bodies[60:]))


def test_what_is_sent_is_what_was_asked_for(server: ChatServer) -> None:
    model = _openai(
        server,
        structured=True,
        max_tokens=50,
        max_tokens_key="max_completion_tokens",
        top_p=0.5,
        seed=3,
        reasoning_effort="low",
    )
    text(ask(model))
    (body,) = server.bodies
    assert body["response_format"]["type"] == "json_schema"
    assert {k: v for k, v in body.items() if k not in ("messages", "response_format")} == {
        "model": "m",
        "temperature": 0.0,
        "max_completion_tokens": 50,
        "top_p": 0.5,
        "seed": 3,
        "reasoning_effort": "low",
    }
    assert "max_tokens" not in body


def test_what_is_null_is_not_sent(server: ChatServer) -> None:
    text(ask(_openai(server, temperature=None)))
    assert set(server.bodies[0]) == {"model", "messages"}


def test_connections_are_used_again(server: ChatServer) -> None:
    model = _openai(server, concurrency=4)
    assert len(ask(model, 40)) == 40
    assert server.connections <= 4


def raw(**message: Any) -> Fault:
    choice = {"message": {"role": "assistant", **message}, "finish_reason": "stop"}
    return Fault(data=json.dumps({"model": "m", "choices": [choice]}).encode())


@pytest.mark.parametrize(
    ("fault", "reply"),
    [
        (raw(content=None), Reply("", model="m")),
        (raw(content=None, refusal="no"), Reply("", refusal="no", model="m")),
        (raw(content=None, reasoning_content='{"verdict": "pass"}'), Reply("", model="m")),
        (raw(content="a \ud83d"), Reply("a ?", model="m")),
    ],
)
@both
def test_odd_answers_are_answers(
    make: Make, fault: Fault, reply: Reply, server: ChatServer
) -> None:
    server.faults = {0: fault}
    assert ask(make(server)) == [reply]
    assert len(server.seen) == 1


def test_an_odd_usage_is_no_reason_to_pay_again(server: ChatServer) -> None:
    body = {"choices": [{"message": {"content": "hi"}}], "usage": {"prompt_tokens": "many"}}
    server.faults = {0: Fault(data=json.dumps(body).encode())}
    assert ask(_openai(server)) == [Reply("hi")]


# --- faults of the item


@pytest.mark.parametrize(
    ("fault", "finish"),
    [
        (Fault(400, code="content_filter"), "content_filter"),
        (Fault(400, code="content_policy_violation"), "content_filter"),
        (Fault(400, code="context_length_exceeded"), "too_long"),
        (Fault(400, message="This model's maximum context length is 10 tokens."), "too_long"),
        (Fault(413, code="x", message="the prompt is too long"), "too_long"),
    ],
)
@both
def test_an_item_the_endpoint_will_not_take_is_a_typed_abstention(
    make: Make, fault: Fault, finish: str, server: ChatServer
) -> None:
    server.faults = {0: fault}
    assert ask(make(server)) == [Reply("", finish=finish)]
    assert len(server.seen) == 1


@both
def test_another_400_is_a_failure_and_is_not_tried_again(make: Make, server: ChatServer) -> None:
    server.faults = {0: Fault(400, message="messages[0] is odd")}
    failed = failure(ask(make(server)))
    assert failed.cause == "400"
    assert "messages[0] is odd" in failed.detail
    assert not failed.closes
    assert len(server.seen) == 1


# --- faults of the moment


@pytest.mark.parametrize(
    "fault",
    [
        Fault(500),
        Fault(503, data=b"busy"),
        Fault(429),
        Fault(408),
        Fault(200, data=b"<html>not JSON</html>"),
        Fault(200, data=b'{"choices": [{"mess'),
        Fault(200, data=b'{"choices": []}'),
        Fault(200, data=b"\xff\xfe{"),
        Fault(cut=True),
        Fault(reset=True),
    ],
    ids=["500", "503", "429", "408", "html", "half", "no choice", "no UTF-8", "cut off", "reset"],
)
@both
def test_what_may_pass_is_tried_again(make: Make, fault: Fault, server: ChatServer) -> None:
    server.faults = {0: fault, 1: fault}
    assert "verdict" in text(ask(make(server)))
    assert len(server.seen) == 3


@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b"null",
        b'{"choices": [{"message": {"content": ["part"]}}]}',
        b'{"choices": [{"message": {"content": {"text": "a"}}}]}',
        b'{"choices": [{"message": {"content": "a"}, "finish_reason": "error"}]}',
        b'{"choices": [{"message": {"content": "a", "refusal": 3}}]}',
        b'{"choices": {"0": {}}}',
    ],
)
def test_json_that_is_no_chat_completion_is_malformed(data: bytes, server: ChatServer) -> None:
    server.faults = lambda number, body: Fault(data=data)
    assert failure(ask(_openai(server, retries=1))).cause == "malformed"
    assert len(server.seen) == 2


@both
def test_tries_are_counted(make: Make, server: ChatServer) -> None:
    server.faults = lambda number, body: Fault(503)
    assert failure(ask(make(server, retries=3))).cause == "503"
    assert len(server.seen) == 4


@both
def test_retry_after_in_seconds_is_waited_for(make: Make, server: ChatServer) -> None:
    server.faults = {0: Fault(429, headers={"Retry-After": "0.4"})}
    assert "verdict" in text(ask(make(server)))
    first, second = server.seen
    assert second.at - first.at >= 0.4


@both
def test_retry_after_as_a_date_is_waited_for(make: Make, server: ChatServer) -> None:
    until = datetime.now(UTC) + timedelta(seconds=2)  # the header holds whole seconds
    server.faults = {0: Fault(503, headers={"Retry-After": format_datetime(until, usegmt=True)})}
    assert "verdict" in text(ask(make(server)))
    first, second = server.seen
    assert second.at - first.at >= 0.9


@both
def test_who_asks_for_an_hour_is_left_alone(make: Make, server: ChatServer) -> None:
    server.faults = lambda number, body: Fault(429, headers={"Retry-After": "3600"})
    began = time.monotonic()
    failed = failure(ask(make(server)))
    assert (failed.cause, failed.after) == ("429", 3600)
    assert time.monotonic() - began < 5
    assert len(server.seen) == 1


@pytest.mark.parametrize("fault", [Fault(hang=True), Fault(drip=0.1)], ids=["hang", "slow drip"])
@both
def test_a_server_that_does_not_end_ends_at_the_timeout(
    make: Make, fault: Fault, server: ChatServer
) -> None:
    server.faults = {0: fault}
    began = time.monotonic()
    assert "verdict" in text(ask(make(server, timeout=0.3)))
    assert 0.3 <= time.monotonic() - began < 5
    assert len(server.seen) == 2
    server.faults = lambda number, body: fault
    failed = failure(ask(make(server, timeout=0.3, retries=0)))
    assert failed.cause in ("timeout", "408")
    assert failed.retry


@pytest.mark.parametrize(
    ("fault", "cause"),
    [(Fault(cut=True), "connection"), (Fault(reset=True), "connection"), (Fault(529), "529")],
)
def test_a_cause_is_short(fault: Fault, cause: str, server: ChatServer) -> None:
    server.faults = lambda number, body: fault
    failed = failure(ask(_openai(server, retries=0)))
    assert (failed.cause, failed.retry) == (cause, True)


def test_an_answer_without_an_end_fills_no_memory(server: ChatServer) -> None:
    server.faults = {0: Fault(data=b" " * (MOST_BYTES + 1))}
    failed = failure(ask(_openai(server)))
    assert (failed.cause, failed.retry) == ("malformed", False)
    assert "8 MiB" in failed.detail
    longest = json.loads(raw(content="a").data or b"")
    longest["choices"][0]["message"]["content"] = "b" * (MOST_BYTES - 1000)
    server.faults = {1: Fault(data=json.dumps(longest).encode())}
    assert len(text(ask(_openai(server)))) == MOST_BYTES - 1000


@pytest.mark.parametrize(
    ("error", "cause", "requests"),
    [
        ({"code": 502, "message": "Provider returned error"}, "502", 3),
        ({"code": 401, "message": "No such user"}, "401", 1),
        ({"code": "server_error"}, "500", 3),
        ("overloaded", "500", 3),
    ],
)
def test_an_error_that_comes_as_a_success_is_that_error(
    error: Any, cause: str, requests: int, server: ChatServer
) -> None:
    server.faults = lambda number, body: Fault(data=json.dumps({"error": error}).encode())
    assert failure(ask(_openai(server, retries=2))).cause == cause
    assert len(server.seen) == requests


def test_a_refused_item_that_comes_as_a_success_is_an_abstention(server: ChatServer) -> None:
    error = {"code": 403, "message": "requires moderation; your input was flagged"}
    server.faults = {0: Fault(data=json.dumps({"error": error}).encode())}
    assert ask(_openai(server)) == [Reply("", finish="content_filter")]


def test_another_address_is_not_followed(server: ChatServer) -> None:
    """The key would go where the config does not say."""
    server.faults = lambda number, body: Fault(307, headers={"Location": f"{server.url}/other"})
    failed = failure(ask(_openai(server)))
    assert (failed.cause, failed.closes) == ("307", True)
    assert len(server.seen) == 1


@both
def test_nobody_there_is_a_failure_of_the_moment(make: Make) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    failed = failure(ask(make(f"http://127.0.0.1:{port}/v1", retries=1)))
    assert failed.retry
    assert not failed.closes


# --- faults of the account


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (Fault(401, code="invalid_api_key"), "401"),
        (Fault(403), "403"),
        (Fault(404, code="model_not_found"), "404"),
        (Fault(429, code="insufficient_quota"), "quota"),
    ],
)
@both
def test_what_cannot_succeed_closes_the_endpoint(
    make: Make, fault: Fault, cause: str, server: ChatServer
) -> None:
    server.faults = lambda number, body: fault
    found = ask(make(server, concurrency=3), 40)
    assert [one.cause for one in found if isinstance(one, CallFailed)] == [cause] * 40
    assert all(one.closes for one in found if isinstance(one, CallFailed))
    assert len(server.seen) <= 3


@both
def test_a_missing_key_is_said_before_anything_is_sent(
    make: Make, server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(ConfigError, match="MY_KEY"):
        make(server, api_key_env="MY_KEY").check()
    monkeypatch.setenv("MY_KEY", "")
    with pytest.raises(ConfigError, match="MY_KEY"):
        make(server, api_key_env="MY_KEY").check()
    assert server.seen == []
    make(server).check()


@both
def test_the_key_goes_to_the_server_and_nowhere_else(
    make: Make, server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-canary-77")
    model = make(server, api_key_env="MY_KEY")
    model.check()
    server.faults = {1: Fault(401, message="Incorrect API key: sk-canary-77.")}
    text(ask(model))
    assert server.seen[0].headers["authorization"] == "Bearer sk-canary-77"
    failed = failure(ask(model))
    assert "Incorrect API key" in failed.detail
    assert "sk-canary-77" not in f"{failed} {failed.detail} {failed.args}"
    assert "sk-canary-77" not in json.dumps(model.request((), 0, "x").__dict__, default=str)


@pytest.mark.parametrize(
    "spelling",
    [
        lambda key: key,
        lambda key: quote(key, safe=""),
        lambda key: b64encode(key.encode()).decode(),
        lambda key: b64encode(f"Bearer {key}".encode()).decode(),
    ],
    ids=["plain", "in a URL", "Base64", "Base64 of the header"],
)
@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
@both
def test_a_server_that_echoes_the_key_puts_it_nowhere(
    make: Make,
    status: int,
    spelling: Callable[[str], str],
    server: ChatServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = "sk-canary/77+x"
    monkeypatch.setenv("MY_KEY", key)
    echo = spelling(key)
    server.faults = lambda number, body: Fault(status, message=f"No: {echo}. Really.")
    failed = failure(ask(make(server, api_key_env="MY_KEY", retries=0)))
    everything = "".join(traceback.format_exception(failed)) + repr(vars(failed))
    assert key not in everything
    assert echo[4:-4] not in everything


def test_a_key_that_litellm_found_by_itself_is_blotted_out_too(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-77")
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    monkeypatch.setenv("A_KEY", "No")
    server.faults = lambda number, body: Fault(400, message="No: sk-canary-77. Really.")
    failed = failure(ask(LiteLLM("openai/m", retries=0)))
    assert server.seen[0].headers["authorization"] == "Bearer sk-canary-77"
    assert "No: ***. Really." in failed.detail


@both
def test_no_error_of_transport_holds_the_key(
    make: Make, server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-canary-77")
    server.faults = lambda number, body: Fault(cut=True)
    failed = failure(ask(make(server, api_key_env="MY_KEY", retries=0)))
    assert "sk-canary-77" not in "".join(traceback.format_exception(failed)) + repr(vars(failed))


@pytest.mark.parametrize(
    "address",
    [
        "http://me:s3cret@127.0.0.1:1/v1",
        "http://s3cret@127.0.0.1:1/v1",
        "http://127.0.0.1:1/v1?key=s3cret",
        "http://127.0.0.1:1/v1#s3cret",
        "http://me:s3cret@[::1/v1",
    ],
)
@both
def test_an_address_with_a_secret_is_refused(make: Make, address: str) -> None:
    with pytest.raises(ConfigError, match="the key as an environment variable") as refused:
        make(address)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("key", ["sk-1\nX-Evil: 1", "sk-\x00", "sk-ключ"])
@both
def test_a_key_that_is_none_is_said_before_anything_is_sent(
    make: Make, key: str, server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EndpointModel, "key", key)
    with pytest.raises(ConfigError, match="MY_KEY holds no key") as refused:
        make(server, api_key_env="MY_KEY").check()
    assert key not in str(refused.value)


def test_a_key_with_a_line_break_is_sent_without(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-1\n")
    text(ask(_openai(server, api_key_env="MY_KEY")))
    assert server.seen[0].headers["authorization"] == "Bearer sk-1"


@pytest.mark.parametrize("address", ["localhost:8000/v1", "http:///v1", "http://"])
def test_a_base_url_that_is_none_is_said_before_anything_is_sent(address: str) -> None:
    with pytest.raises(ConfigError, match=rf"model\.base_url={address.rstrip('/')}: it starts"):
        _openai(address).check()


# --- parameters that the endpoint does not take


def _no_temperature(number: int, body: Any) -> Fault | None:
    if "temperature" in body:
        return Fault(400, code="unsupported_value", param="temperature")
    return None


@both
def test_a_rejected_parameter_is_left_out(make: Make, server: ChatServer) -> None:
    server.faults = _no_temperature
    model = make(server, concurrency=4, retries=0, max_tokens=9)
    found = ask(model, 20)
    assert all(isinstance(one, Reply) for one in found), found
    rejected = [body for body in server.bodies if "temperature" in body]
    assert 1 <= len(rejected) <= 4
    assert len(server.seen) == 20 + len(rejected)
    assert all(body["max_tokens"] == 9 for body in server.bodies)
    # What is left out changes no key: the question is the same.
    assert model.request((), 0, "x").parameters == {"temperature": 0.0, "max_tokens": 9}


@both
def test_rejected_requests_count_against_the_budget(make: Make, server: ChatServer) -> None:
    server.faults = _no_temperature
    found = ask(make(server, concurrency=4), 20, Pool(calls=10))
    assert len(server.seen) == 10
    assert sum(isinstance(one, Reply) for one in found) >= 6


@pytest.mark.parametrize("param", ["messages", "model", "messages[0].role", "unheard"])
@both
def test_what_cannot_be_left_out_is_a_failure(make: Make, param: str, server: ChatServer) -> None:
    server.faults = lambda number, body: Fault(400, code="unsupported_value", param=param)
    assert failure(ask(make(server))).cause == "400"
    assert len(server.seen) == 1


def test_several_rejected_parameters_are_left_out_one_by_one(server: ChatServer) -> None:
    """In flight at once: a request that was sent with what is known by now is asked again."""
    messages = {
        "response_format": "Invalid parameter: 'response_format' of type 'json_schema' is not "
        "supported with this model.",
        "logprobs": "Unrecognized request argument supplied: logprobs",
        "temperature": "'temperature' does not support 0.0 with this model.",
    }

    def faults(number: int, body: Any) -> Fault | None:
        for name, message in messages.items():
            if name in body:
                return Fault(400, message=message)
        return None

    server.faults = faults
    model = _openai(server, structured=True, logprobs=True, concurrency=8, retries=0, seed=1)
    found = ask(model, 40)
    assert all(isinstance(one, Reply) for one in found), found
    assert sum(bool(body.keys() & messages) for body in server.bodies) <= 3 * 8
    assert all(body["seed"] == 1 for body in server.bodies)


def test_a_cap_is_sent_under_the_name_that_the_endpoint_asks_for(server: ChatServer) -> None:
    def faults(number: int, body: Any) -> Fault | None:
        if "max_tokens" not in body:
            return None
        return Fault(
            400,
            code="unsupported_parameter",
            param="max_tokens",
            message="Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
        )

    server.faults = faults
    model = _openai(server, max_tokens=9)
    assert len(ask(model, 3)) == 3
    kept = [body for body in server.bodies if "max_tokens" not in body]
    assert [body["max_completion_tokens"] for body in kept] == [9] * 3


def test_a_cap_that_is_taken_under_neither_name_is_left_out(server: ChatServer) -> None:
    def faults(number: int, body: Any) -> Fault | None:
        for name, other in (("max_tokens", "completion"), ("max_completion_tokens", "max_tokens")):
            if name in body:
                message = f"{name} is not supported, use max_{other}_tokens or {other}"
                return Fault(400, param=name, message=message)
        return None

    server.faults = faults
    assert "verdict" in text(ask(_openai(server, max_tokens=9)))
    assert [sorted(body.keys() - {"model", "messages"}) for body in server.bodies] == [
        ["max_tokens", "temperature"],
        ["max_completion_tokens", "temperature"],
        ["temperature"],
    ]


# --- confidence


def test_logprobs_become_the_verdict_s_confidence(server: ChatServer) -> None:
    pieces = [('{"verdict": "', -2.0), ("pass", -0.25), ('"}', -2.0)]
    answer = json.loads(raw(content='{"verdict": "pass"}').data or b"")
    answer["choices"][0]["logprobs"] = {
        "content": [{"token": piece, "logprob": logprob} for piece, logprob in pieces]
    }
    server.faults = {0: Fault(data=json.dumps(answer).encode())}
    model = _openai(server, logprobs=True)
    (reply,) = ask(model)
    assert isinstance(reply, Reply)
    assert reply.confidence == pytest.approx(math.exp(-0.25), abs=1e-6)
    assert server.bodies[0]["logprobs"] is True
    # It changes what is stored, so it is part of the question.
    question = ({"role": "user", "content": "q"},)
    without = _openai(server)
    assert without.request(question, 0, "x").key != model.request(question, 0, "x").key
    assert isinstance(ask(without)[0], Reply)
    assert "logprobs" not in server.bodies[1]


# --- prompts that the model could not read whole


@both
def test_what_is_above_the_context_window_is_never_sent_nor_cut(
    make: Make, server: ChatServer
) -> None:
    model = make(server, context_window=300, max_tokens=50)
    long, short = ({"role": "user", "content": "word " * 300},), ({"role": "user", "content": "w"},)

    async def main() -> list[Reply]:
        pool = Pool()
        try:
            asked = [model.request(question, 0, "x") for question in (long, short)]
            return [await pool.ask(model, request, Accounts()) for request in asked]
        finally:
            await pool.close()

    refused, answered = asyncio.run(main())
    assert refused == Reply("", finish="too_long")
    assert parse(refused).reason == "too_long"
    assert "verdict" in answered.text
    assert [body["messages"] for body in server.bodies] == [list(short)]
    assert "context_window" not in server.bodies[0]


def test_a_wider_window_asks_again(server: ChatServer) -> None:
    """What was never sent is not stored under the key of what would be."""
    question = ({"role": "user", "content": "word " * 300},)
    small, wide = _openai(server, context_window=300), _openai(server, context_window=3000)
    none = _openai(server)
    assert small.request(question, 0, "x").key != wide.request(question, 0, "x").key
    assert wide.request(question, 0, "x").key == none.request(question, 0, "x").key
    assert small.request((), 0, "x").key == none.request((), 0, "x").key


# --- names


def test_answers_are_stored_under_the_endpoint_s_name_not_its_address(server: ChatServer) -> None:
    one = _openai("http://a:1/v1/", endpoint="ours").request((), 0, "x")
    two = _openai("http://b:2/v1", endpoint="ours").request((), 0, "x")
    bare = _openai("http://b:2/v1/").request((), 0, "x")
    assert one.key == two.key != bare.key
    assert bare.endpoint == "http://b:2/v1"
    assert _litellm(server).request((), 0, "x").endpoint == server.url
    assert LiteLLM("anthropic/x").request((), 0, "x").endpoint == "litellm"
