from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import run_folders as made
import sweep_folders

from judgelab.errors import ConfigError
from judgelab.tracking import facts, pages, report, store
from judgelab.tracking.folder import RunFolder
from judgelab.tracking.mlflow import MLflowTracking, Projection, TrackingError
from judgelab.tracking.sweeps import Sweep

TOP = {"agreement", "precision", "recall", "recall_pass", "kappa", "coverage", "cost_usd"}


@dataclass
class Lab:
    path: Path
    runs: list[RunFolder]
    sweep: RunFolder

    def project(self, **options: Any) -> Projection:
        return MLflowTracking(**options).project(self.runs, made.DATASET, self.sweep)

    @property
    def known(self) -> Sweep:
        found = Sweep.of(self.sweep)
        assert found is not None
        return found

    def select(self, **more: Any) -> None:
        """Write a choice into sweep.json: the first run, and whatever is given."""
        about = json.loads((self.sweep.path / "sweep.json").read_text())
        values = [run.scores["metrics"]["kappa"]["value"] for run in self.runs]
        choice = sweep_folders.chosen(self.runs, values) | {"below_floors": {}} | more
        self.sweep.write_json("sweep.json", about | {"selection": choice})

    @property
    def client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(f"sqlite:///{self.path}/mlflow.db")


def lab(path: Path) -> Lab:
    good = made.run(path / "runs", "nearest k=4", wrong=[0], axes={"demos": "nearest"})
    poor = made.run(path / "runs", "nearest k=2", wrong=[0, 1, 2], at="2026-01-05T10:00:07+00:00")
    floor = made.run(path / "runs", "always pass", judge=made.ALWAYS_PASS, baseline=True)
    for folder in (good, poor, floor):
        folder.write_json("record.json", folder.record | {"sweep": "5eeb5eeb"})
    runs = [good, poor, floor]
    return Lab(path, runs, made.sweep(path / "runs", runs))


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, Projection]]:
    """A sweep, projected once; tests that use it leave it as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
        place = lab(tmp_path_factory.mktemp("lab"))
        patch.setenv("JUDGELAB_HOME", str(place.path))
        yield place, place.project()


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables, to be copied: making them takes seconds."""
    db = tmp_path_factory.mktemp("empty") / "mlflow.db"
    store.prepare(f"sqlite:///{db}")
    from mlflow import MlflowClient

    MlflowClient(f"sqlite:///{db}").search_experiments()
    return db


