"""rounds/<dataset name>/<n>/: what a round of labelling froze, and what came of it.

    round.json      when, the labels' hash and counts, the last event, the last line of root causes,
                    the rubric's hash, the judge; once it is closed also `result`: the run, its
                    scores, what changed, what is next
    labels.jsonl    the label of every labelled item, without its texts
    rubric.md       the rubric, where the judge has one; rubric.diff against the round before
    rounds.png      agreement by round

A round is open until it has a result. A closed one is never written again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from judgelab import resources
from judgelab.data.modes import ModeLog
from judgelab.data.schema import Dataset
from judgelab.data.taxonomy import Taxonomy
from judgelab.errors import DataError
from judgelab.optimizers.kept import diff
from judgelab.tracking.folder import RunFolder
from judgelab.types import Label, sha256, sha256_of

FILE = "round.json"


@dataclass(frozen=True)
class Frozen:
    """The label of an item: of which texts, and by whom."""

    id: str
    content: str
    label: Label
    by: str = ""


@dataclass(frozen=True)
class Round:
    """One round. `about` is its round.json."""

    folder: RunFolder
    about: Mapping[str, Any]

    @classmethod
    def read(cls, folder: RunFolder) -> Round:
        """Raises DataError for a damaged one."""
        path = folder.path / FILE
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
            int(about["round"]), about["labels"]["sha256"], about["judge"]["sha256"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path} is damaged ({error}). Restore it, or take the folder away: the labels and "
                "the answers of the judge are kept elsewhere."
            ) from error
        return cls(folder, about)

    @property
    def number(self) -> int:
        return int(self.about["round"])

    @property
    def closed(self) -> bool:
        return "result" in self.about

    @property
    def result(self) -> Mapping[str, Any]:
        """What came of a closed round."""
        found: Mapping[str, Any] = self.about["result"]
        return found

    @cached_property
    def labels(self) -> dict[str, Frozen]:
        """The frozen labels, by id."""
        path = self.folder.path / "labels.jsonl"
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
            rows = [Frozen(**json.loads(line)) for line in lines if line]
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"{path} cannot be read ({error}). Restore it.") from error
        return {row.id: row for row in rows}

    def modes(self, taxonomy: Taxonomy) -> dict[str, tuple[str, ...]]:
        """The root causes of its fails when it was frozen, by id; none of a round that kept no
        count of them. Names are those of the taxonomy, where it has, or took in, the mode."""
        if (lines := self.about.get("modes")) is None:
            return {}
        log = ModeLog.of(self.about["name"], upto=lines)
        said = {id_: log.on((id_, one.content)) for id_, one in self.labels.items()}
        return {
            id_: tuple(dict.fromkeys(taxonomy.spelt(name) or name for name in known.modes))
            for id_, known in said.items()
            if known and known.modes and self.labels[id_].label == "fail"
        }

    @property
    def rubric(self) -> str:
        """The rubric's text; "" where the judge has none."""
        path = self.folder.path / "rubric.md"
        return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


def rounds_of(name: str) -> list[Round]:
    """The rounds of a dataset, in their order; the last one alone may be open."""
    there = (resources.lab() / "rounds" / name).glob(f"*/{FILE}")
    found = [Round.read(RunFolder(path.parent)) for path in there]
    return sorted(found, key=lambda one: one.number)


def labels_of(dataset: Dataset) -> list[Frozen]:
    """The labels that decide, by id."""
    content = {one.id: one.content for one in dataset.interactions}
    return [
        Frozen(id_, content[id_], known.label, known.annotator)
        for id_, known in sorted(dataset.labels.items())
    ]


def labels_hash(dataset: Dataset) -> str:
    """Of every label with its critique and the texts it belongs to."""
    return sha256_of(
        [one.id, one.content, one.label, dataset.labels[one.id].critique, one.by]
        for one in labels_of(dataset)
    )


def rubric_in(texts: Mapping[str, str]) -> str:
    """The rubric among a judge's texts; of a judge of several judges each one's, under its name."""
    found = {name: text for name, text in sorted(texts.items()) if name.endswith("rubric.md")}
    if list(found) == ["rubric.md"]:
        return found["rubric.md"].strip()
    parts = (
        f"# {name.removesuffix('.rubric.md')}\n\n{text.strip()}" for name, text in found.items()
    )
    return "\n\n".join(parts)


def freeze(
    number: int,
    dataset: Dataset,
    judge: Mapping[str, Any],
    rubric: str,
    before: Round | None,
    note: str = "",
) -> Round:
    """Write an open round: labels, root causes and rubric as they are.

    Args:
        number: of the round.
        dataset: with its labels.
        judge: `name`, and `sha256` of everything that its verdicts depend on but the data.
        rubric: its text, or "".
        before: the round before.
        note: the user's words.
    """
    folder = RunFolder(resources.lab() / "rounds" / dataset.name / str(number))
    rows = labels_of(dataset)
    fails = sum(row.label == "fail" for row in rows)
    counts = {"n": len(rows), "fail": fails, "pass": len(rows) - fails}
    about = {
        "round": number,
        "name": dataset.name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "note": note,
        "events": dataset.events,
        "modes": ModeLog.of(dataset.name).lines,
        "labels": {"sha256": labels_hash(dataset), **counts},
        "rubric": {"sha256": sha256(rubric)} if rubric else None,
        "judge": dict(judge),
    }
    folder.write_lines("labels.jsonl", (vars(row) for row in rows))
    changed = diff(before.rubric, rubric, "rubric") if before else ""
    for name, text in (("rubric.md", rubric and rubric + "\n"), ("rubric.diff", changed)):
        if text:
            folder.write(name, text)
        else:
            (folder.path / name).unlink(missing_ok=True)
    folder.write_json(FILE, about)
    return Round(folder, about)


def close(one: Round, result: Mapping[str, Any]) -> Round:
    """The round with what came of it."""
    about = {**one.about, "result": dict(result)}
    one.folder.write_json(FILE, about)
    return Round(one.folder, about)


def under_another(rounds: Sequence[Round], rubric: str, content: Mapping[str, str]) -> set[str]:
    """Ids whose texts had a label when a round froze another rubric.

    Args:
        rubric: the hash of the one in force.
        content: the hash of each item's texts.
    """
    others = (
        one for one in rounds if one.about["rubric"] and one.about["rubric"]["sha256"] != rubric
    )
    return {
        id_
        for one in others
        for id_, frozen in one.labels.items()
        if frozen.content == content.get(id_)
    }
