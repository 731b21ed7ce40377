"""A dataset: interactions, whose label decides for each, and everything people said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from judgelab import resources
from judgelab.data.annotations import ExpertLabel, decide, read_annotations
from judgelab.data.events import EventLog, again_path, labels_path
from judgelab.data.links import check_links
from judgelab.data.mapping import Columns, Record, near_name
from judgelab.data.overlay import overlay, second_looks
from judgelab.data.readers.base import Reader, Row
from judgelab.data.readers.problems import Problems, quoted, shown
from judgelab.data.spellings import Spellings
from judgelab.errors import ConfigError
from judgelab.types import Annotation, Example, Interaction, sha256_of

MADE_ID = 12  # hex digits of an id made from the content


@dataclass(frozen=True)
class Dataset:
    """What was loaded.

    `labels` holds the expert label of every labelled interaction by id. `annotations` holds what
    was in the annotations file, every label in the interactions' own rows that did not decide, and
    what others said in the label events. `events` counts the label events that were read. `notes`
    are one-line remarks for the user.
    """

    name: str
    # Not in its repr: libraries make one of what they hold, and throw it away.
    interactions: tuple[Interaction, ...] = field(repr=False)
    labels: Mapping[str, ExpertLabel] = field(repr=False)
    annotations: tuple[Annotation, ...] = field(default=(), repr=False)
    expert: str = ""
    notes: list[str] = field(default_factory=list)
    events: int = 0

    @cached_property
    def examples(self) -> tuple[Example, ...]:
        """The labelled interactions, in the dataset's order."""
        return tuple(
            Example(interaction, known.label, known.critique, known.annotator)
            for interaction in self.interactions
            if (known := self.labels.get(interaction.id))
        )

    @cached_property
    def sha256(self) -> str:
        """Hash of every interaction with its label and critique, whatever the file's order."""
        return sha256_of(
            [
                *(one.id, one.input, one.output, one.context, one.dimensions, one.group),
                *((known.label, known.critique) if (known := self.labels.get(one.id)) else ()),
            ]
            for one in sorted(self.interactions, key=lambda one: one.id)
        )


@dataclass(frozen=True)
class DatasetConfig:
    """A dataset's yaml (conf/dataset/).

    Args:
        name: the splits and the labels are kept under it.
        path: relative to the lab; `sample:FILE` is a file of the shipped sample.
        reader: what reads the file's format.
        columns: our field -> the file's column (see `Columns`).
        labels: the spellings that mean `pass` and `fail`.
        annotations: a file of more labels an item, with the same spellings.
        expert: whose label decides.
        links: what else an expert looks at: name -> address, such as
            `crm: https://crm.example.com/{context.customer}`, values URL-encoded.
    """

    name: str
    path: str
    reader: Reader
    columns: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, Any] = field(default_factory=dict)
    annotations: str | None = None
    expert: str | None = None
    links: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.reader, Reader):
            raise ConfigError(
                f"dataset.reader is a {type(self.reader).__name__}; allowed: a reader such as "
                "{_target_: judgelab.data.readers.csv.CsvReader}."
            )
        if not self.name or set(self.name) & set("/\\") or self.name.startswith("."):
            raise ConfigError(
                f"dataset.name={self.name}: it names files in splits/ and labels/: no slashes, no "
                "dot first."
            )
        Columns.of(self.columns)
        Spellings(self.labels)
        check_links(self.links)

    def check(self) -> None:
        """Raises DataError for what is wrong with the file before it is read."""
        self.reader.check(resources.data_path(self.path))


