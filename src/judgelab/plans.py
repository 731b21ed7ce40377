"""What a command line asks for: one variant, or a sweep over axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from omegaconf import OmegaConf

from judgelab import axes as axes_
from judgelab import config as configs
from judgelab import search, variants
from judgelab.axes import Axis, Span
from judgelab.errors import ConfigError
from judgelab.search import Space
from judgelab.study import Study, check_storage
from judgelab.types import sha256
from judgelab.variants import Distinct, Variant


@dataclass(frozen=True)
class Plan:
    """The variants, baselines last, and what to say of those left out.

    A plan with a `study` begins with the first choice of its axes; the others are found on the way.
    `race` is off, safe or fast: settled here for all that may be found.
    """

    variants: list[Variant]
    equal: list[str] = field(default_factory=list)
    axes: Mapping[str, Axis] = field(default_factory=dict)
    study: Study | None = None
    race: str = "off"

    @property
    def is_sweep(self) -> bool:
        return bool(self.axes)

    @property
    def more(self) -> int:
        """How many variants the study may still ask for."""
        return self.study.trials - 1 if self.study else 0


def plan(overrides: Sequence[str], *, multirun: bool) -> Plan:
    """The variants of a command line. A recipe with axes is a sweep by itself.

    Raises ConfigError for axes without -m, and for what does not compose.
    """
    with configs.hydra():
        fixed, axes = axes_.expand(overrides)
        if axes and not multirun:
            key, axis = next(iter(axes.items()))
            values = str(axis) if isinstance(axis, Span) else ", ".join(axis)
            raise ConfigError(
                f"{key} has several values ({values}): that is a sweep, add -m. "
                f"For one value with commas in it, quote it."
            )
        axes = _recipe_axes(fixed) | axes
        if not axes:
            return Plan([variants.single(configs.compose(fixed))])
        return _sweep(fixed, axes)


def _sweep(fixed: Sequence[str], axes: Mapping[str, Axis]) -> Plan:
    # A key of the judge, its demos or its model may need the choice that an axis makes.
    plain = [override for override in fixed if configs.axis_root(override) not in configs.AXES]
    settings = configs.resolved(configs.compose(plain, lenient=True).config.search)
    search.check(settings)
    space, study = Space(fixed, _whole(fixed, axes)), None
    if settings["sampler"] == "grid":
        found = search.grid(space)
    elif settings["sampler"] == "random":
        found = search.draws(space, settings["trials"], settings["seed"])
    else:
        found = Distinct()
        check_storage(settings["storage"])
        found.add(space.variant(space.first), space.first)
        study = _study(space, settings)
    roots = {configs.axis_root(key) for key in axes}
    common = [override for override in fixed if configs.axis_root(override) not in roots]
    known = {variant.id: variant.name for variant in found.variants.values()}
    base = []
    for one in variants.baselines(common):
        if one.id in known:
            found.equal.append(f"baseline {one.name} is the same judge as {known[one.id]}")
        else:
            known[one.id] = one.name
            base.append(one)
    judges = space.judges() if study else (one.judge for one in found.variants.values())
    race = search.race(settings, judges)
    return Plan([*found.variants.values(), *base], found.equal, space.axes, study, race)


def _study(space: Space, settings: Mapping[str, Any]) -> Study:
    kept = {name: settings[name] for name in ("metric", "floors", "seed", "race", "parallel")}
    about = [sorted(space.fixed), {key: str(axis) for key, axis in space.axes.items()}, kept]
    name = f"judgelab-{sha256(about)[:8]}"
    return Study(space, settings["trials"], settings["seed"], name, settings["storage"])


def _whole(fixed: Sequence[str], axes: Mapping[str, Axis]) -> dict[str, Axis]:
    """An interval between whole numbers, on a key whose value is one, holds whole numbers."""
    found = dict(axes)
    lists = {key: axis for key, axis in axes.items() if not isinstance(axis, Span)}
    if len(lists) == len(axes):
        return found
    groups = [f"{key}={axis[0]}" for key, axis in lists.items() if "." not in key]
    config = configs.compose([*fixed, *groups]).config
    for key, span in axes.items():
        if not isinstance(span, Span) or type(OmegaConf.select(config, key)) is not int:
            continue
        if span.low == int(span.low) and span.high == int(span.high):
            found[key] = replace(span, whole=True)
    return found


def _recipe_axes(fixed: Sequence[str]) -> dict[str, Axis]:
    """The axes of the recipe; an override on the command line replaces that of the same name."""
    if not any(configs.axis_root(override) in ("experiment", "axes") for override in fixed):
        return {}
    given = {override.split("=")[0].lstrip("+") for override in fixed}
    # A key of the judge, its demos or its model may need the choice that an axis makes.
    rest = [override for override in fixed if configs.axis_root(override) not in configs.AXES]
    recipe = axes_.of_recipe(configs.compose(rest, lenient=True))
    return {key: choice for key, choice in recipe.items() if key not in given}
