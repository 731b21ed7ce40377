"""Demonstrations that a person, or an optimizer, has named."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from builders import example, examples, interaction, train_set
from judgelab.demos.chosen import ChosenDemos
from judgelab.errors import ConfigError
from labs import Lab, read_lines, rows, write_rows


def test_what_is_named_is_shown_in_its_order(tmp_path: Path) -> None:
    selector = ChosenDemos(["i7", "i2", "i4"])
    selector.prepare(train_set(examples(9), tmp_path))
    for asked in ("a", "b"):
        assert [e.id for e in selector.pick(interaction(asked))] == ["i7", "i2", "i4"]


def test_it_is_shown_whatever_its_critique_is_like(tmp_path: Path) -> None:
    odd = example(3, "fail", critique="Pass: nothing is wrong here.")
    selector = ChosenDemos(["i3"])
    selector.prepare(train_set([odd, *examples(3)], tmp_path))
    assert selector.pick(interaction("asked")) == [odd]


def test_an_id_that_is_not_of_train_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"demos\.ids: x, y \(2 of 3\) are not among the 9"):
        ChosenDemos(["x", "i1", "y"]).prepare(train_set(examples(9), tmp_path))


@pytest.mark.parametrize(
    ("ids", "message"), [("a,b", "a list of ids"), (["a", "b", "a"], "names a more than once")]
)
def test_ids_that_are_no_list_of_different_ones(ids: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ChosenDemos(ids)


def test_a_person_names_them_on_the_command_line(tmp_path: Path) -> None:
    """Ids that are numbers too; those of dev are refused."""
    lab = Lab(tmp_path)
    data = [row | {"id": str(n)} for n, row in enumerate(rows(120))]
    write_rows(lab.folder / "d.jsonl", data)
    words = ["dataset=jsonl", "dataset.path=d.jsonl", "model=neighbours"]
    lab.run(*words, "demos=random")
    (first,) = lab.runs
    part = {row["id"]: row["part"] for row in read_lines(first / "assignment.jsonl")}
    train, dev = ([i for i in part if part[i] == name][:3] for name in ("train", "dev"))
    done = lab("run", "tracking=none", *words, "demos=chosen", f"demos.ids=[{','.join(dev)}]")
    assert done.code == 2
    assert f"{', '.join(dev)} (3 of 3) are not among the" in done.message
    lab.run(*words, "demos=chosen", f"demos.ids=[{','.join(train)}]")
    (folder,) = [path for path in lab.runs if path != first]
    shown = yaml.safe_load((folder / "config.yaml").read_text())["judge"]["demos"]["ids"]
    assert [str(one) for one in shown] == train
