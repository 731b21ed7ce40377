"""The figures of an analysis: every slice with its intervals, and two dimensions against each
other. In black and white: marks and lines tell the rates apart, hatching what is too small."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from judgelab.scoring import short
from judgelab.tracking import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
SHOWN = 40  # slices that a picture has room for
APART = 0.17  # of a row, between expert and judge
LONGEST = 30  # characters of a value
FULL, FAINT = 0.8, 0.3  # shade of a share of 1
PANELS = (
    ("share failing", (("fails", "o", "black", "-", "by the expert"),
                       ("judge_fails", "s", "white", "--", "by the judge"))),
    ("missed failures", (("missed", "v", "black", "-", "of the expert's fails"),)),
    ("false alarms", (("false_alarms", "^", "white", "-", "of the expert's passes"),)),
)  # fmt: skip


def bars(found: Mapping[str, Any]) -> Figure:
    """The rates of every value of every dimension; dotted: of all items.

    Args:
        found: analysis.json, with at least one slice.
    """
    from matplotlib.figure import Figure

    rows, level = found["slices"][:SHOWN], found["level"]
    figure = Figure(figsize=(10.4, 1.9 + 0.3 * len(rows)), layout="constrained")
    panels = figure.subplots(1, len(PANELS), sharey=True, width_ratios=(1.5, 1, 1))
    for axes, (heading, marks) in zip(panels, PANELS, strict=True):
        for number, (name, marker, face, line, _) in enumerate(marks):
            shift = (number - (len(marks) - 1) / 2) * 2 * APART
            look = {"marker": marker, "mfc": face, "ls": line}
            for y, row in enumerate(rows):
                _interval(axes, row[name], y + shift, look)
                if _is_shown(row, name, level):
                    axes.text(1.04, y, "*", ha="center", va="center", fontsize=13, clip_on=False)
            if number == 0 and found["whole"][name]["value"] is not None:
                axes.axvline(found["whole"][name]["value"], color="grey", lw=1, ls=":", zorder=0)
        axes.set_title(heading, fontsize=10, loc="left")
        axes.set_xlim(-0.03, 1.08)
        axes.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
        axes.tick_params(axis="y", length=0, labelsize=9)
        plots.bare(axes, "top", "right", "left")
        _between(axes, rows)
    panels[0].set_yticks(range(len(rows)), [_label(row, rows, y) for y, row in enumerate(rows)])
    panels[0].set_ylim(len(rows) - 0.4, -0.6)
    more = len(found["slices"]) - len(rows)
    cut = f", {more} more slices in analysis.json" if more else ""
    _heading(figure, found, f"{found['whole']['n']} items{cut}")
    _legend(figure, found)
    return figure


def heat(found: Mapping[str, Any]) -> Figure:
    """Two dimensions: the share that the expert fails, and what the judge misses of it.

    Args:
        found: analysis.json, with at least one pair of slices.
    """
    from matplotlib.figure import Figure

    first, second = chosen_pair(found)
    cells = {tuple(row["by"].values()): row for row in found["pairs"]
             if tuple(row["by"]) == (first, second)}  # fmt: skip
    order = {one["name"]: one["values"] for one in found["dimensions"]}
    across, down = sorted((second, first), key=lambda name: len(order[name]))
    size = (1.6 + 2 * (0.4 + 0.98 * len(order[across])), 2.1 + 0.5 * len(order[down]))
    figure = Figure(figsize=(max(size[0], 8.2), size[1]), layout="constrained")
    for axes, (name, heading) in zip(
        figure.subplots(1, 2, sharey=True),
        (("fails", "share that the expert fails"), ("missed", "missed of the expert's fails")),
        strict=True,
    ):
        for y, low in enumerate(order[down]):
            for x, high in enumerate(order[across]):
                row = cells.get((low, high) if down == first else (high, low))
                _cell(axes, (x, y), row, name, found["level"])
        axes.set_title(heading, fontsize=10, loc="left")
        axes.set_xlim(-0.5, len(order[across]) - 0.5)
        axes.set_ylim(len(order[down]) - 0.5, -0.5)
        labels = [plots.short(value, LONGEST) for value in order[across]]
        turned = {"rotation": 30, "ha": "right"} if max(map(len, labels)) > 9 else {}
        axes.set_xticks(range(len(labels)), labels, fontsize=9, **turned)
        axes.set_xlabel(plots.short(across))
        named = [plots.short(value, LONGEST) for value in order[down]]
        axes.set_yticks(range(len(named)), named, fontsize=9)
        _grid(axes, len(order[across]), len(order[down]))
    figure.axes[0].set_ylabel(plots.short(down))
    _heading(figure, found, "share, its interval, and of how many")
    figure.supxlabel(
        "darker: a larger share   pale and hatched: too few for a claim   "
        "*: differs from the rest, after Holm over all slices",
        fontsize=9,
    )
    return figure


def chosen_pair(found: Mapping[str, Any]) -> tuple[str, str]:
    """The two dimensions whose slices tell the most: by those shown, then tested, then not tiny."""
    by_pair: dict[tuple[str, str], tuple[int, int, float]] = {}
    for row in found["pairs"]:
        first, second = row["by"]
        shown, tested, fewer = by_pair.get((first, second), (0, 0, 0.0))
        shown += sum(_is_shown(row, name, found["level"]) for name in row["tests"])
        tested += sum(test["p"] is not None for test in row["tests"].values())
        by_pair[first, second] = (shown, tested, fewer - 1 / row["n"])
    return max(by_pair, key=lambda pair: by_pair[pair])


def _cell(axes: Axes, at: tuple[int, int], row: Row | None, name: str, level: float) -> None:
    """A cell's share as its shade; pale and hatched where it is too small for a claim."""
    from matplotlib.patches import Rectangle

    x, y = at
    metric = row[name] if row else None
    if row is None or metric is None or metric["value"] is None:
        axes.text(x, y, "–", ha="center", va="center", fontsize=9, color="0.4")
        return
    small = bool(row["tests"][name]["few"])
    grey = 1 - (FAINT if small else FULL) * metric["value"]
    axes.add_patch(
        Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=str(grey), edgecolor=str(grey - 0.12),
                  hatch="///" if small else None, lw=0)
    )  # fmt: skip
    colour = "white" if grey < 0.5 else "black"
    star = "*" if _is_shown(row, name, level) else ""
    axes.text(x, y - 0.14, f"{short(metric['value'])}{star}", ha="center", va="center",
              color=colour, fontsize=11, fontweight="bold" if star else "normal")  # fmt: skip
    limits = f"[{short(metric['lo'])}, {short(metric['hi'])}]" if metric["lo"] is not None else ""
    axes.text(x, y + 0.22, f"{limits} of {metric['n']}".strip(), ha="center", va="center",
              color=colour, fontsize=7.5)  # fmt: skip


