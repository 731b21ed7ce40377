"""What a sweep tries: random draws and Optuna's ask and tell, the same in every process."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from judgelab import config as configs
from judgelab import plans, search
from judgelab.axes import Span
from judgelab.errors import ConfigError
from judgelab.search import Space
from judgelab.study import Study
from labs import Lab

AXES = {
    "demos": ["none", "balanced", "nearest"],
    "demos.k": Span(1, 16, whole=True),
    "judge.context": ["all", "[schema]"],
}


@pytest.fixture
def lab(tmp_path, monkeypatch) -> Lab:
    monkeypatch.setenv("JUDGELAB_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return Lab(tmp_path)


def space(**axes) -> Space:
    return Space([], axes or AXES)


def score(variant) -> float:
    """The more demonstrations the better, nearest best."""
    demos = variant.judge["demos"]
    return demos.get("k", 0) + 20 * ("nearest" in demos["_target_"])


def asked(study: Study, most: int | None = None, parallel: int = 1) -> list[str]:
    """The names that a study asks for; results come `parallel` trials late."""
    names, waiting = [], []
    for trial in study.ask():
        names.append(trial.variant.name)
        waiting.append(trial)
        if len(waiting) == parallel:
            oldest = waiting.pop(0)
            study.tell(oldest, score(oldest.variant))
        if len(names) == most:
            break
    return names


def study(storage: str | None = None, trials: int = 14, **axes) -> Study:
    return Study(space(**axes), trials, seed=0, name="a study", storage=storage)


def test_an_axis_that_the_other_choices_leave_no_place_for_is_not_drawn(lab):
    with configs.hydra():
        found = search.draws(space(), 12, seed=1).variants.values()
    assert len(found) == 12
    kinds = {variant.axes["demos"]: variant for variant in found}
    assert "demos.k" not in kinds["none"].axes
    assert 1 <= int(kinds["nearest"].axes["demos.k"]) <= 16
    assert sum(variant.axes["demos"] == "none" for variant in found) <= 2, "two contexts, no more"


def test_random_draws_are_those_of_the_seed_and_end_where_the_axes_do(lab):
    with configs.hydra():
        names = [list(search.draws(space(), 9, seed).variants) for seed in (0, 0, 1)]
        assert names[0] == names[1] != names[2]
        few = search.draws(space(**{"demos.k": ["1", "2"]}), 50, seed=0)
    assert len(few.variants) == 2


@pytest.mark.slow
def test_tpe_begins_with_the_first_choices_and_goes_where_the_score_is_better(lab):
    with configs.hydra():
        names = asked(study(trials=30))
        assert names[0] == "none · context=all"
        assert len(set(names)) == 30
        late = names[15:]
    assert sum(name.startswith("nearest") for name in late) > len(late) * 0.6


def test_what_tpe_asks_for_depends_on_the_seed_alone(lab):
    with configs.hydra():
        here = asked(study(), parallel=3)
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import json, test_search as t;"
        "from judgelab import config;"
        "c = config.hydra(); c.__enter__(); print(json.dumps(t.asked(t.study(), parallel=3)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout.splitlines()[-1]) == here


def test_a_study_that_was_left_goes_on_as_if_it_had_not_been(lab):
    with configs.hydra():
        whole = asked(study())
        first = asked(study("studies/a.journal"), most=7)
        again = asked(study("studies/a.journal"))
    assert first == whole[:7]
    assert again == whole
    assert (lab.folder / "studies/a.journal").is_file()


def test_a_trial_that_was_never_told_is_told_by_who_takes_the_study_up(lab):
    with configs.hydra():
        one = study("a.journal")
        trials = one.ask()
        left = [next(trials), next(trials)]
        one.tell(left[1], 3.0)
        other = study("a.journal")
        names = asked(other, most=4)
        assert names[:2] == [trial.variant.name for trial in left]
        assert other._study.trials[0].value == score(left[0].variant)
        assert other._study.trials[1].value == 3.0, "what was told stays"


def test_floors_failures_and_stops_reach_the_study(lab):
    from optuna.trial import TrialState

    with configs.hydra():
        one = study()
        trials = one.ask()
        one.tell(next(trials), 0.4, {"recall_fail": 0.1})
        one.tell(next(trials), None)
        one.tell(next(trials), 0.2, seen=30)
        one.tell(next(trials), None, {"recall_fail": 1.0}, seen=3)
    told = one._study.trials
    assert told[0].constraints == {"recall_fail": 0.1}
    assert told[1].state is TrialState.FAIL
    assert (told[2].state, told[2].intermediate_values) == (TrialState.PRUNED, {30: 0.2})
    assert (told[3].state, told[3].intermediate_values) == (TrialState.PRUNED, {})


@pytest.mark.slow
def test_tpe_keeps_away_from_what_was_stopped(lab):
    """Where it was told as failed, which says nothing to it, it comes back to it more often."""

    def late(seed: int, **stop: Any) -> int:
        one, names = study(trials=30), []
        one.seed = seed
        for trial in one.ask():
            names.append(trial.variant.name)
            if "nearest" in trial.variant.name:
                one.tell(trial, **stop)
            else:
                one.tell(trial, 0.5)
        return sum(name.startswith("nearest") for name in names[15:])

    with configs.hydra():
        stopped, failed = late(0, value=0.1, seen=10), late(0, value=None)
    assert 3 * stopped < failed


def test_lists_that_rise_evenly_are_numbers_to_tpe(lab):
    with configs.hydra():
        one = study(trials=3, **{"demos.k": ["2", "4", "6", "8"]})
        asked(one)
    distribution = one._study.trials[0].distributions["demos.k"]
    assert (distribution.low, distribution.high, distribution.step) == (2, 8, 2)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["demos.k=interval(1,8)"], "not an interval. Intervals are for search=random"),
        (["search=tpe", "demos.k=interval(8,1)"], "goes from low to high"),
        (["search=tpe", "demos.k=tag(log,interval(0,1))"], "above 0"),
        (["search=tpe", "demos.k=1,2", "search.storage=x"], "search.storage=x: null"),
        (["search=tpe", "demos.k=1,2", "search.storage=env:NONE"], "NONE is not set"),
        (["search=tpe", "demos.k=1,2", "search.storage='pg://u:pw@h/d'"], "holds a password"),
        (["search=random", "demos.k=1,2", "search.trials=0"], "search.trials=0: a number from 1"),
        (["demos.k=1,2", "search.alpha=1"], "search.alpha=1.0: a probability"),
        (["demos.k=1,2", "search.sampler=cma"], "allowed are grid, random, tpe"),
    ],
)
def test_a_search_that_cannot_be_followed_says_so(lab, overrides, said):
    with pytest.raises(ConfigError, match=re.escape(said)) as raised:
        plans.plan(overrides, multirun=True)
    assert "pw" not in str(raised.value)


def test_races_are_run_where_calls_cost_money_unless_told_otherwise():
    free = {"model": {"price": None}}
    dear = {"model": {"price": {"input": 1.0}}}
    assert search.race({"race": None}, [free]) == "off"
    assert search.race({"race": None}, [free, {"members": [dear]}]) == "safe"
    assert search.race({"race": "off"}, [dear]) == "off"
    assert search.race({"race": False}, [dear]) == "off", "off is a truth in a yaml"
    with pytest.raises(ConfigError, match=r"search\.race=quick: allowed are off, safe, fast"):
        search.race({"race": "quick"}, [free])


@pytest.mark.parametrize(
    ("axes", "race"),
    [
        (["model=neighbours,openai"], "safe"),
        (["judge=assertion,prompted", "model=neighbours,openai"], "safe"),
        (["judge=assertion,panel", "judge.members=[{},{demos: none}],[{},{model: openai}]"],
         "safe"),
        (["model=openai,neighbours", "model.price=null"], "off"),
        (["judge=assertion,prompted", "demos.k=interval(1,8)"], "off"),
        (["model=openai_compatible", "model.name=m", "model.base_url=http://127.0.0.1:1/v1",
          "demos.k=1,2", "model.price=null,{input: 1.0, output: 1.0}"], "safe"),
    ],
)  # fmt: skip
def test_a_study_is_raced_from_its_first_trial_where_any_of_its_models_costs(lab, axes, race):
    plan = plans.plan(["search=tpe", *axes], multirun=True)
    assert plan.race == race
    assert not search.paid(plan.variants[0].judge), "not seen from the first"


def test_an_interval_holds_whole_numbers_where_the_key_does(lab):
    plan = plans.plan(
        ["search=random", "search.trials=2", "demos.k=interval(1,8)",
         "model.temperature=interval(0,1)", "model=openai_compatible", "model.name=m",
         "model.base_url=http://127.0.0.1:1/v1"], multirun=True,
    )  # fmt: skip
    assert plan.axes["demos.k"] == Span(1, 8, whole=True)
    assert plan.axes["model.temperature"] == Span(0, 1)


def test_a_sweep_by_tpe_ends_in_a_leaderboard_and_is_found_again(lab):
    words = ["-m", "search=tpe", "search.trials=6", "demos=none,random,nearest",
             "demos.k=interval(1,8)", "search.floors.recall_fail=null", "limit=40"]  # fmt: skip
    done = lab.run(*words, "--json")
    cards = json.loads(done.out)
    runs = {card["run"] for card in cards}
    (sweep,) = lab.folder.glob("runs/*-sweep/sweep.json")
    about = json.loads(sweep.read_text("utf-8"))
    judged = [run for run in about["tried"] if "always" not in run and "classifier" not in run]
    assert len(judged) == 6
    assert about["axes"]["demos.k"] == "int(interval(1,8))"
    again = lab.run(*words, "--json")
    assert {card["run"] for card in json.loads(again.out)} == runs
    assert len(list(lab.folder.glob("runs/*-sweep"))) == 1
