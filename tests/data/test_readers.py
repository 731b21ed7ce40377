"""Every format reads to the same rows, and every broken file says what is wrong with it."""

from __future__ import annotations

import csv
import json
import math
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judgelab.data.readers import base, reader_for, values, xlsx
from judgelab.data.readers.aligneval import AlignEvalReader
from judgelab.data.readers.base import Reader, Row
from judgelab.data.readers.csv import CsvReader
from judgelab.data.readers.guard import guard, unguard
from judgelab.data.readers.jsonl import JsonlReader
from judgelab.data.readers.parquet import ParquetReader
from judgelab.data.readers.xlsx import XlsxReader
from judgelab.errors import ConfigError, DataError


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str | bytes], Path]:
    monkeypatch.chdir(tmp_path)

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def read(reader: Reader, path: Path) -> list[Row]:
    return list(reader.rows(path))


def message(reader: Reader, path: Path) -> str:
    with pytest.raises(DataError) as error:
        read(reader, path)
    return str(error.value)


def workbook(path: Path, **sheets: list[list[Any]]) -> Path:
    from openpyxl import Workbook

    book = Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


# --- what every reader shares


def test_a_missing_file_says_where_it_was_looked_for_and_what_is_near(file: Any) -> None:
    there = file("answers.csv", "a,b\n1,2\n")
    text = message(CsvReader(), there.with_name("answer.csv"))
    assert "answer.csv: there is no such file" in text
    assert str(Path.cwd()) in text
    assert "Did you mean answers.csv?" in text


def test_a_missing_folder_is_named(file: Any, tmp_path: Path) -> None:
    text = message(CsvReader(), tmp_path / "nowhere" / "a.csv")
    assert "There is no folder nowhere either." in text


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert "is no file" in message(CsvReader(), tmp_path)


@pytest.mark.parametrize("reader", [JsonlReader(), CsvReader(), XlsxReader(), ParquetReader()])
def test_a_foreign_extension_names_the_readers(file: Any, reader: Reader) -> None:
    text = message(reader, file("answers.json", "[]"))
    assert "the extension '.json' is not one that" in text
    assert f"dataset={reader.name}" in text
    assert reader.extensions[0] in text


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.xlsx", "a.parquet"])
def test_an_empty_file_says_so(file: Any, name: str) -> None:
    path = file(name, b"")
    assert f"{name}: the file is empty (0 bytes)" in message(reader_for(path), path)


@pytest.mark.parametrize(("name", "content"), [("a.jsonl", "\n \n"), ("a.csv", "input,output\n")])
def test_a_file_without_rows_says_so(file: Any, name: str, content: str) -> None:
    path = file(name, content)
    assert f"{name}: the file holds no rows" in message(reader_for(path), path)


def test_a_file_over_the_cap_is_refused(file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "FILE_CAP", 10)
    text = message(CsvReader(), file("a.csv", "input,output\n1,2\n"))
    assert "the file has 17 bytes; allowed: 10" in text


def test_too_many_rows_are_refused(file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "ROW_CAP", 2)
    assert "more than 2 rows" in message(JsonlReader(), file("a.jsonl", '{"a": 1}\n' * 3))


def test_reader_for_goes_by_extension() -> None:
    kinds = [type(reader_for(Path(f"x.{e}"))) for e in ("JSONL", "ndjson", "tsv", "xlsx", "pq")]
    assert kinds == [JsonlReader, JsonlReader, CsvReader, XlsxReader, ParquetReader]
    with pytest.raises(DataError, match=r"no reader for '\.txt'; allowed: \.jsonl"):
        reader_for(Path("x.txt"))


# --- JSONL


def test_jsonl_rows_know_their_line(file: Any) -> None:
    path = file("a.jsonl", b'\xef\xbb\xbf{"a": 1}\r\n\n{"a": "x\xe2\x80\xa8y"}')
    assert read(JsonlReader(), path) == [
        Row("line 1", {"a": 1}),
        Row("line 3", {"a": "x\u2028y"}),
    ]


def test_all_bad_json_lines_are_told_at_once(file: Any) -> None:
    lines = ['{"a": 1}', '{"a": ', '["a"]', '"text"', '{"a": NaN}', '{"a": 1, "a": 2}']
    text = message(JsonlReader(), file("a.jsonl", "\n".join(lines)))
    assert text.startswith("a.jsonl: nothing was loaded.")
    assert "invalid JSON, 3 rows: line 2 (Expecting value at character 6)" in text
    assert "line 5 (NaN is no JSON number)" in text
    assert "line 6 (the key 'a' twice in one object)" in text
    assert "lines that are no JSON object, 2 rows: line 3 ('[\"a\"]'), line 4" in text
    assert "Allowed: an object a line" in text


