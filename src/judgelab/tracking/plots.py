"""The figures of a sweep and of labels. Shapes, fills and line styles carry the meaning, so that
all of it is there in black and white."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from judgelab import scoring
from judgelab.metrics.names import named
from judgelab.tracking.folder import RunFolder
from judgelab.tracking.sweeps import BASELINE, BELOW, BEST, CHOSEN, OTHER, Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE = 38  # characters of a line of a name; it has two
SHOWN = 40  # rows that a picture has room for
CHANCE = {"kappa": 0.0, "mcc": 0.0, "gwet_ac1": 0.0, "balanced_accuracy": 0.5}
# standing: (marker, line style); what is filled is chosen or cannot be told apart from the best
STYLES = {
    CHOSEN: ("D", "-"),
    BEST: ("o", "-"),
    OTHER: ("o", "-"),
    BELOW: ("v", ":"),
    BASELINE: ("s", "--"),
}
Style = tuple[str, bool]  # a standing, and whether its mark is filled
Metric = Mapping[str, Any]


def forest(sweep: Sweep) -> Figure:
    """The ranking metric of every complete run with its interval, best on top."""
    folders = _shown(sweep)
    metrics = [folder.scores["metrics"][sweep.metric] for folder in folders]
    styles = [style(sweep, folder) for folder in folders]
    figure, axes = _rows([folder.record["name"] for folder in folders], metrics, styles)
    if sweep.metric in CHANCE:
        axes.axvline(CHANCE[sweep.metric], color="grey", linewidth=0.9, linestyle=":", zorder=0)
    ceiling = _ceiling(axes, sweep)
    first, record = folders[0].scores, folders[0].record
    level = first["metrics"][sweep.metric]["level"]
    chance = " (dotted: chance)" if sweep.metric in CHANCE else ""
    axes.set_xlabel(f"{named(sweep.metric)} and its {100 * level:.3g} % interval{chance}")
    more = len(sweep.complete) - len(folders)
    left_out = f" ({len(folders)} of {len(sweep.complete)} runs)" if more else ""
    dropped = ", abstentions excluded" if "n_excluded" in first else ""
    items = f"{first['n']} items{dropped}{left_out}"
    title(axes, f"{record['dataset']['name']}, {record['part']}: {items}")
    legend(figure, styles, ceiling)
    return figure


def differences(sweep: Sweep) -> Figure:
    """Each run minus the reference, on the same items, with its interval."""
    rows = _pairs(sweep)
    reference = sweep.run(sweep.selection["reference"])
    names = [folder.record["name"] for folder, _ in rows]
    styles = [style(sweep, folder) for folder, _ in rows]
    figure, axes = _rows(names, [difference for _, difference in rows], styles)
    axes.axvline(0, color="black", linewidth=0.9, zorder=0)
    margin, note = sweep.selection.get("margin"), ""
    if margin:
        axes.axvline(-margin, color="black", linewidth=1.1, linestyle=":", zorder=0)
        note = f"; dotted: the margin of non-inferiority, {scoring.short(-margin)}"
    axes.set_xlabel(f"difference in {named(sweep.metric)} (right: better{note})")
    against = short(reference.record["name"]) if reference else "the best"
    title(axes, f"Against {against}, on the same {sweep.selection['n']} items")
    legend(figure, styles, [])
    return figure


def rounds(found: Sequence[Mapping[str, Any]], goal: float | None = None) -> Figure:
    """Agreement and kappa by round of labelling.

    Args:
        found: a row a round, in their order: round, n, and agreement and kappa as metrics of a
            scorecard (value, lo, hi), each of which may be missing.
        goal: what agreement is to reach.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(4.2, 1.6 + 0.9 * len(found)), 3.6), layout="constrained")
    axes = figure.add_subplot()
    for name, marker, line, shift in (("agreement", "o", "-", -0.06), ("kappa", "s", "--", 0.06)):
        for x, metric in enumerate(row.get(name) for row in found):
            if metric and metric["lo"] is not None:
                axes.plot([x + shift] * 2, [metric["lo"], metric["hi"]], color="black", lw=1.1)
        face = "black" if name == "agreement" else "white"
        values = [(row.get(name) or {"value": None})["value"] for row in found]
        gaps = [float("nan") if value is None else value for value in values]
        axes.plot([x + shift for x in range(len(found))], gaps, marker + line, color="black",
                  mfc=face, lw=1, label=name)  # fmt: skip
    axes.set_xticks(range(len(found)), [f"round {row['round']}\n{row['n']} items" for row in found])
    axes.set_xlim(-0.5, len(found) - 0.5)
    axes.axhline(0, color="grey", linewidth=0.9, linestyle=":", zorder=0)
    if goal is not None:
        label = f"agreement asked for: {scoring.short(goal)}"
        axes.axhline(goal, color="grey", lw=1, ls="-.", zorder=0, label=label)
    axes.set_ylim(top=1.03)
    axes.set_ylabel("with the expert")
    title(axes, "Agreement by round")
    bare(axes, "top", "right")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def handing_over(story: Mapping[str, Any]) -> Figure:
    """What a cascade gains by handing over more: recall of fail and kappa on dev by the share.

    Args:
        story: of the optimizer that chose the threshold: a `curve` of points (handed, recall_fail,
            kappa), the `chosen` one, the `recall` that was asked for, and `n` and `fails` of dev.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    shares = [point["handed"] for point in story["curve"]]
    for name, line in (("recall_fail", "-"), ("kappa", "--")):
        values = [point[name] for point in story["curve"]]
        gaps = [float("nan") if value is None else value for value in values]
        axes.plot(shares, gaps, line, color="black", lw=1.3, label=named(name))
    chosen = story["chosen"]
    axes.plot(chosen["handed"], chosen["recall_fail"], "D", color="black", ms=8, zorder=3,
              label=f"chosen: threshold {chosen['threshold']:.3g}")  # fmt: skip
    axes.axhline(story["recall"], color="grey", lw=1, ls=":", zorder=0,
                 label=f"recall asked for: {scoring.short(story['recall'])}")  # fmt: skip
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(top=1.03)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    usd = f", about ${chosen['usd']:.4f} for them" if chosen["usd"] else ""
    axes.set_xlabel(f"handed over to the dear judge (chosen: {chosen['handed']:.0%}{usd})")
    axes.set_ylabel("with the expert")
    title(axes, f"Cascade on dev: {story['n']} items, {story['fails']} fails")
    bare(axes, "top", "right")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def can_differ(sweep: Sweep) -> bool:
    """Whether the selection compared anything."""
    return bool(_pairs(sweep))


def short(name: str, most: int = 2 * LINE) -> str:
    """Cut in the middle, as what differs often stands last; nothing in it read as a formula, and
    nothing that has no place in a drawing."""
    clean = re.sub(r"[^\S ]+|[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", " ", name)
    tail = most // 2
    cut = clean if len(clean) <= most else f"{clean[: most - tail - 1]}…{clean[-tail:]}"
    return cut.replace("$", r"\$")


def two_lines(name: str) -> str:
    """The name on one line or on two, parted at a gap where there is one."""
    wide = any(unicodedata.east_asian_width(letter) in "WF" for letter in name)
    line = LINE // 2 if wide else LINE
    if len(name) <= line:
        return short(name) or "?"
    gap = name.rfind(" ", 0, line) + 1 or line
    return f"{short(name[:gap].rstrip())}\n{short(name[gap:], line)}"


def _shown(sweep: Sweep) -> list[RunFolder]:
    """The complete runs by the metric, undefined last; where they are too many, the chosen one,
    the baselines and the first of the others."""

    def key(folder: RunFolder) -> float:
        value = folder.scores["metrics"][sweep.metric]["value"]
        return float("inf") if value is None else -float(value)

    folders = sorted(sweep.complete, key=key)
    kept = [f for f in folders if sweep.standing(f) in (CHOSEN, BASELINE)]
    rest = [f for f in folders if f not in kept][: max(SHOWN - len(kept), 0)]
    return [f for f in folders if f in kept or f in rest]


def _pairs(sweep: Sweep) -> list[tuple[RunFolder, Metric]]:
    found = []
    for pair in sweep.selection.get("pairs") or ():
        difference = sweep.difference(pair)
        folder = sweep.run(pair["a"])
        if folder is not None and difference and difference["value"] is not None:
            found.append((folder, difference))
    return sorted(found, key=lambda row: -row[1]["value"])[:SHOWN]


def _rows(
    names: Sequence[str], metrics: Sequence[Metric], styles: Sequence[Style]
) -> tuple[Figure, Axes]:
    """A row a name: its mark and interval, and both in digits at the right."""
    from matplotlib.figure import Figure

    labels = [two_lines(name) for name in names]
    height = 0.36 if any("\n" in label for label in labels) else 0.28
    figure = Figure(figsize=(7.6, 1.5 + height * len(names)), layout="constrained")
    axes = figure.add_subplot()
    for y, (metric, look) in enumerate(zip(metrics, styles, strict=True)):
        if metric["value"] is None:
            continue
        if metric["lo"] is not None:
            axes.plot([metric["lo"], metric["hi"]], [y, y], color="black",
                      linestyle=STYLES[look[0]][1], lw=1.3, zorder=1)  # fmt: skip
        mark(axes, (metric["value"], y), look)
    axes.set_yticks(range(len(names)), labels, fontsize=9)
    for label, (standing, _) in zip(axes.get_yticklabels(), styles, strict=True):
        label.set_fontweight("bold" if standing == CHOSEN else "normal")
        label.set_fontstyle("italic" if standing == BASELINE else "normal")
    axes.margins(x=0.04)
    beside(axes, [scoring.in_words_of(m).replace("–", "undefined") for m in metrics])
    return figure, axes


def style(sweep: Sweep, folder: RunFolder) -> Style:
    """How a run is drawn in its sweep."""
    standing = sweep.standing(folder)
    return standing, standing == CHOSEN or (standing != BASELINE and sweep.in_set(folder))


def mark(axes: Axes, at: tuple[float, float], look: Style) -> None:
    """The mark of a style, at a point."""
    standing, filled = look
    axes.plot(*at, STYLES[standing][0], color="black", mfc="black" if filled else "white", ms=7,
              mew=1.4, zorder=3)  # fmt: skip


def _ceiling(axes: Axes, sweep: Sweep) -> list[Any]:
    """The band of human against human; gives its entry of the legend."""
    metric = ((sweep.ceiling or {}).get("metrics") or {}).get(sweep.metric)
    if not metric or metric["value"] is None:
        return []
    label = f"human against human ({sweep.ceiling['n']} items)"  # type: ignore[index]
    line = axes.axvline(metric["value"], color="black", lw=1.1, ls="-.", zorder=0, label=label)
    if metric["lo"] is not None:
        axes.axvspan(metric["lo"], metric["hi"], facecolor="0.96", edgecolor="0.84", hatch="/",
                     lw=0, zorder=-1)  # fmt: skip
    return [line]


def legend(figure: Figure, styles: Iterable[Style], more: Sequence[Any]) -> None:
    """What the marks mean: those that occur."""
    from matplotlib.lines import Line2D

    there = set(styles)
    plain = {standing for standing, _ in there} <= {OTHER, BASELINE}
    words = {
        (OTHER, False): OTHER if plain else f"other {OTHER}",
        (BELOW, True): f"{BELOW}, {BEST}",
    }
    order = list(STYLES)
    entries = [
        Line2D([], [], marker=STYLES[standing][0], mfc="black" if filled else "white",
               color="black", ls=STYLES[standing][1], lw=1.2, ms=7, mew=1.4,
               label=words.get((standing, filled), standing))
        for standing, filled in sorted(there, key=lambda look: (order.index(look[0]), look[1]))
    ]  # fmt: skip
    figure.legend(handles=[*entries, *more], loc="outside lower center", ncols=2, frameon=False,
                  fontsize=9, handlelength=3)  # fmt: skip


def title(axes: Axes, text: str) -> None:
    """A title at the left, on as many lines as it needs."""
    axes.set_title("\n".join(textwrap.wrap(text, 68)), fontsize=10, loc="left")


def beside(axes: Axes, said: Sequence[str]) -> Sequence[Any]:
    """Rows from the top, each with its numbers at the right; gives their texts."""
    axes.set_ylim(len(said) - 0.4, -0.6)
    right = axes.twinx()
    right.set_ylim(axes.get_ylim())
    right.set_yticks(range(len(said)), said, fontsize=9)
    for one in (axes, right):
        one.tick_params(axis="y", length=0)
        bare(one, "top", "right", "left")
    return right.get_yticklabels()


def bare(axes: Axes, *sides: str) -> None:
    """Axes without the frame at these sides."""
    for side in sides:
        axes.spines[side].set_visible(False)
