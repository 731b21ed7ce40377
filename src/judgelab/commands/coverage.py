"""`judgelab data coverage`: which cells the data fill, and whether failures still bring news."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from judgelab import config as configs
from judgelab.commands import show
from judgelab.commands.data import would_be
from judgelab.coverage import Coverage, Covered, coverage_of, hint, rate_in_words
from judgelab.data.dimensions import Dimensions
from judgelab.data.modes import modes_of
from judgelab.data.schema import Dataset, DatasetConfig, load
from judgelab.data.split import SplitConfig

SHOWN = 25  # cells of the table


def show_coverage(
    overrides: Sequence[str], *, by: str | None, thin: int, as_json: bool = False
) -> None:
    """The table of cells, empty and thin ones first."""
    with configs.hydra():
        config = configs.compose(overrides, lenient=True).config
        dataset_node = configs.resolved(config.dataset)
        split_node = configs.resolved(config.split)
        dimensions_node = configs.resolved(config.dimensions) if config.dimensions else None
    dimensions = dimensions_of(dimensions_node)
    dataset = load(configs.build(dataset_node, DatasetConfig, "dataset"))
    names = [name.strip() for name in by.split(",")] if by else []
    split = configs.build(split_node, SplitConfig, "split")
    made = would_be(dataset, split) if dataset.labels else None
    modes = modes_of(dataset) or None
    found = coverage_of(dataset, made, dimensions, by=names, modes=modes, thin=thin)
    if as_json:
        said = {"dataset": dataset.name, **found.to_json(), "notes": dataset.notes}
        click.echo(json.dumps(said, indent=1, ensure_ascii=False, allow_nan=False))
        return
    show.notes(dataset.notes)
    if not found.grid.names:
        show.line("no item has a dimension: dataset.columns.dimensions names their columns")
        return
    _show(dataset, found)
    _say_next(found, dimensions, overrides)


def dimensions_of(node: Mapping[str, Any] | None) -> Dimensions | None:
    """The dimensions of a config; None of dimensions=none."""
    return configs.build(node, Dimensions, "dimensions") if node else None


def _show(dataset: Dataset, found: Coverage) -> None:
    counts = found.counts
    title = f"{dataset.name} by {', '.join(found.grid.names)}: positive class fail"
    table = Table(title=escape(title), title_justify="left", box=None, pad_edge=False)
    for name in found.grid.names:
        table.add_column(escape(name), overflow="fold")
    for head in ("n", "labelled"):
        table.add_column(head, justify="right")
    table.add_column("fails", no_wrap=True)
    table.add_column("fail rate", no_wrap=True)
    table.add_column("")
    for row in (shown := found.first(SHOWN)):
        cells = [escape(value) or "–" for value in row.cell]
        said = f"{row.fails} of {row.open}" if row.open else ""
        table.add_row(*cells, str(row.n), str(row.labelled), said, rate_in_words(row), _state(row))
    show.table(table)
    if left := len(found.rows) - len(shown):
        show.line(f"… and {left:,} more cells (--json lists all)")
    show.line(f"\n{found.in_words}")
    if counts["closed"]:
        show.line(f"{counts['closed']} labels are closed (test): counted, and in no fail rate")
    if found.unseen:
        show.line(hint(found.unseen))


def _state(row: Covered) -> str:
    said = row.state if row.state != "empty" else "[red]empty[/]"
    return f"{said} not in the yaml".strip() if row.odd else said


def _say_next(found: Coverage, dimensions: Dimensions | None, overrides: Sequence[str]) -> None:
    words = " ".join(overrides)
    steps = []
    if any(row.n > row.labelled and row.state for row in found.rows):
        steps.append(f"label thin cells: judgelab review --queue stratified {words}".rstrip())
    if len(found.grid.names) > 2 and found.counts["thin"]:
        pair = ",".join(found.grid.names[:2])
        steps.append(f"fewer, larger cells: judgelab data coverage --by {pair} {words}".rstrip())
    if dimensions is None:
        steps.append("say what can be, in conf/dimensions/mine.yaml: dimensions=mine")
    if steps:
        show.next_steps(steps)
