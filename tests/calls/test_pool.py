"""The pool: each question asked once, never more at a time than allowed, never past the budget."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

import pytest

from judgelab.calls import pool as pools
from judgelab.calls.accounts import Accounts
from judgelab.calls.budget import BudgetSpent, estimated_cost
from judgelab.calls.line import Calls, NotRecorded
from judgelab.calls.pool import Pool, Record
from judgelab.calls.store import CallStore
from judgelab.models.base import CallFailed, Model, Price, Reply, Request
from judgelab.models.openai_compatible import OpenAICompatible
from judgelab.models.scripted import Scripted
from judgelab.types import Verdict
from server import ChatServer, Fault


def run(main: Coroutine[Any, Any, None]) -> None:
    async def timed() -> None:
        async with asyncio.timeout(20):
            await main
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not others, "tasks were left behind"

    asyncio.run(timed())


def request(model: Model, key: object, item: str = "", repeat: int = 0) -> Request:
    return model.request(({"role": "user", "content": f"question {key}"},), repeat, item)


async def spin() -> None:
    """Let everything go on as far as it can without the world."""
    for _ in range(50):
        await asyncio.sleep(0)


class Gated(Model):
    """Answers when its gate opens; counts how many wait at a time."""

    def __init__(self, endpoint: str = "gated", name: str = "m", **more: Any) -> None:
        super().__init__(name, endpoint=endpoint, **more)
        self.gate = asyncio.Event()
        self.asked: list[str] = []
        self.tokens = (0, 0)
        self.waiting = 0
        self.closed = 0

    async def complete(self, request: Request) -> Reply:
        self.asked.append(request.messages[-1]["content"])
        self.waiting += 1
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        return Reply(f"to {self.asked[-1]}", tokens_in=self.tokens[0], tokens_out=self.tokens[1])

    async def close(self) -> None:
        self.closed += 1


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "BACKOFF", 0.001)


async def gathered(
    asked: Iterable[Coroutine[Any, Any, Reply]],
) -> tuple[list[Reply], list[CallFailed]]:
    found = await asyncio.gather(*asked, return_exceptions=True)
    odd = [f for f in found if not isinstance(f, Reply | CallFailed)]
    assert not odd, odd
    return [f for f in found if isinstance(f, Reply)], [
        f for f in found if isinstance(f, CallFailed)
    ]


# --- once


def test_equal_questions_in_flight_are_asked_once() -> None:
    async def main() -> None:
        model, pool = Gated(), Pool()
        accounts = [Accounts() for _ in range(5)]
        tasks = [asyncio.create_task(pool.ask(model, request(model, 1), a)) for a in accounts]
        await spin()
        model.gate.set()
        assert {reply.text for reply in await asyncio.gather(*tasks)} == {"to question 1"}
        assert model.asked == ["question 1"]
        assert [(a.sent, a.stored) for a in accounts] == [(1, 0)] + [(0, 1)] * 4
        await pool.close()

    run(main())


def test_another_repeat_is_another_question() -> None:
    async def main() -> None:
        model, pool = Scripted(["x"]), Pool()
        for repeat in range(3):
            await pool.ask(model, request(model, 1, repeat=repeat), Accounts())
        assert len(model.requests) == 3

    run(main())


def test_who_gives_up_does_not_take_the_answer_from_the_others() -> None:
    async def main() -> None:
        model, pool = Gated(), Pool()
        first, second = (
            asyncio.create_task(pool.ask(model, request(model, 1), Accounts())) for _ in range(2)
        )
        await spin()
        first.cancel()
        await spin()
        model.gate.set()
        assert (await second).text == "to question 1"
        assert first.cancelled()
        assert model.asked == ["question 1"]
        await pool.close()

    run(main())


def test_where_the_last_one_gives_up_the_call_ends_and_can_be_asked_again() -> None:
    async def main() -> None:
        model, pool = Gated(), Pool()
        only = asyncio.create_task(pool.ask(model, request(model, 1), Accounts()))
        await spin()
        only.cancel()
        again = asyncio.create_task(pool.ask(model, request(model, 1), Accounts()))
        await spin()
        assert model.waiting == 1
        model.gate.set()
        assert (await again).text == "to question 1"
        await pool.close()

    run(main())


def test_a_failure_in_flight_fails_all_who_wait_and_is_not_kept(tmp_path: Path) -> None:
    async def main() -> None:
        model = Scripted([CallFailed("400"), "later"])
        pool, accounts = Pool(CallStore(tmp_path / "calls.db")), Accounts()
        replies, failures = await gathered(
            pool.ask(model, request(model, 1), accounts) for _ in range(3)
        )
        assert not replies
        assert [f.cause for f in failures] == ["400"] * 3
        assert (accounts.sent, accounts.stored) == (1, 0)
        assert (await pool.ask(model, request(model, 1), accounts)).text == "later"
        await pool.close()

    run(main())


def test_no_model_is_asked_what_is_above_its_context_window() -> None:
    async def main() -> None:
        model, accounts = Scripted(["x"], context_window=100), Accounts()
        pool = Pool(calls=0)
        reply = await pool.ask(model, request(model, "long " * 100), accounts)
        assert reply == Reply("", finish="too_long")
        assert (model.requests, accounts.sent) == ([], 0)
        await pool.close()

    run(main())


def test_what_is_in_the_store_is_not_sent(tmp_path: Path) -> None:
    async def main() -> None:
        model, accounts = Scripted(["paid"], price={"input": 1.0, "output": 1.0}), Accounts()
        first = Pool(CallStore(tmp_path / "calls.db"))
        assert Calls(first).known(request(model, 1)) is None
        await first.ask(model, request(model, 1), accounts)
        assert Calls(first).known(request(model, 1)) is not None
        await first.close()
        second, later = Pool(CallStore(tmp_path / "calls.db"), calls=0, usd=0.0), Accounts()
        assert (await second.ask(model, request(model, 1), later)).text == "paid"
        assert (later.sent, later.stored, second.sent) == (0, 1, 0)
        assert len(model.requests) == 1
        await second.close()

    run(main())


# --- so many at a time


def test_models_of_one_endpoint_share_its_limit() -> None:
    async def main() -> None:
        one, two = Gated("shared", "a", concurrency=3), Gated("shared", "b", concurrency=3)
        other = Gated("other", "c", concurrency=2)
        pool = Pool()
        tasks = [
            asyncio.create_task(pool.ask(model, request(model, i), Accounts()))
            for i in range(6)
            for model in (one, two, other)
        ]
        await spin()
        assert one.waiting + two.waiting == 3
        assert other.waiting == 2
        for model in (one, two, other):
            model.gate.set()
        assert len(await asyncio.gather(*tasks)) == 18
        await pool.close()
        assert (one.closed, two.closed, other.closed) == (1, 1, 1)

    run(main())


def test_the_server_sees_no_more_at_a_time_than_the_limit(server: ChatServer) -> None:
    models = [
        OpenAICompatible(name, server.url, endpoint="ours", concurrency=3) for name in ("a", "b")
    ]

    server.gate = gate = threading.Event()

    async def main() -> None:
        pool = Pool()
        asked = [pool.ask(m, request(m, i), Accounts()) for i in range(15) for m in models]
        everything = asyncio.create_task(gathered(asked))
        while server.in_flight < 3:
            await asyncio.sleep(0.005)
        gate.set()
        replies, failures = await everything
        assert len(replies) == 30
        assert not failures
        await pool.close()

    run(main())
    assert server.most_in_flight == 3
    assert len(server.seen) == 30


def test_who_waits_for_another_try_holds_no_place() -> None:
    async def main() -> None:
        answers: list[str | CallFailed] = [CallFailed("429", retry=True, after=0.2), "b", "a"]
        model, pool = Scripted(answers, concurrency=1), Pool()
        slow = asyncio.create_task(pool.ask(model, request(model, "a"), Accounts()))
        await spin()
        assert (await pool.ask(model, request(model, "b"), Accounts())).text == "b"
        assert not slow.done()
        assert (await slow).text == "a"
        await pool.close()

    run(main())


# --- tries


def test_a_failure_of_the_moment_is_tried_again_so_many_times() -> None:
    async def main() -> None:
        failing = CallFailed("503", "busy", retry=True)
        model, accounts = Scripted([failing], retries=3), Accounts()
        with pytest.raises(CallFailed, match="503: busy"):
            await Pool().ask(model, request(model, 1), accounts)
        assert accounts.sent == len(model.requests) == 4
        model, accounts = Scripted([failing, failing, "there"], retries=2), Accounts()
        assert (await Pool().ask(model, request(model, 1), accounts)).text == "there"
        assert accounts.sent == 3

    run(main())


def test_a_failure_for_good_is_not_tried_again() -> None:
    async def main() -> None:
        model = Scripted([CallFailed("400")], retries=3)
        with pytest.raises(CallFailed, match="400"):
            await Pool().ask(model, request(model, 1), Accounts())
        assert len(model.requests) == 1

    run(main())


def test_a_closed_endpoint_is_asked_nothing_more() -> None:
    async def main() -> None:
        wrong_key = CallFailed("401", "no such key", closes=True)
        model, pool = Scripted([wrong_key], concurrency=2), Pool()
        _, failures = await gathered(
            pool.ask(model, request(model, i), Accounts()) for i in range(9)
        )
        assert [f.cause for f in failures] == ["401"] * 9
        assert len(model.requests) <= 2
        # Another model there has the same key; another endpoint has not.
        sibling = Scripted(["x"], name="sibling")
        with pytest.raises(CallFailed, match="no such key"):
            await pool.ask(sibling, request(sibling, 1), Accounts())
        assert sibling.requests == []
        elsewhere = Gated("elsewhere")
        elsewhere.gate.set()
        assert (await pool.ask(elsewhere, request(elsewhere, 1), Accounts())).text

    run(main())


def test_a_model_that_is_not_there_closes_itself_alone() -> None:
    async def main() -> None:
        lost = Scripted([CallFailed("404", closes=True)], name="lost", concurrency=1)
        pool, there = Pool(), Scripted(["x"], name="there")
        _, failures = await gathered(pool.ask(lost, request(lost, i), Accounts()) for i in range(5))
        assert (len(failures), len(lost.requests)) == (5, 1)
        assert (await pool.ask(there, request(there, 1), Accounts())).text == "x"

    run(main())


# --- budgets


@pytest.mark.parametrize("cap", [0, 1, 7])
def test_budget_calls_is_never_passed(cap: int, server: ChatServer) -> None:
    server.faults = lambda number, body: Fault(503) if number % 3 == 0 else None

    async def main() -> None:
        model = OpenAICompatible("m", server.url, concurrency=4, retries=5)
        pool, accounts = Pool(calls=cap), Accounts()
        replies, failures = await gathered(
            pool.ask(model, request(model, i), accounts) for i in range(20)
        )
        assert len(replies) + len(failures) == 20
        assert all(isinstance(f, BudgetSpent) for f in failures)
        assert all(f"budget.calls={cap} is spent" in str(f) for f in failures)
        assert accounts.sent == pool.sent == cap
        await pool.close()

    run(main())
    assert len(server.seen) == cap


PRICE = {"input": 1e6, "output": 1e6}  # USD 1 a token


def priced(tokens_in: int, tokens_out: int, **more: Any) -> Scripted:
    return Scripted(
        lambda request: Reply("x", tokens_in=tokens_in, tokens_out=tokens_out), price=PRICE, **more
    )


def test_budget_usd_counts_what_is_in_flight() -> None:
    async def main() -> None:
        model = Gated(concurrency=50)
        model.price = Price(**PRICE)
        model.tokens = request(model, 1).estimated_tokens()
        each = estimated_cost(model, request(model, 1))
        assert each == sum(model.tokens)
        pool = Pool(usd=3.5 * each)
        tasks = [
            asyncio.create_task(pool.ask(model, request(model, i), Accounts())) for i in range(9)
        ]
        await spin()
        assert model.waiting == 3
        model.gate.set()
        replies, failures = await gathered(asyncio.wait_for(task, 5) for task in tasks)
        assert len(replies) == 3
        assert all("budget.usd=" in str(f) for f in failures)
        await pool.close()

    run(main())


def test_budget_usd_holds_where_answers_cost_what_was_estimated() -> None:
    async def main() -> None:
        model = priced(*request(Scripted(["x"]), 10).estimated_tokens(), concurrency=4)
        each = estimated_cost(model, request(model, 10))
        pool, accounts = Pool(usd=5.5 * each), Accounts()
        replies, failures = await gathered(
            pool.ask(model, request(model, i), accounts) for i in range(10, 30)
        )
        assert (len(replies), len(failures)) == (5, 15)
        assert pool.spent == accounts.spent_usd == 5 * each

    run(main())


def test_answers_dearer_than_estimated_make_the_next_ones_count_for_more() -> None:
    async def main() -> None:
        model = priced(3000, 0, concurrency=1)
        pool = Pool(usd=10_000.0)
        replies, _ = await gathered(
            pool.ask(model, request(model, i), Accounts()) for i in range(10, 40)
        )
        assert len(replies) == 3
        assert pool.spent == 9000

    run(main())


def test_a_spent_budget_stops_no_stored_answer(tmp_path: Path) -> None:
    async def main() -> None:
        model = priced(10, 10)
        pool = Pool(CallStore(tmp_path / "calls.db"), calls=1)
        await pool.ask(model, request(model, 1), Accounts())
        with pytest.raises(BudgetSpent):
            await pool.ask(model, request(model, 2), Accounts())
        assert (await pool.ask(model, request(model, 1), Accounts())).text == "x"
        await pool.close()

    run(main())


def test_a_server_that_counts_no_tokens_is_counted_as_estimated() -> None:
    async def main() -> None:
        model = Scripted(["x"], price=PRICE, concurrency=1)
        each = sum(request(model, 10).estimated_tokens())
        pool, accounts = Pool(tokens=int(2.5 * each)), Accounts()
        replies, failures = await gathered(
            pool.ask(model, request(model, i), accounts) for i in range(10, 15)
        )
        assert len(replies) == 2
        assert all("budget.tokens=" in str(f) for f in failures)
        assert accounts.spent_usd == 2 * each
        await pool.close()

    run(main())


def test_cached_tokens_have_their_own_price() -> None:
    reply = Reply("x", tokens_in=100, tokens_cached=60, tokens_out=10)
    assert Price(2e6, 5e6, 1e6).of(reply) == 40 * 2 + 60 * 1 + 10 * 5
    assert Price(2e6, 5e6).of(reply) == 100 * 2 + 10 * 5
    assert Price(2e6, 5e6).estimate(100, 10) == 250


# --- closing


def test_closing_ends_what_is_on_its_way() -> None:
    async def main() -> None:
        model, pool = Gated(), Pool()
        asked = asyncio.create_task(pool.ask(model, request(model, 1), Accounts()))
        await spin()
        await pool.close()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert (model.waiting, model.closed) == (0, 1)

    run(main())


# --- replay


def recorded(*calls: tuple[str, int, str, str], by: str = "") -> Record:
    record: dict[tuple[str, int, str], list[tuple[str, Reply]]] = {}
    for item, repeat, key, text in calls:
        record.setdefault((item, repeat, by), []).append((key, Reply(text)))
    return record


def test_a_replay_answers_by_key_and_sends_nothing() -> None:
    async def main() -> None:
        model = Scripted(["live"])
        one, two = request(model, 1, "a"), request(model, 2, "a")
        calls = Calls(Pool(record=recorded(("a", 0, two.key, "two"), ("a", 0, one.key, "one"))))
        assert (await calls.ask(model, one)).text == "one"
        assert (await calls.ask(model, two)).text == "two"
        assert (await calls.ask(model, one)).text == "one"
        assert model.requests == []
        assert calls.accounts.sent == 0

    run(main())


def test_where_the_template_moved_a_replay_answers_by_place() -> None:
    async def main() -> None:
        model = Scripted(["live"])
        record = recorded(
            ("a", 0, "old 1", "first"),
            ("a", 0, "old 2", "second"),
            ("a", 1, "old 3", "repeat"),
            ("b", 0, "old 4", "another"),
        )
        calls = Calls(Pool(record=record))
        assert (await calls.ask(model, request(model, "new 1", "a"))).text == "first"
        assert (await calls.ask(model, request(model, "new 2", "a"))).text == "second"
        assert (await calls.ask(model, request(model, "new 1", "a", repeat=1))).text == "repeat"
        assert (await calls.ask(model, request(model, "new 1", "b"))).text == "another"
        for lost in (request(model, "new 3", "a"), request(model, "new 1", "c")):
            with pytest.raises(NotRecorded, match="no answer for item"):
                await calls.ask(model, lost)
        assert model.requests == []

    run(main())


# --- the books


def test_the_accounts_add_up() -> None:
    async def main() -> None:
        answers: Callable[[Request], str | Reply | CallFailed] = lambda r: {  # noqa: E731
            "a": Reply("x", model="m-1", tokens_in=10, tokens_out=2),
            "b": CallFailed("500", "down"),
        }.get(r.item, Reply("", model="m-2", tokens_in=10, tokens_out=1))
        model = Scripted(answers, price={"input": 1e6, "output": 2e6})
        calls = Calls(Pool(calls=3))
        calls.accounts.planned = 6
        for item in "abcd":
            try:
                reply = await calls.ask(model, request(model, item, item))
            except CallFailed as failure:
                calls.failed(failure, item, 0)
            else:
                verdict = "pass" if reply.text else None
                calls.book(Verdict(item, verdict, None if verdict else "empty"))
        accounts = calls.accounts
        assert not accounts.complete
        assert accounts.to_json() == {
            "planned": 6,
            "answered": 1,
            "abstained": {"empty": 1},
            "failed": {"500": 1},
            "skipped": 1,
            "stopped": 0,
            "pending": 2,
            "sent": 3,
            "from_store": 0,
            "repaired": 0,
            "tokens_in": 20,
            "tokens_out": 3,
            "tokens_cached": 0,
            "cost_usd": 26.0,
            "spent_usd": 26.0,
            "models": {"m-1": 1, "m-2": 1},
        }
        assert accounts.detail == "budget: budget.calls=3 is spent"
        assert [(r["id"], r["repeat"]) for r in calls.replies] == [("a", 0), ("c", 0)]
        assert Reply(**calls.replies[0]["reply"]) == Reply(
            "x", model="m-1", tokens_in=10, tokens_out=2
        )
        accounts.planned = 2
        assert accounts.complete

    run(main())


def test_what_came_from_the_store_is_worth_something_and_was_not_paid(tmp_path: Path) -> None:
    async def main() -> None:
        model = priced(10, 5)
        pool = Pool(CallStore(tmp_path / "calls.db"))
        first, second = Calls(pool), Calls(pool)
        for calls in (first, second):
            await calls.ask(model, request(model, 1, "a"))
        assert (first.accounts.cost_usd, first.accounts.spent_usd) == (15.0, 15.0)
        assert (second.accounts.cost_usd, second.accounts.spent_usd) == (15.0, 0.0)
        assert second.replies == first.replies
        await pool.close()

    run(main())


def test_an_estimate_takes_the_cap_on_tokens_where_it_is_low() -> None:
    model = Scripted(["x"])
    asked = model.request(({"role": "user", "content": "x" * 400},), 0, "a")
    assert asked.estimated_tokens() == (104, 200)
    model.parameters = {"max_completion_tokens": 50}
    capped = model.request(asked.messages, 0, "a")
    assert capped.estimated_tokens() == (104, 50)
    assert estimated_cost(model, capped) == 0.0