def test_only_the_first_five_rows_of_a_kind_are_listed(file: Any) -> None:
    text = message(JsonlReader(), file("a.jsonl", "7\n" * 8))
    assert "8 rows: line 1 ('7'), line 2" in text
    assert "line 5 ('7') and 3 more." in text
    assert "line 6" not in text


@pytest.mark.parametrize("depth", [values.DEPTH_CAP + 1, 200_000])
def test_deep_nesting_is_refused(file: Any, depth: int) -> None:
    text = message(JsonlReader(), file("a.jsonl", '{"a":' * depth + "1" + "}" * depth))
    assert "JSON nested too deep, 1 row: line 1" in text
    assert "Allowed: 40 levels" in text


def test_nesting_up_to_the_cap_is_read(file: Any) -> None:
    depth = values.DEPTH_CAP
    assert read(JsonlReader(), file("a.jsonl", '{"a":' * depth + "1" + "}" * depth))


def test_numbers_too_large_for_json_are_refused(file: Any) -> None:
    assert "1e999 is too large" in message(JsonlReader(), file("a.jsonl", '{"a": 1e999}'))


def test_nul_and_half_surrogates_in_strings_name_row_and_column(file: Any) -> None:
    path = file("a.jsonl", '{"a": "x\\u0000"}\n{"b": ["\\ud800"]}\n{"c": "\\ud83d\\ude00"}')
    text = message(JsonlReader(), path)
    assert "column 'a' holds what is no text, 1 row: line 1 (NUL at character 2)" in text
    assert (
        "column 'b' holds what is no text, 1 row: line 2 (half a surrogate pair (\\ud800)" in text
    )
    assert "'c'" not in text


def test_invalid_utf8_names_line_and_byte(file: Any) -> None:
    path = file("a.jsonl", b'{"a": "ok"}\n{"a": "caf\xe9"}\n')
    text = message(JsonlReader(), path)
    offset = path.read_bytes().index(b"\xe9")
    assert f"invalid UTF-8, 1 row: line 2 (byte 0xe9 at offset {offset})" in text
    assert "save the file as UTF-8" in text


def test_the_byte_offset_counts_bytes_not_characters(file: Any) -> None:
    path = file("a.csv", b"\xef\xbb\xbfa,b\n\xc3\xa9,\xff\n")
    offset = path.read_bytes().index(b"\xff")
    assert f"byte 0xff at offset {offset}" in message(CsvReader(), path)


def test_a_csv_line_that_is_no_text_is_the_only_complaint(file: Any) -> None:
    text = message(CsvReader(), file("a.csv", b'a,b\n1,"\xff\nx"\n'))
    assert "invalid UTF-8, 1 row: line 2" in text
    assert "ragged" not in text


def test_raw_nul_names_the_line(file: Any) -> None:
    text = message(CsvReader(), file("a.csv", "a,b\n1,x\x00\n"))
    assert "NUL characters, 1 row: line 2 (at character 4)" in text


def test_utf16_is_named(file: Any) -> None:
    text = message(CsvReader(), file("a.csv", "a,b\n1,2\n".encode("utf-16")))
    assert "the file is UTF-16" in text
    assert "CSV UTF-8" in text


# --- CSV


def test_csv_rows_are_counted_as_a_spreadsheet_counts_them(file: Any) -> None:
    path = file("a.csv", '\ufeffid, input \n1,"two\nlines"\n\n2,one\n,\n')
    assert read(CsvReader(), path) == [
        Row("row 2", {"id": "1", "input": "two\nlines"}),
        Row("row 4 (line 5)", {"id": "2", "input": "one"}),
    ]


def test_every_ragged_row_is_listed_with_both_counts(file: Any) -> None:
    text = message(CsvReader(), file("a.csv", "a,b,c\n1,2,3\n1,2\n1,2,3,4\n1,2,3\n"))
    assert "ragged rows, 2 rows: row 3 (2 cells), row 4 (4 cells)" in text
    assert "Allowed: 3 cells, as in the header" in text


def test_csv_takes_another_delimiter(file: Any) -> None:
    path = file("a.tsv", "a\tb\n1\t2\n")
    expected = [Row("row 2", {"a": "1", "b": "2"})]
    assert read(CsvReader(delimiter="\t"), path) == expected
    assert read(CsvReader(delimiter="\\t"), path) == expected


