"""A run again from its record: byte for byte, elsewhere, and what has moved meanwhile."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from judgelab import rerun as reruns
from judgelab.calls.pool import Pool
from judgelab.tracking.folder import RunFolder
from labs import Lab, endpoint, environment, question, read_json, read_lines, rows, said, write_rows

OWN = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl", "tracking=none")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A lab with a run of a model that is gone since, and one of the offline model."""
    lab = Lab(tmp_path_factory.mktemp("made"))
    write_rows(lab.folder / "data.jsonl", rows(120))
    lab.write("prompts/rubrics/mine.md", "Pass what is short.\n")
    with endpoint(answer) as model:
        command = ("demos=balanced", "judge.rubric=mine", "judge.repeats=2", "limit=20")
        done = lab("run", *command, *model.overrides, *OWN)
        assert done.code == 0, done.err
        assert len(model.asked) == 40
    assert lab("run", "demos=nearest", "model=neighbours", "limit=20", *OWN).code == 0
    return lab.folder


def answer(body) -> str:
    if len(question(body)) % 7 == 0:
        return "I would rather not say."
    return said("pass" if len(question(body)) % 2 else "fail", f"as of {len(question(body))}")


@pytest.fixture
def lab(made, tmp_path) -> Lab:
    """A copy of that lab to change, without its call store."""
    shutil.copytree(made, tmp_path / "lab", ignore=shutil.ignore_patterns(".judgelab"))
    return Lab(tmp_path / "lab")


def paid(lab: Lab) -> RunFolder:
    return RunFolder(lab.folder_of("balanced k=4 · critique · m"))


def rebuilt(lab: Lab, folder: RunFolder) -> reruns.Rerun:
    here = Path.cwd()
    os.chdir(lab.folder)
    try:
        return reruns.rerun(folder, Pool(record=folder.replies))
    finally:
        os.chdir(here)


def test_a_replay_sends_nothing_and_says_that_all_is_the_same(lab):
    for folder in lab.runs:
        done = lab("rerun", folder.name[:8])
        assert done.code == 0, done.err
        n = len(read_lines(folder / "verdicts.jsonl"))
        want = f"{folder.name}: {n} verdicts and all scores are the same (replayed, no call sent)"
        assert done.out.strip() == want
        assert "moved" not in done.err
    assert not (lab.folder / ".judgelab").exists()


def test_byte_for_byte(lab, monkeypatch):
    """What a rerun makes, written as a run writes it, is the very file."""
    folder = paid(lab)
    written = []
    compare = reruns._compare_verdicts
    monkeypatch.setattr(
        reruns,
        "_compare_verdicts",
        lambda result, old, new, live: written.append(new) or compare(result, old, new, live),
    )
    score = reruns.runner.scores
    monkeypatch.setattr(
        reruns.runner,
        "scores",
        lambda *given: written.append(score(*given)) or written[-1],
    )
    result = rebuilt(lab, folder)
    assert result.same
    assert result.compared == 40
    copy = RunFolder(lab.folder / "copy")
    copy.write_lines("verdicts.jsonl", [verdict.to_json() for verdict in written[0]])
    copy.write_json("scores.json", written[1])
    for name in ("verdicts.jsonl", "scores.json"):
        assert (copy.path / name).read_bytes() == (folder.path / name).read_bytes()
    assert {v.verdict for v in folder.verdicts} == {"pass", "fail", None}


def test_a_rerun_changes_nothing_on_disk(lab):
    before = {path: path.stat().st_mtime_ns for path in lab.folder.rglob("*") if path.is_file()}
    assert lab("rerun", paid(lab).id).code == 0
    after = {path: path.stat().st_mtime_ns for path in lab.folder.rglob("*") if path.is_file()}
    assert after == before


