"""What judging costs: judgelab beside its peers, and its promises beside what is measured.

    python scripts/bench_calls.py --make-peers    # once: .bench/<peer>/, by pip, pinned
    python scripts/bench_calls.py                 # under five minutes
    python scripts/bench_calls.py --all           # with the long ones

Run it with the Python of judgelab's environment. Each figure comes from a process of its own
against a server of its own (bench_server.py) on loopback; each client is warmed up by one call.
A peer without an environment is listed as not installed. Bare aiohttp, the floor, runs in
judgelab's own environment.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench_clients import MODEL, PEERS, server

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = HERE.parent / ".bench"
PINS = {
    "openai": ["openai==3.54.0"],
    "dspy": ["dspy==3.4.1"],
    "litellm": ["litellm==1.106.2"],
    "inspect_ai": ["inspect_ai==0.3.285", "openai"],
}
NAMES = ("judgelab", *PEERS)
# What the machine's owner has set would change what is measured.
FOREIGN = ("JUDGELAB_", "MLFLOW_", "OPENAI_", "LITELLM_", "DSPY_", "INSPECT_")
SPARE = 32  # items beside those judged; half of them are train
PATIENCE = 600  # seconds that a process gets

Figures = dict[str, Any]


# --- what is judged


def write_items(path: Path, n: int, words: int) -> None:
    """Labelled items of made-up words, no two alike, every third a fail."""
    rng = random.Random(n)
    syllables = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "ar", "en")]
    vocabulary = ["".join(rng.choices(syllables, k=rng.randint(2, 4))) for _ in range(4000)]

    def text(k: int) -> str:
        return " ".join(rng.choices(vocabulary, k=k))

    with path.open("w", encoding="utf-8") as file:
        for number in range(n):
            item = {
                "id": f"item-{number:06}",
                "input": text(words - words // 4),
                "output": text(words // 4),
                "label": "fail" if number % 3 == 0 else "pass",
                "critique": text(15),
            }
            file.write(json.dumps(item) + "\n")


class Lab:
    """A folder with `n` items to judge and a few to show."""

    def __init__(self, folder: Path, n: int, words: int = 300) -> None:
        self.folder = folder
        self.n = n
        folder.mkdir()
        write_items(folder / "items.jsonl", n + SPARE, words)

    def overrides(self, url: str, concurrency: int) -> list[str]:
        train = SPARE / 2 / (self.n + SPARE)
        return [
            *("dataset=jsonl", "dataset.path=items.jsonl", "dataset.name=bench"),
            *("split.mode=holdout", f"split.ratios={{train:{train},dev:{1 - train},test:0}}"),
            *("demos=balanced", "demos.k=2", f"limit={self.n}"),
            *("model=openai_compatible", f"model.name={MODEL}", f"model.base_url={url}/v1"),
            # A name of its own: the answers are found again behind another port.
            *("model.endpoint=bench", f"model.concurrency={concurrency}"),
        ]

    def forget_runs(self) -> None:
        shutil.rmtree(self.folder / "runs")


# --- processes


@contextmanager
def serving(latency: float) -> Iterator[str]:
    command = [sys.executable, str(HERE / "bench_server.py"), str(latency)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}
    if paths := kept.get("PYTHONPATH"):  # the process stands in another folder
        kept["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, paths.split(os.pathsep)))
    offline = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "DO_NOT_TRACK": "1"}
    return kept | offline | {"DSPY_CACHEDIR": str(folder), "COLUMNS": "120"} | more


def client(name: str, python: Path, folder: Path, job: Mapping[str, Any]) -> Figures:
    """One client's figures, or why there are none under `failed`."""
    job = {**job, "spawned": time.monotonic()}
    try:
        done = subprocess.run(
            [python, HERE / "bench_clients.py", name, json.dumps(job)],
            cwd=folder,
            env=environment(folder),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"not ended in {PATIENCE} s"}
    if done.returncode:
        return {"failed": (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]}
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def command(folder: Path, *words: str, code: int = 0) -> Figures:
    """A whole `judgelab` process: what it cost, its children's share included."""
    with (folder / "said.txt").open("w+", encoding="utf-8") as said:
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "judgelab.cli", *words],
            cwd=folder,
            env=environment(folder),
            stdout=said,
            stderr=said,
        )
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != code:
            said.seek(0)
            raise SystemExit(
                f"judgelab {' '.join(words)}: exit code {process.returncode}, "
                f"not {code}: {said.read()[-2000:]}"
            )
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return {"wall": wall, "cpu": used.ru_utime + used.ru_stime, "rss": used.ru_maxrss / unit}


