"""What an optimizer leaves behind for people: the rubric's diff, and the rubric in the lab."""

from __future__ import annotations

import difflib
import re

from judgelab import resources
from judgelab.errors import ConfigError

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def check_name(name: str | None) -> str | None:
    """The name that a rubric is saved under. Raises ValueError for what names no file."""
    if name is not None and not NAME.fullmatch(name):
        raise ValueError(
            f"optimizer.save={name!r}: the name of a rubric, of letters, digits, _, . and -"
        )
    return name


def diff(before: str, after: str, name: str) -> str:
    """From the rubric called `name` to the new one, unified; empty where nothing changed."""
    was, now = (text.strip().splitlines() for text in (before, after))
    rows = difflib.unified_diff(was, now, f"a/{name}.md", f"b/{name}.md", lineterm="")
    return "".join(f"{row}\n" for row in rows)


def save(name: str, text: str) -> None:
    """Write prompts/rubrics/<name>.md of the lab.

    Raises ConfigError where another text stands under that name: no rubric is overwritten.
    """
    path = resources.lab() / "prompts" / "rubrics" / f"{name}.md"
    if path.is_file():
        if path.read_text(encoding="utf-8").strip() != text.strip():
            raise ConfigError(
                f"optimizer.save={name}: {path} holds another rubric, which stays. Take another "
                "name; the run is kept, and the same command with that name saves it at no cost."
            )
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.strip() + "\n", encoding="utf-8")
