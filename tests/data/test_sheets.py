"""Labels in spreadsheets: cells come back exactly, and nobody's label is overwritten unseen."""

from __future__ import annotations

import csv
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook

from judgelab.data.events import CANNOT, EventLog, labels_path
from judgelab.data.readers import xlsx
from judgelab.data.readers.csv import CsvReader
from judgelab.data.readers.jsonl import JsonlReader
from judgelab.data.remarks import RemarkLog, remarks_path
from judgelab.data.schema import Dataset, DatasetConfig, load
from judgelab.data.sheets import cells, comments, merging, reading, rows, writing
from judgelab.data.sheets.comments import Comment
from judgelab.data.sheets.merged import Merged
from judgelab.data.sheets.reading import Entry, LabelSheet
from judgelab.data.standing import Said, Standing
from judgelab.errors import DataError
from judgelab.types import Verdict
from labs import write_rows

FORMULAS = (
    *(
        "=1+1",
        "+cmd",
        "-x",
        "@SUM(A1)",
        "\tx",
        "\rx",
        "\nx",
        "＝x",
        "＋x",
        "－x",
        "＠x",
        "'=x",
        "''=x",
    ),
    *('=HYPERLINK("http://x","y")', "'", "'x", "-5", "+1e9", "#N/A", "#REF!", "007", "1e5", "TRUE"),
    *(
        "a\r\nb",
        "a\rb",
        " a ",
        "\x0b",
        "\x1f",
        "\ufffe",
        "_x000D_",
        "_x0041_x0042_",
        "_x005F_x0041_",
    ),
    *('a"b', "a,b;c\td|e", "\u202etxt", "\u2028", "\x85", "😀" * 3, "1;2", "=cmd|' /C calc'!A0"),
)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
TEXTS = st.lists(TEXT | st.sampled_from(FORMULAS), min_size=1, max_size=12)


@dataclass
class Place:
    """A lab with a dataset of items a, b, c; a is labelled in the file."""

    folder: Path

    def write(self, data: Sequence[Mapping[str, Any]]) -> None:
        write_rows(self.folder / "data.jsonl", data)

    @property
    def files(self) -> Dataset:
        return load(DatasetConfig("mine", "data.jsonl", JsonlReader()), events=0)

    @property
    def log(self) -> EventLog:
        return EventLog(labels_path("mine"))

    def standing(self, expert: str = "ann") -> Standing:
        return Standing(self.files, self.log, expert, expert == "ann")

    def export(self, name: str = "q.xlsx", expert: str = "ann") -> Path:
        standing = self.standing(expert)
        ids = rows.chosen(standing, everything=True, n=None, seed=0)
        sheet, _ = rows.to_label(standing, ids)
        path = self.folder / name
        if name.endswith(".csv"):
            writing.write_csv(path, sheet.columns, sheet.rows)
        else:
            writing.write_xlsx(path, [sheet])
        return path

    def take_in(self, path: Path, expert: str = "ann") -> merging.Merged:
        standing = self.standing(expert)
        made = merging.merge(reading.read(path).entries, standing, path.name)
        list(merging.write(made, standing, "sheet"))
        return made


DATA = [
    {"id": "a", "input": "q1", "output": "o1", "label": "fail", "critique": "Wrong unit."},
    {"id": "b", "input": "q2", "output": "=1+1", "context": {"plan": "free", "turns": [1, 2]}},
    {"id": "c", "input": "q3", "output": "o3", "dimensions": {"feature": "search"}},
]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir(tmp_path)
    made = Place(tmp_path)
    made.write(DATA)
    return made


def edit(path: Path, changes: Mapping[str, Mapping[str, Any]], sheet: str = "labels") -> None:
    """What a person does: cells by id and column."""
    if path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            found = list(csv.DictReader(file))
        for row in found:
            row.update(changes.get(row["id"], {}))
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, found[0], delimiter=";")
            writer.writeheader()
            writer.writerows(found)
        return
    book = load_workbook(path)
    page = book[sheet]
    columns = {cell.value: cell.column for cell in page[1]}
    for row in page.iter_rows(min_row=2):
        for name, value in changes.get(str(row[0].value), {}).items():
            page.cell(row[0].row, columns[name]).value = value
    book.save(path)


def ids(entries: Sequence[Entry]) -> list[str]:
    return sorted(one.id for one in entries)


