"""`judgelab calls`: what was paid for is counted, moved and deleted, and nothing else is."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from judgelab.calls import store as stores
from judgelab.calls.claims import Claims
from judgelab.models.base import Reply
from labs import Endpoint, Lab, endpoint, read_lines, rows, said, write_rows

OWN = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl")
PRICED = ("model.price={input:100,output:1000}",)
N = 24
USD = (100 * 100 + 10 * 1000) / 1e6  # of one answer


@pytest.fixture
def model() -> Iterator[Endpoint]:
    with endpoint(lambda body: said("fail")) as made:
        yield made


@pytest.fixture
def lab(tmp_path: Path, model: Endpoint) -> Lab:
    """A lab that has paid for N answers, and used 10 of them again."""
    lab = new_lab(tmp_path / "lab")
    judged(lab, model)
    judged(lab, model, "limit=10")
    assert len(model.asked) == N
    return lab


def new_lab(folder: Path) -> Lab:
    lab = Lab(folder)
    write_rows(folder / "data.jsonl", rows(N))
    return lab


def judged(lab: Lab, model: Endpoint, *more: str) -> None:
    lab.run(*OWN, *model.overrides, *PRICED, *more)


@contextlib.contextmanager
def database(lab: Lab) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(lab.folder / ".judgelab" / "calls.db")) as db, db:
        yield db


def count(lab: Lab, table: str = "calls") -> int:
    with database(lab) as db:
        return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def stats(lab: Lab) -> dict[str, Any]:
    done = lab("calls", "stats", "--json")
    assert done.code == 0, done.err
    held: dict[str, Any] = json.loads(done.out)
    return held


def damage(lab: Lab, id_: int, by: str = "replace(reply, 'verdict', 'verdikt')") -> None:
    with database(lab) as db:
        db.execute(f"UPDATE calls SET reply={by} WHERE id=?", (id_,))


def test_stats_say_what_was_paid_and_what_it_saved(lab: Lab, model: Endpoint) -> None:
    (row,) = stats(lab)["answers"]
    assert row["endpoint"] == model.overrides[2].removeprefix("model.base_url=")
    counts = ("model", "answers", "tokens_in", "tokens_out", "tokens_cached", "used_again")
    assert [row[name] for name in counts] == ["m", N, 100 * N, 10 * N, 0, 10]
    assert row["usd"] == pytest.approx(N * USD)
    assert row["usd_saved"] == pytest.approx(10 * USD)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", row["first"])
    assert row["first"] <= row["last"]
    assert stats(lab)["bytes"] >= (lab.folder / ".judgelab" / "calls.db").stat().st_size
    shown = lab("calls", "stats")
    assert shown.code == 0
    assert max(map(len, shown.out.splitlines())) <= 104
    assert f"{N} answers, paid ${N * USD:.4f}, saved ${10 * USD:.4f}" in shown.out


def test_stats_are_by_endpoint_and_model(lab: Lab, model: Endpoint) -> None:
    judged(lab, model, "model.name='[b]other'", "limit=5")
    judged(lab, model, "model.endpoint=mine", "limit=3")
    found = {(row["endpoint"][:4], row["model"]): row["answers"] for row in stats(lab)["answers"]}
    assert found == {("http", "m"): N, ("http", "[b]other"): 5, ("mine", "m"): 3}
    assert "[b]other" in lab("calls", "stats").out


def test_stats_list_what_is_in_quarantine(lab: Lab, model: Endpoint) -> None:
    damage(lab, 3)
    damage(lab, 4, "CAST(x'ff00fe' AS TEXT)")
    damage(lab, 5, "'{'")
    before = len(model.asked)
    judged(lab, model, "scores.policy=exclude")
    assert len(model.asked) - before == 3, "asked again"
    damaged = stats(lab)["quarantine"]
    assert len(damaged) == 3
    assert all(row["model"] == "m" for row in damaged)
    shown = lab("calls", "stats").out
    for row in damaged:
        assert re.search(rf"^  {row['key'][:12]} http\S+ m$", shown, re.MULTILINE)
    damage(lab, 6, "'{'")
    assert stats(lab)["answers"][0]["answers"] == N, "a damaged row does no harm to the sums"


@pytest.mark.parametrize(
    "words", [("stats",), ("export", "--all", "f"), ("prune", "--model", "m")], ids=" ".join
)
def test_a_lab_without_a_store_says_how_to_start(tmp_path: Path, words: tuple[str, ...]) -> None:
    lab = Lab(tmp_path / "lab")
    done = lab("calls", *words)
    assert done.code == 2
    assert re.search(r"there is no .*calls\.db: nothing was paid for.*judgelab run", done.message)
    assert list(lab.folder.iterdir()) == [], "and makes none"


def test_a_store_without_answers_is_no_mistake(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "lab")
    lab.run("limit=3")
    done = lab("calls", "stats")
    assert done.code == 0
    assert done.out.startswith("0 answers, paid $0.0000")
    assert "local models are not stored" in done.err
    exported = lab("calls", "export", "latest", "a.jsonl")
    assert exported.code == 2
    assert "3 of 3 answers of the run are not in the store" in exported.err
    assert not (lab.folder / "a.jsonl").exists()


@pytest.mark.parametrize("what", ["latest", "--all"])
def test_the_answers_of_a_run_go_to_another_lab_which_sends_nothing(
    lab: Lab, model: Endpoint, tmp_path: Path, what: str
) -> None:
    small = what == "latest"
    done = lab("calls", "export", what, "answers.jsonl")
    assert done.code == 0, done.err
    n = 10 if small else N
    assert done.out == f"{n} answers in answers.jsonl\n"
    file = lab.folder / "answers.jsonl"
    assert len(read_lines(file)) == n
    other = new_lab(tmp_path / "other")
    taken = other("calls", "import", str(file))
    assert taken.code == 0, taken.err
    assert taken.out.startswith(f"{n} answers, {n} of them new")
    judged(other, model, *(["limit=10"] if small else []))
    assert len(model.asked) == N, "nothing was sent"
    (mine,) = other.runs
    theirs = lab.folder / "runs" / mine.name
    assert (mine / "verdicts.jsonl").read_bytes() == (theirs / "verdicts.jsonl").read_bytes()
    again = other("calls", "import", str(file))
    assert again.out.startswith(f"{n} answers, 0 of them new")
    assert count(other) == n
    assert stats(other)["answers"][0]["usd"] == pytest.approx(n * USD), "what they cost is known"


def test_export_says_what_the_store_does_not_have(lab: Lab) -> None:
    with database(lab) as db:
        db.execute("DELETE FROM calls WHERE id IN (SELECT id FROM calls ORDER BY id LIMIT 2)")
    damage(lab, N)
    name = next(run.name for run in lab.runs if len(read_lines(run / "replies.jsonl")) == N)
    done = lab("calls", "export", name, "a.jsonl")
    assert done.code == 0
    assert done.out == f"{N - 3} answers in a.jsonl\n"
    assert f"2 of {N} answers of the run are not in the store" in done.err
    assert "1 damaged answers are left out" in done.err
    assert lab("calls", "import", "a.jsonl").code == 0


def test_export_does_not_overwrite_and_leaves_nothing_half(lab: Lab, monkeypatch: Any) -> None:
    file = lab.write("a.jsonl", "mine")
    done = lab("calls", "export", "--all", "a.jsonl")
    assert done.code == 2
    assert "a.jsonl is there already" in done.message
    assert file.read_text() == "mine"
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        done = lab("calls", "export", "--all", "a.jsonl", "--force")
    assert done.code == 3
    assert "No space left" in done.err
    assert file.read_text() == "mine"
    assert not list(lab.folder.glob(".a.jsonl*"))
    assert lab("calls", "export", "--all", "a.jsonl", "--force").code == 0
    assert len(read_lines(file)) == N


def full(number: int) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("words", [(), ("a",), ("a", "b", "c"), ("--all",), ("--all", "a", "b")])
def test_export_takes_a_run_and_a_file(lab: Lab, words: tuple[str, ...]) -> None:
    done = lab("calls", "export", *words)
    assert done.code == 2
    assert "Traceback" not in done.err


BREAKS: dict[str, tuple[Any, str]] = {
    "cut off": (lambda row: json.dumps(row)[:-9], r"no JSON \(.* column \d+"),
    "no object": (lambda row: "[1]", "no object with the keys key, endpoint"),
    "a column less": (lambda row: json.dumps({**row, "sum": None} | {"x": 1}), "no object with"),
    "no SHA-256": (lambda row: json.dumps(row | {"key": "A" * 64}), "no SHA-256"),
    "another key": (lambda row: json.dumps(row | {"key": "0" * 64}), "checksum"),
    "another answer": (
        lambda row: json.dumps(row | {"reply": row["reply"].replace("fail", "pass")}),
        "checksum",
    ),
    "no answer": (lambda row: resealed(row, "[]"), "reply is no answer"),
    "no text in it": (lambda row: resealed(row, '{"text": 1}'), "reply is no answer"),
    "no count in it": (
        lambda row: resealed(row, '{"text": "", "tokens_in": "1"}'),
        "reply is no answer.*tokens_in",
    ),
    "no JSON in it": (lambda row: resealed(row, "{"), "no JSON"),
    "no money": (lambda row: json.dumps(row | {"usd": "1"}), "usd is '1'"),
    "less than none": (lambda row: json.dumps(row | {"usd": -1}), "usd is -1"),
    "no number": (lambda row: json.dumps(row | {"usd": float("nan")}), "usd is nan"),
    "no time": (lambda row: json.dumps(row | {"at": "yesterday"}), "'yesterday' does not match"),
    "no name": (lambda row: json.dumps(row | {"model": None}), "model is None"),
    "too deep": (lambda row: "[" * 100_000, "recursion|no JSON"),
}


def resealed(row: dict[str, Any], reply: str) -> str:
    sum_ = stores.checksum(row["key"], reply)
    return json.dumps(row | {"reply": reply, "sum": sum_})


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The lines of a file of answers."""
    lab = new_lab(tmp_path_factory.mktemp("exported"))
    with endpoint(lambda body: said("fail")) as model:
        judged(lab, model)
    lab("calls", "export", "--all", "a.jsonl")
    return (lab.folder / "a.jsonl").read_text().splitlines()


