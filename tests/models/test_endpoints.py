"""openai_compatible and litellm against one loopback server: the same answers, the same faults."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from builders import examples, split
from judgelab.calls import pool as pools
from judgelab.calls.accounts import Accounts
from judgelab.calls.pool import Calls, Pool
from judgelab.demos.balanced import BalancedDemos
from judgelab.errors import ConfigError
from judgelab.judges.prompted import PromptedJudge
from judgelab.models.base import CallFailed, Model, Reply
from judgelab.models.litellm import LiteLLM
from judgelab.models.openai_compatible import OpenAICompatible
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
    assert fast["models"] == ["served-model"]

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
    ],
    ids=["500", "503", "429", "408", "html", "half", "no choice", "no UTF-8", "cut off"],
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


@both
def test_a_hanging_server_ends_at_the_timeout(make: Make, server: ChatServer) -> None:
    server.faults = {0: Fault(hang=True)}
    began = time.monotonic()
    assert "verdict" in text(ask(make(server, timeout=0.3)))
    assert 0.3 <= time.monotonic() - began < 5
    assert len(server.seen) == 2
    server.faults = lambda number, body: Fault(hang=True)
    failed = failure(ask(make(server, timeout=0.3, retries=0)))
    assert failed.cause in ("timeout", "408")
    assert failed.retry


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


def test_a_key_with_a_line_break_is_sent_without(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-1\n")
    text(ask(_openai(server, api_key_env="MY_KEY")))
    assert server.seen[0].headers["authorization"] == "Bearer sk-1"


def test_a_base_url_without_http_is_said_before_anything_is_sent() -> None:
    with pytest.raises(ConfigError, match=r"model\.base_url=localhost:8000/v1"):
        _openai("localhost:8000/v1").check()


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


def test_a_rejected_response_format_is_left_out(server: ChatServer) -> None:
    def faults(number: int, body: Any) -> Fault | None:
        if "response_format" in body:
            return Fault(400, code="unsupported_parameter", param="response_format")
        return None

    server.faults = faults
    assert "verdict" in text(ask(_openai(server, structured=True)))
    assert len(server.seen) == 2


# --- names


def test_answers_are_stored_under_the_endpoint_s_name_not_its_address(server: ChatServer) -> None:
    one = _openai("http://a:1/v1/", endpoint="ours").request((), 0, "x")
    two = _openai("http://b:2/v1", endpoint="ours").request((), 0, "x")
    bare = _openai("http://b:2/v1/").request((), 0, "x")
    assert one.key == two.key != bare.key
    assert bare.endpoint == "http://b:2/v1"
    assert _litellm(server).request((), 0, "x").endpoint == server.url
    assert LiteLLM("anthropic/x").request((), 0, "x").endpoint == "litellm"
