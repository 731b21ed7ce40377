"""What each selector picks: from train, k of them, and the same in every process."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import judgelab
from builders import example, examples, interaction, split, text, train_set
from judgelab.demos.balanced import BalancedDemos
from judgelab.demos.base import DemoSelector, take_turns, usable
from judgelab.demos.diverse import DiverseDemos
from judgelab.demos.hard import HardDemos
from judgelab.demos.nearest import NearestDemos
from judgelab.demos.none import NoDemos
from judgelab.demos.random import RandomDemos
from judgelab.types import Example

SELECTORS = [RandomDemos, BalancedDemos, DiverseDemos, NearestDemos, HardDemos]
DRAWN = [RandomDemos, BalancedDemos, DiverseDemos, HardDemos]


def ids(found: Sequence[Example]) -> list[str]:
    return [e.id for e in found]


def picked(selector: DemoSelector, items: Sequence[Example], folder: Path) -> list[str]:
    selector.prepare(train_set(items, folder))
    return ids(selector.pick(interaction("asked")))


@pytest.mark.parametrize("kind", SELECTORS)
@pytest.mark.parametrize("k", [0, 1, 3, 8, 30, 99])
def test_k_is_kept_and_nobody_is_shown_twice(
    kind: type[DemoSelector], k: int, tmp_path: Path
) -> None:
    found = picked(kind(k), examples(30), tmp_path)
    assert len(found) == min(k, 30)
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("kind", SELECTORS)
def test_an_empty_train_gives_no_demos(kind: type[DemoSelector], tmp_path: Path) -> None:
    nobody = split(
        examples(120), tmp_path, ratios={"train": 0.0, "dev": 0.5, "test": 0.5}
    ).folds("dev")[0].train  # fmt: skip
    selector = kind(4)
    selector.prepare(nobody)
    assert selector.pick(interaction("asked")) == []


def test_none_takes_no_k_and_shows_nothing(tmp_path: Path) -> None:
    assert picked(NoDemos(), examples(9), tmp_path) == []
    assert set(NoDemos.unused({})) == {"k", "seed", "show"}


@pytest.mark.parametrize("kind", DRAWN)
def test_the_seed_decides_and_the_order_of_the_file_does_not(
    kind: type[DemoSelector], tmp_path: Path
) -> None:
    items = examples(40)
    shuffled = random.Random(1).sample(items, 40)
    first = picked(kind(6, seed=3), items, tmp_path)
    assert picked(kind(6, seed=3), shuffled, tmp_path) == first
    others = {tuple(picked(kind(6, seed=seed), items, tmp_path)) for seed in range(5)}
    assert len(others) > 1


def test_the_seed_says_nothing_to_nearest(tmp_path: Path) -> None:
    items = examples(40)
    found = {tuple(picked(NearestDemos(6, seed=seed), items, tmp_path)) for seed in range(5)}
    assert len(found) == 1
    assert set(NearestDemos.unused({})) == {"seed"}


@pytest.mark.parametrize("kind", DRAWN)
def test_drawn_once_for_every_interaction(kind: type[DemoSelector], tmp_path: Path) -> None:
    selector = kind(5)
    selector.prepare(train_set(examples(30), tmp_path))
    assert ids(selector.pick(interaction("a"))) == ids(selector.pick(interaction("b")))


SCRIPT = """
import sys
from pathlib import Path
from builders import examples, interaction, train_set
from judgelab.demos.balanced import BalancedDemos
from judgelab.demos.diverse import DiverseDemos
from judgelab.demos.hard import HardDemos
from judgelab.demos.nearest import NearestDemos
from judgelab.demos.random import RandomDemos
train = train_set(examples(40), Path(sys.argv[1]))
for kind in (RandomDemos, BalancedDemos, DiverseDemos, NearestDemos, HardDemos):
    selector = kind(6, seed=5)
    selector.prepare(train)
    print(*(e.id for e in selector.pick(interaction("asked"))))
