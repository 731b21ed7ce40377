"""Dimensions: what the inputs of a product differ in, and which combinations cannot be."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

from judgelab.errors import ConfigError

Cell = tuple[str, ...]  # a value of each dimension, in the order of their names
MOST = 100_000  # combinations
OF_VALUE = ("about", "style")


@dataclass(frozen=True)
class Dimensions:
    """A dimensions yaml (conf/dimensions/).

    Args:
        name: the inputs made from it are kept under it.
        about: what the product does and who uses it, in words for whoever writes inputs.
        dimensions: dimension -> value -> its description, or {about, style}: what it means, and
            how whoever it is writes.
        impossible: combinations that cannot be, each {dimension: value or list of values}; the
            dimensions it leaves out may be anything.
    """

    name: str
    about: str
    dimensions: Mapping[str, Any]
    impossible: Sequence[Mapping[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.name or set(self.name) & set("/\\") or self.name.startswith("."):
            raise ConfigError(
                f"dimensions.name={self.name}: it names a file: no slashes, no dot first."
            )
        if not isinstance(self.dimensions, Mapping) or not self.dimensions:
            raise ConfigError(
                "dimensions.dimensions: a mapping is needed, such as "
                "{persona: {new_hire: in the first week}}."
            )
        for name, values in self.dimensions.items():
            _check_values(f"dimensions.dimensions.{name}", values)
        size = math.prod(len(values) for values in self.dimensions.values())
        if size > MOST:
            raise ConfigError(
                f"dimensions.dimensions: {size:,} combinations; allowed: {MOST:,}. Leave some out."
            )
        for number, rule in enumerate(self.impossible):
            self._check_rule(f"dimensions.impossible[{number}]", rule)
        if not self.possible:
            raise ConfigError("dimensions.impossible: it leaves no combination.")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(str(name) for name in self.dimensions)

    @cached_property
    def possible(self) -> tuple[Cell, ...]:
        """Every combination that can be, in the yaml's order."""
        values = [[str(value) for value in values] for values in self.dimensions.values()]
        return tuple(cell for cell in product(*values) if not self._ruled_out(cell))

    def described(self, cell: Cell) -> list[dict[str, str]]:
        """The values of a combination as {dimension, value, about, style}, "" for none."""
        return [
            dict(self._described(name, value)) for name, value in zip(self.names, cell, strict=True)
        ]

    def wrong(self, values: Mapping[str, str]) -> str:
        """Why these are not the values of a combination that can be, or ""."""
        for name in self.names:
            allowed = [str(value) for value in self.dimensions[name]]
            if values.get(name) not in allowed:
                return f"{name}={values.get(name, '')!r}: allowed are {', '.join(allowed)}"
        cell = tuple(values[name] for name in self.names)
        return "dimensions.impossible rules it out" if self._ruled_out(cell) else ""

    def _described(self, name: str, value: str) -> Iterator[tuple[str, str]]:
        yield from (("dimension", name), ("value", value))
        known = next(v for key, v in self.dimensions[name].items() if str(key) == value)
        said = known if isinstance(known, Mapping) else {"about": known}
        yield from ((key, " ".join(said.get(key, "").split())) for key in OF_VALUE)

    def _ruled_out(self, cell: Cell) -> bool:
        values = dict(zip(self.names, cell, strict=True))
        return any(
            all(values[name] in _several(given) for name, given in rule.items())
            for rule in self.impossible
        )

    def _check_rule(self, key: str, rule: Any) -> None:
        if not isinstance(rule, Mapping) or not rule:
            raise ConfigError(f"{key}: a mapping of dimension: value is needed, got {rule!r:.60}.")
        for name, given in rule.items():
            if name not in self.dimensions:
                raise ConfigError(
                    f"{key}.{name}: no such dimension. There are: {', '.join(self.names)}."
                )
            allowed = [str(value) for value in self.dimensions[name]]
            if strange := [one for one in _several(given) if one not in allowed]:
                raise ConfigError(
                    f"{key}.{name}={', '.join(strange)}: no such value. "
                    f"There are: {', '.join(allowed)}."
                )


def _several(given: Any) -> list[str]:
    """A value or a list of them, as texts."""
    return [str(one) for one in given] if isinstance(given, list | tuple) else [str(given)]


def _check_values(key: str, values: Any) -> None:
    if not isinstance(values, Mapping) or not values:
        raise ConfigError(f"{key}: a mapping of value: description is needed, got {values!r:.60}.")
    for value, said in values.items():
        if isinstance(said, str) and said.strip():
            continue
        fits = isinstance(said, Mapping) and said and set(said) <= set(OF_VALUE)
        if not fits or not all(isinstance(text, str) and text.strip() for text in said.values()):
            raise ConfigError(
                f"{key}.{value} is {said!r:.60}; allowed: a text, or a mapping of "
                f"{' and '.join(OF_VALUE)} to texts."
            )