def median(rows: Sequence[Figures]) -> Figures:
    """Of each figure its own; a row that failed stands for all."""
    for row in rows:
        if "failed" in row:
            return row
    return {
        key: statistics.median(row[key] for row in rows) if not isinstance(value, str) else value
        for key, value in rows[0].items()
    }


# --- measurements


@dataclass
class Bench:
    """The settings of a run, and what was measured so far."""

    folder: Path
    latency: float
    scale: float
    repeat: int
    only: Sequence[str]
    clients: dict[tuple[str, int, int], Figures] = field(default_factory=dict)
    own: dict[str, Figures] = field(default_factory=dict)
    promises: list[tuple[str, str, str, bool]] = field(default_factory=list)
    made: int = 0

    def size(self, n: int) -> int:
        return max(1, round(n * self.scale))

    def lab(self, n: int, words: int = 300) -> Lab:
        self.made += 1
        return Lab(self.folder / f"lab-{self.made}", n, words)

    def ideal(self, n: int, concurrency: int) -> float:
        """Seconds that an endpoint takes for n calls, so many at a time."""
        return math.ceil(n / concurrency) * self.latency / 1000

    def judge(self, lab: Lab, concurrency: int, *, repeats: int = 1) -> Figures:
        """judgelab's judging alone, in a process of its own."""
        with serving(self.latency) as url:
            more = ("tracking=none", f"judge.repeats={repeats}")
            job = {"url": url, "overrides": [*lab.overrides(url, concurrency), *more]}
            figures = client("judgelab", Path(sys.executable), lab.folder, job)
        if "failed" in figures:
            raise SystemExit(f"judgelab: {figures['failed']}")
        if figures["kept"] != lab.n * repeats:
            raise SystemExit(f"judgelab: {figures['kept']} of {lab.n * repeats} answers kept")
        return figures

    def whole(
        self, lab: Lab, concurrency: int, *more: str, latency: float | None = None
    ) -> Figures:
        """A whole `judgelab run`, and what the server saw of it."""
        with serving(self.latency if latency is None else latency) as url:
            figures = command(lab.folder, "run", *lab.overrides(url, concurrency), *more)
            return figures | {"requests": server(url, "/stats")["requests"]}

    def compare(self, names: Sequence[str], n: int, concurrency: int) -> None:
        """Each client's figures for n calls; the rounds alternate between them."""
        n = self.size(n)
        wanted = [name for name in names if (name, n, concurrency) not in self.clients]
        rounds: dict[str, list[Figures]] = {name: [] for name in wanted}
        for _ in range(self.repeat):
            for name in wanted:
                note(f"{name}: {n} calls, {concurrency} in flight")
                rounds[name].append(self._client(name, n, concurrency))
        for name, rows in rounds.items():
            row = median(rows)
            if "failed" not in row:
                row["rate"] = n / row["wall"]
                row["share"] = self.ideal(n, concurrency) / row["wall"]
                row["cpu_1000"] = row["cpu"] / n * 1000
            self.clients[name, n, concurrency] = row

    def _client(self, name: str, n: int, concurrency: int) -> Figures:
        if name == "judgelab":
            return self.judge(self.lab(n), concurrency)
        python = python_of(name)
        if python is None:
            return {"failed": "not installed"}
        folder = self.lab(n).folder
        with serving(self.latency) as url:
            job = {"url": url, "items": str(folder / "items.jsonl")}
            return client(name, python, folder, job | {"n": n, "concurrency": concurrency})

    def promise(self, what: str, promised: str, measured: str, held: bool) -> None:
        self.promises.append((what, promised, measured, held))


