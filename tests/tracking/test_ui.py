from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest
import run_folders as made

from judgelab.errors import UserError
from judgelab.tracking.mlflow import MLflowTracking
from judgelab.tracking.ui import serve


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_lab_without_runs_says_what_to_do(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGELAB_HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"nothing was tracked.*judgelab run"):
        serve(port, "127.0.0.1")


def test_a_port_in_use_is_said(tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGELAB_HOME", str(tmp_path))
    (tmp_path / "mlflow.db").touch()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(UserError, match=f"127.0.0.1:{port}.*--port"):
            serve(port, "127.0.0.1")


@pytest.mark.slow
def test_the_ui_serves_the_lab_and_ends_with_ctrl_c(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGELAB_HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = made.run(tmp_path / "runs", "nearest k=4")
    run_id = MLflowTracking().project([folder], made.DATASET).runs[folder.id]
    # What is started in the background of a shell ignores SIGINT, and its children do.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += f"from judgelab.tracking.ui import serve; serve({port}, '127.0.0.1')"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as served:
        try:
            assert served.stdout is not None
            address = served.stdout.readline()
            assert address.startswith(f"http://127.0.0.1:{port}/#/experiments/1/runs?")
            picture = f"get-artifact?path=confusion.png&run_uuid={run_id}"
            with build_opener(ProxyHandler({})).open(f"http://127.0.0.1:{port}/{picture}") as got:
                assert got.read() == (folder.path / "confusion.png").read_bytes()
        finally:
            served.send_signal(signal.SIGINT)
            try:
                ended = served.wait(20)
            except subprocess.TimeoutExpired:
                served.terminate()
                raise
        assert ended == 0
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return
        time.sleep(0.1)
    pytest.fail("the server is still there")
