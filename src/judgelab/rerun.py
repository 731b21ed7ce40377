"""A run again, from its record: replayed without a call, or asked again (live)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from judgelab import config as configs
from judgelab import members, resources, runner
from judgelab.calls.line import Calls
from judgelab.calls.pool import Pool
from judgelab.data.events import EventLog, labels_path
from judgelab.data.looks import is_same_look, recorded_look
from judgelab.data.schema import Dataset, DatasetConfig, load
from judgelab.data.split import SplitConfig, recorded_split
from judgelab.errors import DataError, IncompleteError, UserError
from judgelab.judges.base import Judge
from judgelab.runner import Bench
from judgelab.tracking.folder import RunFolder
from judgelab.tracking.record import revision, versions
from judgelab.types import Verdict, sha256
from judgelab.variants import Variant


@dataclass
class Rerun:
    """What a rerun found: `moved` is only noted, `flips` and `scores` are differences.

    `closed` is why the scores of a look at test were not made anew: they would be another look.
    """

    moved: list[str] = field(default_factory=list)
    flips: list[tuple[str, int, str | None, str | None]] = field(default_factory=list)
    scores: list[tuple[str, Any, Any]] = field(default_factory=list)
    reworded: list[str] = field(default_factory=list)  # same verdict, another critique or reason
    compared: int = 0
    closed: str = ""

    @property
    def same(self) -> bool:
        return not (self.flips or self.scores or self.reworded or self.closed)


def rerun(folder: RunFolder, pool: Pool, data: str | None = None) -> Rerun:
    """Build, judge and score again, and compare with what the folder holds.

    A look at test is scored again only as it was: with its verdicts, under its labels.
    A pool with the folder's replies as its record sends nothing. `data` is another place of the
    dataset's file; a rubric or template that the lab does not have is read from the run folder.
    Raises DataError where items of the run are gone from the data.
    """
    with as_it_was(folder, pool, data) as (bench, variant):
        return _rerun(folder, bench, variant)


@contextmanager
def as_it_was(
    folder: RunFolder, pool: Pool, data: str | None = None
) -> Iterator[tuple[Bench, Variant]]:
    """The bench and the judge of a complete run, from its record; arguments and errors as `rerun`.

    Inside, a rubric or template that the lab does not have is read from the run folder.
    """
    if not folder.complete:
        raise UserError(f"{folder.id} is incomplete; the command that made it completes it.")
    config, record = folder.config, folder.record
    if data:
        config["dataset"]["path"] = str(Path(data).absolute())
    variant = Variant(record["name"], config["judge"], config, record["axes"], record["baseline"])
    with resources.spares(_own_texts(folder, config["judge"])):
        yield _bench(folder, config, record, _load(config, record), pool), variant


def check_same(folder: RunFolder, bench: Bench, variant: Variant) -> None:
    """Raises UserError where the run's judge would be another one now: its verdicts are half of
    each comparison, and the same judge has to give the others."""
    record = folder.record
    now = {name: sha256(text) for name, text in runner.texts(variant).items()}
    moved = [name for name, before in record["texts"].items() if now.get(name) != before]
    if bench.dataset.sha256 != record["dataset"]["sha256"]:
        moved.append(f"the data of {bench.dataset.name}")
    if moved:
        raise UserError(
            f"{', '.join(moved)} moved since {folder.id} was made, so its verdicts are of another "
            f"judge. Run it again (what did not change costs nothing): {record['command']}"
        )


def under(folder: RunFolder, budget: int, raised: str) -> bool:
    """Write a look's scores anew under another number of declared looks; its verdicts stay.

    False, and nothing is written, where its labels or their texts have moved since the look.
    """
    record = folder.record
    dataset = _load(folder.config, record)
    record |= {"looks": budget, "looks_raised": raised}
    try:
        bench = _bench(folder, folder.config, record, dataset, Pool(record={}))
    except DataError:  # items of the look are gone
        return False
    if not is_same_look(record, bench.labels, dataset):
        return False
    scores = runner.scores(bench, record["name"], folder.verdicts)
    folder.write_json("record.json", record)
    folder.write_json("scores.json", scores)
    return True


def _own_texts(folder: RunFolder, judge: Mapping[str, Any], prefix: str = "") -> dict[str, Path]:
    """What a judge reads of the lab -> where the run folder has it, its members' too."""
    found: dict[str, Path] = {}
    for place, member in members.inner(judge):
        found |= _own_texts(folder, member, f"{prefix}{place}.")
    found[f"prompts/rubrics/{judge.get('rubric')}.md"] = folder.path / f"{prefix}rubric.md"
    found[f"prompts/templates/{judge.get('template')}.j2"] = folder.path / f"{prefix}template.j2"
    return found


def _load(config: Mapping[str, Any], record: Mapping[str, Any]) -> Dataset:
    """The data under the labels as they were: label events since then do not count."""
    where = resources.data_path(config["dataset"]["path"])
    if not where.is_file():
        raise UserError(f"{where}: there is no such file. Say where it is with --data FILE.")
    chosen = configs.build_part(config, "dataset", DatasetConfig)
    return load(chosen, events=record["dataset"].get("events", 0))


