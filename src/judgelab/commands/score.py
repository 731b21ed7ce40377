"""`judgelab score`: verdicts from any tool, or of runs, against expert labels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape
from rich.table import Table

from judgelab.commands import show
from judgelab.commands.remarks import missing, remarks
from judgelab.data.annotations import read_annotations
from judgelab.data.labels_file import Labels, read_labels
from judgelab.data.readers import reader_for
from judgelab.data.readers.values import key_text
from judgelab.data.spellings import Spellings
from judgelab.scoring import majority
from judgelab.scoring import score as scorecard
from judgelab.sources import Source, fit, judges, level_of, policy_of
from judgelab.types import LABELS, Label, Verdict

if TYPE_CHECKING:
    from judgelab.expert.ceiling import Ceiling
    from judgelab.expert.voices import Voices


def score(
    labels: Path,
    words: Sequence[str],
    *,
    policy: str | None,
    group: str | None,
    annotations: Path | None,
    weights: str | None,
    as_json: bool,
) -> None:
    """One scorecard a judge: of a file over all labelled items, of a run over those it judged."""
    known = read_labels(labels, group, weights)
    sources = judges(words)
    policy = policy or policy_of(sources)
    items = {source.name: _items(source, known) for source in sources}
    cards = [
        _card(source.name, known, items[source.name], source.verdicts, policy, level_of([source]))
        for source in sources
    ]
    level, everywhere = level_of(sources), set().union(*items.values())
    voices = _voices(annotations, known) if annotations else None
    ceiling = _ceiling(voices, everywhere, level) if voices else None
    if ceiling and voices:
        cards = [
            card | _against(ceiling, voices, source, items[source.name], policy)
            for card, source in zip(cards, sources, strict=True)
        ]
    if as_json:
        click.echo(json.dumps(cards, indent=1, ensure_ascii=False, allow_nan=False))
        return
    others = [
        _card(f"always {said}", known, everywhere, _all(said, everywhere), policy, level)
        for said in LABELS
    ]
    if ceiling and ceiling.card:
        others.append(ceiling.card.to_json("expert ceiling") | {"n": ceiling.n})
    clustered = f", clustered by {group or 'group'}" if known.clusters else ""
    weighted = f", weighted by {weights}" if weights else ""
    title = f"positive class fail, abstentions: {policy}, intervals at {level:.1%}"
    show.table(scorecards(cards, others, title + clustered + weighted))
    show.below(missing([*cards, *others], [name for name, _ in show.SHOWN], [show.AC1[0]]))
    show.notes(remarks(cards, ceiling))
    for card in cards:
        if both := list(show.under_both(card.get("relabelled"))):
            show.line(f"\n{card['judge']}")
            for text in both:
                show.line(text)
    if ceiling is None:
        show.notes(
            ["ceiling unknown: --annotations FILE holds other labels of these items, if any"]
        )


def _items(source: Source, labels: Labels) -> set[str]:
    """What a judge is scored on: a file's judge was asked all that is labelled."""
    found = fit(source, labels)
    items = found.ids
    notes = []
    if found.unlabelled:
        notes.append(f"{len(found.unlabelled)} verdicts on items without a label are left out")
    if found.moved:
        notes.append(f"{len(found.moved)} items have other texts in {labels.where}: left out")
    if source.run is None:
        items = labels.labels.keys() - set(found.moved)
        if missing := len(items - found.ids):
            notes.append(f"{missing} labelled items have no verdict (abstained: missing)")
    show.notes(f"{source.name}: {note}" for note in notes)
    return items


def _all(said: Label, items: set[str]) -> list[Verdict]:
    return [Verdict(item, said) for item in items]


def _card(
    name: str,
    labels: Labels,
    items: set[str],
    verdicts: Sequence[Verdict],
    policy: str,
    level: float,
) -> dict[str, Any]:
    kept = {item: labels.labels[item] for item in items}
    card = scorecard(
        kept,
        verdicts,
        clusters=labels.clusters,
        weights=labels.weights,
        policy=policy,
        level=level,
    )
    return card.to_json(name)


def scorecards(
    cards: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]], title: str
) -> Table:
    """The headline of each judge; below, dim, what no judge is: constant ones, and people."""
    table = Table(
        title=escape(title), title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0)
    )
    table.add_column("judge", overflow="fold", min_width=12)
    excluded = any("n_excluded" in card for card in cards)
    for heading in ("n", *(["excl."] if excluded else []), "cover"):
        table.add_column(heading, justify="right")
    for _, heading in show.SHOWN:
        table.add_column(heading, no_wrap=True)
    for heading in (show.AC1[1], "fails"):
        table.add_column(heading, justify="right")
    for card in (*cards, *others):
        table.add_row(
            escape(card["judge"]),
            str(card["n"]),
            *([str(card.get("n_excluded", ""))] if excluded else []),
            show.share(card["coverage"]),
            *show.cells(card, show.SHOWN),
            show.share(card["prevalence_fail"]),
            style="dim" if card in others else None,
        )
    return table


def _voices(path: Path, labels: Labels) -> Voices:
    """All labels that people gave."""
    from judgelab.expert.voices import hear

    ids = {key_text(row.values.get("id")) for row in reader_for(path).rows(path)}
    given = read_annotations(path, Spellings({}), ids)
    if strange := len(ids - labels.labels.keys()):
        show.notes([f"{path}: {strange} items have no label in {labels.where}: left out"])
    return hear(labels.labels, given, labels.expert, labels.clusters)


def _ceiling(voices: Voices, items: set[str], level: float) -> Ceiling:
    """Another human look at these items."""
    from judgelab.expert.ceiling import ceiling_of

    return ceiling_of(voices, items, level=level)


def _against(
    ceiling: Ceiling, voices: Voices, source: Source, items: set[str], policy: str
) -> dict[str, Any]:
    """What a judge's JSON says of other human looks."""
    from judgelab.expert.ceiling import beyond
    from judgelab.expert.relabelled import relabelled

    level = level_of([source])
    decided = {item: said for item, said in majority(source.verdicts).items() if item in items}
    found = relabelled(voices.only(items), decided, policy=policy, level=level)
    return {
        "ceiling": ceiling.to_json(),
        "beyond_ceiling": beyond(ceiling, decided, level=level).to_json(),
        "relabelled": found.to_json() if found else None,
    }
