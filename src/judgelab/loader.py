"""Hydra's config loader without what a lab has no use for.

The public way scans for plugins, and composes and copies Hydra's own settings (loggers, launchers,
sweepers) beside ours: five times the work, for every error message and every variant of a grid.
Here the same loader composes our part alone, reads each yaml once and composes each choice of
groups once. A test holds what comes out equal to `hydra.compose`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, ConfigRepository
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.core_plugins.structured_config_source import StructuredConfigSource
from hydra._internal.defaults_list import create_defaults_list
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from judgelab.errors import ConfigError

VERSION_BASE = "1.3"


class Folder(FileConfigSource):
    """A folder of config groups."""

    @staticmethod
    def scheme() -> str:
        return "judgelab-conf"


class Recipes(FileConfigSource):
    """A folder of recipes: the group `experiment`, each a diff over the whole config."""

    @staticmethod
    def scheme() -> str:
        return "judgelab-recipes"

    def load_config(self, config_path: str) -> ConfigResult:
        loaded = super().load_config(self._name(config_path))
        if not isinstance(loaded.config, DictConfig):
            path = Path(self.path, f"{self._name(config_path)}.yaml")
            raise ConfigError(f"{path}: a recipe is a mapping of keys, as in experiments/.")
        loaded.header["package"] = "_global_"
        return loaded

    def is_group(self, config_path: str) -> bool:
        return config_path in ("", "experiment")

    def is_config(self, config_path: str) -> bool:
        name = self._name(config_path)
        return name != config_path and super().is_config(name)

    def list(self, config_path: str, results_filter: Any) -> list[str]:
        if config_path != "experiment":
            return []
        return sorted(path.stem for path in Path(self.path).glob("*.yaml"))

    def _name(self, config_path: str) -> str:
        return config_path.removeprefix("experiment/")


class Loader(ConfigLoaderImpl):
    """Composes `run` from folders, nearest first; `schema` is what `run_schema` names in it."""

    def __init__(self, conf: Sequence[Path], recipes: Sequence[Path], schema: type) -> None:
        version.setbase(VERSION_BASE)
        for source in (Folder, Recipes, StructuredConfigSource):
            SourcesRegistry.instance().register(source)
        paths = ConfigSearchPathImpl()
        for folder in conf:
            paths.append("judgelab", f"{Folder.scheme()}://{folder}")
        for folder in recipes:
            paths.append("judgelab", f"{Recipes.scheme()}://{folder}")
        paths.append("schema", f"{StructuredConfigSource.scheme()}://")
        super().__init__(paths)
        self.repository = _Repository(paths, schema)
        self.parser = OverridesParser.create(self)
        self._parsed: dict[str, Override] = {}
        self._chosen: dict[tuple[str, ...], tuple[DictConfig, dict[str, str | None]]] = {}

    def parse(self, overrides: Sequence[str]) -> list[Override]:
        """Overrides in Hydra's grammar."""
        for line in overrides:
            if line not in self._parsed:
                (self._parsed[line],) = self.parser.parse_overrides([line])
        return [self._parsed[line] for line in overrides]

    def compose(self, overrides: Sequence[str]) -> tuple[DictConfig, dict[str, str | None]]:
        """A config, and the choice of every group. Raises what `hydra.compose` raises."""
        parsed = self.parse(overrides)
        self.validate_sweep_overrides_legal(parsed, RunMode.RUN, from_shell=False)
        choosing = [one for one in parsed if self._chooses(one)]
        key = tuple(str(one.input_line) for one in choosing)
        if key not in self._chosen:
            self._chosen[key] = self._choose(choosing)
        config, choices = copy.deepcopy(self._chosen[key])
        values = [one for one in parsed if not self._chooses(one)]
        self._apply_overrides_to_config(values, config)
        return config, choices

    def _chooses(self, override: Override) -> bool:
        """Whether it names the option of a group; the others are values, applied at the end."""
        is_group = self.repository.group_exists(override.key_or_group)
        return is_group and not isinstance(override.value(), dict)

    def _choose(self, choosing: list[Override]) -> tuple[DictConfig, dict[str, str | None]]:
        repository = CachingConfigRepository(self.repository)
        found = create_defaults_list(
            repo=repository,
            config_name="run",
            overrides_list=choosing,
            prepend_hydra=False,
            skip_missing=False,
        )
        config = self._compose_config_from_defaults_list(found.defaults, repository)
        OmegaConf.set_struct(config, True)
        return config, found.overrides.known_choices


class _Repository(ConfigRepository):
    """Reads a yaml once. Composing changes what it is given, so each time it is a copy."""

    def __init__(self, paths: ConfigSearchPathImpl, schema: type) -> None:
        super().__init__(paths)
        self._read: dict[str, ConfigResult | None] = {}
        source = self.get_schema_source()
        assert isinstance(source, StructuredConfigSource)
        source.store = copy.copy(source.store)  # Hydra's is everybody's in this process
        source.store.repo = {}
        source.store.store(name="run_schema", node=schema)

    def load_config(self, config_path: str) -> ConfigResult | None:
        if config_path not in self._read:
            self._read[config_path] = super().load_config(config_path)
        return copy.deepcopy(self._read[config_path])

    def __deepcopy__(self, memo: Any) -> _Repository:
        return self  # Hydra copies it for each config, though nothing here changes it
