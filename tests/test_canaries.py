"""Leakage canaries: what the labels of test cannot reach, and what labels cannot teach by chance.

The prompts themselves are held against held-out texts and labels in judges/test_leaks.py; here it
is whole commands, with all that they write.
"""

from __future__ import annotations

import csv
import json
import random
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from judgelab.data.looks import Look
from judgelab.data.split import Split
from judgelab.types import Label
from labs import (
    Done,
    Endpoint,
    Lab,
    endpoint,
    question,
    read_json,
    read_lines,
    rows,
    said,
    write_rows,
)

OWN = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl")
DEMOS = "demos=none,random,balanced,diverse,nearest,hard"
NEIGHBOURS = "demos=random,balanced,diverse,nearest"
CHECK = """
def short(interaction):
    passed = len(interaction.output) % 2 == 0
    return passed, "even" if passed else "odd"
"""
SINGLE = (
    ("judge=assertion", "judge.check=checks.short"),
    ("judge=recorded", "judge.path=verdicts.jsonl"),
    ("judge=classifier",),
    ("judge=constant", "judge.verdict=fail"),
    (
        "judge=panel",
        "judge.members=[{judge: assertion, check: checks.short},classifier,always_fail]",
        "model=none",
    ),
    (
        "judge=cascade",
        "judge.cheap=classifier",
        "judge.dear={judge: recorded, path: verdicts.jsonl}",
        "judge.threshold=0.6",
        "model=none",
    ),
)
Rows = list[dict[str, Any]]


def by_hash(body: dict[str, Any]) -> str:
    """A verdict that depends on every byte of the prompt, so that no change of one is lost."""
    digest = sha256(json.dumps(body["messages"]).encode()).digest()
    return said("fail" if digest[0] % 2 else "pass", f"because of {digest[1]}")


def shuffled(data: Rows, ids: set[str]) -> Rows:
    """The labels of these items, each with its critique, dealt out among them anew."""
    held = [row for row in data if row["id"] in ids]
    dealt = [{key: row[key] for key in ("label", "critique")} for row in held]
    random.Random(5).shuffle(dealt)
    moved = {row["id"]: row | new for row, new in zip(held, dealt, strict=True)}
    assert sum(moved[row["id"]]["label"] != row["label"] for row in held) > len(held) / 4
    return [moved.get(row["id"], row) for row in data]


def parts(lab: Lab) -> dict[str, set[str]]:
    """The ids of each part."""
    found: dict[str, set[str]] = {"train": set(), "dev": set(), "test": set()}
    for row in read_lines(lab.runs[0] / "assignment.jsonl"):
        found[row["part"]].add(row["id"])
    return found


def sweep(lab: Lab, data: Rows, model: Endpoint) -> list[Done]:
    """A sweep of every selector, and the judges that are no model one by one."""
    write_rows(lab.folder / "data.jsonl", data)
    lab.write("checks.py", CHECK)
    recorded = [{"id": r["id"], "verdict": ("fail", "pass")[i % 2]} for i, r in enumerate(data)]
    write_rows(lab.folder / "verdicts.jsonl", recorded)
    free = ("tracking=none", "search.floors.recall_fail=null")
    done = [lab("run", "-m", DEMOS, "demos.k=4", *OWN, *free, *model.overrides, "--json")]
    done += [lab("run", *judge, *OWN, "tracking=none", "--json") for judge in SINGLE]
    assert [one.code for one in done] == [0] * len(done), [one.err for one in done]
    return done


