"""Loading a dataset: the mapping, the labels, whose label decides, and what every error says."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from judgelab import config as configs
from judgelab.data.annotations import ExpertLabel
from judgelab.data.readers.base import Reader
from judgelab.data.readers.csv import CsvReader
from judgelab.data.readers.jsonl import JsonlReader
from judgelab.data.readers.parquet import ParquetReader
from judgelab.data.readers.xlsx import XlsxReader
from judgelab.data.schema import Dataset, DatasetConfig, load
from judgelab.errors import ConfigError, DataError
from judgelab.types import Annotation, Interaction

SHARED = Path(__file__).parents[3] / "shared" / "data"
FOREIGN = {
    "id": "Ticket",
    "input": "Customer question",
    "output": "Bot reply",
    "label": "Verdict",
    "critique": "Why",
    "group": "Conversation",
}
GOOD_BAD = {"pass": ["good"], "fail": ["bad"]}


@pytest.fixture(autouse=True)
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JUDGELAB_HOME", raising=False)
    return tmp_path


def foreign_csv(name: str, n: int, change: Callable[[list[list[str]]], None] | None = None) -> str:
    """A stranger's CSV of n rows; `change` edits them (row i of the list is row i + 1)."""
    rows = [["Ticket", "Customer question", "Bot reply", "Verdict", "Why", "Conversation", "CSAT"]]
    for i in range(n):
        verdict = ("Good", "good ", "BAD", "")[i % 4]
        why = f"Reason {i}, in the expert's words" if verdict else ""
        rows.append(
            [f"T{i}", f"How do I, {i}?", f'Like "so" {i}\nand so', verdict, why, f"c{i // 3}", "5"]
        )
    if change:
        change(rows)
    with open(name, "w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows(rows)
    return name


def jsonl(name: str, rows: Sequence[Any]) -> str:
    Path(name).write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return name


def item(id_: str, **more: Any) -> dict[str, Any]:
    return {"id": id_, "input": f"in {id_}", "output": f"out {id_}", **more}


def loaded(path: str, columns: Any = None, labels: Any = None, **more: Any) -> Dataset:
    readers: dict[str, Reader] = {
        ".csv": CsvReader(), ".jsonl": JsonlReader(), ".xlsx": XlsxReader(),
        ".parquet": ParquetReader(),
    }  # fmt: skip
    reader = readers[Path(path).suffix]
    return load(DatasetConfig("mine", path, reader, columns or {}, labels or {}, **more))


def message(*args: Any, **more: Any) -> str:
    with pytest.raises(DataError) as error:
        loaded(*args, **more)
    return str(error.value)


# --- a stranger's columns


@pytest.mark.parametrize("n", [50, 150])
def test_a_foreign_csv_loads_with_its_mapping(n: int) -> None:
    dataset = loaded(foreign_csv("a.csv", n), FOREIGN, GOOD_BAD)
    assert len(dataset.interactions) == n
    assert dataset.interactions[4] == Interaction(
        "T4", "How do I, 4?", 'Like "so" 4\nand so', {}, {}, "c1"
    )
    unlabelled = len([i for i in range(n) if i % 4 == 3])
    assert len(dataset.examples) == n - unlabelled
    assert [e.label for e in dataset.examples[:4]] == ["pass", "pass", "fail", "pass"]
    assert dataset.examples[2].critique == "Reason 2, in the expert's words"
    assert dataset.notes == [
        f"{unlabelled} of {n} items are unlabelled.",
        "columns not read: 'CSAT'. To show one to the judge, list it in dataset.columns.context.",
    ]


def test_an_unmapped_column_goes_nowhere_and_a_listed_one_into_the_context() -> None:
    path = foreign_csv("a.csv", 8)
    assert all(i.context == {} for i in loaded(path, FOREIGN, GOOD_BAD).interactions)
    listed = loaded(path, {**FOREIGN, "context": ["CSAT"]}, GOOD_BAD)
    assert listed.interactions[0].context == {"CSAT": "5"}
    assert not any("CSAT" in note for note in listed.notes)
    named = loaded(
        path, {**FOREIGN, "context": {"stars": "CSAT"}, "dimensions": ["CSAT"]}, GOOD_BAD
    )
    assert named.interactions[0].context == {"stars": "5"}
    assert named.interactions[0].dimensions == {"CSAT": "5"}


def test_a_missing_column_lists_the_columns_there_are() -> None:
    columns = {**FOREIGN, "input": "customer question", "critique": "Wy", "context": ["plan"]}
    text = message(foreign_csv("a.csv", 50), columns, GOOD_BAD)
    assert text.startswith("a.csv: nothing was loaded.")
    assert (
        "dataset.columns.input: there is no column 'customer question'. "
        "Did you mean 'Customer question'?" in text
    )
    assert "dataset.columns.critique: there is no column 'Wy'. Did you mean 'Why'?" in text
    assert "dataset.columns.context: there is no column 'plan'." in text
    assert "Columns there are: 'Ticket', 'Customer question', 'Bot reply', 'Verdict'" in text


def test_input_and_output_have_to_be_named() -> None:
    text = message(foreign_csv("a.csv", 50), {**FOREIGN, "output": None}, GOOD_BAD)
    assert "dataset.columns.output: there is no column 'output'." in text


def test_a_column_under_our_own_name_may_be_missing() -> None:
    dataset = loaded(jsonl("a.jsonl", [{"input": "q", "output": "a", "label": "pass"}]))
    assert dataset.examples[0].critique == ""
    assert dataset.interactions[0].group is None


def test_null_reads_nothing() -> None:
    path = jsonl("a.jsonl", [item("1", label="pass", group="g", critique="why")])
    dataset = loaded(path, {"group": None, "critique": None})
    assert dataset.interactions[0].group is None
    assert dataset.examples[0].critique == ""
    assert "columns not read: 'group', 'critique'" in dataset.notes[-1]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"inputs": "a"}, r"'inputs' is no field of ours\. Allowed: id, input, output"),
        ({"input": ["a"]}, r"dataset\.columns\.input is \['a'\]; allowed: one column's name"),
        ({"context": "a"}, r"dataset\.columns\.context is 'a'; allowed: a list of columns"),
    ],
)
def test_a_wrong_mapping_says_what_is_allowed(columns: Any, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        DatasetConfig("mine", "a.csv", CsvReader(), columns)


def test_a_reader_has_to_be_one() -> None:
    wrong: Any = "csv"
    with pytest.raises(ConfigError, match=r"dataset\.reader is a str; allowed: a reader"):
        DatasetConfig("mine", "a.csv", wrong)


def test_dotted_paths_reach_into_objects_lists_and_json_text() -> None:
    rows = [
        {
            "messages": [{"text": "first"}, {"text": "last"}],
            "meta": json.dumps({"user": {"id": 7}, "reply": {"text": "yes"}}),
            "context": {"question_id": 3.0},
        }
    ]
    columns = {
        "input": "messages.-1.text",
        "output": "meta.reply.text",
        "group": "context.question_id",
        "annotator": "meta.user.id",
        "context": ["context.question_id"],
    }
    one = loaded(jsonl("a.jsonl", rows), columns).interactions[0]
    assert (one.input, one.output, one.group) == ("last", "yes", "3")
    assert one.context == {"question_id": 3.0}


def test_the_longest_column_name_that_fits_comes_first() -> None:
    rows = [{"id": "1", "q": {"text": "inner"}, "q.text": "whole", "output": "o"}]
    assert loaded(jsonl("a.jsonl", rows), {"input": "q.text"}).interactions[0].input == "whole"


def test_broken_json_text_in_a_cell_is_told_with_its_rows() -> None:
    rows = [{"q": '{"a": "x"}', "output": "o"}, {"q": '{"a": ', "output": "o"}]
    text = message(jsonl("a.jsonl", rows), {"input": "q.a"})
    assert "invalid JSON where dataset.columns reaches for 'q.a', 1 row: line 2 (Expecting" in text


def test_flat_columns_are_nested() -> None:
    Path("a.csv").write_text(
        "id,input,output,context.plan,context.a.b,dimensions.feature,context,dimensions\n"
        '1,q,a,free,,search,"{""tz"": ""UTC""}",\n2,q,b,,x,,,\n',
        encoding="utf-8",
    )
    first, second = loaded("a.csv").interactions
    assert first.context == {"tz": "UTC", "plan": "free"}
    assert first.dimensions == {"feature": "search"}
    assert second.context == {"a.b": "x"}
    assert second.dimensions == {}


def test_a_context_that_is_no_object_is_refused() -> None:
    rows = [item("1", context=["a"]), item("2", context="text"), item("3", context={"a": 1})]
    text = message(jsonl("a.jsonl", rows))
    assert "column 'context' that is no JSON object, 2 rows: line 1 (list), line 2" in text


def test_what_is_no_text_becomes_indented_json() -> None:
    rows = [{"id": 7, "input": [{"role": "user"}], "output": {"total": 3}, "label": "pass"}]
    one = loaded(jsonl("a.jsonl", rows)).interactions[0]
    assert one.id == "7"
    assert one.input == '[\n  {\n    "role": "user"\n  }\n]'
    assert one.output == '{\n  "total": 3\n}'


def test_dimensions_are_text() -> None:
    path = jsonl("a.jsonl", [item("1", dimensions={"turn": 2, "new": True, "none": None})])
    assert loaded(path).interactions[0].dimensions == {"turn": "2", "new": "true"}


# --- ids


def test_without_ids_they_are_made_from_the_content() -> None:
    rows = [{"input": "q", "output": "a"}, {"input": "q", "output": "b"}] * 2
    dataset = loaded(jsonl("a.jsonl", rows))
    first = Interaction("", "q", "a").content[:12]
    ids = [one.id for one in dataset.interactions]
    assert ids[0] == first
    assert ids[2:] == [f"{ids[0]}-2", f"{ids[1]}-2"]
    assert "each id is the start of the content's hash" in dataset.notes[0]


def test_duplicate_ids_are_told_with_both_rows() -> None:
    def change(rows: list[list[str]]) -> None:
        rows[6][0] = rows[9][0] = "T2"

    text = message(foreign_csv("a.csv", 50, change), FOREIGN, GOOD_BAD)
    assert "ids that occur twice, 2 rows: row 7 (line 12) ('T2', as in row 4 (line 6))" in text
    assert "Allowed: an id of its own a row" in text


def test_an_empty_id_is_told() -> None:
    text = message(jsonl("a.jsonl", [item("1"), {**item("2"), "id": None}]))
    assert "no id, 1 row: line 2. Allowed: an id in every row; dataset.columns.id=null" in text


# --- empty texts


def test_every_kind_of_problem_is_in_one_message() -> None:
    def change(rows: list[list[str]]) -> None:
        for i in range(1, 9):
            rows[i][2] = " "
        rows[3][1] = ""
        rows[5][3] = "meh"

    text = message(foreign_csv("a.csv", 150, change), FOREIGN, GOOD_BAD)
    assert "empty output (column 'Bot reply'), 8 rows: row 2, row 3, row 4, row 5, row 6" in text
    assert "row 6 and 3 more. Allowed: a text; leave out rows without output." in text
    assert "empty input (column 'Customer question'), 1 row: row 4." in text
    assert "labels in column 'Verdict' that are neither pass nor fail, 1 row: 'meh' in 1" in text


# --- labels


def test_unknown_labels_are_counted_never_guessed() -> None:
    text = message(foreign_csv("a.csv", 50), FOREIGN)
    assert "a.csv: nothing was loaded." in text
    assert "labels in column 'Verdict' that are neither pass nor fail, 38 rows:" in text
    assert "'Good' in 13 (row 2, row 6 (line 10)," in text
    assert "and 8 more)" in text
    assert "'BAD' in 12 (" in text
    assert "Allowed: pass = 'pass'; fail = 'fail', upper and lower case alike." in text
    assert "{pass: [good], fail: [bad]}" in text


@pytest.mark.parametrize(
    ("cells", "advice"),
    [
        ([1, 3, 5], "A score is not a verdict: where passing begins is the expert's decision."),
        (["4", "5"], "for example {pass: [4, 5], fail: [1, 2, 3]}"),
        ([0, 1], "Which number passes differs between tools, so it is never guessed"),
        ([0.5, 1.0], "write pass or fail into the file"),
        ([True, False], "Whether true is a pass depends on the question asked"),
        (["not a fail", "pass!"], "Say which spellings pass and which fail"),
    ],
)
def test_scores_and_booleans_are_explained(cells: list[Any], advice: str) -> None:
    path = jsonl("a.jsonl", [item(str(i), label=cell) for i, cell in enumerate(cells)])
    text = message(path)
    assert advice in text
    assert f"neither pass nor fail, {len(cells)} rows:" in text


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        ([4, "5", 2.0, "1.0", None], {"pass": [4, 5], "fail": [1, 2, 3]}),
        ([True, "TRUE", False, "False", ""], {"pass": [True], "fail": [False]}),
        ([1, "1.0", 0, 0.0, "  "], {"pass": ["1"], "fail": [0]}),
        (["Thumbs Up", " thumbs up", "NO", "no", None], {"pass": "thumbs up", "fail": ["No"]}),
    ],
)
def test_labels_are_looked_up_in_the_mapping(cells: list[Any], labels: Any) -> None:
    path = jsonl("a.jsonl", [item(str(i), label=cell) for i, cell in enumerate(cells)])
    dataset = loaded(path, labels=labels)
    assert [e.label for e in dataset.examples] == ["pass", "pass", "fail", "fail"]


