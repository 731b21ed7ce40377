"""A reply's verdict: the verdict field alone, whole, and never words found in prose."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from judgelab.models.base import Reply
from judgelab.types import Label

REFUSAL = re.compile(r"^(i'?m sorry|i am sorry|sorry|i can(no|')t|i cannot|i am unable)\b", re.I)
OPENS_OBJECT = re.compile(r'\{\s*["\']')
_DECODER = json.JSONDecoder(object_pairs_hook=lambda pairs: _Object(pairs))  # noqa: PLW0108


class _Object(dict[str, Any]):
    """A JSON object that remembers whether it said `verdict` more than once."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__((_name(key), value) for key, value in pairs)
        self.verdicts = sum(_name(key) == "verdict" for key, _ in pairs)


@dataclass(frozen=True)
class Parsed:
    """A label, or None with the reason of the abstention."""

    label: Label | None
    reason: str | None
    critique: str = ""


def parse(reply: Reply) -> Parsed:
    """The verdict of a reply. Never raises, never guesses.

    The reply holds one JSON object with a `verdict` of exactly pass or fail, in any case and with
    space around it; prose or a code fence around the object is passed over, two verdicts are none.
    """
    if reply.finish in ("content_filter", "too_long"):
        return Parsed(None, reply.finish)
    if reply.refusal:
        return Parsed(None, "refusal")
    if not reply.text.strip():
        return Parsed(None, "truncated" if reply.finish == "length" else "empty")
    found = [thing for thing in _objects(reply.text) if "verdict" in thing]
    if len(found) != 1 or found[0].verdicts != 1:
        if reply.finish == "length":
            return Parsed(None, "truncated")
        refused = not found and REFUSAL.match(reply.text.strip().replace("’", "'"))
        return Parsed(None, "refusal" if refused else "unparsable")
    verdict, critique = found[0]["verdict"], found[0].get("critique")
    critique = critique if isinstance(critique, str) else ""
    word = verdict.strip().casefold() if isinstance(verdict, str) else None
    if word == "pass":
        return Parsed("pass", None, critique)
    if word == "fail":
        return Parsed("fail", None, critique)
    return Parsed(None, "unsure" if word in ("unsure", "unknown") else "out_of_enum", critique)


def _objects(text: str) -> list[_Object]:
    """The JSON objects that stand in a text, outermost only; none where one is broken.

    What lies inside a broken object may be quoted from the judged text, so it is not looked at.
    """
    found, at = [], text.find("{")
    while at >= 0:
        try:
            thing, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            if OPENS_OBJECT.match(text, at):
                return []
            end = at + 1
        else:
            if isinstance(thing, _Object):
                found.append(thing)
        at = text.find("{", end)
    return found


def _name(key: str) -> str:
    return key.strip().casefold()
