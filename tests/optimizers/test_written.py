"""DSPy's optimizers on our pool: they learn what the expert's critiques say, from train alone."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pytest
import utc

from builders import split
from judgelab import config as configs
from judgelab.calls.line import Calls
from judgelab.calls.pool import Pool
from judgelab.calls.store import CallStore
from judgelab.data.split import Split
from judgelab.errors import ConfigError, UserError
from judgelab.judges.base import Judge
from judgelab.judges.prompted import PromptedJudge
from judgelab.models.base import CallFailed
from judgelab.optimizers import dspy_room
from judgelab.optimizers.base import Improved, Optimizer
from judgelab.optimizers.dspy_bridge import Bridge, Halt
from judgelab.optimizers.dspy_room import example_of, in_room, program, writer
from judgelab.optimizers.exam import Candidate, Exam
from judgelab.types import Example
from server import Body, ChatServer, Fault, by_hash

pytestmark = pytest.mark.slow  # whole commands, with servers: scripts/test --all


OPTIMIZERS = {"gepa": "gepa.Gepa", "simba": "simba.Simba", "mipro": "mipro.Mipro"}
every = pytest.mark.parametrize("name", OPTIMIZERS)
BUDGET = 700


def node(url: str, **more: Any) -> dict[str, Any]:
    """A judge at a server; it has two demonstrations."""
    return {
        "_target_": "judgelab.judges.prompted.PromptedJudge",
        "rubric": "from_critiques",
        "template": "judge",
        "reasoning": "critique",
        "model": {
            "_target_": "judgelab.models.openai_compatible.OpenAICompatible",
            "name": "m",
            "base_url": url,
            "endpoint": "here",
            "retries": 0,
        },
        "demos": {"_target_": "judgelab.demos.balanced.BalancedDemos", "k": 2},
    } | more


def learnable(folder: Path) -> Split:
    ratios = {"train": 0.3, "dev": 0.4, "test": 0.3}
    return split(utc.items(120), folder, mode="holdout", ratios=ratios)


@pytest.fixture
def made(tmp_path: Path) -> Split:
    return learnable(tmp_path)


def improved(
    name: str, made: Split, judge: Mapping[str, Any], **more: Any
) -> tuple[Improved, Calls]:
    target = f"judgelab.optimizers.{OPTIMIZERS[name]}"
    given = {"_target_": target, "budget": BUDGET} | more
    optimizer = configs.build(given, Optimizer, "optimizer")
    (fold,) = made.folds("dev")

    async def go() -> tuple[Improved, Calls]:
        calls = Calls(Pool())
        try:
            return await optimizer.improve(judge, fold.train, made.dev(), calls), calls
        finally:
            await calls.pool.close()

    return asyncio.run(go())


def judge_of(judge: Mapping[str, Any], made: Split) -> PromptedJudge:
    built = configs.build(judge, Judge, "judge")
    assert isinstance(built, PromptedJudge)
    built.prepare(made.folds("dev")[0].train, Calls(Pool()))
    return built


@dataclass(frozen=True)
class Done:
    """An optimization, what it cost, and what the server was asked."""

    found: Improved
    calls: Calls
    bodies: list[Body]
    made: Split

    @cached_property
    def told(self) -> str:
        """Everything that who writes was told."""
        return "\n".join(utc.all_text(body) for body in self.bodies if not utc.is_judging(body))


@pytest.fixture(scope="module", params=OPTIMIZERS)
def done(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Done:
    made = learnable(tmp_path_factory.mktemp(request.param))
    with ChatServer(utc.Learner(sampled=request.param == "simba")) as server:
        found, calls = improved(request.param, made, node(server.url))
    return Done(found, calls, server.bodies, made)


def test_it_learns_what_the_critiques_say(done: Done) -> None:
    """The judge passes everything, and kappa is 0, until its rubric says what the expert said."""
    assert utc.LEARNT in done.found.judge["rubric"]
    rows = done.found.story["on_dev"]
    assert rows[0]["metric"] == 0
    assert max(row["metric"] for row in rows) == 1
    assert done.found.candidates >= len(rows) > 1
    answers = sum(done.found.story["answers"].values())
    assert len(done.bodies) == answers == done.calls.accounts.sent <= BUDGET


def test_who_writes_is_told_of_train_alone(done: Done) -> None:
    """The expert's critiques beside the judge's, of train; nothing of dev and test."""
    parts: dict[str, list[Example]] = {"train": [], "dev": [], "test": []}
    for example in utc.items(120):
        parts[done.made.places[example.id].part].append(example)
    assert any(e.critique in done.told for e in parts["train"] if e.label == "fail")
    assert utc.WHY in done.told
    for example in (*parts["dev"], *parts["test"]):
        assert example.critique not in done.told
        assert example.interaction.output not in done.told
    if "observations" not in done.told:  # MIPROv2 reads the data, the others reflect on verdicts
        for words in ("The judge is wrong.", "The expert's verdict: fail.", "It is local."):
            assert words in done.told


def test_no_example_is_judged_by_its_own_label(done: Done) -> None:
    demonstrated = 0
    for body in filter(utc.is_judging, done.bodies):
        *before, asked = [message["content"] for message in body["messages"]]
        assert asked not in before
        demonstrated += len(before) > 1
    assert demonstrated, "else there was none to be judged by"


def test_what_dspy_tries_and_what_the_runner_sends_are_the_same_bytes(made: Split) -> None:
    """Every request for a verdict is one that the runner makes for the judge it tried."""
    with ChatServer(utc.Learner()) as server:
        judge = node(server.url)
        found, calls = improved("gepa", made, judge)
    judges = [judge_of(one, made) for one in (judge, found.judge)]
    shown = {demo.id for demo in judges[0].demos.pick(utc.items(1)[0].interaction)}
    (fold,) = made.folds("dev")
    asked = {row["key"] for row in calls.replies if row["id"] and row["id"] not in shown}
    sent = {
        one.request(item, 0).key
        for one in judges
        for item in (*(example.interaction for example in fold.train), *fold.items)
    }
    assert len(asked) > 60
    assert asked <= sent


@pytest.mark.parametrize("reasoning", ["none", "critique", "cot"])
def test_a_program_of_dspys_asks_what_the_judge_asks(made: Split, reasoning: str) -> None:
    seen: list[str] = []

    def work(bridge: Bridge) -> None:
        for example in bridge.exam.train.values():
            program(bridge)(interaction=bridge.shown(example.interaction))

    with ChatServer() as server:
        judge = node(server.url, reasoning=reasoning)
        bridge = bridged(judge, made, work, demos=True)
        seen = [row["key"] for row in bridge.exam.calls.replies]
    built = judge_of(judge, made)
    own = set(bridge.own_demos)
    expected = {
        built.request(e.interaction, 0).key for e in bridge.exam.train.values() if e.id not in own
    }
    assert expected <= set(seen)
    assert len(seen) == len(bridge.exam.train)


def bridged(judge: Mapping[str, Any], made: Split, work: Any, **more: Any) -> Bridge:
    """The bridge after some work of DSPy's."""

    async def go() -> Bridge:
        calls = Calls(Pool())
        (fold,) = made.folds("dev")
        exam = Exam(judge, fold.train, calls, more.pop("budget", 1000), "kappa")
        bridge = Bridge(exam, exam.judge.model, demos=more.pop("demos", False))
        try:
            bridge.words = await bridge.run(partial(in_room, bridge, work))
        finally:
            await calls.pool.close()
        return bridge

    return asyncio.run(go())


