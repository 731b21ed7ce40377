"""Hashes: what is known by them must not change its name."""

from __future__ import annotations

import pytest

from judgelab.types import canonical_json, sha256, sha256_of


@pytest.mark.parametrize("values", [[], [1], ["ä", None, {"b": 1, "a": [0.5]}], ["\ud800"]])
def test_a_hash_a_row_at_a_time_is_that_of_the_list(values):
    assert sha256_of(iter(values)) == sha256(values)


def test_a_text_is_hashed_as_it_is_and_all_else_as_canonical_json():
    assert sha256("a").startswith("ca978112ca1bbdca")
    assert canonical_json({"b": [1, "ü"], "a": None}) == '{"a":null,"b":[1,"ü"]}'
    assert sha256({"b": 1, "a": 2}) == sha256('{"a":2,"b":1}')
