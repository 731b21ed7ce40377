"""Who is train, dev and test: assigned by group, once and for good.

Assignments live in splits/<name>.csv, which is only ever appended to. A group that is in it never
moves, whatever happens to the data; the one change allowed is that a group of the small-data mode
(cv) becomes train or dev once there are enough labels for a held-out test split.
"""

from __future__ import annotations

import csv
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from judgelab.data.duplicates import components, near_duplicates, normalised, pairs_by
from judgelab.errors import ConfigError, DataError, UserError
from judgelab.types import Example, Interaction, Label, sha256

if TYPE_CHECKING:
    from judgelab.data.looks import Look
    from judgelab.data.schema import Dataset

CV_BELOW = 100  # labels under which auto means cv
EXPLORE_BELOW = 20  # labels under which there are counts, no splits to speak of
CONSTANT_INPUT = 0.2  # an input shared by more of the items is an instruction, not an identity
LARGE_GROUP = 0.05
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


class TrainSet(Sequence[Example]):
    """The examples that a judge may learn from. Only a Split makes one."""

    def __init__(self, examples: Sequence[Example], *, _made_by: Split) -> None:
        self._examples = tuple(examples)

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
        self.clusters = {e.id: _group_field(e.interaction, config.group) for e in examples}

    @property
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
        return [example for example in self._examples if self.places[example.id].part == part]

    def _fold(self, train: Sequence[Example], items: Sequence[Example]) -> Fold:
        return Fold(TrainSet(train, _made_by=self), tuple(e.interaction for e in items))

    def _no_test(self, part: str) -> None:
        if self.mode == "cv" and part == "test":
            raise UserError(
                f"split {self.config.name!r} is in cv mode ({len(self._examples)} labels): there "
                f"is no held-out test split. From {CV_BELOW} labels there is one."
            )


def make_split(dataset: Dataset, config: SplitConfig, folder: Path) -> Split:
    """Everybody's place: those in `folder`/<name>.csv stay, the others are appended to it."""
    examples = sorted(dataset.examples, key=lambda example: example.id)
    if not examples:
        raise DataError(
            f"dataset {dataset.name!r} has no labelled items: a judge is measured against labels."
        )
    ledger = _Ledger(folder / f"{config.name}.csv", config)
    known = ledger.read()
    mode = _mode(config, len(examples), known)
    keys, groups, notes = _groups(examples, config)
    assigned = _assign(examples, keys, groups, known, config, mode)
    ledger.append({key: place for key, place in assigned.items() if known.get(key) != place})
    places = {e.id: Place(key, *assigned[key]) for e, key in zip(examples, keys, strict=True)}
    split = Split(dataset, config, mode, places, notes)
    split.notes += _say(split)
    return split


def _mode(config: SplitConfig, labels: int, known: Mapping[str, tuple[str, int]]) -> str:
    if config.mode != "auto":
        return config.mode
    settled = any(part in PARTS for part, _ in known.values())
    return "holdout" if settled or labels >= CV_BELOW else "cv"


def _groups(
    examples: Sequence[Example], config: SplitConfig
) -> tuple[list[str], list[int], list[str]]:
    """Of each example its own key, the component it belongs to, and what the user should know."""
    notes = []
    inputs = [normalised(example.interaction.input) for example in examples]
    text, n = Counter(inputs).most_common(1)[0]
    constant = {text} if n > max(CONSTANT_INPUT * len(inputs), 4) else set()
    if config.same_input == "apart":
        constant = set(inputs)
    elif constant:
        notes.append(
            f"{n} of {len(inputs)} items have the same input; it is taken for a constant "
            "instruction, and only their groups and outputs tell them apart."
        )
    identities = [None if text in constant else f"input:{sha256(text)[:16]}" for text in inputs]
    fields = [_group_field(example.interaction, config.group) for example in examples]
    keys = [
        f"group:{group}" if group else identity or f"content:{example.interaction.content[:16]}"
        for group, identity, example in zip(fields, identities, examples, strict=True)
    ]
    texts = [
        e.interaction.output if i is None else f"{e.interaction.input}\n{e.interaction.output}"
        for e, i in zip(examples, identities, strict=True)
    ]
    merged = near_duplicates(texts)
    groups = components(len(examples), [*pairs_by(keys), *pairs_by(identities), *merged])
    for first, size in Counter(groups).most_common():
        if size <= max(LARGE_GROUP * len(groups), 4):
            break
        if size > sum(key == keys[first] for key in keys):
            notes.append(
                f"{size} items stay together because they share inputs or nearly the same text "
                f"(one is {examples[first].id!r}). If their input is only an instruction, set "
                "split.same_input=apart under a new split.name."
            )
    return keys, groups, notes


