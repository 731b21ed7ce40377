"""What to label next: what each way of choosing items would do for the numbers that decide.

An interval is a question of its denominator: agreement's are the items, those of recall of fail the
expert's fails. Items at random serve the first, items where fails are frequent the second. What is
chosen by a slice is no random sample: it serves recall of fail, and moves agreement towards that
slice.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from judgelab.metrics.names import named
from judgelab.metrics.sample_size import half_width, needs
from judgelab.scoring import short
from judgelab.types import Interaction, Label

BATCH = 10  # labels, for what a few more would do
THIN = 10  # labels of a value of a dimension, under which little is known of it
# Labels that a slice's rate of fails is drawn to the rate of all by: the mean of a Beta
# distribution with that weight (Gelman et al. 2013, Bayesian Data Analysis, 5), as the highest of
# many small rates is high by luck.
PRIOR = 10
KNOWN = 5  # labels of a slice before its rate of fails is gone by
AIM = "10"  # points of half a width that recall of fail is brought to first


@dataclass(frozen=True)
class Slice:
    """A value of a dimension: labels and fails among them, items that are open, and the share of
    fails to expect of those."""

    dimension: str
    value: str
    labels: int
    fails: int
    open: int
    rate: float

    def __str__(self) -> str:
        return f"{self.dimension}={self.value}"


def slices(items: Sequence[Interaction], labels: Mapping[str, Label]) -> list[Slice]:
    """Every value of every dimension.

    Args:
        items: all there are.
        labels: those that may be looked at, by id.
    """
    prevalence = _share(labels)
    counts: dict[tuple[str, str], Counter[str]] = {}
    for item in items:
        for dimension, value in item.dimensions.items():
            counts.setdefault((dimension, str(value)), Counter())[labels.get(item.id, "open")] += 1
    return [
        Slice(*key, n := c["fail"] + c["pass"], c["fail"], c["open"],
              (c["fail"] + PRIOR * prevalence) / (n + PRIOR))
        for key, c in sorted(counts.items())
    ]  # fmt: skip


def for_fails(found: Sequence[Slice], fails: int, prevalence: float) -> dict[str, Any] | None:
    """Where so many more fails are found with the fewest labels: slices of one dimension, the
    highest rate first, and how many labels of each. None where that is not fewer than at random.
    """
    best: dict[str, Any] | None = None
    for dimension in sorted({one.dimension for one in found}):
        way, left = list[dict[str, Any]](), float(fails)
        own = [one for one in found if one.dimension == dimension and _promising(one)]
        for one in sorted(own, key=lambda one: (-one.rate, one.value)):
            if left <= 0 or one.rate <= prevalence:
                break
            take = min(one.open, math.ceil(left / one.rate - 1e-9))
            way.append({"slice": str(one), "value": one.value, "labels": take,
                        "fails": one.fails, "of": one.labels, "rate": one.rate})  # fmt: skip
            left -= take * one.rate
        if not way:
            continue
        taken = sum(part["labels"] for part in way)
        got = fails - max(0.0, left)
        rest = math.ceil(max(0.0, left) / prevalence - 1e-9) if prevalence else 0
        made = {"dimension": dimension, "parts": way, "fails": got, "labels": taken + rest}
        if best is None or made["labels"] < best["labels"]:
            best = made
    at_random = math.ceil(fails / prevalence - 1e-9) if prevalence else None
    if best is None or at_random is None or best["labels"] >= at_random:
        return None
    return best


def next_labels(
    card: Mapping[str, Any],
    items: Sequence[Interaction],
    labels: Mapping[str, Label],
    closed: Sequence[str],
    more: Mapping[str, int | None],
    share: float,
) -> dict[str, Any]:
    """What the next round needs, in counts.

    Args:
        card: the judge's scorecard, as JSON.
        items: of the dataset.
        labels: of train and dev, or out of fold.
        closed: ids of labelled items whose labels stay closed (test).
        more: judged items that the open decisions take, by name: `decide` whether the judge is
            good enough, `tell` it from another one; None where no number would do.
        share: of new labels that the judge is scored on: 1 out of fold, dev's otherwise.

    Returns:
        `open` items without a label; `share` as given; `half_width` of agreement and recall_fail
        now, and in `ways` after `batch` more labels at random and of the best slice; of `fails`
        the number for recall of fail within ten points, the labels that takes at random, and
        `where`; `thin` slices with what they lack; and for each of `more` the labels it takes.
    """
    shut = set(closed)
    left = [item for item in items if item.id not in shut]
    found, prevalence = slices(left, labels), _share(labels)
    unlabelled = sum(item.id not in labels for item in left)
    metrics = needs(card)["metrics"]
    fails = math.ceil((metrics["recall_fail"]["more"][AIM] or 0) / share - 1e-9)
    best = max(filter(_promising, found), key=lambda one: one.rate, default=None)
    ways: list[dict[str, Any]] = [{"of": "at random", "fails": BATCH * prevalence}]
    if best is not None and best.rate > prevalence:
        ways.append({"of": str(best), "fails": BATCH * best.rate})
    for way in ways:
        new = {"agreement": BATCH * share, "recall_fail": float(way["fails"]) * share}
        way["half_width"] = {name: _width(metrics[name], new[name]) for name in new}
    thin = [one for one in found if one.labels < THIN and one.open]
    return {
        "open": unlabelled,
        "share": share,
        **{
            name: None if count is None else math.ceil(count / share - 1e-9)
            for name, count in more.items()
        },
        "half_width": {name: _width(metrics[name], 0) for name in ("agreement", "recall_fail")},
        "batch": BATCH,
        "ways": ways,
        "fails": {
            "more": fails,
            "at_random": math.ceil(fails / prevalence - 1e-9) if prevalence else None,
            "where": for_fails(found, fails, prevalence) if fails else None,
        },
        "thin": [asdict(one) | {"lacks": min(one.open, THIN - one.labels)} for one in thin],
    }


def in_words(found: Mapping[str, Any], decision: Mapping[str, Any]) -> list[str]:
    """The counts for a person, what decides first."""
    lines = []
    if decision["state"] == "open" and found["decide"]:
        lines.append(
            f"{found['decide']:,} more labels, at random, until agreement is decided against "
            f"{short(decision['goal'])}{_short_of(found['decide'], found['open'])}"
        )
    elif decision["state"] == "refuted":
        lines.append(
            f"for agreement no more labels: it is below {short(decision['goal'])} for sure. Change "
            "the rubric, the demonstrations or the judge"
        )
    fails = found["fails"]
    if fails["more"]:
        text = f"{fails['more']:,} more fails for {named('recall_fail')} within ±{AIM} points"
        if fails["at_random"]:
            short_of = _short_of(fails["at_random"], found["open"])
            text += f": about {fails['at_random']:,} labels at random{short_of}"
        if where := fails["where"]:
            parts = (
                f"{part['labels']:,} of {part['slice']} ({part['fails']} of {part['of']} failed)"
                for part in where["parts"]
            )
            text += f"; {where['labels']:,} if they begin with {', '.join(parts)}"
        lines.append(text)
    if found["thin"]:
        thin = [f"{t['lacks']} of {t['dimension']}={t['value']}" for t in found["thin"][:6]]
        more = len(found["thin"]) - len(thin)
        text = f"thin: {', '.join(thin)}{f' and of {more} more' if more > 0 else ''}"
        lines.append(f"{text}, to have {THIN} labels of each")
    if lines and found["share"] < 1:
        lines.append(f"of new labels {found['share']:.0%} are judged on; the counts allow for that")
    if not found["open"]:
        lines.append("every item is labelled: it takes new interactions")
    return lines


def _promising(one: Slice) -> bool:
    return one.open > 0 and one.labels >= KNOWN


def _short_of(labels: int, there: int) -> str:
    return f" ({there:,} items are open)" if labels > there else ""


def _width(need: Mapping[str, Any], more: float) -> float | None:
    n = need["n"] + more
    return half_width(need["planned_at"], n / need["deff"]) if n else None


def _share(labels: Mapping[str, Label]) -> float:
    return sum(label == "fail" for label in labels.values()) / len(labels) if labels else 0.0
