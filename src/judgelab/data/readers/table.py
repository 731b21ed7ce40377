"""What every format with a header row shares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from judgelab.errors import DataError


def header_names(cells: Sequence[object], source: str) -> list[str]:
    """Column names, stripped; a nameless column (as pandas writes its index) is "column 3".

    Raises:
        DataError: no name at all, or a name twice.
    """
    names = ["" if cell is None else str(cell).strip() for cell in cells]
    if not any(names):
        raise DataError(
            f"{source}: row 1 holds no column names. It needs a header with the columns' names."
        )
    twice = [name for name, count in Counter(names).items() if name and count > 1]
    if twice:
        raise DataError(
            f"{source}: row 1 names {', '.join(map(repr, twice))} more than once. "
            "Every column needs a name of its own; rename one of them."
        )
    return [name or f"column {number}" for number, name in enumerate(names, 1)]
