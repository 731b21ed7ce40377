"""The contract of a model: messages in, text out. The pool of calls stands before it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from judgelab.types import sha256

Message = Mapping[str, str]


def unicode_text(text: str) -> str:
    """The text with lone surrogates replaced: no file or database could hold them."""
    return text.encode("utf-8", "replace").decode()


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
    def key(self) -> str:
        """Hex SHA-256 of everything that can change the answer."""
        return sha256(
            {
                "endpoint": self.endpoint,
                "model": self.model,
                "messages": self.messages,
                "parameters": self.parameters,
                "response_format": self.response_format,
                "repeat": self.repeat,
            }
        )


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
            object.__setattr__(self, name, unicode_text(getattr(self, name)))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


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
    """The endpoint does not take a parameter. The model leaves it out from now on: ask again."""

    def __init__(self, parameter: str, detail: str = "") -> None:
        super().__init__("rejected parameter", detail or parameter, retry=True)
        self.parameter = parameter


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


class Model(ABC):
    """`complete` is called once a request and may run many times at once, in one event loop.

    It raises CallFailed where no answer came, Rejected where one parameter less may help, and
    returns a Reply whose `finish` says so where the endpoint refused this item. `close` is called
    once, at the end.
    """

    # Config keys that say how calls are sent, not what is asked: no part of a variant's identity.
    transport: ClassVar[frozenset[str]] = frozenset(
        {"concurrency", "timeout", "retries", "price", "api_key_env", "base_url"}
    )
    local = False  # a local model costs nothing and is not stored
    llm = True

    def __init__(
        self,
        name: str,
        *,
        endpoint: str,
        parameters: Mapping[str, Any] | None = None,
        concurrency: int = 16,
        retries: int = 5,
        price: Mapping[str, Any] | None = None,
    ) -> None:
        if concurrency < 1 or retries < 0:
            raise ValueError(
                f"concurrency must be >= 1 and retries >= 0, got {concurrency} and {retries}"
            )
        self.name = name
        self.endpoint = endpoint
        self.parameters = {k: v for k, v in (parameters or {}).items() if v is not None}
        self.concurrency = concurrency
        self.retries = retries
        self.price = Price(**price) if price else None

    @classmethod
    def unused(cls, node: Mapping[str, Any]) -> Iterable[str]:
        """The keys of this model's config that have no effect."""
        return ()

    def request(self, messages: tuple[Message, ...], repeat: int, item: str) -> Request:
        """The request this model sends for these messages."""
        return Request(
            self.endpoint,
            self.name,
            messages,
            self.parameters,
            self.response_format(),
            repeat,
            item,
        )

    def response_format(self) -> Mapping[str, Any] | None:
        """What is sent to make the endpoint answer in our format, where it can."""
        return None

    def check(self) -> None:  # noqa: B027
        """Raise ConfigError where calls cannot succeed (a missing key), before anything is sent."""

    @abstractmethod
    async def complete(self, request: Request) -> Reply: ...

    async def close(self) -> None:  # noqa: B027
        """Give back sockets."""


COMMON_KEYS = (
    *("base_url", "temperature", "max_tokens", "reasoning_effort"),
    *("concurrency", "timeout", "retries", "price"),
)
