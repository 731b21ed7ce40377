"""Variants: fully resolved judges without what they do not use, and what a person calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from judgelab import axes as axes_
from judgelab import config as configs
from judgelab import members

# Axes whose value says enough by itself; of the others the name is said too.
SPEAKING = {
    "judge",
    "demos",
    "model",
    "optimizer",
    "judge.rubric",
    "judge.reasoning",
    "judge.template",
    "demos.show",
    "model.name",
}


@dataclass(frozen=True)
class Variant:
    """`judge` is the node that builds it, `optimizer` that of what makes it better first, if
    anything does; `axes` what tells it from its siblings."""

    name: str
    judge: Mapping[str, Any]
    config: Mapping[str, Any]
    axes: Mapping[str, str]
    baseline: bool = False
    optimizer: Mapping[str, Any] | None = None

    @property
    def id(self) -> str:
        if self.optimizer:
            return configs.variant_id({"judge": self.judge, "optimizer": self.optimizer})
        return configs.variant_id(self.judge)


def single(composed: configs.Composed) -> Variant:
    """The variant of one config, named by what people vary most."""
    node = configs.variant_of(configs.resolved(composed.config.judge))
    optimizer = _optimizer(composed)
    name = _name(composed, _parts(node, optimizer), DEFAULT_AXES)
    return Variant(name, node, _whole(composed, node), {}, optimizer=optimizer)


def baselines(overrides: Sequence[str]) -> list[Variant]:
    """The judge yamls that stand beside a sweep, and never win.

    Their keys are the yaml's own: what a recipe or a command line says of `judge` is about others.
    """
    kept = [o for o in overrides if configs.axis_root(o) != "judge"]
    common = configs.compose(kept, lenient=True)
    return [_baseline(name, common) for name in common.config.baselines]


def _baseline(name: str, common: configs.Composed) -> Variant:
    common.config.judge = configs.compose([f"judge={name}", "model=none"]).config.judge
    common.config.optimizer = None
    node = configs.variant_of(configs.resolved(common.config.judge))
    choices = {**common.choices, "judge": name, "optimizer": "none"}
    composed = configs.Composed(common.config, choices)
    return Variant(name.replace("_", " "), node, _whole(composed, node), {}, baseline=True)


def of_choice(
    overrides: Sequence[str], axes: Mapping[str, axes_.Axis], choice: Mapping[str, str]
) -> Variant:
    """The variant that one value of each axis makes."""
    composed = configs.compose([*overrides, *(f"{k}={v}" for k, v in choice.items())])
    node = configs.variant_of(configs.resolved(composed.config.judge))
    optimizer = _optimizer(composed)
    parts = _parts(node, optimizer)
    shown = {k: v for k, v in choice.items() if used(composed, parts, k)}
    varying = [key for key in shown if axes_.varies(axes[key])] or list(shown)
    name = _name(composed, parts, varying, shown) or _name(composed, parts, DEFAULT_AXES)
    return Variant(name, node, _whole(composed, node), shown, optimizer=optimizer)


def has_place(overrides: Sequence[str], axis: str) -> bool:
    """Whether a judge of these overrides has a use for the axis."""
    composed = configs.compose(overrides)
    parent, _, key = axis.rpartition(".")
    at = OmegaConf.select(composed.config, parent)
    if isinstance(at, DictConfig) and OmegaConf.is_missing(at, key):
        return True  # a judge of these needs a value for it
    node = configs.variant_of(configs.resolved(composed.config.judge))
    return used(composed, _parts(node, _optimizer(composed)), axis)


class Distinct:
    """Variants, each once; `equal` says which choice was the same judge as which variant."""

    def __init__(self) -> None:
        self.variants: dict[str, Variant] = {}
        self.equal: list[str] = []

    def add(self, variant: Variant, choice: Mapping[str, str]) -> Variant:
        """The variant, or the one that it is equal to."""
        first = self.variants.setdefault(variant.id, variant)
        if first is not variant:
            said = ", ".join(f"{k}={v}" for k, v in choice.items())
            self.equal.append(f"{said} is the same judge as {first.name}")
        return first


PLAIN = (("judge", "prompted"), ("optimizer", "none"))  # go without saying
DEFAULT_AXES = ("judge", "demos", "demos.k", "judge.reasoning", "model.name", "optimizer")


def _optimizer(composed: configs.Composed) -> Mapping[str, Any] | None:
    node = composed.config.optimizer
    return configs.variant_of(configs.resolved(node)) if "_target_" in (node or {}) else None


def _parts(judge: Mapping[str, Any], optimizer: Mapping[str, Any] | None) -> dict[str, Any]:
    """What axes point into."""
    return dict(judge) | ({"optimizer": optimizer} if optimizer else {})


def _name(
    composed: configs.Composed,
    node: Mapping[str, Any],
    axes: Sequence[str],
    typed: Mapping[str, str] | None = None,
) -> str:
    """Such as `balanced k=8 · cot · gpt-x`: groups of words by the group of the config."""
    words: dict[str, list[str]] = {}
    for axis in axes:
        if not used(composed, node, axis):
            continue
        value = composed.choices.get(axis) if "." not in axis else _said(composed, axis)
        if typed and isinstance(value, Mapping | list):  # members are named as they were typed
            value = typed.get(axis, value)
        if (axis, value) in PLAIN and len(axes) > 1:
            continue
        word = str(value) if axis in SPEAKING else f"{axis.rsplit('.', 1)[-1]}={value}"
        words.setdefault(
            axis if axis in SPEAKING and "." in axis else axis.split(".")[0], []
        ).append(word)
    return " · ".join(" ".join(group) for group in words.values())


def used(composed: configs.Composed, node: Mapping[str, Any], axis: str) -> bool:
    """Whether the axis still has a place in the pruned judge, or in a member that has it from
    there."""
    if axis in {"judge", "optimizer"}:
        return True
    try:
        _at(node, axis)
    except (KeyError, TypeError, IndexError):
        said = _said(composed, axis)
        return any(_has(member, axis, said) for _, member in members.inner(node))
    return True


def _has(member: Mapping[str, Any], axis: str, said: Any) -> bool:
    try:
        value = _at(member, axis)
        if isinstance(value, Mapping) and isinstance(said, Mapping):  # which, not with what
            return bool(value.get("_target_") == said.get("_target_"))
        return bool(value == said)
    except (KeyError, TypeError, IndexError):
        return any(_has(inner, axis, said) for _, inner in members.inner(member))


def _said(composed: configs.Composed, axis: str) -> Any:
    """What the config says at an axis, before anything is pruned; None where it says nothing."""
    value = OmegaConf.select(composed.config, axis)
    return configs.resolved(value) if OmegaConf.is_config(value) else value


def _at(node: Mapping[str, Any], axis: str) -> Any:
    """judge.x lies at x of the judge's node, those of demos, model, optimizer at the same path."""
    steps = axis.split(".")
    at: Any = node
    for step in steps[1:] if steps[0] == "judge" else steps:
        at = at[int(step)] if isinstance(at, list) and step.isdecimal() else at[step]
    return at


def _whole(composed: configs.Composed, node: Mapping[str, Any]) -> dict[str, Any]:
    """The config that a rerun needs: everything, with the judge as it was built."""
    whole = configs.resolved_top(composed.config)
    for group in ("model", "demos", "axes"):
        whole.pop(group, None)
    if "_target_" not in (whole["optimizer"] or {}):
        del whole["optimizer"]
    return whole | {"judge": dict(node), "choices": dict(composed.choices)}
