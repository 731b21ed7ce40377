"""`judgelab generate sample`: logs and traces, at random or evenly, the same for a seed."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from judgelab.data.cells import grid
from judgelab.generate.sampling import draw
from judgelab.types import Interaction
from labs import Lab, environment, read_lines, write_rows


def items() -> list[Interaction]:
    """90 of a, 8 of b, 2 of c."""
    kinds = "a" * 90 + "b" * 8 + "c" * 2
    return [Interaction(f"i{n}", f"q{n}", "x", dimensions={"k": k}) for n, k in enumerate(kinds)]


def test_at_random_is_the_seeds_whatever_the_order() -> None:
    there = items()
    drawn = draw(there, 20, 0)
    assert drawn == draw(there[::-1], 20, 0)
    assert {one.weight for one in drawn} == {5.0}
    assert [one.item for one in drawn] != [one.item for one in draw(there, 20, 1)]
    assert [one.item for one in draw(there, 30, 0)][:20] == [one.item for one in drawn]
    assert len(draw(there, 500, 0)) == 100
    assert draw([], 5, 0) == []


def test_evenly_takes_as_many_of_each_cell_and_weighs_them_back() -> None:
    there = items()
    drawn = draw(there, 14, 0, grid(there))
    taken = Counter(one.item.dimensions["k"] for one in drawn)
    assert taken == {"a": 6, "b": 6, "c": 2}
    assert drawn == draw(there[::-1], 14, 0, grid(there))
    assert sum(one.weight for one in drawn) == pytest.approx(100)
    assert {one.item.dimensions["k"]: one.weight for one in drawn} == {
        **{"a": 15.0, "b": 8 / 6, "c": 1.0}
    }


def log(n: int) -> list[dict[str, Any]]:
    return [
        {
            "request": {"text": f"question {k}", "who": "new" if k % 10 else "old"},
            "reply": f"answer {k}",
            "thread": f"t{k // 2}",
            "label": "pass",
        }
        for k in range(n)
    ]


COLUMNS = (
    *("dataset=jsonl", "dataset.path=log.jsonl", "dataset.columns.input=request.text"),
    *("dataset.columns.output=reply", "dataset.columns.group=thread"),
    "dataset.columns.dimensions={who: request.who}",
)


def test_logs_are_mapped_as_any_dataset_and_keep_their_groups(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    write_rows(tmp_path / "log.jsonl", log(100))
    words = ("generate", "sample", "s.jsonl", *COLUMNS, "--n", "20", "--by", "who")
    done = lab(*words)
    assert done.code == 0, done.err
    assert "20 of 100 interactions, evenly by who, in s.jsonl" in done.out
    rows = read_lines(tmp_path / "s.jsonl")
    assert Counter(row["dimensions"]["who"] for row in rows) == {"new": 10, "old": 10}
    assert all(row["group"].startswith("t") and "label" not in row for row in rows)
    first = (tmp_path / "s.jsonl").read_text()
    assert lab(*words).code == 2, "there already"
    assert lab(*words, "--force").code == 0
    assert (tmp_path / "s.jsonl").read_text() == first
    labelled = [
        {**row, "label": "fail" if row["dimensions"]["who"] == "old" else "pass"} for row in rows
    ]
    write_rows(tmp_path / "l.jsonl", labelled)
    write_rows(tmp_path / "v.jsonl", [{"id": row["id"], "verdict": "pass"} for row in rows])
    score = ("score", "--labels", "l.jsonl", "--verdicts", "v.jsonl", "--weights")
    weighed = lab(*score, "metadata.weight", "--json")
    assert weighed.code == 0, weighed.err
    assert '"weights"' in weighed.out
    none = lab("generate", "sample", "x.jsonl", *COLUMNS[:-1], "--by", "who")
    assert none.code == 2
    assert "no such dimension" in none.message
    assert lab("generate", "sample", "x.csv", *COLUMNS).code == 2


@pytest.mark.slow
def test_traces_are_a_dataset(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    script = (
        "import mlflow\n"
        f"mlflow.set_tracking_uri('sqlite:///{tmp_path}/mlflow.db')\n"
        "mlflow.set_experiment('my app')\n"
        "@mlflow.trace\n"
        "def answer(question):\n"
        "    mlflow.update_current_trace(metadata={'mlflow.trace.session': 's' + question[0]},\n"
        "        tags={'who': 'new'})\n"
        "    if question[0] == '3': raise ValueError('no')\n"
        "    return {'text': 'said: ' + question}\n"
        "for n in range(6):\n"
        "    try: answer(f'{n} is what? =1+1')\n"
        "    except ValueError: pass\n"
        "mlflow.flush_trace_async_logging()\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env=environment(), cwd=tmp_path)
    mapped = ("dataset.columns.input=input.question", "dataset.columns.output=output.text")
    words = ("dataset=traces", "dataset.path='my app'", *mapped)
    words = (*words, "dataset.columns.dimensions={who: tags.who}")
    done = lab("generate", "sample", "t.jsonl", *words, "--n", "50")
    assert done.code == 0, done.err
    assert "1 traces failed or hold no output" in done.err
    rows = read_lines(tmp_path / "t.jsonl")
    assert {(row["input"], row["output"], row["group"]) for row in rows} == {
        (f"{n} is what? =1+1", f"said: {n} is what? =1+1", f"s{n}") for n in (0, 1, 2, 4, 5)
    }
    assert {row["dimensions"]["who"] for row in rows} == {"new"}
    gone = lab("generate", "sample", "u.jsonl", "dataset=traces", "dataset.path=other")
    assert gone.code == 2
    assert "There are: " in gone.message
    assert "'my app'" in gone.message


def test_without_a_store_there_are_no_traces(tmp_path: Path) -> None:
    done = Lab(tmp_path)("generate", "sample", "t.jsonl", "dataset=traces", "dataset.path=x")
    assert done.code == 2
    assert "there is no MLflow store at" in done.message
