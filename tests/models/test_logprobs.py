"""Confidence: the tokens that spell the verdict, and no others."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest

from judgelab.models.logprobs import confidence


def tokens(*pieces: tuple[str, float], raw: bool = True) -> dict[str, Any]:
    return {
        "content": [
            {"token": piece, "logprob": math.log(p), "bytes": list(piece.encode()) if raw else None}
            for piece, p in pieces
        ]
    }


def text(*pieces: tuple[str, float]) -> str:
    return "".join(piece for piece, _ in pieces)


PLAIN = [('{"', 0.9), ("verdict", 0.8), ('":', 0.7), (' "', 0.6), ("fail", 0.5), ('"}', 0.4)]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (PLAIN, 0.5),
        # Tokens that hold a quotation mark too, and a value of several tokens.
        ([('{"verdict": ', 0.9), ('"fa', 0.5), ("il", 0.8), ('"', 0.3), ("}", 0.3)], 0.4),
        ([('{"verdict":"', 0.9), ("f", 0.5), ("ai", 0.5), ('l"}', 0.5)], 0.125),
        ([('{"verdict": "fail"}', 0.25)], 0.25),
        ([('{"Verdict" : " ', 0.9), ("FAIL", 0.5), (' "}', 0.1)], 0.5),
        # The critique says the word too, and holds letters of more than one byte.
        (
            [
                *(('{"critique": "Ein Fehler: „', 0.1), ("fail", 0.1), ("“ – ✓", 0.1)),
                *(('", "verdict": "', 0.1), ("pass", 0.75), ('"}', 0.1)),
            ],
            0.75,
        ),
        # The critique quotes a verdict, escaped as JSON has it.
        (
            [
                ('{"critique": "It says \\"verdict\\": \\"pass\\".", "verdict": "', 0.1),
                *(("fail", 0.6), ('"}', 0.1)),
            ],
            0.6,
        ),
        ([("```json\n", 0.1), *PLAIN, ("\n```", 0.1)], 0.5),
        # Thoughts in the text, with a verdict that is none of the answer's.
        ([("<think>", 0.1), ('{"verdict": "pass"}', 0.1), ("</think>\n", 0.1), *PLAIN], 0.5),
    ],
)
def test_the_value_s_tokens_are_multiplied(
    pieces: list[tuple[str, float]], expected: float
) -> None:
    assert confidence(text(*pieces), tokens(*pieces)) == pytest.approx(expected, abs=1e-6)
    assert confidence(text(*pieces), tokens(*pieces, raw=False)) == pytest.approx(
        expected, abs=1e-6
    )


def test_a_letter_that_is_split_over_tokens_moves_nothing() -> None:
    data = '{"critique": "✓", "verdict": "pass"}'.encode()
    cuts = [0, 15, 16, len(data) - 6, len(data) - 2, len(data)]
    pieces = [data[a:b] for a, b in pairwise(cuts)]
    assert pieces[3] == b"pass"
    content = [
        {"token": "�", "logprob": math.log(0.5 if piece == b"pass" else 0.1), "bytes": list(piece)}
        for piece in pieces
    ]
    assert confidence(data.decode(), {"content": content}) == 0.5


def test_tokens_of_thoughts_and_end_marks_around_the_answer_are_passed_over() -> None:
    thoughts = [('I think {"verdict": "', 0.1), ("pass", 0.9), ('"}?', 0.1)]
    given = tokens(*thoughts, *PLAIN, ("<|im_end|>", 0.1))
    assert confidence(text(*PLAIN), given) == 0.5
    # The very answer thought before: the last one is the answer.
    doubted = [(piece, 0.2) for piece, _ in PLAIN]
    assert confidence(text(*PLAIN), tokens(*doubted, *PLAIN)) == 0.5


@pytest.mark.parametrize(
    ("answer", "logprobs"),
    [
        (text(*PLAIN), None),
        (text(*PLAIN), {}),
        (text(*PLAIN), []),
        (text(*PLAIN), {"content": None}),
        (text(*PLAIN), {"content": []}),
        (text(*PLAIN), {"content": ["fail"]}),
        (text(*PLAIN), {"content": [{"token": text(*PLAIN)}]}),
        (text(*PLAIN), {"content": [{"token": text(*PLAIN), "logprob": None}]}),
        (text(*PLAIN), {"content": [{"token": text(*PLAIN), "logprob": float("nan")}]}),
        (text(*PLAIN), {"content": [{"token": 5, "logprob": -1.0}]}),
        (text(*PLAIN), {"content": [{"token": "", "bytes": [999], "logprob": -1.0}]}),
        (text(*PLAIN), {"tokens": ["fail"], "token_logprobs": [-0.1]}),
        # Tokens of another text.
        (text(*PLAIN), tokens(*PLAIN[1:])),
        # No verdict, two, or one that the parser does not take.
        ("It fails.", tokens(("It fails.", 0.5))),
        ('{"verdict": "maybe"}', tokens(('{"verdict": "maybe"}', 0.5))),
        (text(*PLAIN, *PLAIN), tokens(*PLAIN, *PLAIN)),
        ('He said {"verdict": "fail"} to me.', tokens(('He said {"verdict": "fail"} to me.', 0.5))),
        (
            '{"verdict": "p\\u0061ss", "more": {"verdict": "fail"}}',
            tokens(('{"verdict": "p\\u0061ss", "more": {"verdict": "fail"}}', 0.5)),
        ),
    ],
)
def test_none_where_it_cannot_be_told(answer: str, logprobs: Any) -> None:
    assert confidence(answer, logprobs) is None


@pytest.mark.parametrize(("logprob", "expected"), [(-9999.0, 0.0), (0.1, 1.0), (9999.0, 1.0)])
def test_odd_numbers_stay_probabilities(logprob: float, expected: float) -> None:
    given = {"content": [{"token": text(*PLAIN), "logprob": logprob}]}
    assert confidence(text(*PLAIN), given) == expected


def test_a_text_that_no_file_could_hold_is_no_crash() -> None:
    answer = '{"critique": "\ud83d", "verdict": "pass"}'
    assert confidence(answer, {"content": [{"token": answer, "logprob": -0.1}]}) is None
