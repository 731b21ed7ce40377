"""Who is train, dev and test: assigned by group, once and for good.

Assignments live in splits/<name>.csv, which is only ever appended to. A group that is in it never
moves, whatever happens to the data; the one change allowed is that a group of the small-data mode
(cv) becomes train or dev once there are enough labels for a held-out test split.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, overload

from judgelab.data.assignment import assign, entries, group_of, identify
from judgelab.data.ledger import QUARANTINED, Ledger, Slot
from judgelab.errors import ConfigError, DataError, UserError
from judgelab.types import Example, Interaction, Label, sha256

if TYPE_CHECKING:
    from judgelab.data.looks import Look
    from judgelab.data.schema import Dataset

CV_BELOW = 100  # labels under which auto means cv
PARTS = ("train", "dev", "test")


@dataclass(frozen=True)
class SplitConfig:
    """The split group of a config; see conf/split/default.yaml."""

    name: str
    mode: str = "auto"
    ratios: Mapping[str, float] = field(
        default_factory=lambda: {"train": 0.2, "dev": 0.4, "test": 0.4}
    )
    folds: int = 5
    seed: int = 0
    group: str | None = None
    same_input: str = "together"
    looks: int = 3

    def __post_init__(self) -> None:
        if not self.name or set(self.name) & set("/\\") or self.name.startswith("."):
            raise ConfigError(
                f"split.name={self.name}: it names a file in splits/: no slashes, no dot first."
            )
        if self.mode not in ("auto", "cv", "holdout"):
            raise ConfigError(f"split.mode={self.mode}: allowed are auto, cv, holdout.")
        if self.same_input not in ("together", "apart"):
            raise ConfigError(f"split.same_input={self.same_input}: allowed are together, apart.")
        if set(self.ratios) != set(PARTS) or any(not 0 <= r <= 1 for r in self.ratios.values()):
            raise ConfigError(
                f"split.ratios={dict(self.ratios)}: one number in 0..1 for each of {PARTS}."
            )
        if abs(sum(self.ratios.values()) - 1) > 1e-6:
            raise ConfigError(f"split.ratios={dict(self.ratios)}: they sum to 1.")
        if self.folds < 2 or self.looks < 1:
            raise ConfigError("split.folds is at least 2 and split.looks at least 1.")

    @property
    def settings(self) -> dict[str, Any]:
        """What may not change under one name."""
        return {
            "ratios": {part: float(self.ratios[part]) for part in PARTS},
            "folds": self.folds,
            "seed": self.seed,
            "group": self.group,
            "same_input": self.same_input,
        }


class Part(Sequence[Example]):
    """Labelled examples of one part of the data. Only a Split makes one.

    `groups` is by id: what belongs together is learnt from together.
    """

    name: ClassVar[str]
    maker: ClassVar[str]
    parts: ClassVar[tuple[str, ...]]

    def __init__(self, examples: Sequence[Example], *, _made_by: Split) -> None:
        if not isinstance(_made_by, Split):
            raise TypeError(f"a {type(self).__name__} comes from Split.{self.maker} alone")
        if other := [e.id for e in examples if _made_by.places[e.id].part not in self.parts]:
            raise PermissionError(f"not of {self.name}: {', '.join(other[:5])}")
        self._examples = tuple(examples)
        self.groups = {e.id: _made_by.places[e.id].group for e in examples}

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | Sequence[Example]:
        return self._examples[index]

    def __len__(self) -> int:
        return len(self._examples)

    def __iter__(self) -> Iterator[Example]:
        return iter(self._examples)


class TrainSet(Part):
    """What a judge may learn from: train or cv alone."""

    name, maker, parts = "train", "folds", ("train", "cv")


class DevSet(Part):
    """What an optimizer may choose by."""

    name, maker, parts = "dev", "dev", ("dev",)


@dataclass(frozen=True)
class Fold:
    """Items to be judged, and what the judge may learn from."""

    train: TrainSet
    items: tuple[Interaction, ...]


@dataclass(frozen=True)
class Place:
    """Where an item is: its group, its part of the data (or cv), its fold (cv) or -1."""

    group: str
    part: str
    fold: int = -1


class Split:
    """A dataset with everybody in their place. `places` is by id; `notes` is for the user."""

    def __init__(
        self,
        dataset: Dataset,
        config: SplitConfig,
        mode: str,
        places: Mapping[str, Place],
        notes: Sequence[str] = (),
    ) -> None:
        self.config = config
        self.mode = mode
        self.places = dict(places)
        self.notes = list(notes)
        examples = [example for example in dataset.examples if example.id in self.places]
        # One fixed random order, shared by every variant and independent of the file's.
        examples.sort(key=lambda example: sha256(f"{config.seed}:{example.id}"))
        self._examples = examples
        self._members: dict[str, list[Example]] = dict(
            _by(examples, lambda example: self.places[example.id].part)
        )
        self.clusters = {e.id: group_of(e.interaction, config.group) for e in examples}

    @cached_property
    def sha256(self) -> str:
        """Hash of who is where."""
        return sha256({i: [p.group, p.part, p.fold] for i, p in self.places.items()})

    @property
    def exploratory(self) -> bool:
        """Whether no held-out claim can come of this."""
        return self.mode == "cv"

    def folds(self, part: str, limit: int | None = None) -> list[Fold]:
        """The judging of `part` (dev or test), in the fixed order; in cv everything is dev."""
        if self.mode == "cv":
            self._no_test(part)
            chosen = self._in("cv")[:limit]
            return [
                self._fold([e for e in self._in("cv") if self.places[e.id].fold != fold], members)
                for fold, members in _by(chosen, lambda e: self.places[e.id].fold)
            ]
        chosen = self._in(part)[:limit]
        if not chosen:
            raise UserError(
                f"split {self.config.name!r} has no labelled {part} items. "
                f"`judgelab data split` shows what it holds; split.ratios says how it is cut."
            )
        return [self._fold(self._in("train"), chosen)]

    def dev(self, limit: int | None = None) -> DevSet:
        """Dev with its labels, in the fixed order. Raises UserError in cv mode, where none is."""
        if self.mode == "cv":
            raise UserError(
                f"an optimizer chooses on dev, and split {self.config.name!r} has none: "
                f"{len(self._examples)} labels are judged out of fold. Label to {CV_BELOW}, or "
                "take split.mode=holdout with a split.name of its own."
            )
        return DevSet(self._in("dev")[:limit], _made_by=self)

    def labels(self, part: str, look: Look | None = None) -> dict[str, Label]:
        """Expert labels by id. Those of test open only to a look, which is written down."""
        if part == "test" and look is None:
            raise PermissionError("test labels are opened by `judgelab holdout` alone")
        self._no_test(part)
        return {e.id: e.label for e in self._in("cv" if self.mode == "cv" else part)}

    def counts(self) -> dict[str, Counter[str]]:
        """Labels in each part or fold."""
        table: dict[str, Counter[str]] = defaultdict(Counter)
        for example in self._examples:
            place = self.places[example.id]
            name = f"fold {place.fold}" if place.part == "cv" else place.part
            table[name][example.label] += 1
        return {name: table[name] for name in sorted(table, key=_part_order)}

    def members(self, part: str) -> list[Interaction]:
        """The interactions of a part, in the fixed order."""
        return [example.interaction for example in self._in(part)]

    def rows(self) -> list[dict[str, Any]]:
        """One row an item: what a run folder keeps of the assignment."""
        content = {example.id: example.interaction.content for example in self._examples}
        return [
            {"id": i, "group": p.group, "part": p.part, "fold": p.fold, "content": content[i]}
            for i, p in sorted(self.places.items())
        ]

    def _in(self, part: str) -> list[Example]:
        return self._members.get(part, [])

    def _fold(self, train: Sequence[Example], items: Sequence[Example]) -> Fold:
        return Fold(TrainSet(train, _made_by=self), tuple(e.interaction for e in items))

    def _no_test(self, part: str) -> None:
        if self.mode == "cv" and part == "test":
            raise UserError(
                f"split {self.config.name!r} is in cv mode ({len(self._examples)} labels): there "
                f"is no held-out test split. From {CV_BELOW} labels there is one."
            )


def recorded_split(
    dataset: Dataset, config: SplitConfig, mode: str, rows: Sequence[Mapping[str, Any]]
) -> Split:
    """Everybody where the rows of a run folder say (`Split.rows`)."""
    places = {row["id"]: Place(row["group"], row["part"], row["fold"]) for row in rows}
    return Split(dataset, config, mode, places)


def make_split(dataset: Dataset, config: SplitConfig, folder: Path) -> Split:
    """Everybody's place: those in `folder`/<name>.csv stay, the others are appended to it."""
    examples = sorted(dataset.examples, key=lambda example: example.id)
    if not examples:
        raise DataError(
            f"dataset {dataset.name!r} has no labelled items: a judge is measured against labels."
        )
    ledger = Ledger(folder / f"{config.name}.csv", config.settings)
    known = ledger.read()
    mode = _mode(config, len(examples), known)
    _check_group(examples, config)
    identities = identify(examples, known, config.group, config.same_input)
    slots = assign(examples, identities, known, _shares(config, mode), config.seed)
    ledger.append(entries(identities, slots, known, in_cv=mode == "cv"))
    places = {
        example.id: Place(keys[-1], *slot)
        for example, keys, slot in zip(examples, identities.keys, slots, strict=True)
    }
    split = Split(dataset, config, mode, places, identities.notes)
    split.notes += _say(split)
    return split


