"""One client of the benchmark's server, measured in a process of its own: judgelab or a peer.

usage: bench_clients.py CLIENT JOB     prints what it cost as JSON

JOB is JSON: url, items (a JSONL file), n, concurrency, spawned (monotonic), and for judgelab the
overrides of `judgelab run`. Every client is warmed up by one call, is then given `n` items with
300 words in each, and gives back as many verdicts as it could keep. Needs the standard library
and the client alone: a peer's environment has nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import resource
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

Item = dict[str, str]
Evaluate = Callable[[list[Item]], int]  # how many verdicts were kept

MODEL = "bench-1"
RUBRIC = (
    "You judge the output of an assistant. Say in a critique what is good and bad about it, "
    "then pass or fail."
)
ANSWER = 'Answer with JSON: {"critique": "...", "verdict": "pass" or "fail"}.'


class Meter:
    """What happens within `with meter:`. Wall time, processor time of all threads."""

    def __enter__(self) -> Meter:
        self.cpu = -_cpu()
        self.began = time.monotonic()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended = time.monotonic()
        self.cpu += _cpu()


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_rss() -> float:
    """MB. ru_maxrss would count what the parent held when it started this process."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def server(url: str, path: str, *, post: bool = False) -> dict[str, Any]:
    """The server's counts at /stats; a POST to /reset zeroes them."""
    request = urllib.request.Request(url + path, data=b"" if post else None)
    with urllib.request.urlopen(request) as answer:
        counts: dict[str, Any] = json.load(answer)
        return counts


def verdict_of(text: str) -> str:
    """The verdict of an answer; anything else raises."""
    verdict = json.loads(text)["verdict"]
    if verdict not in ("pass", "fail"):
        raise ValueError(verdict)
    return str(verdict)


def messages(item: Item) -> list[dict[str, str]]:
    said = f"Input: {item['input']}\n\nOutput: {item['output']}"
    system = {"role": "system", "content": f"{RUBRIC} {ANSWER}"}
    return [system, {"role": "user", "content": said}]


Ask = Callable[[Item], Awaitable[str]]


def _gathered(loop: asyncio.AbstractEventLoop, ask: Ask, concurrency: int) -> Evaluate:
    """All items at once, `concurrency` of them in flight: what people write around a client."""
    limit = asyncio.Semaphore(concurrency)

    async def one(item: Item) -> str:
        async with limit:
            return verdict_of(await ask(item))

    async def every(items: list[Item]) -> int:
        return len(await asyncio.gather(*(one(item) for item in items)))

    return lambda items: loop.run_until_complete(every(items))


@contextlib.contextmanager
def bare_aiohttp(url: str, concurrency: int) -> Iterator[Evaluate]:
    import aiohttp

    async def opened() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=0)
        return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=120))

    loop = asyncio.new_event_loop()
    session = loop.run_until_complete(opened())

    async def ask(item: Item) -> str:
        body = {"model": MODEL, "messages": messages(item), "temperature": 0.0}
        async with session.post(f"{url}/v1/chat/completions", json=body) as response:
            answer = json.loads(await response.read())
        return str(answer["choices"][0]["message"]["content"])

    try:
        yield _gathered(loop, ask, concurrency)
    finally:
        loop.run_until_complete(session.close())


@contextlib.contextmanager
def openai_client(url: str, concurrency: int) -> Iterator[Evaluate]:
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=f"{url}/v1", api_key="none")
    loop = asyncio.new_event_loop()

    async def ask(item: Item) -> str:
        answer = await client.chat.completions.create(
            model=MODEL,
            messages=messages(item),  # type: ignore[arg-type]
            temperature=0.0,
        )
        return answer.choices[0].message.content or ""

    try:
        yield _gathered(loop, ask, concurrency)
    finally:
        loop.run_until_complete(client.close())


@contextlib.contextmanager
def litellm_acompletion(url: str, concurrency: int) -> Iterator[Evaluate]:
    import litellm

    loop = asyncio.new_event_loop()

    async def ask(item: Item) -> str:
        answer = await litellm.acompletion(
            model=f"openai/{MODEL}",
            messages=messages(item),
            api_base=f"{url}/v1",
            api_key="none",
            temperature=0.0,
        )
        return str(answer.choices[0].message.content)

    yield _gathered(loop, ask, concurrency)


@contextlib.contextmanager
def dspy_evaluate(url: str, concurrency: int) -> Iterator[Evaluate]:
    import dspy

    model = dspy.LM(
        f"openai/{MODEL}", api_base=f"{url}/v1", api_key="none", temperature=0.0, cache=False
    )
    dspy.configure(lm=model)
    fields = "input, output -> critique, verdict: Literal['pass', 'fail']"
    judge = dspy.Predict(dspy.Signature(fields, RUBRIC))

    def evaluate(items: list[Item]) -> int:
        examples = [
            dspy.Example(input=item["input"], output=item["output"]).with_inputs("input", "output")
            for item in items
        ]
        result = dspy.Evaluate(
            devset=examples,
            metric=lambda example, prediction: prediction.verdict in ("pass", "fail"),
            num_threads=concurrency,
            display_progress=False,
            display_table=False,
        )(judge)
        return sum(bool(kept) for _, _, kept in result.results)

    yield evaluate


