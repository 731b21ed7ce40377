"""The simulations of scripts/check_statistics.py, at a small size, and their table in the docs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from labs import environment

ROOT = Path(__file__).parents[1]
DOCS = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script as a module."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import check_statistics

    return check_statistics


def told(script: Any, names: list[str], runs: int) -> list[Any]:
    """Rows that do not hold."""
    rows = list(script.rows(names, runs))
    assert rows
    return [row.cells for row in rows if not row.held]


@pytest.mark.slow
def test_the_command_prints_a_table_of_exact_rows_that_stands_in_the_docs() -> None:
    command = [sys.executable, ROOT / "scripts" / "check_statistics.py", "--only", "proportions"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if "exact" in line]
    assert len(rows) == 7
    assert [row for row in rows if row not in DOCS.splitlines()] == []


def test_a_row_that_does_not_hold_is_seen(script: Any) -> None:
    seen = script.Seen("a place", 1000, 0.89, 0.0)
    (row,) = script.summed("kappa", "", [seen])
    assert not row.held
    assert row.cells[-1] == "**no**"
    (wide,) = script.summed("kappa", "", [script.Seen("a place", 1000, 1.0, 0.0)])
    assert not wide.held
    (fine,) = script.summed("kappa", "", [script.Seen("a place", 1000, 0.945, 0.0)])
    assert fine.held


def test_every_promise_of_the_docs_is_held() -> None:
    rows = [line for line in DOCS.splitlines() if line.startswith("| ")]
    assert len(rows) > 40
    assert [row for row in rows if "**no**" in row] == []


def test_an_unknown_check_is_one_message() -> None:
    command = [sys.executable, ROOT / "scripts" / "check_statistics.py", "--only", "nothing"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "choose of proportions, scorecard" in done.stderr


@pytest.mark.slow
def test_every_promise_holds_at_a_small_size(script: Any) -> None:
    assert told(script, list(script.CHECKS), script.QUICK) == []
