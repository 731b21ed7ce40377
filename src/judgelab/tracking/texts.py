"""Texts of a lab's user as HTML: escaped, cut, and no more markup than plain Markdown."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator
from typing import Any

from markupsafe import Markup, escape

from judgelab import resources
from judgelab.data.checks import reads_like_instructions
from judgelab.errors import UserError
from judgelab.tracking.sourced import counted
from judgelab.types import Example

LONGEST = 2500  # characters of an input, an output or a rubric


def prose(text: str) -> Markup:
    """Plain Markdown (paragraphs, lists, bold) as HTML; everything else in it stays text."""
    blocks = []
    for block in re.split(r"\n\s*\n", text.strip()):
        rows = [escape(re.sub(r"^#+\s+", "", row.strip())) for row in block.splitlines()]
        bold = [Markup(re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", str(row))) for row in rows]
        if all(re.match(r"[-*]\s", row) for row in rows):
            points = (Markup("<li>{}</li>").format(row[2:]) for row in bold)
            blocks.append(Markup("<ul>{}</ul>").format(Markup().join(points)))
        else:
            blocks.append(Markup("<p>{}</p>").format(Markup(" ").join(bold)))
    return Markup("\n").join(blocks)


def cut(text: str) -> Markup:
    """The text, and how much of it is left out where it is very long."""
    left = len(text) - LONGEST
    if left <= 0:
        return escape(text)
    return Markup("{}\n<i>… {} characters more</i>").format(text[:LONGEST], counted(left))


def question(command: str) -> str:
    """The first question of the recipe's comment; empty where the sweep was made of no recipe."""
    words = shlex.split(command)
    names = [word.split("=", 1)[1] for word in words if word.lstrip("+").startswith("experiment=")]
    if not names:
        return ""
    try:
        recipe = resources.find(names[-1], "experiments", ".yaml").read_text("utf-8")
    except UserError:  # the recipe is gone
        return ""
    comment = " ".join(_comment(recipe.splitlines())).split("judgelab run")[0]
    return comment[: comment.find("?") + 1].strip() or comment.strip()


def _comment(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if not line.startswith("#"):
            return
        yield line.lstrip("# ").strip()


def item(example: Example, critique: str) -> dict[str, Any]:
    """What a page shows of a disagreement; `critique` is the judge's."""
    it = example.interaction
    context = {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1)
        for key, value in it.context.items()
    }
    return {
        "id": it.id,
        "label": example.label,
        "judged": "pass" if example.label == "fail" else "fail",
        "expert": example.critique,
        "judge": critique,
        "texts": {"input": it.input, **context, "output": it.output},
        "flagged": reads_like_instructions(it),
    }
