"""What comes back against what is there: nobody's label is overwritten unseen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from judgelab.data.events import ConflictError
from judgelab.data.readers.problems import Problems, quoted
from judgelab.data.sheets.merged import Merged
from judgelab.data.sheets.reading import WORDS_OF, Entry
from judgelab.data.standing import Said, Standing, shows


def merge(entries: Iterable[Entry], standing: Standing, source: str) -> Merged[Entry]:
    """Every row has its place; nothing is written.

    A row is a conflict where the item's texts are others than those it was labelled for, or where
    the same expert has labelled the item since.

    Raises:
        DataError: ids that the dataset does not have, all of them at once.
    """
    entries = list(entries)
    problems = Problems(source)
    for one in entries:
        if one.id not in standing.items:
            allowed = "an id of the dataset's interactions (dataset=...)"
            problems.add("unknown ids", one.where, quoted(one.id), allowed)
    problems.check()
    made = Merged[Entry](heads={one.id: standing.head(one.id) for one in entries})
    for one in entries:
        _place(one, standing, made)
    return made


def write(made: Merged[Entry], standing: Standing, page: str) -> Iterator[Entry]:
    """Append what is new, row by row as it is on disk; who labelled meanwhile is a conflict too."""
    for one in list(made.new):
        given = standing.given(one.id, one.said, _visible(one, page))
        try:
            standing.log.append(given, made.heads[one.id])
        except ConflictError:
            made.new.remove(one)
            made.conflicts.append((one, _meanwhile(standing, one.id)))
        else:
            yield one


def _place(one: Entry, standing: Standing, made: Merged[Entry]) -> None:
    now = standing.said(one.id)
    one = replace(one, said=_whole(one, now))
    seen = one.state is not None and shows(one.state, one.said)
    if not one.said.verdict:
        made.empty.append(one)
        if not seen and (one.state is not None or one.said != Said()):
            made.stray.append(one)
    elif seen:
        made.untouched.append(one)
    elif one.version != standing.version(one.id):
        made.conflicts.append((one, "its input or output has changed since"))
    elif one.said.hash == now.hash:
        made.known.append(one)
    elif one.state == standing.state(one.id) or (one.state is None and not now.verdict):
        made.new.append(one)
    else:
        made.conflicts.append((one, _meanwhile(standing, one.id)))


def _whole(one: Entry, now: Said) -> Said:
    """The same verdict leaves standing what the format has no place for."""
    if one.said.verdict != now.verdict:
        return one.said
    kept = {name: getattr(now, name) for name in WORDS_OF if name not in one.places}
    return replace(one.said, **kept)


def _meanwhile(standing: Standing, id_: str) -> str:
    newest, now = standing.newest(id_), standing.said(id_)
    who = f"{standing.expert} labelled it"
    if newest is None:
        return f"{who} {now.verdict or 'not at all'} in the dataset's own files"
    if newest.kind == "undo":
        return f"{standing.expert} took a label back on {newest.at[:10]} (event {newest.sequence})"
    return f"{who} {now.verdict} on {newest.at[:10]} (event {newest.sequence})"


def _visible(one: Entry, page: str) -> dict[str, Any]:
    """For the event: what was on the page."""
    seen: dict[str, Any] = {"fields": list(one.fields), "judge": "shown" if one.judge else "hidden"}
    if one.cut:
        seen["cut"] = list(one.cut)
    return {**seen, "page": page, **one.origin}
