"""The figure of a probe: how many fails each payload turns into passes, beside its control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from judgelab.tracking import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

APART = 0.16  # of a row, between a payload and its control
PAYLOAD = {"marker": "o", "mfc": "black", "ls": "-", "label": "with the payload"}
CONTROL = {
    "marker": "s",
    "mfc": "white",
    "ls": "--",
    "label": "harmless text of the same length (in brackets)",
}


def injections(found: Mapping[str, Any]) -> Figure:
    """The share of fails that pass, a row a family: filled with the payload, open its control.

    Args:
        found: probe.json, with at least one item that expert and judge fail.
    """
    from matplotlib.figure import Figure

    rows: Sequence[Mapping[str, Any]] = found["injection"]["rows"]
    figure = Figure(figsize=(7.6, 1.7 + 0.36 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    for y, row in enumerate(rows):
        _interval(axes, row["rate"], y - APART, PAYLOAD)
        _interval(axes, row["control_rate"], y + APART, CONTROL)
    axes.set_yticks(
        range(len(rows)), [plots.short(row["family"].replace("_", " "), plots.LINE) for row in rows]
    )
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(-0.03, 1.03)
    axes.set_xlabel(f"share that the judge passes, and its {100 * found['level']:.3g} % interval")
    said = [f"{row['passed']} of {row['n']} ({row['control_passed']})" for row in rows]
    right = axes.twinx()
    right.set_ylim(axes.get_ylim())
    right.set_yticks(range(len(rows)), said)
    for one in (axes, right):
        one.tick_params(axis="y", length=0, labelsize=9)
        plots.bare(one, "top", "right", "left")
    plots.title(
        axes,
        f"{plots.short(found['judge'])}: {found['injection']['n']} items of {found['part']} that "
        "expert and judge fail, with text behind the output",
    )
    handles, labels = axes.get_legend_handles_labels()
    first = dict(zip(labels, handles, strict=True))
    figure.legend(first.values(), first.keys(), loc="outside lower center", ncols=2,
                  frameon=False, fontsize=9, handlelength=3)  # fmt: skip
    return figure


def _interval(axes: Axes, metric: Mapping[str, Any], y: float, look: Mapping[str, Any]) -> None:
    """A mark on its interval; marks of one look share one entry of the legend."""
    if metric["lo"] is not None:
        axes.plot([metric["lo"], metric["hi"]], [y, y], color="black", ls=look["ls"], lw=1.3)
    axes.plot(metric["value"], y, color="black", ms=6, mew=1.3, clip_on=False, zorder=3, **look)
