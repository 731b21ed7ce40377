"""Sweeps made by hand, with the selection block that a sweep writes: numbers of no judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import run_folders as made

from judgelab.tracking.folder import RunFolder
from judgelab.tracking.sweeps import Sweep

CEILING = {
    "source": "people",
    "who": "bob beside ann",
    "n": 42,
    "enough": False,
    "metrics": {
        "agreement": {"value": 0.9, "lo": 0.78, "hi": 0.96},
        "kappa": {"value": 0.78, "lo": 0.58, "hi": 0.93},
    },
    "reason": None,
    "notes": ["Every second label is a fail."],
}


def metric(value: float | None, half: float = 0.15, **more: Any) -> dict[str, Any]:
    """A metric of a scorecard; without a value it is undefined."""
    bounds = {"lo": None, "hi": None} if value is None else {"lo": value - half, "hi": value + half}
    return {"value": value, **bounds, "method": "bca", "level": 0.95, "n": 101, **more}


def sweep(
    runs: Path,
    kappas: Sequence[float | None],
    *,
    names: Sequence[str] = (),
    usd: Sequence[float] = (),
    selection: dict[str, Any] | None = None,
    ceiling: dict[str, Any] | None = CEILING,
    baselines: int = 1,
    set_size: int = 2,
    rounds: Sequence[Mapping[str, Any]] = (),
    axes: Sequence[Mapping[str, str]] = (),
    stopped: int = 0,
    sampler: str = "grid",
) -> Sweep:
    """A sweep of one variant a kappa, the best first; the last `baselines` are baselines, and
    `stopped` more lost the race. They were tried the last first. `axes` is a choice a variant."""
    folders = []
    for n, kappa in enumerate(kappas):
        name = names[n] if n < len(names) else f"nearest k={n} · critique"
        folder = RunFolder(runs / f"run{n:02}")
        cost = usd[n] if n < len(usd) else 0.0
        record = {
            "name": name,
            "baseline": n >= len(kappas) - baselines,
            "sweep": "5eeb5eeb",
            "part": "dev",
            "mode": "holdout",
            "at": made.AT,
            "dataset": {"name": "small", "sha256": made.DATASET.sha256},
            "ceiling": ceiling,
            "calls": made._accounts(101, 101) | {"cost_usd": cost},
            "axes": axes[n] if n < len(axes) else {},
        }
        folder.write_json("record.json", record)
        names_of = ("agreement", "recall_fail", "precision_fail", "recall_pass", "kappa")
        card = {
            "judge": name,
            "n": 101,
            "coverage": 1.0,
            "metrics": {key: metric(kappa) for key in names_of},
        }
        folder.write_json("scores.json", card)
        folders.append(folder)
    judges = folders[: len(folders) - baselines]
    for n in range(stopped):
        folder = RunFolder(runs / f"stopped{n:02}")
        record = judges[0].record | {"name": folder.id, "stopped": {"after": 30, "of": 101}}
        folder.write_json("record.json", record)
        folders.append(folder)
        judges.append(folder)
    about = {
        "sweep": "5eeb5eeb",
        "command": "judgelab run -m demos.k=2,4",
        "failed": {},
        "dataset": {"name": "small", "sha256": made.DATASET.sha256},
        "split": {"name": "small", "mode": "holdout"},
        "runs": [folder.id for folder in folders],
        "rounds": list(rounds),
        "sampler": sampler,
        "tried": [folder.id for folder in reversed(judges)],
        "axes": {
            key: sorted({one[key] for one in axes if key in one})
            for key in sorted({k for one in axes for k in one})
        },
    }
    if selection is not None:
        about["selection"] = chosen(folders[: len(kappas)], kappas, set_size) | selection
    folder = RunFolder(runs / "5eeb5eeb-sweep")
    folder.write_json("sweep.json", about)
    there = Sweep.of(folder)
    assert there is not None
    return there


def chosen(
    folders: Sequence[RunFolder], kappas: Sequence[Any], set_size: int = 2
) -> dict[str, Any]:
    """The selection block: the first is chosen, the third is below the floor."""
    best = kappas[0]
    return {
        "metric": "kappa",
        "floors": {"recall_fail": 0.5},
        "margin": 0.05,
        "part": "dev",
        "n": 101,
        "clusters": None,
        "chosen": folders[0].id,
        "best_set": [folder.id for folder in folders[:set_size]],
        "alpha": 0.1,
        "set_reason": None,
        "below_floors": {folder.id: ["recall_fail .31 under .5"] for folder in folders[2:3]},
        "cheaper": None,
        "optimism": {"value": 0.04, "variants": len(folders), "method": "bootstrap of the choice"},
        "family": len(folders),
        "detectable": 0.09,
        "reference": folders[0].id,
        "pairs": [
            {
                "a": folder.id,
                "b": folders[0].id,
                "difference": metric(-0.05),
                "kappa_difference": metric(None if kappa is None else kappa - best, 0.1),
                "metric_difference": metric(None if kappa is None else kappa - best, 0.1),
                "p": 0.21,
                "p_method": "mcnemar_midp",
                "holm": 0.42,
                "bh": 0.3,
                "a_only": 5,
                "b_only": 8,
            }
            for folder, kappa in list(zip(folders, kappas, strict=True))[1:]
        ],
        "text": [
            f"{folders[0].record['name']} has the best kappa on 101 items and meets the floors.",
            "It cannot be told apart from 1 other.",
        ],
    }
