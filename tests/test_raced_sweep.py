"""A raced sweep from the shell: who is stopped, what is said of it, and that it can be undone."""

from __future__ import annotations

import json
import random

import pytest

from judgelab import racetrack
from labs import Lab, endpoint, said

N = 150
REST = ("stopped", "by", "the", "race:", "not", "ranked")
JUDGES = {f"j{k:02d}": 0.55 + 0.03 * k for k in range(13)}
WORDS = (
    "-m", "dataset=jsonl", "dataset.path=items.jsonl", "dataset.name=made", "split.mode=holdout",
    "split.ratios={train: 0, dev: 1, test: 0}", "model=none", "judge=recorded",
    "judge.path=verdicts.jsonl", f"judge.name={','.join(JUDGES)}", "baselines=[always_pass]",
    "search.floors.recall_fail=null",
)  # fmt: skip


@pytest.fixture
def lab(tmp_path) -> Lab:
    rng = random.Random(0)
    lab = Lab(tmp_path)
    labels = {f"i{n:03d}": "fail" if rng.random() < 0.4 else "pass" for n in range(N)}
    lab.write("items.jsonl", "".join(
        json.dumps({"id": id_, "input": f"question {id_} {rng.random()}", "output": id_ * 3,
                    "label": label, "critique": f"because of {id_}"}) + "\n"
        for id_, label in labels.items()
    ))  # fmt: skip
    flip = {"fail": "pass", "pass": "fail"}
    lab.write("verdicts.jsonl", "".join(
        json.dumps({"id": id_, "judge": name,
                    "verdict": label if rng.random() < right else flip[label]}) + "\n"
        for name, right in JUDGES.items() for id_, label in labels.items()
    ))  # fmt: skip
    return lab


def outcome(out: str) -> dict[str, object]:
    """What does not depend on who was fast: where each was stopped, or else its scores."""
    return {name: row.get("stopped") or row["metrics"] for name, row in rows(out).items()}


def rows(out: str) -> dict[str, dict]:
    return {row["judge"]: row for row in json.loads(out)}


@pytest.mark.slow
def test_the_race_keeps_the_winner_pays_less_and_says_so(lab):
    whole = rows(lab.run(*WORDS, "--json").out)
    winner = next(name for name, row in whole.items() if row["chosen"])
    assert all("stopped" not in row for row in whole.values()), "no race where nothing costs"

    done = lab.run(*WORDS, "search.race=safe", "--json")
    raced = rows(done.out)
    stopped = {name: row["stopped"] for name, row in raced.items() if "stopped" in row}
    assert raced[winner]["chosen"]
    assert raced[winner]["metrics"] == whole[winner]["metrics"]
    assert len(stopped) >= 4
    assert all(5 < stop["after"] < stop["of"] == N for stop in stopped.values())
    assert all("metrics" not in raced[name] for name in stopped), "no point estimate"
    planned = sum(row["calls"]["planned"] for row in raced.values())
    asked = planned - sum(row["calls"]["stopped"] for row in raced.values())
    assert asked < 0.8 * planned
    table = lab.run(*WORDS, "search.race=safe")
    line = next(line for line in table.err.splitlines() if line.startswith("The race stopped"))
    assert f"stopped {len(stopped)} of 13 variants early" in line
    assert f"of {13 * N:,} planned verdicts" in line
    assert "with probability 20% at most" in line
    assert f"Not ranked: {len(stopped)} that were stopped early." in table.err

    for name, stop in stopped.items():
        row = next(line for line in table.out.splitlines() if line.startswith(name))
        assert row.split()[1:] == [str(stop["after"]), *REST]