@settings(max_examples=80, deadline=None)
@example(texts=list(FORMULAS))
@given(texts=TEXTS)
def test_every_text_comes_back_exactly(tmp_path_factory: Any, texts: list[str]) -> None:
    folder = tmp_path_factory.getbasetemp()
    sheet = rows.Sheet("labels", ["id", "input"], [{"id": "x", "input": text} for text in texts])
    writing.write_csv(folder / "t.csv", sheet.columns, sheet.rows)
    writing.write_xlsx(folder / "t.xlsx", [sheet])
    for reader, name in ((CsvReader(), "t.csv"), (LabelSheet(), "t.xlsx")):
        assert [row.values["input"] for row in reader.rows(folder / name)] == texts, name


@settings(max_examples=40, deadline=None)
@given(texts=TEXTS)
def test_no_cell_is_a_formula(tmp_path_factory: Any, texts: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "f.xlsx"
    sheet = rows.Sheet("labels", ["id", "input"], [{"id": "x", "input": text} for text in texts])
    writing.write_xlsx(path, [sheet])
    xml = zipfile.ZipFile(path).read("xl/worksheets/sheet1.xml")
    assert b"<f>" not in xml
    assert b"<f " not in xml
    page = load_workbook(path)["labels"]
    assert {cell.data_type for row in page.iter_rows() for cell in row} <= {"s", "inlineStr", "n"}
    assert not [c.value for row in page.iter_rows() for c in row if str(c.value)[0] in "=＝＠"]


def test_the_sheet_is_made_to_be_labelled(place: Place) -> None:
    page = load_workbook(place.export())["labels"]
    names = [cell.value for cell in page[1]]
    assert names[:7] == ["id", "input", "output", *rows.SAID]
    assert names[7:] == ["context.plan", "context.turns", "dimensions.feature", "version", "state"]
    assert page.freeze_panes == "B2"
    by_column = {str(one.sqref): one for one in page.data_validations.dataValidation}
    choice = by_column["D2:D1048576"]
    assert (choice.type, choice.formula1) == ("list", '"pass,fail,cannot judge"')
    assert choice.showErrorMessage
    assert page["C2"].alignment.wrap_text
    hidden = {key for key, one in page.column_dimensions.items() if one.hidden}
    assert hidden == {"K", "L"}


@pytest.mark.parametrize("name", ["q.xlsx", "q.csv"])
def test_labels_become_events_once(place: Place, name: str) -> None:
    path = place.export(name)
    words = '- naïve\n= \u202etxt, "quoted"; more'
    missing = {"verdict": "cannot judge", "what_is_missing": "the ticket"}
    edit(path, {"b": {"verdict": "Fail ", "critique": words}, "c": missing})
    made = place.take_in(path)
    assert (ids(made.new), ids(made.untouched)) == (["b", "c"], ["a"])
    label = place.standing().event("b")
    assert label
    assert (label.verdict, label.critique, label.expert) == ("fail", words, "ann")
    assert label.visible == {
        "fields": ["input", "output", "context.plan", "context.turns"],
        "judge": "hidden",
        "page": "sheet",
    }
    assert place.standing().said("c") == Said(CANNOT, "", "the ticket")
    before = labels_path("mine").read_bytes()
    again = place.take_in(path)
    assert (ids(again.known), ids(again.untouched)) == (["b", "c"], ["a"])
    assert again.new == []
    assert labels_path("mine").read_bytes() == before


def test_a_label_of_the_file_can_be_changed(place: Place) -> None:
    path = place.export()
    edit(path, {"a": {"verdict": "pass", "critique": "Fine after all.", "could_be_better": "yes"}})
    assert ids(place.take_in(path).new) == ["a"]
    assert place.standing().said("a") == Said("pass", "Fine after all.", "", True)
    assert load(DatasetConfig("mine", "data.jsonl", JsonlReader())).labels["a"].label == "pass"


def test_what_was_labelled_since_is_a_conflict(place: Place) -> None:
    path = place.export()
    edit(path, {"a": {"verdict": "pass"}, "b": {"verdict": "pass"}, "c": {"verdict": "fail"}})
    standing = place.standing()
    label = standing.log.append(standing.given("b", Said("fail", "No."), {}), None)
    made = place.take_in(path)
    ((one, why),) = made.conflicts
    assert (one.id, ids(made.new)) == ("b", ["a", "c"])
    assert one.where.endswith(f"row {rows_of(path)['b']}")
    assert "ann labelled it fail" in why
    assert "event 1" in why
    assert place.standing().event("b") == label


def rows_of(path: Path) -> dict[str, int]:
    return {str(row[0].value): row[0].row for row in load_workbook(path)["labels"].iter_rows()}


def test_an_undo_and_the_same_label_again_are_events_too(place: Place) -> None:
    standing = place.standing()
    first = standing.log.append(standing.given("b", Said("fail", "No."), {}), None)
    path = place.export()
    edit(path, {"b": {"verdict": "pass"}})
    undone = type(standing.given("b", Said("fail"), {}))(
        id="b", content=standing.items["b"].content, expert="ann", kind="undo"
    )
    last = standing.log.append(undone, first.sequence)
    ((_, why),) = place.take_in(path).conflicts
    assert "took a label back" in why
    standing.log.append(standing.given("b", Said("fail", "No."), {}), last.sequence)
    assert len(place.take_in(path).conflicts) == 1, "another label, though it says the same"


def test_changed_texts_are_a_conflict_and_untouched_rows_are_none(place: Place) -> None:
    path = place.export()
    edit(path, {"b": {"verdict": "pass"}})
    place.write([row | {"output": "another"} for row in DATA])
    made = place.take_in(path)
    assert [(one.id, why) for one, why in made.conflicts] == [
        ("b", "its input or output has changed since")
    ]
    assert ids(made.untouched) == ["a"]
    assert ids(made.empty) == ["c"]
    assert not made.new


def test_a_label_meanwhile_is_found_at_the_last_moment(place: Place) -> None:
    path = place.export()
    edit(path, {"b": {"verdict": "pass"}})
    standing = place.standing()
    made = merging.merge(reading.read(path).entries, standing, "q")
    assert ids(made.new) == ["b"]
    other = place.standing()
    other.log.append(other.given("b", Said("fail", "No."), {}), None)
    assert list(merging.write(made, standing, "sheet")) == []
    assert [one.id for one, _ in made.conflicts] == ["b"]
    assert made.new == []


def test_experts_do_not_see_or_touch_each_other(place: Place) -> None:
    path = place.export(expert="bob")
    assert {row["verdict"] for row in texts_of(path)} == {None}
    edit(path, {"a": {"verdict": "pass"}})
    assert ids(place.take_in(path, "bob").new) == ["a"]
    assert place.standing().said("a").verdict == "fail"
    assert place.standing("bob").said("a").verdict == "pass"
    mine = place.export()
    assert place.take_in(mine, "bob").new == [], "what ann said is not said by bob"
    edit(mine, {"a": {"critique": "Wrong unit, I think."}})
    assert len(place.take_in(mine, "bob").conflicts) == 1


def texts_of(path: Path) -> list[dict[str, Any]]:
    page = load_workbook(path)["labels"]
    names = [str(cell.value) for cell in page[1]]
    return [
        dict(zip(names, [cell.value for cell in row], strict=True))
        for row in page.iter_rows(min_row=2)
    ]


def test_words_without_a_verdict_and_erased_verdicts_are_told(place: Place) -> None:
    path = place.export()
    edit(path, {"a": {"verdict": None}, "b": {"critique": "forgot the verdict"}})
    made = place.take_in(path)
    assert (ids(made.empty), ids(made.stray)) == (["a", "b", "c"], ["a", "b"])
    assert not labels_path("mine").exists()


WRONG = {
    "spelling": ({"b": {"verdict": "good"}}, r"unknown verdicts.*row \d.*'good'.*pass, fail"),
    "a formula": ({"b": {"critique": "=1+1"}}, r"cells with a formula.*cell E\d.*'=1\+1'"),
    "an id that is new": ({"b": {"id": "zz", "verdict": "pass"}}, r"unknown ids.*'zz'"),
    "an id twice": ({"b": {"id": "a"}}, r"occur twice.*'a'"),
    "no id": ({"b": {"id": None}}, "no id"),
    "no state": ({"b": {"state": None, "verdict": "pass"}}, "damaged cells.*'state'"),
    "a date": ({"b": {"version": 12}}, "damaged cells.*'version'"),
    "nothing missing": ({"b": {"verdict": "cannot judge"}}, "contradict.*what is missing"),
    "a better fail": ({"b": {"verdict": "fail", "could_be_better": "yes"}}, "could be better"),
    "better?": ({"b": {"verdict": "pass", "could_be_better": "maybe"}}, "'maybe'.*yes, no"),
}


@pytest.mark.parametrize(("changes", "message"), WRONG.values(), ids=WRONG)
def test_a_mistake_imports_nothing(place: Place, changes: Any, message: str) -> None:
    path = place.export()
    edit(path, {"c": {"verdict": "pass"}})
    edit(path, changes)
    with pytest.raises(DataError, match=f"(?s){message}"):
        place.take_in(path)
    assert not labels_path("mine").exists()


def test_a_formula_is_refused_with_the_value_that_was_saved_with_it(place: Place) -> None:
    path = place.export()
    inside = "xl/worksheets/sheet1.xml"
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    row = rows_of(path)["b"]
    start = parts[inside].index(f'<c r="D{row}"'.encode())
    end = parts[inside].index(f'<c r="E{row}"'.encode())
    cell = f'<c r="D{row}" t="str"><f>IF(1,"pass")</f><v>pass</v></c>'.encode()
    parts[inside] = parts[inside][:start] + cell + parts[inside][end:]
    with zipfile.ZipFile(path, "w") as file:
        for name, content in parts.items():
            file.writestr(name, content)
    with pytest.raises(DataError, match=rf"formula.*cell D{row}"):
        place.take_in(path)


def test_other_files_are_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="no such file"):
        reading.read(place.folder / "none.xlsx")
    with pytest.raises(DataError, match=r"come back from \.xlsx"):
        reading.read(place.folder / "data.docx")
    with pytest.raises(DataError, match="no column 'verdict'"):
        reading.read(place.folder / "data.jsonl")
    book = Workbook()
    book.create_sheet("more")
    book.save(place.folder / "two.xlsx")
    with pytest.raises(DataError, match="no sheet 'labels'"):
        reading.read(place.folder / "two.xlsx")
    monkeypatch.setattr(xlsx, "RATIO_MATTERS", 1024)
    monkeypatch.setattr(xlsx, "RATIO_CAP", 2)
    with pytest.raises(DataError, match="times its size"):
        reading.read(place.export())


