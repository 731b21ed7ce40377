"""The limits of an endpoint, in virtual time: in no window of a minute more than allowed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from judgelab.calls import pool as pools
from judgelab.calls.accounts import Accounts
from judgelab.calls.limits import MINUTE, Limiter, Slot
from judgelab.calls.pool import Pool
from judgelab.models.base import CallFailed, Model, Reply, Request
from virtual import in_virtual_time, now

ROUNDED = 1e-6  # seconds that sums of moments may be off by
Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    return lambda main: in_virtual_time(main, monkeypatch)


@dataclass
class Call:
    """A call to be made: how long it takes, what it is taken to count and what it counts."""

    name: int
    lasts: float = 1.0
    estimated: int = 1
    counted: int | None = None
    sent: float = -1.0
    ended: float = -1.0

    async def make(self, limiter: Limiter) -> None:
        slot = await limiter.acquire(self.estimated)
        self.sent = now()
        await asyncio.sleep(self.lasts)
        self.ended = now()
        limiter.release(slot, self.counted)

    def counts_at(self, moment: float) -> int:
        """What it counts for at a moment: as the server said, once it has."""
        known = self.counted is not None and self.ended <= moment
        return self.counted if known and self.counted is not None else self.estimated


async def make(calls: Sequence[Call], limiter: Limiter, gaps: Sequence[float] = ()) -> None:
    tasks = []
    for n, call in enumerate(calls):
        tasks.append(asyncio.create_task(call.make(limiter)))
        await asyncio.sleep(gaps[n] if gaps else 0)
    await asyncio.gather(*tasks)


def in_flight(calls: Sequence[Call]) -> int:
    """The most at a time."""
    edges = sorted([(c.ended, -1) for c in calls] + [(c.sent, 1) for c in calls])
    most = level = 0
    for _, step in edges:
        level += step
        most = max(most, level)
    return most


def before(calls: Sequence[Call], moment: float) -> list[Call]:
    """Sent in the minute that ends at a moment."""
    return [call for call in calls if moment - MINUTE + ROUNDED < call.sent <= moment]


@pytest.mark.parametrize("seed", range(3))
def test_never_more_at_a_time_and_first_come_first_served(run: Run, seed: int) -> None:
    rng = random.Random(seed)
    calls = [Call(i, rng.uniform(0.1, 3.0)) for i in range(60)]
    run(make(calls, Limiter(7)))
    assert in_flight(calls) == 7
    assert [call.name for call in sorted(calls, key=lambda c: c.sent)] == list(range(60))


@pytest.mark.parametrize("seed", range(5))
def test_in_no_minute_are_more_requests_sent(run: Run, seed: int) -> None:
    rng = random.Random(seed)
    calls = [Call(i, rng.expovariate(0.3)) for i in range(100)]
    run(make(calls, Limiter(8, requests=20), [rng.expovariate(1) for _ in calls]))
    most = max(len(before(calls, call.sent)) for call in calls)
    assert most == 20
    assert in_flight(calls) <= 8
    # The limit is used: nobody waits where the minute has room and a place is free.
    assert max(call.sent for call in calls) < calls[0].sent + 5 * MINUTE + 60


@pytest.mark.parametrize("seed", range(5))
def test_in_no_minute_are_more_tokens_sent(run: Run, seed: int) -> None:
    """As estimated while a call is on its way, then as counted, whether that is less or more."""
    rng = random.Random(seed)
    calls = [
        Call(i, rng.expovariate(0.3), estimated, int(estimated * rng.uniform(0.2, 1.5)))
        for i, estimated in enumerate(rng.choices(range(10, 300), k=120))
    ]
    run(make(calls, Limiter(8, tokens=1000)))
    order = sorted(calls, key=lambda c: c.sent)
    assert [call.name for call in order] == list(range(120)), "a large one is not overtaken"
    filled = 0.0
    for call in order:
        window = [c for c in before(calls, call.sent) if c.name <= call.name]
        counts = sum(c.counts_at(call.sent) for c in window)
        assert counts <= 1000, f"call {call.name} makes {counts} tokens a minute"
        filled = max(filled, counts)
    assert filled > 700, "the limit is used"


def test_what_the_server_counts_makes_room(run: Run) -> None:
    calls = [Call(i, 1.0, estimated=100, counted=10) for i in range(20)]
    run(make(calls, Limiter(20, tokens=300)))
    assert len({call.sent for call in calls[:3]}) == 1
    assert calls[-1].sent - calls[0].sent < MINUTE, "200 tokens in all: no minute is full"
    dear = [Call(i, 1.0, estimated=100, counted=300) for i in range(4)]
    run(make(dear, Limiter(1, tokens=300)))
    waits = [b.sent - a.sent for a, b in pairwise(dear)]
    assert waits == pytest.approx([MINUTE] * 3), "more than estimated fills the minute"


def test_a_call_larger_than_the_limit_goes_alone(run: Run) -> None:
    sizes = (40, 40, 250, 40, 40)
    calls = [Call(i, 1.0, size) for i, size in enumerate(sizes)]
    run(make(calls, Limiter(10, tokens=100)))
    large = calls[2]
    assert large.sent >= calls[1].sent + MINUTE
    assert calls[3].sent >= large.sent + MINUTE
    assert [c.name for c in before(calls, large.sent)] == [2]


def test_requests_and_tokens_hold_together(run: Run) -> None:
    calls = [Call(i, 0.5, 10 if i < 30 else 100) for i in range(60)]
    run(make(calls, Limiter(4, requests=10, tokens=500)))
    for call in calls:
        window = before(calls, call.sent)
        assert len(window) <= 10
        assert sum(c.estimated for c in window) <= 500
    assert max(len(before(calls, c.sent)) for c in calls[:30]) == 10
    assert max(len(before(calls, c.sent)) for c in calls[40:]) == 5


def test_the_concurrency_shrinks_once_a_round_and_grows_back_never_above(run: Run) -> None:
    async def main() -> None:
        limiter = Limiter(10)

        async def round_of(n: int) -> list[Slot]:
            await asyncio.sleep(1)
            slots = [await limiter.acquire(1) for _ in range(n)]
            await asyncio.sleep(1)
            return slots

        shrunk = []
        for places in (10, 8, 6, 5, 4, 3, 2, 2, 1, 1, 1):
            slots = await round_of(places)
            assert limiter.in_flight == int(limiter.concurrency) == places
            for slot in slots:
                limiter.suffers(slot)
                limiter.release(slot)
            shrunk.append(limiter.concurrency)
        assert shrunk[:3] == pytest.approx([8.0, 6.4, 5.12])
        assert shrunk[-1] == 1.0
        grown = [int(limiter.concurrency)]
        for _ in range(40):
            for slot in await round_of(grown[-1]):
                limiter.went_well()
                limiter.release(slot)
            grown.append(int(limiter.concurrency))
        assert grown == sorted(grown)
        assert max(grown) == grown[-1] == 10
        assert grown.index(10) < 12

    run(main())


def test_the_answer_of_an_old_call_does_not_shrink_again(run: Run) -> None:
    async def main() -> None:
        limiter = Limiter(10)
        old = [await limiter.acquire(1) for _ in range(2)]
        await asyncio.sleep(1)
        limiter.suffers(old[0])
        new = await limiter.acquire(1)
        await asyncio.sleep(1)
        limiter.suffers(old[1])
        assert limiter.concurrency == 8.0
        limiter.suffers(new)
        assert limiter.concurrency == 6.4

    run(main())


def test_a_wait_that_the_server_asks_for_holds_for_all(run: Run) -> None:
    async def main() -> None:
        limiter = Limiter(3)
        first = await limiter.acquire(1)
        asked_at = now()
        limiter.suffers(first, after=17.0)
        limiter.suffers(first, after=2.0)  # a shorter one takes nothing back
        limiter.release(first)
        calls = [Call(i) for i in range(8)]
        await make(calls, limiter)
        assert min(call.sent for call in calls) == pytest.approx(asked_at + 17.0)
        assert in_flight(calls) <= 3

    run(main())


def test_another_model_of_the_endpoint_can_only_tighten(run: Run) -> None:
    async def main() -> None:
        limiter = Limiter(10, requests=100)
        held = [await limiter.acquire(1) for _ in range(6)]
        limiter.tighten(4, 20, 5000)
        limiter.tighten(50, None, 9000)
        assert (limiter.most, limiter.requests, limiter.tokens) == (4, 20, 5000)
        waiting = asyncio.create_task(limiter.acquire(1))
        for n, slot in enumerate(held):
            await asyncio.sleep(1)
            assert waiting.done() == (n > 2), "what is on its way ends; then the new limit holds"
            limiter.release(slot)
        limiter.release(await waiting)
        calls = [Call(i, 0.1) for i in range(40)]
        await make(calls, limiter)
        assert in_flight(calls) == 4
        assert max(len(before(calls, c.sent)) for c in calls) <= 20

    run(main())


@pytest.mark.parametrize("given", [False, True], ids=["while it waits", "as it gets its place"])
def test_who_gives_up_waiting_takes_no_place(run: Run, given: bool) -> None:
    async def main() -> None:
        limiter = Limiter(1, requests=50)
        held = await limiter.acquire(1)
        second = asyncio.create_task(limiter.acquire(1))
        third = asyncio.create_task(limiter.acquire(1))
        await asyncio.sleep(1)
        if given:
            limiter.release(held)  # the place goes to the second, who does not know it yet
            second.cancel()
        else:
            second.cancel()
            limiter.release(held)
        await asyncio.gather(second, return_exceptions=True)
        assert second.cancelled()
        limiter.release(await third)
        assert limiter.in_flight == 0

    run(main())


def test_a_place_that_was_not_used_counts_for_nothing(run: Run) -> None:
    async def main() -> None:
        limiter = Limiter(2, requests=2, tokens=100)
        used = await limiter.acquire(40)
        for _ in range(10):
            limiter.give_back(await limiter.acquire(60))
        second = await limiter.acquire(60)
        limiter.release(used)
        limiter.release(second)
        started = now()
        limiter.release(await limiter.acquire(1))
        assert now() == pytest.approx(started + MINUTE)

    run(main())


# --- through the pool


class Busy(Model):
    """Notes when it is asked; `answers` says what for the n-th request, None for an answer."""

    def __init__(
        self,
        answers: Callable[[int], CallFailed | None] = lambda n: None,
        name: str = "m",
        **more: Any,
    ) -> None:
        super().__init__(name, endpoint="one", **more)
        self.answers = answers
        self.asked: list[float] = []

    async def complete(self, request: Request) -> Reply:
        self.asked.append(now())
        failure = self.answers(len(self.asked) - 1)
        await asyncio.sleep(0.2)
        if failure:
            raise failure
        return Reply("x", tokens_in=100, tokens_out=20)


def request(model: Model, key: object) -> Request:
    return model.request(({"role": "user", "content": f"question {key}"},), 0, "")


async def ask(pool: Pool, *models: Model, n: int) -> list[Reply | BaseException]:
    asked = (pool.ask(m, request(m, i), Accounts()) for i in range(n) for m in models)
    return await asyncio.gather(*asked, return_exceptions=True)


def test_one_limit_for_all_models_of_an_endpoint(run: Run) -> None:
    async def main() -> None:
        models = [Busy(name=name, requests_per_minute=30, concurrency=4) for name in "ab"]
        found = await ask(Pool(), *models, n=50)
        assert all(isinstance(reply, Reply) for reply in found)
        sent = sorted(at for model in models for at in model.asked)
        assert len(sent) == 100
        assert max(sum(at <= other < at + MINUTE - ROUNDED for other in sent) for at in sent) == 30

    run(main())


def test_tokens_a_minute_are_those_that_the_server_counts(run: Run) -> None:
    async def main() -> None:
        model = Busy(tokens_per_minute=1200, concurrency=1)
        await ask(Pool(), model, n=40)
        # 120 tokens each, the next one at its estimate of some 200.
        sent = model.asked
        most = max(sum(at <= other < at + MINUTE - ROUNDED for other in sent) for at in sent)
        assert 8 <= most <= 10

    run(main())


def test_nobody_is_sooner_back_than_the_server_asked(run: Run) -> None:
    async def main() -> None:
        busy = CallFailed("429", "slow down", retry=True, after=30.0)
        model = Busy(lambda n: busy if n == 0 else None, concurrency=1)
        found = await ask(Pool(), model, n=5)
        assert all(isinstance(reply, Reply) for reply in found)
        assert len(model.asked) == 6
        assert model.asked[1] >= model.asked[0] + 30.0

    run(main())


def test_a_server_that_asks_for_more_than_that_is_left_alone(run: Run) -> None:
    async def main() -> None:
        busy = CallFailed("429", "tomorrow", retry=True, after=pools.LONGEST_WAIT + 1)
        model = Busy(lambda n: busy, concurrency=2)
        started = now()
        found = await ask(Pool(), model, n=9)
        assert {str(failure) for failure in found} == {"429: tomorrow"}
        assert len(model.asked) <= 2
        assert now() < started + 1

    run(main())


def test_a_storm_without_a_word_is_waited_out_and_has_an_end(run: Run) -> None:
    """Limits are no failures of a call: they are tried more often than `retries`, but not for
    ever."""

    async def main() -> None:
        busy = CallFailed("429", "busy", retry=True)
        clears = now() + 200
        model = Busy(lambda n: busy if now() < clears else None, concurrency=4, retries=1)
        found = await ask(Pool(), model, n=12)
        assert all(isinstance(reply, Reply) for reply in found)

        model, started = Busy(lambda n: busy, concurrency=4, retries=1), now()
        found = await ask(Pool(), model, n=12)
        assert {str(failure) for failure in found} == {"429: busy"}
        assert pools.PATIENCE < now() - started < pools.PATIENCE + 2 * pools.LONGEST_WAIT
        assert len(model.asked) < 12 * 40, "further and further apart"

    run(main())


def test_tries_are_further_and_further_apart_with_jitter(run: Run) -> None:
    async def main() -> None:
        down = CallFailed("503", "down", retry=True)
        models = [Busy(lambda n: down, name=f"m{i}", retries=6) for i in range(20)]
        await asyncio.gather(*(ask(Pool(), model, n=1) for model in models))
        for k in range(6):
            waits = [m.asked[k + 1] - m.asked[k] - 0.2 for m in models]
            assert max(waits) <= pools.BACKOFF * 2**k + 1e-6
            assert len({round(wait, 6) for wait in waits}) > 10, "not all at once"
        assert max(m.asked[6] - m.asked[5] for m in models) > pools.BACKOFF * 2**4

    run(main())


def test_what_is_not_sent_waits_for_no_limit(run: Run) -> None:
    """A budget that is spent, a key that is wrong: thousands of items end at once."""

    async def main() -> None:
        pool, model = Pool(calls=3), Busy(requests_per_minute=5, concurrency=2)
        started = now()
        found = await ask(pool, model, n=200)
        assert sum(isinstance(reply, Reply) for reply in found) == 3
        assert now() < started + MINUTE

        wrong = CallFailed("401", "no such key", closes=True)
        model = Busy(lambda n: wrong if n else None, requests_per_minute=2, concurrency=2)
        started = now()
        found = await ask(Pool(), model, n=200)
        assert {str(f) for f in found if not isinstance(f, Reply)} == {"401: no such key"}
        assert len(model.asked) == 2
        assert now() < started + 1, "nobody waits for a closed endpoint"

    run(main())


def test_another_model_goes_on_where_one_is_not_there(run: Run) -> None:
    async def main() -> None:
        gone = CallFailed("404", "no such model", closes=True)
        lost, there = Busy(lambda n: gone, "lost", concurrency=2), Busy(concurrency=2)
        found = await ask(Pool(), lost, there, n=10)
        assert sum(isinstance(reply, Reply) for reply in found) == 10
        assert {str(f) for f in found if not isinstance(f, Reply)} == {"404: no such model"}
        assert len(lost.asked) <= 2

    run(main())


@pytest.mark.parametrize("how", ["closed", "interrupted"])
def test_a_failure_that_comes_when_all_is_over_is_not_tried_again(run: Run, how: str) -> None:
    """It was on its way when another call closed the endpoint, or the user stopped the run."""

    async def main() -> None:
        busy = CallFailed("429", "wait", retry=True, after=50.0)
        wrong = CallFailed("401", "no such key", closes=True)
        model = Busy(lambda n: wrong if how == "closed" and n == 0 else busy, concurrency=2)
        pool, started = Pool(), now()
        asking = asyncio.create_task(ask(pool, model, n=2))
        await asyncio.sleep(0.1)
        assert len(model.asked) == 2
        if how == "interrupted":
            pool.interrupt(2)
        found = await asking
        said = {"closed": "401: no such key", "interrupted": "interrupted"}
        assert [str(failure) for failure in found] == [said[how]] * 2
        assert now() < started + 1
        await pool.close()

    run(main())
