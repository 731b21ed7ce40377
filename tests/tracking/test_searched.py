"""The figures of a search: what they hold, from sweeps made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import sweep_folders
from matplotlib.figure import Figure

from judgelab.tracking import pictures, searched
from judgelab.tracking.sweeps import Sweep

KAPPAS = [0.62, 0.6, 0.58, 0.57, 0.33, 0.31, 0.3, 0.28]
RUBRICS = ["mine"] * 4 + ["generic"] * 4  # which is what kappa goes with
AXES = [{"judge.rubric": r, "demos.k": str(2 + n % 2)} for n, r in enumerate(RUBRICS)]


def made(folder: Path, **more: object) -> Sweep:
    options = {"axes": AXES, "selection": {}, "sampler": "tpe", "baselines": 0} | more
    return sweep_folders.sweep(folder, KAPPAS, **options)  # type: ignore[arg-type]


def words(figure: Figure) -> str:
    figure.draw_without_rendering()
    axes = [text.get_text() for one in figure.axes for text in one.get_yticklabels()]
    legends = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    titles = [one.get_title(loc="left") for one in figure.axes]
    return " | ".join([*titles, *axes, *legends])


def test_a_search_and_what_mattered_in_it_are_drawn(tmp_path: Path) -> None:
    names = pictures.of_sweep(made(tmp_path, stopped=2))
    assert names == ["leaderboard", "differences", "history", "importance"]
    assert all((tmp_path / "5eeb5eeb-sweep" / f"{name}.svg").is_file() for name in names)


def test_a_grid_has_no_course_and_few_variants_no_importance(tmp_path: Path) -> None:
    names = pictures.of_sweep(made(tmp_path / "grid", sampler="grid"))
    assert names == ["leaderboard", "differences", "importance"]
    few = sweep_folders.sweep(tmp_path / "few", KAPPAS[1:], axes=AXES[1:], baselines=0)
    assert searched.mattered(few) == {}
    one = [{"judge.rubric": rubric} for rubric in RUBRICS]
    assert searched.mattered(made(tmp_path / "one", axes=one)) == {}


def test_the_best_so_far_only_rises_and_what_was_stopped_has_no_score(tmp_path: Path) -> None:
    sweep = made(tmp_path, stopped=2)
    figure = searched.history(sweep)
    said = words(figure)
    assert "8 of 10 trials scored on dev" in said
    assert "stopped by the race, without a score" in said
    line, *points = figure.axes[0].get_lines()
    values = list(line.get_ydata())
    assert values == sorted(values)
    assert values[-1] == 0.62, "tried last"
    (stopped,) = (one for one in points if one.get_marker() == "x")
    assert list(stopped.get_xdata()) == [1, 2]
    assert max(stopped.get_ydata()) < min(KAPPAS)


def test_what_is_below_a_floor_is_not_the_best_so_far(tmp_path: Path) -> None:
    # The first to be tried would lead for a while.
    sweep = made(tmp_path, selection={"below_floors": {"run07": ["recall_fail .1 under .5"]}})
    line = searched.history(sweep).axes[0].get_lines()[0]
    assert (line.get_xdata()[0], line.get_ydata()[0]) == (2, KAPPAS[6])


def test_the_axis_that_the_scores_go_with_is_told_from_one_without_effect(tmp_path: Path) -> None:
    found = searched.mattered(made(tmp_path))
    assert list(found) == ["judge.rubric", "demos.k"]
    rubric, k = found.values()
    assert rubric.share > 0.95
    assert rubric.share > rubric.chance
    assert rubric.p < 0.05
    assert k.share < k.chance
    assert k.p > 0.3
    said = words(searched.axes_that_matter(made(tmp_path)))
    assert f"{rubric.share:.0%}, p " in said


def test_many_numbers_of_an_axis_are_put_into_parts(tmp_path: Path) -> None:
    many = [{"judge.rubric": r, "demos.k": str(n)} for n, r in enumerate(RUBRICS)]
    many[3].pop("demos.k")  # it has no place for it
    found = searched.mattered(made(tmp_path, axes=many))
    assert found["demos.k"].share < 1, "eight values for eight scores would explain them all"
    assert found["demos.k"].p == pytest.approx(found["demos.k"].p)
