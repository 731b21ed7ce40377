"""`judgelab generate inputs`: what is asked, what is accepted, and that nothing is asked twice."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from judgelab.data.dimensions import Dimensions
from judgelab.data.duplicates import Seen
from judgelab.generate.writer import Order, read
from judgelab.models.base import Reply
from labs import WORDS, Lab, endpoint, read_lines

MINE = """\
# Two dimensions, of which one combination cannot be.
_target_: judgelab.data.dimensions.Dimensions
name: mine
about: A tool that finds <b>things</b> for {{ people }}.
dimensions:
  feature: {search: looks for something, edit: changes something}
  persona:
    novice: {about: is new here, style: asks shyly}
    expert: knows it all
    boss: pays
impossible:
  - {feature: edit, persona: boss}
"""
GENERATE = ("generate", "inputs", "dimensions=mine")
FILE = "generated/mine.inputs.jsonl"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = Lab(tmp_path)
    made.write("conf/dimensions/mine.yaml", MINE)
    return made


def turn(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"])


def asked_for(body: dict[str, Any]) -> tuple[int, str, str]:
    """How many, and of which cell."""
    text = turn(body)
    number = re.search(r"Write (\d+) message", text)
    cell = re.findall(r"- (?:feature|persona) = (\w+)", text)
    assert number
    assert len(cell) == 2
    return int(number[1]), *cell


def text(seed: str, k: int = 14) -> str:
    at = sum(map(ord, seed)) * 37
    return " ".join(WORDS[(at + 11 * n) % len(WORDS)] for n in range(k)) + f" {seed}"


def writer(body: dict[str, Any]) -> str:
    """As many different texts as are asked for, a pure function of the question."""
    n, *cell = asked_for(body)
    known = turn(body).count("§")
    made = [f"§ {text(f'{cell} {known + at}')}" for at in range(n)]
    return "Here they are:\n```json\n" + json.dumps({"inputs": made}) + "\n```"


def cells(lab: Lab) -> dict[tuple[str, ...], int]:
    found: dict[tuple[str, ...], int] = {}
    for row in read_lines(lab.folder / FILE):
        key = tuple(row["dimensions"].values())
        found[key] = found.get(key, 0) + 1
    return found


POSSIBLE = {
    *(("search", "novice"), ("search", "expert"), ("search", "boss")),
    *(("edit", "novice"), ("edit", "expert")),
}


def test_every_combination_that_can_be_gets_its_inputs_and_no_call_is_sent_twice(lab: Lab) -> None:
    with endpoint(writer) as model:
        dry = lab(*GENERATE, "--n", "4", "--dry-run", *model.overrides)
        assert dry.code == 0, dry.err
        assert "5 of 5 combinations lack 20 inputs: 5 calls to send, about" in dry.out
        assert not model.asked
        assert not (lab.folder / "generated").exists()
        done = lab(*GENERATE, "--n", "4", *model.overrides)
        assert done.code == 0, done.err
        assert "20 inputs written; " in done.out
        assert (
            "next your system answers them: judgelab generate outputs dimensions=mine" in done.err
        )
        assert len(model.asked) == 5
        again = lab(*GENERATE, "--n", "4", *model.overrides)
        assert again.code == 0
        assert len(model.asked) == 5, "nothing is missing"
        more = lab(*GENERATE, "--n", "6", *model.overrides)
        assert more.code == 0, more.err
        assert len(model.asked) == 10
    assert cells(lab) == dict.fromkeys(POSSIBLE, 6)
    rows = read_lines(lab.folder / FILE)
    assert {frozenset(row) for row in rows} == {frozenset(("id", "input", "dimensions", "by"))}
    assert len({row["id"] for row in rows}) == 30
    first, last = model.asked[0], model.asked[9]
    system = first["messages"][0]["content"]
    assert "finds <b>things</b> for {{ people }}." in system, "a text is no template"
    assert "never write what the product answers" in system
    assert "response_format" not in first
    novice = next(turn(b) for b in model.asked if asked_for(b)[2] == "novice")
    assert "persona = novice: is new here. They write: asks shyly" in novice
    shown = [
        row["input"] for row in rows if json.dumps(row["input"], ensure_ascii=False) in turn(last)
    ]
    assert len(shown) == 4, "what the combination has is shown"
    of = {tuple(row["dimensions"].values()) for row in rows if row["input"] in shown}
    assert of == {asked_for(last)[1:]}


def test_near_duplicates_are_asked_for_again_with_what_is_there(lab: Lab) -> None:
    def alike(body: dict[str, Any]) -> str:
        _, *cell = asked_for(body)
        if "are there already" in turn(body):
            return writer(body)
        same = text("the same for all", 40)
        return json.dumps(
            {"inputs": [text(str(cell)), f"{text(str(cell))}!", same, f"{same}.", " "]}
        )

    with endpoint(alike) as model:
        done = lab(*GENERATE, "--n", "3", *model.overrides)
        assert done.code == 0, done.err
        assert len(model.asked) == 10
    assert cells(lab) == dict.fromkeys(POSSIBLE, 3)
    texts = [row["input"] for row in read_lines(lab.folder / FILE)]
    seen = Seen()
    for one in texts:
        assert not seen.has_like(one)
        seen.add(one)
    assert "nearly the same as others" in done.err


def test_a_model_that_has_nothing_new_is_left_and_that_is_said(lab: Lab) -> None:
    with endpoint(lambda body: json.dumps({"inputs": ["always the very same message"]})) as model:
        done = lab(*GENERATE, "--n", "2", *model.overrides)
        assert done.code == 3
        assert "5 combinations lack inputs" in done.message
        assert "--sheet FILE.xlsx" in done.message
        calls = len(model.asked)
        # Three tries of each cell; those of the first, which has the text, show it.
        assert calls == 1 + 3 * 5
        again = lab(*GENERATE, "--n", "2", *model.overrides)
        assert (again.code, len(model.asked)) == (3, calls), "the answers are there"
        lab(*GENERATE, "--n", "2", "seed=1", *model.overrides)
        assert len(model.asked) > calls, "another seed asks anew"
    assert len(read_lines(lab.folder / FILE)) == 1


USELESS = {
    "prose": "Of course! Which ones?",
    "a list": '["a", "b"]',
    "no texts": '{"inputs": [1, 2]}',
    "an object": '{"inputs": {"a": "b"}}',
    "broken": '{"inputs": ["a", ',
    "deep": '{"inputs": ' + "[" * 100_000 + "}",
    "empty": '{"inputs": ["", "\\u0000"]}',
}


@pytest.mark.parametrize("said", USELESS.values(), ids=USELESS)
def test_an_answer_without_inputs_holds_none(said: str) -> None:
    found, why = read(Reply(said))
    assert not found
    assert why in ("not readable", "empty")


def test_an_answer_is_read_whatever_stands_around_it() -> None:
    assert read(Reply('<think>{"x"}</think>Sure: {"inputs": [" a{b} ", "c\\nd"]} Bye')) == (
        ["a{b}", "c\nd"],
        "",
    )
    assert read(Reply('{"inputs": ["a"]}', finish="length")) == ([], "cut off (model.max_tokens)")
    assert read(Reply("", refusal="no")) == ([], "refusal")


def wait_for_answers(lab: Lab, n: int) -> None:
    """Until so many answers are on disk: they are committed a few at a time."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.closing(sqlite3.connect(lab.folder / ".judgelab" / "calls.db")) as db:
            if db.execute("SELECT count(*) FROM calls").fetchone()[0] == n:
                return
        time.sleep(0.02)
    pytest.fail("the answers were not kept")


