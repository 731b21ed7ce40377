"""Run folders as MLflow shows them. The folders are the truth; this can be repeated at any time."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judgelab.data.schema import Dataset
from judgelab.errors import ConfigError, IncompleteError
from judgelab.tracking import facts, pages, pictures, rounds
from judgelab.tracking.folder import RunFolder
from judgelab.tracking.report import REPORT, shows_test
from judgelab.tracking.store import Store, locate, prepare, shown, told
from judgelab.tracking.sweeps import Sweep

if TYPE_CHECKING:
    from mlflow.entities import Run

TEXTS = {"auto": None, "true": True, "false": False}
# What may leave the machine without `texts`: files that hold no text of an item.
WITHOUT_TEXTS = (
    "config.yaml",
    "record.json",
    "assignment.jsonl",
    "scores.json",
    "confusion.png",
    "confusion.svg",
    "probe.json",
    "probe.png",
    "probe.svg",
    "analysis.json",
    "after.json",
    "after.png",
    "after.svg",
    "slices.png",
    "slices.svg",
    "heat.png",
    "heat.svg",
    "cascade.png",
    "cascade.svg",
)
MINE = "mlflow.json"
UNREACHABLE = re.compile("Failed to establish a new connection|Failed to resolve|timed out")


class TrackingError(IncompleteError):
    """MLflow could not be written; the run folders are whole, and the same command repeats it."""


@dataclass(frozen=True)
class Projection:
    """Where the runs are in MLflow.

    `runs` is the MLflow run id by run-folder id, the sweep's folder included. `url` opens the
    sweep, or the first run, where the store is a server.
    """

    uri: str
    experiment_id: str
    runs: Mapping[str, str] = field(default_factory=dict)
    url: str | None = None


class MLflowTracking:
    """The tracking group of a config.

    Args:
        uri: an MLflow tracking URI; null is MLFLOW_TRACKING_URI, else the lab's mlflow.db.
        experiment: its name; null is MLFLOW_EXPERIMENT_NAME, else judgelab/<dataset name>.
        texts: whether item texts may go there: true, false, or auto (to a local store only).
    """

    def __init__(
        self, uri: str | None = None, experiment: str | None = None, texts: str | bool = "auto"
    ) -> None:
        wanted = str(texts).lower()
        if wanted not in TEXTS:
            raise ConfigError(f"tracking.texts={texts}: allowed are {', '.join(TEXTS)}.")
        if uri and shown(uri) != uri:
            raise ConfigError(
                "tracking.uri holds a user or a password, and every run folder keeps its config. "
                "Give them as MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
            )
        self.uri = uri
        self.experiment = experiment
        self.texts = TEXTS[wanted]

    def project(
        self, runs: Sequence[RunFolder], dataset: Dataset, sweep: RunFolder | None = None
    ) -> Projection:
        """Show the runs in MLflow, under the sweep's run where there is one.

        Runs that are there already (by the tag judgelab.run) are updated.

        Raises:
            TrackingError: the store cannot be reached or written.
        """
        uri, local = locate(self.uri)
        prepare(uri)
        for folder in runs:
            pictures.confusion(folder)
            pictures.cascade(folder)
        with _guarded(uri):
            store = self._store(uri, dataset.name)
            texts = local if self.texts is None else self.texts
            if self.texts is None and not local:
                print(
                    f"note texts of items stay out of {store.shown_uri} (not on this "
                    "machine); tracking.texts=true sends them",
                    file=sys.stderr,
                )
            work = _Projecting(store, dataset, texts=texts, tests=self.texts is True)
            return work.project(runs, Sweep.of(sweep))

    def rounds(self, name: str, closed: Sequence[tuple[RunFolder, Mapping[str, Any]]]) -> None:
        """Show the closed rounds of the dataset `name` (see `tracking.rounds`).

        Raises:
            TrackingError: the store cannot be reached or written.
        """
        uri, _ = locate(self.uri)
        prepare(uri)
        with _guarded(uri):
            rounds.project(self._store(uri, name), name, closed)

    def _store(self, uri: str, name: str) -> Store:
        experiment = self.experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME")
        return Store.open(uri, experiment or f"judgelab/{name}")


@dataclass(frozen=True)
class _Projecting:
    """One projection. `tests` says whether texts of the test split may be shown."""

    store: Store
    dataset: Dataset
    texts: bool
    tests: bool

    def project(self, runs: Sequence[RunFolder], sweep: Sweep | None) -> Projection:
        parent = None if sweep is None else self._parent(sweep)
        found = {sweep.folder.id: parent.info.run_id} if sweep and parent else {}
        for place, folder in enumerate(runs):
            # The UI lists the latest first: of runs that began together, the best then is on top.
            began = min(facts.at(f.record) for f in runs) + max(999 - place, 0)
            found[folder.id] = self._run(folder, parent, began)
            folder.write_json(MINE, {"run_id": found[folder.id], **self.store.place})
        if sweep and parent:
            self._sweep(sweep, parent)
        first = next(iter(found.values()), None)
        url = self.store.url(first) if first else None
        return Projection(self.store.shown_uri, self.store.experiment_id, found, url)

    def _parent(self, sweep: Sweep) -> Run:
        """The sweep's run; it is there before its children."""
        run = self.store.run(
            "judgelab.sweep", sweep.about["sweep"], name=sweep.name, at=sweep.times[0]
        )
        sweep.folder.write_json(MINE, {"run_id": run.info.run_id, **self.store.place})
        return run

    def _run(self, folder: RunFolder, parent: Run | None, began: int) -> str:
        record = folder.record
        test = record["part"] == "test"
        if parent is None and record["sweep"]:
            parent = self.store.find("judgelab.sweep", record["sweep"])
        made = self._pages(folder) if self.texts and (not test or self.tests) else {}
        note = pages.run_note(folder, "disagreements.md" in made)
        tags = facts.tags(folder) | {"mlflow.note.content": note}
        if parent is not None:
            tags["mlflow.parentRunId"] = parent.info.run_id
        if (folder.path / "rubric.md").is_file():
            text = (folder.path / "rubric.md").read_text("utf-8").strip()
            name = facts.rubric_name(folder) or "own"
            tags |= self.store.rubric(name, text, facts.lineage(folder))
        name = record["name"] + (" (test)" if test else "")
        run = self.store.run("judgelab.run", folder.id, name=name, at=began)
        at = facts.at(record)
        self.store.log(
            run, metrics=facts.metrics(folder), params=facts.params(folder), tags=tags, at=at
        )
        self.store.dataset(run, record, str(folder.config["dataset"]["path"]), record["part"])
        self.store.files(run, self._files(folder))
        self.store.texts(run, made)
        self.store.end(run, done=folder.complete or bool(folder.stopped), at=max(at, began))
        return str(run.info.run_id)

    def _pages(self, folder: RunFolder) -> dict[str, str]:
        """The pages that show texts of items."""
        made = {
            "disagreements.md": pages.disagreements(folder, self.dataset),
            "prompt.md": pages.prompt(folder, self.dataset),
        }
        return {name: text for name, text in made.items() if text}

    def _files(self, folder: RunFolder) -> Iterator[Path]:
        """The files of a run folder that may go there."""
        allowed = {*WITHOUT_TEXTS, *folder.record["texts"]}
        for path in _visible(folder):
            if self.texts or path.name in allowed:
                yield path

    def _sweep(self, sweep: Sweep, run: Run) -> None:
        best = sweep.best
        record = (best or sweep.ranked[0]).record
        note = pages.sweep_note(sweep, self._links(sweep.ranked))
        tags = {"positive_class": "fail", "mlflow.note.content": note, **facts.source(record)}
        if best is not None:
            tags["best"] = record["name"]
        metrics = facts.headline(best) if best else {}
        at = sweep.times[1]
        self.store.log(run, metrics=metrics, params={"split": record["part"]}, tags=tags, at=at)
        path = str(sweep.ranked[0].config["dataset"]["path"])
        self.store.dataset(run, record, path, record["part"])
        pictures.of_sweep(sweep)
        self.store.files(run, self._sweep_files(sweep.folder))
        self.store.texts(run, {"leaderboard.csv": pages.leaderboard_csv(sweep)})
        self.store.end(run, done=sweep.done, at=at)

    def _sweep_files(self, folder: RunFolder) -> Iterator[Path]:
        """The files of a sweep's folder that may go there: only the report holds texts of items."""
        for path in _visible(folder):
            if path.name != REPORT or (self.texts and (self.tests or not shows_test(path))):
                yield path

    def _links(self, folders: Sequence[RunFolder]) -> dict[str, str]:
        """Where the runs that are in this experiment are, by run-folder id."""
        known = {}
        for folder in folders:
            if (folder.path / MINE).is_file():
                place = json.loads((folder.path / MINE).read_text("utf-8"))
                run_id = place.pop("run_id")
                if place == self.store.place:
                    known[folder.id] = self.store.link(run_id)
        return known


def _visible(folder: RunFolder) -> Iterator[Path]:
    """The files of a folder that are its own."""
    for path in sorted(folder.path.iterdir()):
        if path.is_file() and not path.name.startswith(".") and path.name != MINE:
            yield path


@contextmanager
def _guarded(uri: str) -> Iterator[None]:
    """Every way a store can fail as one message; the run folders need no store."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, RequestException, ImportError, OSError) as error:
        unreachable = UNREACHABLE.search(str(error))
        reason = "no server answers there" if unreachable else told(error, uri)
        raise TrackingError(
            f"could not be written at {shown(uri)}: {reason}. Nothing is lost: the run "
            "folders are whole. The same command again shows them in MLflow without judging anew; "
            "tracking.uri=... names another store, tracking=none leaves it out."
        ) from error
