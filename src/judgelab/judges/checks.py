"""Common assertions: each function makes a check, Interaction -> (passed, critique), or None.

`judge=assertion judge.check=assertions.mine.check` judges with one, where the lab's
assertions/mine.py says `check = longest(words=200)`. `judgelab propose check` fits them on train.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from judgelab.data.critiques import texts_of
from judgelab.types import Interaction

Check = Callable[[Interaction], "tuple[bool, str] | None"]

_FENCED = re.compile(r"```\w*\n(.*?)```", re.S)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_CITED = re.compile(r"\[\d+\]|https?://\S+|\bdoi:\S+", re.I)
# Words that hardly another of these languages has.
_WORDS = {
    "en": "the and of is with this are was for that",
    "de": "der die und ist mit das nicht ein eine für",
    "fr": "le les et est avec une des pas pour dans",
    "es": "el los y es con una que para por del",
    "it": "il che di non per una sono della gli anche",
}
_STOPS = {name: frozenset(text.split()) for name, text in _WORDS.items()}


def json_valid(keys: Sequence[str] = (), schema: Mapping[str, Any] | None = None) -> Check:
    """The output, or the first block in it, is JSON; an object that has these keys, and as a JSON
    schema says. Raises ValueError for a schema that is none."""
    from jsonschema.exceptions import SchemaError, best_match
    from jsonschema.validators import validator_for

    whole = schema or {}
    validator = validator_for(whole)
    try:
        validator.check_schema(whole)
    except SchemaError as error:
        raise ValueError(f"no JSON schema: {error.message}") from error

    def check(item: Interaction) -> tuple[bool, str]:
        block = _FENCED.search(item.output)
        try:
            value = json.loads(block[1] if block else item.output)
        except ValueError as error:
            return False, f"It is no JSON: {error}."
        lost = [key for key in keys if not isinstance(value, dict) or key not in value]
        if lost:
            return False, f"It has no {', '.join(lost)}."
        if odd := best_match(validator(whole).iter_errors(value)):
            return False, f"{odd.json_path}: {odd.message:.200}."
        return True, "It is valid JSON."

    return check


def longest(words: int) -> Check:
    """The output has at most so many words."""

    def check(item: Interaction) -> tuple[bool, str]:
        count = len(item.output.split())
        return count <= words, f"It has {count} words; {words} are the most."

    return check


def shortest(words: int) -> Check:
    """The output has at least so many words."""

    def check(item: Interaction) -> tuple[bool, str]:
        count = len(item.output.split())
        return count >= words, f"It has {count} words; {words} are the least."

    return check


def matches(pattern: str, wanted: bool = True) -> Check:
    """The output holds what a regular expression describes, or does not."""
    compiled = re.compile(pattern)

    def check(item: Interaction) -> tuple[bool, str]:
        found = compiled.search(item.output)
        said = f"It holds {found[0]!r:.60}." if found else f"Nothing in it is like {pattern!r}."
        return bool(found) == wanted, said

    return check


def without(phrases: Sequence[str]) -> Check:
    """The output holds none of the phrases, whatever their case."""

    def check(item: Interaction) -> tuple[bool, str]:
        text = _flat(item.output)
        there = [phrase for phrase in phrases if f" {_flat(phrase).strip()} " in text]
        return not there, f"It says {', '.join(map(repr, there)) or 'none of what it may not'}."

    return check


def with_phrases(phrases: Sequence[str]) -> Check:
    """The output holds every one of the phrases, whatever their case."""

    def check(item: Interaction) -> tuple[bool, str]:
        text = _flat(item.output)
        lost = [phrase for phrase in phrases if f" {_flat(phrase).strip()} " not in text]
        return not lost, f"It does not say {', '.join(map(repr, lost))}." if lost else "It says it."

    return check


def cited() -> Check:
    """The output names a source: [1], a link or a DOI."""

    def check(item: Interaction) -> tuple[bool, str]:
        found = _CITED.search(item.output)
        return bool(found), f"It cites {found[0]}." if found else "It cites nothing."

    return check


def numbers_grounded() -> Check:
    """Every number of the output stands in the input or in the context; None without numbers."""

    def check(item: Interaction) -> tuple[bool, str] | None:
        own = _numbers([item.output])
        if not own:
            return None
        odd = sorted(own - _numbers([item.input, *texts_of(item.context)]))
        return not odd, f"Nobody gave it {', '.join(odd[:5])}." if odd else "Its numbers are given."

    return check


def same_language() -> Check:
    """The output is in the input's language (en, de, fr, es, it); None where either is unclear."""

    def check(item: Interaction) -> tuple[bool, str] | None:
        asked, answered = _language(item.input), _language(item.output)
        if not asked or not answered:
            return None
        return asked == answered, f"Asked in {asked}, answered in {answered}."

    return check


def fast(seconds: float, field: str = "latency_s") -> Check:
    """A number of the context, the seconds it took, is at most so much; None where it is not
    there."""

    def check(item: Interaction) -> tuple[bool, str] | None:
        value = item.context.get(field)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return value <= seconds, f"It took {value:g} s; {seconds:g} s are the most."

    return check


LIBRARY: Mapping[str, Callable[..., Check]] = {
    made.__name__: made
    for made in (
        *(json_valid, longest, shortest, matches, without, with_phrases, cited),
        *(numbers_grounded, same_language, fast),
    )
}


def words_of(text: str) -> list[str]:
    """Its words in lower case: what phrases are made of."""
    return re.findall(r"[^\W_]+", text.casefold())


def _flat(text: str) -> str:
    """Its words between single spaces."""
    return f" {' '.join(words_of(text))} "


def _numbers(texts: Iterable[str]) -> set[str]:
    return {found.replace(",", "") for text in texts for found in _NUMBER.findall(text)}


def _language(text: str) -> str:
    """The language that most of its common words are of; "" where that is not clear."""
    words = text.casefold().split()
    counts = {name: sum(word in own for word in words) for name, own in _STOPS.items()}
    first, second = sorted(counts, key=lambda name: -counts[name])[:2]
    return first if counts[first] >= 3 and counts[first] > 2 * counts[second] else ""