def test_a_wrong_delimiter_is_recognised(file: Any) -> None:
    text = message(CsvReader(), file("a.csv", "id;input;output\n1;2;3\n"))
    assert "the header is one single cell, 'id;input;output'" in text
    assert "Set dataset.reader.delimiter to ';'" in text


@pytest.mark.parametrize("delimiter", ["", ",,", '"', "\n"])
def test_a_delimiter_is_one_character(delimiter: str) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.reader\.delimiter is .* one character"):
        CsvReader(delimiter=delimiter)


@pytest.mark.parametrize("content", ['a,b\n1,2\n1,"open\n2,3\n', 'a,b\n1,2\n1,"x"y\n'])
def test_broken_quoting_names_the_row(file: Any, content: str) -> None:
    text = message(CsvReader(), file("a.csv", content))
    assert "a.csv: nothing was loaded. The quoting breaks in row 3:" in text
    assert "Allowed: a cell in double quotes" in text


def test_bare_carriage_returns_are_named(file: Any) -> None:
    assert "bare carriage return" in message(CsvReader(), file("a.csv", "a,b\r1,2\r"))


def test_a_huge_cell_names_row_and_column(file: Any) -> None:
    limit = csv.field_size_limit()
    text = message(CsvReader(), file("a.csv", "a,b\n1,2\n1," + "x" * (values.CELL_CAP + 1) + "\n"))
    assert "cells in column 'b' that are too large, 1 row: row 3 (1,048,577 characters)" in text
    assert "Allowed: 1,048,576 characters" in text
    assert csv.field_size_limit() == limit


def test_a_cell_at_the_cap_is_read(file: Any) -> None:
    rows = read(CsvReader(), file("a.csv", "a,b\n1," + "x" * values.CELL_CAP + "\n"))
    assert len(rows[0].values["b"]) == values.CELL_CAP


def test_a_name_twice_or_none_at_all_is_refused(file: Any) -> None:
    assert "row 1 names 'a' more than once" in message(CsvReader(), file("a.csv", "a,b,a\n1,2,3\n"))
    path = workbook(Path("a.xlsx"), S=[[None, None], ["x", "y"]])
    assert "row 1 holds no column names" in message(XlsxReader(), path)


def test_a_nameless_column_is_called_by_its_place(file: Any) -> None:
    assert read(CsvReader(), file("a.csv", ",a\n0,x\n"))[0].values == {"column 1": "0", "a": "x"}


# --- formula prefixes


@pytest.mark.parametrize("text", ["=1+1", "+x", "-x", "@x", "\tx", "\rx", "＝x", "'=x", "''@x"])
def test_formulas_get_an_apostrophe(text: str) -> None:
    assert guard(text) == "'" + text


@pytest.mark.parametrize("text", ["-5", "+1.5", "-1e-3", "plain", "'quoted'", ""])
def test_numbers_and_words_stay(text: str) -> None:
    assert guard(text) == text
    assert unguard(text) == text


@given(st.text(alphabet=st.sampled_from("'=+-@\t\r\n＝＋－＠a1. "), max_size=6))
def test_guarding_can_be_undone_exactly(text: str) -> None:
    assert unguard(guard(text)) == text
    assert guard(text)[:1] not in set("=@＝＠")


def test_csv_and_xlsx_are_read_without_the_apostrophe(file: Any) -> None:
    path = file("a.csv", "a,b\n'=1+1,'tis\n")
    assert read(CsvReader(), path)[0].values == {"a": "=1+1", "b": "'tis"}
    sheet = workbook(Path("a.xlsx"), S=[["a"], ["'@home"]])
    assert read(XlsxReader(), sheet)[0].values == {"a": "@home"}


# --- XLSX


def test_xlsx_rows_know_sheet_and_row(tmp_path: Path) -> None:
    rows = [["a", "b", None], ["x", 1, None], [None, None, None], [date(2026, 3, 2), True], [1.5]]
    path = workbook(tmp_path / "a.xlsx", Tab=rows)
    assert read(XlsxReader(), path) == [
        Row("sheet 'Tab', row 2", {"a": "x", "b": 1}),
        Row("sheet 'Tab', row 4", {"a": "2026-03-02T00:00:00", "b": True}),
        Row("sheet 'Tab', row 5", {"a": 1.5, "b": None}),
    ]


