"""The contract of a model: messages in, text out. The pool of calls stands before it."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, TypedDict

from judgelab.types import canonical_json, sha256

Message = Mapping[str, str]


class Turn(dict[str, str]):
    """A message that knows its canonical JSON: most stand in many requests."""

    def __init__(self, role: str, content: str) -> None:
        super().__init__(role=role, content=content)

    @cached_property
    def json(self) -> str:
        return canonical_json(self)


def unicode_text(text: str) -> str:
    """The text with lone surrogates replaced: no file or database could hold them."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


# What an answer is expected to hold where max_tokens is not set, for estimates.
USUAL_ANSWER_TOKENS = 200
BYTES_A_TOKEN = 4  # in UTF-8: letters of other scripts take more bytes, and more tokens


@dataclass(frozen=True)
class Request:
    """One question to a model. All fields but `item` (whose it is) make its key."""

    endpoint: str
    model: str
    messages: tuple[Message, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    response_format: Mapping[str, Any] | None = None
    repeat: int = 0
    item: str = ""

    @cached_property
    def messages_json(self) -> str:
        """The messages as canonical JSON, made once for the key and the body."""
        turns = (m.json if isinstance(m, Turn) else canonical_json(m) for m in self.messages)
        return f"[{','.join(turns)}]"

    @cached_property
    def key(self) -> str:
        """Hex SHA-256 of everything that can change the answer, as canonical JSON."""
        rest = canonical_json(
            {
                "model": self.model,
                "parameters": self.parameters,
                "repeat": self.repeat,
                "response_format": self.response_format,
            }
        )
        endpoint = canonical_json(self.endpoint)
        return sha256(f'{{"endpoint":{endpoint},"messages":{self.messages_json},{rest[1:]}')

    @property
    def too_long(self) -> bool:
        """Whether it is above the model's `context_window`, and so is never sent."""
        return "context_window" in self.parameters

    def estimated_tokens(self) -> tuple[int, int]:
        """(in, out) tokens, the answer at its usual length."""
        texts = [message["content"] for message in self.messages]
        size = sum(len(t) if t.isascii() else len(t.encode("utf-8", "replace")) for t in texts)
        caps = (self.parameters.get(key) for key in ("max_tokens", "max_completion_tokens"))
        most = next((cap for cap in caps if cap), USUAL_ANSWER_TOKENS)
        return size // BYTES_A_TOKEN + 4 * len(texts), min(most, USUAL_ANSWER_TOKENS)


@dataclass(frozen=True)
class Reply:
    """What came back, before any parsing.

    `finish` is stop, length, or why the endpoint would not answer this item: content_filter,
    too_long. Tokens are counts; `confidence` in [0, 1] is there where the endpoint gives one.
    """

    text: str
    finish: str = "stop"
    refusal: str = ""
    model: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    confidence: float | None = None

    def __post_init__(self) -> None:
        for name in ("text", "finish", "refusal", "model"):
            value = getattr(self, name)
            if not value.isascii():
                object.__setattr__(self, name, unicode_text(value))

    @classmethod
    def from_json(cls, text: str) -> Reply:
        """The reply that `json` was made of."""
        reply = cls(**json.loads(text))
        reply.__dict__["json"] = text
        return reply

    @cached_property
    def json(self) -> str:
        return _as_json(self.to_json())

    def to_json(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "finish": self.finish,
            "refusal": self.refusal,
            "model": self.model,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "tokens_cached": self.tokens_cached,
            "confidence": self.confidence,
        }


_as_json = json.JSONEncoder(ensure_ascii=False).encode


class CallFailed(Exception):
    """A call without an answer, for no fault of the item: transport, limits, account.

    `retry` says whether another try may help, `after` how many seconds to wait at least, and
    `closes` that no call to this endpoint can succeed (a wrong key, no quota).
    """

    def __init__(
        self,
        cause: str,
        detail: str = "",
        *,
        retry: bool = False,
        after: float = 0.0,
        closes: bool = False,
    ) -> None:
        super().__init__(f"{cause}: {detail}" if detail else cause)
        self.cause = cause
        self.detail = detail
        self.retry = retry
        self.after = after
        self.closes = closes


class Rejected(CallFailed):
    """The endpoint does not take a parameter. The model leaves it out from now on: ask again.

    `instead` is the name that the endpoint takes it under.
    """

    def __init__(self, parameter: str, detail: str = "", instead: str | None = None) -> None:
        super().__init__("rejected parameter", detail or parameter, retry=True)
        self.parameter = parameter
        self.instead = instead


@dataclass(frozen=True)
class Price:
    """USD per million tokens, and the day the price was read."""

    input: float
    output: float
    cached: float | None = None
    date: str = ""

    def of(self, reply: Reply) -> float:
        cached = self.input if self.cached is None else self.cached
        fresh = reply.tokens_in - reply.tokens_cached
        paid = fresh * self.input + reply.tokens_cached * cached + reply.tokens_out * self.output
        return paid / 1e6

    def estimate(self, tokens_in: float, tokens_out: float) -> float:
        return (tokens_in * self.input + tokens_out * self.output) / 1e6


class Common(TypedDict, total=False):
    """The arguments of `Model` that models hand on as they are, as `**common: Unpack[Common]`."""

    temperature: float | None
    max_tokens: int | None
    top_p: float | None
    seed: int | None
    reasoning_effort: str | None
    concurrency: int
    timeout: float
    retries: int
    price: Mapping[str, Any] | None
    requests_per_minute: int | None
    tokens_per_minute: int | None
    context_window: int | None


class Model(ABC):
    """`complete` is called once a request and may run many times at once, in one event loop.

    It raises CallFailed where no answer came, Rejected where one parameter less may help, and
    returns a Reply whose `finish` says so where the endpoint refused this item. `close` is called
    once, at the end.
    """

    # Config keys that say how calls are sent, not what is asked: no part of a variant's identity.
    transport: ClassVar[frozenset[str]] = frozenset(
        {
            *("concurrency", "timeout", "retries", "price", "api_key_env", "base_url"),
            *("requests_per_minute", "tokens_per_minute"),
        }
    )
    local = False  # a local model costs nothing and is not stored
    llm = True

    def __init__(
        self,
        name: str,
        *,
        endpoint: str,
        parameters: Mapping[str, Any] | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        reasoning_effort: str | None = None,
        concurrency: int = 16,
        timeout: float = 120.0,
        retries: int = 5,
        price: Mapping[str, Any] | None = None,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        context_window: int | None = None,
    ) -> None:
        if concurrency < 1 or retries < 0 or timeout <= 0:
            raise ValueError(
                "concurrency must be >= 1, retries >= 0 and timeout > 0, "
                f"got {concurrency}, {retries} and {timeout}"
            )
        self.name = name
        self.endpoint = endpoint
        given = {
            "temperature": temperature,
            "max_tokens": max_tokens,
            "top_p": top_p,
            "seed": seed,
            "reasoning_effort": reasoning_effort,
            **(parameters or {}),
        }
        self.parameters = {k: v for k, v in given.items() if v is not None}
        self.concurrency = concurrency
        self.timeout = timeout
        self.retries = retries
        self.price = Price(**price) if price else None
        self.requests_per_minute = _positive("requests_per_minute", requests_per_minute)
        self.tokens_per_minute = _positive("tokens_per_minute", tokens_per_minute)
        self.context_window = _positive("context_window", context_window)

    @classmethod
    def unused(cls, node: Mapping[str, Any]) -> Iterable[str]:
        """The keys of this model's config that have no effect."""
        return ()

    def request(self, messages: tuple[Message, ...], repeat: int, item: str) -> Request:
        """The request this model sends for these messages.

        One that is too long for `context_window` says so in its parameters, and with that in its
        key: it is asked once the window has grown.
        """
        request = Request(
            self.endpoint,
            self.name,
            messages,
            self.parameters,
            self.response_format(),
            repeat,
            item,
        )
        window = self.context_window
        if window and sum(request.estimated_tokens()) > window:
            return replace(request, parameters={**self.parameters, "context_window": window})
        return request

    @property
    def line(self) -> Hashable:
        """Models with the same line are the same to a server: one of them sends for all, over one
        set of connections, and what it has learnt of the server holds for all."""
        return id(self)

    def response_format(self) -> Mapping[str, Any] | None:
        """What is sent to make the endpoint answer in our format, where it can."""
        return None

    def check(self) -> None:  # noqa: B027
        """Raise ConfigError where calls cannot succeed (a missing key), before anything is sent."""

    @abstractmethod
    async def complete(self, request: Request) -> Reply: ...

    async def close(self) -> None:  # noqa: B027
        """Give back sockets."""


def _positive(name: str, value: int | None) -> int | None:
    if value is not None and value <= 0:
        raise ValueError(f"{name} must be above 0, or null for none, got {value}")
    return value


# What every yaml of the group names, so that axes multiply freely.
COMMON_KEYS = (
    *("base_url", "temperature", "max_tokens", "reasoning_effort"),
    *("concurrency", "timeout", "retries", "price"),
    *("requests_per_minute", "tokens_per_minute", "context_window"),
)
