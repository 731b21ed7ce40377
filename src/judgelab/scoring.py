"""Verdicts against expert labels: one row an item, the majority of its repeats."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from judgelab.types import Label, Verdict

if TYPE_CHECKING:
    from judgelab.metrics.scorecard import Scorecard

CODES = {"pass": 0, "fail": 1, None: -1}


def majority(verdicts: Iterable[Verdict]) -> dict[str, Label | None]:
    """The verdict of each item: the majority of its answered repeats; a tie is an abstention."""
    votes: dict[str, Counter[Label]] = defaultdict(Counter)
    for verdict in verdicts:
        votes[verdict.id].update([verdict.verdict] if verdict.verdict else [])
    return {item: _winner(count) for item, count in votes.items()}


def score(
    labels: Mapping[str, Label],
    verdicts: Iterable[Verdict],
    *,
    clusters: Mapping[str, str | None] | None = None,
    policy: str = "error",
    level: float = 0.95,
) -> Scorecard:
    """The scorecard over every labelled item; one without a verdict has abstained."""
    from judgelab.metrics.scorecard import scorecard

    items = sorted(labels)
    decided = majority(verdicts)
    return scorecard(
        [labels[item] == "fail" for item in items],
        [CODES[decided.get(item)] for item in items],
        groups=[clusters.get(item) for item in items] if clusters else None,
        policy=policy,
        level=level,
    )


def in_words(card: Mapping[str, Any], name: str) -> str:
    """A metric of a scorecard's JSON for a table: `.84 [.72, .91]`, or a dash."""
    metric = card["metrics"][name]
    if metric["value"] is None:
        return "–"
    value = _short(metric["value"])
    if metric["lo"] is None:
        return value
    return f"{value} [{_short(metric['lo'])}, {_short(metric['hi'])}]"


def _short(number: float) -> str:
    """Two digits without the leading zero: .84, -.05, 1."""
    text = f"{number:.2f}".replace("0.", ".", 1)
    return {"1.00": "1", "-1.00": "-1", ".00": "0", "-.00": "0"}.get(text, text)


def _winner(votes: Counter[Label]) -> Label | None:
    if votes["pass"] == votes["fail"]:
        return None
    return "pass" if votes["pass"] > votes["fail"] else "fail"