"""


def test_the_same_picks_in_another_process(tmp_path: Path) -> None:
    paths = [Path(judgelab.__file__).parents[1], Path(__file__).parents[1]]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
    there = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        env=environment | {"PYTHONHASHSEED": "12"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    here = [" ".join(picked(kind(6, seed=5), examples(40), tmp_path)) for kind in SELECTORS]
    assert there == here


# --- what each is for


@pytest.mark.parametrize(("k", "fails"), [(1, 1), (2, 1), (4, 2), (7, 4), (8, 4)])
def test_balanced_takes_turns_and_begins_with_a_fail(k: int, fails: int, tmp_path: Path) -> None:
    items = examples(40, every=4)
    selector = BalancedDemos(k)
    selector.prepare(train_set(items, tmp_path))
    labels = [e.label for e in selector.pick(interaction("asked"))]
    assert labels == (["fail", "pass"] * k)[:k]
    assert labels.count("fail") == fails


def test_where_one_side_ends_the_other_goes_on() -> None:
    fails = [example(i) for i in range(2)]
    passes = [example(i, "pass") for i in range(10, 15)]
    labels = [e.label for e in take_turns(fails, passes, 6)]
    assert labels == ["fail", "pass", "fail", "pass", "pass", "pass"]
    assert [e.label for e in take_turns([], passes, 3)] == ["pass"] * 3
    assert len(take_turns(fails, passes, 99)) == 7
    assert [len(fails), len(passes)] == [2, 5]


def themed(theme: int, n: int, label: str) -> Example:
    words = text(f"theme {theme}", 30)
    return example(f"{theme}-{n}-{label}", label, input=words, output=f"{words} {text(n, 3)}")


@pytest.mark.parametrize("seed", range(5))
def test_diverse_covers_the_space_before_it_repeats_itself(seed: int, tmp_path: Path) -> None:
    items = [themed(t, n, "fail" if n % 2 else "pass") for t in range(6) for n in range(5)]
    selector = DiverseDemos(6, seed=seed)
    selector.prepare(train_set(items, tmp_path))
    found = selector.pick(interaction("asked"))
    assert len({e.id.split("-")[0] for e in found}) == 6
    assert Counter(e.label for e in found) == {"fail": 3, "pass": 3}
    drawn = RandomDemos(6, seed=seed)
    drawn.prepare(train_set(items, tmp_path))
    assert len({e.id.split("-")[0] for e in drawn.pick(interaction("asked"))}) < 6


def test_diverse_with_one_label_alone(tmp_path: Path) -> None:
    assert len(picked(DiverseDemos(4), examples(9, every=1), tmp_path)) == 4


def test_nearest_finds_the_most_alike_and_puts_it_last(tmp_path: Path) -> None:
    items = [themed(t, n, "fail") for t in range(6) for n in range(4)]
    selector = NearestDemos(4)
    selector.prepare(train_set(items, tmp_path))
    for theme in range(6):
        asked = themed(theme, 2, "pass").interaction
        found = selector.pick(replace(asked, id="asked"))
        assert {e.id.split("-")[0] for e in found} == {f"i{theme}"}
        assert found[-1].id == f"i{theme}-2-fail"


def test_nearest_falls_back_on_the_order_of_ids_where_nothing_is_alike(tmp_path: Path) -> None:
    items = examples(5)
    selector = NearestDemos(2)
    selector.prepare(train_set(items, tmp_path))
    strange = interaction("x", input="unheard", output="of")
    assert ids(selector.pick(strange)) == ["i1", "i0"]


@pytest.mark.parametrize("kind", [DiverseDemos, NearestDemos])
def test_texts_without_a_word_are_no_crash(kind: type[DemoSelector], tmp_path: Path) -> None:
    items = [example(i, input="?!" * (i + 1), output="🙂" * (i + 1)) for i in range(6)]
    found = picked(kind(3), items, tmp_path)
    assert len(set(found)) == 3


# --- what is fit to be shown


def test_a_fail_without_a_critique_is_not_shown_where_critiques_are() -> None:
    bare, told = example(1, "fail", ""), example(2, "fail")
    passed, praised = example(3, "pass", ""), example(4, "pass")
    contradicting = example(5, "fail", "Pass. All is well with this one.")
    items = [contradicting, praised, passed, told, bare]
    assert ids(usable(items, "critique")) == ["i2", "i3", "i4"]
    assert ids(usable(items, "label")) == ["i1", "i2", "i3", "i4", "i5"]


def test_without_any_critique_the_labels_have_to_do() -> None:
    items = [example(i, "fail" if i % 2 else "pass", "") for i in range(6)]
    assert usable(items, "critique") == items


@pytest.mark.parametrize("kind", SELECTORS)
def test_unusable_examples_are_never_picked(kind: type[DemoSelector], tmp_path: Path) -> None:
    items = [example(i, "fail", "" if i % 2 else None) for i in range(20)]
    assert set(picked(kind(99), items, tmp_path)) == {f"i{i}" for i in range(0, 20, 2)}
    assert len(picked(kind(99, show="label"), items, tmp_path)) == 20


@pytest.mark.parametrize("wrong", [{"k": -1}, {"k": 2, "show": "all"}, {"k": 2, "seed": None}])
def test_wrong_arguments_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"demos\."):
        RandomDemos(**wrong)


def test_demos_come_from_the_other_folds(tmp_path: Path) -> None:
    made = split(examples(60), tmp_path)
    for fold in made.folds("dev"):
        selector = NearestDemos(99)
        selector.prepare(fold.train)
        own = {item.id for item in fold.items}
        for item in fold.items:
            assert not own & set(ids(selector.pick(item)))
