"""Answers on their way to another machine: one JSON object a line, checked when they arrive."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from judgelab.calls.store import COLUMNS, Answer
from judgelab.errors import DataError
from judgelab.models.base import Reply

KEY = re.compile(r"[0-9a-f]{64}")
COUNTS = ("tokens_in", "tokens_out", "tokens_cached")


def line(answer: Answer) -> str:
    """An answer as a line of a file."""
    return json.dumps(asdict(answer), ensure_ascii=False, allow_nan=False) + "\n"


def read(path: Path) -> Iterator[Answer]:
    """The answers of a file.

    Raises:
        DataError: a line that holds no whole answer; says which, and what is wrong with it.
    """
    try:
        with path.open("rb") as file:
            for number, data in enumerate(file, 1):
                try:
                    yield _answer(json.loads(data))
                except (ValueError, RecursionError) as error:
                    why = str(error)
                    if isinstance(error, json.JSONDecodeError):
                        why = f"no JSON ({error.msg}, column {error.colno})"
                    raise DataError(
                        f"{path}, line {number}: {why}. Nothing was imported; take a file that "
                        "`judgelab calls export` wrote, whole."
                    ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def _answer(row: Any) -> Answer:
    if not isinstance(row, dict) or row.keys() != set(COLUMNS):
        raise ValueError(f"no object with the keys {', '.join(COLUMNS)}")
    usd = row["usd"]
    if type(usd) not in (int, float) or not math.isfinite(usd) or usd < 0:
        raise ValueError(f"usd is {usd!r}, and not what was paid")
    for name in COLUMNS:
        if name != "usd" and not isinstance(row[name], str):
            raise ValueError(f"{name} is {row[name]!r}, and no text")
    if not KEY.fullmatch(row["key"]):
        raise ValueError(f"key is {row['key'][:80]!r}, and no SHA-256 (64 hex digits)")
    datetime.strptime(row["at"], "%Y-%m-%d %H:%M:%S")
    answer = Answer(**row)
    if not answer.sound:
        raise ValueError("the answer does not fit its checksum")
    _check_reply(answer.reply)
    return answer


def _check_reply(text: str) -> None:
    try:
        reply = Reply.from_json(text)
    except (TypeError, AttributeError) as error:
        raise ValueError(f"reply is no answer of a model ({error})") from error
    odd = [name for name in COUNTS if type(getattr(reply, name)) is not int]
    if odd or not isinstance(reply.confidence, float | int | None):
        raise ValueError(f"reply is no answer of a model ({', '.join(odd) or 'confidence'})")
