"""`judgelab review`: the expert's room on this lab."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from judgelab import config as configs
from judgelab import prompts, resources
from judgelab.commands import show
from judgelab.data.annotations import time_of
from judgelab.data.dimensions import Dimensions
from judgelab.data.events import EventLog, again_path, labels_path
from judgelab.data.modes import ModeLog
from judgelab.data.overlay import principal_of
from judgelab.data.readers.problems import shown
from judgelab.data.remarks import RemarkLog, remarks_path
from judgelab.data.rubrics import RubricLog, rubrics_path
from judgelab.data.schema import Dataset, DatasetConfig, load
from judgelab.data.seen import parts_of
from judgelab.data.split import SplitConfig
from judgelab.errors import ConfigError, DataError
from judgelab.review.book import Book
from judgelab.review.queues import QUEUES
from judgelab.review.room import Room
from judgelab.review.told import Told
from judgelab.rounds.frozen import rounds_of, under_another
from judgelab.tracking.folder import find_run
from judgelab.types import sha256

EXPERT = "expert"  # where nobody is named


def review(
    overrides: Sequence[str],
    *,
    queue: str | None,
    run: str | None,
    again: int | None,
    expert: str | None,
    port: int | None,
    host: str,
) -> None:
    """Serve until interrupted. Raises UserError for what cannot be served.

    `run` is whose verdicts the expert sees after deciding. `again` is how many items are labelled a
    second time, blind.
    """
    with configs.hydra():
        config = configs.compose(overrides, lenient=True).config
        node, judge = configs.resolved(config.dataset), config.judge
        rubric, seed = judge.get("rubric"), config.seed
        split = configs.resolved(config.split)
        dimensions = configs.resolved(config.dimensions) if config.dimensions else None
    chosen = configs.build(node, DatasetConfig, "dataset")
    log = EventLog(labels_path(chosen.name))
    name = (expert or chosen.expert or "").strip()
    dataset = load(chosen, events=0, newcomer=name)
    name = name or dataset.expert or (log.experts[0] if len(log.experts) == 1 else "") or EXPERT
    if not dataset.interactions:
        raise DataError(f"dataset {dataset.name!r} holds no items: there is nothing to review.")
    principal = principal_of(chosen.expert, dataset.labels, {*log.experts, name}, shown(log.path))

    start = [known.name for known in QUEUES.values() if not known.about]
    if queue is not None and queue not in start:
        raise ConfigError(f"--queue {queue}: there are {', '.join(start)}.")
    if queue and QUEUES[queue].of_run and run is None:
        raise ConfigError(f"--queue {queue} is about a judge's verdicts: --run RUN says which.")
    told = _told(run, dataset) if run else None
    if again is not None:
        log = EventLog(again_path(chosen.name))
        labelled = load(chosen, newcomer=name)
        dataset = _second(labelled, log, name, told, again, seed)
        fresh = _fresh(labelled) & {one.id for one in dataset.interactions}
        told, queue = None, "unlabelled"

    from judgelab.review.serve import place, serve

    def rubric_now() -> str | None:
        return sha256(prompts.rubric(rubric)) if rubric else None

    rubric_now()
    principal_here = name == principal and again is None
    book = _book(rubric, dataset, configs.build(split, SplitConfig, "split"))
    room = Room(
        dataset,
        log,
        name,
        principal=principal_here,
        again=again is not None and name == principal,
        links=chosen.links,
        seed=seed,
        rubric=rubric_now,
        told=told,
        book=book,
        causes=ModeLog.of(dataset.name) if principal_here else None,
    )
    room.dimensions = configs.build(dimensions, Dimensions, "dimensions") if dimensions else None
    at = place(host, port, dataset.name, f"/item?queue={queue}" if queue else "/")
    done = len(room.labelled)
    notes = [
        f"{dataset.name}: {done} of {len(room.items)} items are labelled by {name}; labels go to "
        f"{shown(log.path)}"
    ]
    if again is not None:
        notes.append(
            "second labels, blind: they decide nothing, and say how sure the first ones are"
        )
        if fresh:
            notes.append(
                f"{len(fresh)} of these were labelled less than a day ago; a second label that "
                "soon may be remembered, and does not count: begin tomorrow"
            )
    if name != principal:
        notes.append(
            f"{principal or 'somebody else'}'s labels decide (dataset.expert); {name}'s are second "
            "labels, and feed the ceiling"
        )
    if log.torn:
        notes.append(f"the last line of {shown(log.path)} was torn; the next label keeps it aside")
    if at.is_open:
        notes.append(
            "what is sent is not encrypted: on a network that you do not trust, put a server with "
            "TLS in front of it, or use ssh -L"
        )
    show.notes(notes)
    show.err.print("Open the link, or send it to the expert. Ctrl-C ends it.")
    serve(room, at)


def _told(run: str, dataset: Dataset) -> Told:
    content = {one.id: one.content for one in dataset.interactions}
    return Told.of(find_run(run), RemarkLog(remarks_path(dataset.name)), content)


def _book(rubric: str | None, dataset: Dataset, split: SplitConfig) -> Book | None:
    """The rubric's page; a judge without one, or with one that is no file, has none."""
    if not rubric or "\n" in rubric:
        return None
    folder, rounds = resources.lab() / "splits", rounds_of(dataset.name)
    return Book(
        RubricLog(rubrics_path(dataset.name), rubric),
        RemarkLog(remarks_path(dataset.name)),
        lambda: parts_of(dataset.interactions, split, folder),
        begun=any(one.closed for one in rounds),
        older=lambda now, content: under_another(rounds, now, content),
    )


def _fresh(dataset: Dataset) -> set[str]:
    """What was labelled less than a day ago (`voices.too_soon`)."""
    from judgelab.expert.voices import DAY

    sources = {id_: label.source for id_, label in dataset.labels.items() if label.source}
    now = datetime.now(UTC)
    times = ((id_, time_of(source)) for id_, source in sources.items())
    return {id_ for id_, at in times if at is not None and now - at < DAY}


def _second(
    dataset: Dataset, log: EventLog, expert: str, told: Told | None, most: int, seed: int
) -> Dataset:
    """The items to label once more, without a label: at random, and beside a run as many that its
    judge agrees with as others, so that no label moves towards the judge."""
    labels = {id_: label.label for id_, label in dataset.labels.items()}
    items = {one.id: one for one in dataset.interactions}
    before = {
        e.id for e in log.labels(expert) if e.id in items and items[e.id].content == e.content
    }
    fresh = _fresh(dataset)

    def place(id_: str) -> tuple[bool, bool, str]:
        return id_ not in before, id_ in fresh, sha256(f"again:{seed}:{id_}")

    order = sorted(labels, key=place)
    if told is None:
        chosen = order[:most]
    else:
        apart = [id_ for id_ in order if told.differs(id_, labels[id_])]
        alike = [id_ for id_ in order if told.agrees(id_, labels[id_])]
        half = min(most // 2, len(apart), len(alike))
        chosen = apart[:half] + alike[:half]
    if not chosen:
        raise DataError(
            "there is nothing to label again: "
            + ("the judge and the labels never differ." if told else "no item has a label yet.")
        )
    kept = tuple(items[id_] for id_ in items if id_ in set(chosen))
    return replace(dataset, interactions=kept, labels={}, annotations=())
