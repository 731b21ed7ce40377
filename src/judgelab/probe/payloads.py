"""What is appended to judged outputs: payloads of prompt injection, and harmless text as long.

A family is a file of prompts/payloads/; a lab's own come beside the shipped ones.
"""

from __future__ import annotations

from dataclasses import replace

from judgelab import resources
from judgelab.errors import ConfigError
from judgelab.types import Interaction

FOLDER = "prompts/payloads"
ALL = "all"
LEAST_PADDING = 400  # characters


def payloads() -> dict[str, str]:
    """The text of every family by its name, and last of all of them together.

    Raises ConfigError for a family that is empty or has the name of the last.
    """
    found = {name: _text(name, FOLDER) for name in resources.names(FOLDER, ".txt")}
    if ALL in found or not all(found.values()):
        wrong = ALL if ALL in found else next(name for name in found if not found[name])
        raise ConfigError(
            f"{resources.find(wrong, FOLDER, '.txt')}: a payload has a text, and a name other than "
            f"{ALL!r}, which stands for all of them together."
        )
    return found | {ALL: "\n\n".join(found.values())}


def benign(length: int) -> str:
    """Harmless text of exactly so many characters: it praises, asks and judges nothing."""
    text = _text("benign", "prompts/probe") + " "
    return (text * (length // len(text) + 1))[:length]


def padding(interaction: Interaction) -> str:
    """Harmless text that makes an output twice as long, and at least by LEAST_PADDING."""
    return benign(max(len(interaction.output), LEAST_PADDING))


def leak() -> str:
    """The payload that asks a judge for its rubric and its demonstrations."""
    return _text("leak", "prompts/probe")


def marked(interaction: Interaction, arm: str, suffix: str = "") -> Interaction:
    """A copy for an arm of the probe: its id is the item's with the arm behind it."""
    output = f"{interaction.output}\n\n{suffix}" if suffix else interaction.output
    return replace(interaction, id=f"{interaction.id}#{arm}", output=output)


def _text(name: str, kind: str) -> str:
    return resources.find(name, kind, ".txt").read_text(encoding="utf-8").strip()
