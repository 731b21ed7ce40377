"""`judgelab init`: a lab from a file."""

from __future__ import annotations

from pathlib import Path

from judgelab import resources
from judgelab.commands import show
from judgelab.data.labs import propose, summary, write_lab, write_sample_lab


def init(file: Path | None) -> None:
    """Write a dataset yaml, a rubric and a recipe; nothing that exists is overwritten."""
    lab = resources.lab()
    if file is None:
        written = write_sample_lab(lab)
        show.next_steps(["judgelab run experiment=mine"])
    else:
        for line in summary(propose(file)):
            show.line(line)
        written = write_lab(file, lab)
    for path in written:
        show.err.print(f"wrote {path}", markup=False, soft_wrap=True)
    if file is not None:
        show.next_steps(
            [
                "confirm the mapping in conf/dataset/mine.yaml",
                "what the data holds: judgelab data check dataset=mine",
                "a first leaderboard, offline: judgelab run experiment=mine model=neighbours",
            ]
        )
