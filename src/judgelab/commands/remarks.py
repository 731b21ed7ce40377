"""What stands below a table of judges: how far its numbers can be trusted, and what is missing.

The same for `run`, `holdout` and `score`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from judgelab.metrics.names import named, why_missing
from judgelab.scoring import in_words_of, listed

if TYPE_CHECKING:
    from judgelab.expert.ceiling import Ceiling

Card = Mapping[str, Any]
NOTHING = ("no_items", "all_abstained")  # reasons that hold for every metric alike
FEW_CLUSTERS = "few_clusters "


def missing(cards: Sequence[Card], metrics: Sequence[str], bare: Sequence[str]) -> Iterator[str]:
    """Why a cell of a table is a dash, or has no limits.

    Args:
        cards: with `judge`, the name of the row.
        metrics: shown with their limits.
        bare: shown without.
    """
    found: dict[tuple[str, str, str], dict[str, None]] = {}
    for name in (*metrics, *bare):
        for card in cards:
            metric = card["metrics"].get(name)
            if metric is None or (metric["value"] is not None and name in bare):
                continue
            if metric["value"] is None or metric["lo"] is None:
                what = "no" if metric["value"] is None else "no interval of"
                reason = metric.get("reason") or "unknown"
                of = "number" if reason in NOTHING else named(name)
                found.setdefault((what, of, reason), {})[card["judge"]] = None
    for (what, of, reason), judges in found.items():
        yield f"{what} {of} for {listed(list(judges))}: {why_missing(reason)}"


def remarks(cards: Sequence[Card], ceiling: Ceiling | None) -> list[str]:
    """Of each judge how reliable it is, the ceiling, and how many labels would make the best surer.

    Args:
        cards: scorecards as JSON; with a ceiling each holds `beyond_ceiling`.
        ceiling: of their items; None where nobody asked for it.
    """
    about = [f"{card['judge']}: {said}" for card in cards for said in _trust(card)]
    return [*about, *(_ceiling(ceiling, cards) if ceiling else ()), *_needed(cards)]


def _trust(card: Card) -> Iterator[str]:
    if card["reliability"]:
        yield f"reliability {card['reliability']}"
    if card["caution"]:
        yield str(card["caution"])
    yield from _few_clusters(card["metrics"])
    if repeats := card.get("repeats"):
        yield (
            f"{repeats['k']} verdicts an item, the majority counts; flip rate "
            f"{in_words_of(repeats['flip_rate'])}, alpha {in_words_of(repeats['alpha'])}"
        )


def _few_clusters(metrics: Mapping[str, Any]) -> Iterator[str]:
    """Few clusters of all items, or only of those that some metrics are made of."""
    found: dict[str, list[str]] = {}
    for name, metric in metrics.items():
        for warning in metric.get("warnings", ()):
            if warning.startswith(FEW_CLUSTERS):
                found.setdefault(warning.removeprefix(FEW_CLUSTERS), []).append(named(name))
    for count, names in found.items():
        if named("agreement") in names:
            yield f"few clusters {count}"
            return
    if found:
        parts = (f"{listed(names)} {count}" for count, names in found.items())
        yield f"few clusters for {', '.join(parts)}"


def _ceiling(ceiling: Ceiling, cards: Sequence[Card]) -> Iterator[str]:
    """What the ceiling is, and which judge is above it."""
    if ceiling.card:
        yield f"the expert ceiling is {ceiling.who}, on {ceiling.n} of these items"
    if line := ceiling.in_words():
        yield line
    yield from ceiling.notes
    for card in cards:
        above = card["beyond_ceiling"]
        if above["code"]:
            more = in_words_of(above["kappa_difference"])
            yield (
                f"{card['judge']}: kappa above the ceiling's by {more}: beyond what these labels "
                "can verify"
            )


def _needed(cards: Sequence[Card]) -> Iterator[str]:
    from judgelab.metrics import sample_size

    best = max(cards, key=_kappa)
    about = f"{best['judge']}: " if len(cards) > 1 else ""
    yield from (f"{about}{line}" for line in sample_size.in_words(sample_size.needs(best)))


def _kappa(card: Card) -> float:
    value = card["metrics"]["kappa"]["value"]
    return -2.0 if value is None else float(value)
