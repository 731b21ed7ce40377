"""judgelab data export and import, as they are typed."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from judgelab.data.readers.jsonl import JsonlReader
from judgelab.data.schema import DatasetConfig, load
from labs import Done, Lab, read_lines, rows, write_rows

OWN = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = Lab(tmp_path)
    data = rows(12)
    for row in data[6:]:
        del row["label"], row["critique"]
    write_rows(made.folder / "data.jsonl", [row | {"annotator": "ann"} for row in data])
    return made


def done(lab: Lab, *words: str, code: int = 0) -> Done:
    ended = lab("data", *words, *OWN)
    assert ended.code == code, ended.err
    return ended


def relabel(path: Path, changes: Mapping[str, Mapping[str, Any]]) -> None:
    lines = read_lines(path)
    write_rows(path, [row | changes.get(row["id"], {}) for row in lines])


@pytest.mark.parametrize("name", ["q.xlsx", "q.csv", "q.jsonl"])
def test_out_and_back_with_nothing_typed_changes_nothing(lab: Lab, name: str) -> None:
    out = done(lab, "export", name, "--all")
    assert out.out == f"12 items for ann in {name}\n"
    assert f"judgelab data import {name} {' '.join(OWN)} --expert ann" in out.err
    back = done(lab, "import", name, "--expert", "ann")
    assert "12 rows = 0 new, 0 known already, 6 unchanged, 6 without a verdict" in back.out
    assert not (lab.folder / "labels").exists()


def test_labels_come_back_and_conflicts_end_with_1(lab: Lab) -> None:
    done(lab, "export", "q.jsonl", "--n", "4", "--seed", "5")
    ids = [row["id"] for row in read_lines(lab.folder / "q.jsonl")]
    assert len(ids) == 4
    relabel(lab.folder / "q.jsonl", {ids[0]: {"verdict": "fail", "critique": "No."}})
    dry = done(lab, "import", "q.jsonl", "--expert", "ann", "--dry-run")
    assert "4 rows = 1 new" in dry.out
    assert not (lab.folder / "labels").exists()
    done(lab, "import", "q.jsonl", "--expert", "ann")
    log = lab.folder / "labels" / "own.jsonl"
    (event,) = read_lines(log)
    assert (event["id"], event["verdict"], event["expert"]) == (ids[0], "fail", "ann")
    changes = {ids[0]: {"verdict": "pass"}, ids[1]: {"verdict": "pass", "critique": "Yes."}}
    relabel(lab.folder / "q.jsonl", changes)
    ended = done(lab, "import", "q.jsonl", "--expert", "ann", code=1)
    assert "1 new" in ended.out
    assert re.search(rf"conflict: line 1, {ids[0]}: ann labelled it fail", ended.out), ended.out
    assert [row["id"] for row in read_lines(log)] == ids[:2]
    assert done(lab, "export", "rest.csv").out.startswith("4 items")


def test_the_labels_in_force_are_annotations(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    done(lab, "export", "q.jsonl", "--all")
    relabel(lab.folder / "q.jsonl", {"item-000": {"verdict": "pass", "critique": "Yes after all."}})
    done(lab, "import", "q.jsonl", "--expert", "ann")
    done(lab, "export", "bob.jsonl", "--all", "--expert", "bob")
    relabel(lab.folder / "bob.jsonl", {"item-001": {"verdict": "fail", "critique": "No."}})
    done(lab, "import", "bob.jsonl", "--expert", "bob", "dataset.expert=ann")
    done(lab, "export", "said.jsonl", "--labels", "dataset.expert=ann")
    said = read_lines(lab.folder / "said.jsonl")
    assert len(said) == 7
    by = {(row["id"], row["annotator"]): row for row in said}
    assert by["item-000", "ann"]["label"] == "pass"
    assert by["item-000", "ann"]["at"]
    assert by["item-001", "bob"]["critique"] == "No."
    (lab.folder / "labels" / "own.jsonl").unlink()
    monkeypatch.chdir(lab.folder)
    columns = {"label": None, "critique": None}
    config = DatasetConfig(
        "own", "data.jsonl", JsonlReader(), columns, annotations="said.jsonl", expert="ann"
    )
    again = load(config)
    assert {id_: one.label for id_, one in again.labels.items()} == {
        row["id"]: row["label"] for row in said if row["annotator"] == "ann"
    }
    assert again.labels["item-000"].critique == "Yes after all."


def test_aligneval_both_ways(lab: Lab) -> None:
    done(lab, "export", "al.csv", "--as", "aligneval", "--all")
    path = lab.folder / "al.csv"
    with path.open(encoding="utf-8-sig", newline="") as file:
        found = list(csv.DictReader(file))
    assert list(found[0]) == ["id", "input", "output", "label"]
    labels = {row["id"]: row["label"] for row in found}
    assert [labels[f"item-{n:03}"] for n in (0, 1, 9)] == ["1", "0", ""]
    for row in found:
        row["label"] = {"item-009": "1", "item-001": "1"}.get(row["id"], row["label"])
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, found[0])
        writer.writeheader()
        writer.writerows(found)
    ended = done(lab, "import", "al.csv", "--as", "aligneval", "--expert", "ann", code=1)
    assert "12 rows = 1 new, 5 known already, 0 unchanged, 5 without a verdict, 1 conf" in ended.out
    assert "item-001: ann labelled it pass in the dataset's own files" in ended.out
    (event,) = read_lines(lab.folder / "labels" / "own.jsonl")
    assert (event["id"], event["verdict"]) == ("item-009", "fail")
    found[0]["label"] = "2"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, found[0])
        writer.writeheader()
        writer.writerows(found)
    assert "1 = fail, 0 = pass" in lab("data", "import", "al.csv", "--as", "aligneval",
                                       "--expert", "ann", *OWN).err  # fmt: skip


def test_the_judge_of_a_run_beside_the_labels(lab: Lab) -> None:
    lab.run(*OWN, "judge=always_pass")
    ended = done(lab, "export", "q.xlsx", "--run", "latest")
    assert "6 items for ann in q.xlsx" in ended.out
    assert "6 labelled items beside the judge of latest" in ended.out
    page = load_workbook(lab.folder / "q.xlsx")["judge"]
    verdicts = [(row[3].value, row[4].value) for row in page.iter_rows(min_row=2)]
    assert verdicts == [("fail", "pass")] * 2 + [("pass", "pass")] * 4


def test_what_is_said_of_the_judge_comes_back_as_remarks(lab: Lab) -> None:
    write_rows(lab.folder / "data.jsonl", [row | {"annotator": "ann"} for row in rows(6)])
    lab.run(*OWN, "judge=always_pass")
    done(lab, "export", "q.xlsx", "--run", "latest")
    book = load_workbook(lab.folder / "q.xlsx")
    assert book.sheetnames == ["judge"], "all is labelled: there is nothing to label"
    page = book["judge"]
    columns = {cell.value: number for number, cell in enumerate(page[1], 1)}
    page.cell(2, columns["whose_mistake"], "criterion changed")
    page.cell(2, columns["comment"], "No unit, no pass.")
    page.cell(3, columns["same_reason"], "yes")
    book.save(lab.folder / "q.xlsx")
    dry = done(lab, "import", "q.xlsx", "--expert", "ann", "--dry-run", code=1)
    assert "6 rows of the judge = 1 new, 0 known already" in dry.out
    assert not (lab.folder / "labels").exists()
    for counted in ("1 new, 0 known already", "0 new, 1 known already"):
        ended = done(lab, "import", "q.xlsx", "--expert", "ann", code=1)
        rest = "0 unchanged, 4 without an answer, 1 conflicts"
        assert f"6 rows of the judge = {counted}, {rest}" in ended.out
        assert "row 3, " in ended.out
        assert "the answer belongs in whose_mistake" in ended.out
    (kept,) = read_lines(lab.folder / "labels" / "own.remarks.jsonl")
    assert (kept["says"], kept["comment"]) == ("criterion_changed", "No unit, no pass.")
    assert kept["run"] == lab.runs[0].name
    done(lab, "import", "q.xlsx", "--expert", "bob", "dataset.expert=ann", code=1)
    assert len(read_lines(lab.folder / "labels" / "own.remarks.jsonl")) == 1


def test_a_cut_text_is_said(lab: Lab) -> None:
    more = rows(1)[0] | {"id": "long", "output": "x" * 40_000}
    del more["label"], more["critique"]
    write_rows(lab.folder / "data.jsonl", [*read_lines(lab.folder / "data.jsonl"), more])
    assert "cut there with a mark, in 1 items: long (output)" in done(lab, "export", "q.xlsx").err


MISTAKES = {
    "no FILE": (("export",), "give FILE first"),
    "another format": (("export", "q.ods"), r"q\.ods: labels go to \.xlsx, \.csv, \.jsonl"),
    "a file that is there": (("export", "data.jsonl"), "there already.*--force"),
    "no folder": (("export", "no/q.csv"), "there is no folder no"),
    "a judge in CSV": (("export", "q.csv", "--run", "latest"), "only .xlsx has"),
    "no run": (("export", "q.xlsx", "--run", "latest"), "no runs in"),
    "AlignEval in XLSX": (("export", "q.xlsx", "--as", "aligneval"), r"labels go to \.csv;"),
    "labels in XLSX": (("export", "q.xlsx", "--labels"), "--labels writes JSONL"),
    "labels of a draw": (("export", "q.jsonl", "--labels", "--n", "3"), "does not go with --n"),
    "all in MLflow": (("export", "--mlflow", "--all"), "--mlflow does not go with --all"),
    "nobody": (("import", "q.csv"), "whose labels these are: --expert NAME"),
    "no file": (("import", "q.csv", "--expert", "ann"), r"q\.csv: there is no such file"),
    "not exported": (("import", "data.jsonl", "--expert", "ann"), "no column 'verdict'"),
    "a FILE for MLflow": (("export", "q.csv", "--mlflow"), "takes no FILE"),
    "no tracking": (("export", "--mlflow", "tracking=none"), "needs tracking=mlflow"),
    "MLflow elsewhere": (
        ("export", "--mlflow", "tracking.uri=http://192.0.2.1:5000"),
        "not on this machine.*tracking.texts=true",
    ),
    "no store": (("import", "--mlflow"), "no MLflow store"),
}


@pytest.mark.parametrize(("words", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_message_and_no_file(lab: Lab, words: Any, message: str) -> None:
    before = sorted(path.name for path in lab.folder.iterdir())
    ended = done(lab, *words, code=2)
    assert re.search(message, ended.err, re.DOTALL), ended.err
    assert sorted(path.name for path in lab.folder.iterdir()) == before


def test_all_labelled_is_said_and_no_file_is_written(lab: Lab) -> None:
    write_rows(lab.folder / "data.jsonl", rows(5))
    assert "has labelled all 5 items" in done(lab, "export", "q.csv", code=2).err
    assert not (lab.folder / "q.csv").exists()