def test_elsewhere_from_the_run_folder_and_the_dataset_alone(lab, tmp_path):
    """Another folder, another process: no lab, no rubric, no splits, no answers but the record."""
    there = tmp_path / "elsewhere"
    there.mkdir()
    for folder in lab.runs:
        shutil.copytree(folder, there / "from a colleague" / folder.name)
    shutil.move(lab.folder / "data.jsonl", tmp_path / "moved.jsonl")
    shutil.rmtree(lab.folder)
    for folder in sorted((there / "from a colleague").iterdir()):
        words = ["rerun", str(folder.relative_to(there)), "--data", str(tmp_path / "moved.jsonl")]
        done = subprocess.run(
            [sys.executable, "-m", "judgelab.cli", *words],
            cwd=there,
            env=environment(PYTHONHASHSEED="7"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "verdicts and all scores are the same (replayed, no call sent)" in done.stdout
        assert "moved" not in done.stderr


def test_where_the_data_is_is_asked_for(lab):
    (lab.folder / "data.jsonl").rename(lab.folder / "other.jsonl")
    done = lab("rerun", paid(lab).id)
    assert done.code == 2
    assert "data.jsonl: there is no such file. Say where it is with --data FILE" in done.message
    assert lab("rerun", paid(lab).id, "--data", "other.jsonl").code == 0


def test_a_moved_rubric_and_template_are_noted_but_the_same(lab):
    lab.write("prompts/rubrics/mine.md", "Fail everything that is long.\n")
    shipped = Path(__file__).parents[1] / "prompts" / "templates" / "judge.j2"
    text = shipped.read_text(encoding="utf-8").replace("You judge the work", "You judge work")
    lab.write("prompts/templates/judge.j2", text)
    done = lab("rerun", paid(lab).id)
    assert done.code == 0, done.err
    assert "note rubric.md moved" in done.err
    assert "note template.j2 moved" in done.err


def test_a_rubric_that_is_gone_is_read_from_the_run(lab):
    (lab.folder / "prompts" / "rubrics" / "mine.md").unlink()
    done = lab("rerun", paid(lab).id)
    assert done.code == 0, done.err
    assert "moved" not in done.err
    assert lab("run", "judge.rubric=mine", "model=neighbours", *OWN).code == 2, "a run needs it"


def test_moved_versions_and_revision_are_noted_but_the_same(lab):
    folder = paid(lab)
    record = folder.record
    record["versions"]["numpy"] = "1.0"
    record["revision"]["commit"] = "abc123456789"
    folder.write_json("record.json", record)
    done = lab("rerun", folder.id)
    assert done.code == 0, done.err
    assert re.search(r"note numpy 1\.0 -> \d", done.err)
    assert "note revision abc12345 -> " in done.err


def test_more_data_is_noted_but_the_same(lab):
    write_rows(lab.folder / "data.jsonl", [*rows(120)[::-1], *added()])
    done = lab("rerun", paid(lab).id)
    assert done.code == 0, done.err
    assert "note the data moved (labels, critiques or other items)" in done.err


def added() -> list[dict]:
    return [row | {"id": f"new-{row['id']}"} for row in rows(30, seed=9)]


def test_a_changed_label_is_a_difference_in_scores_alone(lab):
    folder = paid(lab)
    judged = folder.verdicts[0].id
    data = rows(120)
    for row in data:
        if row["id"] == judged:
            row["label"] = "pass" if row["label"] == "fail" else "fail"
    write_rows(lab.folder / "data.jsonl", data)
    done = lab("rerun", folder.id)
    assert done.code == 1
    shown = r"[\d.]+ \[[\d.]+, [\d.]+\]"
    assert re.search(rf"^agreement: {shown} -> {shown}$", done.out, re.MULTILINE)
    assert re.search(r"^confusion: \{.*\} -> \{.*\}$", done.out, re.MULTILINE)
    assert judged not in done.out, "no verdict flipped"
    assert re.search(r"0 of 40 verdicts flipped and \d+ scores differ", done.message)
    assert "note the data moved" in done.err


def test_changed_data_that_changes_a_verdict_is_shown_item_by_item(lab):
    """A fitted judge is fitted anew; answers of a model are the recorded ones."""
    lab("run", "judge=classifier", "limit=20", *OWN)
    folder = RunFolder(lab.folder_of("classifier"))
    train = {row["id"] for row in folder.assignment if row["part"] == "train"}
    data = rows(120)
    for row in data:
        if row["id"] in train:
            row["label"] = "fail" if row["label"] == "pass" else "pass"
    write_rows(lab.folder / "data.jsonl", data)
    done = lab("rerun", folder.id)
    assert done.code == 1
    flips = re.findall(r"^item-\d+ \(repeat 0\): (\w+) -> (\w+)$", done.out, re.MULTILINE)
    assert len(flips) > 5
    assert all({before, after} == {"pass", "fail"} for before, after in flips)
    assert re.search(rf"{len(flips)} of 20 verdicts flipped", done.message)


def test_a_tampered_record_does_not_pass(lab):
    folder = paid(lab)
    lines = (folder.path / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()
    first = next(i for i, line in enumerate(lines) if '"verdict": "pass"' in line)
    lines[first] = lines[first].replace('"verdict": "pass"', '"verdict": "fail"')
    (folder.path / "verdicts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = lab("rerun", folder.id)
    assert done.code == 1
    assert re.search(r"item-\d+ \(repeat 0\): fail -> pass", done.out)
    assert "1 of 40 verdicts flipped" in done.message


def test_another_critique_in_a_replay_is_a_difference(lab):
    folder = paid(lab)
    text = (folder.path / "verdicts.jsonl").read_text(encoding="utf-8")
    (folder.path / "verdicts.jsonl").write_text(text.replace("as of", "as if"), encoding="utf-8")
    done = lab("rerun", folder.id)
    assert done.code == 1
    assert "same verdict in other words: item-" in done.out


def test_items_that_are_gone_say_so(lab):
    write_rows(lab.folder / "data.jsonl", rows(120)[1:])
    done = lab("rerun", paid(lab).id)
    assert done.code == 2
    assert re.search(
        r"1 of 120 items of this run are not in 'own' any more.*item-000", done.message
    )
    assert "--data FILE" in done.message


def test_a_record_without_an_answer_is_incomplete_not_wrong(lab):
    folder = paid(lab)
    lines = (folder.path / "replies.jsonl").read_text(encoding="utf-8").splitlines()
    (folder.path / "replies.jsonl").write_text("\n".join(lines[1:]) + "\n", encoding="utf-8")
    done = lab("rerun", folder.id)
    assert done.code == 3
    assert "no answer for item 'item-" in done.message


def test_live_asks_again_and_reports_flips(lab):
    folder = paid(lab)
    with endpoint(lambda body: answer(body).replace("as of", "this time")) as same:
        move(folder, same)
        done = lab("rerun", folder.id, "--live")
        assert done.code == 0, done.err
        assert "(asked again, 40 calls)" in done.out, "other words are no difference"
        assert len(same.asked) == 40

    with endpoint(lambda body: said("fail")) as changed:
        move(folder, changed)
        done = lab("rerun", folder.id, "--live")
        assert done.code == 1
        assert len(changed.asked) == 40
        before = [v.verdict for v in folder.verdicts]
        flips = re.findall(r"^item-\d+ \(repeat [01]\): (\w+) -> fail$", done.out, re.MULTILINE)
        assert set(flips) <= {"pass", "abstained"}
        lost = sum(verdict != "fail" for verdict in before)
        assert len(flips) == min(lost, 20)
        assert f"{lost} of 40 verdicts flipped" in done.message
    assert lab("rerun", folder.id).code == 0, "the record is as it was"


def move(folder: RunFolder, to) -> None:
    """The run's model is served somewhere else now."""
    url = next(o for o in to.overrides if "base_url" in o).partition("=")[2]
    config = folder.config
    config["judge"]["model"]["base_url"] = url
    folder.write_yaml("config.yaml", config)


def test_a_look_at_test_reruns_with_the_level_of_its_look(lab):
    offline = lab.folder_of("nearest k=4 · critique · neighbours")
    assert lab("holdout", offline.name).code == 0
    (look,) = [path for path in lab.runs if path.name.endswith("-test")]
    scores = read_json(look / "scores.json")
    assert scores["n"] > 20, "limit was for dev; a look is at the whole test split"
    assert scores["metrics"]["agreement"]["level"] == pytest.approx(1 - 0.05 / 3)
    assert lab("rerun", look.name).code == 0


def test_an_edited_rubric_is_another_look_at_test(lab):
    lab("run", "judge.rubric=mine", "model=neighbours", *OWN)
    name = lab.folder_of("balanced k=4 · critique · neighbours").name
    looks = lab.folder / "splits" / "own.looks.jsonl"
    for n, text in enumerate(["Pass what is short.", "Two.", "Three."], start=1):
        lab.write("prompts/rubrics/mine.md", text)
        assert lab("holdout", name).code == 0
        assert lab("holdout", name).code == 0
        assert looks.read_text().count('"variant"') == n, "the same judge again is the same look"
    lab.write("prompts/rubrics/mine.md", "Four.")
    done = lab("holdout", name)
    assert done.code == 1
    assert "the 3 looks at this test split are used up" in done.message
    assert looks.read_text().count('"variant"') == 3


@pytest.fixture
def looked(lab) -> RunFolder:
    """A look at test."""
    assert lab("holdout", lab.folder_of("nearest k=4 · critique · neighbours").name).code == 0
    (look,) = [path for path in lab.runs if path.name.endswith("-test")]
    return RunFolder(look)


def test_changed_labels_of_a_look_are_not_scored(lab, looked):
    """They would be another look: neither by an edit of the data nor by --data are they opened."""
    judged = looked.verdicts[0].id
    dev = dev_of(looked)
    data = [r | {"label": "fail"} if r["label"] == "pass" else r for r in rows(120)]
    assert any(row["id"] == judged for row in data)
    write_rows(lab.folder / "other.jsonl", data)
    for words in (("--data", "other.jsonl"), ()):
        if not words:
            write_rows(lab.folder / "data.jsonl", data)
        done = lab("rerun", looked.id, *words)
        assert (done.code, done.out) == (1, "")
        assert "labels or texts of its items changed since" in done.message
        assert "0 of" in done.message
        assert f"judgelab holdout {dev} takes a new look" in done.message
    assert lab("holdout", dev).code == 0
    assert "look 2 of 3" in read_json(max(lab.runs, key=_made) / "scores.json")["look"]


def test_more_looks_reach_an_earlier_one_while_its_labels_are_the_same(lab, looked, monkeypatch):
    monkeypatch.chdir(lab.folder)
    write_rows(lab.folder / "data.jsonl", [*rows(120), *added()])
    assert reruns.under(looked, 4, "why")
    assert looked.scores["metrics"]["agreement"]["level"] == pytest.approx(1 - 0.05 / 4)
    assert lab("rerun", looked.id).code == 0
    judged = {verdict.id for verdict in looked.verdicts}
    data = [r | {"label": "fail"} if r["id"] in judged else r for r in rows(120)]
    before = looked.scores
    for changed in (data, [row for row in rows(120) if row["id"] != min(judged)]):
        write_rows(lab.folder / "data.jsonl", changed)
        assert not reruns.under(looked, 5, "why")
        assert looked.scores == before


def dev_of(look: RunFolder) -> str:
    """The id of the run on dev that a look was taken with."""
    same = [p for p in map(RunFolder, look.path.parent.iterdir()) if p.exists]
    (dev,) = [
        p.id for p in same if p.record["variant"] == look.record["variant"] and p.id != look.id
    ]
    return dev


def _made(folder: Path) -> int:
    return (folder / "scores.json").stat().st_mtime_ns


def test_a_look_with_other_verdicts_shows_them_and_no_scores(lab, looked):
    lines = (looked.path / "verdicts.jsonl").read_text(encoding="utf-8")
    turned = lines.replace('"verdict": "pass"', '"verdict": "fail"', 1)
    (looked.path / "verdicts.jsonl").write_text(turned, encoding="utf-8")
    done = lab("rerun", looked.id)
    assert done.code == 1
    assert re.fullmatch(r"item-\d+ \(repeat 0\): fail -> pass\n", done.out)
    assert "its verdicts are others now: its scores would be another look" in done.message


def test_items_that_came_since_leave_a_look_as_it_was(lab, looked):
    write_rows(lab.folder / "data.jsonl", [*rows(120), *added()])
    done = lab("rerun", looked.id)
    assert done.code == 0, done.err
    assert "note the data moved" in done.err
    record = looked.record
    del record["opened"]
    looked.write_json("record.json", record)
    done = lab("rerun", looked.id)
    assert done.code == 1, "without what it saw the whole dataset has to be the same"
    write_rows(lab.folder / "data.jsonl", rows(120))
    assert lab("rerun", looked.id).code == 0
