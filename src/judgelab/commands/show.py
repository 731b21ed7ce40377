"""Tables for stdout, notes for stderr."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from judgelab.commands.remarks import missing
from judgelab.metrics.names import named
from judgelab.scoring import in_words, in_words_of, p_in_words

if TYPE_CHECKING:
    from judgelab.tracking.folder import RunFolder

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

WIDEST = 112  # columns of a table
SHOWN = (
    ("agreement", "agreement"),
    ("recall_fail", "recall fail"),
    ("precision_fail", "precision fail"),
    ("kappa", "kappa"),
)
AC1 = ("gwet_ac1", "AC1")  # beside kappa, without its limits


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
    folders: Sequence[RunFolder],
    title: str,
    metric: str,
    choice: Mapping[str, Any] | None = None,
) -> None:
    """One row a run, the positive class is fail; with a sweep's choice a mark behind each.

    `metric` is the one that chooses: it has a column of its own where it is none of the others.
    """
    cards = [folder.scores for folder in folders if folder.complete]
    ceiling = _ceiling(folders)
    own = [] if metric in dict((*SHOWN, AC1)) else [(metric, named(metric).replace(" of ", " "))]
    shown = [*SHOWN, *own]
    excluded = any("n_excluded" in card for card in cards)
    paid = any(folder.record["calls"]["cost_usd"] for folder in folders)
    # Limits stand below their numbers where there is no room beside them.
    stacked = bool(own) or (excluded and paid)
    table = Table(
        title=escape(f"{title}: {', '.join(_about(cards))}"),
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 1, 0, 0) if stacked else (0, 1),
    )
    table.add_column("variant", overflow="fold", max_width=34)
    for heading in ("n", *(["excl."] if excluded else []), "cover"):
        table.add_column(heading, justify="right")
    for _, heading in (*shown, AC1):
        table.add_column(heading.replace(" ", "\n") if stacked else heading, no_wrap=True)
    if paid:
        table.add_column("USD", justify="right")
    if choice:
        table.add_column("", width=1)
    for folder in folders:
        row = _row(folder, shown, excluded, stacked)
        usd = folder.record["calls"]["cost_usd"]
        cost = [f"{usd:.4f}" if usd else "0"] if paid else []
        mark = [_mark(folder.id, choice)] if choice else []
        row += [""] * (len(table.columns) - len(row) - len(cost) - len(mark))
        table.add_row(*row, *cost, *mark, style="dim" if folder.record["baseline"] else None)
    if ceiling:
        n = [str(ceiling["n"]), *([""] if excluded else []), "100%"]
        table.add_row(ceiling["judge"], *n, *cells(ceiling, shown, stacked), style="dim")
    _wide().print(table)
    rows = [*cards, *([ceiling] if ceiling else [])]
    said = missing(rows, [name for name, _ in shown], [AC1[0]])
    below([*([LEGEND] if choice else []), *said, *(choice["text"] if choice else ())])


def below(lines: Iterable[str]) -> None:
    """What is said of a table, on stderr."""
    for text in lines:
        err.print(text, soft_wrap=True, markup=False)


LEGEND = "* chosen   = not told apart from the best   - below a floor"


def _about(cards: Sequence[Mapping[str, Any]]) -> list[str]:
    """What all rows of a table share: the class, its share, the level, what abstaining counts."""
    said = ["positive class fail"]
    if not cards:
        return said
    card = cards[0]
    if card["prevalence_fail"] is not None:
        said[0] += f" ({card['prevalence_fail']:.0%} of the items)"
    said.append(f"intervals at {100 * card['metrics']['agreement']['level']:.3g} %")
    if card["policy"] != "error":
        said.append(f"abstentions: {card['policy']}")
    return said


def _ceiling(folders: Sequence[RunFolder]) -> dict[str, Any]:
    """Another human look at the same items, as a scorecard; empty where there is none."""
    found = next((f.record.get("ceiling") for f in folders if f.complete), None)
    return {"judge": "expert ceiling", **found} if found and found["metrics"] else {}


def _mark(run: str, choice: Mapping[str, Any]) -> str:
    if run == choice["chosen"]:
        return "*"
    if run in choice["below_floors"]:
        return "-"
    return "=" if run in choice["best_set"] else ""


def table(made: Table) -> None:
    """A table on stdout, with all of its columns."""
    _wide().print(made)


def _wide() -> Console:
    """A table is the same in a file and in any terminal."""
    return Console(highlight=False, width=WIDEST)


def _row(
    folder: RunFolder, shown: Sequence[tuple[str, str]], excluded: bool, stacked: bool
) -> list[str]:
    record, calls = folder.record, folder.record["calls"]
    name = escape(("baseline: " if record["baseline"] else "") + record["name"])
    if not folder.complete:
        judged = calls["answered"] + sum(calls["abstained"].values())
        gap = [""] * (2 if excluded else 1)
        if stopped := folder.stopped:
            return [name, f"{stopped['after']}", *gap, "stopped by", "the race:", "not ranked"]
        return [name, f"{judged} of {calls['planned']}", *gap, "incomplete:", "not ranked"]
    card = folder.scores
    dropped = [str(card.get("n_excluded", ""))] if excluded else []
    n = [str(card["n"]), *dropped, share(card["coverage"])]
    return [name, *n, *cells(card, shown, stacked)]


def cells(
    card: Mapping[str, Any], shown: Sequence[tuple[str, str]], stacked: bool = False
) -> list[str]:
    """The metrics with their limits, and AC1 without."""
    made = [in_words(card, metric) for metric, _ in shown]
    if stacked:
        made = [cell.replace(" ", "\n", 1) for cell in made]
    return [*made, point(card, AC1[0])]


def point(card: Mapping[str, Any], metric: str) -> str:
    """A metric without its limits; a dash where it is undefined."""
    return in_words(card, metric).partition(" ")[0]


def share(of_items: float | None) -> str:
    """In per cent; 100 % is all of them."""
    if of_items is None:
        return "–"
    near = 0.995 <= of_items < 1 or 0 < of_items < 0.005
    return f"{of_items:.1%}" if near else f"{of_items:.0%}"


def under_both(found: Mapping[str, Any] | None) -> Iterator[str]:
    """A judge under the first labels and under the blind second ones (`expert.relabelled`)."""
    if not found:
        return
    differed, agreed = found["differed"], found["agreed"]
    yield (
        f"labelled again, blind: {len(found['changed'])} of {found['n']} are others now, "
        f"{differed['changed']} of {differed['n']} where the judge differed and "
        f"{agreed['changed']} of {agreed['n']} where it agreed"
    )
    rows = [("on these items", [heading for _, heading in SHOWN])]
    for title, name in (("first labels", "first"), ("second labels", "again")):
        rows.append((title, [in_words_of(found[name][metric]) for metric, _ in SHOWN]))
    for title, cells in rows:
        yield f"  {title:14}  {'  '.join(f'{cell:16}' for cell in cells)}".rstrip()
    yield (
        f"  second less first: agreement {in_words_of(found['difference'])}, "
        f"p {p_in_words(found['p'])}; the first labels decide"
    )
