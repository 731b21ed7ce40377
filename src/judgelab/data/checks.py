"""What is wrong with a dataset, and how many critiques can serve as demos."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from judgelab.data.schema import Dataset
from judgelab.types import LABELS, Example, Interaction

TERSE = 8  # words; a critique with fewer rarely teaches anything
VALUES_SHOWN = 10  # of a dimension
_WORD = re.compile(r"\w+")

# A critique that opens by naming the other verdict. Only where the word stands alone: "Failed
# requests are counted rightly" and "Correct, but late" are fine critiques.
_ALONE = r"\s*(?:[.:;,!]|$|\b(?:because|since)\b)"
_VERDICT = r"^\W*(?:(?:verdict|label|this is(?: an?)?|it is(?: an?)?)\W+)?"
_OPENS_FAIL = re.compile(rf"{_VERDICT}(?:fail(?:s|ed|ure)?|incorrect|wrong){_ALONE}", re.I)
_OPENS_PASS = re.compile(rf"{_VERDICT}(?:pass(?:es|ed)?){_ALONE}", re.I)
_ONLY_PRAISE = re.compile(r"^\W*(?:correct|right|good|perfect|excellent|looks good)\W*$", re.I)

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


def is_usable(example: Example) -> bool:
    """Whether the critique can be shown in a demo: it is there and does not contradict."""
    return bool(example.critique.strip()) and not contradicts(example)


def is_terse(example: Example) -> bool:
    """Whether there is a critique, of fewer than 8 words."""
    return 0 < len(_WORD.findall(example.critique)) < TERSE


def contradicts(example: Example) -> bool:
    """Whether the critique opens by stating the other verdict."""
    text = example.critique
    if example.label == "pass":
        return bool(_OPENS_FAIL.match(text))
    return bool(_OPENS_PASS.match(text) or _ONLY_PRAISE.match(text))


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
    same = defaultdict(list)
    for example in dataset.examples:
        same[example.interaction.content].append(example)
    ids = [
        example.id
        for examples in same.values()
        if len({example.label for example in examples}) > 1
        for example in examples
    ]
    return _finding("error", "same content, two labels", ids)


def _critiques(examples: Sequence[Example]) -> list[Finding]:
    texts = [example for example in examples if example.critique.strip()]
    same = defaultdict(list)
    for example in texts:
        same[" ".join(example.critique.casefold().split())].append(example.id)
    repeated = [id_ for ids in same.values() if len(ids) > 1 for id_ in ids]
    absent = {
        label: [e.id for e in examples if e.label == label and not e.critique.strip()]
        for label in LABELS
    }
    return [
        *_finding(
            "warning",
            "critique contradicts its label: not used as a demo",
            (e.id for e in texts if contradicts(e)),
        ),
        *_finding("warning", "fail without a critique: not used as a demo", absent["fail"]),
        *_finding("note", "pass without a critique: not used as a demo", absent["pass"]),
        *_finding(
            "warning",
            f"terse critique (under {TERSE} words)",
            (e.id for e in texts if is_terse(e)),
        ),
        *_finding("warning", "the same critique more than once", repeated),
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


def _finding(
    level: Literal["error", "warning", "note"], title: str, ids: Iterable[str]
) -> list[Finding]:
    found = tuple(ids)
    return [Finding(level, title, len(found), found)] if found else []
