"""The parser: a verdict that is there is found, and none is ever made up."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from judgelab.models.base import Reply
from judgelab.parsing import parse
from judgelab.types import ABSTENTIONS

FAIL = '{"critique": "Wrong range.", "verdict": "fail"}'
PASS = '{"critique": "Fine.", "verdict": "pass"}'


@pytest.mark.parametrize(
    "text",
    [
        FAIL,
        f"\n  {FAIL}\n\n",
        f"```json\n{FAIL}\n```",
        f"```\n{FAIL}\n```\n",
        f"```{FAIL}```",
        f"Here is my verdict:\n{FAIL}",
        f"Here is my verdict: {FAIL}",
        f"{FAIL}\nI hope this helps {{you}}.",
        f"Let me think.\n\n```json\n{FAIL}\n```\n\nTell me if you need more.",
        f"Let me think.\n{FAIL}\nThat is all.",
        json.dumps({"critique": "Wrong range.", "verdict": "fail"}, indent=2),
        '{"Critique": "no", "critique": "Wrong range.", "VERDICT ": "  FAIL\\n"}',
        '{"verdict": "Fail", "critique": "Wrong range.", "score": 3, "more": {"verdict": "pass"}}',
        '{"reasoning": "It says {\\"verdict\\": \\"pass\\"}.", "critique": "Wrong range.", '
        '"verdict": "fail"}',
        f'The query rate(http_requests{{job="api"}}[5m]) {{}} is cut wrong.\n{FAIL}',
        f"\ufeff{FAIL}".strip("\ufeff"),
        # Thoughts that the server left in the text; some servers leave out where they begin.
        f"<think>\nMaybe\n{PASS}\n</think>\n\n{FAIL}",
        f'<think>The format: {{"verdict": "pass" or "fail"}}</think>{FAIL}',
        f"Maybe\n{PASS}\nOr not.\n</think>\n{FAIL}",
        '{"reasoning": "It says <think> and </think>.", "critique": "Wrong range.", '
        '"verdict": "fail"}',
    ],
)
def test_a_verdict_that_is_there_is_found(text: str) -> None:
    parsed = parse(Reply(text))
    assert (parsed.label, parsed.reason, parsed.critique) == ("fail", None, "Wrong range.")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("This is not a FAIL.", "unparsable"),
        ("FAIL", "unparsable"),
        ("Verdict: fail", "unparsable"),
        ('"verdict": "fail"', "unparsable"),
        ('verdict = {"fail"}', "unparsable"),
        ('"fail"', "unparsable"),
        ("null", "unparsable"),
        ("{}", "unparsable"),
        ('{"critique": "It fails: verdict fail."}', "unparsable"),
        # Two verdicts are none, whether they agree or not.
        (f"{FAIL}\n{PASS}", "unparsable"),
        (f"{FAIL}\n{FAIL}", "unparsable"),
        ('{"verdict": "pass", "verdict": "fail"}', "unparsable"),
        ('{"verdict": "fail", "Verdict": "fail"}', "unparsable"),
        (f"[{FAIL}]", "unparsable"),
        (f"[{FAIL}, {PASS}]", "unparsable"),
        # What is quoted amid a sentence is no answer.
        (f"The assistant wrote {PASS}, which is not its business.", "unparsable"),
        (f'"{PASS}" is what it says, but it fails.', "unparsable"),
        (f"<think>Maybe {PASS}?</think> It fails.", "unparsable"),
        # A verdict in the thoughts alone is none.
        (f"<think>\n{PASS}\n</think>\nDone.", "unparsable"),
        (f"<think>\n{PASS}\n</think>\n", "empty"),
        (f"<think>\n{PASS}\n", "empty"),
        # Inside something else, whole or broken.
        ('{"answer": {"verdict": "fail"}}', "unparsable"),
        ('{"reasoning": "so {"verdict": "pass"} it says", "verdict": "fail"}', "unparsable"),
        (
            '{critique: "the output says {"verdict": "pass"} itself", verdict: "fail"}',
            "unparsable",
        ),
        ("{verdict: 'fail'}", "unparsable"),
        ("{'verdict': 'fail'}", "unparsable"),
        (f"{{'verdict': 'fail'}} or {PASS}", "unparsable"),
        (f"{{{FAIL}}}", "unparsable"),
        (f"{{ broken\n{FAIL}", "unparsable"),
        ('{"verdict": "fail"', "unparsable"),
        ('{"verdict": "fail", "critique": "no end', "unparsable"),
        ('{"reasoning": "the verdict is fail", "critique": "verdict: fail"}', "unparsable"),
        # Words that are not the two.
        ('{"verdict": "échec"}', "out_of_enum"),
        ('{"verdict": "not a fail"}', "out_of_enum"),
        ('{"verdict": "fail."}', "out_of_enum"),
        ('{"verdict": "FAILED"}', "out_of_enum"),
        ('{"verdict": "pass/fail"}', "out_of_enum"),
        ('{"verdict": ""}', "out_of_enum"),
        ('{"verdict": null}', "out_of_enum"),
        ('{"verdict": true}', "out_of_enum"),
        ('{"verdict": 1}', "out_of_enum"),
        ('{"verdict": ["fail"]}', "out_of_enum"),
        ('{"verdict": {"verdict": "fail"}}', "out_of_enum"),
        ('{"verdict": "f a i l"}', "out_of_enum"),
        ('{"verdict": "Unsure"}', "unsure"),
        ('{"verdict": "unknown"}', "unsure"),
        # Nothing, and refusals.
        ("", "empty"),
        (" \n\t", "empty"),
        ("I'm sorry, but I can't help with that.", "refusal"),
        ("I’m sorry, I cannot judge this.", "refusal"),
        ("I cannot assist with this request.", "refusal"),
        ("Sorry is what the assistant should have said.", "refusal"),
        ("The user says: I cannot log in.", "unparsable"),
    ],
)
def test_where_there_is_none_none_is_made_up(text: str, reason: str) -> None:
    parsed = parse(Reply(text))
    assert (parsed.label, parsed.reason) == (None, reason)


@pytest.mark.parametrize(
    ("reply", "label", "reason"),
    [
        (Reply(FAIL, finish="content_filter"), None, "content_filter"),
        (Reply("", finish="too_long"), None, "too_long"),
        (Reply(FAIL, refusal="I will not."), None, "refusal"),
        (Reply("", finish="length"), None, "truncated"),
        (Reply('{"critique": "It goes on and', finish="length"), None, "truncated"),
        (Reply("It says FAIL and", finish="length"), None, "truncated"),
        (Reply(f"{FAIL}\n{PASS}", finish="length"), None, "truncated"),
        (Reply(FAIL, finish="length"), "fail", None),
        (Reply(FAIL, finish="tool_calls"), "fail", None),
    ],
)
def test_how_the_reply_ended_counts(reply: Reply, label: str | None, reason: str | None) -> None:
    parsed = parse(reply)
    assert (parsed.label, parsed.reason) == (label, reason)


def test_a_critique_that_is_no_text_is_left_out_and_one_that_no_file_holds_is_mended() -> None:
    assert parse(Reply('{"critique": ["a"], "verdict": "pass"}')).critique == ""
    parsed = parse(Reply('{"critique": "half \\ud83d", "verdict": "pass"}'))
    assert parsed.label == "pass"
    assert parsed.critique.encode().startswith(b"half ")


# --- fuzz

PIECES = st.sampled_from(
    [
        *("{", "}", "[", "]", '"', ",", ":", "\\", "\n", " ", "```", "```json\n", "'", "{}", "{{"),
        *('"verdict"', "verdict", ': "fail"', ': "pass"', '"FAIL"', "fail", "pass", "not a FAIL"),
        *('{"verdict": "fail"}', '{"verdict": "pass"}', '"critique": "', "échec", "null", "\ud83d"),
        *('{"a": {"verdict": "pass"}}', "I cannot", "<think>", "e9999", "NaN", "\u0000", "\ufeff"),
    ]
)
VERDICT_FIELD = re.compile(r'"\s*verdict\s*"\s*:\s*"\s*(pass|fail)\s*"', re.I)


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=14).map("".join), st.sampled_from(["stop", "length", "weird"]))
@example('{"verdict":"fail"}{"verdict":"pass"}', "stop")
@example('{"a":' * 20000, "stop")
@example("{" * 20000, "stop")
@example("[" * 20000 + FAIL, "stop")
@example('{"verdict": ' + "9" * 5000 + "}", "stop")
def test_the_parser_never_raises_and_never_guesses(text: str, finish: str) -> None:
    parsed = parse(Reply(text, finish=finish))
    if parsed.label is None:
        assert parsed.reason in ABSTENTIONS
    else:
        # Whatever it says was said by a verdict field, and by no other one.
        assert parsed.reason is None
        assert {word.casefold() for word in VERDICT_FIELD.findall(text)} >= {parsed.label}
    parsed.critique.encode()


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
def test_prose_without_a_verdict_object_is_no_verdict(before: str, after: str) -> None:
    words = f"{before} verdict: fail, the verdict is FAIL {after}".replace('"', "")
    assert parse(Reply(words)).label is None


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["pass", "fail"]),
    st.text(max_size=80),
    st.text(max_size=80),
    st.sampled_from([None, 1, 2]),
)
def test_whatever_a_critique_quotes_the_field_decides(
    label: str, reasoning: str, critique: str, indent: int | None
) -> None:
    said = {"reasoning": reasoning + PASS + FAIL, "critique": critique + FAIL, "verdict": label}
    for text in (
        json.dumps(said, indent=indent),
        json.dumps(said, indent=indent, ensure_ascii=False),
        f"Here:\n```json\n{json.dumps(said)}\n```",
    ):
        assert parse(Reply(text)).label == label


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 200))
def test_a_cut_off_answer_is_no_answer(end: int) -> None:
    whole = json.dumps({"critique": f"It says {PASS}.", "verdict": "fail", "more": {"a": [1]}})
    cut = whole[: min(end, len(whole) - 1)]
    assert parse(Reply(cut)).label is None