def test_an_optimizer_holds_none_of_the_threads_that_answers_are_kept_in(
    made: Split, tmp_path: Path
) -> None:
    """Several at once held them all, and waited for answers that nobody could keep."""

    def work(bridge: Bridge) -> None:
        example = next(iter(bridge.exam.train.values()))
        program(bridge)(interaction=bridge.shown(example.interaction))

    async def go(url: str) -> str:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        calls = Calls(Pool(CallStore(tmp_path / "calls.db")))
        exam = Exam(node(url), made.folds("dev")[0].train, calls, 10, "kappa")
        bridge = Bridge(exam, exam.judge.model, demos=False)
        try:
            return await asyncio.wait_for(bridge.run(partial(in_room, bridge, work)), 30)
        finally:
            await calls.pool.close()

    with ChatServer(by_hash) as server:
        assert asyncio.run(go(server.url)) == "finished"


def test_the_bars_of_one_optimizer_do_not_end_another() -> None:
    """DSPy forgets all bars of the process where it begins one of its own."""
    dspy_room._room()
    from tqdm import tqdm

    bar = tqdm.__new__(tqdm)
    tqdm._instances.clear()
    bar.__init__(range(3), disable=True)  # raised a KeyError


def test_two_rollouts_are_two_samples(made: Split) -> None:
    import dspy

    def work(bridge: Bridge) -> None:
        example = next(iter(bridge.exam.train.values()))
        for rollout in (0, 1, 1, 2):
            lm = dspy.settings.lm.copy(rollout_id=rollout, temperature=1.0)
            with dspy.context(lm=lm):
                program(bridge)(interaction=bridge.shown(example.interaction))
        pen = writer(bridge)
        for rollout in (5, 6, 6):
            pen.copy(rollout_id=rollout, temperature=1.0)("Write.")
        pen("Write.")

    with ChatServer() as server:
        bridge = bridged(node(server.url), made, work)
    rows = bridge.exam.calls.replies
    assert [row["repeat"] for row in rows] == [0, 1, 2, 5, 6, 0]
    assert len({row["key"] for row in rows}) == 6
    assert [body.get("temperature") for body in server.bodies] == [1.0] * 5 + [None]


