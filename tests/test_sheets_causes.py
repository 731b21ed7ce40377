"""The column of root causes: out and back, conflicts, and names that are none."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import pytest
from openpyxl import load_workbook

from labs import Done, Lab, read_lines, rows, write_rows

OWN = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """item-000, 003, 006 and 009 are fails; the first is late."""
    made = Lab(tmp_path)
    write_rows(tmp_path / "data.jsonl", [row | {"annotator": "ann"} for row in rows(12)])
    made.write("labels/own.taxonomy.yaml", "too_late: It is late.\nrude: It is rude.\n")
    write_rows(tmp_path / "m.jsonl", [{"id": "item-000", "modes": ["too late"]}])
    assert made("data", "import", "m.jsonl", *OWN, "--as", "modes", "--expert", "bob").code == 0
    return made


def done(lab: Lab, *words: str, code: int = 0) -> Done:
    ended = lab("data", *words, *OWN)
    assert ended.code == code, ended.err
    return ended


def read(lab: Lab, name: str) -> dict[str, dict[str, str]]:
    path = lab.folder / name
    if name.endswith(".csv"):
        with path.open(encoding="utf-8-sig", newline="") as file:
            return {row["id"]: row for row in csv.DictReader(file)}
    head, *lines = load_workbook(path)["labels"].iter_rows(values_only=True)
    found = [dict(zip(map(str, head), (one or "" for one in line), strict=True)) for line in lines]
    return {str(row["id"]): {name: str(one) for name, one in row.items()} for row in found}


def edit(lab: Lab, name: str, changes: Mapping[str, Mapping[str, str]]) -> None:
    path = lab.folder / name
    if name.endswith(".csv"):
        kept = read(lab, name)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, next(iter(kept.values())))
            writer.writeheader()
            writer.writerows(row | changes.get(id_, {}) for id_, row in kept.items())
        return
    book = load_workbook(path)
    page = book["labels"]
    columns = {cell.value: number for number, cell in enumerate(page[1], 1)}
    for line in range(2, page.max_row + 1):
        id_ = str(page.cell(line, columns["id"]).value)
        for column, value in changes.get(id_, {}).items():
            page.cell(line, columns[column], value)
    book.save(path)


def events(lab: Lab) -> list[tuple[str, list[str], str]]:
    lines = read_lines(lab.folder / "labels" / "own.modes.jsonl")
    return [(row["id"], row["modes"], row["by"]) for row in lines if row["kind"] == "modes"]


@pytest.mark.parametrize("name", ["q.xlsx", "q.csv"])
def test_out_and_back(lab: Lab, name: str) -> None:
    done(lab, "export", name, "--all")
    out = read(lab, name)
    assert {id_: row["root_causes"] for id_, row in out.items() if row["root_causes"]} == {
        "item-000": "too_late"
    }
    before = (lab.folder / "labels" / "own.modes.jsonl").read_bytes()
    back = done(lab, "import", name, "--expert", "ann")
    assert "1 rows with root causes = 0 new, 0 known already, 1 unchanged" in back.out
    assert (lab.folder / "labels" / "own.modes.jsonl").read_bytes() == before
    changes = {
        "item-000": {"root_causes": "Rude; too late"},
        "item-003": {"root_causes": "rude"},
        "item-001": {"verdict": "fail", "critique": "No.", "root_causes": "too-late; rude;"},
    }
    edit(lab, name, changes)
    dry = done(lab, "import", name, "--expert", "ann", "--dry-run")
    assert "3 rows with root causes = 3 new" in dry.out
    assert (lab.folder / "labels" / "own.modes.jsonl").read_bytes() == before
    done(lab, "import", name, "--expert", "ann")
    assert {id_: (modes, by) for id_, modes, by in events(lab)[1:]} == {
        "item-000": (["too_late", "rude"], "ann"),
        "item-003": (["rude"], "ann"),
        "item-001": (["too_late", "rude"], "ann"),
    }
    again = done(lab, "import", name, "--expert", "ann")
    assert "3 rows with root causes = 0 new, 3 known already, 0 unchanged" in again.out
    assert len(events(lab)) == 4
    done(lab, "export", name, "--all", "--force")
    assert read(lab, name)["item-001"]["root_causes"] == "too_late; rude"


def test_conflicts_are_listed_and_not_written(lab: Lab) -> None:
    done(lab, "export", "q.csv", "--all")
    moved = [{"id": "item-000", "modes": ["rude"]}, {"id": "item-006", "modes": ["rude"]}]
    write_rows(lab.folder / "m.jsonl", moved)
    done(lab, "import", "m.jsonl", "--as", "modes", "--expert", "bob")
    count = len(events(lab))
    changes = {
        "item-000": {"root_causes": "too_late; rude"},
        "item-001": {"root_causes": "rude"},
        "item-003": {"root_causes": "rude", "version": "v0"},
        "item-006": {"root_causes": "rude"},
    }
    edit(lab, "q.csv", changes)
    ended = done(lab, "import", "q.csv", "--expert", "ann", code=1)
    assert "4 rows with root causes = 0 new, 1 known already" in ended.out
    assert "3 conflicts" in ended.out
    assert "item-000: bob named rude on" in ended.out
    assert "item-001: only a fail has root causes, and its row says pass" in ended.out
    assert "item-003: its input or output has changed since" in ended.out
    assert len(events(lab)) == count


def test_what_is_emptied_takes_nothing_back(lab: Lab) -> None:
    done(lab, "export", "q.csv", "--all")
    edit(lab, "q.csv", {"item-000": {"root_causes": ""}})
    ended = done(lab, "import", "q.csv", "--expert", "ann")
    assert "1 without a root cause" in ended.out
    assert "(item-000)" in ended.err
    assert len(events(lab)) == 1


def test_a_name_that_is_none_refuses_the_file(lab: Lab) -> None:
    done(lab, "export", "q.csv", "--all")
    typed = {"item-003": {"root_causes": "nonsense"}, "item-001": {"verdict": "fail"}}
    edit(lab, "q.csv", typed)
    ended = done(lab, "import", "q.csv", "--expert", "ann", code=2)
    assert "'nonsense'" in ended.err
    assert "too_late, rude; --new-modes adds others" in ended.err
    assert not (lab.folder / "labels" / "own.jsonl").exists(), "no label is written either"
    done(lab, "import", "q.csv", "--expert", "ann", "--new-modes")
    assert events(lab)[-1] == ("item-003", ["nonsense"], "ann")
    assert "nonsense" in (lab.folder / "labels" / "own.taxonomy.yaml").read_text()
    edit(lab, "q.csv", {"item-003": {"causes_state": "mine"}})
    assert "damaged cells" in done(lab, "import", "q.csv", "--expert", "ann", code=2).err


def test_without_failure_modes_there_is_no_column(lab: Lab) -> None:
    (lab.folder / "labels" / "own.taxonomy.yaml").unlink()
    done(lab, "export", "q.csv", "--all")
    assert "root_causes" not in next(iter(read(lab, "q.csv").values()))
    ended = done(lab, "import", "q.csv", "--expert", "ann", "--new-modes", code=2)
    assert "has no column 'root_causes'" in ended.message