@pytest.mark.parametrize(("spoil", "why"), BREAKS.values(), ids=BREAKS)
def test_a_broken_file_is_not_imported_at_all(
    exported: list[str], tmp_path: Path, spoil: Any, why: str
) -> None:
    other = Lab(tmp_path)
    other.write("a.jsonl", "\n".join([exported[0], spoil(json.loads(exported[1])), *exported[2:]]))
    done = other("calls", "import", "a.jsonl")
    assert done.code == 2, done.out
    assert re.search(rf"a\.jsonl, line 2: .*({why})", done.message), done.message
    assert "Nothing was imported" in done.message
    assert not (other.folder / ".judgelab").exists()


def test_bytes_that_are_no_text_are_said(lab: Lab) -> None:
    (lab.folder / "a.jsonl").write_bytes(b"\xff\xfe\x00")
    assert "a.jsonl, line 1: " in lab("calls", "import", "a.jsonl").message
    assert "a.jsonl, line 1: " in lab("calls", "import", lab.write("a.jsonl", "\n").name).message
    assert "is empty" in lab("calls", "import", lab.write("a.jsonl", "").name).message
    assert "no such file" in lab("calls", "import", "b.jsonl").message.casefold()


def test_an_answer_that_is_here_stays(lab: Lab, tmp_path: Path) -> None:
    lab("calls", "export", "--all", "a.jsonl")
    row = read_lines(lab.folder / "a.jsonl")[0]
    lab.write("b.jsonl", resealed(row, Reply("another").json))
    assert lab("calls", "import", "b.jsonl").out.startswith("1 answers, 0 of them new")
    with database(lab) as db:
        kept = db.execute("SELECT reply FROM calls WHERE key=?", (row["key"],)).fetchone()[0]
    assert kept == row["reply"]


