"""Budgets: never passed, calls on their way included; spent by waiting for them, not too early."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from judgelab.calls.accounts import Accounts
from judgelab.calls.budget import Budget, BudgetSpent, Purse
from judgelab.calls.line import Calls
from judgelab.calls.pool import Pool
from judgelab.models.base import CallFailed, Model, Reply, Request
from labs import Lab, rows, write_rows
from server import ChatServer, Fault

PRICE = {"input": 1e6, "output": 1e6}  # USD 1 a token
TOKENS = 108  # of a request below, as estimated: 8 in and the answer's cap


class Counting(Model):
    """Every answer takes the same tokens; `on_wire` and `most` say how many are asked at a time."""

    def __init__(self, tokens: int, name: str = "m", endpoint: str = "here", **more: Any) -> None:
        super().__init__(name, endpoint=endpoint, max_tokens=100, price=PRICE, **more)
        self.tokens = tokens
        self.asked = self.on_wire = self.most = 0

    async def complete(self, request: Request) -> Reply:
        self.asked += 1
        self.on_wire += 1
        self.most = max(self.most, self.on_wire)
        for _ in range(5):
            await asyncio.sleep(0)
        self.on_wire -= 1
        return Reply("x", tokens_in=8, tokens_out=self.tokens - 8)


def request(model: Model, key: int) -> Request:
    made = model.request(({"role": "user", "content": f"question {key:07}"},), 0, "")
    assert sum(made.estimated_tokens()) == TOKENS
    return made


async def ask(
    pool: Pool, n: int, *models: Model, accounts: Accounts | None = None
) -> tuple[int, list[str]]:
    """How many were answered, and what was said of the others."""
    accounts = accounts or Accounts()
    asked = (pool.ask(m, request(m, i), accounts) for i in range(n) for m in models)
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(f, Reply | BudgetSpent) for f in found), found
    return sum(isinstance(f, Reply) for f in found), [str(f) for f in found if _is_spent(f)]


def _is_spent(found: object) -> bool:
    return isinstance(found, BudgetSpent)


@pytest.mark.parametrize("concurrency", [1, 4, 32])
@pytest.mark.parametrize("cap", ["tokens", "usd"])
def test_a_cap_is_reached_and_not_passed_by_calls_at_once(cap: str, concurrency: int) -> None:
    async def main() -> None:
        model = Counting(TOKENS, concurrency=concurrency)
        pool = Pool(**{cap: 10 * TOKENS + 50})
        answered, said = await ask(pool, 30, model)
        assert answered == model.asked == 10
        assert set(said) == {f"budget: budget.{cap}=1130 would be passed"}
        assert model.most == min(concurrency, 10)

    asyncio.run(main())


@pytest.mark.parametrize("concurrency", [1, 4, 32])
@pytest.mark.parametrize("cap", ["tokens", "usd"])
def test_who_has_no_room_waits_for_calls_on_their_way(cap: str, concurrency: int) -> None:
    """Answers take a quarter of what they may: the room that they leave is used, not skipped."""

    async def main() -> None:
        model = Counting(27, concurrency=concurrency)
        pool = Pool(**{cap: 10 * TOKENS})
        answered, said = await ask(pool, 100, model)
        # Until what is left would not hold an answer at its cap.
        assert answered == math.floor((10 * TOKENS - TOKENS) / 27) + 1
        assert len(said) == 100 - answered
        assert pool.spent == answered * 27 <= 10 * TOKENS

    asyncio.run(main())


def test_a_waiting_call_waits_for_other_endpoints_too() -> None:
    async def main() -> None:
        one = Counting(27, endpoint="one", concurrency=2)
        two = Counting(27, endpoint="two", concurrency=2)
        answered, _ = await ask(Pool(tokens=3 * TOKENS), 20, one, two)
        assert answered == math.floor((3 * TOKENS - TOKENS) / 27) + 1

    asyncio.run(main())


def test_calls_are_counted_as_they_are_sent() -> None:
    async def main() -> None:
        model = Counting(TOKENS, concurrency=32)
        answered, said = await ask(Pool(calls=7), 30, model)
        assert (answered, model.asked) == (7, 7)
        assert set(said) == {"budget: budget.calls=7 is spent"}

    asyncio.run(main())


def test_a_cap_of_each_run_stops_that_run_alone() -> None:
    async def main() -> None:
        pool = Pool(per_run=Budget(calls=5, name="budget.per_run"), calls=12)
        lines = [Calls(pool) for _ in range(3)]
        model = Counting(TOKENS, concurrency=1)

        async def one(calls: Calls, start: int, n: int) -> list[str]:
            said = []
            for i in range(start, start + n):
                try:
                    await calls.ask(model, request(model, i))
                except CallFailed as failure:
                    calls.failed(failure, str(i), 0)
                    said.append(str(failure))
            return said

        assert set(await one(lines[0], 0, 9)) == {"budget: budget.per_run.calls=5 is spent"}
        assert await one(lines[1], 100, 4) == []
        assert set(await one(lines[2], 200, 9)) == {"budget: budget.calls=12 is spent"}
        assert [calls.accounts.sent for calls in lines] == [5, 4, 3]
        assert [calls.accounts.skipped for calls in lines] == [4, 0, 6]

    asyncio.run(main())


def test_a_purse_counts_what_is_on_its_way() -> None:
    purse = Purse(Budget(tokens=100, usd=1.0))
    assert purse.has_room(60, 0.1)
    purse.reserve(60, 0.1)
    assert not purse.has_room(60, 0.1), "what is on its way may take less"
    with pytest.raises(BudgetSpent, match=r"budget\.tokens=100 would be passed"):
        purse.has_room(101, 0.1)
    purse.settle((60, 0.1), 30, 0.05)
    assert purse.has_room(60, 0.1)
    purse.reserve(60, 0.1)
    purse.settle((60, 0.1), 60, 0.95)
    with pytest.raises(BudgetSpent, match=r"budget\.usd=1 would be passed"):
        purse.has_room(1, 0.1)


# --- through the command


OWN = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl", "tracking=none")
FEW = ("limit=12", "baselines=[]")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    write_rows(tmp_path / "data.jsonl", rows(30))
    return Lab(tmp_path)


def words(server: ChatServer, *more: str) -> tuple[str, ...]:
    price = "model.price={input:10,output:10,date:2026-11-23}"
    model = ("model=openai_compatible", "model.name=m", f"model.base_url={server.url}", price)
    floor = "search.floors.recall_fail=null"  # what it answers need not be any good
    return (*model, "model.max_tokens=50", floor, *OWN, *FEW, *more)


def adds_up(calls: Mapping[str, Any]) -> bool:
    told = sum(calls["abstained"].values()) + sum(calls["failed"].values())
    return calls["planned"] == calls["answered"] + told + calls["skipped"] + calls["pending"]


@pytest.mark.parametrize(
    ("cap", "most", "why"),
    [
        ("budget.calls=7", 7, "budget.calls=7 is spent"),
        ("budget.per_run.calls=7", 7, "budget.per_run.calls=7 is spent"),
        ("budget.tokens=1500", 1500 // 110, "budget.tokens=1500 would be passed"),
        ("budget.usd=0.012", 12_000 // 1100, "budget.usd=0.012 would be passed"),
        ("budget.calls=0", 0, "budget.calls=0 is spent"),
    ],
)
def test_a_spent_budget_is_exit_3_and_the_command_that_goes_on(
    lab: Lab, server: ChatServer, cap: str, most: int, why: str
) -> None:
    command = ("run", *words(server, "demos=none"))
    done = lab(*command, cap)
    assert done.code == 3, done.err
    assert f"1 runs are incomplete (budget: {why})" in done.message
    assert "go on with: judgelab run model=openai_compatible" in done.message
    sent = len(server.seen)
    assert sent <= min(most, 11)
    (record,) = lab.records.values()
    calls = record["calls"]
    assert adds_up(calls)
    assert (calls["answered"], calls["skipped"]) == (sent, 12 - sent)
    assert f"+ {12 - sent} skipped by the budget" in done.err
    assert re.search(rf"^\S.* {sent} of 12 +incomplete: +not ranked", done.out, re.MULTILINE)
    assert lab(*command).code == 0
    assert len(server.seen) == 12, "the rest, and nothing twice"


def test_a_cap_of_each_run_leaves_its_siblings(lab: Lab, server: ChatServer) -> None:
    """The run with three repeats needs more calls than that; the other is done."""
    command = ("run", "-m", *words(server, "judge.repeats=1,3", "demos=none"))
    done = lab(*command, "budget.per_run.calls=12")
    assert done.code == 3
    assert "1 runs are incomplete (budget: budget.per_run.calls=12 is spent)" in done.message
    records = lab.records
    assert records["repeats=1"]["complete"]
    more = records["repeats=3"]["calls"]
    assert more["skipped"] > 0
    assert adds_up(more)
    assert (lab.folder_of("repeats=1") / "scores.json").exists()
    assert lab(*command).code == 0
    assert len(server.seen) == 36


def test_every_try_counts(lab: Lab, server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("judgelab.calls.pool.BACKOFF", 0.001)
    server.faults = lambda number, body: Fault(503) if number % 2 == 0 else None
    done = lab("run", *words(server, "demos=none", "budget.calls=9", "model.concurrency=1"))
    assert done.code == 3
    assert len(server.seen) == 9
    (record,) = lab.records.values()
    assert record["calls"]["sent"] == 9
    assert record["calls"]["answered"] == 4
