"""Pictures of run folders, as PNG and SVG in the folder they belong to.

    confusion      of a run: expert against judge
    cascade        of a run whose threshold was found on dev: what handing over gains
    leaderboard    of a sweep: every variant's metric with its interval
    differences    of a sweep: each variant minus the reference, where they were compared
    history        of a search: its trials in their order, and the best so far
    importance     of a sweep: what each axis explains, where enough variants are finished
    cost           of a sweep: cost against the metric, where something costs
    rounds         of a sweep: agreement by round of labels, where there are two; of a round of
                   `judgelab round`: what each round's judge scored
    probe          of a run that was probed: what payloads do to it
    slices         of a run that was analysed: the error rates of every slice
    heat           of a run that was analysed: two dimensions against each other
    after          of a run with new outputs of its items: which failures are gone, stay, are new

Drawn with figures of their own (no pyplot state) and written without dates, so that the same
scores give the same bytes. Readable in black and white.
"""

from __future__ import annotations

import base64
import io
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judgelab.scoring import in_words
from judgelab.tracking import analyses, changes, costs, plots, probes, searched
from judgelab.tracking.folder import RunFolder
from judgelab.tracking.sweeps import Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 130
LONGEST_NAME = 44
MISTAKES = {(1, 0): "missed failures", (0, 1): "false alarms"}  # by (column, row)


def confusion(folder: RunFolder) -> None:
    """confusion.png and .svg of a complete run; nothing for others, and not drawn twice."""
    if folder.complete and not _drawn(folder, "confusion", [folder.path / "scores.json"]):
        _save(folder, "confusion", _confusion(folder.scores, folder.record))


def probe(folder: RunFolder, found: Mapping[str, Any]) -> bool:
    """probe.png and .svg of what a probe found (probe.json); whether there was anything to draw."""
    if not found["injection"]["n"]:
        return False
    if not _drawn(folder, "probe", [folder.path / "probe.json"]):
        _save(folder, "probe", probes.injections(found))
    return True


def analysis(folder: RunFolder, found: Mapping[str, Any]) -> list[str]:
    """The pictures of an analysis (analysis.json), as PNG and SVG; gives the names of those there
    are."""
    wanted = {"slices": (found["slices"], analyses.bars), "heat": (found["pairs"], analyses.heat)}
    for name, (rows, figure) in wanted.items():
        if not rows:  # an earlier one's
            for suffix in (".png", ".svg"):
                (folder.path / f"{name}{suffix}").unlink(missing_ok=True)
        elif not _drawn(folder, name, [folder.path / "analysis.json"]):
            _save(folder, name, figure(found))
    return [name for name, (rows, _) in wanted.items() if rows]


def after(folder: RunFolder, found: Mapping[str, Any]) -> None:
    """after.png and .svg of a run's items before and after a change of the system (after.json)."""
    if not _drawn(folder, "after", [folder.path / "after.json"]):
        _save(folder, "after", changes.fates(found))


def cascade(folder: RunFolder) -> bool:
    """cascade.png and .svg of a run whose optimizer drew a curve; whether there is one."""
    path = folder.path / "optimizer.json"
    story = folder.optimizing.get("story", {})
    if "curve" not in story:
        return False
    if not _drawn(folder, "cascade", [path]):
        _save(folder, "cascade", plots.handing_over(story))
    return True


def rounds(folder: RunFolder, found: Sequence[Mapping[str, Any]], goal: float) -> None:
    """rounds.png and .svg of a round of labelling; see `plots.rounds`."""
    if not _drawn(folder, "rounds", [folder.path / "round.json"]):
        _save(folder, "rounds", plots.rounds(found, goal))


def of_sweep(sweep: Sweep) -> list[str]:
    """The pictures of a sweep; gives the names of those there are, in the order to look at them.

    Drawn again only where sweep.json or the scores are newer.
    """
    if not sweep.complete:
        return []
    wanted = {"leaderboard": plots.forest}
    if plots.can_differ(sweep):
        wanted["differences"] = plots.differences
    if searched.drawn(sweep):
        wanted["history"] = searched.history
    if searched.mattered(sweep):
        wanted["importance"] = searched.axes_that_matter
    if costs.can_cost(sweep):
        wanted["cost"] = costs.cost
    if len(sweep.about.get("rounds", ())) > 1:
        wanted["rounds"] = lambda sweep: plots.rounds(sweep.about["rounds"])
    made_of = [sweep.folder.path / "sweep.json"]
    made_of += [folder.path / "scores.json" for folder in sweep.complete]
    for name, figure in wanted.items():
        if not _drawn(sweep.folder, name, made_of):
            _save(sweep.folder, name, figure(sweep))
    return list(wanted)


