"""`judgelab propose check`: the library, the gate; on the sample one accepted, one refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binomtest

from judgelab.judges import checks
from judgelab.optimizers.check_fitting import best, candidates, counts, gate
from judgelab.types import Example, Interaction
from labs import Lab, rows, write_rows

OWN = "judgelab.data.sample.query.valid_query"
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
SAID: dict[str, tuple[checks.Check, str, str, str]] = {
    "json": (checks.json_valid(), '{"a": 1}', "{a: 1}", ""),
    "a block": (checks.json_valid(["a"]), 'So:\n```json\n{"a": 1}\n```', '{"b": 1}', ""),
    "a schema": (checks.json_valid(schema=SCHEMA), '{"n": 1}', '{"n": "1"}', ""),
    "longest": (checks.longest(3), "one two three", "one two three four", ""),
    "shortest": (checks.shortest(2), "one two", "one", ""),
    "a pattern": (checks.matches(r"\bQ\d"), "in Q3", "in spring", ""),
    "no pattern": (checks.matches("TODO", wanted=False), "done", "a TODO", ""),
    "forbidden": (checks.without(["as an AI"]), "As aircraft go", "Well, as an ai: no.", ""),
    "required": (checks.with_phrases(["Kind regards"]), "Kind  regards, A", "Regards", ""),
    "cited": (checks.cited(), "As said in [2].", "As is known.", ""),
    "numbers": (checks.numbers_grounded(), "It is 1,200 of 7.", "It is 1300.", "no number"),
    "language": (
        checks.same_language(),
        "the answer is in the log and the file",
        "die Antwort ist nicht in der Datei und das ist so",
        "ok",
    ),
}


def item(output: str, **more: Any) -> Interaction:
    asked = "what is the count of these and for which of the 7 was it"
    return Interaction("a", asked, output, **({"context": {"n": [{"total": 1200}]}} | more))


@pytest.mark.parametrize(("check", "good", "bad", "silent"), SAID.values(), ids=SAID)
def test_the_library(check: checks.Check, good: str, bad: str, silent: str) -> None:
    passed, failed = check(item(good)), check(item(bad))
    assert passed is not None
    assert failed is not None
    assert (passed[0], failed[0]) == (True, False)
    assert failed[1].endswith(".")
    if silent:
        assert check(item(silent)) is None


def test_latency_is_a_number_of_the_context() -> None:
    check = checks.fast(2)
    assert check(item("", context={"latency_s": 3.5})) == (
        False,
        "It took 3.5 s; 2 s are the most.",
    )
    assert check(item("", context={"latency_s": 1})) == (True, "It took 1 s; 2 s are the most.")
    assert check(item("", context={"latency_s": True})) is None


def examples(fails: list[str], passes: list[str]) -> list[Example]:
    return [
        Example(Interaction(f"{label}{n}", "what", text), label)  # type: ignore[arg-type]
        for label, texts in (("fail", fails), ("pass", passes))
        for n, text in enumerate(texts)
    ]


def test_the_best_on_train_is_what_catches_most_within_the_bound() -> None:
    passes = [f"word{n} and more of it" for n in range(20)]
    train = examples(["sorry but no", "sorry again", "sorry friend", "other"], passes)
    found, tried = best(train, None, 0.1)
    assert found is not None
    assert tried > 10
    caught, alarms = counts(found.check, train)
    assert (sum(caught), sum(alarms)) == (4, 0), found
    only, _ = best(train, None, 0.1, kind="without")
    assert only is not None
    assert only.code == "without(phrases=['sorry'])"
    assert best(train, {"fail3"}, 0.1)[0] is None, "one failure proves nothing"
    assert list(candidates(*(train[:4], train[4:]))) == list(candidates(train[:4], train[4:]))


def test_the_gates_limits_are_exact() -> None:
    found = gate([True] * 7 + [False] * 3, [False] * 60, ([None] * 10, [None] * 60), 0.1)
    exact = binomtest(7, 10).proportion_ci(method="exact")
    assert (found.caught["lo"], found.caught["hi"]) == pytest.approx((exact.low, exact.high))
    assert found.alarms["hi"] == pytest.approx(binomtest(0, 60).proportion_ci().high)
    assert found.refused == ""


@pytest.mark.parametrize(
    ("caught", "alarms", "added", "why"),
    [
        ([True] * 9, [True] * 3 + [False] * 20, None, "it flags 3 of 23 passes"),
        ([True] + [False] * 30, [False] * 60, None, "not shown to be more than its false alarms"),
        ([True] * 9, [False] * 60, 0, "the judge of the run catches all"),
        ([], [False] * 60, None, "no failures of this kind"),
    ],
)
def test_what_is_refused_says_why(
    caught: list[bool], alarms: list[bool], added: int | None, why: str
) -> None:
    groups = [None] * len(caught), [None] * len(alarms)
    assert why in gate(caught, alarms, groups, 0.1, added).refused


def test_one_conversation_is_one_witness() -> None:
    groups = ["a"] * 30 + ["b"] * 30
    free = gate([True] * 9, [False] * 60, ([None] * 9, [None] * 60), 0.1)
    tied = gate([True] * 9, [False] * 60, ([None] * 9, list(groups)), 0.1)
    assert not free.refused
    assert "passes of dev" in tied.refused


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    made = Lab(tmp_path_factory.mktemp("checks"))
    words = ("data", "import", "sample:failure_modes.jsonl", "--as", "modes", "--expert", "ann")
    assert made(*words, "--new-modes").code == 0
    return made


def test_one_is_accepted_on_the_sample(lab: Lab, tmp_path: Path) -> None:
    words = ("propose", "check", "runs_at_all", "--mode", "invalid query", "--check", OWN)
    done = lab(*words, "--pytest", "test_regression.py")
    assert done.code == 0, done.err
    assert "5 of 5 failures" in done.out
    assert "0 of 61 passes" in done.out
    again = lab(*words)
    assert again.code == 2
    assert "already there" in again.message
    run = lab("run", "judge=runs_at_all", "tracking=none", "--json")
    assert run.code == 0, run.err
    (card,) = json.loads(run.out)
    assert card["confusion"]["fp"] == 0
    told = lab("data", "check")
    assert "fix first: " in told.out
    assert "that the assertion runs_at_all fails" in told.out
    # The team's own suite: another folder, none of the lab's data.
    test = tmp_path / "test_regression.py"
    test.write_text((lab.folder / "test_regression.py").read_text())
    source = Path(checks.__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    assert "10 passed" in ran.stdout


def test_one_of_the_library_is_written_by_hand(tmp_path: Path) -> None:
    own = Lab(tmp_path)
    data = rows(160)
    for row in data:
        row["output"] += " Name: TBD" if row["label"] == "fail" else " Name: Ann"
    write_rows(own.folder / "data.jsonl", data)
    call = 'matches(r"\\bTBD\\b", wanted=False)'
    words = ("--check", call, "dataset=jsonl", "dataset.path=data.jsonl", "dataset.name=own")
    done = own("propose", "check", "named", *words, "--pytest", "test_named.py", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["how"] == f"{call}: the only one held against dev"
    made = (own.folder / "assertions" / "named.py").read_text()
    assert "from judgelab.judges.checks import matches\n" in made
    assert r"check = matches(pattern='\\bTBD\\b', wanted=False)" in made
    assert (
        r"check = matches(pattern='\\bTBD\\b', wanted=False)"
        in (own.folder / "test_named.py").read_text()
    )
    run = own("run", "judge=named", *words[2:], "tracking=none", "--json")
    (card,) = json.loads(run.out)
    assert card["metrics"]["agreement"]["value"] == 1


def test_one_is_refused_on_the_sample(lab: Lab) -> None:
    done = lab("propose", "check", "odd", "--json")
    assert done.code == 1
    said = json.loads(done.out)
    assert said["accepted"] is False
    assert "passes of dev" in said["refused"]
    assert "refused: it flags" in done.message
    assert not (lab.folder / "assertions" / "odd.py").exists()
    assert not (lab.folder / "conf" / "judge" / "odd.yaml").exists()


MISTAKES = {
    "name": (("propose", "check", "Odd"), "small letters"),
    "both": (("propose", "check", "x", "--kind", "cited", "--check", OWN), "give one"),
    "alarms": (("propose", "check", "x", "--alarms", "1"), "between 0 and 1"),
    "mode": (("propose", "check", "x", "--mode", "nope"), "no failure mode of sample"),
    "function": (("propose", "check", "x", "--check", "nope.f"), "cannot import"),
    "kind": (("propose", "check", "x", "--kind", "nope"), "there is no 'nope'"),
    "no such check": (
        ("propose", "check", "x", "--check", "nope(1)"),
        "matches(pattern, wanted=True)",
    ),
    "arguments": (("propose", "check", "x", "--check", "longest(chars=3)"), "'words'"),
    "a wrong kind": (("propose", "check", "x", "--check", "longest('3')"), "not supported"),
    "a text for a list": (("propose", "check", "x", "--check", "without('a')"), "is a list: ['a']"),
    "a pattern": (("propose", "check", "x", "--check", "matches('(')"), "unterminated"),
    "a schema": (("propose", "check", "x", "--check", "json_valid([], {'type': 1})"), "schema"),
    "evaluated": (
        ("propose", "check", "x", "--check", "longest(int('3'))"),
        "int('3') is no literal",
    ),
}


@pytest.mark.parametrize(("words", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told(lab: Lab, words: tuple[str, ...], message: str) -> None:
    done = lab(*words)
    assert done.code == 2, done.err
    assert message in done.message
