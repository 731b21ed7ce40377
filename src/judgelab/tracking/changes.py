"""The figure of a change of the system: the share failing before and after, and what became of the
failures. In black and white: what is gone lies left of the line, what fails now right of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from judgelab.scoring import in_words_of
from judgelab.tracking import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
# What becomes of failures, in a table's words.
KINDS = {"gone": "gone", "stays": "stay", "new": "new", "untold_fail": "not told"}
UNCLASSIFIED = "(not classified)"
LOOKS: Mapping[str, Mapping[str, Any]] = {
    "gone": {"facecolor": "white", "edgecolor": "black"},
    "stays": {"facecolor": "black", "edgecolor": "black"},
    "new": {"facecolor": "white", "edgecolor": "black", "hatch": "/////"},
    "untold_fail": {"facecolor": "0.85", "edgecolor": "0.6"},
}
FAINT = "0.5"  # of a row that is too small for a claim
WIDE = 30  # digits that a row of bars has room for


def fates(found: Mapping[str, Any]) -> Figure:
    """The share failing of all items, and a bar a root cause; where no failure was classified, a
    bar a value of the first dimension.

    Args:
        found: after.json.
    """
    from matplotlib.figure import Figure

    rows, heading = _rows(found)
    rates = _rates(found)
    labels = [plots.two_lines(row["name"]) for row in rows]
    height = 0.36 if any("\n" in label for label in labels) else 0.28
    sizes = (0.26 * len(rates), height * len(rows) + 0.1)
    figure = Figure(figsize=(8.4, 2.1 + sum(sizes)), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=sizes)
    _shares(above, rates, found)
    _bars(below, rows)
    below.set_yticks(range(len(rows)), labels, fontsize=9)
    digits = plots.beside(below, [row["said"] for row in rows])
    for row, label, text in zip(rows, below.get_yticklabels(), digits, strict=True):
        for one in (label, text) if row["few"] else ():
            one.set_color(FAINT)
    plots.title(below, heading)
    where = f"{plots.short(found['judge'], 44)} on {plots.short(found['dataset'], 30)}"
    said = f"{found['n']} items before and after the change. {found['claim']}"
    figure.suptitle(
        f"{where}, {found['look'] or found['on']}\n{said}", fontsize=10, x=0.01, ha="left"
    )
    _legend(figure, found)
    return figure


def _rows(found: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """What the bars are of, and their heading."""
    if any(row["mode"] for row in found["causes"]):
        causes = sorted(
            found["causes"],
            key=lambda row: (not row["mode"], -row["n"] - row["new"], row["mode"] or ""),
        )
        rows = [
            {**row, "name": row["mode"] or UNCLASSIFIED, "few": None,
             "said": in_words_of(row["share_gone"])}
            for row in causes
        ]  # fmt: skip
        return _cut(rows, "root cause", "the share gone, of what is told")
    first = next((name for row in found["slices"] for name in row["by"]), "")
    slices = [row for row in found["slices"] if first in row["by"]]
    rows = [
        {**row["states"], "name": f"{value} ({row['n']})", "few": row["few"],
         "said": in_words_of(row["corrected_difference"]) + "*" * _is_shown(row, found["level"])}
        for row in slices or [{**found, "by": {"": "all"}, "holm": None}]
        for value in row["by"].values()
    ]  # fmt: skip
    star = any(_is_shown(row, found["level"]) for row in slices)
    shown = " (*: shown, after Holm)" if star else ""
    return _cut(rows, plots.short(first), f"the corrected change of the share failing{shown}")


def _cut(rows: list[dict[str, Any]], by: str, beside: str) -> tuple[list[dict[str, Any]], str]:
    more = len(rows) - plots.SHOWN
    cut = f" ({more} more in after.json)" if more > 0 else ""
    what = f"failures by {by}{cut}" if by else "failures"
    heading = f"{what}: left of the line gone, right of it still there, new or not told; in digits "
    heading += beside
    return rows[: plots.SHOWN], heading


def _rates(found: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Name, marker and metric of each share failing of all items."""
    before = ("before, by the expert", "o", found["expert_before"])
    if found["corrected_after"]["value"] is None:
        return [before, ("after, by the judge, not corrected", "s", found["judge_after"])]
    return [before, ("after, by the judge, corrected", "D", found["corrected_after"])]


def _shares(
    axes: Axes, rates: Sequence[tuple[str, str, Mapping[str, Any]]], found: Mapping[str, Any]
) -> None:
    for y, (_, marker, metric) in enumerate(rates):
        if metric["lo"] is not None:
            axes.plot([metric["lo"], metric["hi"]], [y, y], color="black", lw=1.3)
        face = "white" if found["few"] or marker == "s" else "black"
        axes.plot(metric["value"], y, marker, color="black", mfc=face, ms=7, mew=1.4, zorder=3,
                  clip_on=False)  # fmt: skip
    axes.set_yticks(range(len(rates)), [name for name, *_ in rates], fontsize=9)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"], fontsize=9)
    plots.beside(axes, [in_words_of(metric) for *_, metric in rates])
    level = f"{100 * found['level']:.3g} % intervals"
    plots.title(axes, f"share failing (the positive class is fail), {level}")


def _bars(axes: Axes, rows: Sequence[Row]) -> None:
    """Left of the line what is gone; right of it what fails now, and what nothing is told of."""
    left = max(row["gone"] for row in rows)
    right = max(sum(row[kind] for kind in KINDS if kind != "gone") for row in rows)
    digit = max(left + right, 1) / WIDE
    for y, row in enumerate(rows):
        at = 0
        for kind, look in LOOKS.items():
            count = row[kind]
            if not count:
                continue
            start = -count if kind == "gone" else at
            axes.barh(y, count, left=start, height=0.62, lw=0.8, **look)
            at += count if kind != "gone" else 0
            if count > digit * len(str(count)):
                colour = "white" if kind == "stays" else "black"
                box = {"facecolor": look["facecolor"], "edgecolor": "none", "pad": 0.8}
                axes.text(start + count / 2, y, str(count), ha="center", va="center", fontsize=8,
                          color=colour, bbox=box)  # fmt: skip
    axes.axvline(0, color="black", lw=1)
    axes.set_xlim(-left - 0.5, max(right, 1) + 0.5)
    axes.xaxis.set_major_formatter(lambda x, _: f"{abs(x):g}")
    axes.locator_params(axis="x", integer=True)
    axes.tick_params(axis="x", labelsize=9)


def _is_shown(row: Row, level: float) -> bool:
    return row["holm"] is not None and row["holm"] < 1 - level


def _legend(figure: Figure, found: Mapping[str, Any]) -> None:
    from matplotlib.patches import Patch

    entries = [
        Patch(**look, lw=0.8, label=f"{KINDS[kind]}: {found['states'][kind]}")
        for kind, look in LOOKS.items()
    ]
    figure.legend(handles=entries, loc="outside lower left", ncols=4, frameon=False, fontsize=9)