def test_yaml_booleans_are_explained() -> None:
    path = jsonl("a.jsonl", [item("1", label="yes"), item("2", label="no")])
    assert 'pass: ["yes"]' in message(path, labels={"pass": [True], "fail": [False]})


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"passed": ["x"]}, r"dataset\.labels has 'passed'; allowed: pass and fail"),
        ({"pass": ["Yes"], "fail": ["yes "]}, "'yes' is both pass and fail"),
        ({"pass": [None]}, r"dataset\.labels\.pass is \[None\]; allowed: a list of spellings"),
        ({"fail": [""]}, r"An empty cell always means unlabelled"),
    ],
)
def test_a_wrong_label_mapping_says_what_is_allowed(labels: Any, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        DatasetConfig("mine", "a.csv", CsvReader(), {}, labels)


def test_a_file_without_labels_loads_with_a_note() -> None:
    dataset = loaded(jsonl("a.jsonl", [item("1", Label="pass"), item("2")]))
    assert dataset.examples == ()
    assert "none of the 2 items is labelled" in dataset.notes[0]
    assert "Did you mean 'Label'?" in dataset.notes[0]


# --- the hash


def test_the_hash_follows_content_not_order() -> None:
    rows = [item(str(i), label="pass", critique=f"why {i}", group="g") for i in range(5)]
    first = loaded(jsonl("a.jsonl", rows)).sha256
    assert loaded(jsonl("b.jsonl", rows[::-1])).sha256 == first
    for change in ({"label": "fail"}, {"critique": "x"}, {"output": "x"}, {"context": {"a": 1}}):
        changed = [{**rows[0], **change}, *rows[1:]]
        assert loaded(jsonl("c.jsonl", changed)).sha256 != first, change


def test_the_formats_give_the_same_dataset() -> None:
    import openpyxl
    import pyarrow
    import pyarrow.parquet

    rows = [
        {
            **item(str(i)),
            "label": ("pass", "fail", "")[i % 3],
            "critique": f"why, {i}",
            "group": "g",
        }
        for i in range(7)
    ]
    flat = [{**row, "context.plan": "free", "dimensions.feature": "search"} for row in rows]
    nested = [
        {**row, "context": {"plan": "free"}, "dimensions": {"feature": "search"}} for row in rows
    ]
    cells = [list(flat[0]), *(list(row.values()) for row in flat)]
    with open("a.csv", "w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows(cells)
    book = openpyxl.Workbook()
    for row in cells:
        book.active.append(row)
    book.save("a.xlsx")
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(flat), "a.parquet")
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(nested), "b.parquet")
    expected = loaded(jsonl("a.jsonl", nested))
    for name in ("a.csv", "a.xlsx", "a.parquet", "b.parquet"):
        dataset = loaded(name)
        assert dataset.sha256 == expected.sha256, name
        assert dataset.interactions == expected.interactions, name