@pytest.mark.parametrize("ends", [2, pytest.param(6, marks=pytest.mark.slow)])
def test_killed_half_way_it_asks_what_is_missing_and_writes_the_same(
    lab: Lab, tmp_path: Path, ends: int
) -> None:
    """The process is ended while a call is on its way, some before and some after it."""
    whole = Lab(tmp_path / "whole")
    whole.write("conf/dimensions/mine.yaml", MINE)
    hold, reached = threading.Event(), threading.Event()

    def slow(body: dict[str, Any]) -> str:
        _, *cell = asked_for(body)
        if len(model.asked) > ends and not hold.is_set():
            reached.set()
            hold.wait(60)
        if "are there already" in turn(body):
            return writer(body)
        return json.dumps({"inputs": [text(str(cell)), text(str(cell)) + "!"]})  # one is lacking

    with endpoint(slow) as model:
        words = (*GENERATE, "--n", "2", *model.overrides, "model.concurrency=1")
        running = lab.start(*words)
        assert reached.wait(60)
        wait_for_answers(lab, ends)
        running.kill()
        running.communicate()
        hold.set()
        assert len(model.asked) == ends + 1
        done = lab(*words)
        assert done.code == 0, done.err
        assert len(model.asked) == 10 + 1, "only what was on its way is asked twice"
        assert whole(*words).code == 0
    assert (lab.folder / FILE).read_text() == (whole.folder / FILE).read_text()


def test_a_server_that_fails_ends_it_and_what_came_is_kept(lab: Lab) -> None:
    with endpoint(lambda body: 500 if len(model.asked) == 3 else writer(body)) as model:
        done = lab(*GENERATE, *model.overrides, "model.concurrency=1")
        assert done.code == 3
        assert "Go on with: judgelab generate inputs dimensions=mine" in done.message
        assert len(model.asked) == 5, "the others were asked all the same"
        assert lab(*GENERATE, *model.overrides, "model.concurrency=1").code == 0
        assert len(model.asked) == 6
    assert cells(lab) == dict.fromkeys(POSSIBLE, 3)


def test_a_budget_holds(lab: Lab) -> None:
    with endpoint(writer) as model:
        done = lab(*GENERATE, *model.overrides, "budget.calls=2")
        assert done.code == 3
        assert "budget.calls=2 is spent" in done.message
        assert len(model.asked) == 2
        assert lab(*GENERATE, *model.overrides, "limit=1", "--n", "1").code == 0


