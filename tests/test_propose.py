"""`judgelab propose rubric`: what is asked, what never is, and what becomes of the answer."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from judgelab.data.remarks import Remark, RemarkLog
from judgelab.data.rubrics import RubricLog
from judgelab.models.base import Reply
from judgelab.optimizers.rubric_writer import read
from judgelab.types import Interaction, sha256
from labs import Lab, endpoint, read_lines, rows, write_rows

OWN = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl", "judge.rubric=mine")
NEW = "An answer passes when it names its source and the day."


def answer(body: dict[str, Any]) -> str:
    return f"<why>The comments\nask for days.</why>\n<rubric>\n{NEW}\n</rubric>"


def marked(n: int = 130) -> list[dict[str, Any]]:
    """Rows whose every text says whose it is."""
    return [
        row
        | {"critique": f"critique-of-{row['id']} says why, in words enough to teach somebody."}
        | {"output": f"output-of-{row['id']} {row['output']}"}
        for row in rows(n)
    ]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = Lab(tmp_path)
    data = marked()
    write_rows(tmp_path / "data.jsonl", data)
    made.write("prompts/rubrics/mine.md", "An answer passes when it names its source.\n")
    remarks = RemarkLog(tmp_path / "labels" / "own.remarks.jsonl")
    for row in data:
        one = Interaction(row["id"], row["input"], row["output"])
        verdict = "pass" if row["label"] == "fail" else "fail"
        remarks.append(
            Remark(
                id=one.id,
                content=one.content,
                expert="ann",
                run="0abc-run",
                label=row["label"],
                verdict=verdict,
                says="judge_wrong",
                comment=f"comment-on-{one.id}",
            )
        )
    return made


def parts(lab: Lab) -> dict[str, set[str]]:
    assert lab("data", "split", *OWN, "model=none").code == 0
    known = {}
    for line in (lab.folder / "splits" / "own.csv").read_text().splitlines()[2:]:
        key, part, _ = line.split(",")
        known[key] = part
    found: dict[str, set[str]] = {"train": set(), "dev": set(), "test": set()}
    for row in marked():
        content = Interaction("", row["input"], row["output"]).content
        found[known[f"content:{content[:16]}"]].add(row["id"])
    assert all(len(ids) > 10 for ids in found.values())
    return found


def history(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> RubricLog:
    monkeypatch.setenv("JUDGELAB_HOME", str(lab.folder))
    return RubricLog(lab.folder / "labels" / "own.rubric.jsonl", "mine")


def test_nothing_of_test_is_asked_and_the_answer_is_a_proposal(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = parts(lab)
    with endpoint(answer) as model:
        dry = lab("propose", "rubric", *OWN, *model.overrides, "--dry-run")
        assert dry.code == 0, dry.err
        assert "1 call to send, about" in dry.out
        assert not model.asked
        done = lab("propose", "rubric", *OWN, *model.overrides, "--critiques", "500")
        assert done.code == 0, done.err
        again = lab("propose", "rubric", *OWN, *model.overrides, "--critiques", "500")
        assert len(model.asked) == 1, "the answer is there"
    (body,) = model.asked
    sent = json.dumps(body)
    for id_ in of["test"]:
        assert f"-{id_}" not in sent, "a label of test would go into the rubric"
    for id_ in of["train"] | of["dev"]:
        assert f"comment-on-{id_}" in sent
        assert (f"critique-of-{id_}" in sent) == (id_ in of["train"])
    assert "output-of-" not in sent, "no text of an item"
    assert "response_format" not in body
    assert f"{len(of['test'])} comments are left out" in done.err
    log = history(lab, monkeypatch)
    (one,) = log.open
    assert (one.text, one.by, one.why) == (NEW, "m", "The comments ask for days.")
    assert one.base == log.now == sha256("An answer passes when it names its source.")
    assert len(one.remarks) == len(of["train"] | of["dev"])
    assert log.file.read_text() == "An answer passes when it names its source.\n"
    assert again.code == 2
    assert "proposed already" in again.message


def test_a_reason_for_declining_makes_another_question(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with endpoint(answer) as model:
        words = ("propose", "rubric", *OWN, *model.overrides)
        assert lab(*words).code == 0
        log = history(lab, monkeypatch)
        log.decline(log.open[0].sequence, by="ann", why="days do not matter here")
        assert lab(*words).code == 0
    assert ["days do not matter here" in json.dumps(body) for body in model.asked] == [False, True]


REFUSED = {
    "no rubric": ("Certainly! I would", "there is no rubric in it"),
    "empty": ("<why>x</why><rubric> </rubric>", "there is no rubric in it"),
    "the same": (
        "<rubric>An answer passes when it names its source.</rubric>",
        "it is the rubric as it is",
    ),
    "endless": (f"<rubric>{'x' * 40_001}</rubric>", "40,001 characters"),
}


@pytest.mark.parametrize(("said", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_rubric_is_not_proposed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, said: str, message: str
) -> None:
    with endpoint(lambda body: said) as model:
        done = lab("propose", "rubric", *OWN, *model.overrides)
    assert done.code == 2
    assert message in done.message
    assert history(lab, monkeypatch).open == []


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(f"<rubric>{NEW}</rubric>", "length"), "max_tokens"),
        (Reply("", "content_filter"), "content_filter"),
        (Reply("", "stop", "I would rather not."), "I would rather not"),
        (Reply("", "too_long"), "context_window"),
    ],
)
def test_an_answer_that_is_none_is_not_read(reply: Reply, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(reply)


def test_it_takes_a_model_a_budget_and_something_to_say(lab: Lab) -> None:
    for model in ("model=none", "model=neighbours"):
        done = lab("propose", "rubric", *OWN, model)
        assert done.code == 2
        assert f"{model} cannot write a rubric" in done.message
    with endpoint(answer) as served:
        words = ("propose", "rubric", *OWN, *served.overrides)
        done = lab(*words, "budget.calls=0")
        assert done.code == 3
        assert "budget.calls=0 is spent" in done.message
        assert "judgelab propose rubric" in done.message
        done = lab(*words, "judge=always_fail", "judge.rubric=null")
        assert done.code == 2
        assert "judge.rubric=None" in done.message
        os.remove(lab.folder / "labels" / "own.remarks.jsonl")
        done = lab(*words, "--critiques", "0")
        assert done.code == 2
        assert "nothing to write a rubric from" in done.message
        assert served.asked == []
    with endpoint(lambda body: 500) as served:
        done = lab("propose", "rubric", *OWN, *served.overrides)
        assert done.code == 3
        assert "no answer came (500" in done.message
    assert not (lab.folder / "labels" / "own.rubric.jsonl").exists()


def test_the_comments_of_one_run_alone(lab: Lab) -> None:
    lab.run(*OWN, "model=neighbours", "limit=5")
    (run,) = lab.runs
    remarks = read_lines(lab.folder / "labels" / "own.remarks.jsonl")
    dev = read_lines(run / "verdicts.jsonl")[0]["id"]
    row = next(row for row in remarks if row["id"] == dev)
    path = lab.folder / "labels" / "own.remarks.jsonl"
    mine = json.dumps(row | {"run": run.name, "comment": "Mine."})
    path.write_text(f"{path.read_text()}{mine}\n")
    with endpoint(answer) as model:
        done = lab("propose", "rubric", *OWN, *model.overrides, "--run", "latest")
    assert done.code == 0, done.err
    assert "from 1 comment on a disagreement" in done.err
    assert '"Mine.' in json.dumps(model.asked[0]).replace("\\", "")
    assert "comment-on-" not in json.dumps(model.asked[0])
