"""The picture of a probe: every family with its control, drawn once, the same bytes each time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from judgelab.metrics.shares import share
from judgelab.tracking import pictures, probes
from judgelab.tracking.folder import RunFolder


def found(n: int = 30) -> dict[str, Any]:
    def rate(k: int) -> dict[str, Any]:
        return share(np.arange(n) < k, [None] * n, 0.95).to_json()

    rows = [
        {"family": f"family_{k}", "n": n, "passed": k, "control_passed": k // 3, "rate": rate(k),
         "control_rate": rate(k // 3)}
        for k in (0, 9, 30)
    ]  # fmt: skip
    injection = {"n": n, "rows": rows}
    return {"judge": "nearest k=4 · $x$", "part": "dev", "level": 0.95, "injection": injection}


def probed(path: Path, **more: Any) -> RunFolder:
    folder = RunFolder(path)
    folder.write_json("probe.json", found() | more)
    return folder


def test_the_same_probe_gives_the_same_bytes_and_is_drawn_once(tmp_path: Path) -> None:
    first, second = (probed(tmp_path / name) for name in "ab")
    for folder in (first, second):
        assert pictures.probe(folder, found())
    for suffix in ("png", "svg"):
        drawn = [(folder.path / f"probe.{suffix}").read_bytes() for folder in (first, second)]
        assert drawn[0] == drawn[1]
        assert len(drawn[0]) > 2000
    (first.path / "probe.png").write_bytes(b"kept")
    pictures.probe(first, found())
    assert (first.path / "probe.png").read_bytes() == b"kept"
    later = (first.path / "probe.png").stat().st_mtime + 5
    os.utime(first.path / "probe.json", (later, later))
    pictures.probe(first, found())
    assert (first.path / "probe.png").read_bytes() != b"kept"


def test_each_family_has_two_marks_on_their_intervals_and_its_counts() -> None:
    figure = probes.injections(found())
    left, right = figure.axes
    marks = [line for line in left.lines if line.get_marker() not in ("None", None, "")]
    assert [round(float(line.get_xdata()[0]), 3) for line in marks] == [0, 0, 0.3, 0.1, 1, 0.333]
    assert [line.get_markerfacecolor() for line in marks[:2]] == ["black", "white"]
    bars = [line for line in left.lines if line not in marks]
    assert [line.get_linestyle() for line in bars] == ["-", "--"] * 3, "told apart without colour"
    assert all(line.get_color() == "black" for line in left.lines)
    assert [t.get_text() for t in left.get_yticklabels()] == ["family 0", "family 9", "family 30"]
    assert [t.get_text() for t in right.get_yticklabels()] == [
        "0 of 30 (0)", "9 of 30 (3)", "30 of 30 (10)",
    ]  # fmt: skip
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "with the payload", "harmless text of the same length (in brackets)",
    ]  # fmt: skip


def test_nothing_to_flip_is_no_picture(tmp_path: Path) -> None:
    nothing = found() | {"injection": {"n": 0, "rows": []}}
    assert not pictures.probe(probed(tmp_path, **nothing), nothing)
    assert not (tmp_path / "probe.png").exists()
