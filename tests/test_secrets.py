"""Secrets never reach a file: every command runs with keys set, and every byte is searched."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import pytest

from judgelab.cli import cli
from labs import environment, rows, said, write_rows

# In every secret: letters and digits alone, which URLs, JSON and quotes leave as they are.
CANARY = "Zq7wXk93LmPt5RvBc2Hd"
ODD = f"my+{CANARY}/77?b=&c%20\"x'\\y~<&>="
SECRETS = {
    "OPENAI_API_KEY": f"sk-{CANARY}-openai",
    "ANTHROPIC_API_KEY": f"sk-ant-{CANARY}",
    "GEMINI_API_KEY": f"AI{CANARY}",
    "OPENROUTER_API_KEY": f"sk-or-v1-{CANARY}",
    "MLFLOW_TRACKING_USERNAME": "somebody",
    "MLFLOW_TRACKING_PASSWORD": f"p {CANARY}@!",
    "MY_KEY": ODD,
}


def spellings(core: bytes = CANARY.encode()) -> Iterator[bytes]:
    """The canary as it is, and in Base64 wherever it starts."""
    yield core
    for encode in (b64encode, urlsafe_b64encode):
        for before in range(3):
            digits = encode(b"\0" * before + core)
            yield digits[-(-before * 8 // 6) : (before + len(core)) * 8 // 6]


FORMS = tuple(spellings())


def found(data: bytes) -> list[str]:
    """What stands around each secret in the data."""
    places = [data.find(form) for form in FORMS]
    return [repr(data[max(0, at - 60) : at + 60]) for at in places if at >= 0]


@pytest.mark.parametrize("secret", SECRETS.values())
def test_the_search_finds_every_spelling(secret: str) -> None:
    if secret == "somebody":
        return
    for text in (
        secret,
        json.dumps(secret),
        repr(secret),
        quote(secret),
        quote(secret, safe=""),
        *(b64encode(f"{'u' * n}:{secret}".encode()).decode() for n in range(3)),
        *(urlsafe_b64encode(f"{'u' * n}:{secret}".encode()).decode() for n in range(3)),
    ):
        assert found(f"Bearer {text}.".encode()), text
    assert not found(b"Bearer ***")


class Echo:
    """A server that says the key it was sent in every spelling: of a model at /<status>/v1, of
    MLflow at any other address. At /200/v1 it answers, unless it is told to `refuse`."""

    def __init__(self) -> None:
        self.refuse = False
        self.asked: list[tuple[str, str]] = []
        echo = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *words: Any) -> None:
                pass

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                sent = self.headers.get("Authorization") or ""
                echo.asked.append((self.path, sent))
                status, body = echo.answer(self.path, sent)
                self.send_response(status, "no" if status >= 400 else None)
                data = json.dumps(body).encode()
                self.send_header("X-Echo", quote(sent))
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    def answer(self, path: str, sent: str) -> tuple[int, Any]:
        kind = path.split("/")[1]
        if kind == "200" and not self.refuse:
            message = {"role": "assistant", "content": said("fail")}
            choice = {"message": message, "finish_reason": "stop"}
            usage = {"prompt_tokens": 100, "completion_tokens": 10}
            return 200, {"model": "m", "choices": [choice], "usage": usage}
        key = sent.removeprefix("Bearer ").removeprefix("Basic ")
        words = [
            f"Incorrect API key {key}",
            *(b64encode(f"{'u' * n}{key}".encode()).decode() for n in range(3)),
            quote(key, safe=""),
            json.dumps({"authorization": sent}),
        ]
        # One spelling a message, as only a message's beginning is shown.
        text = words[len(self.asked) % len(words)]
        error = {"message": text, "code": text, "param": text, "metadata": {"raw": {"key": key}}}
        if kind == "raw":
            return 401, {"unlike": "others", "key": key, "said": words}
        if kind == "hidden":
            return 200, {"error": error}
        status = int(kind) if kind.isdigit() and kind != "200" else 401
        return status, {"error": error, "error_code": "UNAUTHENTICATED", "message": text}

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@dataclass(frozen=True)
class Case:
    """A command line, how it has to end, and what is set for it beside the secrets.

    {echo} is the server's address, {KEY} and {ODD} are secrets.
    """

    words: str
    code: int
    env: Mapping[str, str] = field(default_factory=dict)
    refuse: bool = False
    says: str = ""


OWN = "dataset=jsonl dataset.path=data.jsonl"
OPENAI = f"run {OWN} model=openai model.retries=0"
MINE = f"run {OWN} model=openai_compatible model.name=m model.api_key_env=MY_KEY model.retries=0"
PROPOSE = f"rubric {OWN} model=openai model.retries=0 model.base_url=http://{{echo}}"
ASK = "generate outputs --inputs data.jsonl limit=2"
OF_KEY = "system.api_key_env=MY_KEY system.retries=0"
WRITER = "model=openai model.retries=0 model.base_url=http://{echo}"
LITELLM = f"run {OWN} model=litellm model.retries=0"
FILE = "tracking=none limit=8"
MLFLOW = {"MLFLOW_TRACKING_URI": "http://{echo}/mlflow"}
MLFLOW_URI = {"MLFLOW_TRACKING_URI": "http://me:{PASSWORD}@{echo}/mlflow"}
COMMANDS = (
    Case("init data.csv", 0),
    Case("init none.csv", 2),
    Case("data check " + OWN, 0),
    Case("data check dataset=jsonl dataset.path={KEY}.jsonl", 2, says="OPENAI_API_KEY"),
    Case("data split " + OWN, 0),
    Case("data split dataset=none", 2),
    Case("data coverage " + OWN, 0),
    Case("generate inputs --n 1 --sheet inputs.xlsx", 0),
    Case("generate inputs --from {KEY}.xlsx", 2, says="***.xlsx"),
    Case("data coverage --by {KEY}", 2, says="--by ***"),
    Case("review " + OWN + " --queue best", 2),
    Case("review " + OWN + " --expert {KEY} --queue best", 2),
    Case(f"data export q.csv --all {OWN}", 0),
    Case(f"data export q.csv --all {OWN}", 2, says="there already"),
    Case(f"data export {{KEY}}.ods {OWN}", 2, says="***.ods: labels go to"),
    Case(f"data import q.csv --expert ann {OWN}", 0),
    Case("data import {KEY}.csv --expert ann", 2, says="no such file"),
    Case(f"data import --mlflow {OWN}", 3, MLFLOW_URI, says="MLflow at"),
    Case(f"data export --mlflow {OWN} tracking.texts=true", 3, MLFLOW_URI, says="MLflow at"),
    Case("calls stats", 2),
    Case("ui", 2, MLFLOW_URI, says="nothing was tracked"),
    Case("calls prune", 2),
    Case(f"generate inputs --n 1 limit=2 {WRITER}/401/v1", 3, says="401"),
    Case(f"generate inputs --n 1 limit=2 {WRITER}/200/v1", 3, says="lack inputs"),
    Case("generate sample sample.jsonl --n 5 " + OWN, 0),
    Case("generate sample {KEY}.csv " + OWN, 2, says="***.csv: interactions are JSONL"),
    Case("generate sample t.jsonl dataset=traces dataset.path=x", 3, MLFLOW_URI, says="MLflow at"),
    Case(f"{ASK} system=command system.command=[cat] --out said.jsonl", 0),
    Case(f"{ASK} system=command system.command=[env] --dry-run", 0),
    Case(f"{ASK} system=http system.url=http://{{echo}}/401/v1 {OF_KEY}", 3),
    Case(f"{ASK} system=http system.url=http://u:{{KEY}}@{{echo}}/401/v1", 2),
    Case(f"{OPENAI} model.base_url=http://{{echo}}/200/v1 --cfg", 0),
    Case(f"{OPENAI} model.base_url=http://{{echo}}/200/v1 --dry-run", 0),
    Case(f"{OPENAI} model.base_url=http://{{echo}}/200/v1 limit=9", 0),
    Case("rerun latest", 0),
    Case("rerun latest --live", 0),
    Case("rerun latest --live", 3, refuse=True),
    Case("probe latest --limit 2", 3, refuse=True, says="401"),
    Case("probe latest --limit 2", 0),
    Case("probe {KEY}", 2, says="RUN=***"),
    Case("analyze latest", 0),
    Case("analyze {KEY}", 2, says="RUN=***"),
    Case(f"propose {PROPOSE}/401/v1", 3, says="401"),
    Case(f"propose {PROPOSE}/200/v1", 2, says="no rubric in it"),
    Case(f"propose {PROPOSE}/200/v1 --run {{KEY}}", 2, says="RUN=***"),
    Case("data causes " + OWN, 0),
    Case(f"propose check short {OWN} --alarms 0.0001", 1),
    Case("propose check {KEY}", 2, says="NAME=***"),
    Case("propose check x --kind judge --mode {KEY} model=neighbours", 2, says="--mode ***"),
    Case(f"propose modes {OWN} model=neighbours --dry-run", 0),
    Case(f"propose {PROPOSE}/401/v1".replace("rubric", "modes", 1), 3, says="401"),
    Case(f"propose {PROPOSE}/200/v1".replace("rubric", "modes", 1), 2, says="no list of root"),
    Case("data causes --run {KEY}", 2, says="RUN=***"),
    Case("holdout latest", 3, refuse=True),
    Case("holdout latest", 2),
    Case(f"{OPENAI} model.base_url=http://{{echo}}/401/v1 model.name=n limit=8", 3, says="401"),
)
SERVERS = (
    Case(f"{OPENAI} model.base_url=http://{{echo}}/200/v1 limit=9", 0),
    # Servers that say the key.
    Case(f"{OPENAI} model.base_url=http://{{echo}}/401/v1 model.name=n limit=8", 3, says="401"),
    Case(f"{MINE} model.base_url=http://{{echo}}/401/v1 {FILE}", 3, says="401"),
    Case(f"{MINE} model.base_url=http://{{echo}}/400/v1 {FILE}", 3),
    Case(f"{MINE} model.base_url=http://{{echo}}/429/v1 {FILE}", 3, says="429"),
    Case(f"{MINE} model.base_url=http://{{echo}}/500/v1 {FILE}", 3, says="500"),
    Case(f"{MINE} model.base_url=http://{{echo}}/raw/v1 {FILE}", 3, says="401"),
    Case(f"{MINE} model.base_url=http://{{echo}}/hidden/v1 {FILE}", 3),
    Case(f"{MINE} model.base_url=http://127.0.0.1:9/v1 {FILE}", 3, says="connection"),
    Case(
        f"{LITELLM} model.name=openai/m model.base_url=http://{{echo}}/401/v1 "
        f"model.api_key_env=MY_KEY {FILE}",
        3,
    ),
    # A key where none belongs.
    Case(f"{MINE} model.base_url=http://u:{{KEY}}@{{echo}}/v1 {FILE}", 2, says="OPENAI_API_KEY"),
    Case(f"{MINE} model.base_url='http://{{echo}}/v1?key={{KEY}}' {FILE}", 2),
    Case(f"{MINE} model.base_url=http://{{echo}}/{{KEY}}/v1 {FILE}", 2),
    Case(f"{MINE} model.base_url=http://{{echo}}/{{ODD_IN_URL}}/v1 {FILE}", 2, says="MY_KEY"),
    Case(f"{MINE} -m model.base_url=http://{{echo}}/v1,http://{{KEY}}@{{echo}}/v1 {FILE}", 2),
    Case(f"{MINE} model.base_url=not/{{KEY}} {FILE}", 2),
    Case(f"{MINE} model.bose_url={{KEY}} {FILE}", 2),
    Case(f"{MINE} '{{KEY}}' {FILE}", 2),
    Case(f"run {OWN} model=mine limit=8", 2, says="MY_KEY"),
    Case(f"run {OWN} model=neighbours tracking.uri=http://u:{{KEY}}@{{echo}} limit=8", 2),
    # MLflow elsewhere, which says the password.
    Case(f"run {OWN} judge=always_fail limit=8", 0, MLFLOW, says="could not be written"),
    Case(f"run {OWN} judge=always_fail limit=8", 0, MLFLOW_URI, says="could not be written"),
    Case("score --labels data.jsonl --verdicts verdicts.jsonl", 0),
    Case("score --labels data.jsonl --verdicts none.jsonl", 2),
    Case("score --labels data.jsonl --verdicts runs:/{KEY}", 2),
    Case("score --labels data.jsonl --verdicts runs:/abc", 2, MLFLOW, says="not be read"),
    Case("score --labels data.jsonl --verdicts runs:/abc", 2, MLFLOW_URI, says="not be read"),
    Case("compare --labels data.jsonl --verdicts verdicts.jsonl other.jsonl", 0),
    Case("compare --labels data.jsonl --verdicts verdicts.jsonl {KEY}", 2, says="RUN=***"),
    Case("compare latest {KEY}.jsonl", 2, says="***.jsonl: there is no such"),
    Case(f"{MINE} model.base_url=http://{{echo}}/401/v1 {FILE}".replace("run", "round", 1), 3),
    Case(f"round {OWN} model=neighbours tracking=none limit=8 --note {{KEY}}", 2),
    Case(f"round {OWN} model=neighbours limit=8", 0),
    Case("calls stats", 0),
    Case("calls export latest answers.jsonl", 2),
    Case("calls export --all answers.jsonl", 0),
    Case("calls import answers.jsonl", 0),
    Case("calls import data.jsonl", 2),
    Case("calls prune --unused --quarantine --yes", 0),
)


def commands(group: click.Group = cli, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*above, name))
        else:
            yield (*above, name)


def test_every_command_is_searched() -> None:
    for command in commands():
        of_it = [
            case
            for case in (*COMMANDS, *SERVERS)
            if tuple(case.words.split()[: len(command)]) == command
        ]
        assert of_it, f"{' '.join(command)} has no line in {Path(__file__).name}"
        assert any(case.code for case in of_it), f"{command}: none that fails"


class Place:
    """A lab, a HOME and a TMPDIR, with the secrets set for all that runs there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.searched: dict[Path, tuple[int, int, int]] = {}
        for name in ("lab", "home", "tmp"):
            (folder / name).mkdir()
        self.lab = folder / "lab"
        self.echo = Echo()
        data = rows(120)
        write_rows(self.lab / "data.jsonl", data)
        (self.lab / "data.csv").write_text("id,input,output,label\na,b,c,pass\nd,e,f,fail\n")
        verdicts = [{"id": row["id"], "verdict": "fail"} for row in data]
        write_rows(self.lab / "verdicts.jsonl", verdicts)
        write_rows(self.lab / "other.jsonl", verdicts)
        (self.lab / "conf" / "model").mkdir(parents=True)
        (self.lab / "conf" / "model" / "mine.yaml").write_text(
            "defaults: [openai_compatible]\nname: m\nbase_url: http://there/${oc.env:MY_KEY}/v1\n"
        )

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        of_its_own = {"HOME": str(self.folder / "home"), "TMPDIR": str(self.folder / "tmp")}
        filled = {name: self.fill(value) for name, value in more.items()}
        return environment(**SECRETS, **of_its_own, **filled)

    def fill(self, text: str) -> str:
        values = {"KEY": SECRETS["OPENAI_API_KEY"], "ODD_IN_URL": quote(ODD, safe="")}
        values["PASSWORD"] = quote(f"of@uri/{CANARY}", safe="")  # in no variable of its own
        for name, value in (values | {"echo": f"127.0.0.1:{self.echo.port}"}).items():
            text = text.replace(f"{{{name}}}", value)
        return text

    def start(self, words: str, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "judgelab.cli", *self.fill(words).split()],
            cwd=self.lab,
            env=self.environment(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, case: Case) -> None:
        self.echo.refuse = case.refuse
        running = self.start(case.words, case.env)
        out, err = running.communicate(timeout=120)
        assert running.returncode == case.code, (case.words, err.decode()[-1500:])
        assert case.says.encode() in err, (case.words, err.decode())
        assert not found(out + err), (case.words, found(out + err))
        assert b"Traceback" not in err, (case.words, err.decode())
        self.search(case.words)

    def search(self, when: str) -> None:
        """What was written since the last search; each file at least once."""
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                stat = path.stat()
                state = stat.st_ino, stat.st_size, stat.st_mtime_ns
                if self.searched.get(path) == state:
                    continue
                self.searched[path] = state
                leaked = found(path.read_bytes()) + found(str(path).encode())
                assert not leaked, (when, path, leaked)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    try:
        yield made
    finally:
        made.echo.close()


