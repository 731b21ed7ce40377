"""`judgelab analyze` as it is typed."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from judgelab.data.remarks import Remark, RemarkLog
from judgelab.types import Interaction
from labs import SHARED, Lab, endpoint, question, read_json, read_lines, rows, said, write_rows

OWN = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl", "tracking=none")
CHECK = """
def honest(interaction):
    return "zzbad" not in interaction.output, "looked"
"""


def data(n: int = 300, labelled: int = 300) -> list[dict[str, Any]]:
    """Where feature is slow most fail; the check sees 5 of 6 fails, and none of plan=old."""
    rng = random.Random(1)
    made = rows(n)
    for number, row in enumerate(made):
        feature, plan = rng.choice(["slow", "fast", "calm"]), rng.choice(["old", "new"])
        fails = rng.random() < (0.7 if feature == "slow" else 0.15)
        row["label"] = "fail" if fails else "pass"
        row["dimensions"] = {"feature": feature}
        row["context"] = {"plan": plan, "turns": number % 40}
        row["group"] = f"g{number // 2}"
        if fails and plan == "new" and number % 6:
            row["output"] += " zzbad"
        if number >= labelled:
            del row["label"], row["critique"]
    return made


def lab_of(folder: Path, **more: Any) -> Lab:
    lab = Lab(folder)
    write_rows(lab.folder / "data.jsonl", data(**more))
    lab.write("bad_marks.py", CHECK)
    lab.run("judge=assertion", "judge.check=bad_marks.honest", *OWN)
    return lab


def analyzed(lab: Lab, *words: str) -> dict[str, Any]:
    done = lab("analyze", "latest", "--json", *words)
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_what_is_wrong_is_found_in_system_and_judge(tmp_path: Path) -> None:
    lab = lab_of(tmp_path)
    (run,) = lab.runs
    done = lab("analyze", "latest", "--by", "feature", "--by", "context.plan")
    assert done.code == 0, done.err
    assert "feature=slow: the expert fails" in done.err
    assert "context.plan=old: the judge misses 1 [" in done.err
    assert "On dev: nothing of these" in done.err
    assert "slices were looked at" in done.err
    assert "fix first what the system does where feature=slow" in done.err
    assert "*" in next(line for line in done.out.splitlines() if "feature=slow" in line)
    found = read_json(run / "analysis.json")
    card = read_json(run / "scores.json")
    whole = found["whole"]
    assert whole["n"] == card["n"]
    assert whole["fails"]["hits"] == card["confusion"]["tp"] + card["confusion"]["fn"]
    assert whole["missed"]["value"] == pytest.approx(1 - card["metrics"]["recall_fail"]["value"])
    assert whole["false_alarms"]["hits"] == card["confusion"]["fp"]
    assert whole["missed"]["lo"] == pytest.approx(1 - card["metrics"]["recall_fail"]["hi"])
    for name in ("slices.png", "slices.svg", "heat.png", "heat.svg"):
        assert (run / name).stat().st_size > 2000
    text = (run / "analysis.json").read_text()
    assert not any(row["id"] in text for row in data()), "slices, and no item"

    wrong = lab("analyze", "latest", "--by", "mood")
    assert (wrong.code, "no item has it" in wrong.message) == (2, True)
    assert lab("analyze", "latest", "--dry-run").code == 2


def test_what_was_said_of_its_agreements_stands_beside(tmp_path: Path) -> None:
    lab = lab_of(tmp_path)
    (run,) = lab.runs
    said_ = {row["id"]: row["verdict"] for row in read_lines(run / "verdicts.jsonl")}
    of = {row["id"]: row for row in data()}
    agreed = [id_ for id_, verdict in sorted(said_.items()) if of[id_]["label"] == verdict][::9]
    log = RemarkLog(lab.folder / "labels" / "own.remarks.jsonl")
    for id_, says in zip(agreed, ("other_reason", "same_reason", "unclear"), strict=False):
        content = Interaction(id_, of[id_]["input"], of[id_]["output"]).content
        log.append(Remark(id=id_, content=content, expert="ann", run=run.name,
                          label=said_[id_], verdict=said_[id_], says=says))  # fmt: skip
    found = analyzed(lab)
    assert (found["wrong_reasons"]["value"], found["wrong_reasons"]["n"]) == (0.5, 2)
    assert found["text"][-1].startswith("Right for the wrong reason in .50 [")
    other = replace(log.all[0], expert="bob", says="same_reason")
    log.append(other)
    assert "wrong_reasons" not in analyzed(lab), "two people, and nobody's labels"


@pytest.mark.slow
def test_a_number_is_cut_and_an_earlier_picture_of_pairs_goes(tmp_path: Path) -> None:
    lab = lab_of(tmp_path)
    (run,) = lab.runs
    analyzed(lab, "--by", "feature", "--by", "context.turns")
    assert (run / "heat.png").exists()
    found = analyzed(lab, "--by", "context.turns")
    values = found["dimensions"][0]["values"]
    assert len(values) == 4
    assert [row["by"]["context.turns"] for row in found["slices"]] == values
    assert "cut at its quantiles into 4" in found["notes"][0]
    assert not (run / "heat.png").exists()


@pytest.mark.slow
def test_unlabelled_items_are_judged_once_and_the_share_is_corrected(tmp_path: Path) -> None:
    with endpoint(lambda body: said("fail" if "zzbad" in question(body) else "pass")) as server:
        lab = Lab(tmp_path)
        write_rows(lab.folder / "data.jsonl", data(500, 300))
        assert lab("run", "demos=none", *OWN, *server.overrides).code == 0
        asked = len(server.asked)
        dry = lab("analyze", "latest", "--unlabelled", "--dry-run")
        assert (dry.code, len(server.asked)) == (0, asked)
        assert "200 verdicts, 200 calls to send" in dry.out
        first = analyzed(lab, "--unlabelled")
        assert len(server.asked) == asked + 200
        again = analyzed(lab, "--unlabelled")
        assert len(server.asked) == asked + 200
    assert again == first
    whole = first["whole"]["corrected"]
    truth = sum(row["label"] == "fail" for row in data(500, 500)[300:]) / 200
    assert whole["n"] == 200
    assert whole["judge_fails"]["value"] < truth
    assert whole["rogan_gladen"]["lo"] < truth < whole["rogan_gladen"]["hi"]
    assert whole["ppi"]["lo"] < truth < whole["ppi"]["hi"]
    slow = next(row for row in first["slices"] if row["by"] == {"feature": "slow"})
    assert slow["corrected"]["n"] < 200


@pytest.mark.slow
def test_a_look_at_test_gives_rates_and_no_more(tmp_path: Path) -> None:
    lab = lab_of(tmp_path)
    assert lab("holdout", "latest").code == 0
    found = analyzed(lab)
    assert (found["part"], found["look"]) == ("test", "look 1 of 3 on this test split")
    assert found["level"] == pytest.approx(1 - 0.05 / 3)
    assert "rates alone" in found["text"][0]
    said_of = lab("analyze", "latest")
    assert "review" not in said_of.err
    changed = data()
    for row in changed:
        row["label"] = "pass" if row["label"] == "fail" else "fail"
    write_rows(lab.folder / "data.jsonl", changed)
    refused = lab("analyze", "latest")
    assert refused.code == 1
    assert "another look" in refused.message


@pytest.mark.slow
def test_out_of_fold_where_labels_are_few(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, n=80, labelled=60)
    found = analyzed(lab, "--unlabelled")
    assert found["on"] == "out of fold"
    assert found["text"][0].startswith("Out of fold: each of the 60 items")
    assert found["whole"]["corrected"]["n"] == 20
    assert analyzed(lab, "--unlabelled") == found


@pytest.mark.slow
def test_what_the_judge_saw_of_a_group_is_not_asked_about(tmp_path: Path) -> None:
    """Unlabelled items that share a group with train, or with test."""
    lab = Lab(tmp_path)
    made = data(300, 300)
    for number in range(0, 300, 4):  # one of the two of each other group
        del made[number]["label"], made[number]["critique"]
    write_rows(lab.folder / "data.jsonl", made)
    lab.write("bad_marks.py", CHECK)
    lab.run("judge=assertion", "judge.check=bad_marks.honest", *OWN)
    done = lab("analyze", "latest", "--unlabelled", "--json")
    places = {row["id"]: row["part"] for row in read_lines(lab.runs[0] / "assignment.jsonl")}
    partners = [places[made[n + 1]["id"]] for n in range(0, 300, 4)]
    assert json.loads(done.out)["whole"]["corrected"]["n"] == partners.count("dev")
    left = len(partners) - partners.count("dev")
    assert f"{left} unlabelled items belong with items of another part and are left out" in done.err


@pytest.mark.slow
def test_the_report_of_its_sweep_and_mlflow_show_it(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    lab = Lab(tmp_path)
    assert lab("run", "-m", "demos=none,nearest").code == 0
    words = ("data", "import", "sample:failure_modes.jsonl", "--as", "modes", "--expert", "ann")
    assert lab(*words, "--new-modes").code == 0
    run = lab.folder_of("nearest")
    done = lab("analyze", run.name)
    assert done.code == 0, done.err
    (page,) = tmp_path.glob("runs/*-sweep/report.html")
    text = page.read_text()
    assert 'id="slices"' in text
    assert f"{run.name}/analysis.json#/slices/0/missed" in text
    assert f"{run.name}/analysis.json#/causes/causes/0/recall_fail" in text
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    there = {one.path for one in client.list_artifacts(read_json(run / "mlflow.json")["run_id"])}
    assert {"analysis.json", "slices.png", "slices.svg", "heat.png", "heat.svg"} <= there


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not beside this checkout")
def test_topic_summaries_by_document(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.write("lengths.py", "def short(item):\n    return len(item.output) < 400, 'long'\n")
    where = SHARED / "topic-summaries" / "interactions.jsonl"
    topics = ("dataset=jsonl", "dataset.name=topics", f"dataset.path={where}", "tracking=none")
    lab.run(
        *topics, "split.group=context.document_id", "judge=assertion", "judge.check=lengths.short"
    )
    found = analyzed(lab, "--by", "corpus", "--by", "model", "--by", "topic_category")
    whole = found["whole"]
    assert (found["group"], whole["fails"]["clusters"]) == ("context.document_id", whole["groups"])
    assert whole["fails"]["n_eff"] < whole["n"] / 2, "summaries of one document are alike"
    assert {tuple(row["by"]) for row in found["pairs"]} == {
        ("corpus", "model"), ("corpus", "topic_category"), ("model", "topic_category"),
    }  # fmt: skip
    assert sum(row["n"] for row in found["slices"] if "model" in row["by"]) == whole["n"]
