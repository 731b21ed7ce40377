"""The picture of a change of the system, and what a report shows of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from judgelab.analysis.claims import fix_claim, fix_in_words
from judgelab.analysis.cuts import Cut
from judgelab.analysis.fixes import Change, few, findings
from judgelab.analysis.pairing import Pairs
from judgelab.analysis.slices import Judged
from judgelab.tracking import changes, pictures
from judgelab.tracking.analysed import changed
from judgelab.tracking.folder import RunFolder

NAMES = ["a$b$_x", "late", "時間範囲が質問されたものと違い、答えが別の期間について書かれている場合"]


def found(n: int = 300, modes: bool = True, right: float = 0.9) -> dict[str, Any]:
    """Half of the failures are fixed, few passes fail now."""
    rng = np.random.default_rng(0)
    expert = rng.random(n) < 0.4
    now = np.where(expert, rng.random(n) < 0.5, rng.random(n) < 0.05)
    before, after = (
        np.where(rng.random(n) < right, one, ~one).astype(np.int64) for one in (expert, now)
    )
    items = [f"i{k}" for k in range(n)]
    judged = Judged(items, expert, before, np.arange(n))
    change = Change(judged, after, np.full(n, -1), np.ones(n, bool), 0.95)
    kinds = {item: "xyz"[min(k % 20, 2)] for k, item in enumerate(items)}
    cuts = [Cut("kind", kinds, ("x", "y", "z")), Cut("tone", dict.fromkeys(items, "t"), ("t",))]
    named = {i: (NAMES[k % 3],) for k, i in enumerate(items) if modes and expert[k] and k % 5}
    about = {"judge": "$x$", "dataset": "made", "on": "dev", "look": None, "exploratory": False,
             "level": 0.95, "file": "new.jsonl", "run": "run"}  # fmt: skip
    pairs = Pairs({}, {}, {}, frozenset(), {}, 0, {})
    made = about | findings(change, cuts, named, pairs)
    made["few"] = few(change, np.ones(n, bool))
    made["claim"] = fix_claim(made)
    return made | {"text": fix_in_words(made)}


def widths(made: dict[str, Any]) -> list[tuple[str, dict[str, float]]]:
    """Of each row its name and how long each kind of bar is, gone to the left."""
    figure = changes.fates(made)
    below = figure.axes[1]
    names = [label.get_text() for label in below.get_yticklabels()]
    rows: list[tuple[str, dict[str, float]]] = [(name, {}) for name in names]
    hatched = {None: "", "/////": "new"}
    for bar in below.patches:
        shade = round(bar.get_facecolor()[0], 2)
        kind = hatched[bar.get_hatch()] or {0: "stays", 0.85: "untold_fail", 1: "gone"}[shade]
        row = rows[round(bar.get_y() + bar.get_height() / 2)][1]
        row[kind] = bar.get_width()
        assert (bar.get_x() < 0) == (kind == "gone")
        assert (bar.get_x() + bar.get_width() <= 0) == (kind == "gone")
    return rows


def test_a_bar_a_root_cause_the_most_frequent_first() -> None:
    made = found()
    rows = widths(made)
    by_name = {row["mode"]: row for row in made["causes"]}
    assert [name for name, _ in rows][-1] == "(not classified)"
    counts = [by_name[name]["n"] for name in (None, *NAMES)]
    assert min(counts) > 0
    sizes = [sum(bars.values()) for _, bars in rows[:-1]]
    assert sizes == sorted(sizes, reverse=True)
    wanted = {kind: by_name["late"][kind] for kind in changes.KINDS if by_name["late"][kind]}
    assert dict(rows)["late"] == wanted
    assert {name for name, _ in rows} >= {"a\\$b\\$_x"}
    (wide,) = (name for name, _ in rows if "時" in name)
    assert max(map(len, wide.split("\n"))) <= 19, "letters of double width"


def test_without_root_causes_a_bar_a_value_and_pale_where_there_are_few() -> None:
    made = found(modes=False, right=1)
    assert [name for name, _ in widths(made)] == ["x (15)", "y (15)", "z (270)"]
    below = changes.fates(made).axes[1]
    assert [label.get_color() for label in below.get_yticklabels()] == [
        changes.FAINT, changes.FAINT, "black",
    ]  # fmt: skip
    digits = changes.fates(made).axes[3].get_yticklabels()
    assert [text.get_text()[-1] for text in digits] == ["]", "]", "*"]
    one = made | {"slices": []}
    assert [name for name, _ in widths(one)] == ["all (300)"]


@pytest.mark.parametrize(
    ("n", "right", "marks"),
    [(300, 0.9, ["black", "black"]), (20, 1, ["white", "white"]), (300, 0.5, ["black", "white"])],
)
def test_the_share_failing_is_hollow_where_it_is_of_few_or_not_corrected(
    n: int, right: float, marks: list[str]
) -> None:
    made = found(n, right=right)
    above = changes.fates(made).axes[0]
    drawn = [line for line in above.lines if line.get_marker() not in ("None", None, "")]
    assert [line.get_markerfacecolor() for line in drawn] == marks
    (_, now) = (label.get_text() for label in above.get_yticklabels())
    assert ("not corrected" in now) == (made["corrected_after"]["value"] is None)
    assert ("not corrected" in now) == (right == 0.5)
    shown = drawn[1].get_xdata()[0]
    assert shown == made["judge_after" if right == 0.5 else "corrected_after"]["value"]


def test_nothing_failing_is_a_picture_too() -> None:
    made = found(modes=False)
    none = dict.fromkeys(made["states"], 0)
    made |= {"states": none, "slices": [row | {"states": none} for row in made["slices"]]}
    assert all(not bars for _, bars in widths(made))


def test_the_report_shows_the_numbers_of_the_file_and_the_same_picture(tmp_path: Path) -> None:
    assert changed(RunFolder(tmp_path / "run")) is None
    made = found()
    for name in ("run", "again"):
        folder = RunFolder(tmp_path / name)
        folder.write_json("after.json", made)
        shown = changed(folder)
        assert shown is not None
    for kind in ("png", "svg"):
        first, second = ((tmp_path / n / f"after.{kind}").read_bytes() for n in ("run", "again"))
        assert first == second
    shown = changed(RunFolder(tmp_path / "run"))
    assert shown is not None
    assert shown["text"] == made["text"]
    slices, causes = shown["tables"]
    assert [(row["name"], row["pale"]) for row in slices["rows"]] == [
        ("all", False), ("kind=x", True), ("kind=y", True), ("kind=z", False), ("tone=t", False),
    ]  # fmt: skip
    cells = slices["rows"][3]["cells"]
    assert 'data-from="run/after.json#/slices/2/states/gone"' in cells["gone"]
    assert f'value="{made["slices"][2]["states"]["gone"]}"' in cells["gone"]
    assert 'data-from="run/after.json#/slices/2/holm"' in cells["p, Holm"]
    assert slices["rows"][1]["cells"]["p, Holm"] == ""
    assert 'data-from="run/after.json#/by_judge/p"' in slices["rows"][0]["cells"]["p, Holm"]
    assert [row["name"] for row in causes["rows"]] == [
        row["mode"] or "(not classified)" for row in made["causes"]
    ]
    assert f'value="{made["causes"][0]["new"]}"' in causes["rows"][0]["cells"]["new"]
    assert shown["pictures"][0]["source"] == pictures.inline(RunFolder(tmp_path / "run"), "after")
