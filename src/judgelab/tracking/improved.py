"""What optimizers made of the judges of a sweep, for its report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from judgelab.tracking.sourced import Source
from judgelab.tracking.sweeps import Sweep


def improved(sweep: Sweep) -> Iterator[dict[str, Any]]:
    """Where some judges were made better, one row a judge: what that took, if anything, beside the
    judging, and how its rubric differs from the one it started from."""
    folders = [folder for folder in sweep.ranked if not folder.record["baseline"]]
    if not any("optimizing" in folder.record for folder in folders):
        return
    for folder in folders:
        record = folder.record
        source = Source(f"{folder.id}/record.json", record)
        judging = {
            "asked": source.count("calls", "sent"),
            "kept": source.count("calls", "from_store"),
            "judging": source.usd("calls", "cost_usd"),
        }
        if "optimizing" not in record:
            none = dict.fromkeys(("candidates", "sent", "stored", "cost"), "–")
            yield {"name": record["name"], "diff": "", **none, **judging}
            continue
        path = folder.path / "rubric.diff"
        yield {
            "name": record["name"],
            "candidates": source.count("optimizing", "candidates"),
            "sent": source.count("optimizing", "calls", "sent"),
            "stored": source.count("optimizing", "calls", "from_store"),
            "cost": source.usd("optimizing", "calls", "cost_usd"),
            **judging,
            "diff": path.read_text("utf-8").strip() if path.is_file() else "",
        }