def peers(bench: Bench) -> None:
    """judgelab beside its peers: 1,000 calls, 64 in flight; 2,000 calls, 256 in flight"""
    bench.compare(bench.only, 1000, 64)
    bench.compare(bench.only, 2000, 256)


def rates(bench: Bench) -> None:
    """judgelab against the ideal rate, and against the floor"""
    for n, concurrency, least in ((1000, 64, 0.95), (2000, 64, 0.95), (2000, 256, 0.9)):
        bench.compare(["judgelab", "aiohttp"], n, concurrency)
        row = bench.clients["judgelab", bench.size(n), concurrency]
        floor = bench.clients["aiohttp", bench.size(n), concurrency]
        bench.promise(
            f"share of the ideal rate, {bench.size(n):,} calls, {concurrency} in flight",
            f"≥ {least:.2f}",
            f"{row['share']:.3f} (bare aiohttp {floor['share']:.3f})",
            row["share"] >= least,
        )


def slope(bench: Bench) -> None:
    """processor time and memory of 18,000 more calls; of few items, so that only the calls grow"""
    items, few, many = bench.size(200), 10, 100
    rows: dict[int, list[Figures]] = {few: [], many: []}
    for _ in range(bench.repeat):
        for repeats, found in rows.items():
            note(f"judgelab: {items} items, {repeats} times")
            found.append(bench.judge(bench.lab(items), 64, repeats=repeats))
    less, more = median(rows[few]), median(rows[many])
    calls = (many - few) * items
    cpu = (more["cpu"] - less["cpu"]) / calls * 1000
    memory = (more["rss"] - less["rss"]) * 1024 / calls
    bench.own["slope"] = {"less": less, "more": more, "cpu_1000": cpu, "memory_kb": memory}
    where = (
        f"from {few * items:,} to {many * items:,} calls ({items} items, {few} and {many} times)"
    )
    bench.promise(
        f"processor time of 1,000 more calls, {where}", "≤ 1.0 s", f"{cpu:.2f} s", cpu <= 1
    )
    bench.promise(
        f"peak memory of one more call, {where}",
        "flat: < 1 kB",
        f"{memory:.2f} kB ({less['rss']:.0f} MB, {more['rss']:.0f} MB)",
        memory < 1,
    )


def whole(bench: Bench) -> None:
    """one `judgelab run` of 2,000 calls with tracking and pictures"""
    n = bench.size(2000)
    rows = []
    for _ in range(bench.repeat):
        note(f"judgelab run: {n} calls, tracked")
        rows.append(bench.whole(bench.lab(n), 64))
    row = bench.own["whole"] = median(rows)
    bench.promise(
        f"processor time of one `judgelab run` of {n:,} calls, tracking and pictures included",
        "≤ 6 s",
        f"{row['cpu']:.2f} s ({row['wall']:.1f} s on the wall)",
        row["cpu"] <= 6,
    )


def warm(bench: Bench) -> None:
    """judging 10,000 calls again, with the answers in the store and the run folder gone"""
    _twice(bench, "warm", 20, "judging", lambda lab: bench.judge(lab, 64))


def warm_whole(bench: Bench) -> None:
    """the same of whole `judgelab run` processes, with tracking and pictures"""
    _twice(bench, "warm_whole", 5, "whole `judgelab run`", lambda lab: bench.whole(lab, 64))


