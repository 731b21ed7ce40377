"""docs/three_rounds.md: its commands are typed, and what stands below each of them is printed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labs import environment

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "three_rounds.md"


def commands() -> Iterator[tuple[str, list[str]]]:
    """Each command of the page with the lines below it."""
    typed, lines = "", list[str]()
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        text = line.removeprefix("    ")
        if text.startswith("$ "):
            if typed:
                yield typed, lines
            typed, lines = text.removeprefix("$ "), []
        elif line.startswith("    ") and typed and text.strip():
            lines.append(text.strip())
    yield typed, lines


@pytest.mark.slow
def test_the_page_prints_what_it_says(tmp_path):
    command = tmp_path / "bin" / "judgelab"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m judgelab.cli "$@"\n')
    command.chmod(0o755)
    path = os.pathsep.join(
        [str(command.parent), str(Path(sys.executable).parent), os.environ["PATH"]]
    )
    lab = tmp_path / "lab"
    lab.mkdir()
    (lab / "scripts").symlink_to(ROOT / "scripts")
    typed = list(commands())
    assert len(typed) == 11
    for words, lines in typed:
        done = subprocess.run(
            ["/bin/sh", "-c", words],
            cwd=lab,
            env=environment(PATH=path, COLUMNS="112"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (words, done.stderr)
        printed = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
        printed, left_out = list(filter(None, printed)), False
        for line in lines:
            if line == "…":
                left_out = True
                continue
            assert line in printed, (words, line)
            at = printed.index(line)
            assert left_out or at == 0, (words, printed[:at], "a line is missing on the page")
            printed, left_out = printed[at + 1 :], False
