"""Every yaml in conf/ and experiments/ is alive; a lab's own come first; mistakes are explained."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from judgelab import axes, plans
from judgelab import config as configs
from judgelab.data.dimensions import Dimensions
from judgelab.data.schema import DatasetConfig
from judgelab.data.split import SplitConfig
from judgelab.demos.base import DemoSelector
from judgelab.errors import ConfigError
from judgelab.generate.systems.base import System
from judgelab.judges.base import Judge
from judgelab.judges.constant import ConstantJudge
from judgelab.keys import Search
from judgelab.models.base import Model
from judgelab.optimizers.base import Optimizer
from judgelab.tracking.mlflow import MLflowTracking
from labs import Lab

ROOT = Path(__file__).parents[1]
CONTRACTS: dict[str, type] = {
    "dataset": DatasetConfig,
    "split": SplitConfig,
    "judge": Judge,
    "model": Model,
    "demos": DemoSelector,
    "tracking": MLflowTracking,
    "optimizer": Optimizer,
    "search": Search,
    "dimensions": Dimensions,
    "system": System,
}
# What every yaml of a group accepts, used or not.
COMMON = {
    "judge": {"rubric", "template", "reasoning", "context", "repeats"},
    "demos": {"k", "seed", "show"},
    "optimizer": {"budget", "seed"},
    "system": {"name", "concurrency", "timeout", "retries"},
    "search": {"sampler", "trials", "parallel", "race", "storage", "seed", "metric", "floors"},
    "model": {
        *("name", "base_url", "temperature", "max_tokens", "reasoning_effort"),
        *("concurrency", "timeout", "retries", "price"),
        *("requests_per_minute", "tokens_per_minute", "context_window"),
    },
}
# The option of a group that means "no such part" builds nothing.
EMPTY = {("model", "none"), ("tracking", "none"), ("optimizer", "none")}
EMPTY |= {("dimensions", "none"), ("system", "none")}
EMPTY |= {("search", name) for name in ("grid", "random", "tpe")}  # settings, no part
# What a yaml leaves to the user.
NEEDED = {
    ("demos", "chosen"): ["demos.ids=[a,b]"],
    ("judge", "recorded"): ["judge.path=verdicts.jsonl"],
    ("judge", "panel"): ["judge.members=[{rubric: generic},{demos: nearest}]"],
    ("judge", "cascade"): ["judge.cheap={demos: none}", "judge.dear={reasoning: cot}"],
    ("model", "openai_compatible"): ["model.name=m", "model.base_url=http://127.0.0.1:1/v1"],
    ("model", "litellm"): ["model.name=openai/m"],
    ("model", "vllm"): ["model.name=m"],
    ("system", "python"): ["system.call=json.loads"],
    ("system", "http"): ["system.url=http://127.0.0.1:1/answer"],
    ("system", "command"): ["system.command=[cat]"],
    **{
        ("dataset", name): ["dataset.path=data.file", "model=neighbours"]
        for name in ("jsonl", "csv", "xlsx", "parquet", "aligneval", "traces")
    },
}
YAMLS = sorted((path.parent.name, path.stem) for path in ROOT.glob("conf/*/*.yaml"))
RECIPES = sorted((ROOT / "experiments").glob("*.yaml"))


@pytest.fixture
def lab(tmp_path, monkeypatch) -> Lab:
    monkeypatch.setenv("JUDGELAB_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return Lab(tmp_path)


def compose(*overrides: str) -> configs.Composed:
    with configs.hydra():
        return configs.compose(overrides)


def part(group: str, *overrides: str) -> Any:
    composed = compose(*overrides)
    return configs.build(configs.resolved(composed.config[group]), CONTRACTS[group], group)


def test_every_group_has_a_contract():
    assert {group for group, _ in YAMLS} == set(CONTRACTS)
    assert len(YAMLS) > 25


@pytest.mark.parametrize(("group", "name"), YAMLS, ids=lambda word: word)
def test_every_yaml_composes_and_builds_to_its_contract(lab, group, name):
    lab.write("verdicts.jsonl", '{"id": "a", "verdict": "pass"}\n')
    node = configs.resolved(
        compose(f"{group}={name}", *NEEDED.get((group, name), [])).config[group]
    )
    assert COMMON.get(group, set()) <= set(node or {}), "axes multiply freely"
    if (group, name) in EMPTY:
        assert "_target_" not in (node or {})
    else:
        assert isinstance(configs.build(node, CONTRACTS[group], group), CONTRACTS[group])


@pytest.mark.parametrize(("group", "name"), sorted(NEEDED), ids=lambda word: word)
def test_what_a_yaml_leaves_open_is_asked_for_by_its_key(lab, group, name):
    key = NEEDED[group, name][0].split("=")[0]
    others = [o for o in NEEDED[group, name] if not o.startswith(f"{key}=")]
    with pytest.raises(ConfigError, match=rf"^{re.escape(key)} has no value yet: give it as"):
        part(group, f"{group}={name}", *others)


@pytest.mark.parametrize("path", sorted(ROOT.glob("conf/**/*.yaml")), ids=lambda p: p.stem)
def test_every_yaml_begins_with_what_it_is(path):
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert re.match(r"# \S.{15,}", first), first


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_begins_with_its_question_and_its_command(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = " ".join(
        line.removeprefix("#").strip()
        for line in lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]
    )
    asked = comment.index("?")
    command = comment.index(f"judgelab run experiment={path.stem}")
    assert 20 < asked < command, "the question comes first, then the command that answers it"
    assert comment[0].isupper()


@cache
def planned(recipe: str) -> plans.Plan:
    return plans.plan([f"experiment={recipe}"], multirun=False)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_plans_and_its_variants_build(path):
    plan = planned(path.stem)
    assert plan.is_sweep
    assert len(plan.variants) >= 3
    assert len({variant.name for variant in plan.variants}) == len(plan.variants)
    for variant in plan.variants:
        configs.build(variant.judge, Judge, "judge")


def test_at_least_three_recipes_run_offline():
    offline = 0
    for path in RECIPES:
        models = [variant.judge.get("model") for variant in planned(path.stem).variants]
        offline += all(m is None or "Neighbours" in m["_target_"] for m in models)
    assert offline >= 3


def test_a_users_own_files_come_before_the_shipped_ones(lab):
    lab.write(
        "conf/judge/mine.yaml",
        "# mine\n_target_: judgelab.judges.constant.ConstantJudge\nverdict: fail\n",
    )
    lab.write("conf/judge/always_pass.yaml", "defaults: [constant]\nverdict: fail\n")
    lab.write("prompts/rubrics/mine.md", "Pass what is short.\n")
    lab.write("prompts/rubrics/generic.md", "Mine now.\n")
    lab.write("experiments/mine.yaml", "limit: 7\njudge: {rubric: mine}\n")
    lab.write("experiments/code_or_model.yaml", "limit: 8\n")

    mine = part("judge", "judge=mine")
    assert isinstance(mine, ConstantJudge)
    assert mine.verdict == "fail"
    assert part("judge", "judge=always_pass").verdict == "fail"
    recipe = compose("experiment=mine")
    assert (recipe.config.limit, recipe.config.judge.rubric) == (7, "mine")
    built = part("judge", "experiment=mine")
    assert built.texts()["rubric.md"] == "Pass what is short."
    assert part("judge", "judge.rubric=generic").texts()["rubric.md"] == "Mine now."
    assert compose("experiment=code_or_model").config.limit == 8
    # The shipped ones are still there, and `--cfg` says where each choice came from.
    assert part("judge", "judge=always_fail").verdict == "fail"
    shown = lab("run", "--cfg", "judge=mine", "demos=nearest", "experiment=mine").out
    assert f"# judge=mine: {lab.folder}/conf/judge/mine.yaml" in shown
    assert f"# experiment=mine: {lab.folder}/experiments/mine.yaml" in shown
    assert f"# demos=nearest: {ROOT}/conf/demos/nearest.yaml" in shown
    assert OmegaConf.create(shown).judge.verdict == "fail"


def test_one_lab_does_not_leak_into_the_next(lab, tmp_path, monkeypatch):
    lab.write("experiments/mine.yaml", "limit: 7\n")
    assert compose("experiment=mine").config.limit == 7
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("JUDGELAB_HOME", str(tmp_path / "other"))
    with pytest.raises(ConfigError, match="experiment/mine"):
        compose("experiment=mine")


MISTAKES = {
    "top level": ("sede=4", r"^sede: no such key\. Allowed: .*\blimit, seed\."),
    "top level, added": ("+foo=1", r"^foo: no such key\. Allowed: .*\bseed\."),
    "in a group": ("demos.kk=4", r"^demos\.kk: no such key\. Allowed in demos: k, seed, show\."),
    "in a group, added": ("+judge.rubrik=a", r"^judge: .*'rubrik'.*Allowed: rubric, template"),
    "in scores": ("scores.polic=error", r"^scores\.polic: no such key.*Allowed in scores: policy"),
    "option": (
        "demos=nope",
        r"demos/nope.*'demos': balanced chosen diverse hard nearest none random$",
    ),
    "recipe": ("experiment=nope", r"experiment/nope.*code_or_model"),
    "rubric": ("judge.rubric=nope", r"no prompts/rubrics/nope\.md\. There are: .*generic.*Write "),
    "template": ("judge.template=nope", r"no prompts/templates/nope\.j2\. There are: judge"),
    "number": ("demos.k=many", r"^demos\.k='many': int is needed"),
    "no whole number": ("demos.k=4.5", r"^demos\.k=4\.5: int is needed"),
    "empty": ("demos.k=", r"^demos\.k='': int is needed"),
    "repeats": ("judge.repeats=1.5", r"^judge\.repeats=1\.5: int is needed"),
    "null": ("judge.repeats=null", r"^judge\.repeats=None: int is needed"),
    "a text like a number": ("judge.rubric=7", r"^judge\.rubric=7: str .*stands in quotes"),
    "out of range": ("demos.k=-1", r"demos\.k must be >= 0, got -1"),
    "not of the list": ("judge.reasoning=x", r"reasoning must be one of .*'cot'.* got 'x'"),
    "target": ("judge._target_=nope.Judge", r"^judge\._target_: cannot import 'nope.Judge'"),
    "target no class": (
        "demos._target_=judgelab.__version__",
        r"^demos\._target_: .*not.*callable",
    ),
    "target built in": ("demos._target_=builtins.dict", r"^demos\._target_: .*Give a class"),
    "target of another kind": (
        "judge._target_=judgelab.judges.constant.ConstantJudge",
        r"^judge: .*ConstantJudge does not take this: .*Allowed: verdict",
    ),
    "limit": ("limit=many", r"limit.*'many'.*Integer"),
    "nothing to judge": ("limit=0", r"^limit=0: a number of items from 1"),
    "backwards": ("limit=-3", r"^limit=-3: a number of items from 1"),
    "model": (
        "dataset=jsonl",
        r"^model= is not chosen.*openai_compatible.*neighbours runs offline",
    ),
    "split": ("split.mode=x", r"split\.mode=x: allowed are auto, cv, holdout"),
    "ratios": ("split.ratios.train=0.9", r"split\.ratios=.*sum to 1"),
    "policy": ("scores.policy=x", r"scores\.policy=x .*error, as_fail, as_pass, exclude"),
    "no value": ("demos.k", r"'demos\.k'.*key=value"),
    "interpolation": ("judge.rubric=${nope}", r"judge\.rubric: .*'nope' not found"),
}


@pytest.mark.parametrize(("override", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_says_what_is_wrong_and_what_is_allowed(lab, override, message):
    done = lab("run", "tracking=none", override)
    assert done.code == 2, done.err
    said = done.message.removeprefix("judgelab: ").strip()
    assert re.search(message, said, re.DOTALL), said
    assert not re.search("hydra.cc|full_key|object_type|search path|Traceback", done.err), said
    assert not lab.runs


KEYS = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "gemini": "GEMINI_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
}


@pytest.mark.parametrize(("name", "variable"), KEYS.items(), ids=KEYS)
def test_a_provider_without_its_key_is_one_message_that_names_it(lab, monkeypatch, name, variable):
    monkeypatch.delenv(variable, raising=False)
    done = lab("run", f"model={name}", "tracking=none")
    assert done.code == 2, done.err
    assert f"set the environment variable {variable}" in done.message
    assert "Traceback" not in done.err
    assert not lab.runs
    first = (ROOT / f"conf/model/{name}.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert variable in first, "the first comment says where the key comes from"


@pytest.mark.parametrize("name", ["openai", "anthropic", "gemini", "openrouter"])
def test_a_price_says_when_it_was_read(lab, name):
    price = part("model", f"model={name}").price
    assert price.input > 0
    assert price.output > 0
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", str(price.date))


@pytest.mark.parametrize("target", ["openai_compatible.OpenAICompatible", "litellm.LiteLLM"])
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.requests_per_minute=0", r"requests_per_minute must be above 0, or null.*got 0"),
        ("model.tokens_per_minute=-1", r"tokens_per_minute must be above 0, or null.*got -1"),
        ("model.context_window=0", r"context_window must be above 0, or null.*got 0"),
        ("model.timeout=0", r"timeout > 0, got .*\b0"),
        ("model.concurrency=0", r"concurrency must be >= 1.*got 0"),
        ("model.requests_per_minute=many", r"^model\.requests_per_minute='many': int or null"),
        ("model.context_window=1.5", r"^model\.context_window=1\.5: int or null is needed"),
        ("model.temperature=warm", r"^model\.temperature='warm': float or null is needed"),
        ("model.timeout=null", r"^model\.timeout=None: float is needed"),
        ("+model.request_per_minute=3", r"^model: .*does not take.*Allowed: name, .*\bseed, .*"),
        ("+model.common=3", r"^model: .*does not take this: .*'common'"),
        ("model.base_url=http://me:pw@h/v1", r"^model\.base_url holds a user, a password"),
    ],
)
def test_the_arguments_that_models_share_are_checked(lab, target, override, message):
    """They are said once, as `**common`, and are named and checked like all others."""
    needed = ["model=openai_compatible", "model.name=openai/m", "model.base_url=http://h/v1"]
    if "litellm" in target:
        needed = ["model=litellm", "model.name=openai/m"]
    with pytest.raises(ConfigError, match=message):
        part("model", *needed, override)


def test_limits_change_no_judge_and_a_context_window_does(lab):
    def identity(*overrides: str) -> str:
        node = configs.resolved(compose("model=ollama", *overrides).config.judge)
        return configs.variant_id(configs.variant_of(node))

    assert identity("model.requests_per_minute=9", "model.tokens_per_minute=9") == identity()
    assert identity("model.context_window=9") != identity()


def test_a_failure_to_build_names_the_yaml(lab):
    path = lab.write("conf/judge/mine.yaml", "defaults: [prompted]\nrubrik: generic\n")
    said = lab("run", "judge=mine", "tracking=none").message
    assert f"(judge=mine is {path})" in said
    assert "Allowed: rubric, template" in said
    data = lab.write("conf/dataset/mine.yaml", "defaults: [jsonl]\npath: x.jsonl\nlabls: {}\n")
    said = lab("run", "dataset=mine", "model=neighbours", "tracking=none").message
    assert "'labls'" in said
    assert f"(dataset=mine is {data})" in said


RECIPE = "experiments/mine.yaml"
BROKEN = {
    "judge": ("conf/judge/mine.yaml", "a: [b\n", r"conf/judge/mine\.yaml"),
    "recipe": (RECIPE, "a: [b\n", r"experiments/mine\.yaml"),
    "recipe of lists": (RECIPE, "- a\n", r"experiments/mine\.yaml.*mapping"),
    "misspelt in a recipe": (RECIPE, "sede: 1\n", r"experiment/mine'.*sede: no such key.*seed"),
    "unknown option": (RECIPE, "defaults: [override /judge: nope]\n", r"judge/nope.*prompted"),
    "no axis": (RECIPE, "axes: {split.seed: '1,2'}\n", r"split\.seed cannot be an axis"),
    "misspelt axis": (RECIPE, "axes: {demos.kk: '1,2'}\n", r"demos\.kk: no such key.*k, seed"),
    "axes below each other": (RECIPE, "axes: {demos: {k: [1, 2]}}\n", r"write `demos\.k: a,b`"),
    "axes as a list": (RECIPE, "axes: [demos.k]\n", r"experiment/mine"),
    "axes as a word": (RECIPE, "axes: demos\n", r"experiment/mine.*axes"),
}


@pytest.mark.parametrize(("name", "text", "named"), BROKEN.values(), ids=BROKEN)
def test_a_broken_yaml_is_one_message_that_names_it(lab, name, text, named):
    lab.write(name, text)
    done = lab("run", "tracking=none", "experiment=mine" if name == RECIPE else "judge=mine")
    assert done.code == 2, done.err
    assert re.search(named, done.message), done.message


@pytest.mark.parametrize("name", ["conf/judge/mine.yaml", "experiments/mine.yaml"])
def test_a_yaml_in_another_encoding_is_named(lab, name):
    path = lab.write(name, "")
    path.write_bytes("# Qualität\nlimit: 3\n".encode("latin-1"))
    done = lab("run", "tracking=none", "judge=mine")
    assert done.code == 2
    assert str(path) in done.message


def test_axes_of_a_recipe_in_every_spelling(lab):
    lab.write(
        "experiments/mine.yaml",
        "defaults: [override /demos: nearest]\n"
        "axes: {demos.k: [1, 2], judge.rubric: 'generic', judge.reasoning: none,"
        " demos.show: [label]}\nbaselines: []\n",
    )
    plan = plans.plan(["experiment=mine"], multirun=False)
    assert plan.axes == {
        "demos.k": ["1", "2"],
        "judge.rubric": ["generic"],
        "judge.reasoning": ["none"],
        "demos.show": ["label"],
    }
    given = plans.plan(["experiment=mine", "demos.k=4"], multirun=False)
    assert "demos.k" not in given.axes, "a value on the command line replaces the recipe's axis"
    assert {variant.judge["demos"]["k"] for variant in given.variants} == {4}


def test_hydras_grammar_of_sweeps(lab):
    with configs.hydra():
        fixed, found = axes.expand(
            shlex.split("limit=3 demos.k=range(1,4) demos=choice(none,nearest) judge=glob(always*)")
        )
    assert fixed == ["limit=3"]
    assert found == {
        "demos.k": ["1", "2", "3"],
        "demos": ["none", "nearest"],
        "judge": ["always_fail", "always_pass"],
    }
    assert axes.grid({"a": ["1", "2"], "b": ["3", "4"]}) == [
        {"a": "1", "b": "3"},
        {"a": "1", "b": "4"},
        {"a": "2", "b": "3"},
        {"a": "2", "b": "4"},
    ]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("demos.k=interval(1,3)", "takes lists"),
        ("judge.rubric=glob(*)", r"judge\.rubric=glob\(\*\): matches no option.*A list"),
        ("dataset=sample,jsonl", "dataset cannot be an axis.*judge, demos, model"),
        ("seed=1,2", "seed cannot be an axis"),
    ],
)
def test_what_cannot_be_an_axis_says_why(lab, override, message):
    with pytest.raises(ConfigError, match=message):
        plans.plan([override], multirun=True)


def test_an_axis_without_m_asks_for_it(lab):
    with pytest.raises(ConfigError, match=r"demos\.k has several values \(4, 8\).*add -m"):
        plans.plan(["demos.k=4,8"], multirun=False)