def _twice(bench: Bench, name: str, least: float, what: str, run: Callable[[Lab], Figures]) -> None:
    n = bench.size(10_000)
    rows: dict[str, list[Figures]] = {"first": [], "again": []}
    for _ in range(bench.repeat):
        lab = bench.lab(n)
        for when, found in rows.items():
            note(f"{what}: {n} calls, {when}")
            found.append(run(lab))
            lab.forget_runs()
    first, again = median(rows["first"]), median(rows["again"])
    ratio = first["wall"] / again["wall"]
    bench.own[name] = {"first": first, "again": again, "ratio": ratio}
    bench.promise(
        f"warm rerun of {n:,} calls, {what}",
        f"≥ {least} times faster, nothing sent",
        f"{ratio:.1f} times ({first['wall']:.1f} s, {again['wall']:.2f} s), "
        f"{again['requests']:.0f} requests",
        ratio >= least and again["requests"] == 0,
    )


def startup(bench: Bench) -> None:
    """`judgelab --help`, and a user's mistakes"""
    lab = bench.lab(1)
    for words, code in (
        (["--help"], 0),
        (["run", "demos.kk=3"], 2),
        (["run", "model=nope"], 2),
        (["holdout", "nothing"], 2),
    ):
        note(f"judgelab {' '.join(words)}")
        command(lab.folder, *words, code=code)  # compiles what has no bytecode yet
        rows = [command(lab.folder, *words, code=code) for _ in range(max(3, bench.repeat))]
        row = bench.own[f"judgelab {' '.join(words)}"] = median(rows)
        bench.promise(
            f"processor time of `judgelab {' '.join(words)}`",
            "< 0.5 s",
            f"{row['cpu']:.2f} s",
            row["cpu"] < 0.5,
        )


def large(bench: Bench) -> None:
    """peak memory of one `judgelab run` of 100,000 short interactions"""
    n = bench.size(100_000)
    note(f"judgelab run: {n} interactions")
    lab = bench.lab(n, words=60)
    row = bench.own["large"] = bench.whole(lab, 64, "tracking=none", latency=0)
    bench.promise(
        f"peak memory of one `judgelab run tracking=none` of {n:,} interactions",
        "< 1,024 MB",
        f"{row['rss']:,.0f} MB ({row['wall']:.0f} s on the wall, {row['cpu']:.0f} s of processor)",
        row["rss"] < 1024,
    )


PARTS = {
    "peers": peers,
    "rates": rates,
    "slope": slope,
    "whole": whole,
    "startup": startup,
    "warm": warm,
    "warm-whole": warm_whole,
    "large": large,
}
LONG = ("warm", "warm-whole", "large")


# --- peers' environments


def python_of(peer: str) -> Path | None:
    """The Python that has the peer; None where it is not installed as pinned."""
    if peer not in PINS:
        return Path(sys.executable)
    folder = ENVIRONMENTS / peer
    stamp = folder / "pins"
    if stamp.is_file() and stamp.read_text().split() == PINS[peer]:
        return folder / "bin" / "python"
    return None


