"""User inputs: what they are, and the file they are in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from judgelab import resources
from judgelab.data.readers.base import Row
from judgelab.data.readers.jsonl import JsonlReader
from judgelab.data.readers.problems import Problems, quoted, shown
from judgelab.data.readers.values import body_text, key_text
from judgelab.types import sha256

DIGITS = 12  # hex digits of an id


@dataclass(frozen=True)
class Input:
    """What a user sends. `by` is who wrote it: a model's name, or hand.

    `context` is what else the product knows of this user; `group` is what belongs together, such as
    the conversation: whatever answers it stays in that group.
    """

    id: str
    input: str
    dimensions: Mapping[str, str] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    group: str | None = None
    by: str = ""

    @classmethod
    def made(cls, text: str, dimensions: Mapping[str, str], by: str) -> Input:
        """With an id of its own text and cell: the same again is the same input."""
        digits = sha256([text, sorted(dimensions.items())])[:DIGITS]
        return cls(f"in-{digits}", text, dimensions, by=by)

    def to_json(self) -> dict[str, Any]:
        row: dict[str, Any] = {"id": self.id, "input": self.input}
        row |= {name: dict(getattr(self, name)) for name in ("dimensions", "context")}
        row |= {"group": self.group, "by": self.by}
        return {name: value for name, value in row.items() if value or name == "input"}


def inputs_path(name: str) -> Path:
    """Where the lab keeps the inputs of some dimensions."""
    return resources.lab() / "generated" / f"{name}.inputs.jsonl"


def read_inputs(path: Path) -> list[Input]:
    """Every input of a JSONL file: {id?, input, dimensions?, context?, group?, by?}.

    Raises:
        DataError: what cannot be read, no text, an id that occurs twice.
    """
    return _inputs(list(JsonlReader().rows(path)), path)


def inputs_of(lines: Sequence[str], path: Path) -> list[Input]:
    """The inputs of a file that is open; as `read_inputs`, but it may be empty."""
    problems = Problems(shown(path))
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(Row(f"line {number}", dict(json.loads(line))))
        except (ValueError, TypeError):
            allowed = 'an object a line, such as {"input": ...}'
            problems.add("lines that are no JSON object", f"line {number}", quoted(line), allowed)
    problems.check()
    return _inputs(rows, path)


def _inputs(rows: Sequence[Row], path: Path) -> list[Input]:
    problems = Problems(shown(path))
    made: dict[str, Input] = {}
    for row in rows:
        one = _input(row, problems)
        if one.id in made:
            allowed = "an id of its own a row"
            problems.add("ids that occur twice", row.where, quoted(one.id), allowed)
        made[one.id] = one
    problems.check()
    return list(made.values())


def _input(row: Row, problems: Problems) -> Input:
    values = row.values
    text = body_text(values.get("input"))
    if not text.strip():
        problems.add("empty inputs (column 'input')", row.where, "", "a text")
    objects = {}
    for name in ("dimensions", "context"):
        found = values.get(name) or {}
        if not isinstance(found, dict):
            allowed = 'an object such as {"persona": "new_hire"}'
            problems.add(f"column {name!r} that is no JSON object", row.where, "", allowed)
            found = {}
        objects[name] = found
    dimensions = {name: key_text(value) for name, value in objects["dimensions"].items()}
    one = Input.made(text, dimensions, key_text(values.get("by")))
    return Input(
        key_text(values.get("id")) or one.id,
        text,
        dimensions,
        objects["context"],
        key_text(values.get("group")) or None,
        one.by,
    )
