"""Why agreement stalls: what the numbers of a round point at. A reason to look, no proof."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from judgelab.data.critiques import contradicts, is_missing, is_terse
from judgelab.expert.people import fisher
from judgelab.metrics.multiplicity import holm
from judgelab.metrics.sample_size import half_width_items
from judgelab.metrics.scorecard import lacking
from judgelab.scoring import in_words_of, p_in_words, short
from judgelab.types import Example, Interaction

LEAST = 5  # judged items of a slice that is looked at
MOST_P = 0.05  # of a slice that stands out, adjusted over all slices (Holm)
SPREAD = 0.75  # share of the values of a dimension with a disagreement, where they are spread
THIN_CRITIQUES = 1 / 3  # share of the fails' critiques that teach little
REPORTABLE = half_width_items(0.8, 0.1)  # 60: fewer cannot carry a decision of their own


@dataclass(frozen=True)
class Judged:
    """An item that was judged, and whether the judge agreed with the expert."""

    item: Interaction
    right: bool


@dataclass(frozen=True)
class Part:
    """One slice of the judged items: disagreements among them, and Fisher's one-sided p against
    all others, adjusted."""

    dimension: str
    value: str
    ids: tuple[str, ...]
    wrong: int
    p: float

    def __str__(self) -> str:
        return f"{self.dimension}={self.value}"


def parts(judged: Sequence[Judged]) -> list[Part]:
    """The slices of `LEAST` items or more, by dimension and value."""
    found: dict[tuple[str, str], list[Judged]] = defaultdict(list)
    for one in judged:
        for dimension, value in one.item.dimensions.items():
            found[dimension, str(value)].append(one)
    kept = {key: ones for key, ones in sorted(found.items()) if len(ones) >= LEAST}
    wrong, n = sum(not one.right for one in judged), len(judged)
    rows = []
    for key, ones in kept.items():
        own = sum(not one.right for one in ones)
        p = fisher(own, len(ones), wrong - own, n - len(ones))
        rows.append((key, tuple(one.item.id for one in ones), own, p))
    adjusted = holm([p for *_, p in rows])
    return [
        Part(*key, ids, own, 1.0 if p is None else p)
        for (key, ids, own, _), p in zip(rows, adjusted, strict=True)
    ]


def where(judged: Sequence[Judged]) -> tuple[str, list[Part]]:
    """How disagreements lie: `concentrated` with the slices that stand out, `spread` with those of
    the dimension that holds most of them, or `unclear`."""
    found = parts(judged)
    if out := [part for part in found if part.p < MOST_P]:
        return "concentrated", sorted(out, key=lambda part: (part.p, str(part)))
    by: dict[str, list[Part]] = defaultdict(list)
    for part in found:
        by[part.dimension].append(part)
    for dimension in sorted(by, key=lambda name: (-len(by[name]), name)):
        touched = [part for part in by[dimension] if part.wrong]
        if len(touched) > 2 and len(touched) >= SPREAD * len(by[dimension]):
            return "spread", by[dimension]
    return "unclear", []


def why(
    judged: Sequence[Judged],
    agreements: Mapping[str, Mapping[str, Any]],
    examples: Collection[Example],
    train: tuple[int, int],
    own: Mapping[str, Any] | None,
    flips: tuple[int, int],
    goal: float,
) -> list[dict[str, Any]]:
    """Why agreement may stall, the weightiest first; each with `why` and in words `says`.

    Args:
        judged: every item with a label that was judged.
        agreements: agreement in each slice that stands out, by its name, as a metric's JSON.
        examples: with the critiques that the judge may learn from.
        train: fails and passes that it may learn from.
        own: the expert's agreement with himself, as JSON of a metric with `n`, or None.
        flips: labels changed since the last round, of how many.
        goal: of agreement.
    """
    return [
        *_lie(judged, agreements),
        *_critiques(examples),
        *_expert(own, flips, goal),
        *_train(*train),
    ]


def _lie(
    judged: Sequence[Judged], agreements: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    wrong = sum(not one.right for one in judged)
    how, found = where(judged)
    if how == "concentrated":
        return [_concentrated(part, wrong, agreements.get(str(part))) for part in found]
    if how == "spread":
        touched = sum(part.wrong > 0 for part in found)
        says = (
            f"{wrong} disagreements lie in {touched} of {len(found)} values of "
            f"{found[0].dimension}, and none stands out: the system may be overscoped. A judge for "
            "fewer of them at a time is easier to get right."
        )
        return [{"why": "spread", "says": says, "wrong": wrong, "values": touched}]
    return []


def _concentrated(part: Part, wrong: int, agreement: Mapping[str, Any] | None) -> dict[str, Any]:
    rate = f", agreement {in_words_of(agreement)}" if agreement else ""
    few = len(part.ids) < REPORTABLE
    says = (
        f"{part.wrong} of the {wrong} disagreements are in {part}, {len(part.ids)} of the items"
        f"{rate} (p {p_in_words(part.p)}, Holm): that slice may be better left to people"
        + (f"; {REPORTABLE} items of it would say so within ±10 points." if few else ".")
    )
    return {"why": "concentrated", "says": says, "slice": str(part), "wrong": part.wrong,
            "n": len(part.ids), "p": part.p, "agreement": agreement}  # fmt: skip


def _critiques(examples: Collection[Example]) -> list[dict[str, Any]]:
    fails = [one for one in examples if one.label == "fail"]
    thin = [one for one in fails if is_missing(one) or is_terse(one) or contradicts(one)]
    if not fails or len(thin) < THIN_CRITIQUES * len(fails):
        return []
    says = (
        f"critiques of {len(thin)} of {len(fails)} fails to learn from are missing, under 8 words, "
        "or contradict their label: a judge cannot learn the expert's reasons from them."
    )
    return [{"why": "thin_critiques", "says": says, "thin": len(thin), "fails": len(fails)}]


def _expert(
    own: Mapping[str, Any] | None, flips: tuple[int, int], goal: float
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if own and own["value"] is not None and own["value"] < goal:
        says = (
            f"the expert, a second time, agrees with the own label in {in_words_of(own)} of "
            f"{own['n']} items: below {short(goal)}, so no judge can be shown to be there."
        )
        found.append({"why": "inconsistent", "says": says, "agreement": dict(own)})
    changed, of = flips
    if of and changed / of > 1 - goal + 1e-9:
        says = (
            f"{changed} of {of} labels changed since the last round, more than the "
            f"{short(1 - goal)} that a goal of {short(goal)} leaves: the criterion still moves."
        )
        found.append({"why": "changed_labels", "says": says, "changed": changed, "of": of})
    return found


def _train(fails: int, passes: int) -> list[dict[str, Any]]:
    few = lacking(fails, passes)
    if not few:
        return []
    says = f"the judge learns from {few} alone: label more before you change more."
    return [{"why": "small_train", "says": says, "fails": fails, "passes": passes}]


def said(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """The reasons in words; what to do where there is none."""
    if found:
        return [str(one["says"]) for one in found]
    return ["nothing in these numbers says why: read the disagreements."]
