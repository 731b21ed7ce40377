"""Labels in MLflow: traces are made once, and what people say there comes back as events."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from judgelab.data.readers.jsonl import JsonlReader
from judgelab.data.schema import DatasetConfig, load
from labs import Lab, read_lines, rows, write_rows

OWN = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl")
pytestmark = pytest.mark.slow


class Page:
    """What somebody does in MLflow's own pages."""

    def __init__(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lab = lab
        self.uri = f"sqlite:///{lab.folder}/mlflow.db"

    def traces(self) -> dict[str, Any]:
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=self.uri)
        experiment = client.get_experiment_by_name("judgelab/own")
        found = client.search_traces(locations=[experiment.experiment_id])
        return {trace.info.tags["judgelab.item"]: trace for trace in found}

    def say(
        self, id_: str, value: str, why: str, who: str = "default", kind: str = "HUMAN"
    ) -> None:
        from mlflow.entities import AssessmentSource, Feedback
        from mlflow.tracing.client import TracingClient

        source = AssessmentSource(kind, who)
        said = Feedback(name="expert", value=value, rationale=why, source=source)
        TracingClient(self.uri).log_assessment(self.traces()[id_].info.trace_id, said)

    def change(self, id_: str, who: str, value: str, why: str) -> None:
        from mlflow.entities import AssessmentSource, Feedback
        from mlflow.tracing.client import TracingClient

        info = self.traces()[id_].info
        (old,) = [one for one in info.assessments if one.source.source_id == who]
        source = AssessmentSource("HUMAN", who)
        said = Feedback(
            name="expert", value=value, rationale=why, source=source, metadata=old.metadata
        )
        TracingClient(self.uri).update_assessment(info.trace_id, old.assessment_id, said)

    def said(self, id_: str) -> dict[str, tuple[Any, str | None]]:
        found = self.traces()[id_].info.assessments
        return {one.source.source_id: (one.feedback.value, one.rationale) for one in found}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = Lab(tmp_path)
    data = [row | {"annotator": "ann", "context": {"plan": "free"}} for row in rows(6)]
    for row in data[3:]:
        del row["label"], row["critique"]
    write_rows(made.folder / "data.jsonl", data)
    return made


def run(lab: Lab, *words: str, code: int = 0) -> str:
    ended = lab("data", *words, *OWN)
    assert ended.code == code, ended.err
    return ended.out


def test_labels_go_to_mlflow_and_come_back(  # noqa: PLR0915 - one story
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Page(lab, monkeypatch)
    first = run(lab, "export", "--mlflow")
    assert "3 new, 0 changed, 0 there already, 0 conflicts; 6 new traces" in first
    assert "3 items to label in its review queue, judgelab own" in first
    trace = page.traces()["item-000"]
    assert page.said("item-000") == {"ann": ("fail", rows(1)[0]["critique"])}
    root = trace.data.spans[0]
    assert root.outputs == rows(1)[0]["output"]
    assert root.inputs == {"input": rows(1)[0]["input"], "context": {"plan": "free"}}
    again = run(lab, "export", "--mlflow")
    assert "0 new, 0 changed, 3 there already, 0 conflicts; 0 new traces" in again
    assert len(page.traces()) == 6
    with sqlite3.connect(lab.folder / "mlflow.db") as db:
        assert db.execute("SELECT count(*) FROM review_queue_items").fetchone() == (3,)
    db.close()
    assert "0 new, 0 known already, 3 unchanged" in run(lab, "import", "--mlflow")

    # Somebody labels there: without a login, as ann, as bob; and a judge of MLflow's.
    page.say("item-003", "fail", "No unit.")
    page.say("item-004", "pass", "Clear.", who="bob")
    page.say("item-005", "pass", "A model says so.", who="gpt", kind="LLM_JUDGE")
    page.change("item-001", "ann", "fail", "Wrong after all.")
    unnamed = lab("data", "import", "--mlflow", *OWN)
    assert unnamed.code == 2
    assert "--expert NAME" in unnamed.err
    words = ("import", "--mlflow", "--expert", "ann", "dataset.expert=ann")
    assert "3 new" in run(lab, *words)
    log = lab.folder / "labels" / "own.jsonl"
    events = {(e["id"], e["expert"]): (e["verdict"], e["critique"]) for e in read_lines(log)}
    assert events == {
        ("item-003", "ann"): ("fail", "No unit."),
        ("item-001", "ann"): ("fail", "Wrong after all."),
        ("item-004", "bob"): ("pass", "Clear."),
    }
    before = log.read_bytes()
    assert "0 new" in run(lab, *words)
    assert log.read_bytes() == before

    # The same label may be changed there again; what changed on both sides is a conflict.
    page.change("item-003", "default", "pass", "Found the unit.")
    assert "1 new" in run(lab, *words)
    run(lab, "export", "q.jsonl", "--all", "--expert", "ann", "dataset.expert=ann")
    path = lab.folder / "q.jsonl"
    change = {"item-000": "Mine.", "item-001": "Mine too."}
    lines = read_lines(path)
    write_rows(path, [row | {"critique": change.get(row["id"], row["critique"])} for row in lines])
    run(lab, "import", "q.jsonl", "--expert", "ann", "dataset.expert=ann")
    page.change("item-000", "ann", "pass", "Theirs.")
    conflicts = run(lab, *words, code=1)
    assert "1 conflicts" in conflicts
    assert "item-000: ann labelled it fail" in conflicts
    out = run(lab, "export", "--mlflow", "--expert", "ann", "dataset.expert=ann")
    assert "1 changed" in out
    assert "conflict: item-000: ann changed it in MLflow; import it first" in out
    assert page.said("item-001")["ann"] == ("fail", "Mine too.")
    assert page.said("item-000")["ann"] == ("pass", "Theirs.")
    monkeypatch.chdir(lab.folder)
    config = DatasetConfig("own", "data.jsonl", JsonlReader(), expert="ann")
    assert load(config).labels["item-003"].label == "pass"


def test_what_is_no_verdict_imports_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page(lab, monkeypatch)
    run(lab, "export", "--mlflow", "--n", "1")
    assert len(page.traces()) == 4
    (left,) = page.traces().keys() - {"item-000", "item-001", "item-002"}
    page.change("item-001", "ann", "fail", "No.")
    page.say(left, "perhaps", "Hm.", who="ann")
    ended = lab("data", "import", "--mlflow", *OWN)
    assert ended.code == 2
    assert "'perhaps'" in ended.err
    assert "pass, fail" in ended.err
    assert not (lab.folder / "labels").exists()
    data = [row | {"output": "another"} for row in read_lines(lab.folder / "data.jsonl")]
    write_rows(lab.folder / "data.jsonl", data)
    page.change(left, "ann", "pass", "Yes.")
    moved = run(lab, "import", "--mlflow", code=1)
    assert f"{left}: its input or output has changed since" in moved
    assert "2 conflicts" in moved
    assert "2 unchanged" in moved
