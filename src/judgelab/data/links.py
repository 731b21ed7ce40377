"""Resource links: addresses of what an expert looks at beside an item, made from its fields."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from judgelab.errors import ConfigError
from judgelab.types import Interaction

PLACE = re.compile(r"\{([^{}]*)\}")
# Scheme and host are the config's own, so that no item can send an expert elsewhere.
_ADDRESS = re.compile(r"https?://[^\s{}/?#\\@]+(?:[/?#][^\s\\]*)?")
_FIELD = re.compile(r"id|group|(?:context|dimensions)\.[^{}\s]+")


def check_links(links: Any) -> None:
    """Raises ConfigError for what is no mapping of names to address templates."""
    if not isinstance(links, Mapping):
        raise ConfigError(f"dataset.links is {links!r:.60}; allowed: a mapping of name: address.")
    for name, address in links.items():
        if not isinstance(address, str) or not _ADDRESS.fullmatch(address):
            raise ConfigError(
                f"dataset.links.{name} is {address!r}; allowed: http:// or https://, a host of its "
                "own, then a path with fields such as https://crm.example.com/{context.customer}."
            )
        for place in PLACE.findall(address):
            if not _FIELD.fullmatch(place):
                raise ConfigError(
                    f"dataset.links.{name}: {{{place}}} is no field. Allowed: {{id}}, {{group}}, "
                    "{context.NAME}, {dimensions.NAME}."
                )


def links_of(item: Interaction, links: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Name and address of each link whose fields the item has; values are URL-encoded."""
    for name, address in links.items():
        values = {place: _value(item, place) for place in PLACE.findall(address)}
        if all(values.values()):
            yield name, PLACE.sub(lambda found, v=values: quote(v[found[1]], safe=""), address)  # type: ignore[misc]


def _value(item: Interaction, place: str) -> str:
    if place in ("id", "group"):
        return str(getattr(item, place) or "")
    at: Any = {"context": item.context, "dimensions": item.dimensions}
    for step in place.split("."):
        at = at.get(step) if isinstance(at, Mapping) else None
    return "" if at is None or isinstance(at, Mapping | list) else str(at)