# --- annotations


def note(id_: str, annotator: str, label: str, **more: Any) -> dict[str, Any]:
    return {"id": id_, "annotator": annotator, "label": label, **more}


def decided(items: Sequence[Any], notes: Sequence[Any], **more: Any) -> Dataset:
    return loaded(jsonl("a.jsonl", items), annotations=jsonl("annotations.jsonl", notes), **more)


def test_the_label_in_the_row_decides() -> None:
    dataset = decided(
        [item("1", label="pass", annotator="ann")], [note("1", "ann", "fail", round=2)]
    )
    assert [(e.label, e.annotator) for e in dataset.examples] == [("pass", "ann")]
    assert dataset.annotations == (Annotation("1", "ann", "fail", round=2),)
    assert dataset.expert == "ann"


def test_another_expert_overrules_the_row_and_nothing_is_lost() -> None:
    items = [
        item("1", label="pass", annotator="ann", critique="ok"),
        item("2", label="pass", annotator="ann"),
    ]
    dataset = decided(items, [note("1", "bob", "fail", critique="no")], expert="bob")
    assert [(e.id, e.label, e.critique, e.annotator) for e in dataset.examples] == [
        ("1", "fail", "no", "bob")
    ]
    assert set(dataset.annotations) == {
        Annotation("1", "bob", "fail", "no"),
        Annotation("1", "ann", "pass", "ok"),
        Annotation("2", "ann", "pass"),
    }
    assert dataset.expert == "bob"
    assert "items labelled by others than 'bob' alone, so unlabelled here: 1." in dataset.notes