def test_long_texts_are_cut_loudly_and_words_never(place: Place) -> None:
    place.write([*DATA, {"id": "d", "input": "q", "output": "=" + "😀" * 40_000}])
    standing = place.standing()
    sheet, left = rows.to_label(standing, ["a", "d"])
    assert (sheet.cut, left) == ({"d": ["output"]}, [])
    text = sheet.rows[1]["output"]
    kept = text.index("\n\n[CUT")
    assert f"[CUT: {40_001 - kept:,} of 40,001 characters are missing here. Open item 'd'" in text
    assert cells.LIMIT - 20 < cells.size(text) <= cells.LIMIT
    path = place.export()
    edit(path, {"d": {"verdict": "pass"}})
    place.take_in(path)
    label = place.standing().event("d")
    assert label
    assert label.visible["cut"] == ["output"]
    log = standing.log
    log.append(standing.given("b", Said("fail", "x" * 40_000), {}), None)
    sheet, left = rows.to_label(place.standing(), ["a", "b"])
    assert [row["id"] for row in sheet.rows] == ["a"]
    assert left == ["b"]


@pytest.mark.parametrize("text", ["x" * 40_000, "\r" * 20_000, "_x0041_" * 9_000, "=" * 32_767])
def test_what_is_cut_fits(text: str) -> None:
    cut = cells.cut(text, "i" * 200)
    assert cells.is_cut(cut)
    assert cells.LIMIT - 20 < cells.size(cut) <= cells.LIMIT
    kept = cut.index("\n\n[CUT")
    assert text.startswith(cut[:kept])
    assert f"{len(text) - kept:,} of {len(text):,}" in cut


