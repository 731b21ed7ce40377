"""JSONL: one JSON object a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from judgelab.data.readers.base import Reader, Row
from judgelab.data.readers.problems import Problems, quoted
from judgelab.data.readers.text import lines
from judgelab.data.readers.values import JsonError, parse_json


class JsonlReader(Reader):
    """Reads UTF-8 JSONL; blank lines are skipped."""

    name: ClassVar[str] = "jsonl"
    extensions: ClassVar[tuple[str, ...]] = (".jsonl", ".ndjson")

    def _read(self, path: Path, problems: Problems) -> Iterator[Row]:
        for number, line in lines(path, problems):
            text = line.strip()
            if not text:
                continue
            where = f"line {number}"
            try:
                value = parse_json(text)
            except JsonError as error:
                problems.add(error.kind, where, error.found, error.allowed)
                continue
            if isinstance(value, dict):
                yield Row(where, value)
            else:
                allowed = 'an object a line, such as {"input": ..., "output": ...}'
                problems.add("lines that are no JSON object", where, quoted(text), allowed)

    def _shape(self) -> str:
        return 'It needs one JSON object a line, such as {"input": ..., "output": ...}.'
