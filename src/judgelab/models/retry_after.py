"""How long a server asks to wait: the Retry-After header, in seconds or as an HTTP date."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def seconds(value: str | None, date: str | None = None) -> float:
    """0.0 where the server says nothing that can be read.

    `date` is the Date header of the same response: the server's clock, by which a date is meant.
    """
    if not value:
        return 0.0
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    until = _moment(value)
    if until is None:
        return 0.0
    now = _moment(date) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def _moment(date: str | None) -> datetime | None:
    try:
        when = parsedate_to_datetime(date or "")
    except (ValueError, OverflowError):
        return None
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when