def _assign(
    examples: Sequence[Example],
    keys: Sequence[str],
    groups: Sequence[int],
    known: Mapping[str, tuple[str, int]],
    config: SplitConfig,
    mode: str,
) -> dict[str, tuple[str, int]]:
    """Place of each key. New components go, by falling size and then by hash, where labels lack."""
    if mode == "cv":
        slots = {("cv", f): 1 / config.folds for f in range(config.folds)}
    else:
        slots = {(part, -1): config.ratios[part] for part in PARTS if config.ratios[part]}
    total = Counter(example.label for example in examples)
    held: dict[tuple[str, int], Counter[Label]] = {slot: Counter() for slot in slots}
    places: dict[str, tuple[str, int]] = {}
    waiting: list[tuple[int, str, list[int], list[tuple[str, int]]]] = []
    for _, members in _by(range(len(examples)), lambda index: groups[index]):
        owned = {keys[i] for i in members}
        old = {known[key] for key in owned if key in known}
        settled = {place for place in old if mode == "cv" or place[0] != "cv"}
        if len(settled) > 1 or ("quarantined", -1) in settled:
            places |= {key: known.get(key, ("quarantined", -1)) for key in owned}
            continue
        if settled:
            (place,) = settled
            places |= dict.fromkeys(owned, place)
            if place in held:
                held[place].update(examples[i].label for i in members)
            continue
        # What was chosen from in cv has been seen: it may not become test.
        allowed = [slot for slot in slots if not (old and slot[0] == "test")]
        order = sha256(f"{config.seed}:{min(owned)}")
        waiting.append((-len(members), order, members, allowed or list(slots)))
    for _, _, members, allowed in sorted(waiting):
        own = Counter(examples[i].label for i in members)
        lacks = [_lack(own, slots[slot], total, held[slot]) for slot in allowed]
        best = allowed[lacks.index(max(lacks))]
        held[best].update(own)
        places |= dict.fromkeys((keys[i] for i in members), best)
    return places


def _lack(own: Counter[Label], share: float, total: Counter[Label], held: Counter[Label]) -> float:
    """How much a part that is to hold `share` of each label still lacks of what `own` brings."""
    return sum(n * (share * total[label] - held[label]) / total[label] for label, n in own.items())


def _say(split: Split) -> list[str]:
    notes = []
    lost = [i for i, place in split.places.items() if place.part == "quarantined"]
    if lost:
        notes.append(
            f"{len(lost)} items are nearly the same as items of two different parts and are left "
            f"out: {', '.join(lost[:5])}."
        )
    if split.mode == "holdout":
        for part in ("dev", "test"):
            fails = split.counts().get(part, Counter())["fail"]
            if fails < 10 and split.config.ratios[part]:
                notes.append(
                    f"{part} has only {fails} fails; 10 is the least to say much of recall."
                )
    return notes


class _Ledger:
    """splits/<name>.csv: a line of settings, then key, part, fold; a key's last line counts."""

    def __init__(self, path: Path, config: SplitConfig) -> None:
        self.path = path
        self.config = config

    def read(self) -> dict[str, tuple[str, int]]:
        if not self.path.exists():
            return {}
        lines = self.path.read_text(encoding="utf-8").splitlines()
        try:
            settings = json.loads(lines[0].removeprefix("# "))
            rows = list(csv.DictReader(lines[1:]))
            known = {row["key"]: (row["part"], int(row["fold"])) for row in rows}
        except (IndexError, ValueError, KeyError) as error:
            raise DataError(
                f"{self.path} is damaged ({error}); restore it, it says who is test."
            ) from error
        moved = {k: v for k, v in self.config.settings.items() if settings.get(k) != v}
        if moved:
            before = {key: settings.get(key) for key in moved}
            raise ConfigError(
                f"split {self.config.name!r} was made with {before}, now it is {moved}. "
                "Assignments are for good: take the old values, or a new split.name."
            )
        return known

    def append(self, places: Mapping[str, tuple[str, int]]) -> None:
        if not places:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = not self.path.exists()
        with self.path.open("a", encoding="utf-8", newline="") as file:
            if new:
                file.write(f"# {json.dumps(self.config.settings, sort_keys=True)}\n")
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(["key", "part", "fold"])
            writer.writerows((key, *places[key]) for key in sorted(places))
            file.flush()
            os.fsync(file.fileno())


def _group_field(interaction: Interaction, path: str | None) -> str | None:
    """The value at a dotted path such as context.question_id, or the field `group`."""
    if path is None or path == "group":
        return interaction.group
    at: Any = {"context": interaction.context, "dimensions": interaction.dimensions}
    for step in path.split("."):
        if not isinstance(at, Mapping) or step not in at:
            return None
        at = at[step]
    return str(at)


def _by(things: Sequence[Any] | range, key: Any) -> list[tuple[Any, list[Any]]]:
    found: dict[Any, list[Any]] = defaultdict(list)
    for thing in things:
        found[key(thing)].append(thing)
    return sorted(found.items())


def _part_order(name: str) -> tuple[int, str]:
    return (PARTS.index(name) if name in PARTS else len(PARTS), name)
