"""Variants: what makes two judges the same, and what a person calls each."""

from __future__ import annotations

import pytest

from judgelab import config as configs
from judgelab import plans, variants
from labs import Lab

HTTP = ["model=openai_compatible", "model.name=m", "model.base_url=http://127.0.0.1:1/v1"]


@pytest.fixture(autouse=True)
def lab(tmp_path, monkeypatch) -> Lab:
    monkeypatch.setenv("JUDGELAB_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return Lab(tmp_path)


def plan(*overrides: str) -> plans.Plan:
    return plans.plan(overrides, multirun=True)


def names(*overrides: str) -> list[str]:
    return [variant.name for variant in plan(*overrides, "baselines=[]").variants]


def one(*overrides: str) -> variants.Variant:
    with configs.hydra():
        return variants.single(configs.compose(overrides))


def identity(*overrides: str) -> str:
    return one(*overrides).id


def test_equal_variants_run_once_and_it_is_said():
    made = plan("demos=none,balanced", "demos.k=2,4", "baselines=[]")
    assert [variant.name for variant in made.variants] == ["none", "balanced k=2", "balanced k=4"]
    assert made.equal == ["demos=none, demos.k=4 is the same judge as none"]


def test_the_same_value_twice_is_one_variant():
    made = plan("demos.k=2,2", "baselines=[]")
    assert len(made.variants) == 1
    assert made.equal == ["demos.k=2 is the same judge as k=2"]


def test_two_names_for_one_judge_are_one_variant():
    made = plan("judge=constant,always_fail", "baselines=[]")
    assert [variant.name for variant in made.variants] == ["constant"]
    assert made.equal == ["judge=always_fail is the same judge as constant"]


def test_a_baseline_that_is_a_variant_too_runs_once_and_it_is_said():
    made = plan("judge=classifier,prompted", "baselines=[always_pass,classifier,always_pass]")
    assert [(v.name, v.baseline) for v in made.variants] == [
        ("classifier", False),
        ("prompted", False),
        ("always pass", True),
    ]
    assert made.equal == [
        "baseline classifier is the same judge as classifier",
        "baseline always pass is the same judge as always pass",
    ]


UNUSED = {
    "the offline model has no temperature": ["model.temperature=0.7", "model.max_tokens=9"],
    "no demonstrations": [["demos=none"], "demos.k=7", "demos.seed=3", "demos.show=label"],
    "nearest draws nothing": [["demos=nearest"], "demos.seed=3"],
    "a constant reads nothing": [["judge=constant"], "judge.rubric=generic", "judge.repeats=3"],
    "code reads no rubric": [["judge=assertion"], "judge.rubric=generic", "judge.reasoning=cot"],
    "a classifier has no model": [["judge=classifier"], "model=openai", "demos=nearest"],
    "how calls are sent": [HTTP, "model.concurrency=3", "model.timeout=9", "model.retries=0"],
    "prices and keys": [HTTP, "model.price={input:1,output:2}", "model.api_key_env=KEY"],
    "where results go": ["tracking=none", "budget.calls=9", "baselines=[]"],
}


@pytest.mark.parametrize("case", UNUSED.values(), ids=UNUSED)
def test_what_a_judge_does_not_use_does_not_change_it(case):
    base = case[0] if isinstance(case[0], list) else []
    before = identity(*base)
    for override in case[1:] if base else case:
        assert identity(*base, override) == before, override


USED = {
    "prompted": [
        [],
        *("judge.rubric=generic", "judge.reasoning=cot", "judge.context=[schema]"),
        *("judge.repeats=2", "demos.k=5", "demos.seed=1", "demos.show=label", "demos=nearest"),
        "judge=always_pass",
    ],
    "a real model": [
        HTTP,
        *("model.name=n", "model.temperature=0.7", "model.max_tokens=9", "model.structured=true"),
        *("model.endpoint=e", "model.base_url=http://127.0.0.1:2/v1"),
        *("model.reasoning_effort=low", "model.seed=1"),
    ],
    "constant": [["judge=constant"], "judge.verdict=pass"],
    "classifier": [["judge=classifier"], "judge.context=[schema]", "judge.seed=4"],
    "assertion": [["judge=assertion"], "judge.check=judgelab.types.sha256"],
}


@pytest.mark.parametrize("case", USED.values(), ids=USED)
def test_what_a_judge_uses_changes_it(case):
    base, *overrides = case
    ids = [identity(*base), *(identity(*base, override) for override in overrides)]
    assert len(set(ids)) == len(ids)


def test_a_moved_server_is_the_same_judge_where_its_endpoint_has_a_name():
    """Answers are stored under the endpoint's name, or else under the base URL."""
    named = [*HTTP, "model.endpoint=mine"]
    assert identity(*named) == identity(*named, "model.base_url=http://127.0.0.1:2/v1")
    assert identity(*HTTP) != identity(*HTTP, "model.base_url=http://127.0.0.1:2/v1")


def test_unused_keys_are_dropped_from_what_is_kept():
    variant = one("demos=nearest", "demos.seed=3", "model.temperature=0.7")
    assert set(variant.judge["demos"]) == {"_target_", "k", "show"}
    assert set(variant.judge["model"]) == {"_target_", "name"}
    constant = one("judge=constant")
    assert set(constant.judge) == {"_target_", "verdict"}
    assert constant.config["judge"] == constant.judge


def test_names_say_what_varies_and_no_more():
    assert names("demos=none,nearest", "demos.k=4,8") == ["none", "nearest k=4", "nearest k=8"]
    assert names("judge.reasoning=none,cot", "demos=nearest", "demos.k=8") == ["none", "cot"]
    assert names("demos.k=4,8", "judge.rubric=generic") == ["k=4", "k=8"]
    assert names("demos=nearest", "demos.show=critique,label", "judge.reasoning=none,cot") == [
        "none",
        "critique · cot",
        "label · cot",
    ]
    assert names("judge=classifier,prompted", "judge.repeats=1,2") == [
        "classifier",
        "repeats=1",
        "repeats=2",
    ]
    assert names(*HTTP[:1], HTTP[2], "model.name=a,b", "demos.k=8,8") == ["a · k=8", "b · k=8"]


def test_the_variant_of_a_single_run_is_named_by_what_people_vary_most():
    (single,) = plans.plan(["demos=nearest", "judge.reasoning=cot"], multirun=False).variants
    assert single.name == "nearest k=4 · cot · neighbours"
    assert one("judge=always_pass").name == "always_pass"


def test_axes_of_a_variant_are_those_it_uses():
    made = plan("demos=none,nearest", "demos.k=4,8", "baselines=[]").variants
    assert [dict(variant.axes) for variant in made] == [
        {"demos": "none"},
        {"demos": "nearest", "demos.k": "4"},
        {"demos": "nearest", "demos.k": "8"},
    ]


def test_a_baseline_is_its_yaml_whatever_is_said_of_the_judges(lab):
    lab.write("conf/judge/off_the_shelf.yaml", "defaults: [prompted]\nrubric: generic\n")
    lab.write(
        "experiments/mine.yaml",
        "defaults: [override /judge: assertion]\n"
        "judge: {check: judgelab.data.sample.query.valid_query, context: [schema]}\n"
        "baselines: [always_fail, off_the_shelf]\naxes: {judge.context: '[a],[b]'}\n",
    )
    made = plans.plan(["experiment=mine"], multirun=False).variants
    always, shelf = [variant for variant in made if variant.baseline]
    assert always.judge == {
        "_target_": "judgelab.judges.constant.ConstantJudge",
        "verdict": "fail",
    }
    assert (shelf.name, shelf.judge["rubric"]) == ("off the shelf", "generic")
    assert shelf.judge["context"] == "all"


def test_a_prompted_baseline_has_the_model_and_demos_of_the_command(lab):
    lab.write("conf/judge/off_the_shelf.yaml", "defaults: [prompted]\nrubric: generic\n")
    given = ["baselines=[off_the_shelf]", *HTTP, "demos=nearest", "judge.rubric=sample"]
    (shelf,) = [v for v in plan(*given, "judge.reasoning=none,cot").variants if v.baseline]
    assert shelf.judge["model"]["name"] == "m"
    assert shelf.judge["demos"]["_target_"].endswith("NearestDemos")
    assert (shelf.judge["rubric"], shelf.judge["reasoning"]) == ("generic", "critique")


def test_what_a_rerun_needs_is_kept_whole_and_nothing_secret(monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-123")
    variant = one(*HTTP, "model.api_key_env=MY_KEY", "limit=5", "seed=3")
    kept = variant.config
    assert kept["judge"]["model"]["api_key_env"] == "MY_KEY"
    assert "sk-123" not in str(kept)
    assert (kept["limit"], kept["split"]["seed"], kept["judge"]["demos"]["seed"]) == (5, 3, 3)
    assert kept["dataset"]["path"] == "sample:interactions.jsonl"
    assert kept["choices"]["demos"] == "balanced"
    assert not {"axes", "model", "demos"} & set(kept)
    assert configs.variant_id(kept["judge"]) == variant.id
