"""Helpers of the tests that type commands: a lab in a folder, data, an endpoint on loopback."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from judgelab import cli

SHARED = Path(__file__).parents[2] / "shared" / "data"
# What would let the machine that runs the tests change what they see.
FOREIGN = ("JUDGELAB_HOME", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "OPENAI_API_KEY")


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def message(self) -> str:
        """The one message of a command that failed."""
        said = [line for line in self.err.splitlines() if line.startswith("judgelab: ")]
        assert len(said) == 1, self.err
        return self.err[self.err.index("judgelab: ") :]


class Lab:
    """A folder to type commands in: `lab("run", "limit=5")` runs in this process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, *words: str) -> Done:
        out, err = io.StringIO(), io.StringIO()
        streams = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
        with _standing_in(self.folder), streams[0], streams[1]:
            sys.argv = ["judgelab", *words]
            try:
                cli.main()
            except SystemExit as done:
                code = done.code
        assert isinstance(code, int)
        return Done(code, out.getvalue(), err.getvalue())

    def run(self, *words: str) -> Done:
        """`judgelab run` that has to work, untracked."""
        done = self("run", "tracking=none", *words)
        assert done.code == 0, done.err
        return done

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def start(self, *words: str, **more: str) -> subprocess.Popen[str]:
        """The command in a process of its own, which gets signals as if it ran in a terminal."""
        # Where the tests run in the background SIGINT is ignored, and children inherit that.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return subprocess.Popen(
                [sys.executable, "-m", "judgelab.cli", *words],
                cwd=self.folder,
                env=environment(**more),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        finally:
            signal.signal(signal.SIGINT, before)

    @property
    def runs(self) -> list[Path]:
        """Run folders, the sweeps' own left out."""
        return sorted(path.parent for path in self.folder.glob("runs/*/record.json"))

    @property
    def records(self) -> dict[str, dict[str, Any]]:
        """record.json by the variant's name."""
        found = [read_json(path / "record.json") for path in self.runs]
        assert len({record["name"] for record in found}) == len(found)
        return {record["name"]: record for record in found}

    def folder_of(self, name: str) -> Path:
        """The run folder of a variant."""
        (path,) = [p for p in self.runs if read_json(p / "record.json")["name"] == name]
        return path


def environment(**more: str) -> dict[str, str]:
    """The environment of a process of its own that imports the same package."""
    kept = {key: value for key, value in os.environ.items() if key not in FOREIGN}
    return kept | {"PYTHONPATH": str(Path(cli.__file__).parents[1]), "COLUMNS": "100"} | more


def at_once(code: str, path: Path, names: Sequence[str] = "ab") -> None:
    """The code in a process for each name, all at the same time; none of them may fail. Its
    arguments are the path and the name."""
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(path), name], env=environment())
        for name in names
    ]
    assert [process.wait() for process in started] == [0] * len(names)


@contextlib.contextmanager
def _standing_in(folder: Path) -> Iterator[None]:
    kept = Path.cwd(), dict(os.environ), sys.argv, list(sys.path)
    handler = signal.getsignal(signal.SIGTERM)
    for name in FOREIGN:
        os.environ.pop(name, None)
    os.environ["COLUMNS"] = "100"
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(kept[0])
        os.environ.clear()
        os.environ.update(kept[1])
        sys.argv, sys.path[:] = kept[2], kept[3]
        signal.signal(signal.SIGTERM, handler)


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def read_lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


WORDS = (Path(__file__).parents[1] / "LICENSE").read_text(encoding="utf-8").split()


def rows(n: int, seed: int = 0) -> list[dict[str, Any]]:
    """Labelled interactions, every third a fail, no two alike."""
    rng = random.Random(seed)

    def text(k: int) -> str:
        return " ".join(rng.choices(WORDS, k=k))

    return [
        {
            "id": f"item-{i:03}",
            "input": text(12),
            "output": text(20),
            "label": "fail" if i % 3 == 0 else "pass",
            "critique": text(15),
        }
        for i in range(n)
    ]


def write_rows(path: Path, data: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in data), encoding="utf-8")
    return path


class Endpoint:
    """Chat Completions on loopback. `answer` gets the request's body and gives the content,
    or an HTTP status to refuse with; it may wait."""

    def __init__(self, answer: Callable[[dict[str, Any]], str | int]) -> None:
        self.answer = answer
        self.asked: list[dict[str, Any]] = []
        self.answered = 0
        endpoint, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *words: Any) -> None:
                pass

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    endpoint.asked.append(body)
                said = endpoint.answer(body)
                status = said if isinstance(said, int) else 200
                sent = json.dumps(_completion(said) if status == 200 else _refusal(status)).encode()
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(sent)))
                    self.end_headers()
                    self.wfile.write(sent)
                    with lock:
                        endpoint.answered += status == 200

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def overrides(self) -> list[str]:
        """The overrides that make it the model."""
        port = self._server.server_address[1]
        return [
            "model=openai_compatible",
            "model.name=m",
            f"model.base_url=http://127.0.0.1:{port}/v1",
            "model.retries=0",
            "search.floors.recall_fail=null",  # what it answers need not be any good
        ]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def endpoint(answer: Callable[[dict[str, Any]], str | int]) -> Iterator[Endpoint]:
    made = Endpoint(answer)
    try:
        yield made
    finally:
        made.close()


def said(verdict: str, critique: str = "because") -> str:
    return json.dumps({"critique": critique, "verdict": verdict})


def question(body: Mapping[str, Any]) -> str:
    """The turn that holds the judged interaction."""
    return str(body["messages"][-1]["content"])


def _completion(content: str | int) -> dict[str, Any]:
    choice = {"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 100, "completion_tokens": 10}
    return {"model": "m-1", "choices": [choice], "usage": usage}


def _refusal(status: int) -> dict[str, Any]:
    return {"error": {"message": "the test says no", "code": None, "param": None}}
