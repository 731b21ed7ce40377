"""What optimizers made of the judges of a sweep, for its report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from judgelab.tracking.sourced import Source
from judgelab.tracking.sweeps import Sweep


def improved(sweep: Sweep) -> Iterator[dict[str, Any]]:
    """One row a run whose judge was made better: what that took beside the judging, and how its
    rubric differs from the one it started from."""
    for folder in sweep.ranked:
        record = folder.record
        if "optimizing" not in record:
            continue
        source = Source(f"{folder.id}/record.json", record)
        path = folder.path / "rubric.diff"
        yield {
            "name": record["name"],
            "candidates": source.count("optimizing", "candidates"),
            "sent": source.count("optimizing", "calls", "sent"),
            "stored": source.count("optimizing", "calls", "from_store"),
            "cost": source.usd("optimizing", "calls", "cost_usd"),
            "judging": source.usd("calls", "cost_usd"),
            "diff": path.read_text("utf-8").strip() if path.is_file() else "",
        }
