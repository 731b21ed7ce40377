"""Items that already hold what looks like a payload: a reader of texts, not a proof of anything."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from judgelab.types import Example, Interaction

# By what was found. Gaps are bounded, so that no text takes long.
_SIGNS = {
    "an order to ignore the rubric": re.compile(
        r"\b(?:ignore|disregard|forget|override)\b.{0,40}?"
        r"\b(?:rubric|instructions?|prompt|above|previous|rules?)\b"
        r"|\bignor(?:ez|ieren?|iere|ar|a|are|e)\b.{0,30}?\b(?:grille|consignes?|instruc\w+|anweisung\w*"
        r"|rúbrica|bewertung\w*)\b|忽略.{0,12}(?:指令|指示|标准|规则)",
        re.I | re.S,
    ),
    "a verdict": re.compile(
        r"\bverdict\b[\"']?\W{0,4}(?:is|:|=|fixed to|now|gets)?\W{0,6}\bpass\b"
        r"|\b(?:answer|reply|respond|say|return|output)\W{1,3}(?:with\W{1,3})?pass\b"
        r"|\bverdict\s*«\s*pass",
        re.I,
    ),
    "a delimiter of the prompt": re.compile(r"</?interaction\b", re.I),
    "a turn of a chat": re.compile(
        r"<\|\w{2,20}\|>|\[/?INST\]|<</?SYS>>|^\W{0,4}system(?: prompt)?\s*:", re.I | re.M
    ),
    "a role for the judge": re.compile(
        r"\b(?:you are|act as|pretend to be)\s+(?:(?:now|\w+,)\s+){0,2}an?\s+(?:\w+\s+){0,2}"
        r"(?:judge|grader|evaluator)\b"
        r"|\bstay in (?:the |your )?(?:role|character)\b",
        re.I | re.S,
    ),
    "letters held apart by characters without width": re.compile(
        r"(?:\w[\u200b\u200c\u2060\ufeff]){3}"
    ),
    "a label of the expert": re.compile(
        r"\b(?:note|message|comment)\W{1,3}(?:of|from|by)\W{1,3}(?:\w+\W{1,3}){0,3}"
        r"(?:expert|annotator|labell?er)\b|\bmy (?:label|verdict) is (?:pass|fail)\b",
        re.I,
    ),
    "a comment for the judge": re.compile(
        r"<!--.{0,300}?\b(?:judge|verdict|grader|evaluator)\b.{0,300}?-->", re.I | re.S
    ),
}
_BASE64 = re.compile(r"[A-Za-z0-9+/]{24,4000}={0,2}")
_TELLING = re.compile(rb"verdict|\bpass\b|ignore|rubric|instruction", re.I)
HIDDEN = "an order in Base64"


def signs(text: str) -> list[str]:
    """What in a text looks like a payload, sorted; empty for most texts."""
    found = {name for name, sign in _SIGNS.items() if sign.search(text)}
    if any(_TELLING.search(_decoded(match.group())) for match in _BASE64.finditer(text)):
        found.add(HIDDEN)
    return sorted(found)


def suspects(judged: Iterable[Interaction], shown: Iterable[Example]) -> list[dict[str, Any]]:
    """A row an item in which something was found: its id, whether it is judged, what and where.

    Args:
        judged: interactions that the judge judges.
        shown: examples that it may be shown as demonstrations, whose critiques count too.
    """
    rows = [_row(item.id, True, _fields(item)) for item in judged]
    known = {row["id"] for row in rows}
    rows += [
        _row(one.id, False, [*_fields(one.interaction), ("critique", one.critique)])
        for one in shown
        if one.id not in known
    ]
    return [row for row in rows if row["found"]]


def _row(item: str, judged: bool, fields: Iterable[tuple[str, str]]) -> dict[str, Any]:
    found = {name: there for name, text in fields if (there := signs(text))}
    return {"id": item, "judged": judged, "found": found}


def _fields(item: Interaction) -> Iterator[tuple[str, str]]:
    yield "input", item.input
    yield "output", item.output
    for key, value in item.context.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        yield f"context.{key}", text


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        return b""
