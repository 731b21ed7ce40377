"""`judgelab round`: three rounds from an empty label store, and one that was interrupted."""

from __future__ import annotations

import json
import re
import shutil
from typing import Any

import pytest
from expert_labs import WORDS, ExpertLab

from judgelab import prompts
from judgelab.data.remarks import Remark, RemarkLog
from judgelab.types import sha256
from labs import Done, endpoint, read_lines, said


class Rounds:
    """A lab in which three rounds were closed, and how each command ended."""

    def __init__(self, folder: Any) -> None:
        self.lab = lab = ExpertLab(folder)
        ids = list(lab.rows)
        shipped = prompts.rubric("from_critiques")
        lab.write("prompts/rubrics/mine.md", shipped + "\n")
        lab.label(ids[:40], rubric=sha256(shipped))
        self.done = [lab.close("judge.rubric=mine", "--note", "as it came")]
        lab.write("prompts/rubrics/mine.md", shipped + "\n- Rows are not users.\n")
        self.changed = [i for i in ids[:40] if lab.rows[i]["label"] == "fail"][:8]
        lab.label(self.changed, other=self.changed)
        lab.label(ids[40:80], rubric=sha256(prompts.rubric(shipped + "\n- Rows are not users.\n")))
        self.done += [lab.close("judge.rubric=mine", "demos.k=8", "--note", "rows, users")]
        lab.label(ids[80:130])
        self.done += [lab.close("judge.rubric=mine", "demos.k=8")]


@pytest.fixture(scope="module")
def three(tmp_path_factory) -> Rounds:
    made = Rounds(tmp_path_factory.mktemp("rounds"))
    for done in made.done:
        assert done.code == 0, done.err
    return made


def test_each_round_froze_its_labels_and_its_rubric(three):
    for number, labels, events in ((1, 40, 40), (2, 80, 88), (3, 130, 138)):
        about = three.lab.about(number)
        assert (about["labels"]["n"], about["events"]) == (labels, events)
        folder = three.lab.folder / "rounds" / "mine" / str(number)
        rows = read_lines(folder / "labels.jsonl")
        assert len(rows) == labels
        assert {row["by"] for row in rows} == {"ann"}
        assert (folder / "rounds.png").stat().st_size > 5000
        text = (folder / "rubric.md").read_text(encoding="utf-8").strip()
        assert about["rubric"]["sha256"] == sha256(text)
        assert ("Rows are not users" in text) == (number > 1)


def test_the_table_has_a_row_a_round_with_what_its_run_scored(three):
    last = three.done[-1].out
    rows = [line.split() for line in last.splitlines() if line[:5].strip() in ("1", "2", "3")]
    assert [row[:2] for row in rows] == [["1", "40"], ["2", "80"], ["3", "130"]]
    assert "round 1, balanced k=4 · critique · neighbours: as it came" in last
    for number in (1, 2, 3):
        result = three.lab.about(number)["result"]
        scores = json.loads((three.lab.folder / "runs" / result["run"] / "scores.json").read_text())
        assert result["metrics"] == scores["metrics"]
        agreement = scores["metrics"]["agreement"]
        assert f"{agreement['value']:.2f}".removeprefix("0") in rows[number - 1]
        assert f"[{agreement['lo']:.2f}".replace("0.", ".") in " ".join(rows[number - 1])


def test_labels_that_changed_are_shown_with_their_table_and_their_test(three):
    found = three.lab.about(2)["result"]["flips"]
    assert {one["id"] for one in found["changed"]} == set(three.changed)
    assert (found["n"], found["added"], found["gone"]) == (40, 40, 0)
    assert found["table"]["fail"]["pass"] == 8
    assert found["table"]["pass"]["fail"] == 0
    assert found["p"] == pytest.approx(2 * (1 / 2**8) / 2)  # the mid-p of 8 to 0
    assert found["verdict"] == "drift"
    assert "40 new, 8 of 40 changed" in three.done[1].out
    assert f"{sorted(three.changed)[0]} fail → pass" in three.done[1].out
    assert three.lab.about(3)["result"]["flips"]["changed"] == []


def test_the_rubrics_change_is_a_diff(three):
    assert "+- Rows are not users." in three.done[1].out
    assert "+- Rows are not users." not in three.done[2].out
    folder = three.lab.folder / "rounds" / "mine"
    assert [(folder / n / "rubric.diff").exists() for n in "123"] == [False, True, False]


