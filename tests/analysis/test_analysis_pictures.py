"""The pictures of an analysis: every slice and every cell, the same bytes each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from judgelab.analysis.cuts import Cut
from judgelab.analysis.findings import findings
from judgelab.analysis.slices import Judged
from judgelab.tracking import analyses, pictures
from judgelab.tracking.analysed import analysed
from judgelab.tracking.folder import RunFolder


def found(n: int = 400) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    kinds, tones = rng.choice(["a$b$", "b"], n), rng.choice(["x", "y", "z"], n, p=[0.5, 0.45, 0.05])
    expert = rng.random(n) < np.where(kinds == "b", 0.7, 0.1)
    items = [f"i{k}" for k in range(n)]
    judged = Judged(items, expert, rng.integers(0, 2, n), np.arange(n))
    cuts = [
        Cut(name, dict(zip(items, values.tolist(), strict=True)), tuple(sorted(set(values))))
        for name, values in (("kind", kinds), ("tone", tones))
    ]
    about = {"judge": "nearest · $x$", "dataset": "made", "on": "dev", "look": None, "level": 0.95}
    named = [{"name": one.name, "values": list(one.order)} for one in cuts]
    return about | {"dimensions": named, **findings(judged, cuts, None, 0.95)}


def test_the_same_analysis_gives_the_same_bytes(tmp_path: Path) -> None:
    folders = [RunFolder(tmp_path / name) for name in "ab"]
    for folder in folders:
        folder.write_json("analysis.json", found())
        assert pictures.analysis(folder, found()) == ["slices", "heat"]
    for name in ("slices.png", "slices.svg", "heat.png", "heat.svg"):
        first, second = ((folder.path / name).read_bytes() for folder in folders)
        assert first == second
        assert len(first) > 2000


def test_each_slice_has_its_marks_and_what_is_shown_a_star() -> None:
    figure = analyses.bars(found())
    system, missed, alarms = figure.axes
    names = [label.get_text() for label in system.get_yticklabels()]
    assert [name.partition(" (")[0] for name in names] == [
        "kind:  a\\$b\\$", "b", "tone:  x", "y", "z",
    ]  # fmt: skip
    for axes, rates in ((system, 2), (missed, 1), (alarms, 1)):
        marks = [line for line in axes.lines if line.get_marker() not in ("None", None, "")]
        assert len(marks) == 5 * rates
        assert all(line.get_color() == "black" for line in marks)
    stars = [text for text in system.texts if text.get_text() == "*"]
    assert [round(star.get_position()[1]) for star in stars] == [0, 1]
    assert not missed.texts


def test_small_cells_are_hatched_and_the_others_shaded_by_their_share() -> None:
    made = found()
    system = analyses.heat(made).axes[0]
    assert len(system.patches) == 6
    hatched = [patch for patch in system.patches if patch.get_hatch()]
    small = [row for row in made["pairs"] if row["tests"]["fails"]["few"]]
    assert len(hatched) == len(small) == 2
    shades = {
        round(patch.get_facecolor()[0], 3) for patch in system.patches if not patch.get_hatch()
    }
    values = [row["fails"]["value"] for row in made["pairs"] if row not in small]
    assert shades == {round(1 - analyses.FULL * value, 3) for value in values}


def test_the_report_shows_the_numbers_of_the_file_and_says_where_they_are(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    assert analysed(folder) is None
    made = found() | {"text": ["On dev: <b>"]}
    folder.write_json("analysis.json", made)
    shown = analysed(folder)
    assert shown is not None
    (table,) = shown["tables"]
    assert [row["name"] for row in table["rows"]] == [
        "all", "kind=a$b$", "kind=b", "tone=x", "tone=y", "tone=z",
    ]  # fmt: skip
    rates = table["rows"][2]["cells"]
    assert 'data-from="run/analysis.json#/slices/1/missed"' in rates["missed failures"]
    assert f'value="{made["slices"][1]["missed"]["value"]}"' in rates["missed failures"]
    assert [one["source"][:26] for one in shown["pictures"]] == ["data:image/svg+xml;base64,"] * 2
