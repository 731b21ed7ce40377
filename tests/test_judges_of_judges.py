"""Whole runs of panels and cascades: replayed, on test, resumed, and with a threshold from dev."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from judgelab.tracking.folder import RunFolder
from labs import Endpoint, Lab, endpoint, question, read_json, read_lines, rows, said, write_rows

pytestmark = pytest.mark.slow  # whole commands, with servers: scripts/test --all


OWN = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl")
FREE = ("tracking=none",)
PANEL = (
    "judge=panel",
    "judge.members=[{rubric: generic},{model: {name: other}},{judge: classifier}]",
)
CASCADE = (
    "judge=cascade",
    "judge.cheap={repeats: 3, rubric: generic}",
    "judge.dear={model: {name: dear}, reasoning: cot}",
    "judge.sure_by=repeats",
)
DATA = rows(130)
LABELS = {json.dumps(row["input"]): row["label"] for row in DATA}


def label(body: dict[str, Any]) -> str:
    return next(label for text, label in LABELS.items() if text in question(body))


class Answers:
    """`dear` knows the label. Others know it of texts of an even length, and say it each time; of
    the rest they say pass, then fail, then pass. `down` is refused by a 500, once the lab asks it
    for the n-th time."""

    def __init__(self) -> None:
        self.times: Counter[str] = Counter()
        self.down: str | None = None
        self.after = 0

    def __call__(self, body: dict[str, Any]) -> str | int:
        name, asked = body["model"], question(body)
        if name == self.down:
            self.after -= 1
            if self.after < 0:
                return 500
        if name == "dear" or len(asked) % 2 == 0:
            return said(label(body), f"{name} says so")
        self.times[f"{name} {asked}"] += 1
        return said("fail" if self.times[f"{name} {asked}"] == 2 else "pass", f"{name} is unsure")


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def model(answers: Answers) -> Any:
    with endpoint(answers) as made:
        yield made


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(tmp_path / "lab")
    write_rows(lab.folder / "data.jsonl", DATA)
    return lab


def keys(model: Endpoint) -> Counter[str]:
    return Counter(json.dumps(body, sort_keys=True) for body in model.asked)


def made_whole(lab: Lab, folder: Path) -> None:
    """Replayed without a call, elsewhere, from the run folder and the data alone."""
    there = Lab(lab.folder.parent / f"elsewhere {folder.name}")
    shutil.copytree(folder, there.folder / folder.name)
    data = str(lab.folder / "data.jsonl")
    done = there("rerun", folder.name, "--data", data)
    assert done.code == 0, done.err
    assert "are the same (replayed, no call sent)" in done.out
    assert "moved" not in done.err
    for name in ("generic", "from_critiques"):
        there.write(f"prompts/rubrics/{name}.md", "Another text altogether.\n")
    moved = there("rerun", folder.name, "--data", data)
    assert moved.code == 0, moved.err
    assert "rubric.md moved" in moved.err


def test_a_panel_is_run_replayed_and_looked_at(lab: Lab, model: Endpoint) -> None:
    lab.run(*PANEL, *model.overrides, *OWN)
    (folder,) = lab.runs
    verdicts = read_lines(folder / "verdicts.jsonl")
    n = len(verdicts)
    assert len(model.asked) == 2 * n
    replies = read_lines(folder / "replies.jsonl")
    assert Counter(row["by"] for row in replies) == {"members.0": n, "members.1": n}
    assert {v["by"] for v in verdicts} <= {"members.0", "members.1", "members.2"}
    assert {v["confidence"] for v in verdicts} == {0.333333, 1.0}
    record = read_json(folder / "record.json")
    assert set(record["texts"]) == {
        f"members.{n}.{name}" for n in (0, 1) for name in ("rubric.md", "template.j2")
    }
    assert record["calls"]["models"] == {"m-1": 2 * n}
    made_whole(lab, folder)
    done = lab("holdout", folder.name, "--json")
    assert done.code == 0, done.err
    look = next(path for path in lab.runs if path != folder)
    tested = read_lines(look / "verdicts.jsonl")
    assert not {v["id"] for v in tested} & {v["id"] for v in verdicts}
    made_whole(lab, look)


@pytest.mark.parametrize("judge", [PANEL, CASCADE], ids=["panel", "cascade"])
def test_what_one_member_could_not_answer_is_asked_when_resumed(
    judge: tuple[str, ...], lab: Lab, model: Endpoint, answers: Answers
) -> None:
    answers.down, answers.after = ("other" if judge is PANEL else "dear"), 5
    command = ("run", *FREE, *judge, *model.overrides, *OWN)
    first = lab(*command)
    assert first.code == 3, first.err
    (folder,) = lab.runs
    calls = read_json(folder / "record.json")["calls"]
    assert calls["failed"]["500"] > 0
    assert calls["pending"] == 0
    assert calls["answered"] == len(read_lines(folder / "verdicts.jsonl"))
    good = model.answered
    answers.down = None
    second = lab(*command)
    assert second.code == 0, second.err
    assert RunFolder(folder).complete
    refused = calls["failed"]["500"]
    assert len(model.asked) == good + refused + refused, "only what was refused is asked again"
    made_whole(lab, folder)


def test_a_cascade_in_a_sweep_shares_what_its_members_would_ask_alone(
    lab: Lab, model: Endpoint
) -> None:
    more = ("baselines=[]", *model.overrides, *OWN)
    lab.run("judge=prompted", "judge.rubric=generic", "judge.repeats=3", *more)
    asked = len(model.asked)
    lab.run("-m", *CASCADE, "judge.threshold=0.5,0.9,1.01", *more)
    n = asked // 3
    assert len(model.asked) == asked + n, "the dear judge once an item"
    assert max(keys(model).values()) == 3
    shares = {}
    for path in lab.runs:
        record = read_json(path / "record.json")
        verdicts = read_lines(path / "verdicts.jsonl")
        shares[record["name"]] = sum(v.get("by") == "dear" for v in verdicts) / len(verdicts)
    assert shares["threshold=0.5"] == 0
    assert 0 < shares["threshold=0.9"] < 1
    assert shares["threshold=1.01"] == 1


def test_the_dry_run_adds_up(lab: Lab, model: Endpoint) -> None:
    command = (*CASCADE, *model.overrides, *OWN, "demos=hard")
    done = lab("run", *FREE, *command, "--dry-run")
    verdicts, calls = done.out.split(": ")[1].split(" verdicts, ")
    n = int(verdicts)
    sent = int(calls.split()[0])
    assert (sent - 4 * n) % 2 == 0, "3 of cheap and 1 of dear an item, and two rehearsals on train"
    train = (sent - 4 * n) // 2
    lab.run(*command)
    replies = read_lines(lab.runs[0] / "replies.jsonl")
    by = Counter(row["by"].split(" ")[0] for row in replies)
    assert by["cheap.demos"] == by["dear.demos"] == train > 10
    assert by["cheap"] == 3 * n
    assert by["dear"] <= n
    made_whole(lab, lab.runs[0])


def test_a_panel_without_an_llm_is_no_winner_and_no_failure(tmp_path: Path) -> None:
    """Only where every member is what a machine without an LLM makes do with."""
    lab = Lab(tmp_path)
    pair = "judge.members=[{demos: nearest},classifier]"
    more = ("judge=panel", "limit=30", *FREE, "search.floors.recall_fail=0.5")
    offline = lab("run", "-m", pair, "judge.weights=null,[1,2]", *more)
    assert offline.code == 0, offline.err
    assert "Without an LLM there was none to find" in offline.err
    code = lab(
        "run", "-m", "judge.members=[{demos: nearest},assertion],[assertion,classifier]", *more
    )
    assert code.code == 1, code.err


def test_what_changed_between_two_panels_names_the_member(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    for k in (2, 8):
        typed = f"judge.members=[{{demos: nearest}},{{demos.k: {k}}},assertion]"
        lab.run("judge=panel", typed, "limit=30")
    done = lab("compare", *(folder.name for folder in lab.runs))
    assert done.code == 0, done.err
    said = " ".join((done.out + done.err).split())
    assert re.search(r"members\.1\.demos\.k [28] → [28]", said), said
    assert "members.0" not in said


# --- optimizer=threshold


def test_a_threshold_from_dev_is_run_replayed_drawn_and_looked_at(
    lab: Lab, model: Endpoint
) -> None:
    command = (*CASCADE, "optimizer=threshold", "optimizer.recall=0.9", *model.overrides, *OWN)
    done = lab("run", *command)
    assert done.code == 0, done.err
    (folder,) = lab.runs
    verdicts = read_lines(folder / "verdicts.jsonl")
    n = len(verdicts)
    assert len(model.asked) == 4 * n, "both judge dev once; the run itself has it from the store"
    about = read_json(folder / "optimizer.json")
    chosen = about["story"]["chosen"]
    run = RunFolder(folder)
    assert run.config["judge"]["threshold"] == chosen["threshold"]
    assert sum(v["by"] == "dear" for v in verdicts) / n == pytest.approx(chosen["handed"], abs=1e-6)
    for name in ("recall_fail", "kappa"):
        assert run.scores["metrics"][name]["value"] == pytest.approx(chosen[name])
    assert about["story"]["reached"]
    assert chosen["recall_fail"] >= 0.9
    assert 0 < chosen["handed"] < 1
    assert about["candidates"] == len(about["story"]["curve"])
    assert "of fail" in done.err
    assert "handed over" in done.err
    for name in ("cascade.png", "cascade.svg"):
        assert (folder / name).stat().st_size > 1000
    made_whole(lab, folder)
    asked = len(model.asked)
    again = lab("run", *command)
    assert again.code == 0
    assert "handed over" in again.err, "said as long as the run is there"
    assert len(model.asked) == asked
    look = lab("holdout", folder.name)
    assert look.code == 0, look.err
    tested = next(path for path in lab.runs if path != folder)
    assert RunFolder(tested).config["judge"]["threshold"] == chosen["threshold"]
    dear = sum(v["by"] == "dear" for v in read_lines(tested / "verdicts.jsonl"))
    on_test = [body for body in model.asked[asked:] if body["model"] == "dear"]
    assert len(on_test) == dear, "on test only what is handed over is asked of the dear one"


def test_a_threshold_that_could_not_be_found_leaves_the_run_incomplete_and_goes_on(
    lab: Lab, model: Endpoint, answers: Answers
) -> None:
    answers.down, answers.after = "dear", 5
    command = ("run", *FREE, *CASCADE, "optimizer=threshold", *model.overrides, *OWN)
    first = lab(*command)
    assert first.code == 3, first.err
    (folder,) = lab.runs
    record = read_json(folder / "record.json")
    assert (record["complete"], record["calls"]["answered"]) == (False, 0)
    assert record["calls"]["failed"] == {"500": 1}
    assert not (folder / "optimizer.json").exists()
    answers.down = None
    assert lab(*command).code == 0
    assert lab.runs == [folder]
    assert RunFolder(folder).complete
    good = Counter(body["model"] for body in model.asked)
    assert good["m"] == 3 * len(read_lines(folder / "verdicts.jsonl"))


def test_the_threshold_knows_nothing_of_test(lab: Lab, tmp_path: Path, model: Endpoint) -> None:
    command = (*CASCADE, "optimizer=threshold", *model.overrides, *OWN)
    lab.run(*command)
    test = {r["id"] for r in read_lines(lab.runs[0] / "assignment.jsonl") if r["part"] == "test"}
    other = Lab(tmp_path / "other")
    flip = {"pass": "fail", "fail": "pass"}
    moved = [r | {"label": flip[r["label"]]} if r["id"] in test else r for r in DATA]
    write_rows(other.folder / "data.jsonl", moved)
    shutil.copytree(lab.folder / "splits", other.folder / "splits")
    shutil.copytree(lab.folder / ".judgelab", other.folder / ".judgelab")
    asked = len(model.asked)
    other.run(*command)
    assert len(model.asked) == asked
    stories = [read_json(one.runs[0] / "optimizer.json")["story"] for one in (lab, other)]
    assert stories[0] == stories[1]


def test_without_a_dev_it_says_how_to_get_one(lab: Lab, model: Endpoint) -> None:
    write_rows(lab.folder / "data.jsonl", DATA[:60])
    done = lab("run", *FREE, *CASCADE, "optimizer=threshold", *model.overrides, *OWN)
    assert done.code == 2
    assert "an optimizer chooses on dev" in done.message
