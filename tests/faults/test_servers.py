"""Everything that a server does wrong, through the command: no item is lost, none is guessed."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from fault_labs import (
    ByItem,
    asked,
    completion,
    item_of,
    lab_of,
    outcome,
    record_of,
    verdicts_of,
    words,
)

from labs import Done, Lab
from server import Body, ChatServer, Fault

PASS = '{"critique": "Well said.", "verdict": "pass"}'
HTML = b"<html><body>Our service is back soon</body></html>"
FOR_EVER = ...


@dataclass(frozen=True, eq=False)
class Case:
    """What the requests about one item get, one after another, and what comes of the item."""

    name: str
    faults: tuple[Any, ...]
    abstains: str = ""
    fails: str = ""
    verdict: str = ""
    tries: int = 1

    def __str__(self) -> str:
        return self.name


def says(content: Any, finish: str = "stop", **message: Any) -> Fault:
    return Fault(data=completion(content, finish, **message))


RETRIES = 1
TWICE = 1 + RETRIES
DOWN = [
    # Faults of the moment: tried again, then failed; the item is asked again by the next command.
    *(Case(f"{n} for ever", (Fault(n), FOR_EVER), fails=str(n), tries=TWICE) for n in (500, 503)),
    Case("529 in HTML", (Fault(529, data=HTML), FOR_EVER), fails="529", tries=TWICE),
    Case("hangs", (Fault(hang=True), FOR_EVER), fails="timeout", tries=TWICE),
    Case("drips", (Fault(drip=0.1), FOR_EVER), fails="timeout", tries=TWICE),
    Case("cut off", (Fault(cut=True), FOR_EVER), fails="connection", tries=TWICE),
    Case("torn down", (Fault(reset=True), FOR_EVER), fails="connection", tries=TWICE),
    Case("half a JSON", (Fault(data=b'{"choices": [{"mess'), ...), fails="malformed", tries=TWICE),
    Case("HTML", (Fault(data=HTML), FOR_EVER), fails="malformed", tries=TWICE),
    Case("nothing at all", (Fault(data=b""), FOR_EVER), fails="malformed", tries=TWICE),
    Case("no choices", (Fault(data=b'{"choices": []}'), ...), fails="malformed", tries=TWICE),
    Case("a bad request", (Fault(400), FOR_EVER), fails="400"),
]
ONCE = [
    # Faults that pass: another try is enough.
    *(Case(f"{n} once", (Fault(n),), verdict="pass", tries=2) for n in (408, 429, 500, 502)),
    Case("hangs once", (Fault(hang=True),), verdict="pass", tries=2),
    Case("cut off once", (Fault(cut=True),), verdict="pass", tries=2),
    Case("HTML once", (Fault(data=HTML),), verdict="pass", tries=2),
    Case("429 five times", (Fault(429),) * 5, verdict="pass", tries=6),
]
ANSWERS = [
    # Answers that are none: the judge abstains, which counts against it.
    Case("empty", (says(""),), abstains="empty"),
    Case("null", (says(None),), abstains="empty"),
    Case("a refusal", (says(None, refusal="No."),), abstains="refusal"),
    Case("a refusal in words", (says("I'm sorry, but I can't help."),), abstains="refusal"),
    Case("outside the enum", (says('{"verdict": "maybe"}'),), abstains="out_of_enum"),
    Case("another language", (says('{"verdict": "échec"}'),), abstains="out_of_enum"),
    Case("not a FAIL", (says('{"verdict": "not a FAIL"}'),), abstains="out_of_enum"),
    Case("no verdict", (says("It is a FAIL."),), abstains="unparsable"),
    Case("an unsure one", (says('{"verdict": "unsure"}'),), abstains="unsure"),
    Case("two verdicts", (says(f'{PASS}\n{{"verdict": "fail"}}'),), abstains="unparsable"),
    Case("both in one", (says('{"verdict": "pass", "verdict": "fail"}'),), abstains="unparsable"),
    Case("verdict in the thoughts", (says(None, reasoning_content=PASS),), abstains="empty"),
    Case("cut at max_tokens", (says('{"critique": "Well', "length"),), abstains="truncated"),
    Case("filtered answer", (says("", "content_filter"),), abstains="content_filter"),
    Case("filtered item", (Fault(400, code="content_filter"),), abstains="content_filter"),
    Case("too long", (Fault(400, code="context_length_exceeded"),), abstains="too_long"),
    Case("wrong case", (says('{"Verdict": " FAIL "}'),), verdict="fail"),
    Case("in a fence", (says(f"```json\n{PASS}\n```"),), verdict="pass"),
]
CASES = DOWN + ONCE + ANSWERS
ITEMS = {case: f"item-{n:03}" for n, case in enumerate(CASES)}
ALL = len(CASES) + 6  # the last have no fault


@dataclass
class Told:
    """One run with every fault, and the same command when they are gone."""

    lab: Lab
    server: ChatServer
    first: Done
    record: dict[str, Any]
    verdicts: dict[str, dict[str, Any]]
    tries: dict[str, int]
    second: Done = field(init=False)
    missing: dict[str, int] = field(init=False)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    lab = lab_of(tmp_path_factory.mktemp("faults"), ALL)
    with ChatServer(lambda body: PASS) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr("judgelab.calls.pool.BACKOFF", 0.001)
        server.faults = ByItem({item: case.faults for case, item in ITEMS.items()})
        few = (f"model.retries={RETRIES}", "model.timeout=1.5", "demos=none")
        command = ("run", *words(server, *few))
        first = lab(*command)
        made = Told(lab, server, first, record_of(lab), verdicts_of(lab), asked(server))
        server.faults = {}
        server.seen.clear()
        made.second = lab(*command)
        made.missing = asked(server)
        yield made


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_comes_of_an_item(told: Told, case: Case) -> None:
    item = ITEMS[case]
    assert told.tries[item] == case.tries
    verdict = told.verdicts.get(item)
    if case.fails:
        assert verdict is None, "a failure is no verdict"
        assert case.fails in told.record["calls"]["failed"]
        assert told.missing[item] == 1
    else:
        assert verdict is not None
        assert verdict["verdict"] == (case.verdict or None)
        assert verdict.get("reason") == (case.abstains or None)
        assert item not in told.missing


def test_every_item_is_in_the_accounts_by_its_fate(told: Told) -> None:
    calls = told.record["calls"]

    def counted(fates: list[str]) -> dict[str, int]:
        return {fate: fates.count(fate) for fate in sorted(set(fates)) if fate}

    assert calls["planned"] == ALL
    assert calls["failed"] == counted([case.fails for case in CASES])
    assert calls["abstained"] == counted([case.abstains for case in CASES])
    assert (calls["skipped"], calls["pending"]) == (0, 0)
    assert calls["sent"] == sum(told.tries.values())
    judged = ALL - len(DOWN)
    assert told.first.code == 3
    assert f"{judged} of {ALL}" in told.first.out
    assert "incomplete" in told.first.out
    assert f"{ALL} planned = " in told.first.err
    assert "1 runs are incomplete" in told.first.message
    assert "go on with: judgelab run model=openai_compatible" in told.first.message
    assert not told.record["complete"]


def test_the_same_command_completes_it_and_asks_what_is_missing(told: Told) -> None:
    assert told.second.code == 0, told.second.err
    assert set(told.missing) == {ITEMS[case] for case in DOWN}
    assert set(told.missing.values()) == {1}
    calls = record_of(told.lab)["calls"]
    assert calls["answered"] == ALL - sum(bool(case.abstains) for case in CASES)
    assert calls["failed"] == {}
    assert (calls["sent"], calls["from_store"]) == (len(DOWN), ALL - len(DOWN))
    (run,) = told.lab.runs
    assert (run / "scores.json").exists()
    assert "incomplete" not in told.second.out


# --- the account: nobody can be answered


CLOSING = {
    "401": Fault(401, message="Incorrect API key provided"),
    "403": Fault(403, message="Your country is not supported"),
    "404": Fault(404, message="The model `m` does not exist"),
    "quota": Fault(429, code="insufficient_quota", message="You exceeded your current quota"),
    "429": Fault(429, headers={"Retry-After": "86400"}, message="Come back tomorrow"),
}


@pytest.mark.parametrize("cause", CLOSING)
def test_what_hits_everybody_is_asked_no_more_and_said_once(
    tmp_path: Path, server: ChatServer, cause: str
) -> None:
    fault = CLOSING[cause]
    lab = lab_of(tmp_path, 30)
    server.faults = lambda number, body: fault
    command = ("run", *words(server, "demos=none", "model.concurrency=4"))
    done = lab(*command)
    assert done.code == 3
    assert 1 <= len(server.seen) <= 4, "as many as were on their way"
    assert done.message.count(fault.message) == 1
    assert f"1 runs are incomplete ({cause}: {fault.message})" in done.message
    calls = record_of(lab)["calls"]
    assert calls["failed"] == {cause: 30}
    assert calls["sent"] == len(server.seen)
    server.faults = {}
    server.seen.clear()
    assert lab(*command).code == 0
    assert set(asked(server).values()) == {1}
    assert len(server.seen) == 30


def test_half_way_what_is_answered_stays(tmp_path: Path, server: ChatServer) -> None:
    """The quota ends after twelve answers, in a sweep."""
    lab = lab_of(tmp_path, 20)
    server.faults = lambda number, body: CLOSING["quota"] if number >= 12 else None
    command = ("run", "-m", *words(server, "demos.k=1,2", "model.concurrency=4"))
    done = lab(*command)
    assert done.code == 3
    assert 12 < len(server.seen) <= 16
    records = [record["calls"] for record in lab.records.values()]
    assert sum(calls["answered"] for calls in records) == 12
    assert sum(calls["failed"]["quota"] for calls in records) == 28
    server.faults = {}
    server.seen.clear()
    assert lab(*command).code == 0
    assert len(server.seen) == 28


# --- limits


@pytest.mark.parametrize("how", ["seconds", "date"])
def test_a_wait_that_the_server_asks_for_is_kept_by_all(
    tmp_path: Path, server: ChatServer, how: str
) -> None:
    def busy(number: int, body: Body) -> Fault | None:
        if number:
            return None
        # A date has whole seconds: two from now is more than one.
        wait = "1" if how == "seconds" else formatdate(time.time() + 2, usegmt=True)
        return Fault(429, headers={"Retry-After": wait})

    server.faults = busy
    server.gate = threading.Event()
    lab = lab_of(tmp_path, 12)

    def open_the_gate() -> None:
        while server.in_flight < 3:
            time.sleep(0.005)
        server.gate.set()

    opener = threading.Thread(target=open_the_gate, daemon=True)
    opener.start()
    done = lab("run", *words(server, "demos=none", "model.concurrency=3", "model.retries=1"))
    assert done.code == 0, done.err
    assert record_of(lab)["calls"]["answered"] == 12
    assert len(server.seen) == 13
    # The first three were on their way, or took the places of those that were answered first.
    told = server.seen[0].at
    late = [one.at for one in server.seen if one.at - told >= 1.0]
    assert item_of(server.seen[0].body) in {item_of(s.body) for s in server.seen if s.at in late}
    assert len(late) >= 13 - 2 * 3


def test_a_storm_is_survived(
    tmp_path: Path, server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every second request is refused, and nothing says how long to wait."""
    monkeypatch.setattr("judgelab.calls.pool.BACKOFF", 0.001)
    rng = random.Random(4)
    server.faults = lambda number, body: Fault(429) if rng.random() < 0.5 else None
    lab = lab_of(tmp_path, 40)
    done = lab("run", *words(server, "demos=none", "model.concurrency=8", "model.retries=1"))
    assert done.code == 0, done.err
    calls = record_of(lab)["calls"]
    assert (calls["answered"], calls["failed"]) == (40, {})
    assert calls["sent"] == len(server.seen) > 50
    assert server.most_in_flight <= 8


