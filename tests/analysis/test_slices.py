"""Error rates by slice, and what is claimed of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from judgelab.analysis.cuts import Cut
from judgelab.analysis.findings import claimed, findings
from judgelab.analysis.slices import RATES, Judged, slices
from judgelab.metrics.confusion import group_codes
from judgelab.metrics.multiplicity import holm

LEVEL = 0.95
VALUES = ("aabb", "cdcc", "efef")


def dimension(name: str, values: Sequence[str]) -> Cut:
    return Cut(name, {f"i{n}": v for n, v in enumerate(values)}, tuple(sorted(set(values))))


def judged(
    expert: Sequence[bool], judge: Sequence[int], groups: Sequence[Any] | None = None, **more: Any
) -> Judged:
    n = len(expert)
    return Judged(
        [f"i{k}" for k in range(n)], np.array(expert, dtype=bool), np.array(judge, np.int64),
        group_codes(groups or [None] * n, n), **more,
    )  # fmt: skip


def drawn(seed: int, groups: int = 80, effect: float = 0.0) -> dict[str, Any]:
    """Items in groups that are alike in label and in the judge's mistakes; `effect` more fails
    where kind is a."""
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(groups), rng.integers(1, 6, groups))
    n = len(of)
    kind = np.array(list("abcd"))[rng.integers(0, 4, groups)][of]  # whole groups
    tone = np.array(list("xyz"))[rng.integers(0, 3, n)]  # within groups
    rate = rng.beta(0.35 * 3, 0.65 * 3, groups)[of] + effect * (kind == "a")
    expert = rng.random(n) < rate
    wrong = rng.random(n) < rng.beta(0.2 * 4, 0.8 * 4, groups)[of]
    judge = np.where(wrong, ~expert, expert).astype(np.int64)
    cuts = [dimension("kind", kind.tolist()), dimension("tone", tone.tolist())]
    found = findings(judged(expert.tolist(), judge.tolist(), of.tolist()), cuts, None, LEVEL)
    return found | {"level": LEVEL}


def test_the_rates_of_a_slice_are_those_of_its_items() -> None:
    kinds = list("aaaabbbbbb")
    expert = [True, True, False, False, True, True, True, False, False, False]
    judge = [1, 0, 1, -1, 1, 1, -1, 0, 0, 1]
    found = findings(judged(expert, judge), [dimension("kind", kinds)], None, LEVEL)
    a, b = found["slices"]
    assert [a["by"], b["by"]] == [{"kind": "a"}, {"kind": "b"}]

    def counts(row: dict[str, Any], name: str) -> tuple[int, int]:
        return row[name]["hits"], row[name]["n"]

    assert [counts(a, name) for name in ("fails", "judge_fails", "missed", "false_alarms")] == [
        *((2, 4), (2, 4), (1, 2), (1, 2)),
    ]  # fmt: skip
    assert [counts(b, name) for name in ("fails", "judge_fails", "missed", "false_alarms")] == [
        *((3, 6), (3, 6), (1, 3), (1, 3)),
    ]  # fmt: skip
    assert (a["abstained"], b["abstained"]) == (1, 1)
    assert counts(found["whole"], "missed") == (2, 5)
    assert a["tests"]["fails"]["rest"]["value"] == b["fails"]["value"]


@pytest.mark.parametrize(
    ("policy", "missed", "alarms"),
    [
        ("error", (2, 2), (1, 2)),  # an abstention misses, and is no false alarm
        ("as_fail", (1, 2), (2, 2)),
        ("as_pass", (2, 2), (1, 2)),
        ("exclude", (1, 1), (1, 1)),
    ],
)
def test_what_an_abstention_counts_as(
    policy: str, missed: tuple[int, int], alarms: tuple[int, int]
) -> None:
    some = judged([True, True, False, False], [0, -1, 1, -1], policy=policy)
    whole = findings(some, [], None, LEVEL)["whole"]
    assert (whole["missed"]["hits"], whole["missed"]["n"]) == missed
    assert (whole["false_alarms"]["hits"], whole["false_alarms"]["n"]) == alarms


def test_pairs_are_those_with_items_and_every_item_is_in_one() -> None:
    cuts = [dimension(name, list(values)) for name, values in zip("xyz", VALUES, strict=True)]
    found = list(slices([f"i{n}" for n in range(4)], cuts))
    assert [len(one.by) for one in found] == [1] * 6 + [2] * 10
    for first, second in (("x", "y"), ("x", "z"), ("y", "z")):
        parts = [one.inside for one in found if tuple(one.by) == (first, second)]
        assert np.array(parts).sum(axis=0).tolist() == [1] * 4


def test_small_slices_have_intervals_and_no_test() -> None:
    kinds = ["big"] * 60 + ["small"] * 12
    expert, judge = [n % 2 == 0 for n in range(72)], [int(n % 3 == 0) for n in range(72)]
    found = findings(judged(expert, judge), [dimension("kind", kinds)], None, LEVEL)
    small = found["slices"][1]
    assert small["fails"]["lo"] < small["fails"]["value"] < small["fails"]["hi"]
    assert small["tests"]["fails"]["few"] == "12 items"
    assert small["tests"]["missed"]["few"] == "6 expert fails"
    assert found["slices"][0]["tests"]["fails"]["few"] == "12 items outside it"
    assert all(test["p"] is None for row in found["slices"] for test in row["tests"].values())
    assert (found["looked_at"], found["tested"], found["tests"]) == (2, 0, 0)


def test_few_groups_are_few_however_many_items() -> None:
    groups = [n // 20 for n in range(200)]
    kinds = ["a" if group < 4 else "b" for group in groups]
    found = findings(
        judged([n % 2 == 0 for n in range(200)], [0] * 200, groups), [dimension("k", kinds)], None,
        LEVEL,
    )  # fmt: skip
    assert found["slices"][0]["tests"]["fails"]["few"] == "4 groups"


def test_both_sides_of_a_dimension_are_one_test_of_the_family() -> None:
    rng = np.random.default_rng(0)
    kinds, expert = rng.choice(["a", "b"], 300).tolist(), (rng.random(300) < 0.4).tolist()
    judge = rng.integers(0, 2, 300).tolist()
    found = findings(judged(expert, judge), [dimension("kind", kinds)], None, LEVEL)
    assert found["tests"] == 3
    one, other = (row["tests"] for row in found["slices"])
    assert [one[name]["holm"] for name in RATES] == [other[name]["holm"] for name in RATES]
    ps = [one[name]["p"] for name in RATES]
    assert [one[name]["holm"] for name in RATES] == pytest.approx(holm(ps))


@pytest.mark.parametrize("n", [15, pytest.param(200, marks=pytest.mark.slow)])
def test_without_any_effect_few_analyses_claim_one(n: int) -> None:
    """Of whole analyses, all slices, pairs and rates together, at most alpha claim anything."""
    found = [drawn(seed) for seed in range(n)]
    assert np.mean([one["tests"] for one in found]) > 20
    assert sum(bool(claimed(one)) for one in found) <= n * 0.05 + 2.6 * np.sqrt(n * 0.05 * 0.95)


def test_a_slice_that_fails_more_is_named() -> None:
    found = [drawn(seed, groups=200, effect=0.4) for seed in range(5)]
    named = [{tuple(row["by"].items()) for name, row in claimed(one) if name == "fails"}
             for one in found]  # fmt: skip
    assert sum((("kind", "a"),) in one for one in named) >= 4
