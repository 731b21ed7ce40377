"""The figure of what judges cost against how good they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from judgelab.metrics.names import named
from judgelab.tracking.folder import RunFolder
from judgelab.tracking.plots import bare, legend, mark, short, style, title
from judgelab.tracking.sweeps import CHOSEN, Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Point = tuple[float, Mapping[str, Any], RunFolder]


def can_cost(sweep: Sweep) -> bool:
    """Whether anything in the sweep has a price."""
    return any(usd for usd, _ in _priced(sweep))


def cost(sweep: Sweep) -> Figure:
    """What each run's answers are worth against its metric, with the line of those that none beats
    in both."""
    from matplotlib.figure import Figure

    points = [
        (usd, folder.scores["metrics"][sweep.metric], folder) for usd, folder in _priced(sweep)
    ]
    points.sort(key=lambda point: (point[0], -point[1]["value"], point[2].id))
    paid = [usd for usd, *_ in points if usd]
    log = max(paid) > 10 * min(paid)
    free = min(paid) / 4 if log else 0.0
    labelled = _pareto(points) + [p for p in points if sweep.standing(p[2]) == CHOSEN]
    numbers = {
        folder.id: n for n, folder in enumerate({p[2].id: p[2] for p in labelled}.values(), 1)
    }

    figure = Figure(figsize=(7.2, 4.4 + 0.17 * len(numbers)), layout="constrained")
    axes = figure.add_subplot()
    for usd, metric, folder in points:
        at = usd or free
        mark(axes, (at, metric["value"]), style(sweep, folder))
        if metric["lo"] is not None:
            axes.plot([at, at], [metric["lo"], metric["hi"]], color="grey", lw=0.8, zorder=1)
        if folder.id in numbers:
            axes.annotate(str(numbers[folder.id]), (at, metric["value"]), (6, 5),
                          textcoords="offset points", fontsize=9, fontweight="bold")  # fmt: skip
    line = [(usd or free, metric["value"]) for usd, metric, _ in _pareto(points)]
    axes.plot(*zip(*line, strict=True), drawstyle="steps-post", color="black", lw=1, zorder=1)
    if log:
        _log(axes, free if len(paid) < len(points) else None)
    by_id = {folder.id: folder for *_, folder in points}
    keys = [f"{n}  {short(by_id[id_].record['name'])}" for id_, n in numbers.items()]
    n_items = points[0][2].scores["n"]
    axes.set_xlabel("\n".join([f"USD for {n_items} items", *keys]), loc="left")
    axes.set_ylabel(named(sweep.metric))
    title(axes, "Cost: none is both cheaper and better than those on the line")
    bare(axes, "top", "right")
    legend(figure, [style(sweep, folder) for *_, folder in points], [])
    return figure


def _priced(sweep: Sweep) -> list[tuple[float, RunFolder]]:
    """What each complete run's answers are worth, where its metric is defined."""
    return [
        (float(folder.record["calls"]["cost_usd"]), folder)
        for folder in sweep.complete
        if folder.scores["metrics"][sweep.metric]["value"] is not None
    ]


def _pareto(
    points: Sequence[Point],
) -> list[Point]:
    """Of points by rising cost, those better than all that cost no more."""
    line: list[Point] = []
    for point in points:
        if not line or point[1]["value"] > line[-1][1]["value"]:
            line.append(point)
    return line


def _log(axes: Axes, free: float | None) -> None:
    """A logarithmic cost axis; what is free stands at its left end, apart."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda usd, _: "" if free and usd < 2 * free else f"{usd:g}")
    )
    axes.xaxis.set_minor_formatter(NullFormatter())
    if free:
        axes.axvline(free * 2, color="grey", linewidth=0.9, linestyle=":", zorder=0)
        axes.annotate("free", (free, 0), (0, 4), xycoords=("data", "axes fraction"), ha="center",
                      textcoords="offset points", fontsize=9, style="italic")  # fmt: skip