def test_cells_beyond_the_header_are_kept_apart(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", S=[["a"], ["x", "stray"]])
    assert read(XlsxReader(), path)[0].values == {"a": "x", "column 2": "stray"}


def test_one_of_several_sheets_has_to_be_named(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", One=[["a"], [1]], Two=[["a"], [2]])
    assert "it has several sheets" in message(XlsxReader(), path)
    assert "dataset.reader.sheet to one of: 'One', 'Two'" in message(XlsxReader(), path)
    assert "no sheet 'Three'" in message(XlsxReader(sheet="Three"), path)
    assert read(XlsxReader(sheet="Two"), path)[0].values == {"a": 2}
    assert XlsxReader().sheets(path) == ["One", "Two"]


def test_what_is_no_workbook_is_refused(file: Any) -> None:
    assert "no readable XLSX workbook" in message(XlsxReader(), file("a.xlsx", "a,b\n1,2\n"))
    with zipfile.ZipFile("b.xlsx", "w") as archive:
        archive.writestr("x.txt", "x")
    assert "no readable XLSX workbook" in message(XlsxReader(), Path("b.xlsx").resolve())


def test_a_zip_bomb_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", S=[["a"], ["x"]])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/bomb.xml", b"\0" * (xlsx.RATIO_MATTERS + 1))
    text = message(XlsxReader(), path)
    assert "times its size; allowed:" in text
    assert "200 times" in text


def test_escaped_line_ends_of_excel_are_read(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", S=[["a"], ["one_x000D_\ntwo"]])
    assert read(XlsxReader(), path)[0].values == {"a": "one\r\ntwo"}


# --- Parquet


def test_parquet_keeps_objects_and_counts_rows(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "a.parquet",
        [
            {"id": 1, "context": {"plan": "free"}, "score": math.nan, "day": date(2026, 3, 2)},
            {"id": 2, "context": {"plan": "paid"}, "score": 1.0, "day": None},
        ],
    )
    assert read(ParquetReader(), path) == [
        Row("row 1", {"id": 1, "context": {"plan": "free"}, "score": None, "day": "2026-03-02"}),
        Row("row 2", {"id": 2, "context": {"plan": "paid"}, "score": 1.0, "day": None}),
    ]


def test_parquet_bytes_are_no_text(tmp_path: Path) -> None:
    text = message(ParquetReader(), parquet(tmp_path / "a.parquet", [{"a": b"\x00"}]))
    assert "cells in column 'a' of a type that is no text, 1 row: row 1 (bytes)" in text


def test_what_is_no_parquet_is_refused(file: Any) -> None:
    text = message(ParquetReader(), file("a.parquet", "a,b\n1,2\n"))
    assert "no readable Parquet" in text


# --- AlignEval


def test_aligneval_explanations_are_critiques(file: Any) -> None:
    path = file("a.csv", "id,input,output,label,explanation\n1,q,a,1,wrong\n2,q,b,,\n")
    rows = read(AlignEvalReader(), path)
    assert rows[0].values == {
        "id": "1", "input": "q", "output": "a", "label": "1", "critique": "wrong",
    }  # fmt: skip
    assert rows[1].values["label"] == ""


def test_an_explanation_beside_a_prediction_is_the_models(file: Any) -> None:
    path = file("a.csv", "id,input,output,label,prediction,explanation\n1,q,a,1,0,nice\n")
    assert "critique" not in read(AlignEvalReader(), path)[0].values


def test_aligneval_needs_its_columns(file: Any) -> None:
    text = message(AlignEvalReader(), file("a.csv", "id,question,output\n1,q,a\n"))
    assert "columns 'input', 'label' are missing" in text
    assert "there are: 'id', 'question', 'output'" in text


# --- the same rows from every format


def test_the_four_formats_agree(tmp_path: Path) -> None:
    rows = [
        {"id": "a-1", "input": "What, now?", "output": 'He said "no"\nand left', "label": "pass"},
        {"id": "a-2", "input": "=cmd", "output": "日本 🎉", "label": ""},
    ]
    names = list(rows[0])
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with (tmp_path / "a.csv").open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerows([names, *([guard(row[n]) for n in names] for row in rows)])
    workbook(tmp_path / "a.xlsx", S=[names, *([guard(row[n]) for n in names] for row in rows)])
    parquet(tmp_path / "a.parquet", rows)
    for extension in ("jsonl", "csv", "xlsx", "parquet"):
        path = tmp_path / f"a.{extension}"
        found = [{k: v or "" for k, v in row.values.items()} for row in reader_for(path).rows(path)]
        assert found == rows, extension