def test_prune_shows_first_and_deletes_only_with_yes(lab: Lab, model: Endpoint) -> None:
    judged(lab, model, "model.name=other", "limit=5")
    shown = lab("calls", "prune", "--model", "other")
    assert shown.code == 0, shown.err
    assert f"would be deleted: 5 answers, which cost ${5 * USD:.4f}" in shown.out
    assert "--yes" in shown.err
    assert count(lab) == N + 5
    done = lab("calls", "prune", "--model", "other", "--yes")
    assert f"deleted: 5 answers, which cost ${5 * USD:.4f}" in done.out
    assert count(lab) == N
    with database(lab) as db:
        assert db.execute("PRAGMA freelist_count").fetchone() == (0,)


def test_prune_takes_what_fits_all_conditions(lab: Lab, model: Endpoint) -> None:
    judged(lab, model, "model.name=other", "limit=5")
    with database(lab) as db:
        db.execute("UPDATE calls SET at=datetime('now', '-30 days') WHERE id <= 3 OR id > ?", (N,))
    for words, n in (
        (("--older-than", "31"), 0),
        (("--older-than", "29"), 8),
        (("--older-than", "29", "--model", "m"), 3),
        (("--older-than", "29", "--model", "m", "--endpoint", "nowhere"), 0),
        (("--older-than", "999999999999"), 0),
        (("--endpoint", model.overrides[2].removeprefix("model.base_url=")), N + 5),
        (("--unused",), 0),
    ):
        done = lab("calls", "prune", *words)
        assert done.code == 0, done.err
        assert f"would be deleted: {n} answers" in done.out, words
    assert lab("calls", "prune", "--older-than", "29", "--model", "m", "--yes").code == 0
    assert count(lab) == N + 5 - 3


