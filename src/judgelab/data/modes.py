"""labels/<name>.modes.jsonl: which failure modes each failed item has, one event a line.

A classification belongs to the texts it was given for, as a label does; the newest of an item's
texts counts, whoever gave it, while the item is labelled fail. Each says under which version of the
taxonomy it was given, and every version that was used stands in the file whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from judgelab import resources
from judgelab.data.numbered import NumberedLog, checked
from judgelab.data.schema import Dataset
from judgelab.data.taxonomy import (
    Mode,
    Taxonomy,
    add_modes,
    key,
    named,
    read_taxonomy,
    taxonomy_path,
)
from judgelab.errors import DataError, UserError

KINDS: Mapping[str, Mapping[str, tuple[type, ...]]] = {
    "taxonomy": {"sha256": (str,), "modes": (dict,)},
    "modes": {
        **dict.fromkeys(("id", "content", "taxonomy", "via"), (str,)),
        "modes": (list,),
        "supersedes": (int, type(None)),
    },
    "proposal": {**dict.fromkeys(("name", "description", "why"), (str,)), "items": (list,)},
    "accepted": {"proposal": (int,), "name": (str,)},
    "declined": {"proposal": (int,), "name": (str,)},
}
Key = tuple[str, str]  # id, content


def modes_path(name: str) -> Path:
    """Where the lab keeps what the failures of a dataset were classified as."""
    return resources.lab() / "labels" / f"{name}.modes.jsonl"


@dataclass(frozen=True, kw_only=True)
class Classified:
    """The failure modes of an item's texts; none takes back what was said before.

    Attributes:
        content: hash of (input, output).
        modes: names of the taxonomy.
        by: who says so.
        via: review, sheet, import, or what proposed it.
        taxonomy: hash of the version that it was given under.
        supersedes: the sequence of the event before it on these texts, or None.
        sequence: counts the lines of the file from 1.
        at: UTC, for display alone.
    """

    id: str
    content: str
    modes: tuple[str, ...]
    by: str
    via: str = "review"
    taxonomy: str = ""
    supersedes: int | None = None
    sequence: int = 0
    at: str = ""

    @property
    def key(self) -> Key:
        return self.id, self.content


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A mode that somebody proposes, with the ids of the failures that it would name."""

    name: str
    description: str
    items: tuple[str, ...]
    by: str
    why: str = ""
    sequence: int = 0
    at: str = ""


class ModesMovedError(UserError):
    """Somebody classified the item meanwhile; `now` is what they said. Nothing was written."""

    def __init__(self, now: Classified | None) -> None:
        super().__init__("this item was classified meanwhile; nothing was overwritten.")
        self.now = now


