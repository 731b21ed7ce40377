"""`judgelab data import --as modes`: what failed interactions failed by, from a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from judgelab import resources
from judgelab.commands import show
from judgelab.commands.data import configured
from judgelab.data.modes import ModeLog
from judgelab.data.modes_file import read_modes
from judgelab.data.readers.problems import shown
from judgelab.data.schema import load


def take_in(
    file: Path, overrides: Sequence[str], *, expert: str, new_modes: bool, dry_run: bool
) -> None:
    """Failure modes of a file become events; names that are new go to the taxonomy if asked to."""
    config, _, _ = configured(overrides)
    path = resources.data_path(str(file)) if str(file).startswith("sample:") else file
    dataset = load(config)
    log = ModeLog.of(config.name)
    made = read_modes(path, dataset, log, by=expert, naming=new_modes)
    total = len(made.given) + len(made.known)
    show.line(f"{total} rows = {len(made.given)} new, {len(made.known)} known already")
    if made.new:
        names = ", ".join(mode.name for mode in made.new)
        show.line(f"new failure modes: {len(made.new)} ({names})")
    if dry_run:
        show.notes(["nothing was written (--dry-run)"])
    elif made.given:
        log.classify(made.given, made.new)
        show.notes([f"{len(made.given)} classifications were added to {shown(log.path)}"])
        if made.new:
            show.next_steps([f"say in a sentence what each mode is: {shown(log.yaml)}"])
