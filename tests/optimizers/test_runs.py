"""What a command makes of an optimizer: kept, named, resumed, run again, shown in MLflow."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import utc

from judgelab.errors import ConfigError
from judgelab.optimizers.kept import check_name, diff, save
from labs import Endpoint, Lab, endpoint, read_json, read_lines, write_rows

pytestmark = pytest.mark.slow  # whole commands, with servers: scripts/test --all


OWN = ["dataset=jsonl", "dataset.path=d.jsonl", "split.ratios={train: .3, dev: .4, test: .3}"]
GEPA = [*OWN, "demos=balanced", "demos.k=2", "optimizer=gepa", "optimizer.budget=300"]


@pytest.fixture
def learner() -> Iterator[Endpoint]:
    with endpoint(utc.Learner()) as made:
        yield made


def lab_of(folder: Path) -> Lab:
    lab = Lab(folder)
    write_rows(lab.folder / "d.jsonl", utc.rows(120))
    return lab


def rubrics(lab: Lab) -> list[str]:
    return [(path / "rubric.md").read_text() for path in lab.runs]


class TestARun:
    """One GEPA run, looked at from all sides."""

    @pytest.fixture(scope="class")
    def server(self) -> Iterator[Endpoint]:
        with endpoint(utc.Learner()) as made:
            yield made

    @pytest.fixture(scope="class")
    def lab(self, tmp_path_factory: pytest.TempPathFactory, server: Endpoint) -> Lab:
        lab = lab_of(tmp_path_factory.mktemp("lab"))
        done = lab("run", *GEPA, *server.overrides, "optimizer.save=learnt")
        assert done.code == 0, done.err
        return lab

    def test_its_folder_holds_the_rubric_its_diff_and_its_story(self, lab: Lab) -> None:
        (folder,) = lab.runs
        assert utc.LEARNT in (folder / "rubric.md").read_text()
        changes = (folder / "rubric.diff").read_text()
        assert changes.startswith("--- a/from_critiques.md\n+++ b/from_critiques.md\n")
        assert f"+{utc.LEARNT}\n" in changes
        about = read_json(folder / "optimizer.json")
        assert about["from"]["rubric"] == "from_critiques"
        assert about["story"]["on_dev"][-1]["metric"] == 1
        record = read_json(folder / "record.json")
        assert record["optimizing"]["candidates"] == about["candidates"] == 2
        calls = record["optimizing"]["calls"]
        assert calls["sent"] == sum(about["story"]["answers"].values())
        assert record["calls"]["sent"] == 0, "what dev was chosen on is not paid for again"
        assert read_json(folder / "scores.json")["metrics"]["kappa"]["value"] == 1

    def test_the_saved_rubric_is_a_rubric_like_any_other(self, lab: Lab, server: Endpoint) -> None:
        saved = lab.folder / "prompts" / "rubrics" / "learnt.md"
        assert saved.read_text() == (lab.runs[0] / "rubric.md").read_text()
        asked = len(server.asked)
        lab.run(*OWN, "demos=balanced", "demos.k=2", "judge.rubric=learnt", *server.overrides)
        assert len(server.asked) == asked, "the same requests: all answers are there"

    def test_it_runs_again_and_is_looked_at_on_test(self, lab: Lab, server: Endpoint) -> None:
        (folder,) = [path for path in lab.runs if (path / "optimizer.json").exists()]
        again = lab("rerun", folder.name)
        assert again.code == 0, again.err
        assert "no call sent" in again.out
        look = lab("holdout", folder.name)
        assert look.code == 0, look.err
        (test,) = [path for path in lab.runs if path.name.endswith("-test")]
        assert (test / "rubric.md").read_text() == (folder / "rubric.md").read_text()
        assert read_json(test / "scores.json")["metrics"]["kappa"]["value"] == 1
        again = lab("rerun", test.name)
        assert again.code == 0, again.err

    def test_mlflow_names_what_it_was_made_from(self, lab: Lab) -> None:
        import mlflow

        client = mlflow.MlflowClient(f"sqlite:///{lab.folder / 'mlflow.db'}")
        (experiment,) = [e for e in client.search_experiments() if e.name == "judgelab/jsonl"]
        found = client.search_runs([experiment.experiment_id])
        (run,) = [run for run in found if run.data.params["split"] == "dev"]
        tags, params = run.data.tags, run.data.params
        assert params["judge.rubric"] == "from_critiques-gepa"
        assert params["demos.k"] == "2"
        assert tags["improved.optimizer"] == "gepa"
        took = read_json(lab.folder / "runs" / tags["judgelab.run"] / "record.json")["optimizing"]
        assert run.data.metrics["more/optimizer_sent"] == took["calls"]["sent"] > 0
        assert run.data.metrics["more/optimizer_candidates"] == took["candidates"]
        assert tags["improved.rubric"] == "from_critiques"
        assert tags["rubric"] == "judgelab-rubric-from_critiques-gepa v1"
        prompt = client.get_prompt_version("judgelab-rubric-from_critiques-gepa", 1)
        assert utc.LEARNT in prompt.template
        assert prompt.tags["improved.rubric"] == "from_critiques"
        assert prompt.tags["improved.run"] == tags["judgelab.run"]

    def test_the_same_command_with_another_name_saves_it_at_no_cost(
        self, lab: Lab, server: Endpoint
    ) -> None:
        asked = len(server.asked)
        lab.run(*GEPA, *server.overrides, "optimizer.save=again")
        assert len(server.asked) == asked
        texts = [lab.folder / "prompts" / "rubrics" / f"{n}.md" for n in ("learnt", "again")]
        assert texts[0].read_text() == texts[1].read_text()

    def test_no_other_rubric_is_overwritten(self, lab: Lab, server: Endpoint) -> None:
        lab.write("prompts/rubrics/mine.md", "My own.\n")
        done = lab("run", "tracking=none", *GEPA, *server.overrides, "optimizer.save=mine")
        assert done.code == 2
        assert "mine.md holds another rubric, which stays" in " ".join(done.message.split())
        assert (lab.folder / "prompts" / "rubrics" / "mine.md").read_text() == "My own.\n"


@pytest.mark.parametrize(
    ("name", "budget"), [("gepa", 130), ("simba", 250), ("simba", 500), ("mipro", 200)]
)
def test_the_same_seed_makes_the_same_judge_in_another_process(
    tmp_path: Path, name: str, budget: int
) -> None:
    """From a warm store, also where the budget ends it; seed 0 is one like another."""
    words = [*OWN, "demos=balanced", "demos.k=2", f"optimizer={name}", f"optimizer.budget={budget}"]
    with endpoint(utc.Learner(sampled=name == "simba")) as server:
        words += server.overrides
        lab = lab_of(tmp_path)
        lab.run(*words)
        first = [read_json(lab.runs[0] / "optimizer.json"), rubrics(lab)]
        for path in lab.runs[0].iterdir():
            path.unlink()
        asked = len(server.asked)
        process = lab.start("run", "tracking=none", *words, PYTHONHASHSEED="99")
        assert process.wait(120) == 0, process.communicate()
        # Of the batch that the budget ended another few may be the ones that were asked.
        more = 16 if "budget" in first[0]["story"]["ended"] else 0
        assert len(server.asked) - asked <= more
        again = [read_json(lab.runs[0] / "optimizer.json"), rubrics(lab)]
        for about in (first[0], again[0]):
            about.pop("calls")  # the second time all answers came from the store
        assert again == first
        lab.run(*words, "optimizer.seed=1")
        assert len(lab.runs) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_was_ended_half_way_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    lab = lab_of(tmp_path)
    with endpoint(utc.Learner()) as slow:
        process = lab.start("run", "tracking=none", *GEPA, *slow.overrides)
        _wait_for(slow, 30, process)
        process.send_signal(number)
        began = time.monotonic()
        out, err = process.communicate(timeout=60)
        assert process.returncode == (130 if number == signal.SIGINT else -9), err
        assert time.monotonic() - began < 20
        if number == signal.SIGINT:
            assert "Traceback" not in err
            assert out == ""
        done = lab("run", "tracking=none", *GEPA, *slow.overrides)
        assert done.code == 0, done.err
        bodies = [json.dumps(body, sort_keys=True) for body in slow.asked]
        twice = len(bodies) - len(set(bodies))
        assert twice <= (0 if number == signal.SIGINT else 24), "what was on its way when it died"
    assert utc.LEARNT in rubrics(lab)[0]


def _wait_for(server: Endpoint, answers: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while server.answered < answers:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_endpoint_that_fails_leaves_the_run_to_be_completed(tmp_path: Path) -> None:
    lab = lab_of(tmp_path)
    learner = utc.Learner()
    broken = True

    def answer(body: dict[str, Any]) -> str | int:
        return 503 if broken and not utc.is_judging(body) else learner(body)

    with endpoint(answer) as server:
        done = lab("run", "tracking=none", *GEPA, *server.overrides)
        assert done.code == 3, done.err
        assert "go on with" in done.err
        assert not (lab.runs[0] / "optimizer.json").exists()
        broken = False
        lab.run(*GEPA, *server.overrides)
    assert utc.LEARNT in rubrics(lab)[0]


def test_money_that_is_spent_leaves_the_run_to_be_completed(
    tmp_path: Path, learner: Endpoint
) -> None:
    lab = lab_of(tmp_path)
    done = lab("run", "tracking=none", *GEPA, *learner.overrides, "budget.calls=40")
    assert done.code == 3, done.err
    assert len(learner.asked) == 40
    lab.run(*GEPA, *learner.overrides)
    assert utc.LEARNT in rubrics(lab)[0]


def test_optimizers_are_an_axis_of_a_sweep(tmp_path: Path) -> None:
    lab = lab_of(tmp_path)
    words = [*OWN, "demos=balanced", "demos.k=2", "optimizer=none,gepa,mipro"]
    with endpoint(utc.Learner()) as server:
        done = lab.run("-m", *words, "optimizer.budget=300", "baselines=[]", *server.overrides)
    assert {"none", "gepa", "mipro"} == set(lab.records)
    assert "gepa" in done.out
    kept = {read_json(path / "record.json")["name"]: path for path in lab.runs}
    assert (kept["gepa"] / "optimizer.json").exists()
    assert not (kept["none"] / "optimizer.json").exists()
    assert len(read_lines(kept["none"] / "verdicts.jsonl")) > 30


def test_offline_it_is_refused_with_what_to_do(tmp_path: Path) -> None:
    done = Lab(tmp_path)("run", "tracking=none", "optimizer=gepa")
    assert done.code == 2
    assert "model=neighbours is no LLM" in done.message
    assert "optimizer=demo_search" in done.message


def test_another_model_writes_by_an_override(tmp_path: Path, learner: Endpoint) -> None:
    lab = lab_of(tmp_path)
    words = [*GEPA, *learner.overrides]
    done = lab("run", "tracking=none", *words, "model@optimizer.model=openai")
    assert done.code == 2
    assert "OPENAI_API_KEY" in done.message
    done = lab("run", "tracking=none", *words, "optimizer.model=openai")
    assert done.code == 2
    assert "model@optimizer.model=openai" in done.message
    pen = ["model@optimizer.model=openai_compatible", "optimizer.model.name=pen"]
    url = next(word for word in learner.overrides if word.startswith("model.base_url"))
    lab.run(*words, *pen, f"optimizer.{url}")
    assert {body["model"] for body in learner.asked if not utc.is_judging(body)} == {"pen"}


def test_a_dry_run_counts_the_budget(tmp_path: Path, learner: Endpoint) -> None:
    lab = lab_of(tmp_path)
    price = "model.price={input: 1.0, output: 2.0}"
    plain = lab("run", "--dry-run", *GEPA, *learner.overrides, price, "optimizer=none")
    done = lab("run", "--dry-run", *GEPA, *learner.overrides, price)
    calls = [int(re.findall(r"verdicts, (\d+) calls", one.out)[0]) for one in (plain, done)]
    usd = [float(re.findall(r"about \$([\d.]+)", one.out)[0]) for one in (plain, done)]
    assert calls[1] - calls[0] == 300
    assert usd[1] / usd[0] == pytest.approx(calls[1] / calls[0], rel=0.1)
    assert learner.asked == []
    offline = lab("run", "--dry-run", "optimizer=demo_search")
    assert "no calls to send" in offline.out


def test_litellm_is_not_imported(tmp_path: Path, learner: Endpoint) -> None:
    import sys

    from labs import environment

    lab = lab_of(tmp_path)
    spy = (
        "import sys\nfrom judgelab.cli import main\n"
        "try:\n    main()\nfinally:\n"
        "    open('modules', 'w').write(' '.join(sys.modules))\n"
    )
    words = ["run", "tracking=none", *GEPA, *learner.overrides]
    done = subprocess.run(
        [sys.executable, "-c", spy, *words],
        cwd=lab.folder,
        env=environment(HOME=str(tmp_path / "home")),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    modules = (lab.folder / "modules").read_text().split()
    assert "dspy" in modules
    assert "litellm" not in modules
    assert not (tmp_path / "home").exists(), "DSPy's cache is off"


def test_a_diff_names_what_it_began_from() -> None:
    assert diff("a\nb\n", "a\nb", "mine") == ""
    assert diff("a\nb", "a\nc", "mine").splitlines()[:2] == ["--- a/mine.md", "+++ b/mine.md"]


@pytest.mark.parametrize("name", ["../x", "a/b", ".x", "", "a b"])
def test_a_name_that_is_no_file_of_the_lab(name: str) -> None:
    with pytest.raises(ValueError, match=r"optimizer\.save="):
        check_name(name)


def test_the_same_text_may_be_saved_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGELAB_HOME", str(tmp_path))
    save("mine", "Be fair.\n")
    save("mine", "Be fair.")
    with pytest.raises(ConfigError, match="another name"):
        save("mine", "Be kind.")
