"""Texts as cells: none is run as a formula, none is cut without saying so, each comes back."""

from __future__ import annotations

import re

from judgelab.data.readers.guard import guard

LIMIT = 32_767  # what a cell of a spreadsheet holds, in UTF-16 units
# What XML has no character for, the carriage return that it would change, and what a reader would
# take for one of these, are written as OOXML writes them: _x000D_.
_ESCAPED = re.compile("[\x01-\x08\x0b\x0c\x0d\x0e-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
_CUT = re.compile(r"\[CUT: [\d,]+ of [\d,]+ characters are missing here\.")


def escape(text: str) -> str:
    """A text as XLSX keeps it; openpyxl's `unescape` undoes it exactly."""
    return _ESCAPED.sub(lambda found: f"_x{ord(found[0]):04X}_", text)


def size(text: str) -> int:
    """UTF-16 units of the cell that holds the text."""
    return len(escape(guard(text)).encode("utf-16-le")) // 2


def fits(text: str) -> bool:
    return len(text) * 8 < LIMIT or size(text) <= LIMIT


def cut(text: str, id_: str) -> str:
    """As much as a cell holds, and a mark that says what is missing and where it is."""
    if fits(text):
        return text
    mark = (
        f"\n\n[CUT: {len(text):,} of {len(text):,} characters are missing here. Open item "
        f"{id_[:80]!r} in judgelab review, where all of it is.]"
    )
    room = LIMIT - size(mark)
    kept = text[:room]
    while (over := size(kept) - room) > 0:
        kept = kept[: -max(1, over // 8)]
    return kept + mark.replace(f"{len(text):,}", f"{len(text) - len(kept):,}", 1)


def is_cut(text: str) -> bool:
    return bool(_CUT.search(text))