def test_the_judge_stands_beside_labels_alone(place: Place) -> None:
    standing = place.standing()
    beside = comments.judged(standing, VERDICTS, "r1", remarks())
    assert [row["id"] for row in beside.rows] == ["a"], "b has no label yet"
    sheet, _ = rows.to_label(standing, ["a", "b"])
    path = place.folder / "two.xlsx"
    writing.write_xlsx(path, [sheet, beside])
    page = load_workbook(path)["judge"]
    choices = [one.formula1 for one in page.data_validations.dataValidation]
    assert choices == ['"judge wrong,label wrong,criterion changed,unclear"', '"yes,no,unclear"']
    edit(path, {"a": {"verdict": "pass"}, "b": {"verdict": "fail"}})
    place.take_in(path)
    seen = {id_: place.standing().event(id_) for id_ in "ab"}
    assert {id_: one.visible["judge"] for id_, one in seen.items() if one} == {
        "a": "shown",
        "b": "hidden",
    }


VERDICTS = {"a": Verdict("a", "pass", critique="=Fine."), "b": Verdict("b", "pass")}


def remarks() -> RemarkLog:
    return RemarkLog(remarks_path("mine"))


@dataclass
class Beside:
    """A workbook with the judge's sheet alone."""

    place: Place
    path: Path

    @classmethod
    def of(cls, place: Place, name: str = "judged.xlsx") -> Beside:
        sheet = comments.judged(place.standing(), VERDICTS, "r1", remarks())
        writing.write_xlsx(place.folder / name, [sheet])
        return cls(place, place.folder / name)

    def type(self, **typed: str) -> Beside:
        edit(self.path, {"a": typed}, "judge")
        return self

    def take_in(self) -> Merged[Comment]:
        read = reading.read(self.path).comments
        made, new = comments.merge(read, self.place.standing(), remarks(), lambda run: VERDICTS)
        for one in new:
            remarks().append(one)
        return made