def make_peers(names: Sequence[str]) -> None:
    for name, pins in PINS.items():
        if name not in names or python_of(name):
            continue
        note(f"making {ENVIRONMENTS / name}: {' '.join(pins)}")
        folder = ENVIRONMENTS / name
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q"]
        done = subprocess.run(
            [*pip, "--disable-pip-version-check", *pins],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            shutil.rmtree(folder)
            note(f"{name} is left out, pip cannot make it: {done.stderr.strip()[-1000:]}")
        else:
            (folder / "pins").write_text(" ".join(pins) + "\n")


# --- what is printed


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def peers_table(bench: Bench) -> str:
    head = ["client", "wall s", "calls/s", "of ideal", "CPU s per 1,000", "× judgelab"]
    head += ["peak MB", "connections", "most in flight", "requests", "kept", "cold start s"]
    rows: list[list[str]] = []
    for n, concurrency in dict.fromkeys((n, c) for name, n, c in bench.clients if name in PEERS):
        title = f"**{n:,} calls, {concurrency} in flight**"
        rows.append([title, *[""] * (len(head) - 1)])
        ours = bench.clients.get(("judgelab", n, concurrency), {}).get("cpu_1000")
        for name in NAMES:
            if row := bench.clients.get((name, n, concurrency)):
                rows.append(_cells(name, row, ours))
    return table(head, rows)


def _cells(name: str, row: Figures, ours: float | None) -> list[str]:
    if "failed" in row:
        return [name, row["failed"], *[""] * 10]
    return [
        f"{name} {row['version']}",
        f"{row['wall']:.2f}",
        f"{row['rate']:,.0f}",
        f"{row['share']:.3f}",
        f"{row['cpu_1000']:.2f}",
        f"{row['cpu_1000'] / ours:.1f}" if ours else "",
        f"{row['rss']:.0f}",
        *(f"{row[key]:,.0f}" for key in ("connections", "in_flight", "requests", "kept")),
        f"{row['cold']:.1f}",
    ]


def machine() -> str:
    return f"{platform.system()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def report(bench: Bench) -> None:
    print(f"{machine()}; latency {bench.latency:g} ms; median of {bench.repeat}.\n")
    if any(name in PEERS for name, _, _ in bench.clients):
        print(peers_table(bench))
        print(
            "\nItems of 300 words. CPU: user and system time of the evaluation; imports and one "
            "warm-up call are left out for all. Wall and ideal: the peers' from their first "
            "request, judgelab's from its first step, with rendering, hashing, committing and "
            "keeping; it alone sends two demonstrations with each item. Caches of the peers are "
            "off. Cold start: from the process to its first request; judgelab's holds reading, "
            "splitting and looking for duplicates.\n"
        )
    if bench.promises:
        rows = [[*row[:3], "yes" if row[3] else "**no**"] for row in bench.promises]
        print(table(["judgelab", "promised", "measured", "held"], rows))


def raw(bench: Bench) -> Figures:
    clients = [
        {"client": name, "n": n, "concurrency": concurrency} | row
        for (name, n, concurrency), row in bench.clients.items()
    ]
    settings = {"latency": bench.latency, "scale": bench.scale, "repeat": bench.repeat}
    keys = ("what", "promised", "measured", "held")
    promises = [dict(zip(keys, row, strict=True)) for row in bench.promises]
    about = {"machine": machine(), "settings": settings}
    return about | {"clients": clients, "judgelab": bench.own, "promises": promises}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--make-peers", action="store_true", help="make the peers' environments")
    for name, part in PARTS.items():
        default = "; not in the default run" if name in LONG else ""
        parser.add_argument(f"--{name}", action="store_true", help=f"{part.__doc__}{default}")
    parser.add_argument("--all", action="store_true", help="every one of these")
    parser.add_argument(
        "--only", default=",".join(NAMES), metavar="CLIENT,...", help=f"of {', '.join(NAMES)}"
    )
    parser.add_argument("--latency", type=float, default=200, metavar="MS")
    parser.add_argument("--scale", type=float, default=1, help="of every number of calls")
    parser.add_argument("--repeat", type=int, default=1, help="medians of so many runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the raw figures")
    given = parser.parse_args()
    only = given.only.split(",")
    if unknown := set(only) - set(NAMES):
        parser.error(f"--only {','.join(sorted(unknown))}: the clients are {', '.join(NAMES)}")
    if given.make_peers:
        make_peers(only)
        return
    chosen = [name for name in PARTS if getattr(given, name.replace("-", "_")) or given.all]
    chosen = chosen or [name for name in PARTS if name not in LONG]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        bench = Bench(Path(folder), given.latency, given.scale, given.repeat, only)
        for name in chosen:
            PARTS[name](bench)
    report(bench)
    if given.json:
        given.json.write_text(json.dumps(raw(bench), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