def test_prune_wants_a_condition(lab: Lab) -> None:
    done = lab("calls", "prune", "--yes")
    assert done.code == 2
    assert "--older-than DAYS, --endpoint NAME, --model NAME, --unused" in done.message
    assert count(lab) == N
    assert lab("calls", "prune", "--older-than", "-1", "--yes").code == 2


def test_unused_is_what_no_run_folder_holds(lab: Lab, model: Endpoint) -> None:
    judged(lab, model, "model.name=other", "limit=5")
    gone = next(
        run
        for run in lab.runs
        if "m-dev" in run.name and len(read_lines(run / "replies.jsonl")) == N
    )
    for file in gone.iterdir():
        file.unlink()
    done = lab("calls", "prune", "--unused", "--yes")
    assert f"deleted: {N - 10} answers" in done.out, "10 are in another run's folder"
    assert count(lab) == 15


def test_unused_waits_for_who_judges(lab: Lab) -> None:
    """The answers of a run on its way are in the store, and in no folder yet."""
    store = lab.folder / ".judgelab" / "calls.db"
    for run in lab.runs:
        (run / "replies.jsonl").unlink()
    other = Claims(store)
    refused = lab("calls", "prune", "--unused", "--yes")
    assert refused.code == 2
    assert "1 processes judge in this lab now" in refused.message
    assert count(lab) == N
    other.close()
    (store.parent / "calls.db.session-left").write_bytes(b"")  # of one that was killed
    assert lab("calls", "prune", "--unused", "--yes").code == 0
    assert count(lab) == 0


def test_quarantine_is_emptied_alone(lab: Lab, model: Endpoint) -> None:
    damage(lab, 1)
    judged(lab, model, "scores.policy=exclude")
    assert count(lab, "quarantine") == 1
    assert "1 damaged answers in quarantine" in lab("calls", "prune", "--quarantine").out
    assert count(lab, "quarantine") == 1
    assert lab("calls", "prune", "--quarantine", "--yes").code == 0
    assert count(lab, "quarantine") == 0
    assert count(lab) == N


def test_prune_while_another_process_reads_and_writes(lab: Lab) -> None:
    """An open read keeps the old pages; what it sees stays whole, and new answers come in."""
    with database(lab) as reader:
        seen = reader.execute("SELECT key FROM calls")
        assert seen.fetchone()
        assert lab("calls", "prune", "--older-than", "0", "--yes").code == 0
        assert len(seen.fetchall()) == N - 1
    assert count(lab) == 0
    with database(lab) as db:
        db.execute("INSERT INTO calls VALUES (1, 'k', 'e', '', 'm', '{}', 0, 'now', '')")
    assert count(lab) == 1


def test_what_was_saved_outlives_the_answers(lab: Lab) -> None:
    assert lab("calls", "prune", "--older-than", "0", "--yes").code == 0
    (row,) = stats(lab)["answers"]
    assert (row["answers"], row["used_again"], row["first"]) == (0, 10, None)
    assert lab("calls", "stats").code == 0
