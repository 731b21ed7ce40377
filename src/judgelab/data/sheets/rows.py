"""The rows to label: everything on one row, the newest label of the expert filled in."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from judgelab.data.events import CANNOT
from judgelab.data.readers.values import body_text
from judgelab.data.sheets.cells import cut, fits, is_cut
from judgelab.data.standing import Said, Standing
from judgelab.types import Interaction

LABELS = "labels"  # the sheet
SAID = ("verdict", "critique", "could_be_better", "what_is_missing")
SEEN = ("version", "state")
NEEDED = ("id", *SAID, *SEEN)
WORDS = {"pass": "pass", "fail": "fail", "cannot judge": CANNOT}
SPELT = {CANNOT: "cannot judge"}
YES = "yes"


@dataclass(frozen=True)
class Sheet:
    """A table of texts. `choices` are all that a column may hold, `typed` columns are to be filled
    in, `hidden` ones are ours."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Mapping[str, str]]
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    hidden: Sequence[str] = ()
    typed: Sequence[str] = SAID

    @property
    def cut(self) -> dict[str, list[str]]:
        """The columns in which a text did not fit, by item."""
        found = {row["id"]: [name for name in row if is_cut(row[name])] for row in self.rows}
        return {id_: names for id_, names in found.items() if names}


def chosen(standing: Standing, *, everything: bool, n: int | None, seed: int) -> list[str]:
    """Ids of what this expert has not decided yet, or of all, in a random order: whoever stops
    early has labelled a random sample."""
    ids = [id_ for id_ in standing.items if everything or not standing.said(id_).verdict]
    random.Random(seed).shuffle(ids)
    return ids[:n]


def texts(item: Interaction) -> dict[str, object]:
    """Everything that is shown of an item, flat."""
    return {
        "input": item.input,
        "output": item.output,
        **{f"context.{name}": value for name, value in item.context.items()},
        **{f"dimensions.{name}": value for name, value in item.dimensions.items()},
    }


def to_label(
    standing: Standing,
    ids: Sequence[str],
    causes: Mapping[str, Mapping[str, str]] | None = None,
) -> tuple[Sheet, list[str]]:
    """The sheet, and the ids that have no place in it: words of the expert's that do not fit a
    cell are never cut.

    Args:
        causes: of each item a cell to be filled in and one of ours, as `sheets.causes` has them.
    """
    more = next(iter((causes or {}).values()), {})
    typed, ours = (*SAID, *list(more)[:1]), (*SEEN, *list(more)[1:])
    rows, left = [], []
    for id_ in ids:
        own = (causes or {}).get(id_, {})
        said = spelt(standing.said(id_)) | {name: own[name] for name in typed if name in own}
        if all(map(fits, (id_, *said.values()))):
            shown = {name: cut(body_text(value), id_) for name, value in _shown(standing, id_)}
            seen = {"version": standing.version(id_), "state": standing.state(id_), **own}
            rows.append({"id": id_, **shown, **said, **seen})
        else:
            left.append(id_)
    named = dict.fromkeys(name for row in rows for name in row)
    behind = [name for name in named if name not in ("id", "input", "output", *typed, *ours)]
    behind.sort(key=lambda name: not name.startswith("context."))
    columns = ["id", "input", "output", *typed, *behind, *ours]
    choices = {"verdict": tuple(WORDS), "could_be_better": (YES,)}
    return Sheet(LABELS, columns, rows, choices, ours, typed), left


def spelt(said: Said) -> dict[str, str]:
    """A label as cells."""
    better = YES if said.could_be_better else ""
    words = (SPELT.get(said.verdict, said.verdict), said.critique, better, said.missing)
    return dict(zip(SAID, words, strict=True))


def _shown(standing: Standing, id_: str) -> list[tuple[str, object]]:
    return list(texts(standing.items[id_]).items())
