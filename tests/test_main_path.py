"""The promises of the main path, end to end, in one process and offline."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from judgelab import config as configs
from judgelab import plans, runner
from judgelab.calls.line import Calls
from judgelab.calls.pool import Pool
from judgelab.cli import cli
from judgelab.errors import UserError
from judgelab.judges.prompted import PromptedJudge

SWEEP = ["experiment=which_critiques", "tracking=none"]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JUDGELAB_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*words: str) -> Result:
    """A command, with a user's mistake as the exit code and message that `main` makes of it."""
    result = CliRunner().invoke(cli, words)
    if isinstance(result.exception, UserError):
        result.exit_code = result.exception.exit_code
    elif result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def only(lab: Path, pattern: str) -> Path:
    (found,) = lab.glob(pattern)
    return found


def test_the_demo_sweep_then_holdout_then_rerun(lab: Path) -> None:
    result = call("run", *SWEEP, "--json")
    assert result.exit_code == 0, result.output
    cards = json.loads(result.stdout)
    assert len(cards) == 12 + 4
    assert all(card["n"] == 101 and card["positive"] == "fail" for card in cards)
    by_name = {card["judge"]: card for card in cards}
    assert by_name["always fail"]["metrics"]["recall_fail"]["value"] == 1
    assert by_name["assertion"]["metrics"]["precision_fail"]["value"] == 1
    chosen = next(c for c in cards if c["judge"] == "nearest k=8 · critique")["run"]
    folder = lab / "runs" / chosen
    names = {path.name for path in folder.iterdir()}
    assert {"config.yaml", "record.json", "assignment.jsonl", "replies.jsonl"} <= names
    assert {"verdicts.jsonl", "scores.json", "rubric.md", "template.j2"} <= names

    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    again = call("run", *SWEEP)
    assert again.exit_code == 0
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    for line in filter(None, again.stdout.splitlines()):
        assert f"    {line.rstrip()}\n" in readme, "the README shows what the demo prints"
    assert before == {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}

    assert call("rerun", chosen[:8]).exit_code == 0
    looked = call("holdout", chosen[:8])
    assert looked.exit_code == 0
    assert "look 1 of 3" in looked.output
    assert call("holdout", chosen[:8]).exit_code == 0
    looks = (lab / "splits" / "sample.looks.jsonl").read_text()
    assert looks.count('"variant"') == 1, "the same judge on the same data is the same look"
    assert call("rerun", only(lab, "runs/*-test").name).exit_code == 0


@pytest.mark.slow
def test_a_fourth_judge_gets_no_look_at_test(lab: Path) -> None:
    cards = json.loads(call("run", *SWEEP, "--json").stdout)
    codes = [call("holdout", card["run"]).exit_code for card in cards[:4]]
    assert codes == [0, 0, 0, 1]


def test_a_flipped_label_shows_in_a_rerun(lab: Path) -> None:
    write_items(lab / "mine.jsonl", 60)
    own = ["dataset=jsonl", "dataset.name=mine", "dataset.path=mine.jsonl", "model=neighbours"]
    assert call("run", *own, "tracking=none").exit_code == 0
    assert call("rerun", "latest").exit_code == 0
    lines = (lab / "mine.jsonl").read_text().splitlines()
    row = json.loads(lines[0])
    row["label"] = "fail" if row["label"] == "pass" else "pass"
    (lab / "mine.jsonl").write_text("\n".join([json.dumps(row), *lines[1:]]) + "\n")
    result = call("rerun", "latest")
    assert result.exit_code == 1
    assert "scores differ" in str(result.exception)