class ModeLog(NumberedLog):
    """The file, the taxonomy beside it, and the view of both; several processes may use them.

    Args:
        path: the file; it need not be there.
        taxonomy: of the yaml.
        upto: only the first so many lines, to see it as it was.
    """

    what = "line of failure modes"

    def __init__(self, path: Path, taxonomy: Path, upto: int | None = None) -> None:
        self.yaml = taxonomy
        self._taxonomy, self._yaml_seen = Taxonomy(), (0, 0, 0)
        super().__init__(path, upto)

    @classmethod
    def of(cls, name: str, upto: int | None = None) -> ModeLog:
        """Of a dataset, in the lab."""
        return cls(modes_path(name), taxonomy_path(name), upto)

    @property
    def taxonomy(self) -> Taxonomy:
        """As the yaml says now. Raises DataError for what is wrong in it."""
        try:
            state = self.yaml.stat()
            now = state.st_size, state.st_mtime_ns, state.st_ino
        except FileNotFoundError:
            now = (0, 0, 0)
        if now != self._yaml_seen:
            self._taxonomy, self._yaml_seen = read_taxonomy(self.yaml), now
        return self._taxonomy

    @property
    def versions(self) -> Mapping[str, Mapping[str, Any]]:
        """The modes of every version that something was classified under, by its hash."""
        return self._versions

    def on(self, key: Key) -> Classified | None:
        """The last event on an item's texts."""
        return self._newest.get(key)

    def classify(self, given: Sequence[Classified], new: Sequence[Mode] = ()) -> None:
        """Append classifications, all or none; on disk when this returns.

        Args:
            given: `taxonomy`, `sequence` and `at` are set here, and every name as the taxonomy
                spells it. `supersedes` is the event that was seen.
            new: modes that the taxonomy gets first.

        Raises:
            ModesMovedError: an item was classified meanwhile.
            DataError: a mode that the taxonomy has not, or has already; a damaged file.
        """
        with self._writing() as file:
            for one in given:
                last = self.on(one.key)
                if one.supersedes != (last.sequence if last else None):
                    raise ModesMovedError(last)
            taxonomy = add_modes(self.yaml, new) if new else self.taxonomy
            rows: list[dict[str, Any]] = []
            if taxonomy.sha256 not in self._versions:
                by = given[0].by if given else ""
                about = {"sha256": taxonomy.sha256, "modes": taxonomy.to_json()}
                rows.append({"kind": "taxonomy", "by": by, **about})
            for one in given:
                names = tuple(_known(taxonomy, name, self.yaml) for name in one.modes)
                made = replace(one, modes=taxonomy.in_order(names), taxonomy=taxonomy.sha256)
                fields = {name: getattr(made, name) for name in KINDS["modes"]}
                rows.append({"kind": "modes", "by": made.by, **fields})
            self._add(file, *rows)

    @property
    def open(self) -> Sequence[Proposal]:
        """The proposals that nobody has decided on."""
        return [one for one in self._proposals.values() if one.sequence not in self._decided]

    def suggested(self, id_: str) -> list[str]:
        """The modes of accepted proposals that name an item: to be looked at, in force nowhere."""
        names = (
            name
            for number, name in self._decided.items()
            if name and id_ in self._proposals[number].items
        )
        return list(self.taxonomy.in_order(names))

    def propose(self, proposals: Sequence[Proposal]) -> list[Proposal]:
        """Append those whose name is neither a mode nor proposed, or was declined; give them."""
        with self._writing() as file:
            taxonomy = self.taxonomy
            taken = {key(one.name) for one in self._proposals.values()}
            kept = {key(one.name): one for one in proposals if not taxonomy.spelt(one.name)}
            kinds = KINDS["proposal"]
            self._add(
                file,
                *(
                    {"kind": "proposal", "by": one.by}
                    | {name: getattr(one, name) for name in kinds}
                    | {"items": list(one.items), "name": named(one.name)}
                    for spelt, one in kept.items()
                    if spelt not in taken
                ),
            )
            return [one for one in self.open if key(one.name) in kept.keys() - taken]

    def decide(self, number: int, *, by: str, name: str = "", description: str = "") -> None:
        """Put a proposal into the taxonomy under a name, or decline it without one.

        Raises:
            UserError: it is not open any more.
            DataError: the name is a mode already, or the yaml cannot be added to.
            ValueError: what cannot be a name.
        """
        with self._writing() as file:
            if number not in {one.sequence for one in self.open}:
                raise UserError("this proposal is not open any more. Nothing was changed.")
            if name:
                name = named(name)
                add_modes(self.yaml, [Mode(name, description)])
            kind = "accepted" if name else "declined"
            self._add(file, {"kind": kind, "by": by, "proposal": number, "name": name})

    def _clear(self) -> None:
        self._proposals: dict[int, Proposal] = {}
        self._decided: dict[int, str] = {}
        self._versions: dict[str, Mapping[str, Any]] = {}
        self._newest: dict[Key, Classified] = {}

    def _put(self, row: Any, number: int) -> None:
        row = checked(row, number, KINDS)
        kind = row.pop("kind")
        if kind == "taxonomy":
            self._versions[row["sha256"]] = row["modes"]
            return
        if kind == "proposal":
            self._proposals[number] = Proposal(**{**row, "items": tuple(row["items"])})
            return
        if kind in ("accepted", "declined"):
            if row["proposal"] not in self._proposals:
                raise ValueError(f"there is no proposal {row['proposal']} before it")
            self._decided[row["proposal"]] = row["name"]
            return
        made = Classified(**{**row, "modes": tuple(row["modes"])})
        last = self.on(made.key)
        if made.supersedes != (last.sequence if last else None):
            raise ValueError(f"it supersedes {made.supersedes}, which is not the last of its item")
        self._newest[made.key] = made


def modes_of(dataset: Dataset, log: ModeLog | None = None) -> dict[str, tuple[str, ...]]:
    """The failure modes of each item that is labelled fail and was classified as it is now.

    Names are today's, in the taxonomy's order; a mode that left the taxonomy is no mode any more.
    Items that nobody classified are not there.

    Args:
        dataset: with its labels.
        log: else the lab's of this dataset.

    Raises:
        DataError: a damaged file, or a taxonomy that cannot be read.
    """
    log = log or ModeLog.of(dataset.name)
    taxonomy = log.taxonomy
    found = {}
    for example in dataset.examples:
        said = log.on((example.id, example.interaction.content))
        if example.label == "fail" and said and (modes := taxonomy.in_order(said.modes)):
            found[example.id] = modes
    return found


def _known(taxonomy: Taxonomy, name: str, where: Path) -> str:
    if found := taxonomy.spelt(name):
        return found
    near = taxonomy.near(name)
    raise DataError(
        f"{name!r} is no failure mode of {where.name}"
        + (f"; did you mean {near!r}?" if near else f", which has: {', '.join(taxonomy.names)}.")
    )
