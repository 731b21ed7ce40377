"""What is wrong with a file, collected in one pass and said in one message."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from judgelab.errors import DataError

LISTED = 5  # rows named per problem


def shown(path: Path) -> str:
    """A path as a person would type it: relative to the working directory where it can be."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def quoted(value: object, limit: int = 60) -> str:
    """A found value in quotes, cut where it is long."""
    text = value if isinstance(value, str) else str(value)
    return repr(text if len(text) <= limit else text[:limit] + "…")


def rows_count(count: int) -> str:
    """ "1 row", "2 rows"."""
    return f"{count} row" if count == 1 else f"{count} rows"


def rows_text(places: list[str], count: int) -> str:
    """ "row 7, row 9 and 3 more": the first places of `count`."""
    rest = count - len(places)
    return ", ".join(places) + (f" and {rest} more" if rest else "")


@dataclass
class _Problem:
    allowed: str
    count: int = 0
    places: list[str] = field(default_factory=list)


class Problems:
    """Collects problems by kind; `check` raises one DataError that holds all of them."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._kinds: dict[str, _Problem] = {}
        self._texts: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._kinds or self._texts)

    def add(self, kind: str, where: str, found: str, allowed: str) -> None:
        """One row with a problem: what it is called, the row, what was found, what is allowed."""
        problem = self._kinds.setdefault(kind, _Problem(allowed))
        problem.count += 1
        if len(problem.places) < LISTED:
            problem.places.append(f"{where} ({found})" if found else where)

    def say(self, text: str) -> None:
        """A problem that already is a whole sentence."""
        self._texts.append(text)

    def check(self) -> None:
        """Raises DataError if anything was added."""
        if self:
            lines = [self._line(kind, problem) for kind, problem in self._kinds.items()]
            lines += self._texts
            raise DataError(
                f"{self.source}: nothing was loaded.\n" + "\n".join(f"- {line}" for line in lines)
            )

    def _line(self, kind: str, problem: _Problem) -> str:
        places = rows_text(problem.places, problem.count)
        return f"{kind}, {rows_count(problem.count)}: {places}. Allowed: {problem.allowed}."