def load(config: DatasetConfig, *, events: int | None = None, newcomer: str = "") -> Dataset:
    """Reads a dataset whole, or not at all, under the label events of the lab.

    `events` takes the labels as they were after so many of them. `newcomer` is somebody who may
    have labelled nothing yet.

    Raises:
        DataError: a file that cannot be read or does not fit the mapping; one message names the
            file and, for every kind of problem, the rows, the column, what was found, what is
            allowed and how many such rows there are.
    """
    path = resources.data_path(config.path)
    columns, spellings = Columns.of(config.columns), Spellings(config.labels)
    rows = list(config.reader.rows(path))
    problems = Problems(shown(path))
    records = columns.records(rows, problems)
    has_ids = columns.present("id", rows)
    interactions = _interactions(records, has_ids, problems)
    inline = _inline(records, interactions, columns, spellings, problems)
    problems.check()
    annotations: list[Annotation] = []
    if config.annotations is not None:
        ids = {interaction.id for interaction in interactions}
        where = resources.data_path(config.annotations)
        annotations = read_annotations(where, spellings, ids)
    log = EventLog(labels_path(config.name), events)
    known = {*log.experts, *([newcomer] if newcomer else ())}
    by_file = decide(inline, annotations, config.expert, known)
    overruled = [
        Annotation(id_, label.annotator, label.label, label.critique)
        for id_, label in inline.items()
        if by_file.get(id_) != label
    ]
    made = overlay(log, by_file, interactions, config.expert)
    again = second_looks(EventLog(again_path(config.name)), interactions)
    labels = made.labels
    replaced = {id(by_file[id_].source) for id_ in made.overruled if id_ in by_file}
    annotations = [one for one in annotations if id(one) not in replaced]
    names = {label.annotator for label in labels.values()}
    notes = _notes(columns, rows, has_ids, len(interactions), len(labels))
    left = sum(annotation.id not in labels for annotation in overruled)
    if left:
        notes.append(
            f"items labelled by others than {config.expert!r} alone, so unlabelled here: {left}."
        )
    return Dataset(
        name=config.name,
        interactions=tuple(interactions),
        labels=labels,
        annotations=(*annotations, *overruled, *made.annotations, *again),
        expert=made.expert or config.expert or (names.pop() if len(names) == 1 else ""),
        notes=[*config.reader.notes(), *notes, *made.notes],
        events=len(log.events),
    )


def _interactions(
    records: Sequence[Record], has_ids: bool, problems: Problems
) -> list[Interaction]:
    made: dict[str, int] = {}
    rows_of: dict[str, str] = {}
    interactions = []
    for record in records:
        id_ = record.id if has_ids else _made_id(record, made)
        if not id_:
            allowed = "an id in every row; dataset.columns.id=null makes ids from the content"
            problems.add("no id", record.where, "", allowed)
        elif id_ in rows_of:
            found = f"{quoted(id_)}, as in {rows_of[id_]}"
            problems.add("ids that occur twice", record.where, found, "an id of its own a row")
        rows_of.setdefault(id_, record.where)
        interactions.append(
            Interaction(
                id=id_,
                input=record.input,
                output=record.output,
                context=record.context,
                dimensions=record.dimensions,
                group=record.group,
            )
        )
    return interactions


def _made_id(record: Record, made: dict[str, int]) -> str:
    content = Interaction("", record.input, record.output).content[:MADE_ID]
    made[content] = made.get(content, 0) + 1
    return content if made[content] == 1 else f"{content}-{made[content]}"


def _inline(
    records: Sequence[Record],
    interactions: Sequence[Interaction],
    columns: Columns,
    spellings: Spellings,
    problems: Problems,
) -> dict[str, ExpertLabel]:
    cells = [(record.where, record.label) for record in records]
    labels = spellings.read_all(cells, columns.fields["label"] or "label", problems)
    return {
        interaction.id: ExpertLabel(label, record.critique, record.annotator)
        for interaction, record, label in zip(interactions, records, labels, strict=True)
        if label is not None
    }


def _notes(
    columns: Columns, rows: Sequence[Row], has_ids: bool, total: int, labelled: int
) -> list[str]:
    notes = []
    unread = columns.unread(rows)
    if not has_ids:
        notes.append(
            "no column of ids: each id is the start of the content's hash, so that a changed text "
            "is a new item. Name a column with dataset.columns.id."
        )
    if not labelled:
        near = near_name("label", unread)
        notes.append(
            f"none of the {total} items is labelled; dataset.columns.label names the column."
            + (f" Did you mean {near!r}?" if near else "")
        )
    elif labelled < total:
        notes.append(f"{total - labelled} of {total} items are unlabelled.")
    if unread:
        notes.append(
            f"columns not read: {', '.join(map(repr, unread))}. To show one to the judge, list it "
            "in dataset.columns.context."
        )
    return notes
