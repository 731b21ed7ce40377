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
    else:
        proposal = propose(file)
        for line in summary(proposal):
            show.line(line)
        written = write_lab(file, lab)
    for path in written:
        show.err.print(f"wrote {path}", markup=False, soft_wrap=True)
    if file is None:
        show.next_steps(["judgelab run experiment=mine"])
        return
    steps = [
        "confirm the mapping in conf/dataset/mine.yaml",
        "what the data holds: judgelab data check dataset=mine",
    ]
    if proposal.columns["label"] is None:
        steps += [
            "no labels yet? columns.label: null there, dataset.expert who labels, and: judgelab "
            "review dataset=mine judge.rubric=mine",
            "then: judgelab run experiment=mine model=neighbours",
        ]
    else:
        steps.append("a first leaderboard, offline: judgelab run experiment=mine model=neighbours")
    show.next_steps(steps)
