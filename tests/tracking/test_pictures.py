from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import run_folders as made
import sweep_folders
from sweep_folders import metric

from judgelab.tracking import costs, pictures, plots
from judgelab.tracking.folder import RunFolder
from judgelab.tracking.sweeps import Sweep
from labs import at_once

KAPPAS = [0.61, 0.55, 0.5, 0.2, None, 0.0]
USD = [0.5, 0.01, 0.02, 0.3, 0.1, 0.0]
ROUNDS = [
    {"round": 1, "n": 30, "agreement": metric(0.7), "kappa": metric(0.4)},
    {"round": 2, "n": 40, "agreement": metric(0.8), "kappa": metric(None)},
    {"round": 3, "n": 50, "agreement": metric(0.82), "kappa": metric(0.6)},
]


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return sweep_folders.sweep(tmp_path, KAPPAS, usd=USD, selection={})


def test_the_same_scores_give_the_same_bytes(tmp_path: Path) -> None:
    folders = [made.run(tmp_path / place, "nearest k=4", wrong=[0]) for place in ("a", "b")]
    for folder in folders:
        pictures.confusion(folder)
    sweeps = [
        sweep_folders.sweep(tmp_path / place, KAPPAS, usd=USD, selection={}, rounds=ROUNDS)
        for place in "ab"
    ]
    for sweep in sweeps:
        assert pictures.of_sweep(sweep) == ["leaderboard", "differences", "cost", "rounds"]
    names = ("leaderboard", "differences", "cost", "rounds")
    drawn = [(name, [sweep.folder for sweep in sweeps]) for name in names]
    for name, there in [("confusion", folders), *drawn]:
        _same(name, there)


def _same(name: str, folders: Sequence[RunFolder]) -> None:
    for suffix in (".png", ".svg"):
        first, second = ((folder.path / f"{name}{suffix}").read_bytes() for folder in folders)
        assert first == second
        assert len(first) > 2000


def test_a_picture_is_drawn_again_only_where_the_scores_are_newer(tmp_path: Path) -> None:
    folder = made.run(tmp_path, "nearest k=4")
    pictures.confusion(folder)
    picture = folder.path / "confusion.png"
    picture.write_bytes(b"kept")
    pictures.confusion(folder)
    assert picture.read_bytes() == b"kept"
    later = picture.stat().st_mtime + 5
    os.utime(folder.path / "scores.json", (later, later))
    pictures.confusion(folder)
    assert picture.read_bytes() != b"kept"


def test_two_processes_may_draw_the_same_picture(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from judgelab.tracking import pictures\n"
        "from judgelab.tracking.folder import RunFolder\n"
        "folder, mine = RunFolder(Path(sys.argv[1])), sys.argv[2].encode() * 200_000\n"
        "for _ in range(200): pictures._write(folder, 'confusion.png', mine)"
    )
    at_once(code, tmp_path)
    (picture,) = tmp_path.iterdir()
    assert len(picture.read_bytes()) == 200_000
    assert len(set(picture.read_bytes())) == 1


def test_an_incomplete_run_has_no_picture(tmp_path: Path) -> None:
    folder = made.run(tmp_path, "nearest k=4", complete=False)
    pictures.confusion(folder)
    assert not (folder.path / "confusion.png").exists()


def test_the_matrix_has_experts_rows_judges_columns_and_abstentions_where_there_are(
    tmp_path: Path,
) -> None:
    folder = made.run(tmp_path, "nearest k=4", wrong=[0])
    card = folder.scores
    texts = _texts(pictures._confusion(card, folder.record))
    assert texts == ["3\n75%", "1\n25%\nmissed failures", "0\n0%\nfalse alarms", "4\n100%"]

    card["confusion"] |= {"fn": 0, "abstained_fail": 1}
    texts = _texts(pictures._confusion(card, folder.record))
    assert texts[1:3] == ["0\n0%\nmissed failures", "1\n25%"]
    assert len(texts) == 6


def _texts(figure: object) -> list[str]:
    """What stands in the cells, row by row."""
    (axes,) = figure.axes  # type: ignore[attr-defined]
    said = [text.get_text() for text in axes.texts]
    return [f"{count}\n{share}" for count, share in zip(said[::2], said[1::2], strict=True)]


def test_a_sweeps_pictures_are_drawn_again_only_where_it_has_changed(sweep: Sweep) -> None:
    pictures.of_sweep(sweep)
    picture = sweep.folder.path / "differences.svg"
    picture.write_bytes(b"kept")
    pictures.of_sweep(sweep)
    assert picture.read_bytes() == b"kept"
    later = picture.stat().st_mtime + 5
    os.utime(sweep.folder.path / "sweep.json", (later, later))
    pictures.of_sweep(sweep)
    assert picture.read_bytes() != b"kept"


