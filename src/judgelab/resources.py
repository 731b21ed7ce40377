"""Where things are found: the lab's own folders first, then what is shipped."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from judgelab.errors import ConfigError

_HERE = Path(__file__).parent
# In a wheel conf/ lies inside the package, in a checkout at its top.
_HOME = _HERE if (_HERE / "conf").is_dir() else _HERE.parents[1]

_spares: dict[str, Path] = {}


def lab() -> Path:
    """The lab: the working directory, or JUDGELAB_HOME."""
    return Path(os.environ.get("JUDGELAB_HOME") or Path.cwd())


def call_store() -> Path:
    """Where the lab keeps every answer that was paid for."""
    return lab() / ".judgelab" / "calls.db"


def folders(name: str) -> list[Path]:
    """The existing folders called `name` (conf, experiments, prompts), nearest first."""
    unique = dict.fromkeys(path.resolve() for path in (lab() / name, _HOME / name))
    return [path for path in unique if path.is_dir()]


def find(name: str, kind: str, suffix: str) -> Path:
    """The nearest `<kind>/<name><suffix>`; an unknown name lists the known ones."""
    for folder in folders(kind.split("/", maxsplit=1)[0]):
        path = folder.joinpath(*kind.split("/")[1:], name + suffix)
        if path.is_file():
            return path
    if (spare := _spares.get(f"{kind}/{name}{suffix}")) and spare.is_file():
        return spare
    raise ConfigError(
        f"there is no {kind}/{name}{suffix}. "
        f"There are: {', '.join(names(kind, suffix))}. "
        f"Write your own as ./{kind}/{name}{suffix}."
    )


@contextmanager
def spares(files: Mapping[str, Path]) -> Iterator[None]:
    """Files by `<kind>/<name><suffix>` that `find` takes where the lab has none any more."""
    _spares.update(files)
    try:
        yield
    finally:
        _spares.clear()


def names(kind: str, suffix: str) -> list[str]:
    """Every name that `find` knows, sorted."""
    top, *rest = kind.split("/")
    found = {p.name[: -len(suffix)] for f in folders(top) for p in f.joinpath(*rest).glob("*")}
    return sorted(
        name
        for name in found
        if any(f.joinpath(*rest, name + suffix).is_file() for f in folders(top))
    )


def data_path(path: str) -> Path:
    """A path of a config: `sample:x` is the shipped sample, others are relative to the lab."""
    if path.startswith("sample:"):
        return _HERE / "data" / "sample" / path.removeprefix("sample:")
    return lab() / path


def python_object(dotted: str, key: str) -> Any:
    """The object that `package.module.name` names; `key` is the config key it came from."""
    module, _, name = dotted.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except Exception as error:  # importing runs the user's module, which may raise anything
        raise ConfigError(
            f"{key}: cannot import {dotted!r} ({type(error).__name__}: {error}). "
            "Give the dotted path of something importable; modules in the lab's folder are."
        ) from error
