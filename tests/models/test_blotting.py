"""A key is blotted out in every spelling that a server may echo it in."""

from __future__ import annotations

import html
import json
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus

import pytest

from judgelab.models.secrets import blot

KEY = "sk-canary/77+A?b=ö~x yz\\\"'&<"


@pytest.mark.parametrize(
    "said",
    [
        KEY,
        quote(KEY),
        quote_plus(KEY),
        quote(KEY, safe=""),
        quote(KEY, safe="").lower().replace("a%3f", "A%3f"),
        quote(quote(KEY)),
        json.dumps(KEY)[1:-1],
        json.dumps(json.dumps(KEY, ensure_ascii=False))[3:-3],
        repr(KEY)[1:-1],
        repr(repr(KEY))[2:-2],
        json.dumps(repr(KEY.encode()))[3:-2],
        html.escape(KEY),
        *(b64encode(b"u" * n + KEY.encode()).decode() for n in range(4)),
        *(b64encode(b"Bearer " + KEY.encode() + b"v" * n).decode() for n in range(4)),
        urlsafe_b64encode(f"user:{KEY}".encode()).decode().rstrip("="),
    ],
)
def test_no_spelling_is_left(said: str) -> None:
    left = blot(f"Incorrect API key {said} given.", [KEY])
    assert "***" in left
    assert left.startswith("Incorrect API key ")
    assert left.endswith(" given.")
    # A digit or two at each end belong to the neighbours' bytes as well.
    assert not any(said[i : i + 6] in left for i in range(6, len(said) - 12))


def test_each_secret_is_blotted_and_an_empty_one_is_none() -> None:
    assert blot("a first b second c", ["", "first", "second"]) == "a *** b *** c"
    assert blot("nothing", [""]) == "nothing"


def test_a_short_key_leaves_other_words_alone() -> None:
    assert blot("Incorrect key xy1 in eHkx.", ["xy1"]) == "Incorrect key *** in eHkx."


def test_what_is_no_text_does_no_harm() -> None:
    assert blot(json.dumps({"key": "k\udcff"}, ensure_ascii=False), ["k\udcff"]) == '{"key": "***"}'
