"""The benchmark of the pages, over few interactions: every page answers, and is in the table."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from labs import environment

SCRIPTS = Path(__file__).parents[2] / "scripts"


def test_every_page_has_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import bench_pages

    words = ["--items", "60", "--events", "20", "--times", "1"]
    done = subprocess.run(
        [sys.executable, SCRIPTS / "bench_pages.py", *words],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "60 interactions, 20 label events" in done.stdout, done.stderr
    rows = done.stdout.splitlines()[2:-1]
    assert len(rows) == len(bench_pages.PAGES) + 1
    for name in bench_pages.PAGES:
        row = next(row for row in rows if row.startswith(name))
        assert [float(number) > 0 for number in row[len(name) :].split()] == [True] * 3