@pytest.mark.slow
@pytest.mark.parametrize("cases", [COMMANDS, SERVERS], ids=["commands", "servers"])
def test_no_command_writes_or_says_a_secret(place: Place, cases: Sequence[Case]) -> None:
    for case in cases:
        place.run(case)
    # It was a test only if the keys were sent, and what was said is in the files.
    sent = " ".join({authorization for _, authorization in place.echo.asked})
    for name in ("OPENAI_API_KEY", "MY_KEY"):
        assert f"Bearer {SECRETS[name]}" in sent
    assert "Basic " in sent
    records = [path.read_text() for path in place.lab.glob("runs/*/record.json")]
    assert cases is COMMANDS or sum("Incorrect API key ***" in text for text in records) >= 1
    with sqlite3.connect(place.lab / "mlflow.db") as db:
        assert db.execute("SELECT count(*) FROM runs").fetchone()[0] >= 2
    db.close()


@pytest.mark.slow
def test_the_ui_writes_and_says_none_either(place: Place) -> None:
    place.run(Case(f"run {OWN} judge=always_fail limit=8", 0))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    running = place.start(f"ui --port {port}", {})
    signal.signal(signal.SIGINT, before)
    try:
        assert running.stdout
        address = running.stdout.readline()
        assert address.startswith(b"http://"), running.stderr
        place.search("ui, while it runs")
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=30)
    finally:
        running.kill()
    assert running.returncode == 0, err.decode()
    assert not found(address + out + err)
    place.search("ui")


def test_the_secrets_of_this_machine_are_not_asked_for() -> None:
    assert not set(SECRETS.values()) & set(os.environ.values())
