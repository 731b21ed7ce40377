"""From a stranger's columns to our fields, by a mapping that says which is which."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from judgelab.data.readers.base import Row
from judgelab.data.readers.problems import Problems
from judgelab.data.readers.values import (
    JsonError,
    body_text,
    is_empty,
    key_text,
    parse_json,
)
from judgelab.errors import ConfigError, DataError

FIELDS = ("id", "input", "output", "label", "critique", "group", "annotator")
OBJECTS = ("context", "dimensions")
REQUIRED = ("input", "output")
_ABSENT = object()
_INDEX = re.compile(r"-?[0-9]{1,6}")


@dataclass(frozen=True)
class Record:
    """A row in our words; `label` is still as it was spelt."""

    where: str
    id: str
    input: str
    output: str
    label: Any
    critique: str
    group: str | None
    annotator: str
    context: dict[str, Any]
    dimensions: dict[str, str]


@dataclass(frozen=True)
class Columns:
    """Which column holds which field.

    `fields`: our name -> a column or a dotted path into its JSON; None reads nothing. A field
    under our own name may be missing from the file (input and output may not), a column named
    otherwise may not. `objects`: context and dimensions; None takes the file's own object of that
    name and its flat columns (`context.plan`), a mapping takes those columns and no others.
    """

    fields: Mapping[str, str | None] = field(default_factory=dict)
    objects: Mapping[str, Mapping[str, str] | None] = field(default_factory=dict)

    @classmethod
    def of(cls, columns: Mapping[str, Any]) -> Columns:
        """From the yaml's `columns`.

        Raises:
            ConfigError: an unknown field, or a value that names no column.
        """
        unknown = [str(key) for key in columns if key not in (*FIELDS, *OBJECTS)]
        if unknown:
            raise ConfigError(
                f"dataset.columns: {', '.join(map(repr, unknown))} is no field of ours. "
                f"Allowed: {', '.join((*FIELDS, *OBJECTS))}."
            )
        return cls(
            {name: _column(name, columns.get(name, name)) for name in FIELDS},
            {name: _named(name, columns.get(name)) for name in OBJECTS},
        )

    def records(self, rows: Sequence[Row], problems: Problems) -> list[Record]:
        """Every row as a record.

        Raises:
            DataError: a mapped column is in no row; says which columns there are.
        """
        self._check_columns(rows, problems.source)
        return [self._record(row, problems) for row in rows]

    def present(self, name: str, rows: Sequence[Row]) -> bool:
        """Whether any row has the field."""
        path = self.fields.get(name)
        return path is not None and any(_peek(row.values, path) is not _ABSENT for row in rows)

    def unread(self, rows: Sequence[Row]) -> list[str]:
        """The columns that hold something and go nowhere, in the file's order."""
        wanted = [path for path in self.fields.values() if path]
        for name in OBJECTS:
            mapped = self.objects.get(name)
            wanted += [name] if mapped is None else mapped.values()
        filled: dict[str, None] = {}
        for row in rows:
            filled.update(
                dict.fromkeys(column for column, value in row.values.items() if not is_empty(value))
            )
        return [column for column in filled if not self._reads(column, wanted)]

    def _reads(self, column: str, wanted: Sequence[str]) -> bool:
        flat = any(self.objects.get(o) is None and column.startswith(f"{o}.") for o in OBJECTS)
        return flat or any(path == column or path.startswith(f"{column}.") for path in wanted)

    def _record(self, row: Row, problems: Problems) -> Record:
        def read(name: str) -> Any:
            path = self.fields.get(name)
            return None if path is None else _value(row, path, problems)

        record = Record(
            where=row.where,
            id=key_text(read("id")),
            input=body_text(read("input")),
            output=body_text(read("output")),
            label=read("label"),
            critique=body_text(read("critique")).strip(),
            group=key_text(read("group")) or None,
            annotator=key_text(read("annotator")),
            context=self._object("context", row, problems),
            dimensions={
                name: text
                for name, value in self._object("dimensions", row, problems).items()
                if (text := key_text(value))
            },
        )
        for name in REQUIRED:
            if not getattr(record, name).strip():
                kind = f"empty {name} (column {self.fields[name]!r})"
                problems.add(kind, row.where, "", f"a text; leave out rows without {name}")
        return record

    def _object(self, name: str, row: Row, problems: Problems) -> dict[str, Any]:
        mapped = self.objects.get(name)
        if mapped is not None:
            found = {key: _value(row, path, problems) for key, path in mapped.items()}
            return {key: value for key, value in found.items() if not is_empty(value)}
        own = _own_object(name, row, problems)
        flat = {
            column.removeprefix(f"{name}."): value
            for column, value in row.values.items()
            if column.startswith(f"{name}.") and not is_empty(value)
        }
        return {**own, **flat}

    def _check_columns(self, rows: Sequence[Row], source: str) -> None:
        lost = [
            (f"dataset.columns.{name}", name if path is None else path)
            for name, path in self.fields.items()
            if (name in REQUIRED or path not in (None, name)) and not self.present(name, rows)
        ]
        for name, mapped in self.objects.items():
            for path in (mapped or {}).values():
                if all(_peek(row.values, path) is _ABSENT for row in rows):
                    lost.append((f"dataset.columns.{name}", path))
        if not lost:
            return
        names = column_names(rows)
        lines = [f"- {key}: there is no column {path!r}.{_hint(path, names)}" for key, path in lost]
        raise DataError(
            f"{source}: nothing was loaded.\n" + "\n".join(lines) + "\n"
            f"Columns there are: {', '.join(map(repr, names))}."
        )