def test_an_answer_that_cannot_be_read_scores_nothing_and_raises_nothing(made: Split) -> None:
    def work(bridge: Bridge) -> None:
        for example in bridge.exam.train.values():
            said = program(bridge)(interaction=bridge.shown(example.interaction))
            assert said.verdict == "none (unparsable)"

    with ChatServer(lambda body: "I would rather not say.") as server:
        bridge = bridged(node(server.url), made, work)
    assert bridge.learnt.ranked(bridge.weights) == [(Candidate(), 0.0)]


@every
def test_a_server_that_says_nothing_of_use_leaves_the_judge(name: str, made: Split) -> None:
    with ChatServer(lambda body: "I would rather not say.") as server:
        judge = node(server.url)
        found, _ = improved(name, made, judge, budget=300)
    assert found.judge == judge


@every
@pytest.mark.parametrize("budget", [30, 150])
def test_a_small_budget_ends_it_with_the_best_so_far(name: str, budget: int, made: Split) -> None:
    with ChatServer(utc.Learner(sampled=name == "simba")) as server:
        found, calls = improved(name, made, node(server.url), budget=budget)
    assert len(server.seen) <= budget
    assert calls.accounts.sent == len(server.seen)
    assert found.story["on_dev"][0]["rubric"] is None, "the judge as it came is looked at"
    assert {"rubric", "demos", "model"} <= set(found.judge)


def test_a_judge_that_always_passes_is_no_better_than_one_that_always_fails(made: Split) -> None:
    def work(bridge: Bridge) -> None:
        for example in bridge.exam.train.values():
            program(bridge)(interaction=bridge.shown(example.interaction))

    for verdict in ("pass", "fail"):
        with ChatServer(lambda body, v=verdict: f'{{"verdict": "{v}"}}') as server:
            bridge = bridged(node(server.url), made, work)
        ((_, share),) = bridge.learnt.ranked(bridge.weights)
        assert share == pytest.approx(0.5)


def test_a_failing_endpoint_ends_it_and_leaves_no_thread(made: Split) -> None:
    before = set(threading.enumerate())
    with ChatServer(utc.Learner()) as server:
        server.faults = lambda number, body: Fault(500) if number > 20 else None
        with pytest.raises(CallFailed, match="500"):
            improved("gepa", made, node(server.url))
    deadline = time.monotonic() + 10
    while _workers() - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _workers() - before == set()


