"""Tables for stdout, notes and progress for stderr."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from judgelab.scoring import in_words

if TYPE_CHECKING:
    from judgelab.calls.pool import Pool
    from judgelab.runner import Progress
    from judgelab.tracking.folder import RunFolder

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

REDRAW = 0.1  # seconds between two pictures of the progress
SHOWN = (
    ("agreement", "agreement"),
    ("recall_fail", "recall fail"),
    ("precision_fail", "precision fail"),
    ("kappa", "kappa"),
)


def line(text: str) -> None:
    """A line of the result, on stdout: as it is, however long, and no markup."""
    out.print(text, markup=False, soft_wrap=True)


def notes(lines: Iterable[str]) -> None:
    """Remarks for the user, on stderr."""
    for text in lines:
        err.print(f"[yellow]note[/] {escape(text)}", soft_wrap=True)


def next_steps(lines: Iterable[str]) -> None:
    """What to do next, on stderr."""
    err.print()
    for text in lines:
        err.print(f"[bold]next[/] {escape(text)}", soft_wrap=True)


def leaderboard(
    folders: Sequence[RunFolder], title: str, choice: Mapping[str, Any] | None = None
) -> None:
    """One row a run, the positive class is fail; with a sweep's choice a mark before each."""
    said = f"{title}: {', '.join(_about(folders))}"
    table = Table(title=escape(said), title_justify="left", box=None, pad_edge=False)
    table.add_column("variant", overflow="fold", max_width=34)
    table.add_column("n", justify="right")
    for _, heading in SHOWN:
        table.add_column(heading, no_wrap=True)
    table.add_column("cover", justify="right")
    if paid := any(folder.record["calls"]["cost_usd"] for folder in folders):
        table.add_column("USD", justify="right")
    if choice:
        table.add_column("", width=1)
    for folder in folders:
        row = _row(folder)
        style = "dim" if folder.record["baseline"] else None
        mark = [_mark(folder.id, choice)] if choice else []
        table.add_row(*(row if paid else row[:-1]), *mark, style=style)
    if row := _ceiling(folders):
        table.add_row(*row, style="dim")
    _wide().print(table)
    for text in (LEGEND, *choice["text"]) if choice else ():
        err.print(text, soft_wrap=True, markup=False)


LEGEND = "* chosen   = not told apart from the best   - below a floor"


def _about(folders: Sequence[RunFolder]) -> list[str]:
    """What all rows of a table share: the class, its share, the level, what abstaining counts."""
    said = ["positive class fail"]
    card = next((folder.scores for folder in folders if folder.complete), None)
    if card is None:
        return said
    if card["prevalence_fail"] is not None:
        said[0] += f" ({card['prevalence_fail']:.0%} of the items)"
    said.append(f"intervals at {100 * card['metrics']['agreement']['level']:.3g} %")
    if card["policy"] != "error":
        said.append(f"abstentions: {card['policy']}")
    return said


def _ceiling(folders: Sequence[RunFolder]) -> list[str]:
    """The row of another human look at the same items, where there is one."""
    found = next((f.record.get("ceiling") for f in folders if f.complete), None)
    if not found or not found["metrics"]:
        return []
    cells = (in_words(found, metric) for metric, _ in SHOWN)
    return ["expert ceiling", str(found["n"]), *cells, "100%"]


def _mark(run: str, choice: Mapping[str, Any]) -> str:
    if run == choice["chosen"]:
        return "*"
    if run in choice["below_floors"]:
        return "-"
    return "=" if run in choice["best_set"] else ""


def labels_needed(card: Mapping[str, Any]) -> None:
    """How sure this many labels make a judge's numbers, and how many more would do."""
    from judgelab.metrics import sample_size

    reliability = [f"reliability {card['reliability']}"] if card["reliability"] else []
    notes([*reliability, *sample_size.in_words(sample_size.needs(card))])


def table(made: Table) -> None:
    """A table on stdout, with all of its columns."""
    _wide().print(made)


def _wide() -> Console:
    """Tables keep their columns where the output is a file or a narrow terminal."""
    return Console(highlight=False, width=max(out.width, 104))


def _row(folder: RunFolder) -> list[str]:
    record, calls = folder.record, folder.record["calls"]
    name = escape(("baseline: " if record["baseline"] else "") + record["name"])
    if not folder.complete:
        judged = calls["answered"] + sum(calls["abstained"].values())
        return [name, f"{judged} of {calls['planned']}", "incomplete:", "not ranked", *[""] * 4]
    card = folder.scores
    cells = [in_words(card, metric) for metric, _ in SHOWN]
    cost = f"{calls['cost_usd']:.4f}" if calls["cost_usd"] else "0"
    return [name, str(card["n"]), *cells, f"{card['coverage']:.0%}", cost]


def scorecards(cards: Sequence[Mapping[str, Any]], title: str) -> None:
    """One row a judge, for scorecards that have no run."""
    table = Table(
        title=escape(title), title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for heading in ("judge", "n", "tp", "fn", "fp", "tn", "none"):
        width = 16 if heading == "judge" else None
        justify: Literal["left", "right"] = "left" if heading == "judge" else "right"
        table.add_column(heading, justify=justify, overflow="fold", min_width=width)
    for _, heading in SHOWN:
        table.add_column(heading, no_wrap=True)
    for card in cards:
        counts = card["confusion"]
        abstained = counts["abstained_fail"] + counts["abstained_pass"]
        table.add_row(
            escape(card["judge"]),
            str(card["n"]),
            *(str(counts[cell]) for cell in ("tp", "fn", "fp", "tn")),
            str(abstained),
            *(in_words(card, metric) for metric, _ in SHOWN),
        )
    _wide().print(table)


@contextmanager
def progress(total: int, pool: Pool) -> Iterator[Progress]:
    """A bar on stderr: verdicts done, calls sent, money spent, time left."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    bar = Bar(
        TextColumn("judging"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("verdicts · {task.fields[sent]} calls · ${task.fields[spent]:.4f} · left"),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=total, sent=0, spent=0.0)
        done, shown = 0, 0.0

        def one_more(variant: object, verdict: object) -> None:
            nonlocal done, shown
            done += 1
            if (now := time.monotonic()) - shown > REDRAW or done == total:
                shown = now
                bar.update(task, completed=done, sent=pool.sent, spent=pool.spent)

        yield one_more