def test_a_row_without_annotator_is_the_experts() -> None:
    dataset = decided([item("1", label="pass")], [note("1", "bob", "fail")], expert="bob")
    assert dataset.examples[0].label == "pass"


@pytest.mark.parametrize(
    "notes",
    [
        [note("1", "a", "pass", round=2), note("1", "a", "fail", round=10)],
        [note("1", "a", "fail", round=1), note("1", "a", "pass")],
        [
            note("1", "a", "fail", at="2026-03-02T10:00:00+00:00"),
            note("1", "a", "pass", at="2026-03-02T11:00:00+02:00"),
        ],
        [
            note("1", "a", "pass", at="2026-03-02"),
            note("1", "a", "fail", at="2026-03-02T00:00:01Z"),
        ],
        [note("1", "a", "pass"), note("1", "a", "fail")],
    ],
)
def test_the_newest_annotation_decides(notes: list[Any]) -> None:
    assert decided([item("1")], notes).examples[0].label == "fail"


def test_one_annotator_decides_several_have_to_be_chosen_from() -> None:
    notes = [note("1", "ann", "pass"), note("1", "bob", "fail")]
    with pytest.raises(
        DataError, match=r"of their own: 1, .* by 'ann', 'bob'\. .*dataset\.expert=NAME"
    ):
        decided([item("1")], notes)
    assert decided([item("1")], notes, expert="bob").examples[0].label == "fail"
    assert decided([item("1", label="pass")], notes).examples[0].label == "pass"


