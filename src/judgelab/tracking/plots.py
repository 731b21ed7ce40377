"""The figures of a sweep and of labels. Shapes, fills and line styles carry the meaning, so that
all of it is there in black and white."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from judgelab.scoring import in_words
from judgelab.tracking.folder import RunFolder
from judgelab.tracking.sweeps import BASELINE, BELOW, BEST, CHOSEN, OTHER, Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE = 38  # characters of a line of a name; it has two
SHOWN = 40  # rows that a picture has room for
CHANCE = {"kappa": 0.0, "mcc": 0.0, "gwet_ac1": 0.0, "balanced_accuracy": 0.5}
WORDS = {"recall_fail": "recall of fail", "recall_pass": "recall of pass",
         "precision_fail": "precision of fail", "precision_pass": "precision of pass",
         "f1_fail": "F1 of fail", "f1_pass": "F1 of pass", "gwet_ac1": "AC1",
         "mcc": "MCC"}  # fmt: skip
# standing: (marker, filled, line style)
STYLES = {
    CHOSEN: ("D", True, "-"),
    BEST: ("o", True, "-"),
    OTHER: ("o", False, "-"),
    BELOW: ("x", False, ":"),
    BASELINE: ("s", False, "--"),
}
Metric = Mapping[str, Any]


def forest(sweep: Sweep) -> Figure:
    """The ranking metric of every complete run with its interval, best on top."""
    folders = _shown(sweep)
    metrics = [folder.scores["metrics"][sweep.metric] for folder in folders]
    styles = [sweep.standing(folder) for folder in folders]
    figure, axes = _rows([folder.record["name"] for folder in folders], metrics, styles)
    if sweep.metric in CHANCE:
        axes.axvline(CHANCE[sweep.metric], color="grey", linewidth=0.9, linestyle=":", zorder=0)
    ceiling = _ceiling(axes, sweep)
    first, record = folders[0].scores, folders[0].record
    level = first["metrics"][sweep.metric]["level"]
    chance = " (dotted: chance)" if sweep.metric in CHANCE else ""
    axes.set_xlabel(f"{words(sweep.metric)} and its {100 * level:.3g} % interval{chance}")
    more = len(sweep.complete) - len(folders)
    left_out = f" ({len(folders)} of {len(sweep.complete)} runs)" if more else ""
    _title(axes, f"{record['dataset']['name']}, {record['part']}: {first['n']} items{left_out}")
    _legend(figure, styles, ceiling)
    return figure


def differences(sweep: Sweep) -> Figure:
    """Each run minus the reference, on the same items, with its interval."""
    rows = _pairs(sweep)
    reference = sweep.run(sweep.selection["reference"])
    names = [folder.record["name"] for folder, _ in rows]
    styles = [sweep.standing(folder) for folder, _ in rows]
    figure, axes = _rows(names, [difference for _, difference in rows], styles)
    axes.axvline(0, color="black", linewidth=0.9, zorder=0)
    margin, note = sweep.selection.get("margin"), ""
    if margin:
        axes.axvline(-margin, color="black", linewidth=1.1, linestyle=":", zorder=0)
        note = f"; dotted: the margin of non-inferiority, {_short(-margin)}"
    axes.set_xlabel(f"difference in {words(sweep.metric)} (right: better{note})")
    against = short(reference.record["name"]) if reference else "the best"
    _title(axes, f"Against {against}, on the same {sweep.selection['n']} items")
    _legend(figure, styles, [])
    return figure


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
    named = _pareto(points) + [p for p in points if sweep.standing(p[2]) == CHOSEN]
    numbers = {folder.id: n for n, folder in enumerate({p[2].id: p[2] for p in named}.values(), 1)}

    figure = Figure(figsize=(7.2, 4.4 + 0.17 * len(numbers)), layout="constrained")
    axes = figure.add_subplot()
    for usd, metric, folder in points:
        at = usd or free
        _mark(axes, (at, metric["value"]), sweep.standing(folder))
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
    axes.set_ylabel(words(sweep.metric))
    _title(axes, "Cost: none is both cheaper and better than those on the line")
    _bare(axes, "top", "right")
    _legend(figure, [sweep.standing(folder) for *_, folder in points], [])
    return figure


def rounds(found: Sequence[Mapping[str, Any]]) -> Figure:
    """Agreement and kappa by round of labelling."""
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
    axes.set_ylim(top=1.03)
    axes.set_ylabel("with the expert")
    _title(axes, "Agreement by round")
    _bare(axes, "top", "right")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def can_cost(sweep: Sweep) -> bool:
    """Whether anything in the sweep has a price."""
    return any(usd for usd, _ in _priced(sweep))


def can_differ(sweep: Sweep) -> bool:
    """Whether the selection compared anything."""
    return bool(_pairs(sweep))


def words(metric: str) -> str:
    """How a metric is called in a sentence: the class it is of said in full."""
    return WORDS.get(metric, metric.replace("_", " "))


def short(name: str, most: int = 2 * LINE) -> str:
    """Cut in the middle, as what differs often stands last; nothing in it read as a formula, and
    nothing that has no place in a drawing."""
    clean = re.sub(r"[^\S ]+|[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", " ", name)
    tail = most // 2
    cut = clean if len(clean) <= most else f"{clean[: most - tail - 1]}…{clean[-tail:]}"
    return cut.replace("$", r"\$")


def _two_lines(name: str) -> str:
    """The name on one line or on two, parted at a gap where there is one."""
    if len(name) <= LINE:
        return short(name) or "?"
    gap = name.rfind(" ", 0, LINE) + 1 or LINE
    return f"{short(name[:gap].rstrip())}\n{short(name[gap:], LINE)}"


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


def _priced(sweep: Sweep) -> list[tuple[float, RunFolder]]:
    """What each complete run's answers are worth, where its metric is defined."""
    return [
        (float(folder.record["calls"]["cost_usd"]), folder)
        for folder in sweep.complete
        if folder.scores["metrics"][sweep.metric]["value"] is not None
    ]


