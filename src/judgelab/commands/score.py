"""`judgelab score`: verdicts from any tool, or of runs, against expert labels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from judgelab.commands import show
from judgelab.data.labels_file import Labels, read_labels
from judgelab.scoring import in_words
from judgelab.scoring import score as scorecard
from judgelab.sources import Source, fit, judges, level_of, policy_of
from judgelab.types import LABELS, Label, Verdict


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
    if as_json:
        click.echo(json.dumps(cards, indent=1, ensure_ascii=False))
        return
    everywhere = set().union(*items.values())
    level = level_of(sources)
    constant = [
        _card(f"always {said}", known, everywhere, _all(said, everywhere), policy, level)
        for said in LABELS
    ]
    clustered = f", clustered by {group or 'group'}" if known.clusters else ""
    title = f"positive class fail, abstentions: {policy}, intervals at {level:.1%}{clustered}"
    show.table(_table(cards, constant, title))
    _notes(cards)


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
    card = scorecard(kept, verdicts, clusters=labels.clusters, policy=policy, level=level)
    return card.to_json(name)


def _table(
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
    for heading in ("AC1", "fails"):
        table.add_column(heading, justify="right")
    for card in (*cards, *others):
        table.add_row(
            escape(card["judge"]),
            str(card["n"]),
            *([str(card.get("n_excluded", ""))] if excluded else []),
            _share(card["coverage"]),
            *(in_words(card, metric) for metric, _ in show.SHOWN),
            in_words(card, "gwet_ac1").partition(" ")[0],
            _share(card["prevalence_fail"]),
            style="dim" if card in others else None,
        )
    return table


def _share(share: float | None) -> str:
    """In per cent; 100 % is all of them."""
    if share is None:
        return "–"
    return f"{share:.1%}" if 0.995 <= share < 1 or 0 < share < 0.005 else f"{share:.0%}"


def _notes(cards: Sequence[Mapping[str, Any]]) -> None:
    """How far the numbers can be trusted, and how many labels would make them surer."""
    from judgelab.metrics import sample_size

    show.notes(f"{c['judge']}: reliability {c['reliability']}" for c in cards if c["reliability"])
    best = max(cards, key=_kappa)
    about = f"{best['judge']}: " if len(cards) > 1 else ""
    show.notes(f"{about}{line}" for line in sample_size.in_words(sample_size.needs(best)))


def _kappa(card: Mapping[str, Any]) -> float:
    value = card["metrics"]["kappa"]["value"]
    return -2.0 if value is None else float(value)
