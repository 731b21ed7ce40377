"""What the numbers of an analysis allow to be said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from judgelab.analysis.corrected import REASONS as OWN_REASONS
from judgelab.analysis.findings import claimed
from judgelab.metrics.names import why_missing
from judgelab.metrics.population import ASSUMPTIONS, REASONS
from judgelab.scoring import in_words_of, p_in_words

SAID = {
    "fails": ("the expert fails", "items"),
    "missed": ("the judge misses", "expert fails"),
    "false_alarms": ("the judge fails wrongly", "expert passes"),
}
MOST_CLAIMS = 8


def named(by: Mapping[str, str]) -> str:
    """A slice as a table has it: feature=latency, persona=analyst."""
    return ", ".join(f"{name}={value}" for name, value in by.items())


def in_words(found: Mapping[str, Any]) -> list[str]:
    """On which items this is, what is shown by Holm's p, and what is not."""
    return [*_unseen(found), *_claims(found), *_corrected(found)]


def why(reason: str) -> str:
    """Why a corrected share is not there."""
    return OWN_REASONS.get(reason) or REASONS.get(reason) or why_missing(reason)


def _unseen(found: Mapping[str, Any]) -> Iterator[str]:
    n = found["whole"]["n"]
    if found["look"]:
        yield f"On test, {found['look']}: rates alone; what these items say stays closed."
    elif found["exploratory"]:
        yield (
            f"Out of fold: each of the {n} items was judged by a judge that saw nothing of its "
            "group. Exploratory, no held-out claim."
        )
    elif found["chosen_here"]:
        yield (
            f"On dev, where this judge was chosen among {found['tried_here']}: what it misses here "
            "flatters it. What the system fails does not depend on the judge."
        )
    else:
        yield f"On dev: nothing of these {n} items was shown to the judge."


def _claims(found: Mapping[str, Any]) -> Iterator[str]:
    if not found["looked_at"]:
        return
    shown = claimed(found)
    family = (
        f"{found['looked_at']} slices were looked at, {found['tested']} of them large enough for "
        f"{found['tests']} tests against the rest"
    )
    if not shown:
        least = [
            test["holm"]
            for row in (*found["slices"], *found["pairs"])
            for test in row["tests"].values()
            if test.get("holm") is not None
        ]
        smallest = f"; the smallest p after Holm is {p_in_words(min(least))}" if least else ""
        yield f"No slice is shown to differ from the rest: {family}{smallest}."
        return
    for name, row in shown[:MOST_CLAIMS]:
        what, of = SAID[name]
        test, rate = row["tests"][name], row[name]
        yield (
            f"{named(row['by'])}: {what} {in_words_of(rate)} of {rate['n']} {of}, "
            f"{in_words_of(test['rest'])} of the rest (p {p_in_words(test['holm'])} after Holm)."
        )
    more = len(shown) - MOST_CLAIMS
    also = f" {more} more are shown, in analysis.json." if more > 0 else ""
    yield f"{family}; Holm's p is over all of them.{also}"


def _corrected(found: Mapping[str, Any]) -> Iterator[str]:
    whole = found["whole"].get("corrected")
    if whole is None:
        if found["unlabelled"]:
            yield (
                f"{found['unlabelled']} items of the data are unlabelled: --unlabelled has the "
                "judge look at them, and corrects what it says."
            )
        else:
            yield f"No corrected share: {OWN_REASONS['no_unlabelled']}."
        return
    ways = {"rogan_gladen": "by the judge's recalls", "ppi": "as labels of a random sample"}
    parts = []
    for key, said in ways.items():
        metric = whole[key]
        if metric["value"] is None:
            parts.append(f"{said} none ({why(metric['reason'])})")
        else:
            parts.append(f"{said} {in_words_of(metric)}, if {ASSUMPTIONS[metric['assumption']]}")
    yield (
        f"Of the {whole['n']} unlabelled items the judge fails "
        f"{in_words_of(whole['judge_fails'])}; corrected {'; '.join(parts)}."
    )
    if whole["apart"]:
        yield "The two corrections exclude one another: one of their assumptions does not hold."
