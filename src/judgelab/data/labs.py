"""`judgelab init`: a lab around a file, with the proposed mapping to confirm."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from judgelab.data.mapping import FIELDS
from judgelab.data.proposal import Proposal, propose
from judgelab.data.readers.csv import CsvReader
from judgelab.data.readers.problems import quoted, shown
from judgelab.data.readers.xlsx import XlsxReader
from judgelab.data.spellings import spelling
from judgelab.errors import UserError
from judgelab.types import LABELS

__all__ = ["Proposal", "propose", "summary", "write_lab", "write_sample_lab"]

RUBRIC = """\
# What a good answer is

You judge one answer at a time, as the expert would who wrote the critiques. Ask whether the
person who wrote the input could use the output as it is.

## It passes when
- it answers what was asked, all of it, and not something near it;
- what it says is right, and fits the context that is shown;
- its reader can act on it without having to ask again.

## It fails when
- it misses, changes or only half answers what was asked;
- anything that matters in it is wrong, invented or contradicts the context;
- following it would mislead its reader or cost them work.

## What does not matter
- length, politeness and style, as long as the answer can be used;
- how sure the answer sounds.

## When in doubt
Decide by what would happen if the answer were sent as it is. If that would do harm or waste
somebody's time, it fails.
"""

RECIPE = """\
# Which critiques help the judge, and how many?    judgelab run experiment=mine model=neighbours
# (neighbours is offline and no LLM; with model=openai and the like the rubric counts too.)
defaults:
  - override /dataset: {dataset}
  - override /judge: prompted
