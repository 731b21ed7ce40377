"""Many variants, one pool of calls, one event loop; the baselines beside them."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from judgelab import __version__, runner, variants
from judgelab import config as configs
from judgelab.data.schema import DatasetConfig
from judgelab.data.split import SplitConfig
from judgelab.errors import ConfigError, UnreadyError, UserError, is_full
from judgelab.judges.base import Judge
from judgelab.rules import Rules
from judgelab.runner import Bench, Progress, Run
from judgelab.types import sha256
from judgelab.variants import Variant


@dataclass(frozen=True)
class Plan:
    """What a command line asks for: variants, and what to say of those left out."""

    variants: list[Variant]
    equal: list[str] = field(default_factory=list)
    axes: dict[str, list[str]] = field(default_factory=dict)

    @property
    def is_sweep(self) -> bool:
        return bool(self.axes)


def plan(overrides: Sequence[str], *, multirun: bool) -> Plan:
    """The variants of a command line. A recipe with axes is a sweep by itself.

    Raises ConfigError for axes without -m, and for what does not compose.
    """
    with configs.hydra():
        fixed, axes = configs.expand(overrides)
        if axes and not multirun:
            key = next(iter(axes))
            raise ConfigError(
                f"{key} has several values ({', '.join(axes[key])}): that is a sweep, add -m. "
                f"For one value with commas in it, quote it."
            )
        axes = _recipe_axes(fixed) | axes
        if not axes:
            return Plan([variants.single(configs.compose(fixed))])
        found, equal = variants.sweep(fixed, axes)
        roots = {configs.axis_root(key) for key in axes}
        common = [override for override in fixed if configs.axis_root(override) not in roots]
        known = {variant.id: variant.name for variant in found}
        base = []
        for one in variants.baselines(common):
            if one.id in known:
                equal.append(f"baseline {one.name} is the same judge as {known[one.id]}")
            else:
                known[one.id] = one.name
                base.append(one)
        return Plan(found + base, equal, axes)


def _recipe_axes(fixed: Sequence[str]) -> dict[str, list[str]]:
    """The axes of the recipe; an override on the command line replaces that of the same name."""
    if not any(configs.axis_root(override) in ("experiment", "axes") for override in fixed):
        return {}
    given = {override.split("=")[0].lstrip("+") for override in fixed}
    # A key of the judge, its demos or its model may need the choice that an axis makes.
    rest = [override for override in fixed if configs.axis_root(override) not in configs.AXES]
    recipe = configs.axes_of(configs.compose(rest, lenient=True))
    return {key: choice for key, choice in recipe.items() if key not in given}


def check(plan: Plan) -> None:
    """Raises a UserError for what is wrong before any data is read, which may take minutes."""
    config = plan.variants[0].config
    configs.build_part(config, "dataset", DatasetConfig).check()
    configs.build_part(config, "split", SplitConfig)
    rules(config)
    failed: dict[str, str] = {}
    for variant in plan.variants:
        try:
            configs.build_part(variant.config, "judge", Judge).check()
        except UserError as error:
            if not plan.is_sweep:
                raise
            failed[variant.name] = str(error)
    _something_left(plan, failed)


async def run_all(
    plan: Plan, bench: Bench, progress: Progress
) -> tuple[Bench, list[Run], dict[str, str]]:
    """Every variant of a plan; the failure of one does not end the others, unless its model
    cannot be called: that is said before anything is sent.

    Returns the bench, the runs in the plan's order, and by variant name why it could not run.
    """
    if plan.is_sweep:
        bench = runner.in_sweep(bench, _sweep_id(plan, bench))
    failed: dict[str, str] = {}
    opened: list[Run] = []
    unready: list[str] = []
    for variant in plan.variants:
        try:
            opened.append(runner.open_run(bench, variant))
        except UserError as error:
            if not plan.is_sweep:
                raise
            failed[variant.name] = str(error)
            if isinstance(error, UnreadyError):
                unready.append(str(error))

    if unready:
        raise UnreadyError(" ".join(dict.fromkeys(unready)))
    _something_left(plan, failed)

    full: list[Exception] = []

    async def one(run: Run) -> None:
        try:
            await runner.run(bench, run, progress)
        except Exception as error:  # a judge of the user's own may raise anything
            if is_full(error):
                full.append(error)
            elif not plan.is_sweep:
                raise
            else:
                failed[run.variant.name] = _why(error)

    await asyncio.gather(*(one(run) for run in opened))
    if full:  # not before the others have kept what they asked for
        raise full[0]
    _something_left(plan, failed)
    return bench, opened, failed


def _sweep_id(plan: Plan, bench: Bench) -> str:
    """The same command on the same data with the same texts is the same sweep."""
    judges = [(variant.id, _texts(variant)) for variant in plan.variants]
    data = [bench.dataset.sha256, bench.split.sha256, bench.part, bench.limit, bench.policy]
    return sha256([judges, data, __version__])[:8]


def _texts(variant: Variant) -> dict[str, str]:
    try:
        return runner.texts(variant)
    except UserError:  # a judge that cannot be built says so when it is opened
        return {}


def _something_left(plan: Plan, failed: Mapping[str, str]) -> None:
    """A sweep whose every judge failed is a mistake in the command, not an incomplete sweep."""
    judges = [variant.name for variant in plan.variants if not variant.baseline]
    if judges and all(name in failed for name in judges):
        raise ConfigError("; ".join(dict.fromkeys(failed[name] for name in judges)))


def _why(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({last.filename}:{last.lineno})"


def rules(config: Mapping[str, Any]) -> Rules:
    """How the sweep of a config chooses."""
    search = config["search"]
    floors = {name: least for name, least in (search["floors"] or {}).items() if least is not None}
    return Rules(search["metric"], floors, search["margin"])
