"""`judgelab analyze RUN --after FILE` as it is typed."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from judgelab.data.modes import Classified, ModeLog
from judgelab.data.taxonomy import Mode
from judgelab.types import Interaction
from labs import Lab, endpoint, question, read_json, read_lines, rows, said, write_rows

OWN = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl", "tracking=none")
SLOW = pytest.mark.slow
BAD = "zzworse"
CHECK = f"""
def clean(interaction):
    return {BAD!r} not in interaction.output, "looked"
"""


def data(n: int = 240) -> list[dict[str, Any]]:
    made = rows(n)
    for number, row in enumerate(made):
        row["dimensions"] = {"feature": "ab"[number % 2]}
        row["output"] += f" {BAD}" * (row["label"] == "fail")
    return made


def fixed(made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """New outputs under ids of their own: failures of feature a are gone, few passes fail."""
    new = []
    for number, row in enumerate(made):
        fails = row["label"] == "fail" and row["dimensions"]["feature"] == "b"
        fails |= row["label"] == "pass" and number % 30 == 1
        output = f"new words {number} {row['output'].replace(BAD, '')}" + f" {BAD}" * fails
        new.append({"id": f"new-{number}", "input": row["input"], "output": output})
    return new


def lab_of(folder: Path) -> Lab:
    lab = Lab(folder)
    write_rows(folder / "data.jsonl", data())
    write_rows(folder / "new.jsonl", fixed(data()))
    lab.write("clean_marks.py", CHECK)
    lab.run("judge=assertion", "judge.check=clean_marks.clean", *OWN)
    return lab


def compared(lab: Lab, *words: str) -> dict[str, Any]:
    done = lab("analyze", "latest", "--after", "new.jsonl", "--json", *words)
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def places(lab: Lab) -> dict[str, str]:
    return {row["id"]: row["part"] for row in read_lines(lab.runs[0] / "assignment.jsonl")}


def test_what_is_gone_what_is_new_and_what_stays(tmp_path: Path) -> None:
    lab = lab_of(tmp_path)
    part = places(lab)
    dev = {row["id"] for row in data() if part[row["id"]] == "dev"}
    old = {row["id"]: row for row in data() if row["id"] in dev}
    gone = sorted(i for i, row in old.items() if row["label"] == "fail"
                  and row["dimensions"]["feature"] == "a")  # fmt: skip
    modes = [Classified(id=i, content=content(row), modes=("dates",), by="ann")
             for i, row in old.items() if i in gone[:3]]  # fmt: skip
    here = ModeLog(
        tmp_path / "labels" / "own.modes.jsonl", tmp_path / "labels" / "own.taxonomy.yaml"
    )
    here.classify(modes, [Mode("dates")])

    before = set(ledger(tmp_path))
    done = lab("analyze", "latest", "--after", "new.jsonl")
    assert done.code == 0, done.err
    found = read_json(lab.runs[0] / "after.json")
    assert found["items"]["gone"] == gone
    assert found["n"] == len(dev)
    fails = sum(row["label"] == "fail" for row in old.values())
    assert found["states"]["stays"] == fails - len(gone)
    assert found["states"]["untold_fail"] == 0
    told = found["states"]["gone"] + found["states"]["stays"]
    assert f"Of {told} failures {len(gone)} are gone" in done.err
    assert "The system fails less often than before" in done.err
    assert "feature=a: fails less often" in done.err
    assert found["corrected_after"]["value"] == found["judge_after"]["value"], "it makes no mistake"
    closed = sum(where == "test" for where in part.values())
    assert f"{closed} of test inputs, left closed" in done.err
    tests = [row["id"] for row in data() if part[row["id"]] == "test"]
    assert not any(f'"{i}"' in json.dumps(found) for i in tests)
    cause = found["causes"][0]
    assert (cause["mode"], cause["n"], cause["gone"]) == ("dates", 3, 3)
    assert (lab.runs[0] / "after.png").stat().st_size > 5000
    assert f"next the picture: runs/{lab.runs[0].name}/after.png" in done.err
    # Every new output has its input's place, those of train and test too.
    added = {key: slot for key, slot in ledger(tmp_path).items() if key not in before}
    wanted = {f"content:{content(row)[:16]}": part[data()[n]["id"]]
              for n, row in enumerate(fixed(data()))}  # fmt: skip
    assert added == wanted

    odd = lab("analyze", "latest", "--after", "new.jsonl", "--unlabelled")
    assert (odd.code, "does not go with" in odd.err) == (2, True)


def content(row: dict[str, Any]) -> str:
    return Interaction("", row["input"], row["output"]).content


def ledger(folder: Path) -> dict[str, str]:
    with (folder / "splits" / "own.csv").open() as file:
        file.readline()
        return {row["key"]: row["part"] for row in csv.DictReader(file)}


@SLOW
def test_rows_are_matched_by_id_and_by_input(tmp_path: Path) -> None:
    lab = lab_of(tmp_path)
    new = fixed(data())
    known = data()
    new[0]["id"] = known[0]["id"]
    strangers = [{"id": "x", "input": "of nobody", "output": "y"}]
    write_rows(tmp_path / "new.jsonl", new + strangers)
    found = compared(lab)
    assert found["left"]["whose input no item has"] == 1
    write_rows(tmp_path / "new.jsonl", [*new, new[0] | {"id": "again"}])
    done = lab("analyze", "latest", "--after", "new.jsonl")
    assert done.code == 2
    assert "are both outputs of item" in done.message
    write_rows(tmp_path / "new.jsonl", strangers)
    done = lab("analyze", "latest", "--after", "new.jsonl")
    assert (done.code, "no row is a new output" in done.message) == (2, True)
    dev = [row for row in known if places(lab)[row["id"]] == "dev"]
    write_rows(
        tmp_path / "new.jsonl", [{k: row[k] for k in ("id", "input", "output")} for row in dev]
    )
    same = compared(lab)
    assert same["unchanged"] == same["n"] == len(dev)
    assert (same["states"]["gone"], same["states"]["new"], same["by_judge"]["p"]) == (0, 0, 1)


@SLOW
def test_the_experts_word_on_a_new_output_counts(tmp_path: Path) -> None:
    lab = lab_of(tmp_path)
    first = compared(lab)
    new, known = fixed(data()), data()
    wrong = first["items"]["new"][0]
    for row, old in zip(new, known, strict=True):
        if old["id"] == wrong:
            row["label"] = "pass"
    write_rows(tmp_path / "new.jsonl", new)
    found = compared(lab)
    assert wrong not in found["items"]["new"]
    assert found["by_expert"] == found["labelled"]["n"] == 1


@SLOW
def test_labels_given_in_this_lab_count_and_move_no_label_of_the_old_output(tmp_path: Path) -> None:
    lab = lab_of(tmp_path)
    wrong = compared(lab)["items"]["new"][0]
    new = [row | {"id": old["id"]} for row, old in zip(fixed(data()), data(), strict=True)]
    write_rows(tmp_path / "new.jsonl", new)
    there = (*OWN[:2], "dataset.path=new.jsonl", "model=neighbours")
    assert lab("data", "export", "sheet.csv", *there, "--expert", "ann").code == 0
    with (tmp_path / "sheet.csv").open(encoding="utf-8-sig", newline="") as file:
        sheet = list(csv.DictReader(file))
    for row in sheet:
        row["verdict"] = "pass" if row["id"] == wrong else ""
    with (tmp_path / "sheet.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, sheet[0])
        writer.writeheader()
        writer.writerows(sheet)
    done = lab("data", "import", "sheet.csv", *there, "--expert", "ann")
    assert "1 labels were added" in done.err, done.err
    found = compared(lab)
    assert wrong not in found["items"]["new"]
    assert found["by_expert"] == 1
    assert lab("rerun", "latest").code == 0


@SLOW
def test_a_look_at_test_has_rates_and_nobodys_name(tmp_path: Path) -> None:
    lab = lab_of(tmp_path)
    new = fixed(data())
    write_rows(tmp_path / "new.jsonl", [row | {"label": "fail"} for row in new])
    assert lab("holdout", "latest").code == 0
    found = compared(lab)
    assert (found["part"], found["items"], found["by_expert"]) == ("test", None, 0)
    assert found["n"] == sum(where == "test" for where in places(lab).values())
    assert "rates alone" in found["text"][0]
    assert found["causes"] == [], "what its failures are called stays closed"
    assert not any(f'"{row["id"]}"' in json.dumps(found) for row in (*data(), *new))


@SLOW
def test_it_is_priced_paid_for_once_and_goes_on(tmp_path: Path) -> None:
    down = [True]

    def answer(body: dict[str, Any]) -> str | int:
        if down[0] and "new words" in question(body) and len(server.asked) % 2:
            return 500
        return said("fail" if BAD in question(body) else "pass")

    with endpoint(answer) as server:
        lab = lab_of(tmp_path)
        assert lab("run", "demos=balanced", "demos.k=4", *OWN, *server.overrides).code == 0
        asked, n = len(server.asked), sum(part == "dev" for part in places(lab).values())
        dry = lab("analyze", "latest", "--after", "new.jsonl", "--dry-run")
        assert dry.out.startswith(f"{n} verdicts, {n} calls to send")
        assert len(server.asked) == asked
        first = lab("analyze", "latest", "--after", "new.jsonl")
        assert first.code == 3
        assert "go on with: judgelab analyze latest --after new.jsonl" in first.message
        down[0] = False
        answered = server.answered
        found = compared(lab)
        assert server.answered - answered < n
        assert found["n"] == n
        answered = server.answered
        assert compared(lab) == found
        assert server.answered == answered


@SLOW
def test_labels_of_new_outputs_join_their_inputs_part(tmp_path: Path) -> None:
    """Even where the same input may lie apart: the place was written down."""
    lab = Lab(tmp_path)
    write_rows(tmp_path / "data.jsonl", data())
    write_rows(tmp_path / "new.jsonl", fixed(data()))
    lab.write("clean_marks.py", CHECK)
    apart = ("split.same_input=apart", "judge=assertion", "judge.check=clean_marks.clean")
    lab.run(*apart, *OWN)
    part = places(lab)
    compared(lab)
    both = [*data(), *(row | {"label": "pass", "critique": "fine now"} for row in fixed(data()))]
    write_rows(tmp_path / "data.jsonl", both)
    lab.run(*apart, *OWN)
    later = {}
    for path in lab.runs:
        later |= {row["id"]: row["part"] for row in read_lines(path / "assignment.jsonl")}
    for number, row in enumerate(data()):
        assert later[f"new-{number}"] == part[row["id"]]


@SLOW
def test_the_report_of_its_sweep_and_mlflow_show_it(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    lab = Lab(tmp_path)
    write_rows(tmp_path / "data.jsonl", data())
    write_rows(tmp_path / "new.jsonl", fixed(data()))
    lab.write("clean_marks.py", CHECK)
    words = ("judge=assertion", "judge.check=clean_marks.clean", "demos=balanced,none")
    assert lab("run", "-m", *words, *OWN[:3]).code == 0
    run = lab.folder_of("assertion")
    done = lab("analyze", run.name, "--after", "new.jsonl")
    assert done.code == 0, done.err
    (page,) = tmp_path.glob("runs/*-sweep/report.html")
    text = page.read_text()
    assert 'id="after"' in text
    assert f"{run.name}/after.json#/slices/0/corrected_difference" in text
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    there = {one.path for one in client.list_artifacts(read_json(run / "mlflow.json")["run_id"])}
    assert {"after.json", "after.png", "after.svg"} <= there
