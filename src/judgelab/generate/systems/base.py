"""The contract of a system under test: a user's input in, what the system says out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypedDict

from judgelab.generate.inputs import Input
from judgelab.models.base import CallFailed, unicode_text
from judgelab.models.secrets import blot, known

DETAIL = 500  # characters of what an error said
LONGEST = 1024**2  # characters, and bytes of a raw answer: what a cell of a dataset holds


@dataclass(frozen=True)
class Answer:
    """What the system said. `context` is what a judge may see beside it, such as documents that it
    found; `metadata` is kept where no judge sees it."""

    output: str
    context: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


class SystemFailed(CallFailed):
    """The system gave no answer to an input.

    `unreachable` says that nobody was there to ask. The detail is cut, to its end where `last` says
    so, once no secret is in it any more.
    """

    def __init__(
        self,
        cause: str,
        detail: str = "",
        *,
        retry: bool = False,
        after: float = 0.0,
        unreachable: bool = False,
        last: bool = False,
    ) -> None:
        said = unicode_text(blot(detail, known().values())).replace("\x00", "\ufffd").strip()
        said = said[-DETAIL:] if last else said[:DETAIL]
        super().__init__(cause, said, retry=retry, after=after)
        self.unreachable = unreachable


class Common(TypedDict, total=False):
    """The arguments of `System` that systems hand on as they are."""

    name: str
    concurrency: int
    timeout: float
    retries: int


class System(ABC):
    """`answer` is called once an input and try, many at once in one event loop.

    It may take as long as it likes: after `timeout` seconds it is cancelled, and gives back what it
    holds. It raises SystemFailed where there is no answer, and changes nothing of the input.
    `check` is called before anything is asked, `close` once, at the end.
    """

    # Config keys that say how it is asked, not what is asked: no part of a system's identity.
    transport: ClassVar[frozenset[str]] = frozenset({"concurrency", "timeout", "retries"})

    def __init__(
        self,
        name: str = "system",
        concurrency: int = 4,
        timeout: float = 60.0,
        retries: int = 0,
    ) -> None:
        if not name or set(name) & set("/\\") or name.startswith("."):
            raise ValueError(f"name={name!r} names a file: no slashes, no dot first")
        if concurrency < 1 or retries < 0 or timeout <= 0:
            raise ValueError(
                "concurrency must be >= 1, retries >= 0 and timeout > 0, "
                f"got {concurrency}, {retries} and {timeout}"
            )
        self.name = name
        self.concurrency, self.timeout, self.retries = concurrency, timeout, retries

    def check(self) -> None:  # noqa: B027
        """Raise ConfigError where no input can be answered, before any is asked."""

    @abstractmethod
    def preview(self, item: Input) -> str:
        """What would be asked, for a person."""

    @abstractmethod
    async def answer(self, item: Input) -> Answer: ...

    async def close(self) -> None:  # noqa: B027
        """Give back sockets."""