def test_an_expert_nobody_knows_is_refused() -> None:
    with pytest.raises(DataError, match=r"dataset\.expert is 'an', who has .* by: 'ann'"):
        decided([item("1")], [note("1", "ann", "pass")], expert="an")


def test_bad_annotations_are_told_at_once() -> None:
    notes = [
        note("9", "ann", "pass"),
        note("1", "", "pass"),
        note("1", "ann", "meh"),
        note("1", "ann", "fail", at="yesterday"),
        note("1", "ann", "fail", round="first"),
        note("1", "ann", ""),
    ]
    with pytest.raises(DataError) as error:
        decided([item("1")], notes)
    text = str(error.value)
    assert text.startswith("annotations.jsonl: nothing was loaded.")
    assert "unknown ids (column 'id'), 1 row: line 1 ('9')" in text
    assert "no annotator (column 'annotator'), 1 row: line 2" in text
    assert "'meh' in 1 (line 3)" in text
    assert "unreadable times (column 'at'), 1 row: line 4 ('yesterday'). Allowed: ISO 8601" in text
    assert "unreadable rounds (column 'round'), 1 row: line 5 ('first')" in text
    assert "line 6" not in text


def test_annotations_need_their_columns() -> None:
    with pytest.raises(
        DataError, match=r"no column 'annotator'\. Columns there are: 'id', 'label'"
    ):
        decided([item("1")], [{"id": "1", "label": "pass"}])


# --- the yamls and the data sets


def built(*overrides: str) -> DatasetConfig:
    with configs.hydra():
        composed = configs.compose([*overrides])
        return configs.build(configs.resolved(composed.config.dataset), DatasetConfig, "dataset")


