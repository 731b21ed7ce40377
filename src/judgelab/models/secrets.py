"""Keys blotted out of what a server says, in the spellings that servers echo them in."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from urllib.parse import quote

SHORTEST_BASE64 = 8  # fewer digits are found in any word


def blot(text: str, secrets: Iterable[str]) -> str:
    """The text with *** for each secret: plain, URL-encoded, or anywhere within Base64."""
    for secret in secrets:
        if secret:
            for spelling in sorted(_spellings(secret), key=len, reverse=True):
                text = text.replace(spelling, "***")
    return text


def _spellings(secret: str) -> Iterator[str]:
    data = secret.encode("utf-8", "surrogateescape")
    yield from (secret, quote(data), quote(data, safe=""))
    for encode in (b64encode, urlsafe_b64encode):
        for shift in range(3):  # three bytes are four digits: what stands before shifts them
            digits = encode(bytes(shift) + data).decode()
            whole = digits[-(-shift * 8 // 6) : (shift + len(data)) * 8 // 6]
            if len(whole) >= SHORTEST_BASE64:
                yield whole