def inline(folder: RunFolder, name: str) -> str:
    """A drawing that is there, as the address of an image that holds it."""
    drawing = (folder.path / f"{name}.svg").read_bytes()
    return f"data:image/svg+xml;base64,{base64.b64encode(drawing).decode()}"


def _confusion(card: Mapping[str, Any], record: Mapping[str, Any]) -> Figure:
    from matplotlib.figure import Figure

    counts = card["confusion"]
    rows = [
        [counts["tp"], counts["fn"], counts["abstained_fail"]],
        [counts["fp"], counts["tn"], counts["abstained_pass"]],
    ]
    columns = ["fail", "pass", "abstained"]
    if not any(row[2] for row in rows):
        rows, columns = [row[:2] for row in rows], columns[:2]
    figure = Figure(figsize=(1.9 + 1.35 * len(columns), 3.9), layout="constrained")
    axes = figure.add_subplot()
    shares = [[count / max(sum(row), 1) for count in row] for row in rows]
    axes.imshow(shares, cmap="Greys", vmin=0, vmax=1, aspect="auto")
    for y, row in enumerate(rows):
        for x, count in enumerate(row):
            _cell(axes, (x, y), count, shares[y][x], MISTAKES.get((x, y), ""))
    axes.set_xticks(range(len(columns)), columns)
    totals = [sum(row) for row in rows]
    axes.set_yticks([0, 1], [f"fail\n({totals[0]})", f"pass\n({totals[1]})"])
    axes.set_xlabel("judge")
    axes.set_ylabel("expert")
    axes.set_title(
        f"{plots.short(record['name'], LONGEST_NAME)}\n"
        f"agreement {in_words(card, 'agreement')} on {record['part']}",
        fontsize=10,
    )
    _frame(axes)
    return figure


def _cell(axes: Axes, at: tuple[int, int], count: int, share: float, mistake: str) -> None:
    """The count, and its share of the expert's row; right verdicts are in bold."""
    x, y = at
    colour = "white" if share > 0.55 else "black"
    weight = "bold" if x == y else "normal"
    axes.text(x, y - 0.08, str(count), ha="center", va="center", color=colour, fontsize=16,
              fontweight=weight)  # fmt: skip
    about = f"{share:.0%}\n{mistake}" if mistake else f"{share:.0%}"
    axes.text(x, y + 0.1, about, ha="center", va="top", color=colour, fontsize=9)


def _frame(axes: Axes) -> None:
    """Lines between the cells, so that pale ones are seen on paper."""
    columns, rows = round(axes.get_xlim()[1] + 0.5), 2
    axes.set_xticks([x - 0.5 for x in range(1, columns)], minor=True)
    axes.set_yticks([y - 0.5 for y in range(1, rows)], minor=True)
    axes.grid(which="minor", color="black", linewidth=0.8)
    axes.tick_params(which="both", length=0)


def _save(folder: RunFolder, name: str, figure: Figure) -> None:
    """PNG and SVG, the same bytes for the same figure."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    picture, drawing = io.BytesIO(), io.BytesIO()
    with warnings.catch_warnings(), mpl.rc_context({"svg.hashsalt": "judgelab"}):
        warnings.filterwarnings("ignore", "Glyph")  # a name in letters that the font lacks
        figure.savefig(picture, format="png", dpi=DPI, metadata={"Software": None})
        figure.set_layout_engine("none")  # it stays as it was laid out
        figure.savefig(drawing, format="svg", metadata={"Date": None, "Creator": None})
    _write(folder, f"{name}.png", picture.getvalue())
    _write(folder, f"{name}.svg", drawing.getvalue())


def _drawn(folder: RunFolder, name: str, made_of: Sequence[Path]) -> bool:
    """Whether the pictures are there, and not older than what they show."""
    pictures = [folder.path / f"{name}{suffix}" for suffix in (".png", ".svg")]
    if not all(path.is_file() for path in pictures):
        return False
    newest = max(path.stat().st_mtime_ns for path in made_of)
    return all(path.stat().st_mtime_ns >= newest for path in pictures)


def _write(folder: RunFolder, name: str, content: bytes) -> None:
    """Replace a picture; another process may be drawing the same one."""
    beside = folder.path / f".{name}.{os.getpid()}"
    try:
        beside.write_bytes(content)
        beside.replace(folder.path / name)
    finally:
        beside.unlink(missing_ok=True)