@pytest.mark.parametrize("selector", ["random", "balanced", "diverse", "nearest"])
@pytest.mark.parametrize("mode", ["cv", "holdout"])
def test_no_prompt_holds_text_of_another_held_out_item(lab: Path, selector: str, mode: str) -> None:
    overrides = [f"demos={selector}", "demos.k=8", f"split.mode={mode}", "tracking=none"]
    variant = plans.plan(overrides, multirun=False).variants[0]
    bench = runner.bench(variant.config, Pool())
    examples = {example.id: example for example in bench.dataset.examples}
    checked = 0
    for fold in bench.folds:
        judge = configs.build(variant.judge, PromptedJudge, "judge")
        judge.prepare(fold.train, Calls(bench.pool))
        allowed = {gram for e in fold.train for gram in grams(whole(e))}
        held_out = set(examples) - {example.id for example in fold.train}
        own = {i: grams(whole(examples[i])) - allowed for i in held_out}
        owner = {gram: i for i, found in own.items() for gram in found}
        for item in fold.items[:25]:
            shown = grams(" ".join(m["content"] for m in judge.request(item, 0).messages))
            groups = {owner[gram] for gram in shown if gram in owner}
            for other in groups - {item.id}:
                # Turns of one conversation quote each other; they are held out together.
                assert bench.split.places[other].group == bench.split.places[item.id].group
            assert not shown & (grams(examples[item.id].critique) - allowed)
            checked += 1
    assert checked >= 25


def whole(example: Any) -> str:
    item = example.interaction
    return f"{item.input}\n{item.output}\n{example.critique}"


def grams(text: str, n: int = 13) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.replace("\\n", " ").casefold())
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def write_items(path: Path, n: int) -> None:
    rows = []
    for i in range(n):
        word = hashlib.sha256(str(i).encode()).hexdigest()
        text = " ".join(word[k : k + 4] for k in range(0, 60, 4))
        label = "fail" if i % 3 == 0 else "pass"
        critique = f"Because of {word[:9]} this is a {word[9:14]} answer to what was asked here."
        rows.append({"id": f"i{i}", "input": f"about {word[:12]}", "output": text})
        rows[-1] |= {"label": label, "critique": critique}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list[dict[str, Any]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append(body)
        digest = hashlib.sha256(json.dumps(body["messages"], sort_keys=True).encode()).digest()
        verdict = {"critique": "as seen", "verdict": "fail" if digest[0] % 2 else "pass"}
        answer = {
            "id": "x",
            "object": "chat.completion",
            "created": 0,
            "model": "loopback-1",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": json.dumps(verdict)},
                }
            ],
            "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
        }
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        return None


@pytest.fixture
def loopback() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    seen: list[dict[str, Any]] = []
    handler = type("Loopback", (Handler,), {"seen": seen})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1", seen
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.slow
def test_the_same_sweep_over_both_clients_gives_the_same_verdicts(
    lab: Path, loopback: tuple[str, list[dict[str, Any]]]
) -> None:
    url, seen = loopback
    write_items(lab / "mine.jsonl", 40)
    own = ["dataset=jsonl", "dataset.name=mine", "dataset.path=mine.jsonl", "tracking=none"]
    axes = ["-m", "demos=none,balanced", "demos.k=2,4", f"model.base_url={url}"]
    direct = call("run", *own, *axes, "model=openai_compatible", "model.name=gpt-x", "--json")
    assert direct.exit_code == 0, direct.output
    assert len(seen) == 3 * 40, "none with k=2 and k=4 is one variant"
    other = call("run", *own, *axes, "model=litellm", "model.name=openai/gpt-x", "--json")
    assert other.exit_code == 0, other.output
    assert len(seen) == 2 * 3 * 40
    cards = [json.loads(result.stdout) for result in (direct, other)]
    tables = [{c["judge"]: c["confusion"] for c in found} for found in cards]
    assert tables[0] == tables[1]
    assert len(tables[0]) == 3 + 3

    again = call("run", *own, *axes, "model=openai_compatible", "model.name=gpt-x", "limit=30")
    assert again.exit_code == 0
    assert len(seen) == 2 * 3 * 40, "every answer was in the call store"
