"""Rubrics and templates, and the messages they make.

A template is a Jinja file with two blocks: `system` (the rubric and the answer format) and
`interaction`. A demonstration is a pair of turns, `interaction` as the user says it and the
expert's answer in the answer format, so that one parser reads everything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from judgelab import resources
from judgelab.errors import ConfigError
from judgelab.models.base import Message, Turn
from judgelab.types import Example, Interaction, sha256

REASONING = ("none", "critique", "cot")
BLOCKS = ("system", "interaction")


def rubric(name: str) -> str:
    """The text of prompts/rubrics/<name>.md; a name with a line break in it is the text itself."""
    if "\n" in name:
        return name.strip()
    return resources.find(name, "prompts/rubrics", ".md").read_text(encoding="utf-8").strip()


def template(name: str) -> str:
    """The text of prompts/templates/<name>.j2."""
    return resources.find(name, "prompts/templates", ".j2").read_text(encoding="utf-8")


@cache
def _compiled(text: str) -> Template:
    """Once for all the judges of a sweep, which are made several times each."""
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    try:
        return environment.from_string(text)
    except TemplateError as error:
        raise ConfigError(f"the template cannot be read: {error}") from error


@dataclass(frozen=True)
class Prompt:
    """Everything that makes messages of demonstrations and an interaction.

    `context` is "all" or the context fields to show; the fields are the same in demonstrations and
    in the judged interaction.
    """

    rubric: str
    template: str
    reasoning: str = "critique"
    context: str | Sequence[str] = "all"
    show: str = "critique"

    def __post_init__(self) -> None:
        if self.reasoning not in REASONING:
            raise ValueError(f"reasoning must be one of {REASONING}, got {self.reasoning!r}")
        if self.context != "all" and isinstance(self.context, str):
            raise ValueError(f'context must be "all" or a list of fields, got {self.context!r}')
        if missing := [block for block in BLOCKS if block not in self._template.blocks]:
            raise ConfigError(
                f"the template lacks the block {', '.join(missing)}; it has two: {BLOCKS}"
            )
        self.messages([], Interaction("", "", ""))  # a template that cannot be rendered says so now

    def messages(self, demos: Sequence[Example], interaction: Interaction) -> tuple[Message, ...]:
        """System, then two turns a demonstration, then the interaction: the static part first."""
        turns = [self._system]
        for demo in demos:
            turns += self._demo(demo)
        turns.append(Turn("user", self._turn(interaction)))
        return tuple(turns)

    @cached_property
    def repair(self) -> str:
        """What is said where an answer could not be read. Raises ConfigError without that block."""
        if "repair" not in self._template.blocks:
            raise ConfigError("judge.repair=true needs a block `repair` in the template, or false.")
        return self._block("repair", {})

    def fields(self, interaction: Interaction) -> dict[str, Any]:
        """What the judge sees of an interaction."""
        shown = {
            key: value
            for key, value in interaction.context.items()
            if self.context == "all" or key in self.context
        }
        seen: dict[str, Any] = {"input": interaction.input}
        if shown:
            seen["context"] = shown
        return seen | {"output": interaction.output}

    def data(self, interaction: Interaction) -> str:
        """What the judge sees of an interaction, as the JSON that stands in its turn."""
        return _indented(self.fields(interaction))

    def _demo(self, demo: Example) -> tuple[Message, Message]:
        """Its two turns, made once: a judge shows the same few demonstrations again and again."""
        known = self._demos.get(id(demo))
        if known is None:
            question = Turn("user", self._turn(demo.interaction))
            known = (demo, (question, Turn("assistant", self._answer(demo))))
            self._demos[id(demo)] = known
        return known[1]

    def _turn(self, interaction: Interaction) -> str:
        data = self.data(interaction)
        # A text cannot contain its own hash, so the judged text cannot close the delimiter.
        return self._block("interaction", {"data": data, "tag": f"interaction-{sha256(data)[:16]}"})

    def _answer(self, demo: Example) -> str:
        with_critique = self.show == "critique" and self.reasoning != "none" and demo.critique
        answer = {"critique": demo.critique} if with_critique else {}
        return json.dumps(answer | {"verdict": demo.label}, ensure_ascii=False)

    @property
    def _template(self) -> Template:
        return _compiled(self.template)

    @cached_property
    def _demos(self) -> dict[int, tuple[Example, tuple[Message, Message]]]:
        return {}

    @cached_property
    def _system(self) -> Message:
        values = {"rubric": self.rubric, "reasoning": self.reasoning}
        return Turn("system", self._block("system", values))

    def _block(self, name: str, values: Mapping[str, Any]) -> str:
        return block(self.template, name, values)


def block(text: str, name: str, values: Mapping[str, Any]) -> str:
    """A block of a template with these variables. Raises ConfigError where it cannot be made."""
    template = _compiled(text)
    if name not in template.blocks:
        raise ConfigError(f"the template lacks the block {name}")
    context = template.new_context(dict(values))
    try:
        return "".join(template.blocks[name](context)).strip()
    except Exception as error:  # a template is its author's code: it may raise anything
        allowed = ", ".join(values)
        raise ConfigError(
            f"template block {name!r}: {error}. The variables there are: {allowed}."
        ) from error


def _indented(fields: Mapping[str, Any]) -> str:
    """`json.dumps(fields, ensure_ascii=False, indent=1)`, whose own way of indenting is slow."""
    rows = (f" {_text(key)}: {_value(value)}" for key, value in fields.items())
    return "{\n" + ",\n".join(rows) + "\n}"


_text = json.JSONEncoder(ensure_ascii=False).encode


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    # Within JSON a line break stands between values alone.
    return json.dumps(value, ensure_ascii=False, indent=1).replace("\n", "\n ")