def told(lab: Lab, done: Sequence[Done]) -> dict[str, str]:
    """All that these commands wrote and printed, by name, without what only names the data: the
    data set's hash, the ids made of it, the clock and the port."""
    records = {path.name: read_json(path / "record.json") for path in lab.runs}
    names = {
        run: f"<{record['name']}{' of the sweep' * bool(record['sweep'])}>"
        for run, record in records.items()
    }
    assert len(set(names.values())) == len(names)
    names |= {record["sweep"]: "<sweep>" for record in records.values() if record["sweep"]}
    hashes = {record["dataset"]["sha256"] for record in records.values()}
    names |= {one[:n]: "<data>" for one in hashes for n in (16, 64)}
    names |= {record["at"]: "<at>" for record in records.values()}
    names |= {run[:8]: name for run, name in names.items() if "-" in run}

    def plain(text: str) -> str:
        for name in sorted(names, key=len, reverse=True):
            text = text.replace(name, names[name])
        return re.sub(r"127\.0\.0\.1:\d+|\d+ ms", "<here>", text)

    files = [p for p in sorted(lab.folder.rglob("runs/*/*")) if p.suffix not in (".png", ".svg")]
    found = {plain(f"{path.parent.name}/{path.name}"): plain(path.read_text()) for path in files}
    return found | {f"out {n}": plain(one.out) for n, one in enumerate(done)}


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], tuple[Any, ...]]]:
    """Two labs that differ in the labels of one part alone: what was asked, and what was told."""
    data = rows(130, seed=3)
    with endpoint(by_hash) as model:  # one for all: its address is part of a variant

        def done(lab: Lab, data: Rows) -> tuple[list[str], dict[str, str]]:
            model.asked.clear()
            found = told(lab, sweep(lab, data, model))
            return sorted(json.dumps(body) for body in model.asked), found

        first = Lab(tmp_path_factory.mktemp("first"))
        before = done(first, data)

        def other(part: str) -> tuple[Any, ...]:
            second = Lab(tmp_path_factory.mktemp(part))
            shutil.copytree(first.folder / "splits", second.folder / "splits")
            return before, done(second, shuffled(data, parts(first)[part]))

        yield other


def test_shuffled_test_labels_change_no_byte_of_a_sweep(twins: Any) -> None:
    (asked, before), (again, after) = twins("test")
    assert len(asked) == len(set(asked)) > 6 * 40
    assert asked == again
    assert before.keys() == after.keys()
    kinds = Counter(Path(name).name for name in before)
    judged = 6 + 3 + len(SINGLE)
    for name in ("verdicts.jsonl", "replies.jsonl", "scores.json", "record.json"):
        assert kinds[name] == judged
    assert kinds["sweep.json"] == kinds["report.html"] == 1
    for name, text in before.items():
        assert text == after[name], name
    chosen = json.loads(before["<sweep>-sweep/sweep.json"])["selection"]
    assert chosen["chosen"]
    assert len(chosen["pairs"]) == 8


def test_the_canary_sings_where_labels_of_dev_are_shuffled(twins: Any) -> None:
    """Scores move, prompts do not."""
    (asked, before), (again, after) = twins("dev")
    assert asked == again
    moved = {Path(name).name for name in before if before[name] != after.get(name)}
    assert {"scores.json", "sweep.json", "out 0"} <= moved
    assert not {"verdicts.jsonl", "replies.jsonl"} & moved


@pytest.mark.slow
def test_and_where_those_of_train_are(twins: Any) -> None:
    (asked, before), (again, after) = twins("train")
    assert asked != again
    moved = {Path(name).name for name in before if before[name] != after.get(name)}
    assert {"scores.json", "verdicts.jsonl"} <= moved


def test_only_a_look_asks_for_the_labels_of_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, Look | None]] = []
    labels = Split.labels

    def spied(self: Split, part: str, look: Look | None = None) -> dict[str, Label]:
        asked.append((part, look))
        return labels(self, part, look)

    monkeypatch.setattr(Split, "labels", spied)
    lab = Lab(tmp_path)
    write_rows(tmp_path / "data.jsonl", rows(130))
    free = ("tracking=none", "model=neighbours", "search.floors.recall_fail=null")
    words = ("-m", "demos=balanced,nearest", *OWN, *free)
    more = (("run", *words, "--dry-run"), ("rerun", "latest"), ("analyze", "latest"))
    for command in (("run", *words), *more):
        done = lab(*command)
        assert done.code == 0, done.err
    # The report of a sweep counts the fails of train's cells too.
    assert {part for part, _ in asked} == {"train", "dev"}
    assert len(asked) > 3
    asked.clear()
    assert lab("holdout", lab.folder_of("balanced").name).code == 0
    looks = {look for part, look in asked if part == "test"}
    assert looks
    assert all(isinstance(look, Look) for look in looks)


