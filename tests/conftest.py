"""Fixtures that several folders of tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from server import ChatServer


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer() as made:
        yield made
