"""What `judgelab compare` may say: from how many items, of runs picked how, under which labels."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from labs import Done, Lab, read_json, read_lines, rows, write_rows

OWN = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl")
TURNED = {"pass": "fail", "fail": "pass"}


def judge(lab: Lab, name: str, wrong: int) -> None:
    """A file of verdicts that is wrong on one of so many items."""
    found = read_lines(lab.folder / "data.jsonl")
    lines = [
        {"id": r["id"], "verdict": TURNED[r["label"]] if n % wrong == 0 else r["label"]}
        for n, r in enumerate(found)
    ]
    write_rows(lab.folder / f"{name}.jsonl", lines)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Two recorded judges in a lab of 150 labels: a sweep of both, and a look at test of each."""
    lab = Lab(tmp_path_factory.mktemp("made"))
    write_rows(lab.folder / "data.jsonl", rows(150))
    judge(lab, "good", 11)
    judge(lab, "poor", 2)
    lab.run("-m", *OWN, "model=none", "judge=recorded", "judge.path=good.jsonl,poor.jsonl")
    for run in runs(lab, "dev").values():
        done = lab("holdout", run)
        assert done.code == 0, done.err
    return lab.folder


@pytest.fixture
def lab(made, tmp_path) -> Lab:
    shutil.copytree(made, tmp_path / "lab")
    return Lab(tmp_path / "lab")


def runs(lab: Lab, part: str) -> dict[str, str]:
    """The run of each judge on a part, baselines left out."""
    there = {path.name: read_json(path / "record.json") for path in lab.runs}
    return {
        name: id_
        for name in ("good", "poor")
        for id_, record in there.items()
        if record["part"] == part and f"{name}.jsonl" in record["axes"].values()
    }


def files(lab: Lab, *more: str, labels: str = "data.jsonl") -> Done:
    return lab("compare", "--labels", labels, "--verdicts", *more)


def found(done: Done) -> dict[str, Any]:
    """The JSON, which holds no NaN and no infinity."""
    assert done.code == 0, done.err

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return dict(json.loads(done.out, parse_constant=refuse))


# --- from how many items


@pytest.mark.parametrize(
    ("fails", "passes", "reliability"),
    [
        (9, 100, "low (9 fails)"),
        (100, 1, "low (1 pass)"),
        (3, 6, "low (3 fails, 6 passes)"),
        (14, 15, "low (29 items)"),
        (15, 15, None),
        (10, 20, None),
    ],
)
def test_too_few_items_carry_no_claim_and_all_of_their_numbers(lab, fails, passes, reliability):
    data = rows(100, seed=3) + [r | {"id": f"more-{r['id']}"} for r in rows(100, seed=4)]
    of = {label: [r for r in data if r["label"] == label] for label in ("fail", "pass")}
    of = {label: (found * 3)[: fails if label == "fail" else passes] for label, found in of.items()}
    data = [row | {"id": f"{n}"} for n, row in enumerate([*of["fail"], *of["pass"]])]
    write_rows(lab.folder / "data.jsonl", data)
    right = [{"id": row["id"], "verdict": row["label"]} for row in data]
    write_rows(lab.folder / "right.jsonl", right)
    turned = [row | {"verdict": TURNED[row["verdict"]]} for row in right]
    write_rows(lab.folder / "wrong.jsonl", turned)
    answer = found(files(lab, "right.jsonl", "wrong.jsonl", "--json"))
    (pair,) = answer["pairs"]
    assert (pair["reliability"], answer["best_set_reliability"]) == (reliability, reliability)
    assert (pair["difference"]["value"], answer["best_set"]) == (1, ["right"])
    *_, said, last = files(lab, "right.jsonl", "wrong.jsonl").out.splitlines()
    claim = "right agrees with the expert more often than wrong"
    if reliability is None:
        assert said == claim
        assert last.startswith("right is alone in the best set")
    else:
        why = f"{reliability}; a claim takes 30 items and 10 of each class"
        assert said == f"not said that {claim}: {why}"
        assert last == f"no best set from {len(data)} items: {why}"


def test_what_was_excluded_carries_no_claim(lab):
    """Of 150 items a judge answered 20: these are what is compared."""
    lines = read_lines(lab.folder / "poor.jsonl")
    write_rows(
        lab.folder / "poor.jsonl",
        [row if n < 20 else row | {"verdict": None} for n, row in enumerate(lines)],
    )
    words = ("good.jsonl", "poor.jsonl", "--json")
    assert found(files(lab, *words))["pairs"][0]["reliability"] is None
    exclude = found(files(lab, *words, "--policy", "exclude"))
    assert exclude["pairs"][0]["reliability"] == "low (7 fails)"
    assert exclude["best_set_reliability"] == "low (7 fails)"


DEGENERATE = {
    "one item": (["fail"], ["fail"], ["pass"]),
    "no fail": (["pass"] * 5, ["pass"] * 5, ["fail"] * 5),
    "no pass": (["fail"] * 5, ["fail"] * 5, ["fail"] * 5),
    "both always abstain": (["fail", "pass"] * 3, [None] * 6, [None] * 6),
    "one always abstains": (["fail", "pass"] * 3, ["fail", "pass"] * 3, [None] * 6),
}