def _mode(config: SplitConfig, labels: int, known: Mapping[str, Slot]) -> str:
    held_out = any(part in PARTS for part, _ in known.values())
    if config.mode == "cv" and held_out:
        raise ConfigError(
            f"split.mode=cv: split {config.name!r} has a held-out test already, and cv would open "
            "it. Take split.mode=auto, or a new split.name."
        )
    if config.mode != "auto":
        return config.mode
    return "holdout" if held_out or labels >= CV_BELOW else "cv"


def _shares(config: SplitConfig, mode: str) -> dict[Slot, float]:
    if mode == "cv":
        return {("cv", fold): 1 / config.folds for fold in range(config.folds)}
    return {(part, -1): config.ratios[part] for part in PARTS if config.ratios[part]}


def _check_group(examples: Sequence[Example], config: SplitConfig) -> None:
    if config.group in (None, "group"):
        return
    if not any(group_of(example.interaction, config.group) for example in examples):
        first = examples[0].interaction
        there = [f"context.{key}" for key in first.context]
        there += [f"dimensions.{key}" for key in first.dimensions]
        raise ConfigError(
            f"split.group={config.group}: no item has that field. "
            f"Item {first.id!r} has: {', '.join(['group', *there])}."
        )


def _say(split: Split) -> list[str]:
    notes = []
    lost = [i for i, place in split.places.items() if (place.part, place.fold) == QUARANTINED]
    if lost:
        notes.append(
            f"{len(lost)} items belong to items of two different parts and are left out: "
            f"{', '.join(lost[:5])}."
        )
    parts: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for i, group in split.clusters.items():
        if group and i not in lost:
            parts[group].add((split.places[i].part, split.places[i].fold))
    straddling = [group for group, there in parts.items() if len(there) > 1]
    if straddling:
        notes.append(
            f"{len(straddling)} groups hold items of different parts (one is {straddling[0]!r}): "
            "the items were assigned before they had this group. A new split.name assigns anew."
        )
    if split.mode == "holdout":
        counts = split.counts()
        for part in ("dev", "test"):
            fails = counts.get(part, Counter())["fail"]
            if fails < 10 and split.config.ratios[part]:
                notes.append(
                    f"{part} has only {fails} fails; 10 is the least to say much of recall."
                )
    return notes


def _by(things: Sequence[Any] | range, key: Any) -> list[tuple[Any, list[Any]]]:
    found: dict[Any, list[Any]] = defaultdict(list)
    for thing in things:
        found[key(thing)].append(thing)
    return sorted(found.items())


def _part_order(name: str) -> tuple[int, str]:
    return (PARTS.index(name) if name in PARTS else len(PARTS), name)
