"""`judgelab calls stats|export|import|prune`: what was paid for."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from judgelab import resources
from judgelab.calls import exchange, store
from judgelab.calls.claims import judging
from judgelab.commands import show
from judgelab.errors import UserError
from judgelab.tracking.folder import RunFolder, find_run, runs_folder

BATCH = 500  # answers taken in at a time: who judges meanwhile waits for one batch only
SHOWN = 20


def stats(*, as_json: bool) -> None:
    """What the store holds and has saved, by endpoint and model; and what is in quarantine."""
    with _opened() as db:
        found = {(row["endpoint"], row["model"]): row for row in store.totals(db)}
        for endpoint, model, answers, usd in db.execute("SELECT * FROM saved"):
            row = found.setdefault((endpoint, model), _nothing(endpoint, model))
            row |= {"used_again": answers, "usd_saved": usd}
        names = ("key", "endpoint", "model")
        query = f"SELECT {', '.join(names)} FROM quarantine"
        damaged = [dict(zip(names, row, strict=True)) for row in db.execute(query)]
    rows = [row | {"used_again": 0, "usd_saved": 0.0} | row for row in found.values()]
    files = resources.call_store().parent.glob(f"{resources.call_store().name}*")
    size = sum(file.stat().st_size for file in files)
    if as_json:
        held = {"answers": rows, "quarantine": damaged, "bytes": size}
        click.echo(json.dumps(held, indent=1, ensure_ascii=False))
        return
    _show_stats(rows)
    answers, usd, saved = (sum(row[k] for row in rows) for k in ("answers", "usd", "usd_saved"))
    show.line(
        f"{answers:,} answers, paid ${usd:.4f}, saved ${saved:.4f}; {size / 1024:,.0f} KiB on disk"
    )
    if damaged:
        show.line(f"in quarantine, damaged and asked again when needed: {len(damaged)}")
        for row in damaged[:SHOWN]:
            show.line(f"  {row['key'][:12]} {row['endpoint']} {row['model']}")
        if len(damaged) > SHOWN:
            show.line(f"  and {len(damaged) - SHOWN} more (--json lists all)")
    if not rows:
        show.notes(["nothing was paid for yet: answers of local models are not stored"])


def export(run: str | None, file: Path, *, force: bool) -> None:
    """Write the answers of a run, or of the whole store, into one file."""
    if file.exists() and not force:
        raise UserError(f"{file} is there already. Give another name, or --force to replace it.")
    folder = find_run(run) if run else None
    with _opened() as db:
        keys = _keys(folder) if folder else set()
        found = store.answers(db, store.listed(db, keys) if folder else "1")
        written, damaged = _write(file, found)
    notes = [f"{damaged} damaged answers are left out; they are asked again"] if damaged else []
    if missing := len(keys) - written - damaged if folder else 0:
        notes.append(
            f"{missing} of {len(keys)} answers of the run are not in the store: of a local model, "
            "of a run that came from elsewhere, or deleted since"
        )
    show.notes(notes)
    if not written:
        raise UserError(f"there is nothing to export, and {file} is not written.")
    show.line(f"{written} answers in {file}")
    show.next_steps([f"in the other lab: judgelab calls import {file.name}"])


def take_in(file: Path) -> None:
    """Take in the answers of a file; nothing at all where one of its lines is broken."""
    total = sum(1 for _ in exchange.read(file))
    if not total:
        raise UserError(f"{file} is empty. Make it with: judgelab calls export RUN {file.name}")
    resources.call_store().parent.mkdir(parents=True, exist_ok=True)
    with _opened(new=True) as db:
        rows, new = exchange.read(file), 0
        while batch := list(islice(rows, BATCH)):
            new += store.insert(db, batch)
    show.line(f"{total} answers, {new} of them new: the same requests are not sent again")


@dataclass(frozen=True)
class Wanted:
    """Which answers to delete: those that fit every condition that is given."""

    older_than: int | None = None
    endpoint: str | None = None
    model: str | None = None
    unused: bool = False

    def condition(self, db: sqlite3.Connection) -> tuple[str, Sequence[Any]]:
        """As SQL, with its values; "" for no condition."""
        given: list[tuple[str, Any]] = []
        if self.older_than is not None:
            given.append(("at <= datetime('now', ?)", f"-{self.older_than} days"))
        if self.endpoint is not None:
            given.append(("endpoint = ?", self.endpoint))
        if self.model is not None:
            given.append(("model = ?", self.model))
        # What comes in meanwhile was not shown, and may be of a run that has no folder yet.
        newest = db.execute("SELECT ifnull(max(id), 0) FROM calls").fetchone()[0]
        unused = ""
        if self.unused:
            used = (key for folder in _runs() for key in _keys(folder))
            unused = f"NOT {store.listed(db, used)} AND "
        if given or unused:
            given.append((f"{unused}id <= ?", newest))
        return " AND ".join(sql for sql, _ in given), [value for _, value in given]


def prune(wanted: Wanted, *, quarantine: bool, yes: bool) -> None:
    """Say which answers fit, and what they cost; delete them where the user says yes."""
    if wanted == Wanted() and not quarantine:
        raise UserError(
            "which answers? Give at least one of --older-than DAYS, --endpoint NAME, --model NAME, "
            "--unused, --quarantine."
        )
    if wanted.unused and (n := judging(resources.call_store())):
        raise UserError(
            f"{n} processes judge in this lab now, and their answers are in no run folder yet. "
            "Wait for them before you delete what is unused."
        )
    with _opened() as db:
        where, values = wanted.condition(db)
        rows = store.totals(db, where, values) if where else []
        damaged = db.execute("SELECT count(*) FROM quarantine").fetchone()[0] if quarantine else 0
        if rows:
            _show_pruned(rows)
        parts = [f"{sum(row['answers'] for row in rows):,} answers"] if where else []
        parts += [f"{damaged:,} damaged answers in quarantine"] if quarantine else []
        cost = f", which cost ${sum(row['usd'] for row in rows):.4f}" if where else ""
        what = " and ".join(parts) + cost
        if not yes:
            show.line(f"would be deleted: {what}")
            if rows or damaged:
                show.next_steps(["to delete them, the same command with --yes"])
            return
        if where:
            store.delete(db, where, values)
        if quarantine:
            db.execute("DELETE FROM quarantine")
        shrunk = store.shrink(db)
    show.line(f"deleted: {what}")
    if not shrunk:
        show.notes(["the file could not be made smaller now; its space is used for new answers"])


@contextmanager
def _opened(*, new: bool = False) -> Iterator[sqlite3.Connection]:
    if not new and not resources.call_store().is_file():
        raise UserError(
            f"there is no {resources.call_store()}: nothing was paid for in this lab yet. Start "
            "with: judgelab run model=NAME, or take in another lab's answers with: judgelab calls "
            "import FILE"
        )
    with store.opened(resources.call_store()) as db:
        pass
    try:
        yield db
    finally:
        db.close()


def _runs() -> Iterator[RunFolder]:
    return (RunFolder(path.parent) for path in runs_folder().glob("*/replies.jsonl"))


def _keys(folder: RunFolder) -> set[str]:
    return {key for calls in folder.replies.values() for key, _ in calls}


def _write(file: Path, found: Iterator[store.Answer]) -> tuple[int, int]:
    """Write beside the file, and move over it; how many answers, and how many are damaged."""
    written = damaged = 0
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with beside.open("w", encoding="utf-8", newline="\n") as out:
            for answer in found:
                if answer.sound:
                    out.write(exchange.line(answer))
                    written += 1
                else:
                    damaged += 1
            out.flush()
            os.fsync(out.fileno())
        if written:
            beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
    return written, damaged


def _nothing(endpoint: str, model: str) -> dict[str, Any]:
    """A model whose answers are all deleted; what they saved is still known."""
    counts = dict.fromkeys(("answers", "tokens_in", "tokens_out", "tokens_cached"), 0)
    return {"endpoint": endpoint, "model": model, **counts, "usd": 0.0, "first": None, "last": None}


def _table(*numbers: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("endpoint", overflow="fold")
    table.add_column("model", overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _show_stats(rows: Sequence[Mapping[str, Any]]) -> None:
    table = _table(
        *("answers", "tokens\nin", "\nout", "\ncached", "USD\npaid"),
        *("used\nagain", "USD\nsaved", "first", "last"),
    )
    for row in rows:
        table.add_row(
            *(escape(row["endpoint"]), escape(row["model"]), f"{row['answers']:,}"),
            *(f"{row[name]:,}" for name in ("tokens_in", "tokens_out", "tokens_cached")),
            *(f"{row['usd']:.4f}", f"{row['used_again']:,}", f"{row['usd_saved']:.4f}"),
            *((row[name] or "–")[:10] for name in ("first", "last")),
        )
    if rows:
        show.table(table)


def _show_pruned(rows: Sequence[Mapping[str, Any]]) -> None:
    table = _table("answers", "USD paid", "first", "last")
    for row in rows:
        table.add_row(
            *(escape(row["endpoint"]), escape(row["model"]), f"{row['answers']:,}"),
            *(f"{row['usd']:.4f}", row["first"][:10], row["last"][:10]),
        )
    show.table(table)