@contextlib.contextmanager
def inspect_eval(url: str, concurrency: int) -> Iterator[Evaluate]:
    from inspect_ai import Task, eval
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.model import ChatMessageSystem, ChatMessageUser, GenerateConfig, get_model
    from inspect_ai.scorer import Score, Target, accuracy, scorer
    from inspect_ai.solver import TaskState, generate

    @scorer(metrics=[accuracy()])
    def verdict() -> Any:
        async def score(state: TaskState, target: Target) -> Score:
            found = verdict_of(state.output.completion)
            return Score(value=found == target.text, answer=found)

        return score

    os.environ["BENCH_API_KEY"] = "none"
    model = get_model(
        f"openai-api/bench/{MODEL}",
        base_url=f"{url}/v1",
        config=GenerateConfig(max_connections=concurrency, temperature=0.0),
    )

    def sample(item: Item) -> Sample:
        system, user = (message["content"] for message in messages(item))
        asked = [ChatMessageSystem(content=system), ChatMessageUser(content=user)]
        return Sample(input=asked, target=item["label"], id=item["id"])

    with tempfile.TemporaryDirectory(prefix="bench-") as logs:

        def evaluate(items: list[Item]) -> int:
            samples = MemoryDataset([sample(item) for item in items])
            task = Task(dataset=samples, solver=[generate()], scorer=verdict())
            (log,) = eval(task, model=model, max_samples=concurrency, log_dir=logs, display="none")
            return sum(bool(one.scores) for one in log.samples or [])

        yield evaluate


def judgelab(job: dict[str, Any]) -> dict[str, Any]:
    """As `judgelab run` does it, in the lab that is the working directory. `runner.judge` is timed:
    render, hash, look up, send, parse, commit, record; the scores, which no peer makes, are not."""
    from judgelab import plans, runner
    from judgelab.calls.line import Calls
    from judgelab.cli import GARBAGE
    from judgelab.commands.run import open_pool

    (variant,) = plans.plan(job["overrides"], multirun=False).variants
    # Another judge than the measured one, so that its answer is of no use to that.
    other = [*job["overrides"], "judge.repeats=1", "judge.reasoning=none"]
    (warm_up,) = plans.plan(other, multirun=False).variants

    async def judge() -> dict[str, Any]:
        pool = open_pool(variant.config)
        try:
            bench = runner.bench(variant.config, pool)
            one_item = replace(bench, limit=1)
            await runner.run(one_item, runner.open_run(one_item, warm_up))
            cold = warmed_up(job)
            run = runner.open_run(bench, variant)
            gc.set_threshold(GARBAGE)  # as the command line does
            gc.freeze()
            with run.folder.spool() as replies:
                calls = Calls(pool, replies=replies)
                with Meter() as meter:
                    verdicts = await runner.judge(bench, variant, calls, lambda *_: None)
                runner.write(bench, run, calls.accounts, replies, verdicts)
        finally:
            await pool.close()
        return figures("judgelab", job, meter, run.folder.record["calls"]["answered"], cold)

    return asyncio.run(judge())


def warmed_up(job: dict[str, Any]) -> float:
    """Ends the warm-up; seconds from the start of this process to its first request."""
    first: float = server(job["url"], "/reset", post=True)["first"]
    return first - job["spawned"] if first else 0.0


def figures(
    package: str, job: dict[str, Any], meter: Meter, kept: int, cold: float
) -> dict[str, Any]:
    counts = server(job["url"], "/stats")
    # A peer's span begins with its first request, judgelab's with its first step.
    peer = package != "judgelab"
    began = counts["first"] if peer and counts["first"] else meter.began
    return {
        "version": version(package),
        "wall": meter.ended - began,
        "cpu": meter.cpu,
        "rss": peak_rss(),
        "cold": cold,
        "kept": kept,
        "requests": counts["requests"],
        "connections": counts["connections"],
        "in_flight": counts["most_in_flight"],
        "server_cpu": counts["cpu"],
    }


# Name -> its package and what evaluates with it.
PEERS: dict[str, tuple[str, Any]] = {
    "aiohttp": ("aiohttp", bare_aiohttp),
    "openai": ("openai", openai_client),
    "dspy": ("dspy", dspy_evaluate),
    "litellm": ("litellm", litellm_acompletion),
    "inspect_ai": ("inspect_ai", inspect_eval),
}


def peer(name: str, job: dict[str, Any]) -> dict[str, Any]:
    with Path(job["items"]).open(encoding="utf-8") as lines:
        items = [json.loads(next(lines)) for _ in range(job["n"] + 1)]
    package, client = PEERS[name]
    with client(job["url"], job["concurrency"]) as evaluate:
        evaluate(items[:1])
        cold = warmed_up(job)
        with Meter() as meter:
            kept = evaluate(items[1:])
        return figures(package, job, meter, kept, cold)


if __name__ == "__main__":
    name, job = sys.argv[1], json.loads(sys.argv[2])
    print(json.dumps(judgelab(job) if name == "judgelab" else peer(name, job)))
