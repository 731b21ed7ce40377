"""What items are sliced by."""

from __future__ import annotations

import pytest

from builders import interaction
from judgelab.analysis.cuts import MISSING, MOST, REST, cut, cuts
from judgelab.errors import UserError


def raw(*values: str | None) -> dict[str, str | None]:
    return {f"i{n}": value for n, value in enumerate(values)}


def test_few_values_are_slices_in_their_order_numbers_by_size() -> None:
    made, said = cut("turns", raw("10", "9", "10", None))
    assert made is not None
    assert made.order == ("9", "10", MISSING)
    assert made.of == {"i0": "10", "i1": "9", "i2": "10", "i3": MISSING}
    assert not said


def test_many_numbers_are_cut_at_their_quantiles() -> None:
    made, said = cut("latency", raw(*(str(n) for n in range(100)), None))
    assert made is not None
    assert made.order == ("<25", "25 to <50", "50 to <75", "≥75", MISSING)
    assert (made.of["i0"], made.of["i25"], made.of["i99"], made.of["i100"]) == (
        *("<25", "25 to <50", "≥75"), MISSING,
    )  # fmt: skip
    sizes = [list(made.of.values()).count(value) for value in made.order]
    assert sizes == [25, 25, 25, 25, 1]
    assert said == "latency is a number of 100 values: cut at its quantiles into 4"


def test_equal_numbers_stay_in_one_bin() -> None:
    made, _ = cut("cost", raw(*["0"] * 80, *(f"0.{n}" for n in range(1, 30))))
    assert made is not None
    assert len(made.order) < 4
    assert len({made.of[f"i{n}"] for n in range(80)}) == 1


def test_of_many_words_the_commonest_and_the_rest() -> None:
    values = [f"w{n}" for n in range(20) for _ in range(20 - n)]
    made, said = cut("tool", raw(*values))
    assert made is not None
    assert made.order == (*(f"w{n}" for n in range(MOST - 1)), REST)
    assert said == "tool has 20 values: the 7 commonest, and (others) for the rest"
    backwards, _ = cut("tool", dict(reversed(raw(*values).items())))
    assert backwards == made


@pytest.mark.parametrize(
    ("values", "why"),
    [(["a"] * 5, "'a' everywhere"), ([f"u{n}" for n in range(30)], "another value for each")],
)
def test_what_tells_no_items_apart_is_left_out_and_said(values: list[str], why: str) -> None:
    made, said = cut("user", raw(*values))
    assert made is None
    assert why in said


def test_words_that_python_takes_for_numbers_are_words() -> None:
    made, said = cut("x", raw(*[f"v{n}" for n in range(20)], "nan", "inf", "nan"))
    assert made is not None
    assert REST in made.order
    assert "commonest" in said


def test_dimensions_by_name_and_fields_by_path() -> None:
    items = [
        interaction(
            n, dimensions={"feature": "ab"[n % 2]}, context={"user": {"plan": "xy"[n // 2]}}
        )
        for n in range(4)
    ]
    made, notes = cuts(items)
    assert [(one.name, one.order) for one in made] == [("feature", ("a", "b"))]
    made, notes = cuts(items, ["context.user.plan", "feature", "feature"])
    assert [one.name for one in made] == ["context.user.plan", "feature"]
    assert made[0].of["i2"] == "y"
    with pytest.raises(UserError, match=r"--by mood: no item has it\. Dimensions here: feature"):
        cuts(items, ["mood"])
    _, notes = cuts([interaction(1)])
    assert "nothing to slice by" in notes[0]
