"""Keys blotted out of what a server says, in the spellings that servers echo them in."""

from __future__ import annotations

import os
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable
from functools import cache
from html import escape

SHORTEST_BASE64 = 8  # fewer digits are found in any word
SHORTEST_KNOWN = 8  # of a variable that only looks like a secret
HTML = "&<>\"'"
NAMES = ("_KEY", "_TOKEN", "_SECRET", "PASSWORD")


def known() -> dict[str, str]:
    """The environment variables that look like secrets, with their values."""
    return {
        name: value.strip()
        for name, value in os.environ.items()
        if name.upper().endswith(NAMES) and len(value.strip()) >= SHORTEST_KNOWN
    }


def holding(text: str) -> list[str]:
    """The names of the environment variables whose secret is in a text."""
    return [name for name, value in known().items() if blot(text, [value]) != text]


def blot(text: str, secrets: Iterable[str]) -> str:
    """The text with *** for each secret: plain, escaped for a URL, for HTML or as a quoted text
    (once or more often), or anywhere within Base64."""
    for secret in secrets:
        if secret:
            text = _spellings(secret).sub("***", text)
    return text


@cache
def _spellings(secret: str) -> re.Pattern[str]:
    data = secret.encode("utf-8", "surrogateescape")
    found = ["".join(map(_letter, secret))]
    for encode in (b64encode, urlsafe_b64encode):
        for shift in range(3):  # three bytes are four digits: what stands before shifts them
            digits = encode(bytes(shift) + data).decode()
            whole = digits[-(-shift * 8 // 6) : (shift + len(data)) * 8 // 6]
            if len(whole) >= SHORTEST_BASE64:
                found.append(re.escape(whole))
    return re.compile("|".join(dict.fromkeys(found)))


def _letter(letter: str) -> str:
    """A pattern for what a letter of a secret may be written as."""
    if letter.isascii() and letter.isalnum():
        return letter
    octets = letter.encode("utf-8", "surrogateescape")
    forms = [
        r"\\+" if letter == "\\" else r"\\*" + re.escape(letter),
        "(?i:" + "".join(f"%(?:25)*{octet:02x}" for octet in octets) + ")",
        "(?i:" + "".join(rf"\\+x{octet:02x}" for octet in octets) + ")",
        rf"(?i:\\+(?:u{ord(letter):04x}|x{ord(letter):02x}))",
        rf"(?i:&#(?:{ord(letter)}|x{ord(letter):x});)",
    ]
    forms += [re.escape(escape(letter))] if letter in HTML else []
    forms += [r"\+"] if letter == " " else []
    return f"(?:{'|'.join(forms)})"
