"""Members as they are typed: what they inherit, what they set, and which mistakes are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from judgelab import config as configs
from judgelab import members, plans
from judgelab.errors import ConfigError
from judgelab.judges.base import Judge
from labs import Lab

RUN = ("model=openai", "model.name=m", "model.temperature=0.5", "demos=diverse", "demos.k=6")


@pytest.fixture(autouse=True)
def lab(tmp_path, monkeypatch) -> Lab:
    monkeypatch.setenv("JUDGELAB_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return Lab(tmp_path)


def judge(*overrides: str) -> dict[str, Any]:
    """The judge's node, its members whole."""
    with configs.hydra():
        node: dict[str, Any] = configs.resolved(configs.compose(overrides).config.judge)
    configs.build(node, Judge, "judge")
    return node


def panel(typed: str, *overrides: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = judge("judge=panel", f"judge.members={typed}", *overrides)[
        "members"
    ]
    return found


def kind(node: dict[str, Any]) -> str:
    return str(node["_target_"]).rsplit(".", 1)[-1]


def test_a_member_that_says_nothing_is_the_prompted_judge_of_the_run() -> None:
    own = judge("judge=prompted", "judge.rubric=generic", "judge.reasoning=cot", *RUN)
    found = panel("[{},{}]", "judge.rubric=generic", "judge.reasoning=cot", *RUN)
    assert found == [own, own]


def test_what_it_sets_is_its_own() -> None:
    first, second, third, fourth = panel(
        "[{rubric: generic, reasoning: none, context: [], repeats: 3},"
        "{demos: nearest, demos.k: 2},{demos: {show: label}},{model: {temperature: 0.1}}]",
        *RUN,
    )
    assert (first["rubric"], first["reasoning"]) == ("generic", "none")
    assert (first["context"], first["repeats"]) == ([], 3)
    assert (kind(second["demos"]), second["demos"]["k"]) == ("NearestDemos", 2)
    assert (kind(third["demos"]), third["demos"]["k"]) == ("DiverseDemos", 6)
    assert (third["demos"]["show"], first["demos"]["show"]) == ("label", "critique")
    assert (fourth["model"]["temperature"], first["model"]["temperature"]) == (0.1, 0.5)
    assert {one["model"]["name"] for one in (first, second, third, fourth)} == {"m"}
    assert {one["repeats"] for one in (second, third, fourth)} == {1}


def test_another_model_has_its_own_settings_and_other_demos_the_common_ones() -> None:
    first, second = panel("[{model: anthropic},{demos: nearest}]", *RUN)
    plain = judge("model=anthropic", "demos=diverse", "demos.k=6")["model"]
    assert first["model"] == plain
    assert second["demos"]["k"] == 6


def test_a_member_is_any_kind_of_judge(lab: Lab) -> None:
    lab.write("verdicts.jsonl", '{"id": "a", "verdict": "pass"}\n')
    own = "_target_: judgelab.judges.constant.ConstantJudge\nverdict: fail\n"
    lab.write("conf/judge/mine.yaml", own)
    check = "judgelab.data.sample.query.valid_query"
    found = panel(
        f"[{{judge: assertion, check: {check}}},classifier,mine,"
        "{judge: recorded, path: verdicts.jsonl},"
        "{judge: panel, members: [{rubric: generic},"
        "{judge: cascade, cheap: classifier, dear: {}}]}]",
        "judge.rubric=sample",
        "judge.context=[question_id]",
        "model=neighbours",
    )
    kinds = ["Assertion", "Classifier", "Constant", "Recorded", "Panel"]
    assert [kind(one) for one in found] == [f"{name}Judge" for name in kinds]
    assert found[1]["context"] == ["question_id"]
    inner, cascade = found[4]["members"]
    assert (inner["rubric"], cascade["dear"]["rubric"]) == ("generic", "sample")
    places = [place for place, _ in members.inner(found[4])]
    assert places == ["members.0", "members.1"]


def test_a_yaml_and_a_recipe_of_the_lab_may_hold_them(lab: Lab) -> None:
    lab.write(
        "conf/judge/two.yaml",
        "# two\ndefaults: [panel]\nreasoning: cot\nmembers: [{rubric: generic}, classifier]\n",
    )
    lab.write(
        "experiments/mine.yaml",
        "# Which?\ndefaults:\n  - override /judge: panel\njudge:\n  rubric: generic\n"
        "  members: [{}, {demos: none}]\n  weights: [2, 1]\n",
    )
    node = judge("judge=two", "model=neighbours")
    assert [kind(one) for one in node["members"]] == ["PromptedJudge", "ClassifierJudge"]
    assert node["members"][0]["reasoning"] == "cot"
    recipe = judge("experiment=mine", "model=neighbours", "demos.k=2")
    assert [one["rubric"] for one in recipe["members"]] == ["generic"] * 2
    assert "members" not in recipe["members"][0]
    assert recipe["members"][0]["demos"]["k"] == 2
    assert recipe["weights"] == [2, 1]


def test_texts_with_any_character_come_through() -> None:
    name = "it's a \\ 'name', {with}: [all] = of #it ü \\"
    typed = "it\\'s a \\ \\'name\\', {with}: [all] = of #it ü \\\\"
    (first, second) = panel(
        f"[{{model.name: '{typed}'}},{{demos.seed: ${{limit}}, model.price: null}}]",
        *RUN,
        "limit=7",
    )
    assert first["model"]["name"] == name
    assert (second["demos"]["seed"], second["model"]["price"]) == (7, None)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("[{},{rubrik: a}]", r"^judge\.members\.1: judge\.rubrik: no such key\. Allowed in judge"),
        ("[{demos.kk: 1},{}]", r"^judge\.members\.0: demos\.kk: no such key\. Allowed in demos: "),
        ("[{model: {nam: x}},{}]", r"^judge\.members\.0: model\.nam: no such key\. Allowed in "),
        ("[{judge: nope},{}]", r"^judge\.members\.0: .*judge/nope.*assertion"),
        ("[{demos: nope},{}]", r"^judge\.members\.0: .*demos/nope"),
        ("[7,{}]", r"^judge\.members\.0: 7 is no member: give a choice of judge, or a mapping"),
        ("5", r"^judge\.members=5: a list of judges is needed"),
        ("[{judge: recorded},{}]", r"^judge\.members\[0\]\.path has no value yet: give it as"),
        ("[{repeats: 0},{}]", r"^judge\.members\[0\] .*: repeats must be >= 1, got 0"),
        ("[{demos.k: many},{}]", r"^judge\.members\[0\]\.demos\.k='many': int is needed"),
        ("[{}]", r"a panel has two judges or more, got 1"),
        ("[{judge: panel, members: [{kk: 1}]},{}]",
         r"^judge\.members\.0: judge\.members\.0: judge\.kk: no such key"),
    ],
)  # fmt: skip
def test_a_mistake_names_the_member_and_the_key(typed: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        panel(typed, *RUN)


def test_the_shell_says_it_in_one_line(lab: Lab) -> None:
    done = lab("run", "judge=panel", "judge.members=[{},{rubrik: a}]", "tracking=none")
    assert done.code == 2
    assert done.message.startswith("judgelab: judge.members.1: judge.rubrik: no such key.")
    missing = lab("run", "judge=panel", "tracking=none")
    assert "judge.members has no value yet: give it as judge.members=VALUE." in missing.message
    assert "members: ???" in lab("run", "--cfg", "judge=panel").out
    assert "members.0" not in lab("run", "--cfg", "judge=panel").out


def test_no_secret_comes_in_by_a_member(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    with configs.hydra():
        monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-of-the-test")
        with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
            configs.compose(
                ["judge=panel", "judge.members=[{model.name: sk-canary-of-the-test},{}]"]
            )


# --- variants


def variants(*overrides: str) -> plans.Plan:
    return plans.plan(["judge=panel", "baselines=[]", *overrides], multirun=True)


def test_an_axis_reaches_the_members_that_do_not_set_it() -> None:
    plan = variants(
        "judge.members=[{},{demos.k: 1}]", "demos.k=2,4", "judge.reasoning=critique,cot"
    )
    names = {variant.name for variant in plan.variants}
    assert names == {f"k={k} · {how}" for k in (2, 4) for how in ("critique", "cot")}
    ks = [[m["demos"]["k"] for m in v.judge["members"]] for v in plan.variants]
    assert ks == [[2, 1], [2, 1], [4, 1], [4, 1]]


def test_an_axis_that_reaches_none_makes_equal_variants() -> None:
    plan = variants("judge.members=[{demos.k: 1},classifier]", "demos.k=2,4")
    assert len(plan.variants) == 1
    said = "demos.k=4 is the same judge as panel · balanced · critique · neighbours"
    assert plan.equal == [said]


def test_members_are_an_axis() -> None:
    plan = variants("judge.members=[{},classifier],[{},assertion]")
    names = [variant.name for variant in plan.variants]
    assert names == ["members=[{},classifier]", "members=[{},assertion]"]


def test_equal_panels_are_one_variant_whatever_was_typed() -> None:
    plan = variants("judge.members=[{},classifier],[{rubric: from_critiques},{judge: classifier}]")
    assert len(plan.variants) == 1


def test_the_weights_and_the_order_tell_panels_apart() -> None:
    plan = variants("judge.members=[{},classifier],[classifier,{}]", "judge.weights=null,[2,1]")
    assert len(plan.variants) == 4
    assert len({variant.name for variant in plan.variants}) == 4


def test_how_calls_are_sent_is_no_part_of_a_panel() -> None:
    base = ("judge=panel", "judge.members=[{},{model: {name: a}}]", *RUN)

    def identity(*more: str) -> str:
        (variant,) = plans.plan([*base, *more], multirun=False).variants
        return variant.id

    assert identity() == identity("model.concurrency=3")
    assert identity() != identity("model.name=b")


def test_one_run_is_named_by_what_its_members_have_from_it() -> None:
    (variant,) = plans.plan(
        ["judge=panel", "judge.members=[{demos: nearest},{judge: classifier}]", *RUN],
        multirun=False,
    ).variants
    assert variant.name == "panel · k=6 · critique · m"
    (other,) = plans.plan(
        ["judge=cascade", "judge.cheap={}", "judge.dear={model: anthropic}", *RUN], multirun=False
    ).variants
    assert other.name == "cascade · diverse k=6 · critique · m"
    assert json.loads(json.dumps(other.judge)) == other.judge
    assert not Path("runs").exists()
