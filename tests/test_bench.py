"""The benchmark at a tiny size: what it counts, never how long it took."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from labs import environment

SCRIPTS = Path(__file__).parents[1] / "scripts"


def bench(folder: Path, *words: str) -> tuple[str, dict[str, Any]]:
    """What the script prints, and its raw figures."""
    raw = folder / "raw.json"
    script = [sys.executable, SCRIPTS / "bench_calls.py", "--latency", "5", "--json", raw]
    done = subprocess.run(
        [*script, *words], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(raw.read_text(encoding="utf-8"))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script as a module."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import bench_calls

    return bench_calls


@pytest.mark.slow
def test_every_client_asks_once_for_each_item_and_keeps_the_answer(tmp_path: Path) -> None:
    said, raw = bench(tmp_path, "--peers", "--only", "judgelab,aiohttp", "--scale", "0.02")
    rows = {(row["client"], row["n"]): row for row in raw["clients"]}
    assert set(rows) == {(name, n) for name in ("judgelab", "aiohttp") for n in (20, 40)}
    for (name, n), row in rows.items():
        assert row["requests"] == row["kept"] == n, name
        assert 1 <= row["in_flight"] <= n
    assert "**20 calls, 64 in flight**" in said
    assert said.count("| aiohttp ") == said.count("| judgelab 0") == 2


@pytest.mark.slow
def test_a_warm_rerun_sends_nothing_and_keeps_everything(tmp_path: Path) -> None:
    said, raw = bench(tmp_path, "--warm", "--scale", "0.002")
    first, again = raw["judgelab"]["warm"]["first"], raw["judgelab"]["warm"]["again"]
    assert (first["requests"], first["kept"]) == (20, 20)
    assert (again["requests"], again["kept"]) == (0, 20)
    assert ", 0 requests |" in said


def test_a_peer_without_an_environment_is_listed(
    calls: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "ENVIRONMENTS", tmp_path)
    made = calls.Bench(tmp_path, latency=5, scale=1, repeat=1, only=["openai"])
    made.compare(["openai"], 20, 64)
    assert "| openai | not installed |" in calls.peers_table(made)
    for pins, there in (("openai==0", False), (calls.PINS["openai"][0], True)):
        (tmp_path / "openai").mkdir(exist_ok=True)
        (tmp_path / "openai" / "pins").write_text(pins)
        assert (calls.python_of("openai") is not None) is there


def test_a_client_that_fails_says_why(calls: Any, tmp_path: Path) -> None:
    items = tmp_path / "items.jsonl"
    calls.write_items(items, 2, 10)
    job = {"url": "http://127.0.0.1:1", "items": str(items), "n": 1, "concurrency": 1}
    found = calls.client("aiohttp", Path(sys.executable), tmp_path, job)
    assert "Cannot connect" in found["failed"]


@pytest.mark.slow
def test_every_part_runs(tmp_path: Path) -> None:
    said, raw = bench(tmp_path, "--all", "--only", "judgelab,aiohttp", "--scale", "0.005")
    own = raw["judgelab"]
    assert own["whole"]["requests"] == 10
    assert own["large"]["requests"] == 500
    assert (own["slope"]["less"]["requests"], own["slope"]["more"]["requests"]) == (10, 100)
    assert own["warm_whole"]["first"]["requests"] == 50
    assert own["warm_whole"]["again"]["requests"] == 0
    assert said.count("processor time of `judgelab ") == 4