def column_names(rows: Sequence[Row]) -> list[str]:
    """The columns of the rows, and the keys inside JSON objects as dotted paths."""
    names: dict[str, None] = {}
    for row in rows:
        for column, value in row.values.items():
            names[column] = None
            if isinstance(value, dict):
                names.update(dict.fromkeys(f"{column}.{key}" for key in value))
    return list(names)


def near_name(name: str, names: Sequence[str]) -> str | None:
    """The column that a misspelt name probably means; upper and lower case are the same."""
    folded = {other.casefold(): other for other in reversed(names)}
    close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.7)
    return folded[close[0]] if close else None


def _hint(wanted: str, names: Sequence[str]) -> str:
    near = near_name(wanted, names)
    return f" Did you mean {near!r}?" if near else ""


def _column(name: str, value: Any) -> str | None:
    if value is None or (isinstance(value, str) and value):
        return value
    raise ConfigError(
        f"dataset.columns.{name} is {value!r}; allowed: one column's name (or a dotted path), "
        "or null to read nothing."
    )


def _named(name: str, value: Any) -> dict[str, str] | None:
    if value is None:
        return None
    if isinstance(value, Mapping):
        named = dict(value)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        named = {str(column).removeprefix(f"{name}."): column for column in value}
    else:
        named = {"": value}
    if all(isinstance(text, str) and text for pair in named.items() for text in pair):
        return named
    raise ConfigError(
        f"dataset.columns.{name} is {value!r}; allowed: a list of columns [a, b], a mapping "
        f"{{our_name: column}}, or null for the file's own {name}."
    )


def _peek(values: Mapping[str, Any], path: str) -> Any:
    try:
        return _lookup(values, path)
    except JsonError:
        return None  # the column is there; the row's own problem is said when it is read


def _value(row: Row, path: str, problems: Problems) -> Any:
    try:
        value = _lookup(row.values, path)
    except JsonError as error:
        kind = f"{error.kind} where dataset.columns reaches for {path!r}"
        problems.add(kind, row.where, error.found, error.allowed)
        return None
    return None if value is _ABSENT else value


def _own_object(name: str, row: Row, problems: Problems) -> dict[str, Any]:
    """The file's `context` or `dimensions`; in a CSV it is a cell of JSON text."""
    own = row.values.get(name)
    if is_empty(own):
        return {}
    try:
        own = parse_json(own) if isinstance(own, str) else own
        found = type(own).__name__
    except JsonError as error:
        found = error.found
    if isinstance(own, dict):
        return own
    allowed = 'empty or an object such as {"plan": "free"}'
    problems.add(f"column {name!r} that is no JSON object", row.where, found, allowed)
    return {}


def _lookup(values: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path; the longest column name that fits comes first."""
    if path in values:
        return values[path]
    parts = path.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        column = ".".join(parts[:cut])
        if column in values:
            return _walk(values[column], parts[cut:])
    return _ABSENT


def _walk(value: Any, parts: Sequence[str]) -> Any:
    for part in parts:
        if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
            value = parse_json(value)
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and _INDEX.fullmatch(part) and _within(value, int(part)):
            value = value[int(part)]
        else:
            return _ABSENT
    return value


def _within(items: Sequence[Any], index: int) -> bool:
    return -len(items) <= index < len(items)
