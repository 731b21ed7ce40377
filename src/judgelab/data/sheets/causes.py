"""The column of root causes: names of failure modes beside the fails, which come back as events."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from judgelab.data.modes import Classified, ModeLog
from judgelab.data.modes_file import spelt
from judgelab.data.readers.base import Row
from judgelab.data.readers.problems import Problems, quoted
from judgelab.data.readers.values import body_text, key_text
from judgelab.data.sheets.merged import Merged
from judgelab.data.sheets.reading import Entry
from judgelab.data.standing import DIGITS, Standing
from judgelab.data.taxonomy import SEPARATOR, Mode, Taxonomy, key, named
from judgelab.types import sha256

COLUMN, STATE = "root_causes", "causes_state"
_FORM = re.compile("m[0-9]+-[0-9a-f]+")


@dataclass(frozen=True)
class Cause:
    """What a row says is behind a fail; `state` is what was said when it was written."""

    where: str
    id: str
    names: tuple[str, ...]
    state: str

    @property
    def is_untouched(self) -> bool:
        return self.state.partition("-")[2] == _digest(self.names)


@dataclass
class Named:
    """What becomes of the rows: the events of the new ones, and modes that they bring."""

    merged: Merged[Cause] = field(default_factory=Merged[Cause])
    given: list[Classified] = field(default_factory=list)
    new: list[Mode] = field(default_factory=list)


def cells(standing: Standing, ids: Sequence[str], log: ModeLog) -> dict[str, dict[str, str]]:
    """Both cells of each item; empty where the expert has not said fail. Nothing where the dataset
    has no failure modes."""
    if not log.taxonomy.names:
        return {}
    found = {}
    for id_ in ids:
        last = log.on((id_, standing.items[id_].content))
        fails = standing.said(id_).verdict == "fail"
        names = log.taxonomy.in_order(last.modes) if last and fails else ()
        state = f"m{last.sequence if last else 0}-{_digest(names)}"
        found[id_] = {COLUMN: f"{SEPARATOR} ".join(names), STATE: state}
    return found


def read(rows: Sequence[Row], source: str) -> list[Cause]:
    """What each row says. Raises DataError for names that cannot be one and damaged cells, all of
    them at once."""
    problems, found = Problems(source), list[Cause]()
    for row in rows:
        state, names = key_text(row.values.get(STATE)), list[str]()
        for word in body_text(row.values[COLUMN]).split(SEPARATOR):
            try:
                names += [named(word)] if word.strip() else []
            except ValueError as error:
                problems.add("no names", row.where, str(error), "a name, several with ; between")
        if not _FORM.fullmatch(state):
            allowed = "what was exported, unchanged: it says what was named before"
            problems.add(f"damaged cells (column {STATE!r})", row.where, quoted(state), allowed)
        found.append(Cause(row.where, key_text(row.values["id"]), tuple(names), state))
    problems.check()
    return found


def merge(
    rows: Sequence[Cause],
    labels: Merged[Entry],
    entries: Mapping[str, Entry],
    standing: Standing,
    log: ModeLog,
    *,
    naming: bool,
    source: str,
) -> Named:
    """Where every row belongs that names something, or did; nothing is written.

    A row is a conflict where its label is one or is no fail, where the texts have changed, or where
    somebody has classified the item since.

    Args:
        labels: what becomes of the labels of the same sheet; `entries` are they, by id.
        naming: whether names that the taxonomy has not are new modes.

    Raises:
        DataError: names that are no failure modes, all of them at once.
    """
    made, new = Named(), dict[str, str]()
    names = _spelt(rows, log.taxonomy, new if naming else None, source)
    refused = {one.id for one, _ in labels.conflicts}
    for one in rows:
        merged, entry = made.merged, entries[one.id]
        last = log.on((one.id, standing.items[one.id].content))
        now = log.taxonomy.in_order(last.modes) if last else ()
        if not one.names:
            if not one.is_untouched:
                merged.empty.append(one)
                merged.stray.append(one)
        elif one.is_untouched:
            merged.untouched.append(one)
        elif entry.version != standing.version(one.id):
            merged.conflicts.append((one, "its input or output has changed since"))
        elif entry.said.verdict != "fail":
            said = entry.said.verdict or "no verdict"
            merged.conflicts.append((one, f"only a fail has root causes, and its row says {said}"))
        elif one.id in refused:
            merged.conflicts.append((one, "its label is a conflict"))
        elif set(names[one.id]) == set(now):
            merged.known.append(one)
        elif one.state.partition("-")[0] != f"m{last.sequence if last else 0}":
            who = f"{last.by} named {', '.join(now) or 'nothing'} on {last.at[:10]}" if last else ""
            merged.conflicts.append((one, who or "what was said of it is gone"))
        else:
            merged.new.append(one)
            made.given.append(
                Classified(
                    id=one.id,
                    content=standing.items[one.id].content,
                    modes=names[one.id],
                    by=standing.expert,
                    via="sheet",
                    supersedes=last.sequence if last else None,
                )
            )
    used = {name for given in made.given for name in given.modes}
    made.new = [Mode(name) for name in new.values() if name in used]
    return made


def _spelt(
    rows: Sequence[Cause], taxonomy: Taxonomy, new: dict[str, str] | None, source: str
) -> dict[str, tuple[str, ...]]:
    """Of each item the names as the taxonomy spells them, each once."""
    problems, found = Problems(source), dict[str, tuple[str, ...]]()
    for one in rows:
        words = [spelt(name, one.where, taxonomy, new, problems) for name in one.names]
        found[one.id] = tuple(dict.fromkeys(filter(None, words)))
    problems.check()
    return found


def _digest(names: Sequence[str]) -> str:
    return sha256(sorted({key(name) for name in names}))[:DIGITS]
