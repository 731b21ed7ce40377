"""The difference of two rubrics as a person reads it: paragraphs, and within them the words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest

AROUND = 2  # unchanged lines that are shown beside a change
MOST = 2_000  # words of a paragraph that are compared one by one: the work grows with their square

_WORDS = re.compile(r"\s+|\w+|[^\w\s]")

Piece = tuple[str, str]  # (same | gone | new, text)


@dataclass(frozen=True)
class Line:
    """A line of the difference; `left_out` counts the unchanged lines that it stands for."""

    pieces: Sequence[Piece] = ()
    left_out: int = 0

    @property
    def kind(self) -> str:
        """The kind of all its pieces, or changed."""
        kinds = {kind for kind, _ in self.pieces}
        return kinds.pop() if len(kinds) == 1 else "changed" if kinds else "same"


def difference(before: str, after: str) -> list[Line]:
    """Line by line; empty where nothing differs."""
    was, now = before.splitlines(), after.splitlines()
    found: list[Line] = []
    blocks = SequenceMatcher(None, was, now).get_opcodes()
    if all(kind == "equal" for kind, *_ in blocks):
        return []
    for number, (kind, a, b, c, d) in enumerate(blocks):
        if kind == "equal":
            found += _unchanged(was[a:b], number == 0, number == len(blocks) - 1)
        else:
            found += _changed(was[a:b], now[c:d])
    return found


def _unchanged(lines: Sequence[str], first: bool, last: bool) -> Iterator[Line]:
    """Those beside a change; the others are counted."""
    ahead, behind = 0 if first else AROUND, 0 if last else AROUND
    hidden = len(lines) - ahead - behind
    if hidden <= 1:
        ahead, behind, hidden = len(lines), 0, 0
    yield from (Line([("same", line)]) for line in lines[:ahead])
    if hidden:
        yield Line(left_out=hidden)
    yield from (Line([("same", line)]) for line in lines[len(lines) - behind :])


def _changed(was: Sequence[str], now: Sequence[str]) -> Iterator[Line]:
    """Line against line as far as both go, with the words that differ."""
    for one, other in zip_longest(was, now):
        if one is not None and other is not None and (pieces := _words(one, other)):
            yield Line(pieces)
            continue
        if one is not None:
            yield Line([("gone", one)])
        if other is not None:
            yield Line([("new", other)])


def _words(was: str, now: str) -> list[Piece]:
    """Nothing where the two have too little in common to be read in one."""
    one, other = _WORDS.findall(was), _WORDS.findall(now)
    if not one or not other or max(len(one), len(other)) > MOST:
        return []
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    if matcher.ratio() < 0.5:
        return []
    pieces: list[Piece] = []
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            pieces.append(("same", "".join(one[a:b])))
            continue
        pieces += [(name, text) for name, text in
                   (("gone", "".join(one[a:b])), ("new", "".join(other[c:d]))) if text]  # fmt: skip
    return pieces
