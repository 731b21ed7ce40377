"""`judgelab rerun`: a run again, from its record."""

from __future__ import annotations

from judgelab import rerun as reruns
from judgelab.calls.pool import Pool
from judgelab.commands import show
from judgelab.commands.run import open_pool
from judgelab.errors import ClaimError
from judgelab.sources import another_look
from judgelab.tracking.folder import find_run

SHOWN = 20


def rerun(name: str, *, live: bool, data: str | None) -> None:
    """Raises ClaimError (exit 1) where verdicts or scores differ."""
    folder = find_run(name)
    pool = open_pool(folder.config, store=False) if live else Pool(record=folder.replies)
    result = reruns.rerun(folder, pool, data)
    show.notes(result.moved)
    how = f"asked again, {pool.sent} calls" if live else "replayed, no call sent"
    if result.same:
        show.line(f"{folder.id}: {result.compared} verdicts and all scores are the same ({how})")
        return
    for item, repeat, before, after in result.flips[:SHOWN]:
        show.line(f"{item} (repeat {repeat}): {before or 'abstained'} -> {after or 'abstained'}")
    for metric, was, now in result.scores:
        show.line(f"{metric}: {was} -> {now}")
    if result.reworded:
        show.line(f"same verdict in other words: {', '.join(result.reworded[:SHOWN])}")
    if not result.closed:
        raise ClaimError(
            f"{len(result.flips)} of {result.compared} verdicts flipped and {len(result.scores)} "
            f"scores differ from {folder.id} ({how})."
        )
    raise ClaimError(
        f"{len(result.flips)} of {result.compared} verdicts flipped ({how}). {folder.id} is a look "
        f"at test, and {result.closed}: its scores would be another look, which is not taken by a "
        f"rerun. {another_look(folder)}"
    )
