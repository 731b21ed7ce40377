"""`judgelab holdout`: the looks at test, their number, and what raising it costs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labs import Lab, read_json, read_lines

SWEEP = ("-m", "demos=none,random", "demos.k=2,4", "split.looks=1")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(tmp_path)
    lab.run(*SWEEP)
    return lab


def level(folder: Path) -> float:
    return float(read_json(folder / "scores.json")["metrics"]["agreement"]["level"])


@pytest.mark.slow
def test_a_raise_with_its_reason_reprints_earlier_looks_at_the_new_level(lab: Lab) -> None:
    first, second = (lab.folder_of(name).name for name in ("random k=2", "random k=4"))
    assert lab("holdout", first).code == 0
    (looked,) = (path for path in lab.runs if path.name.endswith("-test"))
    assert level(looked) == pytest.approx(0.95)

    refused = lab("holdout", second)
    assert refused.code == 1
    assert "--looks 2 --reason" in refused.message
    assert lab("holdout", second, "--looks", "2").code == 2, "a reason is needed"

    done = lab("holdout", second, "--looks", "2", "--reason", "the rubric named [wrong] fields")
    assert done.code == 0, done.err
    banner = "raised from 1 to 2: the rubric named [wrong] fields"
    assert f"look 2 of 2 on this test split ({banner}); intervals at 97.5%" in done.err
    assert f"look 1 of 2 on this test split ({banner}), random k=2: agreement" in done.err
    assert level(looked) == pytest.approx(0.975)
    assert read_json(looked / "record.json")["looks_raised"] == banner
    assert lab("rerun", looked.name).code == 0, "the record and the scores moved together"


@pytest.mark.slow
def test_a_later_config_does_not_move_the_declared_looks(lab: Lab) -> None:
    assert lab("holdout", lab.folder_of("random k=2").name).code == 0
    lab.run("demos=random", "demos.k=8", "split.looks=9")
    done = lab("holdout", "latest")
    assert done.code == 1
    assert "the 1 looks at this test split are used up" in done.message
    again = lab("holdout", "latest", "--looks", "1", "--reason", "x")
    assert again.code == 2
    assert "can only be raised, from 2" in again.message


@pytest.mark.slow
def test_a_look_names_the_run_that_holds_what_was_seen(lab: Lab) -> None:
    assert lab("holdout", lab.folder_of("random k=2").name).code == 0
    entry, seen = read_lines(lab.folder / "splits" / "sample.looks.jsonl")
    scores = read_json(lab.folder / "runs" / entry["run"] / "scores.json")
    assert (seen["seen_by"], seen["run"]) == (entry["number"], entry["run"])
    assert seen["metrics"] == {name: one["value"] for name, one in scores["metrics"].items()}
    assert {"agreement", "recall_fail", "precision_fail", "kappa"} <= seen["metrics"].keys()


def test_what_is_read_again_was_seen_once(lab: Lab) -> None:
    looks = lab.folder / "splits" / "sample.looks.jsonl"
    name = lab.folder_of("random k=2").name
    assert lab("holdout", name).code == 0
    before = looks.read_bytes()
    assert lab("holdout", name).code == 0
    assert looks.read_bytes() == before
    # A look that ended before its metrics were written down gets them when it is read again.
    looks.write_bytes(before.splitlines(keepends=True)[0])
    assert lab("holdout", name).code == 0
    assert [line.get("seen_by") for line in read_lines(looks)] == [None, 1]


def test_several_judges_are_looked_at_together_or_not_at_all(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.run("-m", "demos=none,random", "demos.k=2,4", "split.looks=2", "tracking=none")
    two = [lab.folder_of(name).name for name in ("random k=2", "random k=4")]
    refused = lab("holdout", *two, lab.folder_of("none").name)
    assert refused.code == 1
    assert "2 of the 2 looks at this test split are left (sample.looks.jsonl), for 3" in refused.err
    assert '--looks 3 --reason "..."' in refused.err.replace("\n", " ")
    looks = lab.folder / "splits" / "sample.looks.jsonl"
    assert not [line for line in read_lines(looks) if "variant" in line], "none was taken"

    done = lab("holdout", *two, two[0], "--json")
    assert done.code == 0, done.err
    assert [card["judge"] for card in json.loads(done.out)] == ["random k=2", "random k=4"]
    assert "look 1 of 2 on this test split; intervals at 97.5%" in done.err
    assert "look 2 of 2 on this test split; intervals at 97.5%" in done.err
    tests = [path.name[:8] for path in lab.runs if path.name.endswith("-test")]
    assert len(tests) == 2
    assert "judgelab compare" in done.err
    compared = lab("compare", *tests)
    assert compared.code == 0, compared.err
    page = next(lab.folder.glob("runs/*-sweep/report.html")).read_text("utf-8")
    assert page.count("the same judge on dev, where it was chosen") == 2