def test_the_order_of_the_cells_is_the_seeds() -> None:
    values = {name: {f"{name}{n}": "x" for n in range(4)} for name in "ab"}
    made = Dimensions("own", "A tool.", values)
    orders = [list(Order(made, 1, seed).own) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert list(Order(made, 1, 0, 3).own) == orders[0][:3]


WITHOUT = ("model=none", "model=neighbours")


@pytest.mark.parametrize("model", WITHOUT)
def test_without_a_model_there_is_a_sheet_to_fill_in(lab: Lab, model: str) -> None:
    from openpyxl import load_workbook

    refused = lab(*GENERATE, model)
    assert refused.code == 2
    assert "cannot write inputs: that takes an LLM" in refused.message
    assert "--sheet inputs.xlsx dimensions=mine" in refused.message
    done = lab("generate", "inputs", "--n", "2", "--sheet", "inputs.xlsx", "dimensions=mine")
    assert done.code == 0, done.err
    assert "10 rows to fill in" in done.out
    assert "--from inputs.xlsx dimensions=mine" in done.err
    path = lab.folder / "inputs.xlsx"
    book = load_workbook(path)
    (page,) = book.worksheets
    heads = [cell.value for cell in page[1]]
    assert heads == ["id", "dimensions.feature", "dimensions.persona", "hint", "input"]
    hints = {row[3].value for row in page.iter_rows(min_row=2)}
    assert "search: looks for something\nnovice: is new here\nwrites: asks shyly" in hints
    hostile = ["=1+1", "'=cmd|' /c calc'!A1", "two\nlines, \u202e and 😀", "@x"]
    for at, said in enumerate(hostile):
        page.cell(2 + at, 5).value = said
        page.cell(2 + at, 5).data_type = "s"
    page.cell(6, 5).value = "two\nlines,  \u202e AND 😀"
    book.save(path)
    taken = lab("generate", "inputs", "--n", "2", "--from", "inputs.xlsx", "dimensions=mine")
    assert taken.code == 0, taken.err
    assert "4 inputs taken in, 0 were there, 5 rows empty" in taken.out
    assert (
        "left out, as they say nearly what another input says: sheet 'inputs', row 6" in taken.err
    )
    rows = read_lines(lab.folder / FILE)
    assert {row["by"] for row in rows} == {"hand"}
    assert {row["input"] for row in rows} >= {hostile[2], hostile[3], "=1+1"}
    again = lab("generate", "inputs", "--n", "2", "--from", "inputs.xlsx", "dimensions=mine")
    assert "0 inputs taken in, 4 were there" in again.out
    with endpoint(writer) as served:
        assert lab(*GENERATE, "--n", "3", *served.overrides).code == 0
        earlier = [turn(body) for body in served.asked]
        assert any("@x" in one for one in earlier), "those by hand are shown"
    assert sum(cells(lab).values()) == 15


def test_a_sheet_with_other_combinations_is_refused_whole(lab: Lab) -> None:
    from openpyxl import load_workbook

    lab("generate", "inputs", "--n", "1", "--sheet", "inputs.xlsx", "dimensions=mine")
    path = lab.folder / "inputs.xlsx"
    book = load_workbook(path)
    for at, persona in enumerate(("wizard", "boss"), 2):
        book.active.cell(at, 2).value = "edit"
        book.active.cell(at, 3).value = persona
        book.active.cell(at, 5).value = f"hello from {persona}"
    book.active.cell(4, 5).value = "a good one"
    book.save(path)
    done = lab("generate", "inputs", "--from", "inputs.xlsx", "dimensions=mine")
    assert done.code == 2
    assert "allowed are novice, expert, boss" in done.message
    assert "rules it out" in done.message
    assert not (lab.folder / FILE).read_text()


MISTAKES = {
    "no dimensions": (("dataset=jsonl", "dataset.path=x"), "dimensions=none: say what inputs"),
    "no such dimensions": (("dimensions=mein",), "mine"),
    "both ways": (("--sheet", "a.xlsx", "--from", "b.xlsx", "dimensions=mine"), "give one of them"),
    "no sheet": (("--sheet", "a.csv", "dimensions=mine"), r"give a name in \.xlsx"),
    "no file": (("--from", "a.xlsx", "dimensions=mine"), "there is no such file"),
    "no key": (("dimensions=mine", "model=openai"), "OPENAI_API_KEY"),
}


@pytest.mark.parametrize(("words", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_message(lab: Lab, words: tuple[str, ...], message: str) -> None:
    done = lab("generate", "inputs", *words)
    assert done.code == 2, done.err
    assert re.search(message, done.message)


def test_a_file_that_another_process_writes_to_is_left_alone(lab: Lab) -> None:
    import fcntl

    path = lab.write(FILE, "")
    file = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        with endpoint(writer) as model:
            done = lab(*GENERATE, *model.overrides)
        assert done.code == 2
        assert "another judgelab process is writing to it" in done.message
        assert not model.asked
    finally:
        os.close(file)
    with path.open("a") as torn:
        torn.write('{"id": "a", "inp')
    with endpoint(writer) as model:
        assert lab(*GENERATE, *model.overrides).code == 0, "a torn line was never shown as kept"
    assert sum(cells(lab).values()) == 15
