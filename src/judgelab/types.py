"""The words of the house as types: interaction, example, verdict."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

Label = Literal["pass", "fail"]
LABELS: tuple[Label, Label] = ("pass", "fail")
# As numbers: 1 = fail, the positive class; -1 = abstained.
CODES: Mapping[Label | None, int] = {"fail": 1, "pass": 0, None: -1}

# Why a judge gave no verdict. "missing" is a recorded judge without a line for the item, "tie" a
# panel whose votes are even.
ABSTENTIONS = (
    "unparsable",
    "empty",
    "refusal",
    "out_of_enum",
    "truncated",
    "content_filter",
    "too_long",
    "unsure",
    "tie",
    "missing",
)


def sha256(value: Any) -> str:
    """Hex SHA-256 of a text, or of the canonical JSON of anything else."""
    text = value if isinstance(value, str) else canonical_json(value)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def sha256_of(values: Iterable[Any]) -> str:
    """`sha256` of the list of these values, without the list's text in memory."""
    digest = hashlib.sha256(b"[")
    for number, value in enumerate(values):
        text = f"{',' if number else ''}{canonical_json(value)}"
        digest.update(text.encode("utf-8", "surrogatepass"))
    digest.update(b"]")
    return digest.hexdigest()


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, UTF-8 as it is."""
    return _canonical(value)


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


@dataclass(frozen=True)
class Interaction:
    """What is judged. Holds nothing of the expert's."""

    id: str
    input: str
    output: str
    context: Mapping[str, Any] = field(default_factory=dict)
    dimensions: Mapping[str, str] = field(default_factory=dict)
    group: str | None = None

    @cached_property
    def content(self) -> str:
        """Hash of (input, output): what an expert label belongs to."""
        return sha256([self.input, self.output])


@dataclass(frozen=True)
class Example:
    """An interaction with its expert label."""

    interaction: Interaction
    label: Label
    critique: str = ""
    annotator: str = ""

    @property
    def id(self) -> str:
        return self.interaction.id


@dataclass(frozen=True)
class Annotation:
    """One person's label of one item; several may exist for an item.

    `second`: it is known to be a blind second label, and never the one that decides.
    """

    id: str
    annotator: str
    label: Label
    critique: str = ""
    at: str = ""
    round: int | None = None
    second: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge says of one interaction. `verdict` is None where it abstained, with `reason`.

    `by` is who decided, where a judge is made of several: the member's place in the judge's config.
    """

    id: str
    verdict: Label | None
    reason: str | None = None
    critique: str = ""
    repeat: int = 0
    confidence: float | None = None
    by: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As a line of verdicts.jsonl; `by` is there where somebody is named."""
        row = {name: getattr(self, name) for name in self.__slots__}
        if self.by is None:
            del row["by"]
        return row
