"""What is wrong with a dataset, and how many critiques can serve as demos."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from judgelab.data.critiques import (
    TERSE,
    contradicts,
    is_missing,
    is_terse,
    is_usable,
    pointing_at_nothing,
    repeated,
)
from judgelab.data.schema import Dataset
from judgelab.types import LABELS, Example, Interaction, Label

VALUES_SHOWN = 10  # of a dimension
EXCERPT = 60  # characters of a critique

# Phrases of prompt injection, after the payload families of statistics.md, section H.
_PAYLOAD = re.compile(
    r"""(?:ignore|disregard|forget|override)\W+(?:\w+\W+){0,3}
            (?:instructions?|rubric|prompt|rules|criteria|guidelines)\b
      | \b(?:answer|respond|reply|output|say|return)\W+(?:\w+\W+){0,2}(?-i:PASS|FAIL)\b
      | ["']?\bverdict\b["']?\s*[:=]\s*["']?(?:pass|fail)\b
      | \byou\ are\ now\b | \bnew\ instructions?\s*: | \bsystem\ prompt\b
      | <\|im_(?:start|end)\|> | \[/?INST\] | </?(?:system|assistant)>
      | [\u200b\u200c\u2060\u202e\u2066-\u2069\U000e0020-\U000e007f]""",
    re.I | re.X,
)


@dataclass(frozen=True)
class Finding:
    """One thing about a dataset; `ids` are the interactions it is about."""

    level: Literal["error", "warning", "note"]
    title: str
    count: int
    ids: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"ids": list(self.ids)}


# What is wrong with an item, worst first: in words, and what to do.
PROBLEMS = {
    "two_labels": ("same content, two labels", "decide which label is right"),
    "contradicts": ("contradicts its label", "mend the label or the critique"),
    "missing": ("no critique", "say in a sentence why it fails"),
    "points_at_nothing": ("names nothing of it", "name the words it is about"),
    "repeated": ("repeated", "say what is wrong with this one"),
    "terse": (f"under {TERSE} words", "say why, and where"),
}


@dataclass(frozen=True)
class Fix:
    """An item to mend: `problems` are keys of `PROBLEMS`, the worst first."""

    id: str
    label: Label
    problems: tuple[str, ...]
    excerpt: str

    @property
    def wrong(self) -> str:
        """What is wrong, in words."""
        return "; ".join(PROBLEMS[problem][0] for problem in self.problems)

    @property
    def todo(self) -> str:
        """What to do about the worst of it."""
        return PROBLEMS[self.problems[0]][1]

    def to_json(self) -> dict[str, Any]:
        fields = {"id": self.id, "label": self.label, "problems": list(self.problems)}
        return fields | {"critique": self.excerpt, "todo": self.todo}


def check(dataset: Dataset) -> list[Finding]:
    """Everything worth knowing before judging, errors first."""
    found = [
        *_labels(dataset),
        *_two_labels(dataset),
        *_critiques(dataset.examples),
        *_payloads(dataset),
        *_dimensions(dataset.interactions),
    ]
    order = ("error", "warning", "note")
    return sorted(found, key=lambda finding: order.index(finding.level))


def usable_critiques(dataset: Dataset) -> tuple[int, int, int]:
    """(usable, labelled examples, terse): terse critiques are usable and counted in both."""
    usable = [example for example in dataset.examples if is_usable(example)]
    return len(usable), len(dataset.examples), sum(map(is_terse, usable))


def fixes(dataset: Dataset) -> list[Fix]:
    """What the expert can mend, one entry an item, the worst first, then in the dataset's order."""
    examples = dataset.examples
    nothing, oversight = pointing_at_nothing(examples)
    found = {
        "two_labels": _with_two_labels(dataset),
        "contradicts": [e.id for e in examples if contradicts(e)],
        "missing": [e.id for e in examples if is_missing(e)],
        "points_at_nothing": nothing if oversight else [],
        "repeated": repeated(examples),
        "terse": [e.id for e in examples if is_terse(e)],
    }
    problems: dict[str, list[str]] = defaultdict(list)
    for problem, ids in found.items():
        for id_ in ids:
            problems[id_].append(problem)
    made = [
        Fix(e.id, e.label, tuple(problems[e.id]), _excerpt(e.critique))
        for e in examples
        if e.id in problems
    ]
    worst = list(PROBLEMS)
    return sorted(made, key=lambda fix: worst.index(fix.problems[0]))