def test_what_was_labelled_before_the_rubric_froze_is_counted_in_test_too(three):
    """The first forty were given under the first text, the next under the second, then nobody
    says."""
    parts = [three.lab.about(n)["result"]["seen"]["parts"] for n in (1, 2, 3)]
    assert parts[:2] == [
        [{"part": "cv", "labels": 40, "before": 0, "unknown": 0}],
        [{"part": "cv", "labels": 80, "before": 40, "unknown": 0}],
    ]
    sums = {name: sum(part[name] for part in parts[2]) for name in ("labels", "before", "unknown")}
    assert sums == {"labels": 130, "before": 40, "unknown": 50}
    test = {part["part"]: part for part in parts[2]}["test"]
    assert test["labels"] > 0
    assert test["before"] == 0, "labels of the small rounds stay out of test"
    assert (
        "labelled before the rubric in force: 40 of 80 (out of fold 40 of 80)" in three.done[1].out
    )


def test_two_judges_are_compared_on_what_both_judged(three):
    pair = three.lab.about(2)["result"]["against_last"]
    assert (pair["round"], pair["n"]) == (1, 40)
    assert three.lab.about(3)["result"]["against_last"] is None, "it is the same judge"


def test_it_says_what_is_next_and_how(three):
    done: Done = three.done[-1]
    assert "disagreements to look at again" in done.out
    assert "10 more labels would bring the intervals to" in done.out
    assert "next then close the next round: judgelab round dataset=jsonl" in done.err
    assert "judgelab review dataset=jsonl" in done.err
    assert "tracking=none --queue" not in done.err, "the review takes what it knows"


def test_the_same_command_shows_the_same_round(three):
    folder = three.lab.folder / "rounds"
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    done = three.lab.close("judge.rubric=mine", "demos.k=8")
    assert done.code == 0, done.err
    assert done.out == three.done[-1].out
    assert "shown again" in done.err
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
    made = json.loads(three.lab.close("judge.rubric=mine", "demos.k=8", "--json").out)
    assert [one["round"] for one in made["rounds"]] == [1, 2, 3]
    assert made["rounds"] == [three.lab.about(n) for n in (1, 2, 3)]


def test_what_was_said_of_agreements_stands_beside_the_agreement(three):
    folder = three.lab.folder
    run = three.lab.about(2)["result"]["run"]
    verdicts = {
        row["id"]: row["verdict"] for row in read_lines(folder / "runs" / run / "verdicts.jsonl")
    }
    now = {one.id: one for one in three.lab.log.labels("ann")}
    agreed = [id_ for id_ in sorted(verdicts) if now[id_].verdict == verdicts[id_]][:5]
    path = folder / "labels" / "mine.remarks.jsonl"
    log = RemarkLog(path)
    for number, id_ in enumerate(agreed):
        says = ("other_reason", "same_reason", "unclear")[min(number, 2)]
        log.append(Remark(id=id_, content=now[id_].content, expert="ann", run=run,
                          label=verdicts[id_], verdict=verdicts[id_], says=says))  # fmt: skip
    try:
        done = three.lab.close("judge.rubric=mine", "demos.k=8")
        made = json.loads(three.lab.close("judge.rubric=mine", "demos.k=8", "--json").out)
    finally:
        path.unlink()
    line = (
        r"round 2, right for the wrong reason in \.50 \[\.0?9, \.91\] of its agreements \(2 looked"
    )
    assert re.search(line, done.out), done.out
    assert [one["n"] for one in made["wrong_reasons"]] == [0, 2, 0]


def test_labels_of_test_stay_closed(three, tmp_path):
    """With every label of test the other way round, nothing that is said of the judge differs."""
    lab = ExpertLab(tmp_path)
    for name in ("splits", "prompts"):
        shutil.copytree(three.lab.folder / name, lab.folder / name)
    run = three.lab.folder / "runs" / three.lab.about(3)["result"]["run"]
    test = [row["id"] for row in read_lines(run / "assignment.jsonl") if row["part"] == "test"]
    lab.label(list(lab.rows)[:130], other={*test, *three.changed})
    done = lab.close("judge.rubric=mine", "demos.k=8")
    assert done.code == 0, done.err
    mine, theirs = lab.about(1)["result"], three.lab.about(3)["result"]
    assert len(test) > 30
    for name in ("metrics", "disagreements", "needs", "decision", "below_floors", "confusion"):
        assert mine[name] == theirs[name], name


