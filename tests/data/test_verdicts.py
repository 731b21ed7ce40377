"""Verdict files and label files of other tools, and what a bad one is told."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from judgelab.data.labels_file import read_labels
from judgelab.data.verdicts import read_verdicts
from judgelab.errors import DataError
from judgelab.types import Interaction, Verdict


def jsonl(path: Path, *rows: Any) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def said(path: Path, reader: Any = read_verdicts) -> str:
    with pytest.raises(DataError) as error:
        reader(path)
    return str(error.value)


def test_jsonl_with_several_judges_and_repeats(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "v.jsonl",
        {"id": "1", "verdict": "FAIL ", "judge": "gpt", "critique": "so", "confidence": 1},
        {"id": "1", "verdict": "pass", "judge": "gpt", "repeat": 1},
        "",
        {"id": 2, "verdict": None, "judge": "gpt", "reason": "refusal"},
        {"id": "1", "verdict": "pass", "judge": "llama", "critique": None},
    )
    assert read_verdicts(path) == {
        "gpt": {
            ("1", 0): Verdict("1", "fail", None, "so"),
            ("1", 1): Verdict("1", "pass", repeat=1),
            ("2", 0): Verdict("2", None, "refusal"),
        },
        "llama": {("1", 0): Verdict("1", "pass")},
    }


def test_csv_is_named_by_its_stem(tmp_path: Path) -> None:
    path = tmp_path / "my judge.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows(
            [["id", "verdict", "critique"], ["a", "Pass", "x\ny"], ["b", "", ""], ["c", "null", ""]]
        )
    assert read_verdicts(path) == {
        "my judge": {
            ("a", 0): Verdict("a", "pass", None, "x\ny"),
            ("b", 0): Verdict("b", None, "unsure"),
            ("c", 0): Verdict("c", None, "unsure"),
        }
    }


@pytest.mark.parametrize("word", ["true", "1", "passed", "not a fail", "pass/fail", "échec", "P"])
def test_a_word_that_is_no_verdict_is_refused(word: str, tmp_path: Path) -> None:
    text = said(
        jsonl(tmp_path / "v.jsonl", {"id": "1", "verdict": "pass"}, {"id": "2", "verdict": word})
    )
    assert "v.jsonl" in text
    assert "2" in text
    assert repr(word) in text
    assert "allowed are pass, fail" in text


@pytest.mark.parametrize("value", [True, False, 0, 1, 0.0, ["pass"]])
def test_a_value_that_is_no_word_is_refused(value: Any, tmp_path: Path) -> None:
    assert "allowed are pass, fail" in said(
        jsonl(tmp_path / "v.jsonl", {"id": "1", "verdict": value})
    )


def test_a_second_verdict_of_a_judge_is_refused(tmp_path: Path) -> None:
    one = {"id": "1", "verdict": "pass", "judge": "gpt"}
    text = said(jsonl(tmp_path / "v.jsonl", one, one | {"verdict": "fail"}))
    assert "a second verdict of judge 'gpt' for item '1'" in text
    assert "2" in text


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([{"verdict": "pass"}], "no id"),
        ([{"id": "1", "score": 3}], "no verdict. Found: id, score"),
        ([{"id": "1", "verdict": "pass", "repeat": "first"}], "repeat: found 'first'"),
        ([{"id": "1", "verdict": "pass", "repeat": -1}], "repeat: found '-1'"),
        ([{"id": "1", "verdict": "pass", "repeat": "²"}], "repeat: found '²'"),
        ([{"id": None, "verdict": "pass"}], "id: it is empty"),
        ([{"id": " ", "verdict": "pass"}], "id: it is empty"),
        (['{"id": "1", "verdict": "pa'], "line 1"),
        (["[1, 2]"], "line 1"),
    ],
)
def test_what_is_no_row_of_verdicts_is_named(rows: list[Any], found: str, tmp_path: Path) -> None:
    text = said(jsonl(tmp_path / "v.jsonl", *rows))
    assert "v.jsonl" in text
    assert found in text


def test_a_ragged_csv_is_not_read_as_abstentions(tmp_path: Path) -> None:
    path = tmp_path / "v.csv"
    path.write_text("id,verdict,critique\n1,pass,x\n2\n3,fail,y\n")
    assert "row 3" in said(path)
    path.write_text("id,verdict\n1,pass\n2,fail,too much\n")
    assert "row 3" in said(path)


def test_a_file_without_verdicts_or_no_file_is_said(tmp_path: Path) -> None:
    assert "none.jsonl" in said(tmp_path / "none.jsonl")
    assert "v.jsonl" in said(jsonl(tmp_path / "v.jsonl", ""))
    (tmp_path / "bad.jsonl").write_bytes(b'{"id": "1", "verdict": "pass\xff"}\n')
    assert "UTF-8" in said(tmp_path / "bad.jsonl")


# --- labels, for `score`


def test_labels_with_and_without_groups(tmp_path: Path) -> None:
    rows = [
        {"id": "1", "label": "Fail", "context": {"talk": "a"}},
        {"id": 2, "label": "pass", "context": {"talk": "b"}},
        {"id": "3", "label": "", "context": {"talk": "b"}},
        {"id": "4", "label": None},
        {"id": "5", "label": "pass", "context": {"talk": None}},
    ]
    path = jsonl(tmp_path / "l.jsonl", *rows)
    known = read_labels(path)
    assert (known.labels, known.clusters) == ({"1": "fail", "2": "pass", "5": "pass"}, None)
    talks = read_labels(path, "context.talk")
    assert (talks.labels, talks.clusters) == (known.labels, {"1": "a", "2": "b", "5": None})
    with pytest.raises(DataError, match=r"no item has the field 'context\.tlak'"):
        read_labels(path, "context.tlak")
    path = jsonl(tmp_path / "l.jsonl", *[row | {"group": f"g{n}"} for n, row in enumerate(rows)])
    assert read_labels(path).clusters == {"1": "g0", "2": "g1", "5": "g4"}


def test_labels_know_their_texts_their_weights_and_who_gave_them(tmp_path: Path) -> None:
    rows = [
        {"id": "1", "label": "fail", "input": "a", "output": {"b": 1}, "w": 2, "annotator": "ann"},
        {"id": "2", "label": "pass", "input": "a", "w": "0.5", "annotator": "ann"},
        {"id": "3", "label": "", "w": "none"},
    ]
    known = read_labels(jsonl(tmp_path / "l.jsonl", *rows), weights="w")
    texts = Interaction("", "a", '{\n  "b": 1\n}').content
    assert (known.content, known.weights) == ({"1": texts}, {"1": 2.0, "2": 0.5})
    assert known.expert == "ann"
    both = [rows[0], rows[1] | {"annotator": "bob"}]
    assert read_labels(jsonl(tmp_path / "l.jsonl", *both)).expert == ""


@pytest.mark.parametrize("weight", [0, -1, "many", None, True, "nan", "inf", [1]])
def test_a_weight_is_a_number_over_zero(weight: Any, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "l.jsonl", {"id": "1", "label": "pass", "w": weight})
    with pytest.raises(DataError, match=r"l\.jsonl, line 1, w: found .* a number over 0"):
        read_labels(path, weights="w")


@pytest.mark.parametrize("value", [0, 1, False, True, "0", "good", ["fail"]])
def test_a_label_is_never_guessed(value: Any, tmp_path: Path) -> None:
    """0 and false are no empty cells: in some tools 0 means pass, in others fail."""
    path = jsonl(tmp_path / "l.jsonl", {"id": "1", "label": "pass"}, {"id": "2", "label": value})
    text = said(path, read_labels)
    assert "label: found" in text
    assert repr(value) in text
    assert "allowed: pass, fail" in text


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([{"id": "1", "label": "pass"}, {"id": "1", "label": "pass"}], "'1' stands twice"),
        ([{"label": "pass"}], "no id"),
        ([{"id": "1"}], "no label"),
        ([{"id": None, "label": "pass"}], "id: it is empty"),
        ([{"id": "1", "label": ""}], "no labelled items"),
    ],
)
def test_a_bad_label_file_is_named(rows: list[Any], found: str, tmp_path: Path) -> None:
    text = said(jsonl(tmp_path / "l.jsonl", *rows), read_labels)
    assert "l.jsonl" in text
    assert found in text
