"""The axes of a sweep: what varies, in Hydra's grammar, from the shell or from a recipe."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from judgelab import config as configs
from judgelab.errors import ConfigError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override


@dataclass(frozen=True)
class Span:
    """An interval, both ends in it; `whole` for whole numbers, `log` where ratios matter."""

    low: float
    high: float
    whole: bool = False
    log: bool = False

    def __str__(self) -> str:
        ends = f"{self.low:g},{self.high:g}"
        span = f"int(interval({ends}))" if self.whole else f"interval({ends})"
        return f"tag(log,{span})" if self.log else span


Axis = list[str] | Span


def expand(overrides: Sequence[str]) -> tuple[list[str], dict[str, Axis]]:
    """The fixed overrides, and the choices of every axis. Call it inside `config.hydra()`."""
    fixed: list[str] = []
    axes: dict[str, Axis] = {}
    for override in configs.parse(overrides):
        key = override.get_key_element()
        if override.is_sweep_override():
            _check_axis(key)
            axes[key] = _axis(key, override)
        else:
            assert override.input_line is not None
            fixed.append(override.input_line)
    return fixed, axes


def of_recipe(composed: configs.Composed) -> dict[str, Axis]:
    """The axes that a recipe brings along."""
    given = OmegaConf.to_container(composed.config.axes, resolve=True)
    assert isinstance(given, dict)
    for key, value in given.items():
        if isinstance(value, dict):
            first = next(iter(value), "k")
            raise ConfigError(f"axes: write `{key!s}.{first}: a,b`, not a mapping under {key!s}.")
    lines = [f"{key!s}={_as_sweep(value)}" for key, value in given.items()]
    fixed, axes = expand(lines)
    for override in fixed:
        key, value = str(override).split("=", 1)
        _check_axis(key)
        axes[key] = [value]
    return {str(key): axes[str(key)] for key in given}


def grid(axes: Mapping[str, Axis]) -> list[dict[str, str]]:
    """Every combination of the axes, the last axis fastest."""
    lists = {key: axis for key, axis in axes.items() if not isinstance(axis, Span)}
    if spans := axes.keys() - lists.keys():
        raise ConfigError(
            f"{', '.join(sorted(spans))}: a grid takes lists (a,b), choice(...), range(...) or "
            "glob(...), not an interval. Intervals are for search=random and search=tpe."
        )
    return [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]


def varies(axis: Axis) -> bool:
    """Whether it has more than one value."""
    return isinstance(axis, Span) or len(axis) > 1


def _axis(key: str, override: Override) -> Axis:
    from hydra.core.override_parser.types import IntervalSweep
    from hydra.errors import HydraException

    if override.is_interval_sweep():
        span = override.value()
        assert isinstance(span, IntervalSweep)
        low, high = span.start, span.end
        if low is None or high is None or not low < high:
            raise ConfigError(f"{override.input_line}: an interval goes from low to high.")
        log = "log" in span.tags
        if log and low <= 0:
            raise ConfigError(f"{override.input_line}: a logarithm needs an interval above 0.")
        return Span(low, high, isinstance(low, int) and isinstance(high, int), log)
    try:
        choices = list(override.sweep_string_iterator())
    except HydraException as error:
        raise ConfigError(f"{key}: {error}. A list (a,b) always works.") from error
    if not choices:
        raise ConfigError(
            f"{override.input_line}: matches no option of a config group. "
            "A list (a,b) always works."
        )
    return choices


def _check_axis(key: str) -> None:
    if configs.axis_root(key) not in configs.AXES:
        raise ConfigError(
            f"{key} cannot be an axis: a sweep compares judges on the same items. "
            f"Axes start with {', '.join(configs.AXES)}; run the others one by one."
        )


def _as_sweep(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(_as_word(item) for item in value)
    return _as_word(value)


def _as_word(value: Any) -> str:
    return "null" if value is None else str(value).lower() if value in (True, False) else str(value)
