"""A model whose answers are written down: for tests of judges, selectors and sweeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Unpack

from judgelab.models.base import CallFailed, Common, Model, Reply, Request


class Scripted(Model):
    """Answers in turn from `replies` (texts, Replies, or CallFailed to raise), or from a function.

    `requests` keeps what was asked.
    """

    def __init__(
        self,
        replies: Sequence[str | Reply | CallFailed] | Callable[[Request], str | Reply | CallFailed],
        *,
        name: str = "scripted",
        **common: Unpack[Common],
    ) -> None:
        common.setdefault("concurrency", 4)
        common.setdefault("retries", 2)
        super().__init__(name, endpoint="scripted", **common)
        self.replies = replies
        self.requests: list[Request] = []

    async def complete(self, request: Request) -> Reply:
        n = len(self.requests)
        self.requests.append(request)
        answer = (
            self.replies(request) if callable(self.replies) else self.replies[n % len(self.replies)]
        )
        if isinstance(answer, CallFailed):
            raise answer
        return Reply(answer) if isinstance(answer, str) else answer
