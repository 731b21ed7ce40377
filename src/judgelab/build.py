"""Objects from config nodes (`_target_` and its arguments), and what a judge's node identifies."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, Unpack, cast, get_args, get_origin, get_type_hints

from judgelab import resources
from judgelab.errors import ConfigError
from judgelab.types import sha256

T = TypeVar("T")

# The groups that make a judge. A judge's node holds the other two, under names of their own.
PARTS = ("judge", "demos", "model")
PLAIN = (str, int, float, bool, NoneType)


def variant_of(judge: Mapping[str, Any]) -> dict[str, Any]:
    """A judge's node without what it does not use (each class says so in `unused`)."""
    return dict(_prune(judge, "judge"))


def variant_id(variant: Mapping[str, Any]) -> str:
    """Hash of a variant: all that can change a verdict, nothing of how calls are sent."""
    return sha256(_identity(variant))


def build(node: Any, expect: Callable[..., T], key: str) -> T:
    """The object a node describes, its inner nodes first.

    Raises ConfigError with the key, the target, the allowed arguments and what was wrong.
    """
    built = _build(_prune(node, key), key)
    assert isinstance(expect, type)
    if not isinstance(built, expect):
        raise ConfigError(
            f"{key}._target_ makes a {type(built).__name__}; here a {expect.__name__} is needed."
        )
    return cast(T, built)


def build_part(config: Mapping[str, Any], group: str, expect: Callable[..., T]) -> T:
    """What a group of a variant's config describes; a failure names the yaml it came from."""
    try:
        return build(config[group], expect, group)
    except ConfigError as error:
        named = re.split(r"\W", str(error), maxsplit=1)[0]
        choice = config.get("choices", {}).get(named)
        if choice is None:
            raise
        path = resources.find(choice, f"conf/{named}", ".yaml")
        raise type(error)(f"{error} ({named}={choice} is {path})") from error


def _build(node: Any, key: str) -> Any:
    if isinstance(node, list):
        return [_build(item, f"{key}[{i}]") for i, item in enumerate(node)]
    if not isinstance(node, Mapping):
        return node
    inner = {k: _build(v, _key(key, k)) for k, v in node.items() if k != "_target_"}
    if "_target_" not in node:
        return inner
    target = resources.python_object(node["_target_"], f"{key}._target_")
    hints = _hints(target)
    try:
        signature = _signature(target, hints)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{key}._target_: {node['_target_']} cannot be built ({error}). Give a class."
        ) from error
    try:
        signature.bind(**inner)
    except TypeError as error:
        allowed = [name for name in signature.parameters if name != "self"]
        raise ConfigError(
            f"{key}: {node['_target_']} does not take this: {error}. "
            f"Allowed: {', '.join(allowed)}. Got: {', '.join(inner) or 'nothing'}."
        ) from error
    _check_types(hints, inner, key)
    try:
        return target(**inner)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{key} ({node['_target_']}): {error}") from error


def _key(parent: str, name: str) -> str:
    """The key as a user types it: a judge's demos and model have names of their own."""
    return name if parent == "judge" and name in PARTS else f"{parent}.{name}"


def _hints(target: Any) -> dict[str, Any]:
    """The annotations of a target's arguments, those of `**more: Unpack[TypedDict]` one by one."""
    try:
        hints = get_type_hints(inspect.getattr_static(target, "__init__"))
    except (NameError, TypeError):  # annotations that exist for type checkers alone
        return {}
    for hint in list(hints.values()):
        if get_origin(hint) is Unpack:
            hints |= get_type_hints(get_args(hint)[0])
    return hints


def _signature(target: Any, hints: Mapping[str, Any]) -> inspect.Signature:
    """What a target takes; the arguments that `**more: Unpack[TypedDict]` stands for are named."""
    signature = inspect.signature(target)
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        hint = hints.get(parameter.name)
        if get_origin(hint) is Unpack:
            names = get_type_hints(get_args(hint)[0])
            parameters += [
                inspect.Parameter(n, parameter.KEYWORD_ONLY, default=None) for n in names
            ]
        else:
            parameters.append(parameter)
    return signature.replace(parameters=parameters)


def _check_types(hints: Mapping[str, Any], given: Mapping[str, Any], key: str) -> None:
    """Numbers, texts and truths are what the annotations say: `demos.k=many` fails here."""
    for name, value in given.items():
        kinds = _plain_kinds(hints.get(name))
        if not kinds or not isinstance(value, PLAIN):
            continue
        if type(value) not in kinds and not (type(value) is int and float in kinds):
            words = " or ".join("null" if kind is NoneType else kind.__name__ for kind in kinds)
            quote = " (a text that looks like a number stands in quotes)" if str in kinds else ""
            raise ConfigError(f"{_key(key, name)}={value!r}: {words} is needed{quote}.")


def _plain_kinds(hint: Any) -> tuple[type, ...]:
    """The plain types an annotation allows; none where it allows anything else."""
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return kinds if all(kind in PLAIN for kind in kinds) else ()


def _prune(node: Any, key: str) -> Any:
    if isinstance(node, list):
        return [_prune(item, f"{key}[{i}]") for i, item in enumerate(node)]
    if not isinstance(node, Mapping):
        return node
    pruned = {name: _prune(value, _key(key, name)) for name, value in node.items()}
    if "_target_" in node:
        target = resources.python_object(node["_target_"], f"{key}._target_")
        unused = getattr(target, "unused", None)
        for path in unused(node) if unused else ():
            *parents, last = path.split(".")
            at: Any = pruned
            for parent in parents:
                at = at.get(parent, {})
            at.pop(last, None)
    return pruned


def _identity(node: Any) -> Any:
    if isinstance(node, list):
        return [_identity(item) for item in node]
    if not isinstance(node, Mapping):
        return node
    transport: frozenset[str] = frozenset()
    if "_target_" in node:
        target = resources.python_object(node["_target_"], "_target_")
        transport = getattr(target, "transport", frozenset())
        if node.get("endpoint") is None:  # then the base URL says who is asked
            transport -= {"base_url"}
    return {key: _identity(value) for key, value in node.items() if key not in transport}
