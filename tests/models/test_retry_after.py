"""The Retry-After header in its two forms, and in none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from judgelab.models.retry_after import seconds


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        (" 3 ", 3.0),
        ("0", 0.0),
        ("-5", 0.0),
        ("nan", 0.0),
        ("inf", float("inf")),
        (None, 0.0),
        ("", 0.0),
        ("soon", 0.0),
        ("Tue, 99 Foo 2026", 0.0),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 0.0),
    ],
)
def test_seconds_and_nonsense(value: str | None, wait: float) -> None:
    assert seconds(value) == wait


@pytest.mark.parametrize("zone", ["GMT", "+0000", "-0000"])
def test_a_date(zone: str) -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert 88 < seconds(until.replace("GMT", zone)) <= 90


def test_a_date_is_meant_by_the_server_s_clock() -> None:
    """Our clock is a day off; the response's own Date header is what the date is counted from."""
    there = datetime.now(UTC) - timedelta(days=1)
    date = format_datetime(there, usegmt=True)
    until = format_datetime(there + timedelta(seconds=40), usegmt=True)
    assert seconds(until, date) == 40
    assert seconds(date, until) == 0
    assert seconds(until) == 0
    assert seconds("7", date) == 7


@pytest.mark.parametrize("date", ["", "now", None])
def test_a_date_header_that_cannot_be_read_leaves_our_clock(date: str | None) -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert 88 < seconds(until, date) <= 90