@pytest.mark.parametrize("policy", ["error", "as_fail", "as_pass", "exclude"])
@pytest.mark.parametrize(("labels", "a", "b"), DEGENERATE.values(), ids=DEGENERATE)
@pytest.mark.parametrize("grouped", [False, True])
def test_what_is_undefined_is_null(tmp_path, policy, labels, a, b, grouped):
    lab = Lab(tmp_path)
    more = {"group": "g"} if grouped else {}
    data = [{"id": f"{n}", "label": label, **more} for n, label in enumerate(labels)]
    write_rows(lab.folder / "data.jsonl", data)
    for name, said in (("a", a), ("b", b)):
        lines = [{"id": f"{n}", "verdict": one} for n, one in enumerate(said)]
        write_rows(lab.folder / f"{name}.jsonl", lines)
    answer = found(files(lab, "a.jsonl", "b.jsonl", "--policy", policy, "--json"))
    assert answer["n"] == len(labels)
    assert files(lab, "a.jsonl", "b.jsonl", "--policy", policy).code == 0


# --- how the runs were picked


def test_a_run_that_a_sweep_chose_on_these_items_is_named_with_what_was_tried(lab):
    dev = runs(lab, "dev")
    (constant,) = [
        p.name for p in lab.runs if read_json(p / "record.json")["name"] == "always fail"
    ]
    done = lab("compare", dev["good"], constant, "--json")
    answer = found(done)
    assert (answer["picked"], answer["tried"]) == (answer["variants"][:1], 2)
    assert (
        f"note {answer['picked'][0]} was chosen on these very items, where 2 variants" in done.err
    )
    assert "the p-values count only the pairs named here, and flatter what was chosen" in done.err
    other = lab("compare", dev["poor"], constant, "--json")
    assert found(other)["picked"] == []
    assert (
        "note 2 variants were tried on these items; the p-values count only the pairs" in other.err
    )
    judge(lab, "third", 5)
    lab.run(*OWN, "model=none", "judge=recorded", "judge.path=third.jsonl")
    assert found(lab("compare", dev["good"], dev["poor"], "--json"))["tried"] == 3
    as_labels = files(lab, dev["good"], dev["poor"], "--json")
    assert found(as_labels)["picked"] == answer["picked"], "a labels file hides no choice"


def test_looks_at_test_were_not_picked_on_what_they_show(lab):
    looks = runs(lab, "test")
    done = lab("compare", *looks.values(), "--json")
    assert (found(done)["picked"], found(done)["tried"]) == ([], 0)
    assert "tried on these items" not in done.err


# --- under the labels that a look saw


def relabel(lab: Lab, ids: set[str]) -> None:
    data = read_lines(lab.folder / "data.jsonl")
    write_rows(
        lab.folder / "data.jsonl",
        [row | {"label": TURNED[row["label"]]} if row["id"] in ids else row for row in data],
    )


def members(lab: Lab, part: str) -> set[str]:
    run = runs(lab, part)["good"]
    return {row["id"] for row in read_lines(lab.folder / "runs" / run / "verdicts.jsonl")}


def test_changed_labels_of_test_open_to_a_new_look_alone(lab):
    looks, dev = runs(lab, "test"), runs(lab, "dev")
    assert lab("compare", *looks.values()).code == 0
    relabel(lab, {min(members(lab, "test"))})
    for words in (("--json",), ()):
        done = lab("compare", *looks.values(), *words)
        assert (done.code, done.out) == (1, "")
        assert "is a look at test, and labels or texts of its items changed since" in done.message
        assert f"judgelab holdout {dev['good']} takes a new look" in done.message
    assert lab("compare", *dev.values()).code == 0, "dev is for looking"
    assert lab("holdout", dev["good"]).code == 0
    looked = read_lines(lab.folder / "splits" / "own.looks.jsonl")
    assert [line["number"] for line in looked if "variant" in line] == [1, 2, 3]


def test_the_same_labels_of_test_open_again_whatever_else_has_changed(lab):
    looks = runs(lab, "test")
    before = found(lab("compare", *looks.values(), "--json"))
    relabel(lab, members(lab, "dev"))
    data = read_lines(lab.folder / "data.jsonl")
    more = [row | {"id": f"new-{row['id']}"} for row in rows(20, seed=9)]
    write_rows(lab.folder / "data.jsonl", [*data, *more])
    done = lab("compare", *looks.values(), "--json")
    assert found(done) == before
    assert "changed since" not in done.err
    gone = min(members(lab, "test"))
    write_rows(lab.folder / "data.jsonl", [row for row in data if row["id"] != gone])
    assert lab("compare", *looks.values()).code == 1


def test_labels_of_a_file_say_that_they_are_no_look(lab):
    done = files(lab, *runs(lab, "test").values(), "--json")
    assert found(done)["level"] == pytest.approx(1 - 0.05 / 3)
    assert done.err.count("is a look at test; what it shows under data.jsonl is counted") == 2
