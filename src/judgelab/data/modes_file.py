"""Failure modes from a file: rows of {id, failure_mode} or {id, failure_modes}.

The modes are one name, several with ; between them, or a list of names or of objects whose `type`
is the name, or names with commas between them, as where each sentence has its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from judgelab.data.modes import Classified, ModeLog
from judgelab.data.readers import reader_for
from judgelab.data.readers.problems import Problems, quoted, shown
from judgelab.data.readers.values import key_text
from judgelab.data.schema import Dataset
from judgelab.data.taxonomy import SEPARATOR, Mode, Taxonomy, key, named

COLUMNS = ("failure_modes", "failure_mode", "modes")


@dataclass
class Taken:
    """What becomes of the rows.

    Attributes:
        given: classifications that say something else than what is in force.
        known: ids of rows that say what is in force.
        new: modes that the taxonomy has not.
    """

    given: list[Classified] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    new: list[Mode] = field(default_factory=list)


def read_modes(path: Path, dataset: Dataset, log: ModeLog, *, by: str, naming: bool) -> Taken:
    """What a file says of a dataset's failures; nothing is written.

    Args:
        by: who classified.
        naming: whether names that the taxonomy has not are new modes.

    Raises:
        DataError: unknown ids, items that are not labelled fail, an id twice, or names that are no
            modes; all such rows at once.
    """
    problems = Problems(shown(path))
    taxonomy = log.taxonomy
    new: dict[str, str] = {}
    fails = {e.id: e.interaction.content for e in dataset.examples if e.label == "fail"}
    there = {one.id for one in dataset.interactions}
    made, seen = Taken(), set[str]()
    for row in reader_for(path).rows(path):
        id_ = key_text(row.values.get("id"))
        if id_ not in fails:
            kind = "items that are not labelled fail" if id_ in there else "unknown ids"
            problems.add(kind, row.where, quoted(id_), "the id of an item that is labelled fail")
            continue
        if id_ in seen:
            problems.add("ids that occur twice", row.where, quoted(id_), "one row an item")
        seen.add(id_)
        names = []
        for name in _names(row.values, row.where, problems):
            known = spelt(name, row.where, taxonomy, new if naming else None, problems)
            names += [known] if known else []
        last = log.on((id_, fails[id_]))
        if sorted(taxonomy.in_order(last.modes) if last else ()) == sorted(set(names)):
            made.known.append(id_)
            continue
        one = Classified(id=id_, content=fails[id_], modes=tuple(names), by=by, via="import")
        made.given.append(replace(one, supersedes=last.sequence if last else None))
    problems.check()
    made.new = [Mode(name) for name in new.values()]
    return made


def spelt(
    name: str, where: str, taxonomy: Taxonomy, new: dict[str, str] | None, problems: Problems
) -> str | None:
    """A name as the taxonomy spells it; else one of the new names, which it joins where there may
    be any; else a problem, and None."""
    if known := taxonomy.spelt(name):
        return known
    if new is not None:
        return new.setdefault(key(name), name)
    near = taxonomy.near(name)
    found = quoted(name) + (f", like {quoted(near)}" if near else "")
    allowed = f"{', '.join(taxonomy.names) or 'none yet'}; --new-modes adds others"
    problems.add("names that are no failure modes", where, found, allowed)
    return None


def _names(row: Mapping[str, Any], where: str, problems: Problems) -> list[str]:
    """The names in a row, each once."""
    column = next((name for name in COLUMNS if name in row), None)
    if column is None:
        problems.add("no failure modes", where, f"it has {', '.join(row)}", " or ".join(COLUMNS))
        return []
    value = row[column]
    parts = value if isinstance(value, list) else key_text(value).split(SEPARATOR)
    found: list[Any] = []
    for one in parts:
        # A sentence with two error types names both in one text.
        kind = one.get("type") if isinstance(one, Mapping) else None
        found += str(kind).split(",") if kind else [None if isinstance(one, Mapping) else one]
    names = []
    for name in (one for one in found if one is None or str(one).strip()):
        try:
            names.append(named(name if isinstance(name, str) else str(name or "")))
        except ValueError as error:
            problems.add("no names", where, str(error), "a name, several with ; or a list of them")
    return list(dict.fromkeys(names))