def _grid(axes: Axes, columns: int, rows: int) -> None:
    """Lines between the cells, over their hatching."""
    axes.set_xticks([x - 0.5 for x in range(1, columns)], minor=True)
    axes.set_yticks([y - 0.5 for y in range(1, rows)], minor=True)
    axes.grid(which="minor", color="black", linewidth=0.7)
    axes.set_axisbelow(False)
    axes.tick_params(which="both", length=0)


def _interval(axes: Axes, metric: Mapping[str, Any], y: float, look: Mapping[str, Any]) -> None:
    if metric["value"] is None:
        return
    if metric["lo"] is not None:
        axes.plot([metric["lo"], metric["hi"]], [y, y], color="black", ls=look["ls"], lw=1.2)
    axes.plot(metric["value"], y, look["marker"], color="black", mfc=look["mfc"], ms=5.5, mew=1.2,
              clip_on=False, zorder=3)  # fmt: skip


def _label(row: Row, rows: Sequence[Row], y: int) -> str:
    """The value and its items; at the first of a dimension its name too."""
    ((name, value),) = row["by"].items()
    first = y == 0 or name not in rows[y - 1]["by"]
    said = f"{plots.short(value, LONGEST)} ({row['n']})"
    return f"{plots.short(name, LONGEST)}:  {said}" if first else said


def _between(axes: Axes, rows: Sequence[Row]) -> None:
    """A line where another dimension begins."""
    for y, (row, following) in enumerate(pairwise(rows)):
        if row["by"].keys() != following["by"].keys():
            axes.axhline(y + 0.5, color="0.75", lw=0.8)


def _is_shown(row: Row, name: str, level: float) -> bool:
    holm = row["tests"].get(name, {}).get("holm")
    return holm is not None and holm < 1 - level


def _heading(figure: Figure, found: Mapping[str, Any], more: str) -> None:
    on = found["look"] or found["on"]
    figure.suptitle(
        f"{plots.short(found['judge'], 60)} on {plots.short(found['dataset'], 40)}, {on}: {more}",
        fontsize=10, x=0.01, ha="left",
    )  # fmt: skip


def _legend(figure: Figure, found: Mapping[str, Any]) -> None:
    from matplotlib.lines import Line2D

    entries = [
        Line2D([], [], marker=marker, mfc=face, color="black", ls=line, lw=1.2, ms=5.5, mew=1.2,
               label=f"{heading}, {said}")
        for heading, marks in PANELS
        for _, marker, face, line, said in marks
    ]  # fmt: skip
    entries.append(Line2D([], [], color="grey", lw=1, ls=":", label="of all items"))
    level = f"{100 * found['level']:.3g} % intervals"
    entries.append(
        Line2D([], [], marker="$*$", color="black", ls="", ms=6,
               label=f"differs from the rest, after Holm; {level}")
    )  # fmt: skip
    figure.legend(handles=entries, loc="outside lower left", ncols=2, frameon=False, fontsize=9,
                  handlelength=3)  # fmt: skip
