"""What is known of the expert's labels stands beside a run's numbers: the ceiling, the rounds."""

from __future__ import annotations

from pathlib import Path

import pytest

from judgelab.data.events import EventLog, Given
from judgelab.types import Interaction
from labs import Lab, read_json, read_lines, rows, write_rows

OWN = (
    *("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl", "model=neighbours"),
    *("dataset.annotations=people.jsonl", "dataset.expert=ann", "baselines=[]"),
)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A hundred and twenty items labelled by ann in round 1, every second again in round 2."""
    items = rows(120)
    labels = {item["id"]: item.pop("label") for item in items}
    write_rows(tmp_path / "data.jsonl", items)
    given = []
    for number, (id_, label) in enumerate(labels.items()):
        said = {"id": id_, "annotator": "ann", "label": label, "round": 1, "at": "2026-01-01"}
        given.append(said)
        if number % 2 == 0:
            given.append(said | {"round": 2, "at": "2026-02-01"})
    write_rows(tmp_path / "people.jsonl", given)
    return Lab(tmp_path)


def test_a_sweep_knows_the_ceiling_and_the_rounds_of_its_labels(lab: Lab) -> None:
    done = lab.run("-m", *OWN, "demos=random,balanced", "search.floors.recall_fail=null")
    assert "expert ceiling" in done.out
    assert "the expert ceiling is ann, a second time, on" in done.err
    assert "The labels are of several rounds:" in done.err
    (sweep,) = lab.folder.glob("runs/*-sweep")
    found = read_json(sweep / "sweep.json")
    assert [row["round"] for row in found["rounds"]] == [1, 2]
    assert any("several rounds" in text for text in found["selection"]["text"])
    card = read_json(lab.folder / "runs" / found["selection"]["chosen"] / "scores.json")
    first = found["rounds"][0]
    # Nobody changed a label, so round 1 holds the labels that the card is made of.
    assert first["n"] == card["n"]
    assert first["agreement"]["value"] == pytest.approx(card["metrics"]["agreement"]["value"])
    for record in lab.records.values():
        assert record["ceiling"]["metrics"]["agreement"]["value"] == 1
        assert 0 < record["ceiling"]["n"] < card["n"]


def test_one_run_says_so_too_and_its_scores_do_not_hold_it(lab: Lab) -> None:
    done = lab.run(*OWN, "demos=random")
    assert done.err.count("labels are of several rounds:") == 1
    (folder,) = lab.runs
    assert "ceiling" not in read_json(folder / "scores.json")


def test_without_second_labels_the_ceiling_is_unknown_and_said_to_be(lab: Lab) -> None:
    write_rows(lab.folder / "people.jsonl", [])
    write_rows(lab.folder / "data.jsonl", rows(120))
    plain = (word for word in OWN if "annotations" not in word and "expert" not in word)
    done = lab.run(*plain, "demos=random")
    assert "expert ceiling" not in done.out
    assert "ceiling unknown (no item was labelled twice)" in done.err
    (record,) = lab.records.values()
    assert record["ceiling"]["reason"] == "no_second_labels"


def test_label_events_decide_from_then_on_and_a_rerun_is_under_the_labels_as_they_were(
    tmp_path: Path,
) -> None:
    lab = Lab(tmp_path)
    write_rows(tmp_path / "data.jsonl", rows(120))
    own = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl", "model=neighbours")
    lab.run(*own, "demos=random", "limit=20")
    (first,) = lab.runs
    flipped = [row["id"] for row in read_lines(first / "verdicts.jsonl")][:6]
    items = {row["id"]: row for row in rows(120)}
    log = EventLog(tmp_path / "labels" / "own.jsonl")
    for id_ in flipped:
        item = items[id_]
        content = Interaction(id_, item["input"], item["output"]).content
        other = "pass" if item["label"] == "fail" else "fail"
        said = Given(id=id_, content=content, expert="ann", verdict=other, critique="no: fifteen")
        log.append(said, None)
    again = lab("rerun", "latest")
    assert again.code == 0, again.err
    assert "6 label events came since" in again.err + again.out
    lab.run(*own, "demos=random", "limit=20", "judge=always_fail")
    (other_one,) = set(lab.runs) - {first}
    second = read_json(other_one / "record.json")
    assert second["dataset"]["events"] == 6
    assert second["dataset"]["sha256"] != read_json(first / "record.json")["dataset"]["sha256"]
    compared = lab("compare", *(path.name for path in lab.runs))
    assert compared.code == 0, compared.err
    assert "its data or labels changed since" in compared.err
