"""`judgelab score` says the same of the same data, whatever its rows are called and in what order;
and a copy of every item adds items, not information, where the copies are one group."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from labs import Lab, write_rows

Row = dict[str, Any]
METRICS = ("agreement", "recall_fail", "precision_fail", "kappa", "balanced_accuracy")


def made(n: int, seed: int) -> tuple[list[Row], list[Row]]:
    """Labels in groups of 1 to 5 with weights; verdicts of two judges, three repeats of one."""
    rng = random.Random(seed)
    labels: list[Row] = []
    while len(labels) < n:
        group = f"talk {len(labels)}"
        for _ in range(rng.randint(1, 5)):
            labels.append(
                {
                    "id": f"i{len(labels):03}",
                    "label": rng.choice(["fail", "pass", "pass"]),
                    "group": group,
                    "context": {"weight": rng.choice([1, 2.5])},
                }
            )
    labels = labels[:n]
    turned = {"fail": "pass", "pass": "fail"}
    verdicts = []
    for row in labels:
        for judge, repeats, wrong in (("one", 1, 0.15), ("two", 3, 0.3)):
            for repeat in range(repeats):
                said = turned[row["label"]] if rng.random() < wrong else row["label"]
                said = None if rng.random() < 0.04 else said
                verdicts.append(
                    {"id": row["id"], "judge": judge, "repeat": repeat, "verdict": said}
                )
    return labels, verdicts


def score(folder: Path, labels: Sequence[Row], verdicts: Sequence[Row], *more: str) -> list[Row]:
    lab = Lab(folder)
    write_rows(folder / "labels.jsonl", labels)
    write_rows(folder / "verdicts.jsonl", verdicts)
    words = ("score", "--labels", "labels.jsonl", "--verdicts", "verdicts.jsonl", "--json")
    done = lab(*words, *more)
    assert done.code == 0, done.err
    found: list[Row] = json.loads(done.out)
    return sorted(found, key=lambda card: str(card["judge"]))


def renamed(rows: Sequence[Row], rng: random.Random, **new: dict[str, str]) -> list[Row]:
    """The same rows in another order, under other names."""
    moved = [
        row | {key: names[row[key]] for key, names in new.items() if key in row} for row in rows
    ]
    rng.shuffle(moved)
    return moved


@pytest.mark.parametrize(
    "more",
    [
        (),
        ("--group", "group"),
        ("--group", "group", "--policy", "exclude"),
        ("--weights", "context.weight"),
        ("--group", "group", "--weights", "context.weight"),
    ],
    ids=" ".join,
)
def test_rows_in_another_order_under_other_names_say_the_same(
    more: tuple[str, ...], tmp_path: Path
) -> None:
    labels, verdicts = made(90, seed=1)
    if "--group" not in more:
        labels = [{key: row[key] for key in row if key != "group"} for row in labels]
    before = score(tmp_path / "before", labels, verdicts, *more)
    rng = random.Random(2)
    ids = {row["id"]: f"{rng.random():.12f}" for row in labels}
    groups = {row.get("group", ""): f"{rng.random():.12f}" for row in labels}
    judges = {"one": "zweiter", "two": "erster"}
    after = score(
        tmp_path / "after",
        renamed(labels, rng, id=ids, group=groups),
        renamed(verdicts, rng, id=ids, judge=judges),
        *more,
    )
    assert [judges[card["judge"]] for card in before] == [card["judge"] for card in after[::-1]]
    for old, new in zip(before, after[::-1], strict=True):
        assert json.dumps(old | {"judge": ""}) == json.dumps(new | {"judge": ""})


def test_other_verdicts_do_not_say_the_same(tmp_path: Path) -> None:
    """What the test above would see: one verdict that has moved to another item."""
    labels, verdicts = made(90, seed=1)
    at = [n for n, row in enumerate(verdicts) if row["judge"] == "one"]
    kinds = {row["id"]: row["label"] for row in labels}
    a, b = next(
        (a, b)
        for a, b in pairwise(at)
        if verdicts[a]["verdict"] != verdicts[b]["verdict"]
        and kinds[verdicts[a]["id"]] != kinds[verdicts[b]["id"]]
    )
    moved = list(verdicts)
    moved[a], moved[b] = (
        verdicts[a] | {"verdict": verdicts[b]["verdict"]},
        verdicts[b] | {"verdict": verdicts[a]["verdict"]},
    )
    before = score(tmp_path / "before", labels, verdicts)
    assert score(tmp_path / "after", labels, moved) != before


def width(card: Row, name: str) -> float:
    metric = card["metrics"][name]
    return float(metric["hi"] - metric["lo"])


def test_copies_halve_the_variance_of_items_and_not_that_of_groups(tmp_path: Path) -> None:
    labels, verdicts = made(120, seed=3)
    verdicts = [row for row in verdicts if row["judge"] == "one"]
    # Each item is a group, which its copy joins.
    labels = [row | {"group": row["id"]} for row in labels]
    twice = [[row, row | {"id": f"{row['id']}'"}] for row in labels]
    again = [[row, row | {"id": f"{row['id']}'"}] for row in verdicts]
    both = [one for pair in twice for one in pair], [one for pair in again for one in pair]

    def alone(rows: Sequence[Row]) -> list[Row]:
        return [{key: row[key] for key in row if key != "group"} for row in rows]

    (once,) = score(tmp_path / "once", labels, verdicts, "--group", "group")
    (items,) = score(tmp_path / "items", alone(both[0]), both[1])
    (groups,) = score(tmp_path / "groups", *both, "--group", "group")
    for name in METRICS:
        values = {card["metrics"][name]["value"] for card in (once, items, groups)}
        assert len(values) == 1, name
        # Wilson and the bootstrap are no exact square roots of n, hence the room.
        assert width(items, name) / width(once, name) == pytest.approx(0.5**0.5, abs=0.05), name
        assert width(groups, name) / width(once, name) == pytest.approx(1, abs=0.05), name
    assert groups["n"] == items["n"] == 2 * once["n"]
    assert groups["metrics"]["agreement"]["clusters"] == once["n"]
    assert groups["metrics"]["agreement"]["n_eff"] == pytest.approx(once["n"], rel=0.02)
