"""Cells that a spreadsheet would run as a formula.

OWASP, "CSV Injection": a text cell that starts with = + - @ TAB CR LF (or a full-width form) is
written with a leading apostrophe, and read without it.
"""

from __future__ import annotations

import re

_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")


def guard(text: str) -> str:
    """A text as a spreadsheet cell; numbers stay as they are. `unguard` undoes it exactly."""
    if _FORMULA.match(text) and not _NUMBER.fullmatch(text):
        return "'" + text
    return text


def unguard(text: str) -> str:
    """A spreadsheet cell as the text it was."""
    if text.startswith("'") and _FORMULA.match(text):
        return text[1:]
    return text
