"""Variants: fully resolved judges without what they do not use, and what a person calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from judgelab import config as configs

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


def sweep(
    overrides: Sequence[str], axes: Mapping[str, Sequence[str]]
) -> tuple[list[Variant], list[str]]:
    """Every combination of the axes once; the second list says which were equal to which."""
    variants: dict[str, Variant] = {}
    equal: list[str] = []
    for choice in configs.grid(axes):
        composed = configs.compose([*overrides, *(f"{k}={v}" for k, v in choice.items())])
        node = configs.variant_of(configs.resolved(composed.config.judge))
        optimizer = _optimizer(composed)
        parts = _parts(node, optimizer)
        shown = {k: v for k, v in choice.items() if _used(parts, k)}
        varying = [key for key in shown if len(axes[key]) > 1] or list(shown)
        name = _name(composed, parts, varying)
        variant = Variant(name, node, _whole(composed, node), shown, optimizer=optimizer)
        first = variants.setdefault(variant.id, variant)
        if first is not variant:
            said = ", ".join(f"{k}={v}" for k, v in choice.items())
            equal.append(f"{said} is the same judge as {first.name}")
    return list(variants.values()), equal


PLAIN = (("judge", "prompted"), ("optimizer", "none"))  # go without saying
DEFAULT_AXES = ("judge", "demos", "demos.k", "judge.reasoning", "model.name", "optimizer")


def _optimizer(composed: configs.Composed) -> Mapping[str, Any] | None:
    node = composed.config.optimizer
    return configs.variant_of(configs.resolved(node)) if "_target_" in (node or {}) else None


def _parts(judge: Mapping[str, Any], optimizer: Mapping[str, Any] | None) -> dict[str, Any]:
    """What axes point into."""
    return dict(judge) | ({"optimizer": optimizer} if optimizer else {})


def _name(composed: configs.Composed, node: Mapping[str, Any], axes: Sequence[str]) -> str:
    """Such as `balanced k=8 · cot · gpt-x`: groups of words by the group of the config."""
    words: dict[str, list[str]] = {}
    for axis in axes:
        if not _used(node, axis):
            continue
        value = composed.choices.get(axis) if "." not in axis else _at(node, axis)
        if (axis, value) in PLAIN and len(axes) > 1:
            continue
        word = str(value) if axis in SPEAKING else f"{axis.rsplit('.', 1)[-1]}={value}"
        words.setdefault(
            axis if axis in SPEAKING and "." in axis else axis.split(".")[0], []
        ).append(word)
    return " · ".join(" ".join(group) for group in words.values())


def _used(node: Mapping[str, Any], axis: str) -> bool:
    """Whether the axis still has a place in the pruned judge."""
    if axis in {"judge", "optimizer"}:
        return True
    try:
        _at(node, axis)
    except (KeyError, TypeError):
        return False
    return True


def _at(node: Mapping[str, Any], axis: str) -> Any:
    """judge.x lies at x of the judge's node, those of demos, model, optimizer at the same path."""
    steps = axis.split(".")
    at: Any = node
    for step in steps[1:] if steps[0] == "judge" else steps:
        at = at[step]
    return at


def _whole(composed: configs.Composed, node: Mapping[str, Any]) -> dict[str, Any]:
    """The config that a rerun needs: everything, with the judge as it was built."""
    whole = configs.resolved_top(composed.config)
    for group in ("model", "demos", "axes"):
        whole.pop(group, None)
    if "_target_" not in (whole["optimizer"] or {}):
        del whole["optimizer"]
    return whole | {"judge": dict(node), "choices": dict(composed.choices)}
