"""Configs: composed by Hydra, guarded by a schema, built by one function.

Configs name Python objects to call (`_target_`), so they are code: never load one from data.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from judgelab import members, resources
from judgelab.build import PARTS, build, build_part, variant_id, variant_of
from judgelab.errors import ConfigError
from judgelab.keys import TOP, RunConfig
from judgelab.models.secrets import holding

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

    from judgelab.loader import Loader

__all__ = ["Composed", "build", "build_part", "compose", "variant_id", "variant_of"]

# Only these tell variants apart; on anything else a sweep would compare different items.
AXES = (*PARTS, "optimizer")


@dataclass(frozen=True)
class Composed:
    """A composed config, the choice of every group and the file each choice came from."""

    config: DictConfig
    choices: Mapping[str, str]


_loaders: list[Loader] = []


@contextmanager
def hydra() -> Iterator[None]:
    """Hydra's config loader over the lab's and the shipped folders."""
    from judgelab.loader import Loader

    conf, recipes = resources.folders("conf"), resources.folders("experiments")
    for path in (path for folder in (*conf, *recipes) for path in sorted(folder.rglob("*.yaml"))):
        _check_encoding(path)
    _loaders.append(Loader(conf, recipes, RunConfig))
    try:
        yield
    finally:
        _loaders.pop()


def compose(overrides: Sequence[str], *, lenient: bool = False) -> Composed:
    """One config from overrides; call it inside `hydra()`. The interpolations stay.

    `lenient` lets a model be missing, for a look at the rest.
    """
    import yaml
    from hydra.errors import HydraException

    refuse_secrets(overrides)
    try:
        config, choices = _loaders[-1].compose(overrides)
        if isinstance(config.judge, DictConfig):
            members.expand(config.judge, overrides, choices, _compose_member)
    except (HydraException, OmegaConfBaseException) as error:
        if lenient and "You must specify 'model'" in str(error):
            return compose([*overrides, "model=none"])
        raise ConfigError(_explain(error, overrides)) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"a yaml cannot be read: {error}") from error
    if strange := {str(key) for key in config} - set(TOP):
        raise ConfigError(f"{', '.join(sorted(strange))}: no such key. Allowed: {', '.join(TOP)}.")
    return Composed(config, {key: str(choice) for key, choice in choices.items()})


def _compose_member(overrides: Sequence[str]) -> tuple[DictConfig, Mapping[str, str | None]]:
    from hydra.errors import HydraException

    try:
        return _loaders[-1].compose(overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_explain(error, overrides)) from error


def resolved(node: Any) -> Any:
    """Plain data with every interpolation followed; a value that is missing names its key."""
    try:
        plain = OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(_explain(error)) from error
    refuse_secrets(_texts(plain))
    return plain


def resolved_top(config: DictConfig) -> dict[str, Any]:
    """The whole config as plain data, without the parts that belong to the judge alone."""
    keys = [str(key) for key in config if key not in ("judge", "model", "demos")]
    return {
        key: resolved(config[key]) if OmegaConf.is_config(config[key]) else config[key]
        for key in keys
    }


def _texts(node: Any) -> Iterator[str]:
    """Every text in plain data."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, Mapping | list):
        for inner in itertools.chain(*node.items()) if isinstance(node, Mapping) else node:
            yield from _texts(inner)


def refuse_secrets(texts: Iterable[str]) -> None:
    """Configs and commands are kept in run folders and shown in MLflow."""
    if names := holding("\n".join(texts)):
        raise ConfigError(
            f"the config holds the secret of the environment variable {', '.join(names)}, and "
            "configs are kept in run folders. Leave it out: a model's key is read from the "
            "variable that model.api_key_env names."
        )


def axis_root(override: str) -> str:
    """The group an override belongs to: `demos` of `demos.k=4`."""
    return override.split("=", maxsplit=1)[0].lstrip("+~").split(".")[0].split("@")[0]


def parse(overrides: Sequence[str]) -> list[Override]:
    """Overrides in Hydra's grammar; call it inside `hydra()`."""
    from hydra.errors import HydraException

    refuse_secrets(overrides)
    try:
        return _loaders[-1].parse(overrides)
    except HydraException as error:
        first = str(error).split("\nSee https:", maxsplit=1)[0]
        raise ConfigError(f"{first}. An override is key=value, an axis key=a,b.") from error


def options(group: str) -> list[str]:
    """What a config group offers."""
    return resources.names(f"conf/{group}", ".yaml")


def _check_encoding(path: Path) -> None:
    try:
        path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} is not UTF-8 at byte {error.start}. Save it as UTF-8."
        ) from error


def _explain(error: Exception, overrides: Sequence[str] = ()) -> str:
    text = str(error)
    if "You must specify 'model'" in text:
        return (
            "model= is not chosen: this dataset is yours, so you say which model judges it. "
            f"Choose model= one of: {', '.join(options('model'))}. "
            "(neighbours runs offline and is no LLM.)"
        )
    if "Missing mandatory value" in text:
        key = getattr(error, "full_key", None) or text.rsplit(":", 1)[-1].strip()
        return f"{key} has no value yet: give it as {key}=VALUE."
    if unknown := re.match(r"Could not override '([^']+)'", text):
        return _no_such_key(unknown[1], overrides)
    if unknown := re.search(r"Key '([^']+)' not in 'RunConfig'", text):
        where = text.split(": ", maxsplit=1)[0]
        return f"{where}: {unknown[1]}: no such key. Allowed: {', '.join(TOP)}."
    if "to Dict[str, Any]" in text:  # `axes` is the only one
        where = text.split(": ", maxsplit=1)[0]
        return f"{where}: axes: a mapping is needed, such as `demos.k: 4,8`."
    key = re.search(r"\n    full_key: (\S+)", text)
    if key and key[1] not in text[: key.start()]:
        text = f"{key[1]}: {text}"
    cause = str(error.__cause__ or "")
    said = [_without_noise(part) for part in (text, cause) if part]
    return " ".join((f"{said[0]} ({said[1]})" if cause not in text else said[0]).split())


def _without_noise(text: str) -> str:
    for noise in ("\nSet the env", "\nIn Hydra 1.1", "\nConfig search path", "\n    full_key"):
        text = text.split(noise, maxsplit=1)[0]
    return text


def _no_such_key(key: str, overrides: Sequence[str]) -> str:
    """The message for a misspelt key, with the keys that stand where it was looked for."""
    rest = [one for one in overrides if one.split("=", maxsplit=1)[0].lstrip("+~") != key]
    parent, _, _ = key.rpartition(".")
    try:
        config = compose(rest, lenient=True).config
        at = OmegaConf.select(config, parent) if parent else config
    except (ConfigError, OmegaConfBaseException):
        at = None
    allowed = ", ".join(str(name) for name in at if name != "_target_") if at else ""
    where = f" in {parent}" if parent else ""
    return f"{key}: no such key. Allowed{where}: {allowed or 'nothing'}."
