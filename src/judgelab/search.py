"""Which variants a sweep tries: every combination or a random draw (`study` is where TPE points).

An axis that the other choices leave no place for (`demos.k` where demos=none) is not drawn, and a
variant that was there already is not judged again.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from judgelab import axes as axes_
from judgelab import variants
from judgelab.axes import Axis, Span
from judgelab.errors import ConfigError
from judgelab.variants import Distinct, Variant

SAMPLERS = ("grid", "random", "tpe")
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

    @cached_property
    def first(self) -> dict[str, str]:
        """The first value of every axis."""

        def of(key: str, axis: Axis) -> str:
            return as_text(axis, axis.low) if isinstance(axis, Span) else axis[0]

        return self.draw(of)


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


def as_text(axis: Axis, value: float) -> str:
    """A number of an interval as an override has it."""
    whole = isinstance(axis, Span) and axis.whole
    return str(round(value)) if whole else f"{value:.6g}"


def _drawn(axis: Axis, rng: random.Random) -> str:
    if not isinstance(axis, Span):
        return rng.choice(axis)
    if axis.log:
        return as_text(axis, math.exp(rng.uniform(math.log(axis.low), math.log(axis.high))))
    if axis.whole:
        return str(rng.randint(int(axis.low), int(axis.high)))
    return as_text(axis, rng.uniform(axis.low, axis.high))