def _workers() -> set[threading.Thread]:
    return {one for one in threading.enumerate() if "ThreadPool" in one.name}


def test_an_interrupt_ends_dspys_threads(made: Split) -> None:
    """Whoever waits for an answer when the work is cancelled learns that none comes."""
    waiting = threading.Event()
    ended: list[str] = []

    def answer(body: Body) -> str:
        waiting.set()
        return by_hash(body)

    def work(bridge: Bridge) -> None:
        try:
            for example in bridge.exam.train.values():
                program(bridge)(interaction=bridge.shown(example.interaction))
        except Halt:
            ended.append("halted")
            raise

    async def go(url: str) -> None:
        calls = Calls(Pool())
        (fold,) = made.folds("dev")
        exam = Exam(node(url), fold.train, calls, 1000, "kappa")
        bridge = Bridge(exam, exam.judge.model, demos=False)
        task = asyncio.create_task(bridge.run(partial(in_room, bridge, work)))
        while not waiting.is_set():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await calls.pool.close()

    with ChatServer(answer) as server:
        server.faults = lambda number, body: (waiting.set(), Fault(hang=True))[1]
        asyncio.run(go(server.url))
    assert ended == ["halted"]


@pytest.mark.parametrize(("name", "budget"), [("mipro", 300), ("gepa", 60), ("simba", 60)])
def test_tables_have_stdout_for_themselves(
    made: Split, capfd: pytest.CaptureFixture[str], name: str, budget: int
) -> None:
    """Also when the memory of what was ended half-way is wanted back."""
    with ChatServer(utc.Learner()) as server:
        improved(name, made, node(server.url), budget=budget)
    gc.collect()
    out, err = capfd.readouterr()
    assert out == ""
    assert "Iteration" not in err
    assert "INFO" not in err


def test_an_example_of_dspys_is_all_labels_but_the_interaction(made: Split) -> None:
    def work(bridge: Bridge) -> None:
        for example in bridge.exam.train.values():
            shown = example_of(bridge, example)
            assert set(shown.inputs().keys()) == {"interaction"}
            assert example.id not in str(shown.inputs())

    with ChatServer() as server:
        assert bridged(node(server.url), made, work).words == "finished"


@every
def test_a_model_without_language_is_refused(name: str) -> None:
    target = f"judgelab.optimizers.{OPTIMIZERS[name]}"
    optimizer = configs.build({"_target_": target, "budget": 100}, Optimizer, "optimizer")
    offline = {"_target_": "judgelab.models.neighbours.Neighbours"}
    with pytest.raises(ConfigError, match=f"optimizer={name}: model=neighbours is no LLM"):
        optimizer.check(node("http://127.0.0.1:1/v1", model=offline))
    with pytest.raises(ConfigError, match="ConstantJudge has no rubric"):
        optimizer.check({"_target_": "judgelab.judges.constant.ConstantJudge", "verdict": "pass"})
    given = {"_target_": target, "budget": 100, "model": offline}
    with pytest.raises(ConfigError, match=r"optimizer\.model=neighbours is no LLM"):
        configs.build(given, Optimizer, "optimizer").check(node("http://127.0.0.1:1/v1"))


def test_a_train_of_one_label_teaches_nothing(tmp_path: Path) -> None:
    made = split(utc.items(120, every=1000), tmp_path, mode="holdout")
    with pytest.raises(UserError, match="of both labels"):
        improved("gepa", made, node("http://127.0.0.1:1/v1"))


def test_another_model_may_write(made: Split) -> None:
    with ChatServer(utc.Learner()) as server, ChatServer(utc.Learner()) as pen:
        model = node(pen.url)["model"] | {"name": "pen", "endpoint": "there"}
        found, _ = improved("gepa", made, node(server.url), model=model)
    assert utc.LEARNT in found.judge["rubric"]
    assert all(utc.is_judging(body) for body in server.bodies)
    assert not any(utc.is_judging(body) for body in pen.bodies)
    assert len(pen.bodies) > 0
