"""Coverage: cells counted right, test closed, and the same cells in the command and the queue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from judgelab.coverage import coverage, hint
from judgelab.data.cells import grid
from judgelab.data.dimensions import Dimensions
from judgelab.metrics.intervals import clustered_wilson, wilson
from judgelab.metrics.unseen import unseen
from judgelab.types import Interaction, Label
from labs import Lab, read_lines, rows, write_rows

DIMENSIONS = Dimensions(
    "own",
    "A tool.",
    {"f": {"a": "one", "b": "two", "c": "three"}, "p": {"x": "four", "y": "five"}},
    [{"f": "c", "p": "y"}],
)
OWN = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl")


def item(id_: str, f: str, p: str) -> Interaction:
    return Interaction(id_, "q", "a", dimensions={"f": f, "p": p})


def test_cells_are_counted_and_empty_and_thin_ones_come_first() -> None:
    items = [item(f"ax{n}", "a", "x") for n in range(9)]
    items += [item("ay", "a", "y"), item("bx0", "b", "x"), item("bx1", "b", "x")]
    items += [item("cy", "c", "y"), item("open", "a", "y")]
    labels: dict[str, Label] = {f"ax{n}": "fail" if n < 3 else "pass" for n in range(6)}
    labels |= {"bx0": "fail", "cy": "pass"}
    closed = ["ax6", "ax7", "ax8", "bx1"]
    found = coverage(grid(items, DIMENSIONS), items, labels, closed, thin=2)
    got = [(r.cell, r.n, r.labelled, r.open, r.fails, r.state, r.odd) for r in found.rows]
    assert got == [
        (("b", "y"), 0, 0, 0, 0, "empty", False),
        (("c", "x"), 0, 0, 0, 0, "empty", False),
        (("a", "y"), 2, 0, 0, 0, "thin", False),
        (("c", "y"), 1, 1, 1, 0, "thin", True),
        (("b", "x"), 2, 2, 1, 1, "", False),
        (("a", "x"), 9, 9, 6, 3, "", False),
    ]
    assert found.rows[-1].interval == wilson(3, 6)
    assert found.rows[0].rate is None
    counts = found.counts
    assert (counts["items"], counts["labelled"], counts["closed"]) == (14, 12, 4)
    assert (counts["impossible"], counts["odd"], counts["empty"], counts["thin"]) == (1, 1, 2, 2)
    backwards = coverage(grid(items, DIMENSIONS), items[::-1], labels, closed[::-1], thin=2)
    assert backwards == found
    assert [row.cell for row in found.first(3)] == [("b", "y"), ("a", "y"), ("c", "y")]


def test_items_that_belong_together_widen_the_rate() -> None:
    items = [item(str(n), "a", "x") for n in range(6)]
    labels: dict[str, Label] = {str(n): "fail" if n < 3 else "pass" for n in range(6)}
    groups = {str(n): "g" if n < 3 else None for n in range(6)}
    row = coverage(grid(items), items, labels, clusters=groups).rows[0]
    assert row.interval == clustered_wilson([3, 0, 0, 0], [3, 1, 1, 1])


def test_failure_modes_are_those_of_open_fails_and_a_conversation_is_one() -> None:
    items = [item(str(n), "a", "x") for n in range(6)]
    labels: dict[str, Label] = {"0": "fail", "1": "fail", "2": "fail", "3": "pass"}
    modes = {"0": ["m"], "1": ["m", "n"], "2": ["o"], "3": ["p"], "4": ["q"], "5": []}
    apart = coverage(grid(items), items, labels, ["4"], modes=modes).unseen
    assert apart == unseen([{"m"}, {"m", "n"}, {"o"}])
    together = coverage(grid(items), items, labels, ["4"], {"1": "g", "2": "g"}, modes=modes).unseen
    assert together == unseen([{"m"}, {"m", "n", "o"}])
    assert apart
    assert hint(apart) == (
        "3 failure modes in 3 failed interactions (a conversation counts once), 2 of them seen "
        "once: the next one shows an unseen mode with probability .67 [0, 1]"
    )
    assert "not known" in hint(unseen([]))


def with_dimensions(n: int) -> list[dict[str, Any]]:
    made = rows(n)
    for at, row in enumerate(made):
        row["dimensions"] = {"f": "abc"[at % 3], "p": "xy"[at % 2]}
    return made


def test_the_sample_is_covered_from_the_command_line(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    done = lab("data", "coverage")
    assert done.code == 0, done.err
    assert "241 cells: 130 empty, 96 thin (fewer than 5 labels); 252 items" in done.out
    assert "47 impossible combinations are left out" in done.out
    assert "101 labels are closed (test)" in done.out
    assert not (tmp_path / "splits").exists(), "a look assigns nobody"
    found = json.loads(lab("data", "coverage", "--by", "feature,persona", "--json").out)
    assert found["counts"] == {
        **{"cells": 44, "impossible": 4, "empty": 2, "thin": 19, "odd": 0},
        **{"items": 252, "labelled": 252, "closed": 101},
    }
    assert found["cells"][0]["cell"] == {"feature": "usage_counts", "persona": "backend_developer"}


def test_the_labels_of_test_are_counted_and_say_nothing(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    data = with_dimensions(150)
    write_rows(tmp_path / "data.jsonl", data)
    run = lab.run(*OWN, "judge=always_fail", "model=none")
    assert run.code == 0
    before = lab("data", "coverage", *OWN, "--json").out
    test = {r["id"] for r in read_lines(lab.runs[0] / "assignment.jsonl") if r["part"] == "test"}
    assert len(test) > 30
    for row in data:
        if row["id"] in test:
            row["label"] = "pass" if row["label"] == "fail" else "fail"
    write_rows(tmp_path / "data.jsonl", data)
    assert lab("data", "coverage", *OWN, "--json").out == before


def test_root_causes_say_how_much_is_unseen(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    data = with_dimensions(150)
    write_rows(tmp_path / "data.jsonl", data)
    assert "unseen" not in lab("data", "coverage", *OWN).out
    fails = [row["id"] for row in data if row["label"] == "fail"]
    named = [{"id": id_, "failure_mode": "late" if n else "odd"} for n, id_ in enumerate(fails)]
    write_rows(tmp_path / "modes.jsonl", named)
    words = ("--as", "modes", "--expert", "ann", "--new-modes")
    taken = lab("data", "import", "modes.jsonl", *words, *OWN)
    assert taken.code == 0, taken.err
    done = lab("data", "coverage", *OWN)
    assert "the next one shows an unseen mode with probability" in done.out
    found = json.loads(lab("data", "coverage", *OWN, "--json").out)["unseen"]
    opened = json.loads(lab("data", "coverage", *OWN, "--json").out)
    assert found["n"] == sum(cell["fails"] for cell in opened["cells"]) < len(fails)


MINE = """\
_target_: judgelab.data.dimensions.Dimensions
name: mine
about: A tool.
dimensions: {f: {a: one, b: two, d: three}}
"""


def test_a_lab_has_dimensions_of_its_own(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    write_rows(tmp_path / "data.jsonl", with_dimensions(12))
    lab.write("conf/dimensions/mine.yaml", MINE)
    done = lab("data", "coverage", *OWN, "dimensions=mine")
    assert done.code == 0, done.err
    assert "1 empty" in done.out
    assert "not in the yaml" in done.out
    assert "conf/dimensions/mine.yaml" in lab("data", "coverage", *OWN).err
    typo = lab("data", "coverage", *OWN, "dimensions=mein")
    assert typo.code == 2
    assert "mine" in typo.message
    bare = rows(4)
    write_rows(tmp_path / "data.jsonl", bare)
    assert "no item has a dimension" in lab("data", "coverage", *OWN).out


@pytest.mark.slow
def test_the_report_of_a_sweep_holds_the_same_cells(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    assert lab.run("-m", "judge=always_fail,always_pass").code == 0
    (page,) = tmp_path.glob("runs/*/report.html")
    text = page.read_text()
    assert "What the data cover" in text
    assert 'data-value="241"' in text or ">241<" in text
    assert "compare_periods" in text
