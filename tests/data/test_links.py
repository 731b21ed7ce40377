"""Resource links: an item fills in values, never the address."""

from __future__ import annotations

from typing import Any

import pytest

from judgelab.data.links import check_links, links_of
from judgelab.errors import ConfigError
from judgelab.types import Interaction

ITEM = Interaction(
    "a/b?c", "in", "out", {"customer": 'x"><script> & ü', "n": 7, "no": None}, {"kind": "k"}, "g"
)


def test_values_are_encoded_and_missing_ones_leave_the_link_out() -> None:
    links = {
        "crm": "https://crm.example.com/c/{context.customer}?n={context.n}",
        "log": "http://127.0.0.1:8000/{dimensions.kind}/{group}#{id}",
        "none": "https://h/{context.no}",
        "gone": "https://h/{context.other}",
        "fixed": "https://h",
    }
    check_links(links)
    assert dict(links_of(ITEM, links)) == {
        "crm": "https://crm.example.com/c/x%22%3E%3Cscript%3E%20%26%20%C3%BC?n=7",
        "log": "http://127.0.0.1:8000/k/g#a%2Fb%3Fc",
        "fixed": "https://h",
    }


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "{context.url}",
        "https://{context.host}/x",
        "https://h{context.host}/x",
        "https://user@h/x",
        "//h/x",
        "ftp://h/x",
        "https://h/ x",
        "https://h/{input}",
        "https://h/{}",
        "https://h/{context}",
        7,
        ["https://h"],
    ],
)
def test_an_address_is_http_with_a_host_of_its_own(address: Any) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.links\.x"):
        check_links({"x": address})
    with pytest.raises(ConfigError, match=r"dataset\.links"):
        check_links(address)