@pytest.mark.slow
def test_the_same_command_finds_the_same_race_and_a_sweep_without_one_goes_on(lab):
    done = lab.run(*WORDS, "search.race=safe", "--json")
    first = rows(done.out)
    (folder,) = lab.folder.glob("runs/*-sweep")
    about = json.loads((folder / "sweep.json").read_text("utf-8"))
    again = lab.run(*WORDS, "search.race=safe", "--json").out
    assert outcome(again) == outcome(done.out)
    now = json.loads((folder / "sweep.json").read_text("utf-8"))
    # Only how many calls were on their way when they were stopped may differ.
    assert now["selection"] | {"text": []} == about["selection"] | {"text": []}
    assert now["race"]["stopped"] == about["race"]["stopped"]
    assert set(about["race"]["stopped"]) == {r["run"] for r in first.values() if "stopped" in r}
    assert about["selection"]["family"] == 14, "those stopped count, baselines too"

    whole = rows(lab.run(*WORDS, "search.race=off", "--json").out)
    assert all("stopped" not in row for row in whole.values())
    assert len(list(lab.folder.glob("runs/*-sweep"))) == 2


@pytest.mark.slow
def test_a_race_through_tpe_stops_trials_and_tells_them_as_pruned(lab):
    import optuna

    words = (*WORDS, "search=tpe", "search.trials=9", "search.race=safe", "--json")
    done = lab.run(*words, "search.storage=kept.journal")
    raced = rows(done.out)
    assert len(raced) == 10
    stops = {name: row["stopped"]["after"] for name, row in raced.items() if "stopped" in row}
    stops = {name.removeprefix("name="): after for name, after in stops.items()}
    assert stops
    backend = optuna.storages.journal.JournalFileBackend(str(lab.folder / "kept.journal"))
    storage = optuna.storages.JournalStorage(backend)
    study = optuna.load_study(study_name=None, storage=storage)
    told = {t.user_attrs["choice"]["judge.name"]: t for t in study.trials}
    order = racetrack.order(labels(lab), 0)
    for name, after in stops.items():
        trial = told[name]
        assert trial.state is optuna.trial.TrialState.PRUNED
        assert trial.intermediate_values == {after: pytest.approx(kappa(lab, name, order[:after]))}
    assert {t.state.name for name, t in told.items() if name not in stops} == {"COMPLETE"}

    again = lab.run(*words)
    assert outcome(again.out) == outcome(done.out)


def labels(lab: Lab) -> dict[str, str]:
    lines = (lab.folder / "items.jsonl").read_text("utf-8").splitlines()
    return {row["id"]: row["label"] for row in map(json.loads, lines)}


def kappa(lab: Lab, name: str, ids: list[str]) -> float:
    """Of a judge on some items."""
    from sklearn.metrics import cohen_kappa_score

    lines = map(json.loads, (lab.folder / "verdicts.jsonl").read_text("utf-8").splitlines())
    said = {row["id"]: row["verdict"] for row in lines if row["judge"] == name}
    own = labels(lab)
    return cohen_kappa_score([own[i] for i in ids], [said[i] for i in ids])


@pytest.mark.slow
def test_a_study_that_comes_to_a_paid_model_late_is_raced_from_its_first_trial(lab):
    priced = "model.price=null,{input: 1.0, output: 1.0}"
    words = ["-m", "search=tpe", "search.trials=2", "limit=12", "demos=none,random", priced]
    words += ["dataset=jsonl", "dataset.path=items.jsonl", "dataset.name=made", "baselines=[]"]
    words += ["search.floors.recall_fail=null", "--json"]
    with endpoint(lambda body: said("fail")) as server:
        first = lab.run(*words, *server.overrides)
        again = lab.run(*words, *server.overrides)
    assert outcome(again.out) == outcome(first.out)
    assert len(rows(first.out)) == 2, "a price makes no other judge"
    (folder,) = lab.folder.glob("runs/*-sweep")
    assert json.loads((folder / "sweep.json").read_text("utf-8"))["race"]["kind"] == "safe"


def test_a_kind_of_race_that_is_none_is_refused_before_anything_is_judged(lab):
    done = lab("run", "tracking=none", *WORDS, "search.race=quick")
    assert done.code == 2
    assert "search.race=quick: allowed are off, safe, fast" in done.message
    assert not (lab.folder / "runs").exists()