@pytest.fixture
def own(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A lab of the test's own."""
    monkeypatch.setenv("JUDGELAB_HOME", str(tmp_path))
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return lab(tmp_path)


def of(shown: tuple[Lab, Projection], place: int) -> Any:
    """The MLflow run of the place-th run folder."""
    there, projection = shown
    return there.client.get_run(projection.runs[there.runs[place].id])


def artifacts(client: Any, run: Any) -> set[str]:
    return {file.path for file in client.list_artifacts(run.info.run_id)}


def test_top_level_metrics_are_these_and_no_more(shown: tuple[Lab, Projection]) -> None:
    metrics = of(shown, 0).data.metrics
    assert {name for name in metrics if "/" not in name} == TOP
    assert {name.split("/")[0] for name in metrics if "/" in name} == {"ci", "more"}


def test_metrics_are_those_of_the_scorecard_with_fail_as_positive(
    shown: tuple[Lab, Projection],
) -> None:
    card, metrics = shown[0].runs[0].scores, of(shown, 0).data.metrics
    assert metrics["precision"] == card["metrics"]["precision_fail"]["value"] == 1.0
    assert metrics["recall"] == card["metrics"]["recall_fail"]["value"] == 0.75
    assert metrics["ci/recall_lo"] == card["metrics"]["recall_fail"]["lo"]
    assert metrics["ci/kappa_hi"] == card["metrics"]["kappa"]["hi"]
    assert metrics["more/fn"] == 1
    assert metrics["more/tn"] == 4
    assert metrics["more/calls_planned"] == 8
    assert metrics["cost_usd"] == 0.25


def test_what_making_a_judge_took_stands_beside_what_judging_took(tmp_path: Path) -> None:
    took = {"sent": 40, "from_store": 2, "tokens_in": 900, "tokens_out": 80}
    took |= {"cost_usd": 0.5, "spent_usd": 0.4}
    plain = facts.metrics(made.run(tmp_path, "plain"))
    about = {"candidates": 7, "calls": took, "notes": ["a"]}
    metrics = facts.metrics(made.run(tmp_path, "better", optimizing=about))
    more = {f"more/optimizer_{name}": float(value) for name, value in took.items()}
    assert metrics == plain | more | {"more/optimizer_candidates": 7.0}
    assert metrics["cost_usd"] == 0.25, "the answers that judge, as ever"


def test_an_undefined_metric_is_not_logged_and_a_tag_says_why(
    shown: tuple[Lab, Projection],
) -> None:
    run = of(shown, 2)
    assert "precision" not in run.data.metrics
    assert "precision: judge_never_fails" in run.data.tags["undefined"]
    assert "undefined" not in of(shown, 0).data.tags


def test_tags_and_params_of_a_run(shown: tuple[Lab, Projection]) -> None:
    there, projection = shown
    run = of(shown, 0)
    wanted = {
        "positive_class": "fail",
        "llm": "false",
        "baseline": "false",
        "reliability": "low (4 fails, 4 passes)",
        "mlflow.source.git.commit": "c0ffee",
        "mlflow.source.name": "judgelab",
        "mlflow.parentRunId": projection.runs[there.sweep.id],
    }
    assert wanted.items() <= run.data.tags.items()
    assert run.info.run_name == "nearest k=4"
    assert run.data.params == {
        "split": "dev",
        "judge": "prompted",
        "judge.rubric": "from_critiques",
        "judge.reasoning": "critique",
        "demos": "nearest",  # the axis as it was typed
        "demos.k": "2",
        "demos.show": "critique",
        "model": "neighbours",
        "model.name": "neighbours",
    }
    assert of(shown, 2).data.params == {
        "split": "dev",
        "judge": "constant",
        "judge.verdict": "pass",
    }


def test_a_paid_model_is_tagged_as_an_llm(own: Lab) -> None:
    config = own.runs[0].config
    config["judge"]["model"] = {
        "_target_": "judgelab.models.openai_compatible.OpenAICompatible",
        "name": "m",
        "base_url": "http://127.0.0.1:9/v1",
    }
    own.runs[0].write_yaml("config.yaml", config)
    found = own.project()
    assert own.client.get_run(found.runs[own.runs[0].id]).data.tags["llm"] == "true"


def test_the_parent_has_the_best_variants_metrics_and_the_leaderboard(
    shown: tuple[Lab, Projection],
) -> None:
    there, projection = shown
    parent = there.client.get_run(projection.runs[there.sweep.id])
    best = of(shown, 0).data.metrics
    assert parent.data.metrics == {k: v for k, v in best.items() if not k.startswith("more/")}
    assert parent.info.run_name == "sweep of 2 variants on small (dev)"
    assert parent.info.status == "FINISHED"
    note = parent.data.tags["mlflow.note.content"]
    assert "judgelab run -m demos.k=2,4" in note
    assert note.index("[nearest k=4](") < note.index("[nearest k=2](") < note.index("always pass")
    assert projection.runs[there.runs[1].id] in note
    files = artifacts(there.client, parent)
    pictures = {f"{name}.{kind}" for name in ("leaderboard", "cost") for kind in ("png", "svg")}
    assert files == {"sweep.json", "leaderboard.csv"} | pictures


def test_the_leaderboard_as_csv_has_a_row_a_run(shown: tuple[Lab, Projection]) -> None:
    rows = list(csv.DictReader(pages.leaderboard_csv(shown[0].known).splitlines()))
    assert [row["variant"] for row in rows] == ["nearest k=4", "nearest k=2", "always pass"]
    assert rows[0]["recall_fail"] == "0.75"
    assert rows[2]["precision_fail"] == ""
    assert [row["standing"] for row in rows] == ["variant", "variant", "baseline"]


def test_excluded_items_stand_beside_the_coverage(own: Lab) -> None:
    assert "excluded" not in pages.leaderboard(own.known, {}, room=5000)
    folder = own.known.complete[0]
    folder.write_json("scores.json", folder.scores | {"policy": "exclude", "n_excluded": 3})
    head, _, *rows = pages.leaderboard(own.known, {}, room=5000).splitlines()
    place = [cell.strip() for cell in head.split("|")].index("excluded")
    assert head.split("|")[place - 1].strip() == "coverage"
    assert [row.split("|")[place].strip() for row in rows].count("3") == 1
    (first, *_) = csv.DictReader(pages.leaderboard_csv(own.known).splitlines())
    assert first["n_excluded"] == "3"
    assert "3 of them excluded, coverage" in pages.run_note(folder, False)


def test_the_best_is_listed_first_where_the_ui_lists_the_latest_first(
    shown: tuple[Lab, Projection],
) -> None:
    starts = [of(shown, place).info.start_time for place in range(3)]
    assert starts == sorted(starts, reverse=True)
    assert len(set(starts)) == 3


def test_artifacts_hold_the_run_folder_the_disagreements_and_a_prompt(
    shown: tuple[Lab, Projection],
) -> None:
    there, run = shown[0], of(shown, 0)
    files = artifacts(there.client, run)
    own_files = {path.name for path in there.runs[0].path.iterdir()} - {"mlflow.json"}
    assert {"confusion.png", "confusion.svg", "verdicts.jsonl"} < own_files
    assert files == own_files | {"disagreements.md", "prompt.md"}
    read = Path(there.client.download_artifacts(run.info.run_id, "disagreements.md")).read_text()
    assert "1 missed failures" in read
    assert "### item-02" in read
    assert "zebra critique of item-02" in read
    assert "zebra judged item-02" in read
    assert "item-04" not in read
    prompt = Path(there.client.download_artifacts(run.info.run_id, "prompt.md")).read_text()
    assert prompt.count("## assistant") == 2
    assert not any(f"critique of {id_}" in prompt for id_ in made.part("dev") + made.part("test"))


def test_the_dataset_is_an_input_without_its_content(shown: tuple[Lab, Projection]) -> None:
    (given,) = of(shown, 0).inputs.dataset_inputs
    assert given.dataset.name == "small"
    assert given.dataset.digest == made.DATASET.sha256[:16]
    assert [(tag.key, tag.value) for tag in given.tags] == [("mlflow.data.context", "dev")]
    assert made.MARK not in json.dumps(given.to_dictionary())


def test_folders_say_where_they_are_in_mlflow(shown: tuple[Lab, Projection]) -> None:
    there, projection = shown
    for folder in [*there.runs, there.sweep]:
        assert json.loads((folder.path / "mlflow.json").read_text()) == {
            "run_id": projection.runs[folder.id],
            "uri": f"sqlite:///{there.path}/mlflow.db",
            "experiment_id": projection.experiment_id,
        }
    assert projection.url is None
    assert there.client.get_experiment(projection.experiment_id).name == "judgelab/small"
    assert not (Path.cwd() / "mlruns").exists()


def test_projecting_again_changes_nothing(shown: tuple[Lab, Projection]) -> None:
    there, projection = shown
    before = {run.info.run_id: run.to_dictionary() for run in _all(there)}
    assert there.project() == projection
    assert {run.info.run_id: run.to_dictionary() for run in _all(there)} == before
    assert len(before) == 4
    run_id = projection.runs[there.runs[0].id]
    assert len(there.client.get_metric_history(run_id, "kappa")) == 1
    assert len(there.client.search_prompt_versions("judgelab-rubric-from_critiques")) == 1


def _all(there: Lab) -> list[Any]:
    (experiment,) = (e for e in there.client.search_experiments() if e.name.startswith("judgelab/"))
    return list(there.client.search_runs([experiment.experiment_id]))


def test_an_incomplete_run_shows_how_far_it_came_and_then_its_scores(own: Lab) -> None:
    (own.runs[1].path / "scores.json").unlink()
    own.runs[1] = made.run(own.path / "runs", "nearest k=2", complete=False)
    first = own.project()
    run = own.client.get_run(first.runs[own.runs[1].id])
    assert run.info.status == "FAILED"
    assert run.data.metrics == {}, "how far it came is no coverage"
    assert "budget.usd=5" in run.data.tags["incomplete"]
    assert " planned = " in run.data.tags["calls"]
    assert run.data.tags["calls"] in run.data.tags["mlflow.note.content"]
    assert own.client.get_run(first.runs[own.sweep.id]).info.status == "FAILED"

    own.runs[1] = made.run(own.path / "runs", "nearest k=2", wrong=[0, 1, 2])
    again = own.project()
    assert again.runs == first.runs
    run = own.client.get_run(again.runs[own.runs[1].id])
    assert run.info.status == "FINISHED"
    assert run.data.metrics["coverage"] == 1
    assert set(run.data.metrics) > TOP
    assert "incomplete" not in run.data.tags
    assert own.client.get_run(again.runs[own.sweep.id]).info.status == "FINISHED"


@pytest.mark.parametrize("texts", [True, False])
def test_texts_of_items_go_there_only_where_they_may(own: Lab, texts: bool) -> None:
    own.project(texts=texts)
    stored = [own.path / "mlflow.db", *(own.path / "mlartifacts").rglob("*")]
    holders = {path.name for path in stored if path.is_file() and _holds(path, made.MARK)}
    with_texts = {"verdicts.jsonl", "replies.jsonl", "disagreements.md", "prompt.md"}
    assert holders == (with_texts if texts else set())


def _holds(path: Path, text: str) -> bool:
    return text.encode() in path.read_bytes()


@pytest.mark.parametrize(
    ("uri", "local"),
    [
        ("sqlite:////tmp/x.db", True),
        ("http://127.0.0.1:5000", True),
        ("http://user:word@localhost:5000", True),
        ("http://[::1]:5000", True),
        ("http://mlflow:5000", False),
        ("https://127.example.com", False),
        ("databricks", False),
        ("postgresql://127.0.0.1/x", True),
        ("postgresql://db/x", False),
    ],
)
def test_which_stores_are_on_this_machine(uri: str, local: bool) -> None:
    assert store.locate(uri) == (uri, local)


def test_a_remote_store_is_said_to_get_no_texts(
    own: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here, _ = store.locate(None)
    monkeypatch.setattr("judgelab.tracking.mlflow.locate", lambda uri: (here, False))
    own.project()
    said = capsys.readouterr().err
    assert "tracking.texts=true" in said
    assert len(said.splitlines()) == 1
    assert not any(
        _holds(path, made.MARK) for path in (own.path / "mlartifacts").rglob("*") if path.is_file()
    )


def test_the_environment_names_store_and_experiment(
    own: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own.path / "other").mkdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{own.path}/other/m.db")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    found = own.project()
    assert found.uri == f"sqlite:///{own.path}/other/m.db"
    assert (own.path / "other" / "mlartifacts" / "mine").is_dir()
    assert own.client.search_experiments(filter_string="name != 'Default'") == []


@pytest.mark.parametrize("texts", ["auto", True])
def test_a_look_at_test_is_a_run_under_the_sweep(own: Lab, texts: str | bool) -> None:
    sweep = own.project()
    look = made.run(
        own.path / "runs", "nearest k=4", part_name="test", sweep="5eeb5eeb", look=1, looks=3
    )
    found = MLflowTracking(texts=texts).project([look], made.DATASET)
    run = own.client.get_run(found.runs[look.id])
    assert run.info.run_name == "nearest k=4 (test)"
    assert run.data.tags["mlflow.parentRunId"] == sweep.runs[own.sweep.id]
    assert run.data.tags["look"] == "1 of 3"
    assert run.data.params["split"] == "test"
    shown = {"disagreements.md", "prompt.md"} & artifacts(own.client, run)
    assert shown == ({"disagreements.md", "prompt.md"} if texts is True else set())


def test_a_changed_rubric_is_a_new_version(own: Lab) -> None:
    first = own.project()
    folder = own.runs[1]
    folder.write("rubric.md", "Another rubric, with {{ braces }} in it.\n")
    again = own.project()
    tags = [own.client.get_run(again.runs[own.runs[n].id]).data.tags for n in (0, 1)]
    assert [tag["rubric"][-2:] for tag in tags] == ["v1", "v2"]
    assert json.loads(tags[1]["mlflow.linkedPrompts"]) == [
        {"name": "judgelab-rubric-from_critiques", "version": "2"}
    ]
    assert own.project().runs == first.runs
    assert len(own.client.search_prompt_versions("judgelab-rubric-from_critiques")) == 2


@pytest.mark.parametrize("uri", ["sqlite:///{}/a-file/m.db", "http://127.0.0.1:9", "bogus://x"])
def test_a_store_that_fails_costs_nothing(
    own: Lab, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    (own.path / "a-file").touch()
    with pytest.raises(TrackingError, match=r"run folders are whole.*same command") as raised:
        own.project(uri=uri.format(own.path))
    assert raised.value.exit_code == 3
    assert not (own.runs[0].path / "mlflow.json").exists()


def test_a_password_is_refused_in_the_config_and_hidden_from_the_environment(
    own: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_PASSWORD"):
        MLflowTracking(uri="https://ann:secret@host/")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:secret@127.0.0.1:9/")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError) as raised:
        own.project()
    assert "secret" not in str(raised.value)


def test_texts_is_one_of_three() -> None:
    with pytest.raises(ConfigError, match=r"tracking\.texts=some: allowed are auto, true, false"):
        MLflowTracking(texts="some")


def test_a_moved_lab_says_so_before_it_writes_into_the_old_one(
    own: Lab, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.project()
    there = tmp_path_factory.mktemp("moved") / "lab"
    shutil.move(own.path, there)
    monkeypatch.setenv("JUDGELAB_HOME", str(there))
    moved = Lab(
        there,
        [RunFolder(there / "runs" / run.id) for run in own.runs],
        RunFolder(there / "runs" / own.sweep.id),
    )
    with pytest.raises(ConfigError, match="was made in another folder"):
        moved.project()
    assert not own.path.exists()


def test_a_long_leaderboard_is_cut_to_what_a_tag_holds(shown: tuple[Lab, Projection]) -> None:
    there, _ = shown
    sweep = there.known
    links = {folder.id: "#/somewhere" for folder in there.runs}
    note = pages.sweep_note(replace(sweep, ranked=there.runs * 40), links)
    assert len(note) <= 5000
    assert "more" in note
    assert note.count("\n| ") < 120
    assert sweep.about["command"] in note
    whole = pages.leaderboard(sweep, links, room=5000)
    assert len(whole.splitlines()) == 5


def test_the_parent_is_of_the_run_that_was_chosen(own: Lab) -> None:
    poor = own.runs[1]
    own.select(chosen=poor.id, best_set=[own.runs[0].id, poor.id], text=["The reason | is this."])
    found = own.project()
    parent = own.client.get_run(found.runs[own.sweep.id])
    assert parent.data.tags["best"] == "nearest k=2"
    assert parent.data.metrics["kappa"] == poor.scores["metrics"]["kappa"]["value"]
    note = parent.data.tags["mlflow.note.content"]
    assert note.startswith("The reason \\| is this. Positive class: fail.")
    assert "[nearest k=4](" in note
    rows = {line.split("](")[0].strip("| [*"): line for line in note.splitlines() if "](" in line}
    assert "**●**" in rows["nearest k=4"]
    assert "**◆**" in rows["nearest k=2"]
    assert "◆" not in rows["always pass"]
    assert "**◆**: chosen; **●**: cannot be told apart from the best." in note
    assert f"judgelab holdout {poor.id[:8]}" in note


def test_where_none_is_chosen_there_is_no_best(own: Lab) -> None:
    own.project()
    below = {own.runs[0].id: ["recall of fail .31 under .50"]}
    own.select(
        chosen=None,
        below_floors=below,
        best_set=[own.runs[0].id],
        text=["No winner: none meets them."],
    )
    found = own.project()
    tags = own.client.get_run(found.runs[own.sweep.id]).data.tags
    assert "best" not in tags
    note = tags["mlflow.note.content"]
    assert note.startswith("No winner: none meets them.")
    assert "](" in note
    assert "**✗** **●**" in note
    assert "**●**: cannot be told apart from the best; **✗**: below a floor." in note
    assert "holdout" not in note


def test_the_ceiling_is_a_row_below_the_judges(own: Lab) -> None:
    for run in own.runs:
        run.write_json("record.json", run.record | {"ceiling": sweep_folders.CEILING})
    row = pages.leaderboard(own.known, {}, room=5000).splitlines()[-1]
    assert row.startswith("| *human against human* (ceiling) | .78 [.58, .93] | .90 [.78, .96] |")
    unknown = {"source": None, "who": [], "n": 0, "metrics": {}, "reason": "no_second_labels"}
    for run in own.runs:
        run.write_json("record.json", run.record | {"ceiling": unknown})
    row = pages.leaderboard(own.known, {}, room=5000).splitlines()[-1]
    assert "unknown: no second labels" in row
    heads = pages.leaderboard(own.known, {}, room=5000).splitlines()[0]
    assert row.count("|") == heads.count("|")


@pytest.mark.parametrize(
    ("texts", "tests", "there"),
    [(True, False, True), (False, False, False), ("auto", True, False), (True, True, True)],
)
def test_the_report_goes_where_its_texts_may(
    own: Lab, texts: bool | str, tests: bool, there: bool
) -> None:
    """With texts of test items in it, as everywhere only where tracking.texts=true says so."""
    own.select()
    made.run(own.path / "runs", "nearest k=4", part_name="test", sweep="5eeb5eeb", look=1, looks=3)
    report.write(own.sweep, own.runs, made.DATASET, test_texts=tests)
    found = own.project(texts=texts)
    files = artifacts(own.client, own.client.get_run(found.runs[own.sweep.id]))
    assert ("report.html" in files) == there
    pictures = {f"{name}.{kind}" for name in ("leaderboard", "cost") for kind in ("png", "svg")}
    assert pictures <= files


def test_a_text_cannot_leave_its_code_block() -> None:
    assert pages.fenced("a\n````\nb").splitlines()[0] == "`````"
