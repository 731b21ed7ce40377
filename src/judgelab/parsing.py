"""A reply's verdict: the verdict field alone, whole, and never words found in prose."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from judgelab.models.base import Reply, unicode_text
from judgelab.types import Label

REFUSAL = re.compile(r"^(i'?m sorry|i am sorry|sorry|i can(no|')t|i cannot|i am unable)\b", re.I)
BRACE = re.compile(r"[{}]")
FENCE = re.compile(r"```\w*")
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
    space around it. Prose before or after the object, or a code fence around it, is passed over;
    an object amid a sentence is a quotation and no answer, and two verdicts are none. Thoughts
    that a server leaves in the text are no part of the answer.
    """
    if reply.finish in ("content_filter", "too_long"):
        return Parsed(None, reply.finish)
    if reply.refusal:
        return Parsed(None, "refusal")
    text = after_thoughts(reply.text).strip()
    if not text:
        return Parsed(None, "truncated" if reply.finish == "length" else "empty")
    found = [(thing, place) for thing, place in _objects(text) if "verdict" in thing]
    if len(found) != 1 or found[0][0].verdicts != 1 or not _stands_alone(text, *found[0][1]):
        if reply.finish == "length":
            return Parsed(None, "truncated")
        refused = not found and REFUSAL.match(text.replace("’", "'"))
        return Parsed(None, "refusal" if refused else "unparsable")
    verdict, critique = found[0][0]["verdict"], found[0][0].get("critique")
    critique = unicode_text(critique) if isinstance(critique, str) else ""
    word = verdict.strip().casefold() if isinstance(verdict, str) else None
    if word == "pass":
        return Parsed("pass", None, critique)
    if word == "fail":
        return Parsed("fail", None, critique)
    return Parsed(None, "unsure" if word in ("unsure", "unknown") else "out_of_enum", critique)


def after_thoughts(text: str) -> str:
    """The text behind `</think>`, whose opening some servers leave out; "" where it never comes."""
    begin = text.lstrip()
    if begin.startswith(("{", "```")):  # an answer already: there the mark can only be quoted
        return text
    _, mark, answer = text.partition("</think>")
    return answer if mark or begin.startswith("<think>") else text


def _objects(text: str) -> list[tuple[_Object, tuple[int, int]]]:
    """The JSON objects that stand in a text, each with its start and end; none where one is broken.

    Outermost only, and only outside other braces: what lies inside a broken object may be quoted
    from the judged text, so it is not looked at.
    """
    found: list[tuple[_Object, tuple[int, int]]] = []
    depth = 0
    at = 0
    while brace := BRACE.search(text, at):
        start = brace.start()
        at = start + 1
        if brace.group() == "}":
            depth = max(0, depth - 1)
            continue
        try:
            thing, at = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            if OPENS_OBJECT.match(text, start):
                return []
            depth += 1
            continue
        if depth:
            return []
        found.append((thing, (start, at)))
    return found


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether an object opens the text, ends it, or has its lines for itself."""
    before, after = FENCE.sub("", text[:start]), FENCE.sub("", text[end:])
    own_lines = not before.rpartition("\n")[2].strip() and not after.partition("\n")[0].strip()
    return not before.strip() or not after.strip() or own_lines


def _name(key: str) -> str:
    return key.strip().casefold()
