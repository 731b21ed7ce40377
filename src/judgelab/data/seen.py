"""What the expert labelled before the rubric froze: it was in sight while the rubric was written.

A judge that follows such a rubric looks better on those items than on unseen ones. That is how dev
is used; where it touches test, the number of test is too good.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from judgelab.data.assignment import content_key
from judgelab.data.events import EventLog
from judgelab.data.ledger import Ledger
from judgelab.data.split import PARTS, SplitConfig
from judgelab.types import Interaction

NOT_YET = "not assigned"


@dataclass(frozen=True)
class Before:
    """Of the labelled items of a part: `before` were labelled, at least once, under another rubric
    than the one in force; of `unknown` nobody wrote down which one was (labels of the data's own
    files). The others saw this rubric alone."""

    part: str
    labels: int
    before: int
    unknown: int

    @property
    def named(self) -> str:
        """The part, for a person."""
        return "out of fold" if self.part == "cv" else self.part

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def parts_of(items: Iterable[Interaction], config: SplitConfig, folder: Path) -> dict[str, str]:
    """The part of each item that `folder`/<name>.csv holds by its texts; nobody is assigned."""
    known = Ledger(folder / f"{config.name}.csv", config.settings).read()
    keys = ((one.id, content_key(one)) for one in items)
    return {id_: known[key][0] for id_, key in keys if key in known}


def labelled_before(
    ids: Iterable[str],
    log: EventLog,
    content: Mapping[str, str],
    parts: Mapping[str, str],
    rubric: str,
    expert: str = "",
    older: Collection[str] = (),
) -> list[Before]:
    """The counts of each part that has labels.

    Args:
        ids: the labelled items.
        content: the hash of each item's texts; labels of other texts do not count.
        rubric: the hash of the rubric in force.
        expert: whose labels, where somebody is named.
        older: ids whose label a round froze under another rubric.
    """
    labels, before, unknown = Counter[str](), Counter[str](), Counter[str]()
    for id_ in ids:
        part = parts.get(id_, NOT_YET)
        under = {
            one.rubric
            for one in log.of(id_)
            if one.kind == "label" and one.content == content[id_] and expert in ("", one.expert)
        }
        seen = id_ in older or bool(under - {rubric, None})
        labels[part] += 1
        before[part] += seen
        unknown[part] += not seen and under <= {None}
    order = [part for part in PARTS if part in labels] + sorted(labels.keys() - set(PARTS))
    return [Before(part, labels[part], before[part], unknown[part]) for part in order]


def in_words(found: Sequence[Before]) -> str:
    """One line; empty where no label says under which rubric it was given."""
    if not any(one.labels > one.unknown for one in found):
        return ""
    whole, seen = sum(one.labels for one in found), sum(one.before for one in found)
    parts = ", ".join(f"{one.named} {one.before} of {one.labels}" for one in found)
    said = f"labelled before the rubric in force: {seen} of {whole} ({parts})"
    if unknown := sum(one.unknown for one in found):
        said += f"; of {unknown} it is not known"
    if test := next((one.before for one in found if one.part == "test"), 0):
        said += (
            f". The {test} of test were in sight while the rubric was written, and flatter the "
            "judge: label new items for test"
        )
    return said
