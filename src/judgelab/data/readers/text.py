"""UTF-8 lines of a file; what is no text is said with its line and byte."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from judgelab.data.readers.problems import Problems, shown
from judgelab.errors import DataError

_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_ESCAPED = re.compile("[\udc80-\udcff]")
_SAVE_AS = 'UTF-8 text; save the file as UTF-8 (in Excel: "CSV UTF-8")'


def lines(path: Path, problems: Problems) -> Iterator[tuple[int, str]]:
    """(line number from 1, the line with its line end); lines that are no text are left out.

    A UTF-8 byte order mark is dropped. Lines end at newlines alone, so that a cell or a JSON
    string may hold any other Unicode line break.
    """
    offset = 0
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            if number == 1 and raw.startswith(_UTF16):
                raise DataError(f"{shown(path)}: the file is UTF-16. Allowed: {_SAVE_AS}.")
            start = len(_BOM) if number == 1 and raw.startswith(_BOM) else 0
            line = raw[start:].decode("utf-8", "surrogateescape")
            bad = None if line.isascii() else _ESCAPED.search(line)
            where = f"line {number}"
            if bad:
                at = offset + start + len(line[: bad.start()].encode("utf-8", "surrogateescape"))
                found = f"byte 0x{ord(bad[0]) - 0xDC00:02x} at offset {at}"
                problems.add("invalid UTF-8", where, found, _SAVE_AS)
            elif "\x00" in line:
                found = f"at character {line.index(chr(0)) + 1}"
                problems.add("NUL characters", where, found, "text without NUL")
            else:
                yield number, line
            offset += len(raw)
