"""`judgelab review`: the expert's room on this lab."""

from __future__ import annotations

from collections.abc import Sequence

from judgelab import config as configs
from judgelab import prompts
from judgelab.commands import show
from judgelab.data.events import EventLog, labels_path
from judgelab.data.overlay import principal_of
from judgelab.data.readers.problems import shown
from judgelab.data.schema import DatasetConfig, load
from judgelab.errors import ConfigError, DataError
from judgelab.review.queues import QUEUES
from judgelab.review.room import Room
from judgelab.types import sha256

EXPERT = "expert"  # where nobody is named


def review(
    overrides: Sequence[str], *, queue: str | None, expert: str | None, port: int | None, host: str
) -> None:
    """Serve until interrupted. Raises UserError for what cannot be served."""
    with configs.hydra():
        config = configs.compose(overrides, lenient=True).config
        node, judge = configs.resolved(config.dataset), config.judge
        rubric, seed = judge.get("rubric"), config.seed
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

    from judgelab.review.serve import place, serve

    def rubric_now() -> str | None:
        return sha256(prompts.rubric(rubric)) if rubric else None

    rubric_now()
    room = Room(dataset, log, name, name == principal, chosen.links, seed, rubric_now)
    at = place(host, port, dataset.name, f"/item?queue={queue}" if queue else "/")
    done = len(room.labelled)
    notes = [
        f"{dataset.name}: {done} of {len(room.items)} items are labelled by {name}; labels go to "
        f"{shown(log.path)}"
    ]
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
