"""The pool: every call of every variant goes through it, once.

One request is answered by, in this order: the run's own record (replay), an equal request that is
already on its way, the call store, the model.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from judgelab.calls.accounts import Accounts
from judgelab.calls.store import CallStore
from judgelab.models.base import CallFailed, Model, Rejected, Reply, Request
from judgelab.types import Verdict

BACKOFF = 0.5  # seconds before the first retry, doubled each time, with full jitter
LONGEST_WAIT = 60.0  # a server that asks for more is left alone: the call fails, to be resumed
# What an answer is expected to hold where max_tokens is not set, for estimates.
USUAL_ANSWER_TOKENS = 200


class BudgetSpent(CallFailed):
    """The next call would pass a cap of `budget`; nothing was sent."""


class NotRecorded(CallFailed):
    """A replay has no answer for this call."""


@dataclass
class Pool:
    """Shared by all variants of a sweep, in one event loop.

    `calls` and `usd` are caps for all of them together, None for no cap. A pool with a `record`
    (item, repeat and key of a call -> reply) sends nothing.
    """

    store: CallStore | None = None
    calls: int | None = None
    usd: float | None = None
    record: Mapping[tuple[str, int], list[tuple[str, Reply]]] | None = None
    sent: int = 0
    spent: float = 0.0
    _reserved: float = 0.0
    _limits: dict[str, asyncio.Semaphore] = field(default_factory=dict)
    _flights: dict[str, _Flight] = field(default_factory=dict)
    _closed: dict[str | tuple[str, str], CallFailed] = field(default_factory=dict)
    _dearer: dict[tuple[str, str], float] = field(default_factory=dict)
    _models: list[Model] = field(default_factory=list)

    async def ask(self, model: Model, request: Request, accounts: Accounts) -> Reply:
        """The answer to a request. Raises CallFailed where there is none."""
        if model.local:
            return await model.complete(request)
        flight = self._flights.get(request.key)
        shared = flight is not None
        if flight is None:
            stored = self.store.get(request) if self.store else None
            if stored is not None:
                accounts.stored += 1
                return stored
            flight = _Flight(asyncio.create_task(self._send(model, request, accounts)))
            self._flights[request.key] = flight
        reply = await self._wait(request.key, flight)
        accounts.stored += shared
        return reply

    async def _wait(self, key: str, flight: _Flight) -> Reply:
        """Who gives up leaves the flight to the others; the last one ends it."""
        flight.askers += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.askers -= 1
            if not flight.askers:
                flight.task.cancel()
                if self._flights.get(key) is flight:
                    del self._flights[key]

    def has(self, request: Request) -> bool:
        """Whether the answer is in the call store."""
        return self.store is not None and self.store.get(request) is not None

    async def _send(self, model: Model, request: Request, accounts: Accounts) -> Reply:
        if model not in self._models:
            self._models.append(model)
        limit = self._limits.setdefault(model.endpoint, asyncio.Semaphore(model.concurrency))
        attempt = 0
        while True:
            async with limit:
                try:
                    reply = await self._send_once(model, request, accounts)
                    break
                except Rejected:
                    continue
                except CallFailed as failure:
                    if failure.closes:
                        self._closed[_scope(model, failure)] = failure
                    too_long = failure.after > LONGEST_WAIT
                    if not failure.retry or failure.closes or too_long or attempt == model.retries:
                        raise
                    wait = max(failure.after, random.uniform(0, BACKOFF * 2**attempt))
                    attempt += 1
            await asyncio.sleep(min(wait, LONGEST_WAIT))
        if self.store:
            await self.store.put(request, reply, getattr(model, "url", ""))
        return reply

    async def _send_once(self, model: Model, request: Request, accounts: Accounts) -> Reply:
        closed = self._closed.get(model.endpoint) or self._closed.get((model.endpoint, model.name))
        if closed:
            raise CallFailed(closed.cause, closed.detail, closes=True)
        estimate = estimated_cost(model, request)
        # Answers that cost more than estimated make the next ones count for more.
        reserve = estimate * self._dearer.get((model.endpoint, model.name), 1.0)
        if self.calls is not None and self.sent >= self.calls:
            raise BudgetSpent("budget", f"budget.calls={self.calls} is spent")
        if self.usd is not None and self.spent + self._reserved + reserve > self.usd:
            raise BudgetSpent("budget", f"budget.usd={self.usd:g} would be passed")
        self.sent += 1
        accounts.sent += 1
        self._reserved += reserve
        try:
            reply = await model.complete(request)
        finally:
            self._reserved -= reserve
        cost = model.price.of(reply) if model.price else 0.0
        self.spent += cost
        accounts.spent_usd += cost
        if estimate:
            name = (model.endpoint, model.name)
            self._dearer[name] = max(self._dearer.get(name, 1.0), cost / estimate)
        return reply

    async def close(self) -> None:
        """End what is still on its way, and give back sockets and the store."""
        flights = [flight.task for flight in self._flights.values()]
        for task in flights:
            task.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        for model in self._models:
            await model.close()
        if self.store:
            await self.store.close()


@dataclass
class _Flight:
    """A request on its way, and how many wait for it."""

    task: asyncio.Task[Reply]
    askers: int = 0


def _scope(model: Model, failure: CallFailed) -> str | tuple[str, str]:
    """What a failure closes: the endpoint, or where it is not found the model alone."""
    return (model.endpoint, model.name) if failure.cause == "404" else model.endpoint


@dataclass
class Calls:
    """One variant's line to the pool: keeps its accounts and records its replies."""

    pool: Pool
    accounts: Accounts = field(default_factory=Accounts)
    replies: list[dict[str, Any]] = field(default_factory=list)
    _asked: Counter[tuple[str, int]] = field(default_factory=Counter)

    async def ask(self, model: Model, request: Request) -> Reply:
        """As `Pool.ask`; in a replay the answer is the one recorded for this item and repeat."""
        if self.pool.record is not None:
            reply = self._replay(request)
        else:
            reply = await self.pool.ask(model, request, self.accounts)
        self.accounts.tokens_in += reply.tokens_in
        self.accounts.tokens_out += reply.tokens_out
        self.accounts.cost_usd += model.price.of(reply) if model.price else 0.0
        if reply.model:
            self.accounts.models[reply.model] += 1
        place = {"id": request.item, "repeat": request.repeat, "key": request.key}
        self.replies.append(place | {"reply": reply.to_json()})
        return reply

    def book(self, verdict: Verdict) -> None:
        """Book a verdict, answered or abstained."""
        if verdict.verdict:
            self.accounts.answered += 1
        else:
            self.accounts.abstained[verdict.reason or "unsure"] += 1

    def failed(self, failure: CallFailed) -> None:
        """Book a call that has no answer."""
        if isinstance(failure, BudgetSpent):
            self.accounts.skipped += 1
        else:
            self.accounts.failed[failure.cause] += 1
        self.accounts.detail = str(failure)

    def _replay(self, request: Request) -> Reply:
        """By key; where a rubric or template has moved, by place: the n-th call for the item."""
        assert self.pool.record is not None
        place = (request.item, request.repeat)
        recorded = self.pool.record.get(place, [])
        n = self._asked[place]
        self._asked[place] += 1
        for key, reply in recorded:
            if key == request.key:
                return reply
        if n < len(recorded):
            return recorded[n][1]
        raise NotRecorded("not recorded", f"no answer for item {request.item!r}")


def estimated_tokens(request: Request) -> tuple[int, int]:
    """(in, out) tokens, at four characters a token and the answer at its usual length."""
    letters = sum(len(message["content"]) for message in request.messages)
    caps = (request.parameters.get(key) for key in ("max_tokens", "max_completion_tokens"))
    most = next((cap for cap in caps if cap), USUAL_ANSWER_TOKENS)
    return letters // 4 + 4 * len(request.messages), min(most, USUAL_ANSWER_TOKENS)


def estimated_cost(model: Model, request: Request) -> float:
    """USD that a call will roughly cost; 0.0 for a model without a price."""
    return model.price.estimate(*estimated_tokens(request)) if model.price else 0.0
