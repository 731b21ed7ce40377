"""Failure modes: the team's yaml, the classifications beside the labels, and what a file says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builders import dataset, example
from judgelab.data.modes import Classified, ModeLog, ModesMovedError, modes_of
from judgelab.data.taxonomy import Mode, add_modes, read_taxonomy
from judgelab.errors import DataError
from labs import SHARED, Lab, read_lines, rows, write_rows

OWN = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl", "model=none")
YAML = """\
# ours
wrong_window: The time range is another one.
Bad query:   # of any kind
  description: It does not run.
  was: [broken_query, odd_query]
"""


@pytest.fixture
def log(tmp_path: Path) -> ModeLog:
    (tmp_path / "made.taxonomy.yaml").write_text(YAML)
    return ModeLog(tmp_path / "made.modes.jsonl", tmp_path / "made.taxonomy.yaml")


def said(key: object, *modes: str, supersedes: int | None = None) -> Classified:
    one = example(key).interaction
    return Classified(id=one.id, content=one.content, modes=modes, by="ann", supersedes=supersedes)


def test_the_newest_classification_of_a_failing_item_counts(log: ModeLog) -> None:
    items = [example(1), example(2), example(3, "pass"), example(4, output="changed since")]
    log.classify([said(1, "wrong window"), said(2, "Bad query"), said(3, "bad_query")])
    log.classify([said(4, "Bad query")])
    assert modes_of(dataset(items), log) == {"i1": ("wrong_window",), "i2": ("Bad query",)}
    first = log.on(said(1).key)
    assert first
    log.classify([said(1, "BAD QUERY", "wrong_window", supersedes=first.sequence)])
    assert modes_of(dataset(items), log)["i1"] == ("wrong_window", "Bad query"), "its order"
    last = log.on(said(2).key)
    assert last
    log.classify([said(2, supersedes=last.sequence)])
    assert "i2" not in modes_of(dataset(items), log), "taken back"
    again = ModeLog(log.path, log.yaml)
    assert modes_of(dataset(reversed(items)), again) == modes_of(dataset(items), log)
    assert modes_of(dataset(items), ModeLog(log.path, log.yaml, upto=2)) == {
        "i1": ("wrong_window",)
    }


def test_two_people_at_one_item_are_a_conflict(log: ModeLog) -> None:
    log.classify([said(1, "Bad query")])
    other = ModeLog(log.path, log.yaml)
    with pytest.raises(ModesMovedError) as caught:
        other.classify([said(2, "Bad query"), said(1, "wrong_window")])
    assert caught.value.now is not None
    assert caught.value.now.modes == ("Bad query",)
    assert other.on(said(2).key) is None, "all or none"


def test_a_mode_renamed_or_taken_in_keeps_what_it_had(log: ModeLog) -> None:
    items = [example(1), example(2)]
    log.classify([said(1, "Bad query"), said(2, "wrong_window")])
    before = log.taxonomy.sha256
    log.yaml.write_text('"no query": {was: [Bad query]}\n')
    assert modes_of(dataset(items), log) == {"i1": ("no query",)}, "one renamed, one gone"
    log.classify([said(3, "no query")])
    assert list(log.versions) == [before, log.taxonomy.sha256]
    assert log.versions[before]["Bad query"] == {
        "description": "It does not run.",
        "was": ["broken_query", "odd_query"],
    }
    events = [row for row in read_lines(log.path) if row["kind"] == "modes"]
    assert [row["taxonomy"] for row in events] == [before, before, log.taxonomy.sha256]


def test_layout_is_no_new_version(log: ModeLog) -> None:
    before = log.taxonomy.sha256
    first, *others = YAML.removeprefix("# ours\n").splitlines(keepends=True)
    log.yaml.write_text("".join([*others, first]).replace("of any kind", "whatever"))
    assert log.taxonomy.sha256 == before


def test_a_new_mode_leaves_the_teams_lines_alone(log: ModeLog) -> None:
    new = Mode("too: long", 'It says "all", and \u2028 more.')
    log.classify([said(1, "too: long")], [new])
    assert log.yaml.read_text().startswith(YAML)
    assert read_taxonomy(log.yaml).modes[-1].name == "too: long"
    with pytest.raises(DataError, match="stands there twice"):
        add_modes(log.yaml, [Mode("Wrong Window")])
    log.yaml.write_text("{a: b}")
    with pytest.raises(DataError, match=r"made\.taxonomy\.yaml"):
        add_modes(log.yaml, [Mode("c")])
    assert log.yaml.read_text() == "{a: b}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: x\nA: y\n", r"line 2: 'A' stands there twice"),
        ("a: {was: b}\n", "was of a is 'b'; allowed: a list"),
        ("a: {why: b}\n", "a mode has no why; allowed: description, was"),
        ("- a\n", "holds no modes"),
        ("a: [\n", "cannot be read"),
        ("'a;b': x\n", "allowed: words, no ;"),
    ],
)
def test_what_is_wrong_in_the_yaml_is_told(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.taxonomy.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_taxonomy(path)


def test_names_that_yaml_would_read_as_something_else_are_names(tmp_path: Path) -> None:
    path = tmp_path / "x.taxonomy.yaml"
    names = ["no", "404", "null", "1e3", "tense/modality", "a b", "ünï"]
    add_modes(path, [Mode(name) for name in names])
    assert read_taxonomy(path).names == names


@pytest.mark.parametrize(
    "damage", ['{"kind": "modes"}', "no json", '{"kind": "taxonomy", "sequence": 9}']
)
def test_a_damaged_line_is_named(log: ModeLog, damage: str) -> None:
    log.classify([said(1, "Bad query")])
    whole = log.path.read_text()
    log.path.write_text(f"{whole}{damage}\n")
    with pytest.raises(DataError, match=r"made\.modes\.jsonl, line 3"):
        ModeLog(log.path, log.yaml)
    log.path.write_text(whole + damage)
    log.classify([said(2, "Bad query")])
    assert [row["sequence"] for row in read_lines(log.path)] == [1, 2, 3], "a torn line goes"


def test_an_unknown_mode_is_refused_with_the_like(log: ModeLog) -> None:
    with pytest.raises(DataError, match="did you mean 'wrong_window'"):
        log.classify([said(1, "wrong_windows")])
    assert not log.path.read_text()


def test_the_samples_file_is_taken_in_once(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    words = ("data", "import", "sample:failure_modes.jsonl", "--as", "modes", "--expert", "ann")
    refused = lab(*words)
    assert refused.code == 2
    assert "--new-modes adds others" in refused.message
    dry = lab(*words, "--new-modes", "--dry-run")
    assert dry.code == 0, dry.err
    assert not list(tmp_path.glob("labels/*"))
    done = lab(*words, "--new-modes")
    assert done.code == 0, done.err
    assert dry.out == done.out
    assert "100 rows = 100 new, 0 known already" in done.out
    assert "100 rows = 0 new, 100 known already" in lab(*words).out
    events = read_lines(tmp_path / "labels" / "sample.modes.jsonl")
    assert len(events) == 101
    assert {row.get("via") for row in events} == {None, "import"}


def test_rows_that_fit_nothing_are_all_told_and_none_is_written(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    write_rows(tmp_path / "data.jsonl", rows(6))
    lab.write("labels/own.taxonomy.yaml", "a: x\n")
    lines = [
        {"id": "item-000", "failure_modes": [{"type": "A"}, {"type": "a"}]},
        {"id": "item-001", "failure_modes": "a"},
        {"id": "nobody", "failure_modes": "a"},
        {"id": "item-003", "failure_modes": [{"type": "a, aa"}]},
    ]
    write_rows(tmp_path / "modes.jsonl", lines)
    words = ("data", "import", "modes.jsonl", *OWN, "--as", "modes", "--expert", "ann")
    done = lab(*words)
    assert done.code == 2
    for said_ in (
        "items that are not labelled fail, 1 row: line 2 ('item-001')",
        "unknown ids, 1 row: line 3 ('nobody')",
        "names that are no failure modes, 1 row: line 4 ('aa', like 'a')",
    ):
        assert said_ in done.message
    assert not (tmp_path / "labels" / "own.modes.jsonl").exists()
    write_rows(tmp_path / "modes.jsonl", [lines[0], lines[3]])
    assert lab(*words, "--new-modes").code == 0
    (first, second) = read_lines(tmp_path / "labels" / "own.modes.jsonl")[1:]
    assert (first["modes"], second["modes"]) == (["a"], ["a", "aa"])
    assert json.dumps(first["taxonomy"]) == json.dumps(second["taxonomy"])


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not there")
def test_the_modes_of_sentences_are_taken_in(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    where = SHARED / "topic-summaries"
    data = ("dataset=jsonl", "dataset.name=own", f"dataset.path={where}/interactions.jsonl")
    words = ("--as", "modes", "--expert", "linguist", "--new-modes", "model=none")
    done = lab("data", "import", f"{where}/failure_modes.jsonl", *data, *words)
    assert done.code == 0, done.err
    assert "680 rows = 680 new" in done.out
    events = read_lines(tmp_path / "labels" / "own.modes.jsonl")[1:]
    assert max(len(row["modes"]) for row in events) > 1
    assert len({name for row in events for name in row["modes"]}) == 7
