"""What is shown while an optimizer works: how much of its budget is used, and the best so far."""

from __future__ import annotations

import asyncio
import io
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from test_demo_search import node, sample
from test_threshold import NODE, sets

from judgelab.calls.line import Calls
from judgelab.calls.pool import Pool
from judgelab.commands import progress, show
from judgelab.optimizers.demo_search import DemoSearch
from judgelab.optimizers.threshold import Threshold
from judgelab.runner import QUIET
from labs import Lab, environment

__all__ = ["sample"]  # a fixture

Told = list[tuple[int, int, str]]


def test_a_search_says_how_far_it_is(sample: Any) -> None:
    told: Told = []
    search = DemoSearch(budget=300)
    search.watch = lambda *about: told.append(about)
    (fold,) = sample.folds("dev")
    found = asyncio.run(search.improve(node(), fold.train, sample.dev(), Calls(Pool())))
    used = [one for one, *_ in told]
    assert used == sorted(used)
    assert set(range(1, max(used) + 1)) == set(used), "every answer"
    assert max(used) == found.story["answers"] <= 300
    assert {of for _, of, _ in told} == {300}, "what is kept back for dev is of the budget"
    assert told[0][2] == ""
    best = max(row["metric"] for row in found.story["on_dev"])
    assert told[-1][2].replace("kappa .", "kappa 0.") == f"kappa {best:.2f}"


def test_a_threshold_says_how_far_it_is(tmp_path: Path) -> None:
    told: Told = []
    made = Threshold()
    made.watch = lambda *about: told.append(about)
    train, dev = sets([("fail", "fail", 0.9, "fail"), ("pass", "pass", 0.8, "pass")], tmp_path)
    asyncio.run(made.improve(NODE, train, dev, Calls(Pool())))
    assert told == [(n, 4, "") for n in (1, 2, 3, 4)]


def test_bars_are_shown_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, highlight=False)
    monkeypatch.setattr(show, "err", console)
    variant: Any = SimpleNamespace(name="nearest [k=8]")
    with progress.progress(10, Pool()) as bars:
        bars.improving(variant, 7, 300, "")
        bars.improving(variant, 300, 300, "kappa .41")
        time.sleep(0.25)  # a picture is drawn ten times a second
        bars.improved(variant)
        bars(variant, None)  # type: ignore[arg-type]
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    assert "optimizing nearest [k=8]" in text
    assert "300/300 answers · best kappa .41" in text
    assert "/10 verdicts · 0 calls · $0.0000" in text
    assert screen.getvalue().rstrip().endswith("\x1b[2K"), "nothing of it stays"
    QUIET.improving(variant, 1, 2, "")


def test_where_nobody_looks_on_nothing_is_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(show, "err", Console(file=screen, force_terminal=False))
    with progress.progress(10, Pool()) as bars:
        bars.improving(SimpleNamespace(name="a"), 1, 2, "")  # type: ignore[arg-type]
    assert screen.getvalue() == ""


@pytest.mark.slow
def test_ctrl_c_in_a_terminal_leaves_a_clean_screen(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    ours, theirs = pty.openpty()
    words = ("run", "tracking=none", "optimizer=demo_search", "optimizer.budget=90000")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-m", "judgelab.cli", *words],
        cwd=lab.folder, env=environment(TERM="xterm"), stdout=subprocess.DEVNULL, stderr=theirs,
    )  # fmt: skip
    signal.signal(signal.SIGINT, before)
    os.close(theirs)
    screen, sent, deadline = "", False, time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                screen += os.read(ours, 65536).decode(errors="replace")
            except OSError:  # the other end is closed
                break
        if not sent and re.search(r"\d/90000\S* answers · best kappa", screen):
            process.send_signal(signal.SIGINT)
            sent = True
    os.close(ours)
    assert process.wait(30) == 130
    assert sent
    assert "Traceback" not in screen
    assert screen.rindex("\x1b[?25h") > screen.rindex("\x1b[?25l"), "the cursor is back"
    assert "interrupted. What is answered is kept" in screen[screen.rindex("\x1b[?25h") :]
