"""What may be said of the choice of a sweep, a sentence each.

The choice and its numbers are always said. From fewer labels than `scorecard.lacking` asks for
nothing is claimed of them: the sentence says why instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from judgelab.metrics.names import named
from judgelab.metrics.scorecard import FEW_ITEMS, FEW_OF_A_CLASS
from judgelab.rules import HARDLY
from judgelab.scoring import in_words, in_words_of, listed, short
from judgelab.selection import Selection

HELD_OUT = "The number to report comes from judgelab holdout."
NOT_HELD_OUT = "With so few labels no held-out number is there to report."


def sentences(made: Selection, found: Mapping[str, Any]) -> Iterator[str]:
    """`found` is what the selection gives as JSON."""
    yield _choice(made)
    if made.stopped and made.variants:
        yield f"Not ranked: {made.stopped} that were stopped early."
    if made.missing and made.variants:
        yield f"Not among them: {made.missing} that are incomplete or could not run."
    if made.variants:
        yield from _set(made, found)
        yield from _baselines(made)
        yield from _cheaper(made, found)
        yield from _optimism(made, found)


def _choice(made: Selection) -> str:
    chosen, metric, floors = made.chosen, made.rules.metric, made.rules.in_words
    if chosen:
        among = f"of {len(made.variants)}"
        if floors:
            meets = len(made.variants) - len(made.below)
            among = f"of the {meets} (of {len(made.variants)}) with {floors}"
        return (
            f"{chosen.name} is chosen: the highest {named(metric)} {among}, "
            f"{in_words(chosen.card, metric)}."
        )
    nearest = made.reference
    if not made.variants:
        return "No variant is complete yet."
    if nearest is None:
        return f"No winner: {named(metric)} is undefined for every variant."
    why = "; ".join(made.below[nearest.id])
    needs = f" with {floors}" if floors else ""
    return (
        f"No winner: no variant{needs}. The highest {named(metric)} is of {nearest.name}, "
        f"{in_words(nearest.card, metric)}, but its {why}."
    )


def _set(made: Selection, found: Mapping[str, Any]) -> Iterator[str]:
    names = {one.id: one.name for one in made.variants}
    items = f"{found['set_n']} items"
    kept = [names[id_] for id_ in found["best_set"]]
    if found["set_reason"]:
        yield f"Which are as good as the best cannot be said ({found['set_reason']})."
    elif len(kept) > 1:
        yield f"{listed(kept)} cannot be told apart on {items}."
    elif len(names) > 1:
        yield (
            f"That {kept[0]} alone is the best of {len(names)} is not claimed: {_why(made)}."
            if made.too_few
            else f"{kept[0]} alone is left as the best of {len(names)} on {items}."
        )
    if found["detectable"] and len(kept) > 1:
        yield (
            f"These items could show a difference in agreement from "
            f"{100 * found['detectable']:.0f} points up (80 % power)."
        )


def _baselines(made: Selection) -> Iterator[str]:
    """Baselines that the reference is not better than, by the metric or beyond chance."""
    reference = made.reference
    if reference is None:
        return
    metric = made.rules.metric
    unclear = []
    for one in (one for one in made.candidates if one.baseline):
        value, best = one.value(metric), reference.value(metric)
        if value is not None and best is not None and value >= best:
            yield (
                f"The baseline {one.name} is at least as good: {named(metric)} "
                f"{in_words(one.card, metric)}."
            )
        elif made.too_few or not made.shown_better(one):
            unclear.append(one.name)
    if unclear:
        plural = "s" if len(unclear) > 1 else ""
        baselines = f"better than the baseline{plural} {listed(unclear)}"
        if made.too_few:
            yield f"{reference.name} is not claimed to be {baselines}: {_why(made)}."
        else:
            yield f"{reference.name} is not shown to be {baselines}."


def _cheaper(made: Selection, found: Mapping[str, Any]) -> Iterator[str]:
    if not (cheaper := found["cheaper"]):
        return
    name = next(one.name for one in made.variants if one.id == cheaper["run"])
    less, metric = f"{name} costs ${cheaper['saves_usd']:.4f} less", named(made.rules.metric)
    margin = f"margin {100 * made.rules.margin:.0f}"
    if made.too_few:
        yield (
            f"{less}, a difference in {metric} of {in_words_of(cheaper['difference'])}; that it "
            f"is no worse ({margin}) is not claimed: {_why(made)}."
        )
        return
    points = 100 * max(0.0, -cheaper["difference"]["lo"])
    yield f"{less} and is at most {points:.0f} points of {metric} worse ({margin})."


def _optimism(made: Selection, found: Mapping[str, Any]) -> Iterator[str]:
    optimism = found["optimism"]
    if not optimism or optimism["value"] is None or not made.chosen:
        return
    metric, report = named(made.rules.metric), HELD_OUT if made.held_out else NOT_HELD_OUT
    if optimism["value"] < HARDLY:
        among = f"the best of {optimism['variants']}"
        yield f"As that of {among} this {metric} is hardly optimistic. {report}"
        return
    yield (
        f"This {metric} is optimistic: the best of {optimism['variants']} looks about "
        f"{short(optimism['value'])} better on the items it was chosen on than it is. {report}"
    )


def _why(made: Selection) -> str:
    return f"{made.too_few}, where it takes {FEW_ITEMS} items and {FEW_OF_A_CLASS} of each class"
