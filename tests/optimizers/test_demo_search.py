"""The search for the critiques to show: within its budget, from train alone, better on dev."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

import judgelab
from builders import examples, split
from judgelab.calls.line import Calls
from judgelab.calls.pool import Pool
from judgelab.data.schema import DatasetConfig, load
from judgelab.data.split import Split
from judgelab.errors import ConfigError
from judgelab.optimizers.base import Improved
from judgelab.optimizers.demo_search import STRATEGIES, DemoSearch
from judgelab.optimizers.exam import Candidate, Exam, mixed, score_of
from labs import Lab, read_json

K = 4


def node(kind: str = "random.RandomDemos", **demos: Any) -> dict[str, Any]:
    return {
        "_target_": "judgelab.judges.prompted.PromptedJudge",
        "rubric": "from_critiques",
        "template": "judge",
        "reasoning": "critique",
        "model": {"_target_": "judgelab.models.neighbours.Neighbours"},
        "demos": {"_target_": f"judgelab.demos.{kind}", "k": K, **demos},
    }


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Split:
    reader = {"_target_": "judgelab.data.readers.jsonl.JsonlReader"}
    from judgelab import config as configs

    dataset = load(
        configs.build(
            {
                "_target_": "judgelab.data.schema.DatasetConfig",
                "name": "sample",
                "path": "sample:interactions.jsonl",
                "reader": reader,
            },
            DatasetConfig,
            "dataset",
        )
    )
    from judgelab.data.split import SplitConfig, make_split

    return make_split(dataset, SplitConfig("sample"), tmp_path_factory.mktemp("splits"))


def improved(made: Split, judge: dict[str, Any], **search: Any) -> tuple[Improved, Calls]:
    calls = Calls(Pool())
    search = {"budget": 800, "seed": 0} | search
    (fold,) = made.folds("dev")
    found = asyncio.run(DemoSearch(**search).improve(judge, fold.train, made.dev(), calls))
    return found, calls


def kappa(made: Split, judge: dict[str, Any]) -> float:
    """On all of dev."""
    (fold,) = made.folds("dev")
    exam = Exam(judge, fold.train, Calls(Pool()), 10**6, "kappa")
    return asyncio.run(exam.score(Candidate(), made.dev())).metric


@pytest.mark.slow
def test_it_beats_random_demonstrations_of_the_same_number_on_dev(sample: Split) -> None:
    """Paired over seeds: the search that starts from a seed against what that seed draws. Six of
    six by a sign test are p = .03."""
    gains = []
    for seed in range(6):
        judge = node(seed=seed)
        found, _ = improved(sample, judge, seed=seed)
        assert len(found.judge["demos"]["ids"]) == K
        gains.append(kappa(sample, dict(found.judge)) - kappa(sample, judge))
    assert min(gains) > 0
    assert mean(gains) > 0.1


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_keeps_to_train_and_its_budget(sample: Split, strategy: str) -> None:
    found, calls = improved(sample, node("balanced.BalancedDemos"), strategy=strategy)
    (fold,) = sample.folds("dev")
    assert set(found.judge["demos"]["ids"]) <= {example.id for example in fold.train}
    assert found.story["answers"] <= 800
    assert len(calls.replies) == found.story["answers"], "an answer is asked for once"
    assert found.candidates > 4
    scores = [row["metric"] for row in found.story["found"]]
    assert scores == sorted(scores)
    assert scores[-1] > scores[0]


def test_a_budget_below_one_look_at_dev_still_gives_a_judge(sample: Split) -> None:
    found, _ = improved(sample, node(), budget=40)
    assert found.story["answers"] <= 40
    assert found.story["dev_items"] == 8, "a part of dev stands for it"


def test_where_nothing_is_better_the_judge_stays(tmp_path: Path) -> None:
    """Of a train as small as k there is but one set."""
    ratios = {"train": 0.05, "dev": 0.75, "test": 0.2}
    made = split(examples(80), tmp_path, ratios=ratios, mode="holdout")
    (fold,) = made.folds("dev")
    judge = node(k=len(fold.train) + 3)
    found, _ = improved(made, judge)
    assert found.judge == judge
    assert len(found.story["found"]) == 1


def test_the_same_seed_finds_the_same_in_another_process(sample: Split) -> None:
    here, _ = improved(sample, node(), budget=500, seed=0)
    code = (
        "import sys, json; sys.path[:0] = json.loads(sys.argv[1])\n"
        "from pathlib import Path; import tempfile\n"
        "import test_demo_search as t\n"
        "class Factory:\n"
        "    def mktemp(self, name): return Path(tempfile.mkdtemp())\n"
        "made = t.sample.__wrapped__(Factory())\n"
        "print(json.dumps(t.improved(made, t.node(), budget=500, seed=0)[0].judge['demos']))"
    )
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(paths)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ
        | {"PYTHONPATH": str(Path(judgelab.__file__).parents[1]), "PYTHONHASHSEED": "7"},
    )
    assert json.loads(done.stdout) == here.judge["demos"]
    other, _ = improved(sample, node(), budget=500, seed=1)
    assert other.judge["demos"] != here.judge["demos"]


@pytest.mark.parametrize(
    ("judge", "message"),
    [
        ({"_target_": "judgelab.judges.constant.ConstantJudge", "verdict": "fail"}, "no rubric"),
        (node("none.NoDemos") | {"demos": {"_target_": "judgelab.demos.none.NoDemos"}}, "none"),
    ],
)
def test_a_judge_without_demonstrations_is_refused(judge: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DemoSearch(budget=400).check(judge)


def test_a_budget_is_a_number_that_can_teach_something() -> None:
    with pytest.raises(ValueError, match="from 30, got 3"):
        DemoSearch(budget=3)


def test_random_order_spreads_both_labels(sample: Split) -> None:
    import random

    order = mixed(sample.dev(), random.Random(3))
    assert len(order) == len(sample.dev())
    share = sum(e.label == "fail" for e in order) / len(order)
    for n in (10, 20, 40, 80):
        assert abs(sum(e.label == "fail" for e in order[:n]) - share * n) < 2


def test_an_abstention_counts_as_wrong() -> None:
    data = examples(6, every=2)
    right = [example.label for example in data]
    assert score_of("kappa", data, list(right)).metric == 1
    assert score_of("agreement", data, [None, *right[1:]]).metric == pytest.approx(5 / 6)
    assert score_of("recall_fail", data, [None, *right[1:]]).metric == pytest.approx(2 / 3)


class TestARun:
    """What a command does with it."""

    @pytest.fixture(scope="class")
    def lab(self, tmp_path_factory: pytest.TempPathFactory) -> Lab:
        lab = Lab(tmp_path_factory.mktemp("lab"))
        lab.run("optimizer=demo_search", "optimizer.budget=500", "demos.k=4")
        return lab

    def test_the_run_folder_says_what_was_found(self, lab: Lab) -> None:
        (folder,) = lab.runs
        about = read_json(folder / "optimizer.json")
        record = read_json(folder / "record.json")
        assert record["name"] == "balanced k=4 · critique · neighbours · demo_search"
        assert record["optimizing"]["candidates"] == about["candidates"] > 1
        assert record["complete"]
        scores = read_json(folder / "scores.json")
        assert scores["n"] == 101
        assert max(row["metric"] for row in about["story"]["on_dev"]) == pytest.approx(
            scores["metrics"]["kappa"]["value"], abs=1e-6
        )
        assert (folder / "rubric.diff").read_text() == "", "the rubric is the one it was"

    def test_it_runs_again_and_is_held_out(self, lab: Lab) -> None:
        (folder,) = lab.runs
        again = lab("rerun", folder.name)
        assert again.code == 0, again.err
        look = lab("holdout", folder.name)
        assert look.code == 0, look.err
        (test,) = [path for path in lab.runs if path != folder]
        configs = [(path / "config.yaml").read_text() for path in (folder, test)]
        assert configs[0].split("demos:")[1] == configs[1].split("demos:")[1]
        assert not (test / "optimizer.json").exists(), "a look learns nothing"

    def test_the_same_command_does_it_once(self, lab: Lab) -> None:
        before = [(path / "record.json").stat().st_mtime_ns for path in lab.runs]
        lab.run("optimizer=demo_search", "optimizer.budget=500", "demos.k=4")
        assert [(path / "record.json").stat().st_mtime_ns for path in lab.runs] == before

    def test_it_is_an_axis(self, tmp_path: Path) -> None:
        lab = Lab(tmp_path)
        done = lab.run(
            "-m",
            "optimizer=none,demo_search",
            "optimizer.budget=60",
            "demos.k=4",
            "baselines=[always_fail]",
        )
        assert "demo_search" in done.out
        assert len(lab.runs) == 3
        (sweep,) = lab.folder.glob("runs/*-sweep/sweep.json")
        choice = read_json(sweep)["selection"]
        tried = lab.records["demo_search"]["optimizing"]["candidates"]
        assert tried > 1
        assert choice["family"] == 3 + tried, "what an optimizer scored on dev was tried on dev"

    def test_too_few_labels_for_a_dev_are_refused(self, tmp_path: Path) -> None:
        lab = Lab(tmp_path)
        done = lab("run", "tracking=none", "optimizer=demo_search", "split.mode=cv")
        assert done.code == 2
        assert "an optimizer chooses on dev" in done.message

    def test_an_interrupt_ends_it_soon(self, tmp_path: Path) -> None:
        """It asks nobody and holds the loop all the same; what it has not come to is said."""
        lab = Lab(tmp_path)
        process = lab.start(
            "run", "tracking=none", "optimizer=demo_search", "optimizer.budget=90000"
        )
        deadline = time.monotonic() + 60
        while not list(lab.folder.glob("runs/*")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130, err
        assert "Traceback" not in err
