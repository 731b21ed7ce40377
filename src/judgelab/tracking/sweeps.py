"""A sweep as its readers see it: its runs, best first, and what its selection on dev says."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from judgelab.tracking import facts
from judgelab.tracking.folder import RunFolder

# What a run is in its sweep. A sweep without a selection has variants and baselines alone.
CHOSEN, BEST, OTHER, BELOW, BASELINE, STOPPED, INCOMPLETE = STANDINGS = (
    "chosen",
    "cannot be told apart from the best",
    "variant",
    "below a floor",
    "baseline",
    "stopped",
    "incomplete",
)


@dataclass(frozen=True)
class Sweep:
    """A sweep's folder, its sweep.json, and the folders of its runs, best first."""

    folder: RunFolder
    about: Mapping[str, Any]
    ranked: Sequence[RunFolder]

    @classmethod
    def of(cls, folder: RunFolder | None) -> Sweep | None:
        """None where there is no sweep, or none of its runs is there any more."""
        if folder is None or not (folder.path / "sweep.json").is_file():
            return None
        about = json.loads((folder.path / "sweep.json").read_text("utf-8"))
        near = (RunFolder(folder.path.parent / id_) for id_ in about["runs"])
        ranked = [run for run in near if run.exists]
        return cls(folder, about, ranked) if ranked else None

    @classmethod
    def around(cls, run: RunFolder) -> Sweep | None:
        """The sweep that a run is of; None where it is of none, or the sweep is not there."""
        id_ = run.record["sweep"]
        return cls.of(RunFolder(run.path.parent / f"{id_}-sweep")) if id_ else None

    @property
    def name(self) -> str:
        judges = sum(not folder.record["baseline"] for folder in self.ranked)
        plural = "" if judges == 1 else "s"
        part = "cross-validated" if self.cv else self.ranked[0].record["part"]
        return f"sweep of {judges} variant{plural} on {self.about['dataset']['name']} ({part})"

    @property
    def cv(self) -> bool:
        """Whether everything was judged out of fold, so that there is no held-out test."""
        return bool(self.about["split"]["mode"] == "cv")

    @property
    def times(self) -> tuple[int, int]:
        """When the first and the last run were done, in milliseconds since 1970."""
        times = [facts.at(folder.record) for folder in self.ranked]
        return min(times), max(times)

    @property
    def done(self) -> bool:
        return not self.about["failed"] and all(
            folder.complete or folder.stopped for folder in self.ranked
        )

    @property
    def complete(self) -> list[RunFolder]:
        return [folder for folder in self.ranked if folder.complete]

    @property
    def selection(self) -> Mapping[str, Any]:
        """What was chosen and why; empty where none was made (as in sweeps of older versions)."""
        return self.about.get("selection") or {}

    @property
    def metric(self) -> str:
        """The scorecard's name of what the runs are ranked by."""
        return str(self.selection.get("metric") or "kappa")

    @cached_property
    def best(self) -> RunFolder | None:
        """The run that the selection chose; without a selection the first that is no baseline."""
        if self.selection:
            return self.run(self.selection.get("chosen"))
        return next((f for f in self.complete if not f.record["baseline"]), None)

    @property
    def ceiling(self) -> Mapping[str, Any] | None:
        """Human against human on these items, as the runs' records have it."""
        known = (folder.record.get("ceiling") for folder in self.ranked)
        return next((ceiling for ceiling in known if ceiling), None)

    @property
    def looks(self) -> list[RunFolder]:
        """The looks at the test split that were taken with judges of this sweep, in their order."""
        found = []
        for path in sorted(self.folder.path.parent.glob("*/record.json")):
            folder = RunFolder(path.parent)
            record = folder.record
            if record["part"] == "test" and record["sweep"] == self.about["sweep"]:
                found.append((record.get("look", 0), folder.id, folder))
        return [folder for *_, folder in sorted(found, key=lambda look: look[:2])]

    def run(self, id_: str | None) -> RunFolder | None:
        """The run of this id; None where it is not of this sweep, or gone."""
        return next((folder for folder in self.ranked if folder.id == id_), None)

    def difference(self, pair: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """A pair's difference in the ranking metric; None where it was not compared in it."""
        return pair.get(self.difference_key(pair))

    def difference_key(self, pair: Mapping[str, Any]) -> str:
        """Where a pair has that difference."""
        own = "difference" if self.metric == "agreement" else f"{self.metric}_difference"
        return own if pair.get(own) else "metric_difference"

    def standing(self, folder: RunFolder) -> str:
        """What a run is in this sweep: one of STANDINGS."""
        if not folder.complete:
            return STOPPED if folder.stopped else INCOMPLETE
        if folder.record["baseline"]:
            return BASELINE
        if self.selection and self.best is not None and folder.id == self.best.id:
            return CHOSEN
        if folder.id in self.selection.get("below_floors", {}):
            return BELOW
        return BEST if self.in_set(folder) else OTHER

    def in_set(self, folder: RunFolder) -> bool:
        """Whether a run is in the set of those that cannot be told apart from the best; one below
        a floor may be."""
        return folder.id in (self.selection.get("best_set") or ())


def same_judge(run: RunFolder, look: RunFolder) -> bool:
    """Whether a look of a sweep is one with the judge of a run of it: by name and texts, as a judge
    that was optimised is known on test by what it became."""
    return all(run.record.get(key) == look.record.get(key) for key in ("name", "texts"))


def tried(runs: Iterable[RunFolder], split: str, part: str) -> set[str]:
    """Every variant that these runs scored on a part of a split, baselines left out."""
    return {
        record["variant"]
        for record in (run.record for run in runs)
        if (record["split"]["name"], record["part"]) == (split, part) and not record["baseline"]
    }


def tried_beside(run: RunFolder) -> set[str]:
    """The same of the runs in this run's folder, on its part of its split."""
    near = (RunFolder(path.parent) for path in run.path.parent.glob("*/record.json"))
    return tried(near, run.record["split"]["name"], run.record["part"])
