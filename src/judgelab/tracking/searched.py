"""The figures of a search: its course, and which of its axes mattered."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from judgelab.metrics.names import named
from judgelab.scoring import short as digits
from judgelab.tracking.folder import RunFolder
from judgelab.tracking.plots import bare, beside, mark, short, style, title
from judgelab.tracking.plots import legend as marks
from judgelab.tracking.sweeps import Sweep

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from judgelab.metrics.variance import Explained

FEWEST = 8  # finished variants from which it is said what an axis explains
PARTS = 4  # into which the numbers of an axis are put where they are many
NOTHING = "–"  # an axis that a variant has no place for


def drawn(sweep: Sweep) -> bool:
    """Whether the variants were tried one after another, so that there is a course to show."""
    return sweep.about.get("sampler", "grid") != "grid" and bool(_scored(sweep))


def history(sweep: Sweep) -> Figure:
    """Every trial's score in the order of the trials, and the best so far; stopped ones apart."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7.2, 4.0), layout="constrained")
    axes = figure.add_subplot()
    trials = [sweep.run(id_) for id_ in sweep.about["tried"]]
    scored = {n: run for n, run in enumerate(trials, 1) if run is not None and _value(sweep, run)}
    values = {n: run.scores["metrics"][sweep.metric]["value"] for n, run in scored.items()}
    floor = sweep.selection.get("below_floors") or {}
    best, line = -math.inf, []
    for n, value in values.items():
        best = best if scored[n].id in floor else max(best, value)
        line.append((n, best))
    steps = [(n, value) for n, value in line if value > -math.inf]
    if steps:
        steps.append((len(trials), steps[-1][1]))
        axes.plot(*zip(*steps, strict=True), drawstyle="steps-post", color="black", lw=1,
                  zorder=1)  # fmt: skip
    for n, run in scored.items():
        mark(axes, (n, values[n]), style(sweep, run))
    low = axes.get_ylim()[0]
    stopped = [n for n, run in enumerate(trials, 1) if run is not None and run.stopped]
    more = []
    if stopped:
        more += axes.plot(stopped, [low] * len(stopped), "x", color="black", ms=6,
                          label="stopped by the race, without a score", clip_on=False)  # fmt: skip
    axes.set_xlim(0.3, len(trials) + 0.7)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial (line: the best so far that meets the floors)")
    axes.set_ylabel(named(sweep.metric))
    title(axes, f"The course of the search: {len(scored)} of {len(trials)} trials scored on "
                f"{sweep.ranked[0].record['part']}")  # fmt: skip
    bare(axes, "top", "right")
    marks(figure, [style(sweep, run) for run in scored.values()], more)
    return figure


def mattered(sweep: Sweep) -> dict[str, Explained]:
    """What each axis explains by itself, the surest first; empty where too few are finished."""
    runs = _scored(sweep)
    varying = [key for key in sweep.about.get("axes") or {} if len(set(_of(runs, key))) > 1]
    if len(runs) < FEWEST or len(varying) < 2:
        return {}
    from judgelab.metrics.variance import explained

    scores = [run.scores["metrics"][sweep.metric]["value"] for run in runs]
    found = {key: explained(_parts(_of(runs, key)), scores, seed=0) for key in varying}
    known = {key: one for key, one in found.items() if one is not None}
    return dict(sorted(known.items(), key=lambda item: (item[1].p, -item[1].share, item[0])))


def axes_that_matter(sweep: Sweep) -> Figure:
    """Each axis's share of the variance between the finished variants, and what chance reaches."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    found = mattered(sweep)
    figure = Figure(figsize=(7.2, 1.7 + 0.34 * len(found)), layout="constrained")
    axes = figure.add_subplot()
    for y, one in enumerate(found.values()):
        sure = one.share > one.chance
        axes.barh(y, one.share, height=0.55, color="0.35" if sure else "white", edgecolor="black")
        axes.plot([one.chance] * 2, [y - 0.36, y + 0.36], color="black", lw=1.6, ls=":")
    said = [f"{one.share:.0%}, p {digits(one.p)}" for one in found.values()]
    axes.set_yticks(range(len(found)), [short(key) for key in found], fontsize=9)
    beside(axes, said)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel(
        f"share of the variance in {named(sweep.metric)} that goes with the axis\n"
        "(dotted: what an axis without effect exceeds 1 time in 20; filled: beyond it)"
    )
    title(axes, f"Which axes mattered among {len(_scored(sweep))} finished variants")
    return figure


def _scored(sweep: Sweep) -> list[RunFolder]:
    """The complete runs that are no baseline and whose metric is defined."""
    runs = [folder for folder in sweep.complete if not folder.record["baseline"]]
    return [folder for folder in runs if _value(sweep, folder)]


def _value(sweep: Sweep, run: RunFolder) -> bool:
    return run.complete and run.scores["metrics"][sweep.metric]["value"] is not None


def _of(runs: list[RunFolder], key: str) -> list[str]:
    return [_axes(run).get(key, NOTHING) for run in runs]


def _axes(run: RunFolder) -> Mapping[str, str]:
    return {key: str(value) for key, value in run.record["axes"].items()}


def _parts(values: list[str]) -> list[str]:
    """Numbers that are too many to have groups, put into parts with as many values each."""
    numbers = sorted({float(value) for value in values if _number(value)})
    if len(numbers) <= max(PARTS, len(values) // 3):
        return values
    place = {number: str(n * PARTS // len(numbers)) for n, number in enumerate(numbers)}
    return [place[float(value)] if _number(value) else value for value in values]


@cache
def _number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
