"""The MLflow server dies: the runs are whole, and the same command shows them later, once."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from fault_labs import lab_of, outcome, words

from judgelab.tracking import store as stores
from labs import Lab, environment, read_json
from server import ChatServer

ITEMS = 20
RUNS = 3  # two variants and a baseline
AXES = ("-m", "demos.k=1,2")


def command(server: ChatServer, *more: str) -> tuple[str, ...]:
    mine = [word for word in words(server, *AXES) if word.split("=")[0] not in REPLACED]
    return ("run", *mine, "baselines=[always_fail]", *more)


REPLACED = ("tracking", "baselines")


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables, to be copied: making them takes seconds."""
    db = tmp_path_factory.mktemp("empty") / "mlflow.db"
    stores.prepare(f"sqlite:///{db}")
    from mlflow import MlflowClient

    MlflowClient(f"sqlite:///{db}").search_experiments()
    return db


@pytest.fixture
def lab(tmp_path: Path, empty_store: Path) -> Lab:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return lab_of(tmp_path, ITEMS)


def shown(uri: str, experiment: str = "judgelab/own") -> dict[str, Any]:
    """What MLflow holds of the sweep: by the run's folder, or `sweep`, its status and metrics."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    known = client.get_experiment_by_name(experiment)
    assert known is not None
    runs = client.search_runs([known.experiment_id])
    names = [run.data.tags.get("judgelab.run", "sweep") for run in runs]
    assert len(set(names)) == len(names) == RUNS + 1, "each is there, and once"
    parent = runs[names.index("sweep")].info.run_id
    for name, run in zip(names, runs, strict=True):
        assert name == "sweep" or run.data.tags["mlflow.parentRunId"] == parent
    return {n: (r.info.status, r.data.metrics) for n, r in zip(names, runs, strict=True)}


def check_whole(lab: Lab, server: ChatServer) -> None:
    assert len(server.seen) == 2 * ITEMS
    assert len(lab.runs) == RUNS
    assert all((path / "scores.json").exists() for path in lab.runs)


@contextmanager
def dead(how: str) -> Iterator[str]:
    """A server that takes requests and does not answer them."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *words: Any) -> None:
            pass

        def do_GET(self) -> None:
            if how == "hangs":
                over.wait(30)
            elif how == "fails":
                self.send_error(503)

        do_POST = do_GET

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.daemon_threads = True
    threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{made.server_address[1]}"
    finally:
        over.set()
        made.shutdown()
        made.server_close()


@pytest.mark.parametrize(
    "how", [*(pytest.param(how, marks=pytest.mark.slow) for how in ("closes", "fails")), "hangs"]
)
def test_a_server_that_does_not_answer_costs_a_note(
    lab: Lab, server: ChatServer, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with dead(how) as uri:
        done = lab(*command(server, f"tracking.uri={uri}"))
    assert done.code == 0, done.err
    assert done.err.count("note MLflow could not be written at") == 1
    assert "The same command again shows them in MLflow without judging anew" in done.err
    check_whole(lab, server)
    before = outcome(lab)

    again = lab(*command(server))
    assert again.code == 0
    assert again.out == done.out
    check_whole(lab, server)
    assert outcome(lab) == before
    found = shown(f"sqlite:///{lab.folder}/mlflow.db")
    assert {status for status, _ in found.values()} == {"FINISHED"}
    assert lab(*command(server)).code == 0
    assert shown(f"sqlite:///{lab.folder}/mlflow.db") == found, "twice is the same as once"


class Dying:
    """Ends MLflow's client for good at the n-th thing that it is asked to write."""

    WRITES = ("create_run", "log_batch", "log_inputs", "log_artifact", "log_text", "set_terminated")

    def __init__(self, n: int, patch: pytest.MonkeyPatch) -> None:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        self.n, self.asked = n, 0

        def dying(write: Any) -> Any:
            def call(*args: Any, **more: Any) -> Any:
                self.asked += 1
                if self.asked > self.n:
                    raise MlflowException("the server went away")
                return write(*args, **more)

            return call

        for name in self.WRITES:
            patch.setattr(MlflowClient, name, dying(getattr(MlflowClient, name)))


@pytest.mark.slow
def test_wherever_it_dies_the_same_command_goes_on_without_duplicates(
    lab: Lab, server: ChatServer, empty_store: Path
) -> None:
    for n in (1, 2, 4, 9, 20, 35):
        with pytest.MonkeyPatch.context() as patch:
            dying = Dying(n, patch)
            done = lab(*command(server))
            assert dying.asked > n
        assert done.code == 0
        assert "the server went away. Nothing is lost" in done.err
        check_whole(lab, server)
    assert lab(*command(server)).code == 0
    check_whole(lab, server)
    calm = lab_of(lab.folder / "calm", ITEMS)
    shutil.copy(empty_store, calm.folder / "mlflow.db")
    assert calm(*command(server)).code == 0
    never_died = shown(f"sqlite:///{calm.folder}/mlflow.db")
    assert shown(f"sqlite:///{lab.folder}/mlflow.db") == never_died
    for path in lab.runs:
        assert read_json(path / "mlflow.json")["run_id"]


@pytest.mark.slow
def test_a_real_server_that_is_killed_in_the_middle(lab: Lab, server: ChatServer) -> None:
    db = lab.folder / "served.db"
    (lab.folder / "mlflow.db").rename(db)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    mine = command(server, f"tracking.uri={uri}")
    with served(lab, db, port) as kill:
        judging = lab.start(*mine)
        until = time.monotonic() + 60
        while not list(lab.folder.glob("runs/*/mlflow.json")):
            assert judging.poll() is None, judging.communicate()
            assert time.monotonic() < until
            time.sleep(0.01)
        kill()
        _, said = judging.communicate(timeout=90)
    assert judging.returncode == 0, said
    assert f"note MLflow could not be written at {uri}" in said
    check_whole(lab, server)
    with sqlite3.connect(db) as half:
        known = half.execute("SELECT count(*) FROM runs").fetchone()[0]
    half.close()
    assert known <= RUNS + 1
    with served(lab, db, port):
        for _ in range(2):
            done = lab(*mine)
            assert done.code == 0, done.err
            assert "could not be written" not in done.err
            found = shown(uri)
        assert {status for status, _ in found.values()} == {"FINISHED"}
    check_whole(lab, server)


@contextmanager
def served(lab: Lab, db: Path, port: int) -> Iterator[Callable[[], None]]:
    """`mlflow server` on a database, once it answers; gives what kills it and its workers."""
    words = ["--backend-store-uri", f"sqlite:///{db}", "--host", "127.0.0.1", "--port", str(port)]
    artifacts = ["--artifacts-destination", str(lab.folder / "artifacts"), "--workers", "1"]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    started = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", *words, *artifacts],
        cwd=lab.folder,
        env=environment(**quiet),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def kill() -> None:
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait(timeout=20)

    try:
        until = time.monotonic() + 120
        while True:
            with suppress(URLError, ConnectionError, TimeoutError):
                if urlopen(f"http://127.0.0.1:{port}/health", timeout=5).status == 200:
                    break
            assert started.poll() is None
            assert time.monotonic() < until
            time.sleep(0.1)
        yield kill
    finally:
        kill()