def test_what_is_said_of_the_judge_becomes_a_remark_once(place: Place) -> None:
    sheet = Beside.of(place).type(whose_mistake="Judge Wrong", comment="- the unit\nis missing. ")
    assert len(sheet.take_in().new) == 1
    (kept,) = remarks().all
    assert (kept.id, kept.expert, kept.run, kept.label, kept.verdict, kept.says, kept.comment) == (
        *("a", "ann", "r1", "fail", "pass", "judge_wrong"),
        "- the unit\nis missing.",
    )
    assert kept.content == place.standing().items["a"].content
    assert len(sheet.take_in().known) == 1
    again = Beside.of(place, "again.xlsx")
    page = load_workbook(again.path)["judge"]
    row = dict(zip(*([cell.value for cell in row] for row in page.iter_rows()), strict=True))
    assert (row["whose_mistake"], row["comment"]) == ("judge wrong", "'- the unit\nis missing.")
    assert page.column_dimensions["K"].hidden, "run, version and state are ours"
    assert len(again.take_in().untouched) == 1
    assert len(again.type(comment="").take_in().new) == 1
    assert [one.comment for one in remarks().all] == [""]


def test_a_label_that_was_wrong_is_changed_after_it_was_said(place: Place) -> None:
    sheet = Beside.of(place).type(whose_mistake="label wrong")
    assert sheet.take_in().new
    labels = place.export()
    edit(labels, {"a": {"verdict": "pass"}})
    place.take_in(labels)
    assert len(sheet.take_in().known) == 1, "the same file again"
    after = Beside.of(place, "after.xlsx").type(same_reason="no", comment="It is the unit.")
    assert len(after.take_in().new) == 1
    assert remarks().all[-1].says == "other_reason"


def _label(place: Place) -> None:
    edit(path := place.export(), {"a": {"verdict": "pass"}})
    place.take_in(path)


def _texts(place: Place) -> None:
    place.write([DATA[0] | {"output": "another"}, *DATA[1:]])


def _remark(place: Place) -> None:
    Beside.of(place, "other.xlsx").type(whose_mistake="unclear").take_in()


@pytest.mark.parametrize(
    ("meanwhile", "why"),
    [
        (_label, "the label or the judge's verdict are others"),
        (_texts, "the texts, the label"),
        (_remark, "ann has said 'unclear' on 20..-..-.. of this verdict since"),
    ],
)
def test_what_changed_meanwhile_is_a_conflict_and_nothing_is_written(
    place: Place, meanwhile: Callable[[Place], None], why: str
) -> None:
    sheet = Beside.of(place).type(whose_mistake="judge wrong")
    meanwhile(place)
    before = [one.says for one in remarks().all]
    ((row, found),) = sheet.take_in().conflicts
    assert (row.where, row.id) == ("sheet 'judge', row 2", "a")
    assert re.search(why, found), found
    assert [one.says for one in remarks().all] == before


def test_the_answer_to_another_question_is_a_conflict(place: Place) -> None:
    ((_, why),) = Beside.of(place).type(same_reason="yes").take_in().conflicts
    assert why == "expert and judge differ here: the answer belongs in whose_mistake"


def test_a_comment_without_an_answer_is_listed(place: Place) -> None:
    made = Beside.of(place).type(comment="Well.").take_in()
    assert [one.id for one in made.stray] == ["a"]
    assert not remarks().all


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"whose_mistake": "mine"}, r"unknown answers.*'mine'.*judge wrong, label wrong"),
        ({"whose_mistake": "unclear", "same_reason": "no"}, "two answers"),
    ],
)
def test_answers_that_are_none_are_refused(
    place: Place, typed: dict[str, str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        Beside.of(place).type(**typed).take_in()


def test_the_order_is_random_and_the_same_again(place: Place) -> None:
    place.write([{"id": f"i{n}", "input": f"q{n}", "output": "o"} for n in range(50)])
    standing = place.standing()
    drawn = rows.chosen(standing, everything=False, n=9, seed=3)
    assert drawn == rows.chosen(standing, everything=False, n=None, seed=3)[:9]
    assert drawn != rows.chosen(standing, everything=False, n=9, seed=4) != sorted(drawn)