def test_only_what_there_is_to_see_is_drawn(tmp_path: Path) -> None:
    free = sweep_folders.sweep(tmp_path / "a", KAPPAS, selection={"pairs": []}, rounds=ROUNDS[:1])
    assert pictures.of_sweep(free) == ["leaderboard"]
    older = sweep_folders.sweep(tmp_path / "b", KAPPAS, usd=USD)
    assert pictures.of_sweep(older) == ["leaderboard", "cost"]
    assert not (older.folder.path / "differences.png").exists()
    assert not (free.folder.path / "rounds.png").exists()


def test_the_forest_has_the_best_on_top_its_numbers_and_the_marks(sweep: Sweep) -> None:
    figure = plots.forest(sweep)
    axes, right = figure.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == [f"nearest k={n} · critique" for n in (0, 1, 2, 3, 5, 4)]
    low, high = axes.get_ylim()
    assert low > high  # the first row is the highest
    said = [label.get_text() for label in right.get_yticklabels()]
    assert said[0] == ".61 [.46, .76]"
    assert said[-1] == "undefined"
    assert _marks(axes) == [
        (0.61, "D", "black"),  # chosen
        (0.55, "o", "black"),  # in the set of the best
        (0.5, "v", "white"),  # below a floor
        (0.2, "o", "white"),
        (0.0, "s", "white"),  # a baseline
    ]
    lines = {line.get_linestyle() for line in axes.lines if len(line.get_xdata()) == 2}
    assert {"-", "--", ":", "-."} <= lines  # interval, baseline, below a floor, ceiling
    (band,) = [patch for patch in axes.patches if patch.get_hatch()]
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((0.58, 0.93))
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [
        "chosen",
        "cannot be told apart from the best",
        "other variant",
        "below a floor",
        "baseline",
        "human against human (42 items)",
    ]


def test_without_a_selection_nothing_is_marked_as_chosen(tmp_path: Path) -> None:
    older = sweep_folders.sweep(tmp_path, [0.6, 0.5, 0.0], ceiling=None)
    figure = plots.forest(older)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["variant", "baseline"]
    assert _marks(figure.axes[0]) == [
        (0.6, "o", "white"),
        (0.5, "o", "white"),
        (0.0, "s", "white"),
    ]


def test_many_rows_leave_room_for_the_chosen_one_and_the_baselines(tmp_path: Path) -> None:
    kappas = [0.9 - n / 100 for n in range(60)]
    far = sweep_folders.sweep(tmp_path, kappas, baselines=2, selection={"chosen": "run55"})
    figure = plots.forest(far)
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(names) == plots.SHOWN
    assert [name.split()[1] for name in names[-4:]] == ["k=36", "k=55", "k=58", "k=59"]
    assert "40 of 60 runs" in figure.axes[0].get_title(loc="left")


def test_differences_are_against_the_reference_with_zero_and_the_margin(sweep: Sweep) -> None:
    figure = plots.differences(sweep)
    axes = figure.axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == [f"nearest k={n} · critique" for n in (1, 2, 3, 5)]
    assert [x for x, *_ in _marks(axes)] == pytest.approx([-0.06, -0.11, -0.41, -0.61])
    upright = {
        line.get_xdata()[0]: line.get_linestyle()
        for line in axes.lines
        if list(line.get_ydata()) == [0, 1]  # from the bottom to the top of the axes
    }
    assert upright == {0: "-", -0.05: ":"}
    assert "Against nearest k=0 · critique, on the same 101 items" in axes.get_title(loc="left")


def test_the_metric_is_the_declared_one(tmp_path: Path) -> None:
    there = sweep_folders.sweep(tmp_path, [0.6, 0.5, 0.1], selection={"metric": "recall_fail"})
    assert "recall of fail" in plots.forest(there).axes[0].get_xlabel()
    assert "recall of fail" in plots.differences(there).axes[0].get_xlabel()


def test_the_cost_line_is_of_those_that_none_beats(sweep: Sweep) -> None:
    axes = costs.cost(sweep).axes[0]
    assert axes.get_xscale() == "log"
    (line,) = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
    # The free baseline stands left of the cheapest; the dear one at .5 is the best.
    assert list(line.get_ydata()) == [0.0, 0.55, 0.61]
    assert list(line.get_xdata()) == pytest.approx([0.01 / 4, 0.01, 0.5])
    assert axes.get_xlabel().splitlines() == [
        "USD for 101 items",
        "1  nearest k=5 · critique",
        "2  nearest k=1 · critique",
        "3  nearest k=0 · critique",
    ]


