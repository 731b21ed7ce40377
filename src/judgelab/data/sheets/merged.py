"""What becomes of each row of a sheet that comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar


class Placed(Protocol):
    """A row of a sheet: where a person finds it, and of which item it is."""

    @property
    def where(self) -> str: ...
    @property
    def id(self) -> str: ...


R = TypeVar("R", bound=Placed)


@dataclass
class Merged(Generic[R]):
    """What becomes of each row.

    Attributes:
        new: rows that are written.
        known: rows that say what is in force already.
        untouched: rows that say what they said when they were exported.
        empty: rows without a verdict; `stray` are those of them that hold other words, or held a
            verdict when they were exported.
        conflicts: rows of which nothing is written, and why.
        heads: of labels, the last event of each item when this was made.
    """

    new: list[R] = field(default_factory=list)
    known: list[R] = field(default_factory=list)
    untouched: list[R] = field(default_factory=list)
    empty: list[R] = field(default_factory=list)
    stray: list[R] = field(default_factory=list)
    conflicts: list[tuple[R, str]] = field(default_factory=list)
    heads: dict[str, int | None] = field(default_factory=dict)


def listed(conflicts: Sequence[tuple[Placed, str]]) -> list[str]:
    """A line a conflict."""
    return [f"{one.where}, {one.id}: {why}" for one, why in conflicts]
