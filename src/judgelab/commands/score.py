"""`judgelab score`: verdicts from any tool against expert labels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from judgelab.commands import show
from judgelab.data.labels_file import read_labels
from judgelab.data.verdicts import read_verdicts
from judgelab.errors import DataError
from judgelab.scoring import score as scorecard
from judgelab.types import Verdict


def score(
    labels: Path, verdicts: Sequence[Path], *, policy: str, group: str | None, as_json: bool
) -> None:
    """One scorecard a judge, over all labelled items."""
    known, clusters = read_labels(labels, group)
    cards = []
    for name, given in _judges(verdicts).items():
        strange = sorted({v.id for v in given} - known.keys())
        missing = len(known.keys() - {v.id for v in given})
        if len(strange) == len({v.id for v in given}):
            raise DataError(
                f"no item of judge {name!r} is labelled in {labels}: ids such as "
                f"{', '.join(strange[:3])} against {', '.join(list(known)[:3])}."
            )
        if strange:
            show.notes([f"{name}: {len(strange)} verdicts on items without a label are left out"])
        if missing:
            show.notes([f"{name}: {missing} labelled items have no verdict (abstained: missing)"])
        cards.append(scorecard(known, given, clusters=clusters, policy=policy).to_json(name))
    if as_json:
        click.echo(json.dumps(cards, indent=1, ensure_ascii=False))
        return
    clustered = f", clustered by {group}" if group else ""
    show.scorecards(cards, f"positive class fail, abstentions: {policy}{clustered}")
    show.notes(_low(cards))


def _judges(files: Sequence[Path]) -> Mapping[str, list[Verdict]]:
    judges: dict[str, list[Verdict]] = {}
    for file in files:
        for name, given in read_verdicts(file).items():
            if name in judges:
                raise DataError(f"{file}: judge {name!r} is in another file too; rename one.")
            judges[name] = list(given.values())
    return judges


def _low(cards: Sequence[Mapping[str, Any]]) -> list[str]:
    return [f"{c['judge']}: reliability {c['reliability']}" for c in cards if c["reliability"]]
