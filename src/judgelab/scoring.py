"""Verdicts against expert labels: one row an item, the majority of its repeats."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from judgelab.errors import DataError
from judgelab.types import CODES, Label, Verdict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from judgelab.metrics.scorecard import Scorecard

NAMED = 5  # names that a sentence has room for
MOST_WEIGHT = 1_000_000_000  # of an item, in those of the lightest


def majority(verdicts: Iterable[Verdict]) -> dict[str, Label | None]:
    """The verdict of each item: the majority of its answered repeats; a tie is an abstention."""
    votes: dict[str, Counter[Label]] = defaultdict(Counter)
    for verdict in verdicts:
        votes[verdict.id].update([verdict.verdict] if verdict.verdict else [])
    return {item: _winner(count) for item, count in votes.items()}


def codes(items: Sequence[str], verdicts: Iterable[Verdict]) -> NDArray[np.int64]:
    """The verdict on each item, shape (n,): 1 = fail, 0 = pass, -1 = abstained or none there."""
    import numpy as np

    decided = majority(verdicts)
    return np.array([CODES[decided.get(item)] for item in items], dtype=np.int64)


def points(
    metrics: Iterable[str], labels: Mapping[str, Label], verdicts: Iterable[Verdict]
) -> dict[str, float | None]:
    """The point estimates over the labelled items alone, without their intervals; an abstention
    counts as wrong, positive class fail."""
    from judgelab.metrics.agreement import estimate
    from judgelab.metrics.confusion import Confusion

    expert = [label == "fail" for label in labels.values()]
    table = Confusion.from_arrays(expert, codes(list(labels), verdicts))
    return {name: estimate(name, table).value for name in metrics}


def score(
    labels: Mapping[str, Label],
    verdicts: Iterable[Verdict],
    *,
    clusters: Mapping[str, str | None] | None = None,
    weights: Mapping[str, float] | None = None,
    policy: str = "error",
    level: float = 0.95,
) -> Scorecard:
    """The scorecard over every labelled item; one without a verdict has abstained.

    Args:
        labels: the expert's, by item.
        verdicts: of one judge, any number of repeats; those on other items are left out.
        clusters: the group of each item; None = one of its own.
        weights: the sampling weight of each item (see `scorecard`); None = all alike.
        policy: what an abstention counts as.
        level: nominal coverage of the intervals.

    Raises:
        ConfigError: an unknown policy.
        DataError: an item without a positive weight, where there are weights.
    """
    from judgelab.metrics.scorecard import scorecard

    items, given = sorted(labels), list(verdicts)
    groups = [clusters.get(item) for item in items] if clusters else None
    card = scorecard(
        [labels[item] == "fail" for item in items],
        codes(items, given),
        groups=groups,
        weights=None if weights is None else _weights(items, weights),
        policy=policy,
        level=level,
    )
    asked = {verdict.repeat for verdict in given if verdict.id in labels}
    if len(asked) < 2:
        return card
    from judgelab.metrics.repeats import repeats

    every = _repeats(items, given, sorted(asked))
    return replace(card, repeats=repeats(every, groups=groups, level=level))


def in_words(card: Mapping[str, Any], name: str) -> str:
    """A metric of a scorecard's JSON for a table: `.84 [.72, .91]`, or a dash."""
    return in_words_of(card["metrics"][name])


def in_words_of(metric: Mapping[str, Any]) -> str:
    """A value with its interval, as JSON, for a table: `.84 [.72, .91]`, or a dash."""
    if metric["value"] is None:
        return "–"
    value = short(metric["value"])
    if metric["lo"] is None:
        return value
    return f"{value} [{short(metric['lo'])}, {short(metric['hi'])}]"


def short(number: float) -> str:
    """Two digits without the leading zero: .84, -.05, 1."""
    text = f"{number:.2f}".replace("0.", ".", 1)
    return {"1.00": "1", "-1.00": "-1", ".00": "0", "-.00": "0"}.get(text, text)


def listed(names: Sequence[str]) -> str:
    """`a, b and c`; of many the first, and how many more."""
    left = len(names) - NAMED
    shown = [*names[:NAMED], *([f"{left} more"] if left > 0 else [])]
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def p_in_words(p: float) -> str:
    """A p-value, three digits of it: .034, <.001, 1."""
    text = f"{p:.3f}".replace("0.", ".", 1)
    return "<.001" if p < 0.001 else {"1.000": "1"}.get(text, text)


def _weights(items: Sequence[str], weights: Mapping[str, float]) -> list[float]:
    wrong = [item for item in items if not 0 < weights.get(item, 0) < math.inf]
    if wrong:
        raise DataError(
            f"{len(wrong)} labelled items have no positive weight, e.g. {', '.join(wrong[:3])}: "
            "give each the inverse of the probability with which it was drawn, or no weights."
        )
    given = [weights[item] for item in items]
    if given and max(given) / min(given) > MOST_WEIGHT:
        raise DataError(
            f"the weights run from {min(given):g} to {max(given):g}: one item would stand for more "
            f"than {MOST_WEIGHT:,} others, and the rest would not count. Is this the right field?"
        )
    return given


def _repeats(
    items: Sequence[str], verdicts: Iterable[Verdict], asked: Sequence[int]
) -> list[list[float]]:
    """Codes of each item's repeats; NaN where it has no verdict of that repeat."""
    known = {(verdict.id, verdict.repeat): CODES[verdict.verdict] for verdict in verdicts}
    return [[known.get((item, repeat), math.nan) for repeat in asked] for item in items]


def _winner(votes: Counter[Label]) -> Label | None:
    if votes["pass"] == votes["fail"]:
        return None
    return "pass" if votes["pass"] > votes["fail"] else "fail"