def _rerun(folder: RunFolder, bench: Bench, variant: Variant) -> Rerun:
    record = folder.record
    calls = Calls(bench.pool)
    verdicts = asyncio.run(_judge(bench, variant, calls))
    if not calls.accounts.complete:
        raise IncompleteError(
            f"the rerun could not judge every item ({calls.accounts.detail}). Nothing was changed."
        )
    result = Rerun(moved=_moved(folder, record, bench.dataset, variant.config))
    result.compared = len(verdicts)
    _compare_verdicts(result, folder.verdicts, verdicts, live=bench.pool.record is None)
    result.closed = _closed(bench, record, result)
    if not result.closed:
        _compare_scores(result, folder.scores, runner.scores(bench, record["name"], verdicts))
    return result


def _closed(bench: Bench, record: Mapping[str, Any], result: Rerun) -> str:
    """Why scoring a look at test again would be another look; empty where it is the same."""
    if not bench.look:
        return ""
    if not is_same_look(record, bench.labels, bench.dataset):
        return "labels or texts of its items changed since"
    return "its verdicts are others now" if result.flips else ""


async def _judge(bench: Bench, variant: Variant, calls: Calls) -> list[Verdict]:
    try:
        return await runner.judge(bench, variant, calls, runner.QUIET)
    finally:
        await bench.pool.close()


def _bench(
    folder: RunFolder,
    config: Mapping[str, Any],
    record: Mapping[str, Any],
    dataset: Dataset,
    pool: Pool,
) -> Bench:
    """The bench of the run as it was: everybody where the run folder says."""
    rows = folder.assignment
    here = {example.id: example.interaction.content for example in dataset.examples}
    gone = [row["id"] for row in rows if row["id"] not in here]
    if gone:
        raise DataError(
            f"{len(gone)} of {len(rows)} items of this run are not in {dataset.name!r} any more, "
            f"or have lost their label: {', '.join(gone[:5])}. Give the file that the run was made "
            "from with --data FILE."
        )
    chosen = configs.build(config["split"], SplitConfig, "split")
    split = recorded_split(dataset, chosen, record["mode"], rows)
    return Bench(
        dataset,
        split,
        pool,
        part=record["part"],
        limit=config["limit"],
        policy=config["scores"]["policy"],
        look=recorded_look(record),
    )


def _moved(
    folder: RunFolder, record: Mapping[str, Any], dataset: Dataset, config: Mapping[str, Any]
) -> list[str]:
    moved = []
    since = len(EventLog(labels_path(dataset.name)).events) - dataset.events
    if since:
        moved.append(
            f"{since} label events came since, which do not count here; judgelab compare takes "
            "the labels as they are now"
        )
    if dataset.sha256 != record["dataset"]["sha256"]:
        here = {example.id: example.interaction.content for example in dataset.examples}
        changed = [row["id"] for row in folder.assignment if here[row["id"]] != row["content"]]
        what = (
            f"{len(changed)} items of this run changed"
            if changed
            else "labels, critiques or other items"
        )
        moved.append(f"the data moved ({what})")
    texts = configs.build(config["judge"], Judge, "judge").texts()
    for name, before in record["texts"].items():
        if sha256(texts.get(name, "")) != before:
            moved.append(f"{name} moved")
    for name, before in record["versions"].items():
        if (now := versions().get(name)) != before:
            moved.append(f"{name} {before} -> {now}")
    was, now_at = record["revision"], revision()
    if was["commit"] != now_at["commit"]:
        moved.append(f"revision {str(was['commit'])[:8]} -> {str(now_at['commit'])[:8]}")
    return moved


def _compare_verdicts(
    result: Rerun, recorded: list[Verdict], again: list[Verdict], live: bool
) -> None:
    """A model that is asked again words its critique anew; a replay does not."""
    old = {(v.id, v.repeat): v for v in recorded}
    new = {(v.id, v.repeat): v for v in again}
    for key in sorted(old.keys() | new.keys()):
        was, now = old.get(key), new.get(key)
        before, after = (v.verdict if v else None for v in (was, now))
        if before != after or (was is None) != (now is None):
            result.flips.append((*key, before, after))
        elif was != now and not live:
            result.reworded.append(key[0])


def _compare_scores(result: Rerun, before: dict[str, Any], after: dict[str, Any]) -> None:
    after = json.loads(json.dumps(after))
    result.scores += [
        (name, before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if name != "metrics" and before.get(name) != after.get(name)
    ]
    for name in sorted(before["metrics"].keys() | after["metrics"].keys()):
        was, now = before["metrics"].get(name), after["metrics"].get(name)
        if was != now:
            result.scores.append((name, _shown(was), _shown(now)))


def _shown(metric: dict[str, Any] | None) -> Any:
    """The value, with its interval: of two that differ it may be the interval alone."""
    if not metric or metric["lo"] is None:
        return metric and metric["value"]
    return f"{metric['value']} [{metric['lo']}, {metric['hi']}]"