judge: {{rubric: mine}}
axes: {{demos: "random,balanced,nearest", demos.k: "4,8"}}
"""

EXPLAINED = {
    "id": "empty: ids are made from the content",
    "critique": "why it passes or fails, in the expert's words",
    "group": "what belongs together, such as a conversation; it is never split",
    "annotator": "who gave the label",
}


def write_lab(path: Path, folder: Path) -> list[Path]:
    """Writes dataset yaml, rubric and recipe, all called `mine`, for a file.

    Raises:
        DataError: the file cannot be read.
        UserError: one of the three exists; nothing is written then.
    """
    dataset = _dataset_yaml(propose(path), _from_lab(path, folder))
    return _write(
        {
            folder / "conf" / "dataset" / "mine.yaml": dataset,
            folder / "prompts" / "rubrics" / "mine.md": RUBRIC,
            folder / "experiments" / "mine.yaml": RECIPE.format(dataset="mine"),
        }
    )


def write_sample_lab(folder: Path) -> list[Path]:
    """Writes a rubric and a recipe called `mine` on the sample dataset; never over a file."""
    return _write(
        {
            folder / "prompts" / "rubrics" / "mine.md": RUBRIC,
            folder / "experiments" / "mine.yaml": RECIPE.format(dataset="sample"),
        }
    )


def summary(proposal: Proposal) -> list[str]:
    """The proposal as lines to read: field, column, counts; then what is still to be done."""
    lines = [f"{shown(proposal.path)}: {proposal.rows} rows"]
    for name in FIELDS:
        column = proposal.columns[name]
        found = f"{column}  ({_filled(proposal, column)})" if column else "no column found"
        lines.append(f"  {name:<10}{found}")
    for label in LABELS:
        counts = [
            f"{quoted(text)} {count} rows"
            for text, count in proposal.spellings.items()
            if spelling(text) in map(spelling, proposal.labels[label])
        ]
        lines.append(f"  {label:<10}{', '.join(counts) or 'no spelling yet'}")
    return [*lines, *(f"  {text}" for text in _to_do(proposal))]


def _to_do(proposal: Proposal) -> list[str]:
    texts = list(proposal.remarks)
    lost = [name for name in ("input", "output", "label") if proposal.columns[name] is None]
    if lost:
        texts.append(f"fill in which column holds the {' and the '.join(lost)}")
    if proposal.columns["label"] and not proposal.labels["pass"]:
        texts.append("fill in which spellings pass and which fail")
    if proposal.unread:
        texts.append(f"not read: {', '.join(map(_yaml, proposal.unread))}")
    return texts


def _dataset_yaml(proposal: Proposal, path: str) -> str:
    lines = [
        f"# Proposed by judgelab init from {proposal.rows} rows. Check every line; the counts are "
        "what was found.",
        *(f"# {text[0].upper()}{text[1:]}." for text in map(_one_line, _to_do(proposal))),
        "_target_: judgelab.data.schema.DatasetConfig",
        "name: mine",
        f"path: {_yaml(path)}",
        f"reader: {{{_reader(proposal)}}}",
        "columns: # our field: your column",
        *(f"  {name}: {_column(proposal, name)}" for name in FIELDS),
        "  context: null # null: the file's own context; or a list of columns the judge is shown",
        "  dimensions: null # null: the file's own; or a list of columns to slice results by",
        *_labels(proposal),
        "annotations: null # a file of more labels an item: {id, annotator, label, critique?}",
        "expert: null # whose label decides, where several people labelled",
        "links: {} # what else the expert looks at, such as crm: https://HOST/{context.customer}",
    ]
    return "\n".join(lines) + "\n"


def _reader(proposal: Proposal) -> str:
    reader = proposal.reader
    kind = type(reader)
    arguments = ""
    if isinstance(reader, CsvReader):
        arguments = f", delimiter: {_yaml(reader.delimiter)}"
    elif isinstance(reader, XlsxReader):
        arguments = f", sheet: {_yaml(reader.sheet)}"
    return f"_target_: {kind.__module__}.{kind.__qualname__}{arguments}"


def _column(proposal: Proposal, name: str) -> str:
    column = proposal.columns[name]
    if column is not None:
        return f"{_yaml(column)} # {_filled(proposal, column)}"
    if name in EXPLAINED:
        return f"null # {EXPLAINED[name]}"
    there = ", ".join(_yaml(other) for other in proposal.filled)
    return f"null # FILL IN, one of: {there}"


def _filled(proposal: Proposal, column: str) -> str:
    return f"{proposal.filled[column]} of {proposal.rows} rows filled"


def _labels(proposal: Proposal) -> list[str]:
    if not proposal.spellings:
        head = "labels: # the spellings that mean pass and fail; none found yet"
        return [head, *_lists(proposal.labels["pass"], proposal.labels["fail"])]
    found = ", ".join(f"{_yaml(text)} {count} rows" for text, count in _common(proposal.spellings))
    empty = proposal.rows - sum(proposal.spellings.values())
    lines = [f"  # found: {found}; {empty} empty = unlabelled"]
    if proposal.labels["pass"]:
        sure = {"pass", "fail"} >= {spelling(text) for text in proposal.spellings}
        head = "labels:" + ("" if sure else " # CONFIRM which one passes and which one fails")
        return [head, *lines, *_lists(proposal.labels["pass"], proposal.labels["fail"])]
    if proposal.spellings.keys() <= {"0", "1"}:
        lines.append("  # Whether 1 passes differs between tools; it is never guessed.")
    elif all(text.lstrip("-").isdigit() for text in proposal.spellings):
        lines.append(
            "  # A score is not a verdict: where passing begins is the expert's decision, such as "
            "pass: [4, 5], fail: [1, 2, 3]."
        )
    return ["labels: # FILL IN which spellings pass and which fail", *lines, *_lists([], [])]


def _lists(good: list[str], bad: list[str]) -> list[str]:
    return [
        f"  {label}: [{', '.join(map(_yaml, texts))}]"
        for label, texts in zip(LABELS, (good, bad), strict=True)
    ]


def _common(spellings: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(spellings.items(), key=lambda pair: -pair[1])[:10]


def _from_lab(path: Path, folder: Path) -> str:
    here, lab = path.resolve(), folder.resolve()
    return here.relative_to(lab).as_posix() if here.is_relative_to(lab) else here.as_posix()


def _write(texts: Mapping[Path, str]) -> list[Path]:
    there = [shown(path) for path in texts if path.exists()]
    if there:
        raise UserError(
            f"{', '.join(there)}: already there, and init never overwrites; nothing was written. "
            "Move it away, or edit it: it is yours."
        )
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(texts)


def _yaml(text: str | None) -> str:
    """A text as YAML in double quotes, safe in a comment and from interpolation."""
    if text is None:
        return "null"
    plain = text.replace("${", "\\${")
    return "".join(
        char if char.isprintable() else f"\\U{ord(char):08x}"
        for char in json.dumps(plain, ensure_ascii=False)
    )


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)
