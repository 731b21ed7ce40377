"""Places in a request that an input fills, and paths that lead to what a system said.

A template is filled part by part after it was read, so that no text of an input is ever taken for
JSON, for an option or for a command.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from judgelab.errors import ConfigError
from judgelab.generate.inputs import Input
from judgelab.generate.systems.base import Answer, SystemFailed
from judgelab.types import canonical_json

PLACE = re.compile(r"\{(input|id|group|(?:context|dimensions)(?:\.[^{}\s]+)?)\}")
PLACES = "{input}, {id}, {group}, {context}, {context.NAME}, {dimensions}, {dimensions.NAME}"


def check_places(*templates: Any, key: str) -> None:
    """Raises ConfigError where none of the templates has a place for the input."""
    if not any("{input}" in text for template in templates for text in _texts(template)):
        raise ConfigError(
            f"{key} has no place for the input: what is sent would always be the same. Put "
            f"{{input}} where it belongs; the places are {PLACES}."
        )


def filled(template: Any, item: Input) -> Any:
    """The template with the item's values; a text that is one place alone becomes the value as it
    is. Raises SystemFailed for a field that the item lacks."""
    if isinstance(template, Mapping):
        return {key: filled(value, item) for key, value in template.items()}
    if isinstance(template, list):
        return [filled(value, item) for value in template]
    if not isinstance(template, str):
        return template
    if alone := PLACE.fullmatch(template):
        return _value(item, alone[1])
    return PLACE.sub(lambda found: as_text(_value(item, found[1])), template)


def filled_text(template: str, item: Input) -> str:
    """As `filled`, always a text."""
    return as_text(filled(template, item))


def filled_address(template: str, item: Input) -> str:
    """An address, each value URL-encoded."""
    return PLACE.sub(lambda found: quote(as_text(_value(item, found[1])), safe=""), template)


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value)


def _dig(said: Any, path: str) -> Any:
    """The value at a dotted path, whole numbers being places in a list.

    Raises SystemFailed where there is none.
    """
    at = said
    for step in path.split("."):
        try:
            at = at[int(step)] if isinstance(at, list) else at[step]
        except (KeyError, IndexError, TypeError, ValueError):
            raise SystemFailed("no output", f"nothing at {path!r} in {as_text(said)}") from None
    return at


def _read_json(text: str) -> Any:
    """Raises SystemFailed for what is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise SystemFailed("no JSON", text) from None


def answer_of(
    text: str, response: str | None, context: Mapping[str, str], metadata: Mapping[str, str]
) -> Answer:
    """The parts of a JSON text at their paths; the whole text where no path is given.

    Raises SystemFailed where there is no output.
    """
    if response is None and not context and not metadata:
        return Answer(text)
    said = _read_json(text)
    output = text if response is None else _dig(said, response)
    if output is None:
        raise SystemFailed("no output", f"null at {response!r}")
    return Answer(as_text(output), _picked(said, context), _picked(said, metadata))


def _picked(said: Any, paths: Mapping[str, str]) -> dict[str, Any]:
    """The values at paths; what is not there is left out."""
    found = {}
    for name, path in paths.items():
        try:
            found[name] = _dig(said, path)
        except SystemFailed:
            continue
    return found


def _value(item: Input, place: str) -> Any:
    first, _, rest = place.partition(".")
    value = getattr(item, first)
    if value is None:
        return ""
    if not rest:
        return dict(value) if isinstance(value, Mapping) else value
    for step in rest.split("."):
        if not isinstance(value, Mapping) or step not in value:
            raise SystemFailed("no such field", f"the input has no {place}")
        value = value[step]
    return value


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, Mapping | list):
        for inner in node.values() if isinstance(node, Mapping) else node:
            yield from _texts(inner)
