"""What a form of the review says, read with care: it may come from anybody."""

from __future__ import annotations

import time
from collections.abc import Mapping

from judgelab.data.events import CANNOT, VERDICTS, Event
from judgelab.data.standing import Said

LONGEST = 86_400.0  # seconds; a page that was open longer says nothing of the time spent


def said(form: Mapping[str, str]) -> Said:
    verdict = form.get("verdict", "")
    return Said(
        verdict if verdict in VERDICTS else "",
        typed(form.get("critique", "")),
        typed(form.get("missing", "")) if verdict == CANNOT else "",
        verdict == "pass" and form.get("could_be_better") == "yes",
    )


def typed(text: str) -> str:
    """A text as it is kept."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def wrong(said: Said) -> str:
    if not said.verdict:
        return "Choose a verdict: pass, fail, or cannot judge."
    if said.verdict == CANNOT and not said.missing:
        return "Say what is missing, so that somebody can bring it."
    return ""


def both(said: Said, other: Event | None) -> list[str]:
    texts = [said.critique, other.critique if other else ""]
    return list(dict.fromkeys(text for text in texts if text))


def head(form: Mapping[str, str]) -> int | None:
    """The version that the page was made of; what is no number is none that there ever was."""
    return number_in(form.get("head", ""))


def number_in(text: str) -> int | None:
    """A number; None of nothing, -1 of what is none."""
    if not text:
        return None
    return int(text) if text.isdecimal() and len(text) < 12 else -1


def seconds(opened: str) -> float | None:
    """From the page to the label, as the server's clock has it."""
    if not opened.isdecimal() or len(opened) > 12:
        return None
    seconds = time.time() - int(opened)
    return round(seconds, 1) if 0 <= seconds <= LONGEST else None