def test_labels_that_changed_the_second_time_are_shown_under_both(three, tmp_path):
    lab = ExpertLab(tmp_path)
    for name in ("splits", "prompts", "labels"):
        shutil.copytree(three.lab.folder / name, lab.folder / name)
    run = three.lab.folder / "runs" / three.lab.about(3)["result"]["run"]
    parts = {row["id"]: row["part"] for row in read_lines(run / "assignment.jsonl")}
    dev, test = (sorted(i for i in parts if parts[i] == part) for part in ("dev", "test"))
    first = {e.id: e.verdict for e in lab.log.labels("ann")}
    ours, log = lab.folder / "labels" / "mine.jsonl", lab.folder / "labels" / "mine.again.jsonl"
    kept = ours.read_text()
    ours.unlink()
    lab.label([*dev[:20], *test], other={*dev[:4], *test}, verdict=lambda row: first[row["id"]])
    log.write_text(ours.read_text().replace('"at": "20', '"at": "30'))
    ours.write_text(kept)
    done = lab.close("judge.rubric=mine", "demos.k=8")
    assert done.code == 0, done.err
    found = lab.about(1)["result"]["relabelled"]
    assert found["n"] == 20
    assert [one["id"] for one in found["changed"]] == dev[:4]
    agreed, differed = found["agreed"], found["differed"]
    assert agreed["n"] + differed["n"] == 20
    more = (differed["changed"] - agreed["changed"]) / 20
    assert found["difference"]["value"] == pytest.approx(more)
    assert found["difference"]["lo"] < more < found["difference"]["hi"]
    values = [found[name]["agreement"]["value"] for name in ("again", "first")]
    assert values[0] - values[1] == pytest.approx(more)
    assert f"4 of 20 are others now, {differed['changed']} of {differed['n']} where" in done.out
    assert re.search(r"\n +first labels +\.\d\d \[.*\n +second labels +\.\d\d \[", done.out)
    assert three.lab.about(3)["result"]["relabelled"] is None
    assert "labelled again, blind" not in three.done[-1].out


def test_an_open_round_is_gone_on_with_as_it_was_frozen(tmp_path):
    lab = ExpertLab(tmp_path)
    ids = list(lab.rows)
    lab.label(ids[:24])

    def ten(body: dict[str, Any]) -> str | int:
        return said("fail") if len(server.asked) <= 10 else 503

    with endpoint(ten) as server:
        words = [*server.overrides, "model.concurrency=1", "demos=none", "judge.rubric=generic"]
        done = lab.close(*words, "--note", "first")
        assert done.code == 3
        assert "round 1 is not closed" in done.message
        assert "judgelab round dataset=jsonl" in done.message
        assert "result" not in lab.about(1)
        answered = server.answered

        lab.label(ids[24:30])  # the expert goes on meanwhile
        server.answer = lambda body: said("fail")
        done = lab.close(*words)
        assert done.code == 0, done.err
        assert server.answered == 24, "what was paid for is not asked again"
        assert 0 < answered < 24
        assert "frozen as it was before: going on" in done.err
        about = lab.about(1)
        assert about["labels"]["n"] == about["result"]["n"] == 24
        assert about["note"] == "first"

        done = lab.close(*words)
        assert done.code == 0, done.err
    assert lab.about(2)["result"]["n"] == 30


def test_an_open_round_of_another_judge_is_frozen_anew(tmp_path):
    lab = ExpertLab(tmp_path)
    lab.label(list(lab.rows)[:24])
    with endpoint(lambda body: 503) as server:
        assert lab.close(*server.overrides, "demos=none").code == 3
    lab.label(list(lab.rows)[24:30])
    done = lab.close()
    assert done.code == 0, done.err
    assert "frozen anew" in done.err
    assert lab.about(1)["labels"]["n"] == lab.about(1)["result"]["n"] == 30
    assert not (lab.folder / "rounds" / "mine" / "2").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("experiment=which_critiques",), "a round is closed with one judge"),
        (("round.agreement=2",), "round.agreement=2"),
        ((), "has no labelled items"),
    ],
)
def test_what_is_no_round_is_said(tmp_path, words, message):
    lab = ExpertLab(tmp_path)
    done = lab.close(*words)
    assert done.code == 2
    assert message in done.message
    assert not (lab.folder / "rounds").exists()


@pytest.mark.slow
def test_mlflow_shows_each_round_under_one_parent(tmp_path):
    from mlflow import MlflowClient

    lab = ExpertLab(tmp_path)
    words = ("round", *WORDS)
    for number in (1, 2):
        lab.label(list(lab.rows)[20 * number : 20 * number + 20])
        done = lab(*words, "--note", f"note {number}")
        assert done.code == 0, done.err
    assert lab(*words).code == 0, "again: nothing is there twice"
    client = MlflowClient(f"sqlite:///{lab.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("judgelab/mine")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    parent = runs["rounds of mine"]
    assert len(runs) == len(client.search_runs([experiment.experiment_id])) - 1  # the judge's two
    for number in (1, 2):
        run = runs[f"round {number}"]
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        result = lab.about(number)["result"]
        assert run.data.metrics["agreement"] == result["metrics"]["agreement"]["value"]
        assert run.data.metrics["recall"] == result["metrics"]["recall_fail"]["value"]
        assert run.info.status == "FINISHED"
        files = {file.path for file in client.list_artifacts(run.info.run_id)}
        assert {"rounds.png", "rounds.svg", "rubric.md"} <= files
        assert "labels.jsonl" not in files
    assert "note 2" in parent.data.tags["mlflow.note.content"]
    assert parent.data.metrics["agreement"] == runs["round 2"].data.metrics["agreement"]