# --- everything at once


MIXED = [
    *(Fault(429), Fault(500), Fault(503), Fault(cut=True), Fault(reset=True)),
    *(Fault(data=HTML), Fault(data=b'{"choices"'), Fault(data=b"")),
]


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_whatever_the_weather_the_end_is_the_same(
    tmp_path: Path, server: ChatServer, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("judgelab.calls.pool.BACKOFF", 0.001)
    axes = ("-m", "demos.k=1,2", "model.concurrency=6", "model.retries=1")
    calm = lab_of(tmp_path / "calm", 30)
    assert calm("run", *axes, *words(server)).code == 0
    questions = {json.dumps(body, sort_keys=True) for body in server.bodies}
    assert len(questions) == len(server.seen) == 60

    rng, lock = random.Random(seed), threading.Lock()
    answered = 0

    def weather(number: int, body: Body) -> Fault | None:
        nonlocal answered
        with lock:
            fault = rng.choice(MIXED) if rng.random() < 0.6 else None
            answered += fault is None
        return fault

    server.faults = weather
    rough = lab_of(tmp_path / "rough", 30)
    codes = []
    while not codes or codes[-1] != 0:
        done = rough("run", *axes, *words(server))
        codes.append(done.code)
        assert done.code in (0, 3), done.err
        for record in rough.records.values():
            calls = record["calls"]
            told = sum(calls["abstained"].values()) + sum(calls["failed"].values())
            assert calls["planned"] == 30 == calls["answered"] + told
        assert len(codes) < 50
    assert codes[0] == 3
    assert answered == 60, "no answer is paid for twice"
    assert outcome(rough) == outcome(calm)
