"""How far the work is, on stderr: a bar of verdicts, and one of each optimizer at work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.markup import escape

from judgelab.calls.pool import Pool
from judgelab.commands import show
from judgelab.runner import Progress
from judgelab.types import Verdict
from judgelab.variants import Variant

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

REDRAW = 0.1  # seconds between two pictures of a bar
LONGEST = 18  # characters of a variant's name


@contextmanager
def progress(total: int, pool: Pool) -> Iterator[Progress]:
    """Verdicts done, calls sent, money spent, time left; of an optimizer the answers it has used
    of its budget, and the best so far. On a terminal alone, and none of it stays there."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar
    from rich.table import Column

    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(),  # where there is little room it is the bar that shrinks
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[said]} · left"),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
        console=show.err,
        transient=True,
        disable=not show.err.is_terminal,
    )
    with bar:
        yield Bars(bar, total, pool)


@contextmanager
def counting(what: str, total: int) -> Iterator[Callable[[int, str], None]]:
    """How many of `total` are done, and a remark; on a terminal alone, and none of it stays."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    said = TextColumn("{task.fields[said]} · left")
    with Bar(
        *(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()),
        *(said, TimeRemainingColumn()),
        console=show.err,
        transient=True,
        disable=not show.err.is_terminal,
    ) as bar:
        task = bar.add_task(what, total=total, said="")

        def done(so_far: int, remark: str) -> None:
            bar.update(task, completed=so_far, said=remark)

        yield done


class Bars(Progress):
    """The bars; an optimizer's is there while it works."""

    def __init__(self, bar: Bar, total: int, pool: Pool) -> None:
        self._bar, self._total, self._pool = bar, total, pool
        self._verdicts = bar.add_task("judging", total=total, said=self._spent)
        self._done = 0
        self._optimizers: dict[str, TaskID] = {}
        self._shown: dict[TaskID, float] = {}

    def __call__(self, variant: Variant, verdict: Verdict) -> None:
        self._done += 1
        if self._due(self._verdicts) or self._done == self._total:
            self._bar.update(self._verdicts, completed=self._done, said=self._spent)

    def improving(self, variant: Variant, used: int, of: int, best: str) -> None:
        said = f"answers · best {best}" if best else "answers"
        if variant.name not in self._optimizers:
            long = len(variant.name) > LONGEST
            name = f"{variant.name[: LONGEST - 1]}…" if long else variant.name
            about = f"optimizing {escape(name)}"
            self._optimizers[variant.name] = self._bar.add_task(about, total=of, said=said)
        task = self._optimizers[variant.name]
        if self._due(task) or used == of:
            self._bar.update(task, completed=used, said=said)
            self._bar.update(self._verdicts, said=self._spent)

    def improved(self, variant: Variant) -> None:
        if (task := self._optimizers.pop(variant.name, None)) is not None:
            self._bar.remove_task(task)

    @property
    def _spent(self) -> str:
        return f"verdicts · {self._pool.sent} calls · ${self._pool.spent:.4f}"

    def _due(self, task: TaskID) -> bool:
        now = time.monotonic()
        due = now - self._shown.get(task, 0.0) > REDRAW
        if due:
            self._shown[task] = now
        return due
