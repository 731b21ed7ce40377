"""Configs come out as Hydra's public API composes them, only sooner."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from judgelab.keys import RunConfig
from judgelab.loader import Loader

ROOT = Path(__file__).parents[1]
Composer = Callable[[list[str]], tuple[Any, dict[str, Any]]]
OPTIONS = sorted(f"{path.parent.name}={path.stem}" for path in ROOT.glob("conf/*/*.yaml"))
RECIPES = [f"experiment={path.stem}" for path in sorted(ROOT.glob("experiments/*.yaml"))]
VALUES = (
    [],
    ["demos.k=3"],
    ["demos=nearest", "demos.k=3", "model=openai", "judge.rubric=generic"],
    ["dataset=jsonl", "model=neighbours", "dataset.path=a.jsonl"],
    ["judge=always_pass", "seed=7", "limit=3"],
    ["experiment=mine", "demos.k=2", "judge=mine"],
    ["experiment=mine", "experiment=which_critiques"],
    ["~tracking"],
    ["+axes.demos.k=1", "++judge.more=[1,2]", "judge={rubric: generic}"],
    ["split.ratios={train: 0.5, dev: 0.5, test: 0}", "~budget.calls"],
    ["budget.usd=null", "judge.rubric='a,b'", "demos.k=${seed}"],
)
MISTAKES = (
    ["demos.kk=3"],
    ["demoz=3"],
    ["demos=nope"],
    ["experiment=nope"],
    ["limit=many"],
    ["dataset=jsonl"],
    ["demos.k=1,2"],
    ["demos.k=["],
    ["+judge=prompted"],
    ["demos@x=none"],
    ["~demos=nearest"],
    ["+seed=3"],
    ["judge.rubric.x=3"],
    ["experiment=broken"],
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[list[Path], list[Path]]:
    """The folders of a lab with files of its own, and the shipped ones."""
    lab = tmp_path_factory.mktemp("lab")
    for name, text in {
        "conf/judge/mine.yaml": "defaults: [prompted]\nreasoning: cot\n",
        "conf/judge/always_pass.yaml": "defaults: [constant]\nverdict: fail\n",
        "experiments/mine.yaml": "defaults: [override /demos: nearest]\nlimit: 7\n",
        "experiments/broken.yaml": "defaults: [override /demos: nope]\n",
    }.items():
        (lab / name).parent.mkdir(parents=True, exist_ok=True)
        (lab / name).write_text(text)
    return [lab / "conf", ROOT / "conf"], [lab / "experiments", ROOT / "experiments"]


@pytest.fixture
def hydras(folders, monkeypatch) -> Iterator[Composer]:
    """What Hydra's public API gives, without its own settings."""
    (main, *rest), recipes = folders
    plugins = Plugins.instance()  # fills the store when it is made
    store = ConfigStore.instance()
    monkeypatch.setattr(store, "repo", copy.deepcopy(store.repo))
    store.store(name="run_schema", node=RunConfig)
    for path in (path for folder in reversed(recipes) for path in sorted(folder.glob("*.yaml"))):
        store.store(
            group="experiment", name=path.stem, node=OmegaConf.load(path), package="_global_"
        )

    class Folders(SearchPathPlugin):
        def manipulate_search_path(self, search_path: Any) -> None:
            for folder in rest:
                search_path.append("judgelab", str(folder))

    def run(overrides: list[str]) -> tuple[Any, dict[str, Any]]:
        config = compose("run", overrides, return_hydra_config=True)
        choices = OmegaConf.to_container(config.hydra.runtime.choices)
        OmegaConf.set_struct(config, False)
        del config["hydra"]
        OmegaConf.set_struct(config, True)
        return config, {k: v for k, v in choices.items() if "hydra" not in k}

    GlobalHydra.instance().clear()
    plugins.register(Folders)
    try:
        with initialize_config_dir(str(main), version_base="1.3"):
            yield run
    finally:
        plugins.plugin_type_to_subclass_list[SearchPathPlugin].remove(Folders)


@pytest.fixture(scope="module")
def loader(folders) -> Loader:
    """One for all tests: what was composed before must not show."""
    return Loader(*folders, RunConfig)


def shown(composer: Composer, overrides: list[str]) -> Any:
    """A config with its interpolations and choices in their order, or the message."""
    try:
        config, choices = composer(overrides)
    except (HydraException, OmegaConfBaseException) as error:
        return str(error).split("Config search path")[0] or str(error.__cause__)
    plain = OmegaConf.to_yaml(config)
    return plain, {key: str(choice) for key, choice in choices.items()}, list(choices)


@pytest.mark.parametrize("overrides", [*VALUES, *([o] for o in [*OPTIONS, *RECIPES])], ids=str)
def test_a_config_is_as_hydra_composes_it(hydras, loader, overrides):
    expected = shown(hydras, overrides)
    assert shown(loader.compose, overrides) == expected
    assert shown(loader.compose, overrides) == expected, "again, from what was read before"


@pytest.mark.parametrize("overrides", MISTAKES, ids=str)
def test_a_mistake_is_as_hydra_says_it(hydras, loader, overrides):
    said = shown(hydras, overrides)
    assert isinstance(said, str)
    assert shown(loader.compose, overrides) == said


def test_changing_a_config_changes_no_other(loader):
    first, choices = loader.compose(["demos.k=3"])
    OmegaConf.update(first, "demos.k", 99)
    first.judge = None
    choices["demos"] = "gone"
    second, known = loader.compose(["demos.k=3"])
    assert (second.demos.k, second.judge.rubric) == (3, "from_critiques")
    assert known["demos"] == "balanced"
    assert loader.compose([])[0].demos.k == 4


def test_a_grid_reads_each_yaml_and_composes_each_choice_once(loader, monkeypatch):
    fresh = copy.copy(loader)
    fresh._chosen = {}
    composed: list[list[str]] = []
    choose = Loader._choose

    def counting(self: Loader, choosing: Any) -> Any:
        composed.append([one.input_line for one in choosing])
        return choose(self, choosing)

    monkeypatch.setattr(Loader, "_choose", counting)
    monkeypatch.setattr(OmegaConf, "load", lambda *file: pytest.fail("read again"))
    loader.compose(["demos=balanced"])
    loader.compose(["demos=nearest"])
    for demos in ("balanced", "nearest"):
        for k in range(10):
            config, _ = fresh.compose([f"demos={demos}", f"demos.k={k}"])
            assert config.demos.k == k
    assert composed == [["demos=balanced"], ["demos=nearest"]]
