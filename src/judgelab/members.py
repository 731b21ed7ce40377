"""Judges within a judge: each member is a small diff over the judge that holds it.

    judge=panel judge.members='[{rubric: generic}, {demos: none}, {judge: assertion, check: a.b}]'

A member is a mapping of what one would type for it alone: the keys of a judge without `judge.`,
the choices `judge`, `demos` and `model`, and what lies in those (`demos.k: 8`, `model: {name: x}`).
A word alone is a choice of judge. What a member does not set is as in the judge that holds it, but
for what the yaml of its choice has of its own, as a rubric; one that chooses a model has that
model's own settings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from judgelab.errors import ConfigError

LISTS = ("members",)
SINGLE = ("cheap", "dear")
INHERITED = ("rubric", "template", "reasoning", "context", "repair")
COMMON = ("demos.k", "demos.seed", "demos.show")  # what every selector accepts

# Overrides -> a composed config, its members as they were typed, and the choice of each group.
Compose = Callable[[Sequence[str]], tuple[DictConfig, Mapping[str, str | None]]]


def inner(judge: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The members of a judge's node, each with its place in it: `members.0`, `cheap`."""
    for key in LISTS:
        for number, member in enumerate(judge.get(key) or ()):
            yield f"{key}.{number}", member
    for key in SINGLE:
        if judge.get(key) is not None:
            yield key, judge[key]


def expand(
    judge: DictConfig,
    overrides: Sequence[str],
    choices: Mapping[str, str | None],
    compose: Compose,
) -> None:
    """Put whole judges in the place of the members of a composed judge, as they were typed.

    Raises ConfigError with the member's place and the key where one cannot be composed.
    """
    typed: dict[str, Any] = {
        key: OmegaConf.to_container(OmegaConf.create({key: judge[key]}), resolve=False)[key]  # type: ignore[index,call-overload]
        for key in (*LISTS, *SINGLE)
        if judge.get(key) is not None
    }
    for key in LISTS:
        if not isinstance(typed.get(key, []), list):
            raise ConfigError(f"judge.{key}={typed[key]!r}: a list of judges is needed.")
    for path, member in inner(typed):
        try:
            whole = _member(member, judge, overrides, choices, compose)
        except ConfigError as error:
            raise ConfigError(f"judge.{path}: {error}") from error
        key, _, number = path.partition(".")
        if number:
            typed[key][int(number)] = whole
        else:
            typed[key] = whole
    with open_dict(judge):
        for key, found in typed.items():
            judge[key] = found


def _member(
    typed: Any,
    holder: DictConfig,
    overrides: Sequence[str],
    choices: Mapping[str, str | None],
    compose: Compose,
) -> Any:
    if isinstance(typed, Mapping) and "_target_" in typed:
        return typed
    given = _flat({"judge": typed} if isinstance(typed, str) else typed)
    kind = given.pop("judge", "prompted")
    chosen = {group: given.pop(group, None) for group in ("demos", "model")}
    known = compose([f"judge={kind}", "model=none"])[0].judge
    usual = compose(["judge=prompted", "model=none"])[0].judge
    own = {key for key in INHERITED if known.get(key) not in (None, usual.get(key))}
    rest = [one for one in overrides if _carries_over(one, chosen)]
    groups = {"judge": kind} | {group: chosen[group] or choices[group] for group in chosen}
    rest += [f"{group}={choice}" for group, choice in groups.items()]
    rest += [
        f"{key if key.startswith(('demos.', 'model.')) else f'judge.{key}'}={_override(value)}"
        for key, value in given.items()
    ]
    config, inner_choices = compose(rest)
    judge = config.judge
    with open_dict(judge):
        for key in set(judge) - set(known):  # a recipe says it of the judge that holds this one
            del judge[key]
        for key in INHERITED:
            if key in judge and key not in (*given, *own) and key in holder:
                judge[key] = holder[key]
    expand(judge, rest, inner_choices, compose)
    return OmegaConf.to_container(judge, resolve=True)


def _flat(typed: Any) -> dict[str, Any]:
    if not isinstance(typed, Mapping):
        raise ConfigError(
            f"{typed!r} is no member: give a choice of judge, or a mapping of its keys such as "
            "{rubric: generic} or {judge: assertion, check: my_checks.f}."
        )
    found: dict[str, Any] = {}
    for key, value in typed.items():
        if key in ("demos", "model") and isinstance(value, Mapping):
            found |= {f"{key}.{name}": one for name, one in value.items()}
        else:
            found[str(key)] = value
    return found


def _carries_over(override: str, chosen: Mapping[str, Any]) -> bool:
    """Whether an override of the whole command holds for a member that makes these choices."""
    key = override.split("=", maxsplit=1)[0].lstrip("+~")
    group = key.split(".")[0]
    if key in ("judge", "demos", "model") or group == "judge":
        return False
    return not chosen.get(group) or key in COMMON


def _override(value: Any) -> str:
    """A value in Hydra's grammar."""
    if isinstance(value, str):
        # A backslash is one but before a quote, where it is doubled.
        escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), value)
        return f"'{escaped}'"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}: {_override(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_override, value)) + "]"
    return json.dumps(value)
