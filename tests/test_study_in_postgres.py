"""A study that PostgreSQL keeps: killed, taken up again, and its password nowhere."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import judgelab
from judgelab.errors import ConfigError
from judgelab.search import Space
from judgelab.study import Study
from labs import Lab

PASSWORD = "Zq7wXk93LmPt5Rv"
OTHER = "Zq7wXk93LmPt5Rw"
WORDS = (
    "run", "-m", "tracking=none", "search=tpe", "search.trials=14", "search.parallel=1",
    "demos=none,random,nearest", "demos.k=interval(1,8)", "limit=40", "baselines=[]",
    "search.floors.recall_fail=null",
)  # fmt: skip


def _programs() -> Path | None:
    found = shutil.which("pg_ctl")
    there = [Path(found)] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    return there[-1].parent if there else None


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A cluster of its own on loopback; PostgreSQL refuses to be run by root."""
    programs, driver = _programs(), find_spec("psycopg")
    if programs is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    if driver is None:
        pytest.skip("no driver of PostgreSQL is installed (pip install 'psycopg[binary]')")
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        user = "postgres" if os.geteuid() == 0 else None
        if user:
            shutil.chown(folder, user)
        secret = Path(folder) / "secret"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])

        def do(program: str, *words: str) -> None:
            command = [str(programs / program), "-D", f"{folder}/data", *words]
            quiet = subprocess.DEVNULL
            subprocess.run(command, user=user, check=True, stdout=quiet, cwd=folder)

        do("initdb", "-A", "scram-sha-256", "-U", "me", "--pwfile", str(secret))
        secret.unlink()
        options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder}"
        do("pg_ctl", "-o", options, "-l", f"{folder}/log", "-w", "start")
        try:
            yield port
        finally:
            do("pg_ctl", "-m", "immediate", "-w", "stop")


def url(port: int, password: str = PASSWORD) -> str:
    return f"postgresql+psycopg://me:{password}@127.0.0.1:{port}/postgres"


@pytest.mark.slow
def test_a_study_that_was_killed_goes_on_and_its_password_is_nowhere(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, kept = Lab(tmp_path / "whole"), Lab(tmp_path / "kept")
    assert whole(*WORDS).code == 0
    driver = find_spec("psycopg")
    assert driver is not None
    assert driver.origin
    paths = (Path(judgelab.__file__).parents[1], Path(driver.origin).parents[1])
    words = (*WORDS, "search.storage=env:STUDY_URL")
    process = kept.start(*words, STUDY_URL=url(port), PYTHONPATH=os.pathsep.join(map(str, paths)))
    deadline = time.monotonic() + 120
    while len(list(kept.folder.glob("runs/*/scores.json"))) < 5:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    said = list(process.communicate(timeout=60))
    assert process.returncode == -9

    monkeypatch.setenv("STUDY_URL", url(port))
    done = kept(*words)
    assert done.code == 0, done.err
    assert set(kept.records) == set(whole.records), "as if never stopped"
    assert len(list(kept.folder.glob("runs/*-sweep"))) == 1

    monkeypatch.setenv("STUDY_URL", url(port, OTHER))
    refused = kept(*words)
    assert refused.code == 3
    assert "search.storage=env:STUDY_URL: the database cannot be used" in refused.message
    assert "password authentication failed" in refused.message
    said += [done.out, done.err, refused.out, refused.err]
    said += [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    assert len(said) > 50
    assert not any(PASSWORD[:-1] in text for text in said)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"postgresql+nodriver://me:{PASSWORD}@127.0.0.1:1/x", "no URL of a database"),
        (f"postgresql+asyncpg://me:{PASSWORD}@127.0.0.1:1/x", r"pip install 'psycopg\[binary\]'"),
        (f"me:{PASSWORD}@127.0.0.1", "no URL of a database"),
    ],
)
def test_what_is_missing_is_said_without_the_password(
    monkeypatch: pytest.MonkeyPatch, url: str, said: str
) -> None:
    monkeypatch.setenv("STUDY_URL", url)
    monkeypatch.setitem(sys.modules, "asyncpg", None)  # as where it is not installed
    study = Study(Space([], {}), 1, seed=0, name="a", storage="env:STUDY_URL")
    with pytest.raises(ConfigError, match=said) as raised:
        next(study.ask())
    assert PASSWORD not in str(raised.value)
    assert "search.storage=env:STUDY_URL: " in str(raised.value)
