"""New outputs of the same inputs, item by item: each keeps its input's group and part."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from judgelab import config as configs
from judgelab import resources
from judgelab.data.assignment import content_key
from judgelab.data.duplicates import normalised
from judgelab.data.ledger import Ledger
from judgelab.data.mapping import Columns
from judgelab.data.modes import modes_of
from judgelab.data.readers import reader_for
from judgelab.data.readers.problems import shown
from judgelab.data.schema import Dataset, DatasetConfig, load
from judgelab.errors import UserError
from judgelab.runner import Bench
from judgelab.types import Interaction, Label


@dataclass(frozen=True)
class Pairs:
    """The items of a run with their new outputs.

    Attributes:
        fresh: by the item's id, the item with its new output (and context, where the file has one).
        labels: of the new outputs that the expert labelled, and of those that did not change.
        modes: failure modes of the new outputs that were classified.
        unchanged: the items whose output is the old one.
        left: rows of the file that are not compared: why, and how many.
        without: items of the run that have no new output.
        everybody: every row that belongs to one item of the dataset, of any part.
    """

    fresh: Mapping[str, Interaction]
    labels: Mapping[str, Label]
    modes: Mapping[str, tuple[str, ...]]
    unchanged: frozenset[str]
    left: Mapping[str, int]
    without: int
    everybody: Mapping[str, Interaction]


def read_outputs(config: Mapping[str, Any], path: Path, expert: str) -> Dataset:
    """The new outputs, with the labels that the expert gave them in the file or in this lab.

    Read with the dataset's own columns, or with ours where the file does not have those.
    """
    own: DatasetConfig = configs.build_part(config, "dataset", DatasetConfig)
    reader = own.reader if path.suffix.lower() in own.reader.extensions else reader_for(path)
    rows = list(reader.rows(path))
    columns = Columns.of(own.columns)
    fits = columns.present("input", rows) and columns.present("output", rows)
    chosen = replace(
        own,
        path=str(path.absolute()),
        reader=reader,
        annotations=None,
        columns=own.columns if fits else {},
    )
    return load(chosen, newcomer=expert)


def pair(bench: Bench, new: Dataset, path: Path, kept: Mapping[str, int]) -> Pairs:
    """The rows of a file by the items of a run: by id where the input is the same, else by input.

    Args:
        bench: of the run.
        new: what the file holds.
        path: of the file, for messages.
        kept: the items of the run that can be compared.

    Raises:
        UserError: two rows for one item, or none for any.
    """
    items = {one.id: one for one in bench.dataset.interactions}
    by_input: dict[str, list[str]] = defaultdict(list)
    for one in items.values():
        by_input[normalised(one.input)].append(one.id)
    left: Counter[str] = Counter()
    rows: dict[str, Interaction] = {}
    for row in new.interactions:
        found = by_input.get(normalised(row.input), [])
        matches = [row.id] if row.id in found else found
        if len(matches) != 1:
            left["whose input several items have" if matches else "whose input no item has"] += 1
            continue
        if (first := rows.setdefault(matches[0], row)) is not row:
            raise UserError(
                f"{shown(path)}: {first.id!r} and {row.id!r} are both outputs of item "
                f"{matches[0]!r}. One new output an item."
            )
    everybody = {
        id_: replace(items[id_], output=row.output, context=row.context or items[id_].context)
        for id_, row in rows.items()
    }
    for id_ in everybody.keys() - kept.keys():
        left[_why_left(bench, id_)] += 1
    fresh = {id_: everybody[id_] for id_ in kept if id_ in everybody}
    if not fresh:
        said = "; ".join(f"{n} {why}" for why, n in left.items()) or "it holds no rows"
        raise UserError(
            f"{shown(path)}: no row is a new output of an item that {bench.part} holds ({said}). "
            "Rows need the input, unchanged, and the new output; the item's id tells items of one "
            "input apart."
        )
    unchanged = frozenset(i for i, one in fresh.items() if one.content == items[i].content)
    labels: dict[str, Label] = {id_: bench.labels[id_] for id_ in unchanged}
    modes = {}
    if bench.look is None:  # what an expert says of outputs of test inputs stays closed
        said_modes = modes_of(new)
        labels |= {
            id_: new.labels[rows[id_].id].label for id_ in fresh if rows[id_].id in new.labels
        }
        modes = {id_: said_modes[rows[id_].id] for id_ in fresh if rows[id_].id in said_modes}
    without = len(kept) - len(fresh)
    return Pairs(fresh, labels, modes, unchanged, dict(left), without, everybody)


def keep_places(bench: Bench, everybody: Mapping[str, Interaction]) -> int:
    """Write down that each new output is where its input is, for good; gives how many were new.

    A lab without this split's file is not given one: the split was made elsewhere.
    """
    config = bench.split.config
    ledger = Ledger(resources.lab() / "splits" / f"{config.name}.csv", config.settings)
    known = ledger.read()
    if not known:
        return 0
    places = bench.split.places
    slots = {
        content_key(one): (places[id_].part, places[id_].fold)
        for id_, one in everybody.items()
        if id_ in places and content_key(one) not in known
    }
    ledger.append(slots)
    return len(slots)


def _why_left(bench: Bench, item: str) -> str:
    place = bench.split.places.get(item)
    if place is None:
        return "of inputs without a label"
    if place.part == "test":
        return "of test inputs, left closed"
    if place.part == "train":
        return "of train inputs, whose labels the judge was shown"
    return f"of {place.part} inputs that this run did not judge"
