"""Which critiques can teach a judge, and what is wrong with the others."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from judgelab.types import Example

TERSE = 8  # words; a critique with fewer rarely teaches anything
_WORD = re.compile(r"\w+")

# A critique that opens by naming the other verdict. Only where the word stands alone: "Failed
# requests are counted rightly" and "Correct, but late" are fine critiques.
_ALONE = r"\s*(?:[.:;,!]|$|\b(?:because|since)\b)"
_VERDICT = r"^\W*(?:(?:verdict|label|this is(?: an?)?|it is(?: an?)?)\W+)?"
_OPENS_FAIL = re.compile(rf"{_VERDICT}(?:fail(?:s|ed|ure)?|incorrect|wrong){_ALONE}", re.I)
_OPENS_PASS = re.compile(rf"{_VERDICT}(?:pass(?:es|ed)?){_ALONE}", re.I)
_ONLY_PRAISE = re.compile(r"^\W*(?:correct|right|good|perfect|excellent|looks good)\W*$", re.I)

# Where more critiques than this name nothing of their items, they are judgments of the whole
# (tone, usefulness), and naming nothing is no oversight.
OVERSIGHTS = 0.2
STEM = 5  # letters by which words are compared: "dates" names "date", "summarised" "summary"
_PART = r"(?:sentence|line|paragraph|step|row|bullet|item|point|section|turn|message|part)"
_PLACE = re.compile(
    rf"\b{_PART}s?\W{{0,2}}(?:no\.?|number)?\W{{0,2}}\d"
    rf"|\b(?:first|second|third|fourth|last|final|opening|closing)\s+{_PART}",
    re.I,
)
_COMMON_WORDS = """
    a about above after again all already also although an and another any anything are around
    as at be because been before being below between both but by can cannot could did do does
    doing don done down during each either else enough even every few for from further get gets
    give gives given had has have having he her here hers him his how however i if in instead into
    is it its itself just like made make makes many may me might more most much must my need needs
    never no none nor not nothing now of off on once one only or other others our out over own
    rather really same she should since so some something still such than that the their them then
    there these they thing things this those though through to too two under until up us use used
    very was we well were what when where whether which while who whom whose why will with within
    without would yes yet you your
    answer answers context input interaction item output question reply response text user
    bad correct fail fails good incorrect pass passes right wrong"""
_COMMON = frozenset(_COMMON_WORDS.split())


def is_usable(example: Example) -> bool:
    """Whether the critique can be shown in a demo: it is there and does not contradict."""
    return bool(example.critique.strip()) and not contradicts(example)


def is_fit(example: Example) -> bool:
    """Whether the example can be a demo where critiques are shown; the rule of every selector.

    A fail without a critique teaches nothing, and a critique that contradicts its label teaches
    the wrong thing. A pass may stand by its label alone.
    """
    return not is_missing(example) and not contradicts(example)


def is_missing(example: Example) -> bool:
    """Whether a fail has no critique."""
    return example.label == "fail" and not example.critique.strip()


def is_terse(example: Example) -> bool:
    """Whether there is a critique, of fewer than 8 words."""
    return 0 < len(_WORD.findall(example.critique)) < TERSE


def restates(example: Example) -> bool:
    """Whether there is a critique that says nothing but the verdict: "Fails, the answer is bad"."""
    return bool(example.critique.strip()) and not any(_words(example.critique))


def contradicts(example: Example) -> bool:
    """Whether the critique opens by stating the other verdict."""
    text = example.critique
    if example.label == "pass":
        return bool(_OPENS_FAIL.match(text))
    return bool(_OPENS_PASS.match(text) or _ONLY_PRAISE.match(text))


def names_something(example: Example) -> bool:
    """Whether a critique refers to its item: by a word or number of it, or by a place in it.

    Words are compared by their first five letters; common ones count for nothing.
    """
    if _PLACE.search(example.critique):
        return True
    named = set(_words(example.critique))
    one = example.interaction
    texts = (one.input, one.output, *texts_of(one.context))
    return any(word in named for text in texts for word in _words(text))


def pointing_at_nothing(examples: Sequence[Example]) -> tuple[list[str], bool]:
    """The ids of critiques that name nothing of their item, and whether that is an oversight.

    It is one where few critiques do so; see `OVERSIGHTS`.
    """
    texts = [example for example in examples if example.critique.strip()]
    ids = [example.id for example in texts if not names_something(example)]
    return ids, len(ids) <= OVERSIGHTS * len(texts)


def repeated(examples: Sequence[Example]) -> list[str]:
    """The ids of critiques that stand at several items, but for case and spaces."""
    same = defaultdict(list)
    for example in examples:
        if words := example.critique.casefold().split():
            same[" ".join(words)].append(example.id)
    return [id_ for ids in same.values() if len(ids) > 1 for id_ in ids]


def _words(text: str) -> Iterator[str]:
    for word in _WORD.findall(text.casefold()):
        if word not in _COMMON and (len(word) > 2 or word.isdigit()):
            yield word[:STEM]


def texts_of(value: Any) -> Iterable[str]:
    """Every text in a JSON value, names too."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from texts_of(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts_of(inner)
    elif value is not None:
        yield str(value)
