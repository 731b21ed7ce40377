"""A variant's line to the pool."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Protocol

from judgelab.calls.accounts import Accounts
from judgelab.calls.budget import BudgetSpent, Purse
from judgelab.calls.pool import Interrupted, Pool, Record
from judgelab.models.base import CallFailed, Model, Reply, Request
from judgelab.types import Verdict


class NotRecorded(CallFailed):
    """A replay has no answer for this call."""


class Replies(Protocol):
    """Where the recorded replies go, as rows of replies.jsonl."""

    def append(self, row: dict[str, Any], /) -> None: ...


@dataclass
class Calls:
    """One variant's line to the pool: keeps its accounts and records its replies.

    `by` is the part of the judge that asks, where it is not the judge itself: a reply is recorded
    under item, repeat and part.
    """

    pool: Pool
    accounts: Accounts = field(default_factory=Accounts)
    replies: Replies = field(default_factory=list[dict[str, Any]])
    by: str = ""
    _asked: Counter[tuple[str, int]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.accounts.purse = Purse(self.pool.per_run)

    def part(self, name: str) -> Part:
        """A line for a part of the judge, on the same accounts."""
        by = f"{self.by}.{name}" if self.by else name
        return Part(self.pool, self.accounts, self.replies, by)

    async def ask(self, model: Model, request: Request) -> Reply:
        """As `Pool.ask`; in a replay the answer is the one recorded for this item and repeat."""
        if self.pool.record is not None:
            reply = self._replay(self.pool.record, request)
        else:
            reply = await self.pool.ask(model, request, self.accounts)
        accounts = self.accounts
        accounts.tokens_in += reply.tokens_in
        accounts.tokens_out += reply.tokens_out
        accounts.tokens_cached += reply.tokens_cached
        accounts.cost_usd += model.price.of(reply) if model.price else 0.0
        if reply.model:
            accounts.models[reply.model] += 1
        place = {"id": request.item, "repeat": request.repeat, "key": request.key}
        if self.by:
            place["by"] = self.by
        self.replies.append(place | {"reply": reply.to_json()})
        return reply

    def known(self, request: Request) -> Reply | None:
        """The answer where it is in the replay or the call store; nothing is sent or counted."""
        if self.pool.record is not None:
            place = (request.item, request.repeat, self.by)
            return dict(self.pool.record.get(place, [])).get(request.key)
        return self.pool.store.get(request) if self.pool.store else None

    def costs(self) -> dict[str, Any]:
        """What its calls took, where no verdicts are booked."""
        kept = ("sent", "from_store", "tokens_in", "tokens_out", "cost_usd", "spent_usd")
        whole = self.accounts.to_json()
        return {name: whole[name] for name in kept}

    def book(self, verdict: Verdict) -> None:
        """Book a verdict, answered or abstained."""
        if verdict.verdict:
            self.accounts.answered += 1
        else:
            self.accounts.abstained[verdict.reason or "unsure"] += 1

    def failed(self, failure: CallFailed, item: str = "", repeat: int = 0) -> None:
        """Book a verdict that fails, as a call has no answer; after an interrupt it is not come
        to."""
        if isinstance(failure, BudgetSpent):
            self.accounts.skipped += 1
        elif not isinstance(failure, Interrupted):
            self.accounts.failed[failure.cause] += 1
        self.accounts.detail = str(failure)

    def _replay(self, record: Record, request: Request) -> Reply:
        """By key; where a rubric or template has moved, by place: the n-th call for the item."""
        place = (request.item, request.repeat)
        recorded = record.get((*place, self.by), [])
        n = self._asked[place]
        self._asked[place] += 1
        for key, reply in recorded:
            if key == request.key:
                return reply
        if n < len(recorded):
            return recorded[n][1]
        raise NotRecorded("not recorded", f"no answer for item {request.item!r}")


@dataclass
class Part(Calls):
    """The line of a part of a judge. What fails is kept here for the whole judge to book: a verdict
    fails once, however many of its parts do."""

    failures: dict[tuple[str, int], CallFailed] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """The purse is the whole judge's."""

    def failed(self, failure: CallFailed, item: str = "", repeat: int = 0) -> None:
        self.failures[item, repeat] = failure
