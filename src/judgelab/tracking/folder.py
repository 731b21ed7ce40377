"""The run folder: the truth about a run. Everything else (MLflow, reports) is made from it.

    config.yaml       the whole config, resolved: what a rerun builds from
    record.json       hashes of data, split and texts, versions, revision, the call accounts
    assignment.jsonl  who was where
    replies.jsonl     every answer as it came
    verdicts.jsonl    what was made of them, in the fixed order
    scores.json       the scorecard; there once every verdict is
    rubric.md ...     the texts that the judge was made of
    optimizer.json    how it was made better first, where it was
    analysis.json     error rates by slice, where it was analysed
    after.json        its items with new outputs, where a fix was held against them

A sweep has a folder too: sweep.json, and the leaderboard as a picture where it is tracked.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from judgelab import resources
from judgelab.errors import UserError
from judgelab.models.base import Reply
from judgelab.types import Verdict


class RunFolder:
    """One folder of runs/. Files are replaced whole, so a reader never sees half of one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def exists(self) -> bool:
        return (self.path / "record.json").is_file()

    @property
    def complete(self) -> bool:
        return (self.path / "scores.json").is_file()

    @property
    def stopped(self) -> dict[str, int] | None:
        """After how many of how many items the race of its sweep was lost; None where it was not.

        Nothing is missing then, and nothing is scored: where it stopped depends on what was seen.
        """
        found = self.record.get("stopped") if self.exists else None
        return dict(found) if found else None

    @property
    def unranked(self) -> str:
        """Why there is no score."""
        if stopped := self.stopped:
            return f"stopped by the race after {stopped['after']} of {stopped['of']} items"
        return str(self.record["incomplete_because"] or "calls are missing")

    @property
    def config(self) -> dict[str, Any]:
        config = self._read("config.yaml", _yaml)
        if not isinstance(config, dict):
            raise self._damaged("config.yaml", "no mapping")
        return config

    @property
    def record(self) -> dict[str, Any]:
        return self._json("record.json")

    @property
    def scores(self) -> dict[str, Any]:
        """The scorecard; empty where the run is incomplete."""
        return self._json("scores.json") if self.complete else {}

    @property
    def sweep(self) -> dict[str, Any]:
        """What is known of a sweep, in the folder of one."""
        return self._json("sweep.json")

    @property
    def optimizing(self) -> dict[str, Any]:
        """How the run's judge was made better before it judged; empty where it was not."""
        return self._json("optimizer.json") if (self.path / "optimizer.json").is_file() else {}

    @property
    def analysis(self) -> dict[str, Any]:
        """Error rates by slice; empty where it was not analysed."""
        return self._json("analysis.json") if (self.path / "analysis.json").is_file() else {}

    @property
    def after(self) -> dict[str, Any]:
        """Its items with the outputs of a changed system; empty where none were judged."""
        return self._json("after.json") if (self.path / "after.json").is_file() else {}

    @property
    def verdicts(self) -> list[Verdict]:
        return [Verdict(**row) for row in self._lines("verdicts.jsonl")]

    @property
    def assignment(self) -> list[dict[str, Any]]:
        return list(self._lines("assignment.jsonl"))

    @property
    def replies(self) -> dict[tuple[str, int, str], list[tuple[str, Reply]]]:
        """(item, repeat, part of the judge, if any) -> its recorded calls, as (key, reply), in the
        order they were made."""
        found: dict[tuple[str, int, str], list[tuple[str, Reply]]] = {}
        for row in self._lines("replies.jsonl"):
            place = (row["id"], row["repeat"], row.get("by", ""))
            found.setdefault(place, []).append((row["key"], Reply(**row["reply"])))
        return found

    def spool(self) -> Spool:
        """For the rows of replies.jsonl, while they come."""
        self.path.mkdir(parents=True, exist_ok=True)
        return Spool(self.path)

    def write(self, name: str, content: str | Iterable[str]) -> None:
        """Replace a file: written beside it, synced, and moved over it."""
        self.path.mkdir(parents=True, exist_ok=True)
        target = self.path / name
        beside = target.with_name(f".{name}.{os.getpid()}")
        try:
            with beside.open("w", encoding="utf-8", newline="\n") as file:
                file.writelines([content] if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(target)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise

    def write_json(self, name: str, content: Any) -> None:
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        self.write(name, text + "\n")

    def write_yaml(self, name: str, content: Any) -> None:
        self.write(name, yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100))

    def write_lines(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        self.write(name, (_as_json(row) + "\n" for row in rows))

    def _json(self, name: str) -> dict[str, Any]:
        content = self._read(name, _finite_json)
        if not isinstance(content, dict):
            raise self._damaged(name, "no object")
        return content

    def _lines(self, name: str) -> Iterator[dict[str, Any]]:
        yield from self._read(name, _json_lines)

    def _read(self, name: str, parse: Callable[[str], Any]) -> Any:
        path = self.path / name
        if not path.is_file():
            raise UserError(f"{path.parent} has no {name}: it is no run folder, or a damaged one.")
        try:
            return parse(path.read_text(encoding="utf-8"))
        except (ValueError, yaml.YAMLError) as error:
            raise self._damaged(name, str(error)) from error

    def _damaged(self, name: str, why: str) -> UserError:
        return UserError(
            f"{self.path / name} is damaged ({why}). Restore it, or delete the folder and make "
            "the run again: answers that were paid for are in the call store."
        )


def _finite_json(text: str) -> Any:
    """What is no number has no place in a record: undefined is null with a reason."""

    def refused(constant: str) -> None:
        raise ValueError(f"{constant} is no number")

    return json.loads(text, parse_constant=refused)


_as_json = json.JSONEncoder(ensure_ascii=False).encode


class Spool:
    """Recorded replies on disk, in a file without a name, until all are there: memory stays flat,
    and in the run folder they stand in the fixed order."""

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by the context
        self._places: list[tuple[int, str, str, int, int]] = []
        self._end = 0

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def append(self, row: dict[str, Any], /) -> None:
        """Keep a row of replies.jsonl."""
        line = _as_json(row).encode() + b"\n"
        self._file.write(line)
        self._places.append((row["repeat"], row["id"], row.get("by", ""), self._end, len(line)))
        self._end += len(line)

    def lines(self, order: Mapping[str, int]) -> Iterator[str]:
        """The rows by repeat, by the items' order (those that are not judged come last, by id), by
        the part of the judge that asked, and for each as they came."""

        def place(row: tuple[int, str, str, int, int]) -> tuple[int, int, str, str, int]:
            repeat, item, by, at, _ = row
            return repeat, order.get(item, len(order)), item, by, at

        for *_, at, size in sorted(self._places, key=place):
            self._file.seek(at)
            yield self._file.read(size).decode()


def _yaml(text: str) -> Any:
    # libyaml where PyYAML was built with it: ten times faster.
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _json_lines(text: str) -> list[Any]:
    # Not splitlines: texts of items may hold other line separators.
    return [json.loads(line) for line in text.split("\n") if line]


def runs_folder() -> Path:
    return resources.lab() / "runs"


def all_runs() -> list[RunFolder]:
    """Every run of the lab, by id; the folders of sweeps are none."""
    return [RunFolder(path.parent) for path in sorted(runs_folder().glob("*/record.json"))]


def all_sweeps() -> list[RunFolder]:
    """The folder of every sweep of the lab, by id."""
    return [RunFolder(path.parent) for path in sorted(runs_folder().glob("*/sweep.json"))]


def find_run(name: str) -> RunFolder:
    """A run by folder, unique prefix of its id, MLflow run id, or `latest`."""
    if (Path(name) / "record.json").is_file():
        return RunFolder(Path(name))
    found = sorted(path.parent for path in runs_folder().glob("*/record.json"))
    if not found:
        raise UserError(
            f"RUN={name}: there are no runs in {runs_folder()}. Start with: judgelab run"
        )
    if name == "latest":
        return RunFolder(max(found, key=lambda path: (path / "record.json").stat().st_mtime_ns))
    chosen = [path for path in found if path.name.startswith(name)]
    chosen = chosen or [path for path in found if name and _mlflow_id(path) == name]
    if len(chosen) != 1:
        some = ", ".join(path.name for path in (chosen or found)[:8])
        what = "names several runs" if chosen else "names no run"
        raise UserError(
            f"RUN={name} {what}. Give a folder, a unique prefix, an MLflow run id or latest. "
            f"Runs here: {some}."
        )
    return RunFolder(chosen[0])


def _mlflow_id(path: Path) -> str:
    file = path / "mlflow.json"
    return str(json.loads(file.read_text("utf-8"))["run_id"]) if file.is_file() else ""
