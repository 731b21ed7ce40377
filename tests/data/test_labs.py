"""`judgelab init`: what is proposed for a stranger's file, and the lab that is written."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from judgelab import axes, resources
from judgelab import config as configs
from judgelab.data.labs import propose, summary, write_lab, write_sample_lab
from judgelab.data.schema import Dataset, DatasetConfig, load
from judgelab.errors import ConfigError, DataError, UserError

SHARED = Path(__file__).parents[3] / "shared" / "data"
SUPPORT = ("Ticket ID", "Customer question", "Bot reply", "Human grade", "Reviewer comment", "CSAT")


@pytest.fixture(autouse=True)
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JUDGELAB_HOME", raising=False)
    return tmp_path


def table(rows: Sequence[Sequence[Any]], name: str = "my.csv", delimiter: str = ",") -> Path:
    with open(name, "w", encoding="utf-8-sig", newline="") as out:
        csv.writer(out, delimiter=delimiter).writerows(rows)
    return Path(name)


def support(n: int, grades: Sequence[str] = ("good", "bad", "Good", ""), **more: Any) -> Path:
    rows = [
        [f"T-{i // 2}", f"How do I, {i}?", f"So {i}; done", grades[i % len(grades)], "as is", i % 5]
        for i in range(n)
    ]
    return table([SUPPORT, *rows], **more)


def columns(head: Sequence[str], *rows: Sequence[Any]) -> dict[str, str]:
    found = propose(table([head, *rows])).columns
    return {field: column for field, column in found.items() if column}


def loaded(*overrides: str) -> Dataset:
    with configs.hydra():
        composed = configs.compose(["model=neighbours", *overrides])
        node = configs.resolved(composed.config.dataset)
    return load(configs.build(node, DatasetConfig, "dataset"))


# --- from a file to a dataset


@pytest.mark.parametrize("n", [50, 150])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_foreign_csv_becomes_a_lab_that_loads(n: int, delimiter: str) -> None:
    written = write_lab(support(n, delimiter=delimiter), Path())
    assert [path.as_posix() for path in written] == [
        "conf/dataset/mine.yaml",
        "prompts/rubrics/mine.md",
        "experiments/mine.yaml",
    ]
    dataset = loaded("experiment=mine")
    assert dataset.name == "mine"
    assert len(dataset.interactions) == n
    assert len(dataset.examples) == sum(i % 4 != 3 for i in range(n))
    assert dataset.interactions[3].group == "T-1"
    assert dataset.examples[1].label == "fail"
    assert dataset.examples[1].critique == "as is"


def test_the_recipe_has_six_variants_and_the_rubric_is_found() -> None:
    write_lab(support(50), Path())
    with configs.hydra():
        composed = configs.compose(["experiment=mine", "model=neighbours"])
        recipe = axes.of_recipe(composed)
        assert composed.config.judge.rubric == "mine"
    assert len(axes.grid(recipe)) == 6
    first = Path("experiments/mine.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# Which critiques help the judge")
    assert "judgelab run experiment=mine model=neighbours" in first
    assert resources.find("mine", "prompts/rubrics", ".md").is_relative_to(Path.cwd())
    rubric = Path("prompts/rubrics/mine.md").read_text(encoding="utf-8")
    assert "passes when" in rubric
    assert "fails when" in rubric
    assert "{" not in rubric


def test_the_yaml_shows_the_counts_and_asks_to_confirm() -> None:
    write_lab(support(50), Path())
    text = Path("conf/dataset/mine.yaml").read_text(encoding="utf-8")
    assert "# Proposed by judgelab init from 50 rows." in text
    assert '  label: "Human grade" # 38 of 50 rows filled' in text
    assert "labels: # CONFIRM which one passes and which one fails" in text
    assert '# found: "good" 13 rows, "bad" 13 rows, "Good" 12 rows; 12 empty = unlabelled' in text
    assert '# Not read: "CSAT".' in text


def test_nothing_is_overwritten_and_nothing_half_written() -> None:
    mine = Path("prompts/rubrics/mine.md")
    mine.parent.mkdir(parents=True)
    mine.write_text("my words", encoding="utf-8")
    with pytest.raises(UserError, match=r"prompts/rubrics/mine\.md: already there, and init never"):
        write_lab(support(50), Path())
    assert mine.read_text(encoding="utf-8") == "my words"
    assert not Path("conf").exists()
    assert not Path("experiments").exists()
    with pytest.raises(UserError, match=r"prompts/rubrics/mine\.md: already there"):
        write_sample_lab(Path())


def test_a_lab_around_the_sample() -> None:
    written = write_sample_lab(Path())
    assert [path.name for path in written] == ["mine.md", "mine.yaml"]
    assert not Path("conf").exists()
    with configs.hydra():
        composed = configs.compose(["experiment=mine"])
        assert composed.choices["dataset"] == "sample"
        assert len(axes.grid(axes.of_recipe(composed))) == 6


def test_a_file_outside_the_lab_keeps_its_path(tmp_path: Path) -> None:
    source = support(50).rename("elsewhere.csv")
    folder = tmp_path / "lab"
    write_lab(source, folder)
    text = (folder / "conf/dataset/mine.yaml").read_text(encoding="utf-8")
    assert f'path: "{tmp_path.resolve().as_posix()}/elsewhere.csv"' in text


def test_a_broken_file_says_so_and_nothing_is_written() -> None:
    Path("my.csv").write_text("a,b\n1\n", encoding="utf-8")
    with pytest.raises(DataError, match="ragged rows, 1 row: row 2"):
        write_lab(Path("my.csv"), Path())
    assert not Path("conf").exists()


# --- which column is what


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (("question", "answer", "verdict"), ("question", "answer", "verdict")),
        (("prompt", "completion", "rating"), ("prompt", "completion", "rating")),
        (
            ("userQuery", "modelResponse", "humanLabel"),
            ("userQuery", "modelResponse", "humanLabel"),
        ),
        (
            ("user request", "reply text", "is_correct"),
            ("user request", "reply text", "is_correct"),
        ),
        (("input", "output", "label"), ("input", "output", "label")),
        (("expected_answer", "model_answer", "grade"), (None, "model_answer", "grade")),
        (("question", "answer", "judge_verdict"), ("question", "answer", None)),
    ],
)
def test_columns_are_found_by_name(head: Sequence[str], expected: Sequence[str | None]) -> None:
    found = propose(table([head, ("What is it?", "It is so", "good"), ("Why?", "Because", "bad")]))
    assert tuple(found.columns[name] for name in ("input", "output", "label")) == expected


def test_the_experts_label_comes_before_a_score_and_a_judges() -> None:
    head = ("question", "answer", "score", "llm_label", "Expert label", "Expert comment")
    rows = [("q", "a", i % 5, "pass", ("good", "bad")[i % 2], f"since {i}") for i in range(10)]
    found = columns(head, *rows)
    assert found["label"] == "Expert label"
    assert found["critique"] == "Expert comment"


def test_ids_groups_and_annotators_are_told_apart() -> None:
    head = ("id", "session_id", "question", "answer_id", "answer", "label", "labeled_by", "latency")
    rows = [
        (i, i // 2, f"q {i}", i + 50, f"a {i}", ("pass", "fail")[i % 2], "ann", 7) for i in range(8)
    ]
    assert columns(head, *rows) == {
        "id": "id",
        "group": "session_id",
        "input": "question",
        "output": "answer",
        "label": "label",
        "annotator": "labeled_by",
    }


def test_a_column_of_two_known_spellings_is_the_label_whatever_its_name() -> None:
    rows = [(f"q {i}", f"a {i}", ("thumbs up", "thumbs down")[i % 2]) for i in range(6)]
    found = propose(table([("question", "answer", "x7"), *rows]))
    assert found.columns["label"] == "x7"
    assert found.labels == {"pass": ["thumbs up"], "fail": ["thumbs down"]}


def test_what_cannot_be_found_is_left_to_fill_in() -> None:
    write_lab(table([("left", "right", "label"), ("q", "a", "pass"), ("r", "b", "fail")]), Path())
    text = Path("conf/dataset/mine.yaml").read_text(encoding="utf-8")
    assert '  input: null # FILL IN, one of: "left", "right", "label"' in text
    assert "# Fill in which column holds the input and the output." in text
    with pytest.raises(DataError) as error:
        loaded("dataset=mine")
    assert "dataset.columns.input: there is no column 'input'." in str(error.value)
    assert "Columns there are: 'left', 'right', 'label'." in str(error.value)
    mapped = ("dataset.columns.input=left", "dataset.columns.output=right")
    assert len(loaded("dataset=mine", *mapped).examples) == 2


# --- which spelling is which


@pytest.mark.parametrize(
    ("good", "bad"),
    [("Yes", "No"), ("TRUE", "FALSE"), ("1", "0"), ("ok", "not ok"), ("accepted", "rejected")],
)
def test_well_known_pairs_are_proposed_to_confirm(good: str, bad: str) -> None:
    write_lab(support(50, (good, bad)), Path())
    text = Path("conf/dataset/mine.yaml").read_text(encoding="utf-8")
    assert "# CONFIRM which one passes" in text
    assert {example.label for example in loaded("dataset=mine").examples[::2]} == {"pass"}


def test_our_own_spelling_needs_no_confirmation() -> None:
    write_lab(support(50, ("pass", "fail", "")), Path())
    assert "CONFIRM" not in Path("conf/dataset/mine.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("grades", "advice"),
    [
        (("green", "red"), "Say which spellings pass and which fail in dataset.labels"),
        (("good", "bad", "unsure"), "Say which spellings pass and which fail"),
        (("1", "2", "3", "4", "5"), "A score is not a verdict"),
    ],
)
def test_unknown_spellings_are_left_to_fill_in(grades: Sequence[str], advice: str) -> None:
    write_lab(support(50, grades), Path())
    text = Path("conf/dataset/mine.yaml").read_text(encoding="utf-8")
    assert "labels: # FILL IN which spellings pass and which fail" in text
    assert "  pass: []\n  fail: []\n" in text
    assert f'"{grades[0]}" ' in text
    with pytest.raises(DataError) as error:
        loaded("dataset=mine")
    assert advice in str(error.value)
    assert "Allowed: pass = nothing yet; fail = nothing yet" in str(error.value)


def test_yes_to_a_fault_is_not_proposed_as_a_pass() -> None:
    rows = [(f"q {i}", f"a {i}", ("yes", "no")[i % 2]) for i in range(6)]
    found = propose(table([("question", "answer", "grade: is wrong"), *rows]))
    assert found.columns["label"] == "grade: is wrong"
    assert found.labels == {"pass": [], "fail": []}


def test_alignevals_columns_are_recognised() -> None:
    rows = [(i, f"q {i}", f"a {i}", i % 2, "since") for i in range(6)]
    write_lab(table([("id", "input", "output", "label", "explanation"), *rows]), Path())
    text = Path("conf/dataset/mine.yaml").read_text(encoding="utf-8")
    assert "AlignEval" in text
    assert "CONFIRM" in text
    dataset = loaded("dataset=mine")
    assert [e.label for e in dataset.examples[:2]] == ["pass", "fail"]
    assert dataset.examples[0].critique == "since"


def test_a_models_explanation_is_no_critique() -> None:
    head = ("id", "input", "output", "label", "prediction", "explanation")
    found = columns(head, (1, "q", "a", 0, 1, "x"), (2, "r", "b", 1, 1, "y"))
    assert "critique" not in found


def test_zero_and_one_under_the_name_label_are_not_guessed() -> None:
    found = propose(table([("question", "answer", "label"), ("q", "a", 1), ("r", "b", 0)]))
    assert found.labels == {"pass": [], "fail": []}


def test_a_file_without_labels_gets_our_spelling() -> None:
    write_lab(table([("question", "answer"), ("q", "a"), ("r", "b")]), Path())
    assert 'pass: ["pass"]' in Path("conf/dataset/mine.yaml").read_text(encoding="utf-8")


# --- names from a stranger are data


def test_names_cannot_break_out_of_the_yaml() -> None:
    evil = 'x"}\u2028_target_: os.system\u2028# ${oc.env:HOME} \\'
    head = ("question", "answer", f"label {evil}", f"note {evil}", f"other {evil}", "a\nb")
    rows = [(f"q {i}", f"a {i}", ("good", "bad")[i % 2], f"since {i}", "z", "z") for i in range(6)]
    write_lab(table([head, *rows]), Path())
    dataset = loaded("dataset=mine")
    assert [e.label for e in dataset.examples[:2]] == ["pass", "fail"]
    assert dataset.examples[0].critique == "since 0"


def test_spellings_cannot_break_out_of_their_comment() -> None:
    write_lab(support(6, ("fine", "off\u2028expert: mallory")), Path())
    node = yaml.safe_load(Path("conf/dataset/mine.yaml").read_text(encoding="utf-8"))
    assert node["expert"] is None
    assert "\u2028" not in Path("conf/dataset/mine.yaml").read_text(encoding="utf-8")


# --- the other formats


def test_jsonl_with_nested_columns() -> None:
    rows = [
        {
            "meta": {"session_id": f"s{i // 2}"},
            "request": f"q {i}",
            "response": f"a {i}",
            "human": {"verdict": ("good", "bad")[i % 2], "reason": f"since {i}"},
            "context": {"plan": "free"},
        }
        for i in range(6)
    ]
    path = Path("my.jsonl")
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    write_lab(path, Path())
    dataset = loaded("dataset=mine")
    assert dataset.interactions[2] == dataset.examples[2].interaction
    assert dataset.interactions[2].group == "s1"
    assert dataset.interactions[2].context == {"plan": "free"}
    assert (dataset.examples[1].label, dataset.examples[1].critique) == ("fail", "since 1")


def test_the_first_of_several_sheets_is_taken_and_said() -> None:
    from openpyxl import Workbook

    book = Workbook()
    book.active.title = "Review"
    for row in [("question", "answer", "verdict"), ("q", "a", "good"), ("r", "b", "bad")]:
        book.active.append(row)
    book.create_sheet("Notes")
    book.save("my.xlsx")
    write_lab(Path("my.xlsx"), Path())
    text = Path("conf/dataset/mine.yaml").read_text(encoding="utf-8")
    assert 'sheet: "Review"' in text
    assert "# Sheet 'Review' was taken; there are also 'Notes'." in text
    assert len(loaded("dataset=mine").examples) == 2


def test_the_summary_is_what_a_person_needs_to_confirm() -> None:
    lines = summary(propose(support(50)))
    assert lines[0] == "my.csv: 50 rows"
    assert "  input     Customer question  (50 of 50 rows filled)" in lines
    assert "  annotator no column found" in lines
    assert "  pass      'good' 13 rows, 'Good' 12 rows" in lines
    assert "  fail      'bad' 13 rows" in lines
    assert '  not read: "CSAT"' in lines


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not beside this checkout")
@pytest.mark.parametrize(
    ("name", "group"),
    [("code-review-feedback", None), ("topic-summaries", "context.document_id")],
)
def test_our_own_names_are_proposed_as_they_are(name: str, group: str | None) -> None:
    found = propose(SHARED / name / "interactions.jsonl")
    own = {field: field for field in ("id", "input", "output", "label", "critique", "annotator")}
    assert found.columns == {**own, "group": group}
    assert found.labels == {"pass": ["pass"], "fail": ["fail"]}
    assert found.unread == ()


def test_a_missing_file_is_told() -> None:
    with pytest.raises(DataError, match="no such file"):
        propose(Path("none.csv"))


def test_a_mistyped_dataset_name_is_told() -> None:
    with pytest.raises(ConfigError, match="mine"):
        loaded("dataset=mine")
