"""What items are sliced by: dimensions of few values, numbers in quantiles, the commonest values of
many. The cuts are made from the values alone, never from labels or verdicts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from judgelab.data.assignment import group_of
from judgelab.errors import UserError
from judgelab.types import Interaction

MOST = 8  # values of a dimension that are slices of their own
QUANTILES = 4
MISSING, REST = "(none)", "(others)"


@dataclass(frozen=True)
class Cut:
    """A dimension as items are sliced by it: the value of every item, and the values in the order
    in which they are shown."""

    name: str
    of: Mapping[str, str]
    order: tuple[str, ...]


def cuts(items: Sequence[Interaction], wanted: Sequence[str] = ()) -> tuple[list[Cut], list[str]]:
    """What to slice by, and what is to be said of it.

    Args:
        items: everything that will be sliced, whatever is known of it.
        wanted: names of dimensions, or paths such as context.plan; none is all dimensions.

    Raises:
        UserError: no item has what is wanted.
    """
    there = sorted({name for item in items for name in item.dimensions})
    made, notes = [], []
    for name in dict.fromkeys(wanted or there):
        raw = {item.id: _value(item, name) for item in items}
        if all(value is None for value in raw.values()):
            known = ", ".join(there) or "none"
            raise UserError(
                f"--by {name}: no item has it. Dimensions here: {known}; a field of the context is "
                "context.FIELD."
            )
        dimension, said = cut(name, raw)
        notes += [said] if said else []
        if dimension is not None:
            made.append(dimension)
    if not there and not wanted:
        notes.append(
            "the items have no dimensions, so there is nothing to slice by: add columns "
            "dimensions.NAME to the data, or take a field of the context with --by context.FIELD"
        )
    return made, notes


def cut(name: str, raw: Mapping[str, str | None]) -> tuple[Cut | None, str]:
    """A dimension of at most `MOST` values, besides those without one, and what was done to it;
    None where it tells no items apart."""
    known = [value for value in raw.values() if value is not None]
    count = Counter(known)
    if len(count) < 2 and len(known) == len(raw):
        return None, f"{name} is {next(iter(count), 'nothing')!r} everywhere: left out"
    numbers = {value: number for value in count if (number := _number(value)) is not None}
    is_numeric = len(numbers) == len(count)
    if len(count) <= MOST:
        order = sorted(count, key=lambda value: (numbers.get(value, 0.0), value))
        if not is_numeric:
            order.sort()
        return _made(name, {id_: value or MISSING for id_, value in raw.items()}, order), ""
    if is_numeric:
        return _binned(name, raw, numbers)
    common = [value for value, n in sorted(count.items(), key=lambda one: (-one[1], one[0]))]
    if count[common[0]] == 1:
        return None, f"{name} has another value for each of {len(count)} items: left out"
    top = common[: MOST - 1]
    of = {
        id_: MISSING if value is None else value if value in top else REST
        for id_, value in raw.items()
    }
    said = f"{name} has {len(count)} values: the {len(top)} commonest, and {REST} for the rest"
    return _made(name, of, [*sorted(top), REST]), said


def _binned(
    name: str, raw: Mapping[str, str | None], numbers: Mapping[str, float]
) -> tuple[Cut | None, str]:
    """Numbers by their quantiles; values that many items share stay in one bin."""
    values = sorted(numbers[value] for value in raw.values() if value is not None)
    ends = [values[len(values) * k // QUANTILES] for k in range(1, QUANTILES)]
    ends = sorted({end for end in ends if end > values[0]})
    if not ends:
        return None, f"{name} is {values[0]:g} nearly everywhere: left out"
    between = [f"{low:g} to <{high:g}" for low, high in pairwise(ends)]
    labels = [f"<{ends[0]:g}", *between, f"≥{ends[-1]:g}"]

    def bin_of(value: str | None) -> str:
        if value is None:
            return MISSING
        return labels[sum(numbers[value] >= end for end in ends)]

    said = f"{name} is a number of {len(numbers)} values: cut at its quantiles into {len(labels)}"
    return _made(name, {id_: bin_of(value) for id_, value in raw.items()}, labels), said


def _made(name: str, of: Mapping[str, str], order: Iterable[str]) -> Cut:
    there = set(of.values())
    return Cut(name, of, tuple(value for value in (*order, MISSING) if value in there))


def _value(item: Interaction, name: str) -> str | None:
    """A dimension by its name, else what stands at a path; None where there is nothing."""
    own = item.dimensions.get(name)
    return own if own not in (None, "") else group_of(item, name)


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