# --- labels that say nothing


def at_random(n: int, seed: int) -> Rows:
    """Texts with labels that know nothing of them: exactly half are fails, in any order."""
    labels = ["fail", "pass"] * (n // 2)
    random.Random(f"labels {seed}").shuffle(labels)
    pairs = zip(rows(n, seed=1000 + seed), labels, strict=True)
    return [row | {"label": label} for row, label in pairs]


MOST_MISSES = 0.1  # of 95 % intervals; judges of one seed are not independent


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [range(3), range(3, 15)])
def test_on_random_labels_no_judge_differs_from_a_constant_one(
    seeds: range, tmp_path: Path
) -> None:
    """Each judges the same 80 items out of fold; a constant judge is right on exactly half."""
    cards: list[dict[str, Any]] = []
    for seed in seeds:
        lab = Lab(tmp_path / str(seed))
        write_rows(lab.folder / "data.jsonl", at_random(80, seed))
        lab.write("checks.py", CHECK)
        free = ("tracking=none", "search.floors.recall_fail=null")
        with endpoint(by_hash) as model:
            for words in (
                ("-m", DEMOS, "demos.k=4", *model.overrides),
                ("-m", NEIGHBOURS, "demos.k=8", "model=neighbours", "baselines=[classifier]"),
                ("judge=assertion", "judge.check=checks.short"),
            ):
                done = lab("run", *words, *OWN, *free, "--json")
                assert done.code == 0, done.err
                cards += json.loads(done.out)
    constant = [card for card in cards if card["judge"].startswith("always")]
    assert {card["metrics"]["agreement"]["value"] for card in constant} == {0.5}
    judged = [card for card in cards if card not in constant]
    assert len(judged) == len(seeds) * (6 + 1 + 4 + 1 + 1)
    for name, chance in (("agreement", 0.5), ("kappa", 0.0), ("balanced_accuracy", 0.5)):
        found = [card["metrics"][name] for card in judged]
        misses = [not m["lo"] <= chance <= m["hi"] for m in found if m["lo"] is not None]
        assert len(misses) > 0.95 * len(judged), name
        assert sum(misses) <= MOST_MISSES * len(misses), (name, sum(misses), len(misses))


def test_a_judge_that_knows_the_labels_is_seen(tmp_path: Path) -> None:
    """What the test above would find, were there a leak."""
    data = at_random(80, 0)
    labels = {json.dumps(row["input"]): row["label"] for row in data}

    def leaky(body: dict[str, Any]) -> str:
        asked = question(body)
        label = next(label for text, label in labels.items() if text in asked)
        return said(label if len(asked) % 3 else "pass")

    lab = Lab(tmp_path)
    write_rows(tmp_path / "data.jsonl", data)
    with endpoint(leaky) as model:
        done = lab("run", "demos=none", *OWN, "tracking=none", *model.overrides, "--json")
    (card,) = json.loads(done.out)
    assert card["metrics"]["agreement"]["lo"] > 0.5


def test_the_split_file_holds_no_label(tmp_path: Path) -> None:
    """What travels with a lab says who is where, and not what the expert said."""
    lab = Lab(tmp_path)
    data = [row | {"label": f"{row['label']}ed"} for row in rows(130)]
    write_rows(tmp_path / "data.jsonl", data)
    spelt = ("dataset.labels.pass=[passed]", "dataset.labels.fail=[failed]")
    assert lab.run(*OWN, *spelt, "judge=constant").code == 0
    (ledger,) = tmp_path.glob("splits/*.csv")
    cells = {cell for row in csv.reader(ledger.open()) for cell in row}
    assert {"train", "dev", "test"} <= cells
    assert not cells & {"pass", "fail", "passed", "failed"}
    assert not any(row["critique"] in cell for row in data for cell in cells)
