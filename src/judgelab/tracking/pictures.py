"""Pictures of run folders: the confusion matrix of a run, the leaderboard of a sweep.

Drawn with figures of their own (no pyplot state) and written without dates, so that the same
scores give the same bytes. Readable in black and white.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from judgelab.scoring import in_words
from judgelab.tracking.folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 130
LONGEST_NAME = 44
MISTAKES = {(1, 0): "missed failures", (0, 1): "false alarms"}  # by (column, row)
SHOWN = 40  # rows of a leaderboard that a picture has room for


def confusion(folder: RunFolder) -> None:
    """confusion.png and .svg of a complete run; nothing for others, and not drawn twice."""
    if folder.complete and not _drawn(folder, "confusion"):
        _save(folder, "confusion", _confusion(folder.scores, folder.record))


def leaderboard(sweep: RunFolder, ranked: Sequence[RunFolder]) -> None:
    """leaderboard.png and .svg in a sweep's folder: kappa and its interval, best on top."""
    complete = [folder for folder in ranked if folder.complete]
    if complete:
        _save(sweep, "leaderboard", _leaderboard(complete[:SHOWN], len(complete)))


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
        f"{_short(record['name'])}\nagreement {in_words(card, 'agreement')} on {record['part']}",
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


def _leaderboard(folders: Sequence[RunFolder], complete: int) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.3 + 0.3 * len(folders)), layout="constrained")
    axes = figure.add_subplot()
    for y, folder in enumerate(folders):
        kappa = folder.scores["metrics"]["kappa"]
        if kappa["value"] is None:
            axes.text(0.02, y, "undefined", va="center", fontsize=8, style="italic")
            continue
        baseline = folder.record["baseline"]
        if kappa["lo"] is not None:
            line = "--" if baseline else "-"
            axes.plot([kappa["lo"], kappa["hi"]], [y, y], color="black", linestyle=line, lw=1.2)
        face = "white" if baseline else "black"
        axes.plot(kappa["value"], y, "s" if baseline else "o", color="black", mfc=face, ms=6)
    axes.axvline(0, color="grey", linewidth=0.8, linestyle=":")
    names = [_row_name(folder.record) for folder in folders]
    axes.set_yticks(range(len(folders)), names)
    axes.set_ylim(len(folders) - 0.4, -0.6)
    low = min((f.scores["metrics"]["kappa"]["lo"] or 0 for f in folders), default=0)
    axes.set_xlim(min(-0.1, low - 0.05), 1)
    level = folders[0].scores["metrics"]["kappa"]["level"]
    axes.set_xlabel(f"kappa, {level:.0%} interval (0: chance). Open squares: baselines")
    record = folders[0].record
    more = f" (the first {len(folders)} of {complete})" if complete > len(folders) else ""
    axes.set_title(
        f"{record['dataset']['name']}, {record['part']}: {folders[0].scores['n']} items{more}",
        fontsize=10,
        loc="left",
    )
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return figure


def _row_name(record: Mapping[str, Any]) -> str:
    return _short(f"{record['name']} (baseline)" if record["baseline"] else record["name"])


def _short(name: str) -> str:
    """Cut to what a picture has room for, and nothing in it read as a formula."""
    cut = name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
    return cut.replace("$", r"\$")


def _save(folder: RunFolder, name: str, figure: Figure) -> None:
    """PNG and SVG, the same bytes for the same figure."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=DPI, metadata={"Software": None})
    _write(folder, f"{name}.png", picture.getvalue())
    figure.set_layout_engine("none")  # it stays as it was laid out
    drawing = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "judgelab"}):
        figure.savefig(drawing, format="svg", metadata={"Date": None, "Creator": None})
    _write(folder, f"{name}.svg", drawing.getvalue())


def _drawn(folder: RunFolder, name: str) -> bool:
    """Whether the pictures are there, and not older than the scores they show."""
    scores = (folder.path / "scores.json").stat().st_mtime_ns
    pictures = [folder.path / f"{name}{suffix}" for suffix in (".png", ".svg")]
    return all(path.is_file() and path.stat().st_mtime_ns >= scores for path in pictures)


def _write(folder: RunFolder, name: str, content: bytes) -> None:
    beside = folder.path / f".{name}"
    beside.write_bytes(content)
    beside.replace(folder.path / name)
