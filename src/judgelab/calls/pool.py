"""The pool: every call of every variant goes through it, once.

One request is answered by, in this order: the run's own record (replay), an equal request that is
already on its way, the call store, another process that is asking it, the model.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from judgelab.calls.accounts import Accounts
from judgelab.calls.budget import Budget, Purse, most_tokens, taken
from judgelab.calls.limits import Limiter
from judgelab.calls.store import CallStore
from judgelab.models.base import CallFailed, Model, Rejected, Reply, Request

BACKOFF = 0.5  # seconds before the first retry, doubled each time, with full jitter
LONGEST_WAIT = 60.0  # a server that asks for more is left alone, to be resumed
PATIENCE = 600.0  # seconds that a request waits for a rate limit to pass
POLL = 0.05  # seconds between two looks at what another process is asking
DRAIN = 10.0  # seconds that calls on their way get to end after an interrupt

# (item, repeat, part of the judge) -> its recorded calls, as (key, reply).
Record = Mapping[tuple[str, int, str], list[tuple[str, Reply]]]


class Interrupted(CallFailed):
    """The run is being stopped: what is on its way may end, nothing more is sent."""


@dataclass
class Pool:
    """Shared by all variants of a sweep, in one event loop.

    `calls`, `tokens` and `usd` are caps for all of them together, None for no cap; `per_run` caps
    each variant. A pool with a `record` sends nothing.
    """

    store: CallStore | None = None
    calls: int | None = None
    tokens: int | None = None
    usd: float | None = None
    per_run: Budget = field(default_factory=Budget)
    record: Record | None = None
    interrupted: int = 0  # by which signal
    _limits: dict[str, Limiter] = field(default_factory=dict)
    _turns: dict[str, asyncio.Semaphore] = field(default_factory=dict)
    _flights: dict[str, _Flight] = field(default_factory=dict)
    _closed: dict[str | tuple[str, str], CallFailed] = field(default_factory=dict)
    _dearer: dict[tuple[str, str], float] = field(default_factory=dict)
    _senders: dict[Hashable, Model] = field(default_factory=dict)
    _settled: asyncio.Event = field(default_factory=asyncio.Event)
    _deadline: asyncio.TimerHandle | None = None

    def __post_init__(self) -> None:
        self._purse = Purse(Budget(self.calls, self.tokens, self.usd))

    @property
    def sent(self) -> int:
        """Calls sent, every try counted."""
        return self._purse.calls

    @property
    def spent(self) -> float:
        """USD."""
        return self._purse.usd

    def workers(self, model: Model) -> int:
        """How many requests are in work at a time: prepared, on their way, being kept, read."""
        return model.concurrency if model.local else 2 * model.concurrency + 8

    def turn(self, model: Model) -> asyncio.Semaphore:
        """To be held from before a request is made until its answer is read.

        It keeps the variants of a sweep in step, and prompts that nobody can send yet out of
        memory.
        """
        turn = self._turns.get(model.endpoint)
        if turn is None:
            turn = self._turns[model.endpoint] = asyncio.Semaphore(self.workers(model))
        return turn

    async def ask(self, model: Model, request: Request, accounts: Accounts) -> Reply:
        """The answer to a request. Raises CallFailed where there is none."""
        if self.interrupted:
            raise Interrupted("interrupted")
        if request.too_long:
            return Reply("", finish="too_long")
        if model.local:
            return await model.complete(request)
        flight = self._flights.get(request.key)
        if flight is not None:
            reply = await self._wait(request.key, flight)
            return self._used_again(model, request, reply, accounts)
        stored = self.store.get(request) if self.store else None
        if stored is not None:
            return self._used_again(model, request, stored, accounts)
        flight = _Flight(model)
        flight.task = asyncio.create_task(self._fly(flight, model, request, accounts))
        flight.task.add_done_callback(_looked_at)
        self._flights[request.key] = flight
        return await self._wait(request.key, flight)

    @property
    def on_wire(self) -> int:
        """How many calls wait for their answer now."""
        return sum(flight.on_wire for flight in self._flights.values())

    def interrupt(self, signal: int) -> None:
        """Send nothing more; what is on its way gets DRAIN seconds to come in and be kept."""
        self.interrupted = signal
        for flight in self._flights.values():
            if not flight.on_wire:
                flight.task.cancel()
        self._deadline = asyncio.get_running_loop().call_later(DRAIN, self._abandon)

    def _abandon(self) -> None:
        for flight in self._flights.values():
            flight.task.cancel()

    def _used_again(
        self, model: Model, request: Request, reply: Reply, accounts: Accounts
    ) -> Reply:
        accounts.stored += 1
        if self.store:
            self.store.used_again(request, model.price.of(reply) if model.price else 0.0)
        return reply

    async def _wait(self, key: str, flight: _Flight) -> Reply:
        """Who gives up leaves the flight to the others. One that nobody waits for ends, unless it
        is on the wire: that is paid for, so it goes on and is kept."""
        flight.askers += 1
        try:
            return await asyncio.shield(flight.task)
        except asyncio.CancelledError:
            if flight.task.cancelled():
                self._check_open(flight.model)
            raise
        finally:
            flight.askers -= 1
            if not flight.askers and not flight.on_wire:
                flight.task.cancel()
                self._flights.pop(key, None)

    async def _fly(
        self, flight: _Flight, model: Model, request: Request, accounts: Accounts
    ) -> Reply:
        claims = self.store.claims if self.store else None
        try:
            while claims and not claims.take(request.key):
                self._check_open(model)
                await asyncio.sleep(POLL)
            # Another process may have asked it since we looked.
            stored = self.store.get(request) if self.store else None
            if stored is not None:
                return self._used_again(model, request, stored, accounts)
            return await self._send(flight, model, request, accounts)
        finally:
            if claims:
                claims.give_back(request.key)
            if self._flights.get(request.key) is flight:
                del self._flights[request.key]

    async def _send(
        self, flight: _Flight, model: Model, request: Request, accounts: Accounts
    ) -> Reply:
        tries = 0
        patience = time.monotonic() + PATIENCE
        while True:
            try:
                return await self._send_once(flight, model, request, accounts)
            except Rejected:
                continue
            except CallFailed as failure:
                limited = failure.cause == "429" and model.retries > 0
                if failure.retry:
                    failure.closes |= failure.after > LONGEST_WAIT
                    failure.closes |= limited and time.monotonic() > patience
                if failure.closes:
                    self._close(model, failure)
                if not failure.retry or failure.closes or not (limited or tries < model.retries):
                    raise
                longest = min(LONGEST_WAIT, BACKOFF * 2 ** min(tries, 16))
                wait = failure.after + random.uniform(0, longest)
                tries += 1
            self._check_open(model)  # it may have closed while this call was on its way
            await asyncio.sleep(wait)

    async def _send_once(
        self, flight: _Flight, model: Model, request: Request, accounts: Accounts
    ) -> Reply:
        self._check_open(model)
        limiter = self._limiter(model)
        size = most_tokens(request)
        place = await limiter.acquire(sum(size))
        used, sent = None, False
        try:
            if self.store:
                await self.store.ready()
            self._check_open(model)
            purses = (self._purse, accounts.purse)
            reserved = await self._reserve(model, size, purses)
            flight.on_wire = sent = True
            if self.store:
                self.store.claims.count(sent=1)
            tokens, cost = 0, 0.0
            try:
                reply = await self._senders.setdefault(model.line, model).complete(request)
                used = reply.tokens_in + reply.tokens_out or None
                tokens, cost = taken(model, request, reply)
                self._learn(model, size, tokens, cost)
                limiter.went_well()
            except CallFailed as failure:
                flight.on_wire = False
                if failure.retry and not isinstance(failure, Rejected):
                    limiter.suffers(place, min(failure.after, LONGEST_WAIT))
                if self.store:
                    self.store.claims.count(settled=1)
                raise
            finally:
                for purse in purses:
                    purse.settle(reserved, tokens, cost)
                self._settled.set()
        finally:
            if sent:
                limiter.release(place, used)
            else:
                limiter.give_back(place)
        if self.store:
            await self.store.put(request, reply, getattr(model, "url", ""), cost)
            self.store.claims.count(settled=1)
        return reply

    async def _reserve(
        self, model: Model, size: tuple[int, int], purses: tuple[Purse, ...]
    ) -> tuple[float, float]:
        """(tokens, USD) put aside for a call. Raises BudgetSpent."""
        while True:
            # Answers that took more than estimated make the next ones count for more.
            more = self._dearer.get((model.endpoint, model.name), 1.0)
            usd = model.price.estimate(*size) if model.price else 0.0
            reserved = (sum(size) * more, usd * more)
            if all(purse.has_room(*reserved) for purse in purses):
                for purse in purses:
                    purse.reserve(*reserved)
                return reserved
            self._settled.clear()
            await self._settled.wait()
            self._check_open(model)

    def _learn(self, model: Model, size: tuple[int, int], tokens: int, cost: float) -> None:
        estimate = model.price.estimate(*size) if model.price else 0.0
        more = max(tokens / max(1, sum(size)), cost / estimate if estimate else 0.0)
        name = (model.endpoint, model.name)
        self._dearer[name] = max(self._dearer.get(name, 1.0), more)

    def _limiter(self, model: Model) -> Limiter:
        limits = (model.concurrency, model.requests_per_minute, model.tokens_per_minute)
        limiter = self._limits.get(model.endpoint)
        if limiter is None:
            limiter = self._limits[model.endpoint] = Limiter(*limits)
        else:
            limiter.tighten(*limits)
        return limiter

    def _check_open(self, model: Model) -> None:
        if self.interrupted:
            raise Interrupted("interrupted")
        if closed := self._closed_to(model):
            raise CallFailed(closed.cause, closed.detail, closes=True)

    def _closed_to(self, model: Model) -> CallFailed | None:
        closed = self._closed
        return closed.get(model.endpoint) or closed.get((model.endpoint, model.name))

    def _close(self, model: Model, failure: CallFailed) -> None:
        """No more calls to the endpoint, or where it is not found to the model alone; who waits
        for a limit or another try need not."""
        one_model = failure.cause == "404"
        scope = (model.endpoint, model.name) if one_model else model.endpoint
        self._closed.setdefault(scope, failure)
        for flight in self._flights.values():
            waits = not flight.on_wire and flight.task is not asyncio.current_task()
            if waits and self._closed_to(flight.model):
                flight.task.cancel()

    async def close(self) -> None:
        """End what is still on its way, and give back sockets and the store."""
        if self._deadline:
            self._deadline.cancel()
        flights = [flight.task for flight in self._flights.values()]
        for task in flights:
            task.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        for model in self._senders.values():
            await model.close()
        if self.store:
            await self.store.close()


class _Flight:
    """A request on its way, and how many wait for it."""

    task: asyncio.Task[Reply]

    def __init__(self, model: Model) -> None:
        self.model = model
        self.askers = 0
        self.on_wire = False


def _looked_at(task: asyncio.Task[Reply]) -> None:
    """A failure that nobody waits for any more is no one's business."""
    if not task.cancelled():
        task.exception()
