"""`judgelab ui`: MLflow's own UI on this lab."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from judgelab.errors import UserError
from judgelab.tracking import view
from judgelab.tracking.store import ENVIRONMENT, artifacts, database, prepare, shown

PATIENCE = 90.0  # seconds until the server has to listen; the first start takes about ten
GRACE = 5.0


def serve(port: int, host: str) -> None:
    """Serve until interrupted; the address is printed once it answers.

    Raises:
        UserError: no mlflow.db in the lab, the port is taken, or the server does not come up.
    """
    db = database()
    if not db.is_file():
        there = os.environ.get("MLFLOW_TRACKING_URI", "")
        raise UserError(
            f"there is no {db}: nothing was tracked in this lab yet. Start with: judgelab run"
            + (f". MLFLOW_TRACKING_URI is {shown(there)}: the runs are there." if there else "")
        )
    _check_free(host, port)
    try:
        _run(db, host, port)
    except KeyboardInterrupt:
        print("\nMLflow is stopped; the runs stay in mlflow.db.", file=sys.stderr)


def _run(db: Path, host: str, port: int) -> None:
    base = f"http://{_spoken(host)}:{port}/"
    with tempfile.TemporaryFile("w+") as log, _server(db, host, port, log) as server:
        print(f"MLflow is starting on {db} ...", file=sys.stderr, flush=True)
        _wait(server, base, log)
        print(f"{base}{_opening(db)}", flush=True)
        print("Ctrl-C ends it.", file=sys.stderr, flush=True)
        server.wait()
        raise UserError(f"MLflow's server ended by itself:\n{_tail(log)}")


def _check_free(host: str, port: int) -> None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise UserError(
            f"cannot listen on {host}:{port} ({error.strerror or error}): another program has the "
            "port, or the host is not this machine's. Choose another: judgelab ui --port PORT"
        ) from error


@contextmanager
def _server(db: Path, host: str, port: int, log: IO[str]) -> Iterator[subprocess.Popen[bytes]]:
    """The server in a process group of its own, so that its workers end with it."""
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{db}"]
    command += ["--artifacts-destination", artifacts(db).as_uri()]
    command += ["--host", host, "--port", str(port)]
    # With the job executor, which nothing here needs, the server may never come to listen.
    settings = {**ENVIRONMENT, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    server = subprocess.Popen(
        command,
        cwd=db.parent,
        env={**os.environ, **settings},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    before = signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        yield server
    finally:
        signal.signal(signal.SIGTERM, before)
        _end(server)


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _end(server: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, number)
        except ProcessLookupError:
            return
        try:
            server.wait(GRACE)
        except subprocess.TimeoutExpired:
            continue


def _wait(server: subprocess.Popen[bytes], base: str, log: IO[str]) -> None:
    straight = build_opener(ProxyHandler({}))
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if server.poll() is not None:
            raise UserError(f"MLflow's server did not start:\n{_tail(log)}")
        try:
            with straight.open(f"{base}health", timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    raise UserError(f"MLflow's server did not answer within {PATIENCE:.0f} s:\n{_tail(log)}")


def _opening(db: Path) -> str:
    """The runs table of the experiment that was used last, with the columns to compare by."""
    prepare(f"sqlite:///{db}")
    from mlflow import MlflowClient

    known = MlflowClient(f"sqlite:///{db}").search_experiments(order_by=["last_update_time DESC"])
    ours = (experiment for experiment in known if view.VIEW_KEY in experiment.tags)
    newest = next(ours, None)
    return view.address(newest.experiment_id) if newest else ""


def _spoken(host: str) -> str:
    """The host as a browser on this machine says it."""
    if host in ("0.0.0.0", "::", ""):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _tail(log: IO[str]) -> str:
    log.seek(0)
    return "".join(log.readlines()[-12:]).strip()