def _pareto(
    points: Sequence[tuple[float, Metric, RunFolder]],
) -> list[tuple[float, Metric, RunFolder]]:
    """Of points by rising cost, those better than all that cost no more."""
    line: list[tuple[float, Metric, RunFolder]] = []
    for point in points:
        if not line or point[1]["value"] > line[-1][1]["value"]:
            line.append(point)
    return line


def _rows(
    names: Sequence[str], metrics: Sequence[Metric], styles: Sequence[str]
) -> tuple[Figure, Axes]:
    """A row a name: its mark and interval, and both in digits at the right."""
    from matplotlib.figure import Figure

    labels = [_two_lines(name) for name in names]
    height = 0.36 if any("\n" in label for label in labels) else 0.28
    figure = Figure(figsize=(7.6, 1.5 + height * len(names)), layout="constrained")
    axes = figure.add_subplot()
    for y, (metric, style) in enumerate(zip(metrics, styles, strict=True)):
        if metric["value"] is None:
            continue
        if metric["lo"] is not None:
            axes.plot([metric["lo"], metric["hi"]], [y, y], color="black",
                      linestyle=STYLES[style][2], lw=1.3, zorder=1)  # fmt: skip
        _mark(axes, (metric["value"], y), style)
    axes.set_yticks(range(len(names)), labels, fontsize=9)
    for label, style in zip(axes.get_yticklabels(), styles, strict=True):
        label.set_fontweight("bold" if style == CHOSEN else "normal")
        label.set_fontstyle("italic" if style == BASELINE else "normal")
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.margins(x=0.04)
    said = [in_words({"metrics": {"it": m}}, "it").replace("–", "undefined") for m in metrics]
    right = axes.twinx()
    right.set_ylim(axes.get_ylim())
    right.set_yticks(range(len(names)), said, fontsize=9)
    for one in (axes, right):
        one.tick_params(axis="y", length=0)
        _bare(one, "top", "right", "left")
    return figure, axes


def _mark(axes: Axes, at: tuple[float, float], style: str) -> None:
    marker, filled, _ = STYLES[style]
    axes.plot(*at, marker, color="black", mfc="black" if filled else "white", ms=7, mew=1.4,
              zorder=3)  # fmt: skip


def _ceiling(axes: Axes, sweep: Sweep) -> list[Any]:
    """The band of people's agreement among themselves; gives its entry of the legend."""
    metric = ((sweep.ceiling or {}).get("metrics") or {}).get(sweep.metric)
    if not metric or metric["value"] is None:
        return []
    label = f"people among themselves ({sweep.ceiling['n']} items)"  # type: ignore[index]
    line = axes.axvline(metric["value"], color="black", lw=1.1, ls="-.", zorder=0, label=label)
    if metric["lo"] is not None:
        axes.axvspan(metric["lo"], metric["hi"], facecolor="0.95", edgecolor="0.75", hatch="///",
                     lw=0, zorder=-1)  # fmt: skip
    return [line]


def _legend(figure: Figure, styles: Iterable[str], more: Sequence[Any]) -> None:
    """What the shapes mean: those that occur."""
    from matplotlib.lines import Line2D

    there = set(styles)
    plain = "variant" if there <= {OTHER, BASELINE} else "other variant"
    entries = [
        Line2D([], [], marker=marker, mfc="black" if filled else "white", color="black", ls=line,
               lw=1.2, ms=7, mew=1.4, label=plain if style == OTHER else style)
        for style, (marker, filled, line) in STYLES.items()
        if style in there
    ]  # fmt: skip
    figure.legend(handles=[*entries, *more], loc="outside lower center", ncols=2, frameon=False,
                  fontsize=9, handlelength=3)  # fmt: skip


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


def _title(axes: Axes, text: str) -> None:
    axes.set_title("\n".join(textwrap.wrap(text, 68)), fontsize=10, loc="left")


def _bare(axes: Axes, *sides: str) -> None:
    for side in sides:
        axes.spines[side].set_visible(False)


def _short(number: float) -> str:
    return in_words({"metrics": {"it": {"value": number, "lo": None, "hi": None}}}, "it")