@pytest.mark.parametrize("name", ["jsonl", "csv", "xlsx", "parquet", "aligneval"])
def test_every_yaml_builds_and_asks_for_its_path(name: str) -> None:
    assert built(f"dataset={name}", "dataset.path=x", "model=neighbours").name == name
    with pytest.raises(ConfigError, match=r"dataset\.path has no value yet"):
        built(f"dataset={name}", "model=neighbours")


def test_a_mapping_can_be_given_on_the_command_line() -> None:
    foreign_csv("a.csv", 50)
    config = built(
        *("dataset=csv", "dataset.path=a.csv", "model=neighbours", "dataset.columns.id=Ticket"),
        *("dataset.columns.input='Customer question'", "dataset.columns.output='Bot reply'"),
        *("dataset.columns.label=Verdict", "dataset.columns.context=[CSAT]"),
        *("dataset.labels.pass=[good]", "dataset.labels.fail=[bad]"),
    )
    dataset = load(config)
    assert len(dataset.examples) == 38
    assert dataset.interactions[0].context == {"CSAT": "5"}


def test_aligneval_reads_zero_as_pass() -> None:
    Path("a.csv").write_text(
        "id,input,output,label,explanation\n1,q,a,0,fine\n2,q,b,1,off\n3,q,c,,\n", encoding="utf-8"
    )
    dataset = load(built("dataset=aligneval", "dataset.path=a.csv", "model=neighbours"))
    assert [(e.id, e.label, e.critique) for e in dataset.examples] == [
        ("1", "pass", "fine"),
        ("2", "fail", "off"),
    ]


def test_the_sample_brings_its_model_and_loads() -> None:
    with configs.hydra():
        composed = configs.compose([])
        assert composed.choices["model"] == "neighbours"
        assert configs.compose(["model=none"]).choices["model"] == "none"
    config = configs.build(configs.resolved(composed.config.dataset), DatasetConfig, "dataset")
    dataset = load(config)
    assert dataset.name == "sample"
    assert len(dataset.examples) >= 240
    assert dataset.annotations


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not beside this checkout")
@pytest.mark.parametrize(
    ("name", "group", "passes", "fails", "groups", "annotations"),
    [
        ("code-review-feedback", None, 23, 27, 0, 0),
        ("open-qa-answers", "context.question_id", 816, 674, 301, 3196),
        ("topic-summaries", "context.document_id", 1097, 680, 100, 0),
    ],
)
def test_the_shared_data_sets_load(
    name: str, group: str | None, passes: int, fails: int, groups: int, annotations: int
) -> None:
    folder = SHARED / name
    dataset = loaded(
        str(folder / "interactions.jsonl"),
        {"group": group} if group else {},
        annotations=str(folder / "annotations.jsonl") if annotations else None,
    )
    labels = [example.label for example in dataset.examples]
    assert (labels.count("pass"), labels.count("fail")) == (passes, fails)
    assert len({one.group for one in dataset.interactions if one.group}) == groups
    assert len(dataset.annotations) == annotations
    assert dataset.notes == []


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not beside this checkout")
def test_an_annotator_of_a_shared_data_set_can_be_the_expert() -> None:
    folder = SHARED / "open-qa-answers"
    dataset = loaded(
        str(folder / "interactions.jsonl"),
        annotations=str(folder / "annotations.jsonl"),
        expert="annotator1",
    )
    assert {example.annotator for example in dataset.examples} == {"annotator1"}


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not beside this checkout")
def test_a_shuffled_file_is_the_same_dataset() -> None:
    source = SHARED / "code-review-feedback" / "interactions.jsonl"
    lines = source.read_text(encoding="utf-8").splitlines()
    random.Random(1).shuffle(lines)
    Path("a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert loaded("a.jsonl").sha256 == loaded(str(source)).sha256


def test_a_dataset_prints_itself_without_its_texts() -> None:
    """asyncio asks a finished task for its repr, and the task's result may hold a dataset."""
    one = Interaction("i", "in" * 1000, "out" * 1000)
    dataset = Dataset("made", (one,), {"i": ExpertLabel("pass", "why" * 1000)})
    assert "made" in repr(dataset)
    assert len(repr(dataset)) < 200
