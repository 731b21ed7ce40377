"""`judgelab data export|import --mlflow`: MLflow's review as the expert's page."""

from __future__ import annotations

import os
import shlex
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from judgelab import config as configs
from judgelab.commands import sheets, show
from judgelab.data.readers.problems import Problems, quoted
from judgelab.data.readers.values import key_text
from judgelab.data.sheets import merging
from judgelab.data.sheets.reading import Entry
from judgelab.data.sheets.rows import chosen, texts
from judgelab.data.standing import Said, Standing, shows, state_of, version_of
from judgelab.errors import ConfigError, UserError
from judgelab.tracking import traces as places
from judgelab.tracking.mlflow import MLflowTracking
from judgelab.tracking.store import locate, shown
from judgelab.tracking.traces import Assessed, Traces
from judgelab.types import Interaction

if TYPE_CHECKING:
    from mlflow.entities import TraceInfo


def export(words: Sequence[str], *, expert: str | None, n: int | None, seed: int) -> None:
    """Traces with the labels in force, and a review queue of what has none."""
    desk, tracking = _opened(words, expert)
    uri, local = locate(tracking.uri)
    if not (local if tracking.texts is None else tracking.texts):
        raise UserError(
            f"a trace holds the texts of an item, and {shown(uri)} is not on this machine. "
            "tracking.texts=true sends them."
        )
    standing = desk.standing(desk.expert)
    labelled = [id_ for id_ in standing.items if standing.said(id_).verdict in ("pass", "fail")]
    wanted = chosen(standing, everything=False, n=n, seed=seed)
    ids = [*labelled, *wanted]
    with Traces.opened(uri, _experiment(tracking, desk), desk.config.name, new=True) as traces:
        there = traces.found()
        missing = [one for one in map(standing.items.__getitem__, ids) if _at(one) not in there]
        _track(traces, missing)
        there = traces.found()
        done = _Logged()
        for id_ in labelled:
            _log(traces, standing, id_, there[_at(standing.items[id_])], done)
        waiting = [there[_at(standing.items[id_])].trace_id for id_ in wanted]
        link = traces.queue(waiting) if waiting else ""
    show.line(
        f"{len(labelled)} labels of {desk.expert} in MLflow at {shown(uri)}: {done.new} new, "
        f"{done.changed} changed, {done.same} there already, {len(done.conflicts)} conflicts; "
        f"{len(missing)} new traces"
    )
    for text in done.conflicts:
        show.line(f"conflict: {text}")
    steps = []
    if link:
        show.line(f"{len(waiting)} items to label in its review queue, judgelab {desk.config.name}")
        steps.append(f"judgelab ui, and there {link}")
    back = shlex.join(["judgelab", "data", "import", "--mlflow", *words, "--expert", desk.expert])
    show.next_steps([*steps, f"then, or with labels changed there: {back}"])


def take_in(words: Sequence[str], *, expert: str | None, dry_run: bool) -> int:
    """Human assessments become events; 1 where some are conflicts."""
    desk, tracking = _opened(words, expert)
    uri, _ = locate(tracking.uri)
    with Traces.opened(uri, _experiment(tracking, desk), desk.config.name, new=False) as traces:
        found = traces.found()
    problems, gone = Problems(f"MLflow at {shown(uri)}"), 0
    entries: dict[str, list[Entry]] = defaultdict(list)
    items = {one.id: one for one in desk.files.interactions}
    for (id_, content), trace in found.items():
        for who, one in places.assessments(trace).items():
            if id_ not in items:
                gone += 1
                continue
            if who == places.NOBODY and not expert:
                raise UserError(
                    f"MLflow names nobody for the labels made there without a login (source "
                    f"{places.NOBODY!r}). Say whose they are: --expert NAME."
                )
            name = str(expert) if who == places.NOBODY else who
            said = Said(_verdict(one, id_, problems), one.rationale)
            state = _state(desk, id_, one)
            entries[name].append(
                Entry(
                    where=f"trace {one.trace}",
                    id=id_,
                    version=version_of(content),
                    state=state,
                    said=said,
                    places=("critique",),
                    fields=list(texts(items[id_])),
                    origin={"assessment": one.id},
                )
            )
    problems.check()
    if gone:
        show.notes([f"assessments of items that are not in the data: {gone}"])
    parts = []
    for name, given in entries.items():
        standing = desk.standing(name)
        parts.append((standing, merging.merge(given, standing, shown(uri))))
    return sheets.settle(parts, "mlflow", desk.log.path, dry_run=dry_run)


@dataclass
class _Logged:
    """What became of the labels."""

    new: int = 0
    changed: int = 0
    same: int = 0
    conflicts: list[str] = field(default_factory=list)


def _log(traces: Traces, standing: Standing, id_: str, trace: TraceInfo, done: _Logged) -> None:
    """One label; what somebody changed in MLflow and nobody imported yet stays."""
    said = standing.said(id_)
    old = places.assessments(trace).get(standing.expert)
    if old is None:
        done.new += 1
    elif _words(old) == Said(said.verdict, said.critique).hash:
        done.same += 1
        return
    elif _known(standing, id_, old):
        done.changed += 1
    else:
        done.conflicts.append(f"{id_}: {old.who} changed it in MLflow; import it first")
        return
    traces.say(
        trace.trace_id, standing.expert, said.verdict, said.critique, standing.state(id_), old
    )


def _words(one: Assessed) -> str:
    return Said(key_text(one.value), one.rationale).hash


def _known(standing: Standing, id_: str, old: Assessed) -> bool:
    """Whether what MLflow has is a label of this lab: one exported, or one imported."""
    said = Said(key_text(old.value), old.rationale)
    if old.state and any(shows(old.state, replace(said, could_be_better=b)) for b in (True, False)):
        return True
    events = standing.log.of(id_)
    return any(Said(e.verdict or "", e.critique.strip()).hash == said.hash for e in events)


def _opened(words: Sequence[str], expert: str | None) -> tuple[sheets.Desk, MLflowTracking]:
    if words and "=" not in words[0]:
        raise UserError(f"{words[0]}: --mlflow takes no FILE, only OVERRIDES such as dataset=mine.")
    desk = sheets.opened(words, expert)
    if not desk.tracking:
        raise ConfigError("tracking=none: --mlflow needs tracking=mlflow.")
    return desk, configs.build(desk.tracking, MLflowTracking, "tracking")


def _experiment(tracking: MLflowTracking, desk: sheets.Desk) -> str:
    named = tracking.experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME")
    return named or f"judgelab/{desk.config.name}"


def _track(traces: Traces, items: Sequence[Interaction]) -> None:
    if not items:
        return
    from rich.progress import track

    for item in track(items, "traces", console=show.err, transient=True):
        traces.add(item)


def _at(item: Interaction) -> tuple[str, str]:
    return item.id, item.content


def _state(desk: sheets.Desk, id_: str, one: Assessed) -> str | None:
    """What was in force when the assessment was made: imported from it, or exported to it."""
    for event in reversed(desk.log.of(id_)):
        if event.visible.get("assessment") in {one.id, one.before} - {None}:
            return state_of(event.sequence, Said.of(event))
    return one.state


def _verdict(one: Assessed, id_: str, problems: Problems) -> str:
    word = key_text(one.value).casefold()
    if word not in ("pass", "fail"):
        where = f"trace {one.trace} ({id_})"
        kind = f"values of the assessment {places.NAME!r} that are no verdict"
        problems.add(kind, where, quoted(word), "pass, fail")
    return word
