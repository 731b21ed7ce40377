"""Cells: what may be in one, and one cell as text."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from typing import Any

from judgelab.data.readers.problems import Problems
from judgelab.types import canonical_json

CELL_CAP = 1024**2  # characters
DEPTH_CAP = 40
_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")
_WHOLE = re.compile(r"([+-]?\d+)\.0+")


class JsonError(ValueError):
    """A text that is no JSON value we take; `kind` is the problem's name."""

    def __init__(self, kind: str, found: str, allowed: str) -> None:
        super().__init__(f"{kind} ({found})")
        self.kind, self.found, self.allowed = kind, found, allowed


def parse_json(text: str) -> Any:
    """A JSON value; no NaN, no key twice in an object, no deeper than 40 levels.

    Raises:
        JsonError: with the problem's name, what was found and what is allowed.
    """
    try:
        value = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
        )
    except RecursionError:
        raise _too_deep("far") from None
    except json.JSONDecodeError as error:
        raise _invalid(f"{error.msg} at character {error.pos + 1}") from None
    except ValueError as error:
        raise _invalid(str(error)) from None
    depth = _depth(value)
    if depth > DEPTH_CAP:
        raise _too_deep(str(depth))
    return value


def plain(value: Any) -> Any:
    """A cell as a JSON value: dates as ISO text, not-a-number as None.

    Raises:
        ValueError: for what has no JSON form (bytes).
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value) if value.is_finite() else None
    raise ValueError(type(value).__name__)


def check_cell(value: Any, column: str, where: str, problems: Problems) -> Any:
    """The cell as a JSON value; what may not be in a cell goes to `problems`."""
    try:
        value = plain(value)
    except ValueError as error:
        allowed = "text, numbers, true/false, dates, lists and objects"
        kind = f"cells in column {column!r} of a type that is no text"
        problems.add(kind, where, str(error), allowed)
        return None
    for text in _texts(value):
        if len(text) > CELL_CAP:
            kind = f"cells in column {column!r} that are too large"
            problems.add(kind, where, f"{len(text):,} characters", f"{CELL_CAP:,} characters")
        plain_text = text.isascii() and "\x00" not in text  # nearly all is, and soon found to be
        if not plain_text and (bad := _NOT_TEXT.search(text)):
            name = "NUL" if bad[0] == "\x00" else f"half a surrogate pair (\\u{ord(bad[0]):04x})"
            found = f"{name} at character {bad.start() + 1}"
            problems.add(f"column {column!r} holds what is no text", where, found, "Unicode text")
    return value


def body_text(value: Any) -> str:
    """An input, output or critique as text; what is no text becomes indented JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def key_text(value: Any) -> str:
    """An id, group, annotator, dimension or label as text: stripped, 1.0 is "1"."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else canonical_json(value)
    text = text.strip()
    whole = _WHOLE.fullmatch(text)
    return whole[1] if whole else text


def is_empty(value: Any) -> bool:
    """Whether a cell holds nothing a person can see."""
    return value is None or (isinstance(value, str) and not value.strip())


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for item in pair for text in _texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return []


def _depth(value: Any) -> int:
    """Levels of nesting; a scalar has none."""
    deepest, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        deepest += 1
        level = [i for v in level for i in (v.values() if isinstance(v, dict) else v)]
    return deepest


def _invalid(found: str) -> JsonError:
    return JsonError("invalid JSON", found, "one whole JSON value")


def _too_deep(found: str) -> JsonError:
    return JsonError("JSON nested too deep", f"{found} levels", f"{DEPTH_CAP} levels")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} twice in one object")
    return values


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large a number")
    return number
