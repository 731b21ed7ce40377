"""Dimensions and their cells: what can be, what cannot, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from judgelab.data.cells import Grid, grid
from judgelab.data.dimensions import Dimensions
from judgelab.errors import ConfigError
from judgelab.types import Interaction

TWO: dict[str, Any] = {
    "feature": {"search": "finds", "edit": "changes"},
    "persona": {"novice": {"about": "is new", "style": "asks\n  a lot"}, "expert": "knows"},
}


def made(**more: Any) -> Dimensions:
    return Dimensions(**({"name": "own", "about": "A tool.", "dimensions": TWO} | more))


def item(id_: str, **dimensions: str) -> Interaction:
    return Interaction(id_, "q", "a", dimensions=dimensions)


def test_what_is_impossible_is_left_out_whole_or_in_part() -> None:
    whole = made()
    assert len(whole.possible) == 4
    one = made(impossible=[{"feature": "edit", "persona": ["novice"]}])
    assert one.possible == (("search", "novice"), ("search", "expert"), ("edit", "expert"))
    assert (
        one.wrong({"feature": "edit", "persona": "novice"}) == "dimensions.impossible rules it out"
    )
    assert one.wrong({"feature": "edit", "persona": "expert"}) == ""
    assert "allowed are search, edit" in one.wrong({"feature": "x", "persona": "expert"})
    assert len(made(impossible=[{"feature": "edit"}]).possible) == 2


def test_values_are_described_for_whoever_writes() -> None:
    assert made().described(("edit", "novice")) == [
        {"dimension": "feature", "value": "edit", "about": "changes", "style": ""},
        {"dimension": "persona", "value": "novice", "about": "is new", "style": "asks a lot"},
    ]


WRONG = {
    "no dimension": ({"dimensions": {}}, r"dimensions\.dimensions: a mapping"),
    "no value": ({"dimensions": {"a": {}}}, r"dimensions\.dimensions\.a: a mapping"),
    "a list": ({"dimensions": {"a": ["x"]}}, r"dimensions\.dimensions\.a: a mapping"),
    "no text": ({"dimensions": {"a": {"x": 5}}}, r"a\.x is 5; allowed: a text"),
    "an odd key": ({"dimensions": {"a": {"x": {"tone": "y"}}}}, "allowed: a text, or a mapping of"),
    "no such dimension": ({"impossible": [{"mood": "x"}]}, r"impossible\[0\]\.mood: no such dim"),
    "no such value": ({"impossible": [{"feature": "x"}]}, "feature=x: no such value.*search, edit"),
    "nothing left": ({"impossible": [{"feature": ["search", "edit"]}]}, "leaves no combination"),
    "a path": ({"name": "../x"}, "no slashes"),
    "too many": (
        {"dimensions": {d: {str(v): "x" for v in range(20)} for d in "abcd"}},
        "160,000 combinations; allowed: 100,000",
    ),
}


@pytest.mark.parametrize(("more", "message"), WRONG.values(), ids=WRONG)
def test_a_yaml_that_makes_no_sense_is_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        made(**more)


def test_a_cell_of_few_dimensions_can_be_where_any_of_its_whole_cells_can() -> None:
    three = TWO | {"mood": {"calm": "is calm", "angry": "is angry"}}
    of = made(
        dimensions=three,
        impossible=[{"feature": "edit", "mood": "angry", "persona": ["novice", "expert"]}],
    )
    assert grid([], of, ["feature", "mood"]).cells == (
        *(("search", "calm"), ("search", "angry"), ("edit", "calm")),
    )
    assert grid([], of, ["feature", "mood"]).impossible == 1
    assert grid([], of, ["feature", "persona"]).impossible == 0
    assert len(grid([], of).cells) == 6


def test_without_a_yaml_the_cells_are_the_datas() -> None:
    items = [item("1", a="x", b="1"), item("2", a="y", b="2"), item("3", a="x")]
    found = grid(items)
    assert found.cells == (("x", "1"), ("x", "2"), ("y", "1"), ("y", "2"))
    assert not found.declared
    assert found.of(items[2]) == ("x", "")
    assert grid([Interaction("1", "q", "a")]) == Grid((), ((),))
    many = [item(str(n), a=f"a{n}", b=f"b{n}") for n in range(60)]
    assert len(grid(many).cells) == 60
    assert not grid(many).whole
    with pytest.raises(ConfigError, match=r"--by c: no such dimension\. There are: a, b"):
        grid(items, by=["c"])
