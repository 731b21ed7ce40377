"""What an endpoint bears: so many calls at a time, so many requests and tokens a minute."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass

MINUTE = 60.0  # seconds
SHRINK = 0.8  # of the concurrency stays when the server suffers, once a round of calls
GROW = 0.1  # of the concurrency comes back with a round of answers, at least one call


@dataclass(eq=False)
class Slot:
    """A call's place: when it was given, and the tokens it counts for."""

    at: float
    tokens: int
    counted: bool = False  # whether it still stands in the last minute


class Limiter:
    """The limits of one endpoint, shared by all who call it; first come, first served.

    The concurrency starts at its setting, shrinks when the server suffers and grows back, never
    above. In no window of a minute are more than `requests` sent, or more than `tokens` (as
    estimated, then as counted by the server; a call that is larger than that goes alone).
    """

    def __init__(
        self, concurrency: int, requests: int | None = None, tokens: int | None = None
    ) -> None:
        self.most = concurrency
        self.requests = requests
        self.tokens = tokens
        self.concurrency = float(concurrency)
        self.in_flight = 0
        self._minute: deque[Slot] = deque()
        self._tokens_in_minute = 0
        self._closed_until = 0.0
        self._shrunk_at = 0.0
        self._queue: deque[tuple[asyncio.Future[Slot], int]] = deque()
        self._alarm: asyncio.TimerHandle | None = None

    def tighten(self, concurrency: int, requests: int | None, tokens: int | None) -> None:
        """Another model of the same endpoint: the lower limit holds."""
        self.most = min(self.most, concurrency)
        self.concurrency = min(self.concurrency, self.most)
        self.requests = min((n for n in (self.requests, requests) if n), default=None)
        self.tokens = min((n for n in (self.tokens, tokens) if n), default=None)

    async def acquire(self, tokens: int) -> Slot:
        """A place for one call of about that many tokens, for `release` or `give_back`."""
        now = time.monotonic()
        if not self._queue and self._opens(now, tokens) <= now:
            return self._place(now, tokens)
        waiter: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        self._queue.append((waiter, tokens))
        self._go_on()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.give_back(waiter.result())
            self._go_on()
            raise

    def release(self, slot: Slot, tokens: int | None = None) -> None:
        """The call has ended; `tokens` is what the server counted."""
        self.in_flight -= 1
        if slot.counted and tokens is not None:
            self._tokens_in_minute += tokens - slot.tokens
            slot.tokens = tokens
        self._go_on()

    def give_back(self, slot: Slot) -> None:
        """Nothing was sent: the place counts for nothing."""
        if slot.counted:
            slot.counted = False
            self._minute.remove(slot)
            self._tokens_in_minute -= slot.tokens
        self.release(slot)

    def went_well(self) -> None:
        """An answer came: a little more may be asked at a time."""
        if self.concurrency < self.most:
            more = max(1.0, GROW * self.concurrency) / self.concurrency
            self.concurrency = min(float(self.most), self.concurrency + more)

    def suffers(self, slot: Slot, after: float = 0.0) -> None:
        """The server is overloaded; nobody asks it anything for `after` seconds."""
        now = time.monotonic()
        if slot.at >= self._shrunk_at:  # what was sent before says nothing about what holds since
            self.concurrency = max(1.0, SHRINK * self.concurrency)
            self._shrunk_at = now
        self._closed_until = max(self._closed_until, now + after)

    def _opens(self, now: float, tokens: int) -> float:
        """When a call of that size may be sent: `now`, a moment to come, or at the next release."""
        if self.in_flight >= int(self.concurrency):
            return float("inf")
        at = max(now, self._closed_until)
        if self.requests is None and self.tokens is None:
            return at
        while self._minute and self._minute[0].at <= now - MINUTE:
            gone = self._minute.popleft()
            gone.counted = False
            self._tokens_in_minute -= gone.tokens
        if self.requests is not None and len(self._minute) >= self.requests:
            at = max(at, self._minute[-self.requests].at + MINUTE)
        if self.tokens is not None:
            left = self._tokens_in_minute
            for slot in self._minute:
                if left + tokens <= self.tokens:
                    break
                left -= slot.tokens
                at = max(at, slot.at + MINUTE)
        return at

    def _place(self, now: float, tokens: int) -> Slot:
        slot = Slot(now, tokens)
        self.in_flight += 1
        if self.requests is not None or self.tokens is not None:
            slot.counted = True
            self._minute.append(slot)
            self._tokens_in_minute += tokens
        return slot

    def _go_on(self) -> None:
        """Give places to those who wait; where only time is missing, set the alarm."""
        if self._alarm:
            self._alarm.cancel()
            self._alarm = None
        while self._queue:
            waiter, tokens = self._queue[0]
            if waiter.done():
                self._queue.popleft()
                continue
            now = time.monotonic()
            opens = self._opens(now, tokens)
            if opens > now:
                if opens != float("inf"):
                    loop = asyncio.get_running_loop()
                    self._alarm = loop.call_later(opens - now, self._go_on)
                return
            self._queue.popleft()
            waiter.set_result(self._place(now, tokens))
