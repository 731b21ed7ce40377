"""Where verdicts come from: a file of any tool, a run of this lab, or a run in MLflow."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from judgelab.data.labels_file import Labels
from judgelab.data.looks import recorded_look
from judgelab.data.verdicts import read_verdicts
from judgelab.errors import DataError, IncompleteError, UserError
from judgelab.tracking.folder import RunFolder, all_runs, find_run, runs_folder
from judgelab.tracking.store import locate, prepare, shown, told
from judgelab.types import Verdict

ARTIFACT = "verdicts.jsonl"
LEVEL = 0.95
SHORT = 8  # characters of a run's id


@dataclass(frozen=True)
class Source:
    """One judge and where its verdicts are from.

    Attributes:
        name: of the judge; no two sources of one command share it.
        verdicts: of every item that it judged, all repeats.
        where: as the user named it.
        run: its folder, where it is a run of this lab.
        content: hash of (input, output) that was judged, by item id, where that is known.
        short: what tells it from another run of the same name; empty for files.
    """

    name: str
    verdicts: Sequence[Verdict]
    where: str
    run: RunFolder | None = None
    content: Mapping[str, str] = field(default_factory=dict)
    short: str = ""

    @property
    def ids(self) -> set[str]:
        """The items that it has a line for."""
        return {verdict.id for verdict in self.verdicts}


@dataclass(frozen=True)
class Fit:
    """The items of a source that can be scored, and those that cannot.

    Attributes:
        ids: with a verdict, and labelled.
        asked: what it is scored on. A run was asked what it judged; everything else was asked all
            that is labelled, and an item without a line is an abstention (missing).
        unlabelled: with a verdict alone.
        moved: other texts now than those that were judged.
    """

    ids: set[str]
    asked: set[str]
    unlabelled: list[str]
    moved: list[str]


def fit(source: Source, labels: Labels) -> Fit:
    """Which verdicts of a source are about an item as it is labelled.

    Raises DataError where none is.
    """
    ids = source.ids
    unlabelled = sorted(ids - labels.labels.keys())
    moved = sorted(
        item
        for item in ids & source.content.keys() & labels.labels.keys() & labels.content.keys()
        if source.content[item] != labels.content[item]
    )
    fits = ids.difference(unlabelled, moved)
    if not fits and not moved:
        raise DataError(
            f"no item of judge {source.name!r} is labelled in {labels.where}: ids such as "
            f"{', '.join(unlabelled[:3])} against {', '.join(list(labels.labels)[:3])}."
        )
    if not fits:
        raise DataError(
            f"judge {source.name!r} and {labels.where} have {len(moved)} ids in common, but every "
            "one stands for other texts now (input or output changed): a label is of one text."
        )
    asked = fits if source.run else set(labels.labels).difference(moved)
    return Fit(fits, asked, unlabelled, moved)


def judges(words: Sequence[str]) -> list[Source]:
    """The judges of files, runs and MLflow runs, in the order given, each with a name of its own.

    A word is a file (.jsonl, .csv, .xlsx, .parquet), a RUN of this lab, or `runs:/RUN_ID` with
    the path of an artifact behind it where that is not verdicts.jsonl.

    Raises:
        DataError: a file that holds no verdicts, or two files with a judge of one name.
        UserError: a RUN that is not there, or given twice; an MLflow store that does not give it.
        IncompleteError: a run whose calls are not all made.
    """
    found = [source for word in words for source in _of(word)]
    count = Counter(source.name for source in found)
    named = [
        replace(one, name=f"{one.name} ({one.short})") if count[one.name] > 1 and one.short else one
        for one in found
    ]
    taken: dict[str, Source] = {}
    for one in named:
        first = taken.setdefault(one.name, one)
        if first is one:
            continue
        if one.short:
            raise UserError(f"{one.where} and {first.where} are the same; give it once.")
        raise DataError(f"{one.where}: judge {one.name!r} is in another file too; rename one.")
    return named


def level_of(sources: Sequence[Source]) -> float:
    """95 %, or what the looks of the runs among them leave."""
    looks = [recorded_look(source.run.record) for source in sources if source.run]
    return max([LEVEL, *(look.level for look in looks if look)])


def policy_of(sources: Sequence[Source]) -> str:
    """What an abstention counts as: as the runs among them were scored, else error.

    Raises UserError where they were scored differently.
    """
    found = {one.run.config["scores"]["policy"] for one in sources if one.run}
    if len(found) > 1:
        raise UserError(
            "the runs were scored with different policies for abstentions "
            f"({', '.join(sorted(found))}); choose one with --policy."
        )
    return str(found.pop()) if found else "error"


def chosen(word: str, sources: Sequence[Source]) -> Source:
    """The one of them that a word names: by its name, its file, or as a RUN.

    Raises UserError where that is none, or several.
    """
    found = [one for one in sources if one.name == word]
    found = found or [one for one in sources if one.where == word]
    if not found:
        with contextlib.suppress(UserError):
            run = run_of(word)
            found = [one for one in sources if one.run and run and one.run.id == run.id]
    if len(found) == 1:
        return found[0]
    what = "names several judges" if found else "is none of these judges"
    raise UserError(f"{word!r} {what}; there are: {', '.join(one.name for one in sources)}.")


def run_of(word: str) -> RunFolder | None:
    """The run of this lab that a word names; None for a file and for runs of elsewhere."""
    if word.startswith("runs:/"):
        id_, path = _mlflow_word(word)
        return None if path else _ours(id_)
    return None if _is_file(word) else find_run(word)


def source_of(folder: RunFolder, where: str | None = None) -> Source:
    """A run as a source. Raises IncompleteError, with what completes it."""
    if not folder.complete:
        raise IncompleteError(incomplete(folder))
    content = {row["id"]: row["content"] for row in folder.assignment}
    verdicts = folder.verdicts
    return Source(
        folder.record["name"], verdicts, where or folder.id, folder, content, folder.id[:SHORT]
    )


def incomplete(folder: RunFolder) -> str:
    """Why a run cannot be used yet, and the command that makes it whole."""
    record = folder.record
    command = record.get("command") or "the command that made it"
    return (
        f"{folder.id} ({record['name']}) is incomplete ({record['incomplete_because']}), so it has "
        f"no scores. What is answered is kept; go on with: {command}"
    )


def another_look(folder: RunFolder) -> str:
    """The command that takes a new look at test with the judge of an earlier one."""
    record = folder.record
    same = ("variant", "sweep", "texts")
    before = (
        one.id
        for one in all_runs()
        if (known := one.record)["part"] != "test" and all(known[k] == record[k] for k in same)
    )
    run = next(before, "RUN, the run on dev,")
    return f"judgelab holdout {run} takes a new look and writes it down."


def _of(word: str) -> Iterator[Source]:
    if folder := run_of(word):
        yield source_of(folder, word)
    elif word.startswith("runs:/"):
        yield from _of_mlflow(word)
    else:
        for name, given in read_verdicts(Path(word)).items():
            yield Source(name, list(given.values()), word)


def _is_file(word: str) -> bool:
    """A folder is a run, and so is a word that has no extension."""
    path = Path(word)
    return path.is_file() or (bool(path.suffix) and not path.is_dir())


def _ours(mlflow_id: str) -> RunFolder | None:
    """The run of this lab that is in MLflow under this id."""
    for path in sorted(runs_folder().glob("*/mlflow.json")):
        known = (path.parent / "record.json").is_file()
        if known and json.loads(path.read_text(encoding="utf-8"))["run_id"] == mlflow_id:
            return RunFolder(path.parent)
    return None


def _mlflow_word(word: str) -> tuple[str, str]:
    """The run's id and the artifact's path of `runs:/RUN_ID/path`."""
    found = re.fullmatch(r"runs:/([\w-]+)(?:/(.+))?", word)
    if not found:
        raise UserError(f"{word}: not an MLflow run. Write runs:/RUN_ID or runs:/RUN_ID/v.jsonl.")
    return found[1], found[2] or ""


def _of_mlflow(word: str) -> Iterator[Source]:
    """The judges of an artifact; one without a name is called as its run."""
    id_, path = _mlflow_word(word)
    with tempfile.TemporaryDirectory() as folder:
        name, file = _download(id_, path or ARTIFACT, folder)
        for judge, given in read_verdicts(file, name).items():
            short = "/".join(filter(None, (id_[:SHORT], Path(path).name)))
            yield Source(judge, list(given.values()), word, short=short)


def _download(id_: str, path: str, folder: str) -> tuple[str, Path]:
    """The run's name, and where its artifact is now. Raises UserError."""
    uri, _ = locate(None)
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        raise UserError(
            f"runs:/{id_}: there is no MLflow store at {shown(uri)} yet. MLFLOW_TRACKING_URI names "
            "another."
        )
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    prepare(uri)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    there: list[str] = []
    try:
        client = MlflowClient(tracking_uri=uri)
        name = str(client.get_run(id_).info.run_name or id_)
        there = [one.path for one in client.list_artifacts(id_)]
        return name, Path(client.download_artifacts(id_, path, folder))
    except (MlflowException, SQLAlchemyError, RequestException, OSError) as error:
        raise UserError(
            f"runs:/{id_}/{path} could not be read from MLflow at {shown(uri)}: "
            f"{told(error, uri)}"
            + (f" Artifacts of this run: {', '.join(there)}." if there else "")
        ) from error