def reads_like_instructions(interaction: Interaction) -> bool:
    """Whether a text of it reads like instructions to a judge."""
    return bool(_PAYLOAD.search(f"{interaction.input}\n{interaction.output}"))


def _labels(dataset: Dataset) -> list[Finding]:
    counts = Counter(example.label for example in dataset.examples)
    unlabelled = len(dataset.interactions) - len(dataset.examples)
    text = ", ".join(f"{counts[label]} {label}" for label in reversed(LABELS))
    findings = [
        Finding("note", f"labels: {text}, {unlabelled} unlabelled", len(dataset.interactions))
    ]
    if not dataset.examples:
        return [*findings, Finding("warning", "no item is labelled: nothing to compare with", 0)]
    return findings + [
        Finding("warning", f"no {label} labels: a judge cannot be told from 'always'", 0)
        for label in LABELS
        if not counts[label]
    ]


def _two_labels(dataset: Dataset) -> list[Finding]:
    return _finding("error", "same content, two labels", _with_two_labels(dataset))


def _with_two_labels(dataset: Dataset) -> list[str]:
    same = defaultdict(list)
    for example in dataset.examples:
        same[example.interaction.content].append(example)
    return [
        example.id
        for examples in same.values()
        if len({example.label for example in examples}) > 1
        for example in examples
    ]


def _critiques(examples: Sequence[Example]) -> list[Finding]:
    missing = [e.id for e in examples if is_missing(e)]
    passes = [e.id for e in examples if e.label == "pass" and not e.critique.strip()]
    fails = sum(e.label == "fail" for e in examples)
    nothing, oversight = pointing_at_nothing(examples)
    return [
        *_finding(
            "warning",
            "critique contradicts its label: not used as a demo",
            (e.id for e in examples if contradicts(e)),
        ),
        *_finding(
            "warning",
            "no fail has a critique: demos can only show labels"
            if len(missing) == fails
            else "fail without a critique: not used as a demo",
            missing,
        ),
        *_finding("note", "pass without a critique: as a demo it shows its label alone", passes),
        *_finding(
            "warning",
            f"terse critique (under {TERSE} words)",
            (e.id for e in examples if is_terse(e)),
        ),
        *_finding("warning", "the same critique more than once", repeated(examples)),
        *_finding(
            "warning" if oversight else "note",
            "critique that names nothing of its item"
            if oversight
            else "critiques that name nothing of their item, so many that they seem to judge the "
            "whole (tone, usefulness)",
            nothing,
        ),
    ]


def _payloads(dataset: Dataset) -> list[Finding]:
    ids = (one.id for one in dataset.interactions if reads_like_instructions(one))
    return _finding("note", "text that reads like instructions to a judge", ids)


def _dimensions(interactions: Sequence[Interaction]) -> list[Finding]:
    values: dict[str, Counter[str]] = defaultdict(Counter)
    for interaction in interactions:
        for name, value in interaction.dimensions.items():
            values[name][value] += 1
    return [
        Finding("note", f"dimension {name}: {_shares(counts)}", len(counts))
        for name, counts in values.items()
    ]


def _shares(counts: Counter[str]) -> str:
    shown = ", ".join(f"{value} {count}" for value, count in counts.most_common(VALUES_SHOWN))
    rest = len(counts) - VALUES_SHOWN
    return shown + (f" and {rest} more values" if rest > 0 else "")


def _excerpt(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= EXCERPT else f"{words[: EXCERPT - 1]}…"


def _finding(
    level: Literal["error", "warning", "note"], title: str, ids: Iterable[str]
) -> list[Finding]:
    found = tuple(ids)
    return [Finding(level, title, len(found), found)] if found else []
