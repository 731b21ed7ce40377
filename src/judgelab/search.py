"""Which variants a sweep tries: every combination or a random draw (`study` is where TPE points).

An axis that the other choices leave no place for (`demos.k` where demos=none) is not drawn, and a
variant that was there already is not judged again.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from judgelab import axes as axes_
from judgelab import variants
from judgelab.axes import Axis, Span
from judgelab.errors import ConfigError
from judgelab.variants import Distinct, Variant

SAMPLERS = ("grid", "random", "tpe")
MODELS = ("judge", "model")  # the groups that a model comes by
RACES = ("off", "safe", "fast")
PATIENCE = 30  # draws in a row of variants that are there already: the axes count as exhausted
Ask = Callable[[str, Axis], str]


@dataclass(frozen=True)
class Space:
    """The axes over the fixed overrides; used inside `config.hydra()`."""

    fixed: Sequence[str]
    axes: Mapping[str, Axis]

    def draw(self, ask: Ask) -> dict[str, str]:
        """A choice, axis by axis: first whole groups, then what they have a place for."""
        choice: dict[str, str] = {}
        for key in sorted(self.axes, key=lambda key: "." in key):
            so_far = [*self.fixed, *(f"{k}={v}" for k, v in choice.items())]
            if "." not in key or variants.has_place(so_far, key):
                choice[key] = ask(key, self.axes[key])
        return {key: choice[key] for key in self.axes if key in choice}

    def variant(self, choice: Mapping[str, str]) -> Variant:
        return variants.of_choice(self.fixed, self.axes, choice)

    def judges(self) -> Iterator[Mapping[str, Any]]:
        """Nodes of judges that hold among them every model and price there is in the space: each
        choice of judge and model, and of each of their keys every value, the rest at its first."""
        of_judge = {k: axis for k, axis in self.axes.items() if k.split(".")[0] in MODELS}
        space = Space(self.fixed, of_judge)
        groups = {key: axis for key, axis in of_judge.items() if key in MODELS}
        for group in axes_.grid(groups):
            choice = space.draw(lambda key, axis: group.get(key) or _values(axis)[0])  # noqa: B023
            yield space.variant(choice).judge
            for key in (key for key in choice if key not in group):
                for value in _values(of_judge[key])[1:]:
                    yield space.variant({**choice, key: value}).judge

    @cached_property
    def first(self) -> dict[str, str]:
        """The first value of every axis."""
        return self.draw(lambda key, axis: _values(axis)[0])


def check(settings: Mapping[str, Any]) -> None:
    """Raises ConfigError for a `search` that cannot be followed."""
    if settings["sampler"] not in SAMPLERS:
        raise ConfigError(
            f"search.sampler={settings['sampler']}: allowed are {', '.join(SAMPLERS)}; "
            "each is a yaml: search=tpe."
        )
    if not 0 < settings["alpha"] < 1:
        raise ConfigError(f"search.alpha={settings['alpha']}: a probability, such as 0.2.")
    for key in ("trials", "parallel"):
        if settings[key] < 1:
            raise ConfigError(f"search.{key}={settings[key]}: a number from 1.")


def grid(space: Space) -> Distinct:
    """Every combination of the axes once."""
    found = Distinct()
    for choice in axes_.grid(space.axes):
        found.add(space.variant(choice), choice)
    return found


def draws(space: Space, trials: int, seed: int) -> Distinct:
    """`trials` variants, drawn alike from each axis; all there are, where there are fewer."""
    rng = random.Random(seed)
    found, again = Distinct(), 0
    while len(found.variants) < trials and again < PATIENCE:
        variant = space.variant(space.draw(lambda key, axis: _drawn(axis, rng)))
        again = again + 1 if variant.id in found.variants else 0
        found.variants.setdefault(variant.id, variant)
    return found


def race(settings: Mapping[str, Any], judges: Iterable[Mapping[str, Any]]) -> str:
    """off, safe or fast; where the config leaves it open, safe if any judge costs money."""
    asked = settings["race"]
    if asked is None:
        return "safe" if any(map(paid, judges)) else "off"
    asked = "off" if asked is False else asked  # what a yaml makes of the word
    if asked not in RACES:
        raise ConfigError(f"search.race={asked}: allowed are {', '.join(RACES)}, or null.")
    return str(asked)


def paid(node: Any) -> bool:
    """Whether anywhere in a judge's config a model has a price."""
    if not isinstance(node, Mapping):
        return isinstance(node, list) and any(map(paid, node))
    return bool(node.get("price")) or any(map(paid, node.values()))


def as_text(axis: Axis, value: float) -> str:
    """A number of an interval as an override has it."""
    whole = isinstance(axis, Span) and axis.whole
    return str(round(value)) if whole else f"{value:.6g}"


def _values(axis: Axis) -> list[str]:
    """Of an interval its ends."""
    return [as_text(axis, end) for end in (axis.low, axis.high)] if isinstance(axis, Span) else axis


def _drawn(axis: Axis, rng: random.Random) -> str:
    if not isinstance(axis, Span):
        return rng.choice(axis)
    if axis.log:
        return as_text(axis, math.exp(rng.uniform(math.log(axis.low), math.log(axis.high))))
    if axis.whole:
        return str(rng.randint(int(axis.low), int(axis.high)))
    return as_text(axis, rng.uniform(axis.low, axis.high))