def test_costs_that_are_alike_have_a_plain_axis(tmp_path: Path) -> None:
    there = sweep_folders.sweep(tmp_path, [0.6, 0.5, 0.0], usd=[0.2, 0.1, 0.0])
    axes = costs.cost(there).axes[0]
    assert axes.get_xscale() == "linear"
    assert min(x for x, *_ in _marks(axes)) == 0


def test_a_round_without_kappa_breaks_its_line(tmp_path: Path) -> None:
    axes = plots.rounds(ROUNDS).axes[0]
    agreement, kappa = (line for line in axes.lines if line.get_label() in ("agreement", "kappa"))
    assert list(agreement.get_ydata()) == [0.7, 0.8, 0.82]
    assert [math.isnan(value) for value in kappa.get_ydata()] == [False, True, False]
    assert [t.get_text() for t in axes.get_xticklabels()][1] == "round 2\n40 items"


@pytest.mark.parametrize(
    "name",
    [
        '<script>alert("x")</script> & -->',
        "a $cost$ of $2",
        "日本語 · k=4",
        "\x00\x1b[31m\ud800",
        "w" * 300,
    ],
)
def test_any_name_can_be_drawn(tmp_path: Path, name: str) -> None:
    names = [name.replace("\ud800", "\\ud800")] * 2
    there = sweep_folders.sweep(tmp_path, [0.6, 0.5, 0.0], names=names, usd=USD, selection={})
    for picture in pictures.of_sweep(there):
        drawing = there.folder.path / f"{picture}.svg"
        tree = ElementTree.parse(drawing)
        tags = {element.tag.partition("}")[2] for element in tree.iter()}
        assert "script" not in tags
        assert "<script" not in drawing.read_text()


def test_a_long_name_keeps_both_ends() -> None:
    name = "balanced k=4 · " + "x" * 90 + " · mine"
    short = plots.short(name)
    assert len(short) == 2 * plots.LINE
    assert short.startswith("balanced k=4 · x")
    assert short.endswith("x · mine")


def _marks(axes: Any) -> list[tuple[float, str, str]]:
    """(x, marker, fill) of each single mark, from the top row down."""
    marks = [line for line in axes.lines if len(line.get_xdata()) == 1]
    rows = sorted(marks, key=lambda line: line.get_ydata()[0] if axes.yaxis_inverted() else 0)
    return [
        (float(line.get_xdata()[0]), line.get_marker(), line.get_markerfacecolor()) for line in rows
    ]


def test_one_below_a_floor_may_be_in_the_set_of_the_best(tmp_path: Path) -> None:
    there = sweep_folders.sweep(tmp_path, KAPPAS, selection={}, set_size=3)
    figure = plots.forest(there)
    assert (0.5, "v", "black") in _marks(figure.axes[0])
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "below a floor, cannot be told apart from the best" in legend


STORY = {
    "recall": 0.9,
    "n": 20,
    "fails": 8,
    "chosen": {"threshold": 0.7, "handed": 0.5, "usd": 0.01, "recall_fail": 0.9, "kappa": 0.6},
    "curve": [
        {"threshold": 0.5, "handed": 0.0, "usd": 0.0, "recall_fail": 0.5, "kappa": None},
        {"threshold": 0.7, "handed": 0.5, "usd": 0.01, "recall_fail": 0.9, "kappa": 0.6},
        {"threshold": 1.01, "handed": 1.0, "usd": 0.02, "recall_fail": 1.0, "kappa": 0.8},
    ],
}


def test_the_curve_of_a_cascade_holds_its_points_and_the_chosen_one() -> None:
    (axes,) = plots.handing_over(STORY).axes
    recall, kappa, chosen, asked = axes.get_lines()
    assert list(recall.get_xdata()) == list(kappa.get_xdata()) == [0.0, 0.5, 1.0]
    assert list(recall.get_ydata()) == [0.5, 0.9, 1.0]
    assert math.isnan(kappa.get_ydata()[0])
    assert (chosen.get_xdata(), chosen.get_ydata()) == ([0.5], [0.9])
    assert set(asked.get_ydata()) == {0.9}
    assert len({line.get_linestyle() for line in (recall, kappa)}) == 2


def test_a_cascade_is_drawn_where_there_is_a_curve_and_the_same_each_time(tmp_path: Path) -> None:
    folders = [made.run(tmp_path / place, "cascade") for place in ("a", "b")]
    pictures.cascade(folders[0])
    assert not (folders[0].path / "cascade.png").exists()
    for folder in folders:
        folder.write_json("optimizer.json", {"story": STORY})
        pictures.cascade(folder)
    _same("cascade", folders)
    (folders[0].path / "cascade.png").write_bytes(b"kept")
    pictures.cascade(folders[0])
    assert (folders[0].path / "cascade.png").read_bytes() == b"kept"
