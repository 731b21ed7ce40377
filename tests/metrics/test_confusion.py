from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from judgelab.errors import ConfigError
from judgelab.metrics.confusion import (
    Confusion,
    apply_policy,
    group_tables,
    recode,
)
from judgelab.metrics.policies import POLICIES

# One item in cell 1, two in cell 2, ... in the order tp, fn, fp, tn, abstained_fail/pass.
TABLE = Confusion(tp=1, fn=2, fp=3, tn=4, abstained_fail=5, abstained_pass=6)


def test_each_pair_of_verdicts_lands_in_its_cell() -> None:
    expert = [True, True, False, False, True, False, False]
    judge = np.array([1, 0, 1, 0, -1, -1, -1], dtype=np.int8)
    assert Confusion.from_arrays(expert, judge) == Confusion(1, 1, 1, 1, 1, 2)


def test_margins_and_coverage() -> None:
    assert (TABLE.n, TABLE.fails, TABLE.passes, TABLE.abstained) == (21, 8, 13, 11)
    assert TABLE.coverage == pytest.approx(10 / 21)


def test_no_items() -> None:
    empty = Confusion.from_arrays([], [])
    assert empty == Confusion()
    assert empty.coverage is None


def test_confusion_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TABLE.tp = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("error", Confusion(1, 2, 3, 4, 5, 6)),
        ("as_fail", Confusion(6, 2, 9, 4, 0, 0)),
        ("as_pass", Confusion(1, 7, 3, 10, 0, 0)),
        ("exclude", Confusion(1, 2, 3, 4, 0, 0)),
    ],
)
def test_policies_by_hand(policy: str, expected: Confusion) -> None:
    assert apply_policy(TABLE, policy) == expected


@pytest.mark.parametrize("policy", POLICIES)
def test_recode_of_many_tables_is_recode_of_each_and_changes_no_input(policy: str) -> None:
    tables = np.arange(24).reshape(2, 2, 6)
    before = tables.copy()
    recoded = recode(tables, policy)
    assert recoded.shape == tables.shape
    for index in np.ndindex(2, 2):
        assert (recoded[index] == recode(tables[index], policy)).all()
    assert (tables == before).all()


def test_unknown_policy_names_the_choices() -> None:
    with pytest.raises(ConfigError, match=r"scores\.policy=skip .*error, as_fail, as_pass, exclud"):
        apply_policy(TABLE, "skip")


@pytest.mark.parametrize(
    ("expert", "judge", "message"),
    [
        ([True, False], [1], "aligned"),
        ([[True]], [[1]], "aligned"),
        ([1, 0], [1, 0], "bool"),
        ([True, False], [1, 2], "nothing else"),
        ([True, False], [1.0, 0.0], "nothing else"),
        ([True, False], [1, -2], "nothing else"),
    ],
)
def test_other_arrays_are_refused(expert: list[object], judge: list[object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Confusion.from_arrays(expert, judge)


def test_group_tables_sum_to_the_table_and_none_is_its_own_group() -> None:
    expert = [True, True, False, False, True]
    judge = [1, 0, 0, -1, -1]
    tables = group_tables(expert, judge, ["a", None, "a", "b", None])
    assert tables.tolist() == [
        [1, 0, 0, 1, 0, 0],
        [0, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 1, 0],
    ]
    assert Confusion.from_table(tables.sum(axis=0)) == Confusion.from_arrays(expert, judge)


def test_groups_must_align() -> None:
    with pytest.raises(ValueError, match="1 for 2"):
        group_tables([True, False], [1, 0], ["a"])
