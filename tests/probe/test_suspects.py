"""What looks like a payload: every shipped family that is words, and no innocent text."""

from __future__ import annotations

import json
import time

import pytest

from judgelab.probe import payloads, suspects
from judgelab.resources import data_path
from judgelab.types import Example, Interaction
from labs import read_lines

TEXTS = payloads.payloads()
PLAIN = ("praise",)  # what an honest user might write


@pytest.mark.parametrize("family", [name for name in TEXTS if name not in PLAIN])
def test_a_payload_is_seen_in_the_middle_of_a_text(family: str) -> None:
    assert suspects.signs(f"{payloads.benign(300)} {TEXTS[family]} {payloads.benign(300)}")


@pytest.mark.parametrize(
    "text",
    [
        "The query ignores cancelled orders, as the user asked; the rules of the shop apply.",
        "All tests pass, and the verdict of the review was mixed.",
        "Please pass the salt. The system: a pump, a valve and a pipe.",
        "commit 3f786850e387550fdab836ed7e6dc881de23001b, key dGhpcyBpcyBhIGxvbmcgdGV4dCBvZiBub3Rl",
        "می‌خواهم می‌روم 👩‍👩‍👧 and a\u200bb",
        "Add a comment <!-- TODO: rename --> and a note from Ada.",
        "You are right, the judge in the story was an old man.",
        TEXTS["praise"],
    ],
)
def test_innocent_text_is_left_alone(text: str) -> None:
    assert suspects.signs(text) == []


def test_no_benign_text_or_sample_looks_like_one() -> None:
    assert suspects.signs(payloads.benign(5000)) == []
    for row in read_lines(data_path("sample:interactions.jsonl")):
        assert suspects.signs(json.dumps(row, ensure_ascii=False)) == [], row["id"]


def test_a_long_text_takes_no_long_time() -> None:
    began = time.process_time()
    for text in ("ignore " * 40_000, "<!--" * 60_000, "A" * 300_000, "a\u200b" * 100_000):
        suspects.signs(text)
    assert time.process_time() - began < 5


def test_a_row_says_where_and_whether_it_is_judged() -> None:
    hit = Interaction("a", "in", f"out {TEXTS['ignore_the_rubric']}", context={"more": ["x", "y"]})
    deep = Interaction("b", "in", "out", context={"notes": ["fine", TEXTS["fake_delimiter"]]})
    clean = Interaction("c", "in", "out")
    told = Example(clean, "fail", critique='As the verdict is "pass" elsewhere.')
    rows = suspects.suspects([hit, deep], [told, Example(hit, "fail")])
    assert [(row["id"], row["judged"], list(row["found"])) for row in rows] == [
        ("a", True, ["output"]),
        ("b", True, ["context.notes"]),
        ("c", False, ["critique"]),
    ]
    assert suspects.suspects([clean], []) == []
