"""The ceiling: how well another human look agrees with the labels that a judge is scored by."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any, Literal

from judgelab.expert.people import chosen_parts, made_of_others, needed
from judgelab.expert.voices import Voices, hear, second
from judgelab.metrics.bootstrap import DRAWS
from judgelab.metrics.joint import Joint
from judgelab.metrics.scorecard import Metric, Scorecard, scorecard
from judgelab.types import CODES, Annotation, Label

Source = Literal["self", "people"]
BEYOND = "beyond_what_these_labels_verify"


@dataclass(frozen=True)
class Look:
    """One human label of an item beside the reference that it is held against."""

    id: str
    group: str
    reference: Label
    other: Label


@dataclass(frozen=True)
class Ceiling:
    """Human against human, as a row of the judges' table.

    Attributes:
        source: self (the expert's second labels), people (others), or None: unknown.
        who: in words, e.g. "ann, a second time".
        n: items; `card` may hold several looks at one, clustered by it.
        enough: whether n is 30 and 10 % of the items asked for.
        card: the scorecard; the reference as the expert, the other look as the judge.
        reason: why it is unknown: no_second_labels (of any item), none_on_these_items,
            within_a_day (each less than a day from the first), or chosen_items_only (what there
            is was labelled because others differed).
        notes: what to know before reading it.
        looks: what the card was made of.
    """

    source: Source | None
    who: str
    n: int
    enough: bool = False
    card: Scorecard | None = None
    reason: str | None = None
    notes: tuple[str, ...] = ()
    looks: tuple[Look, ...] = field(default=(), repr=False)

    def to_json(self) -> dict[str, Any]:
        """The fields by name, and the metrics as in a scorecard; empty where unknown."""
        found = self.card.to_json(self.who) if self.card else {"metrics": {}}
        return {
            "source": self.source,
            "who": self.who,
            "n": self.n,
            "enough": self.enough,
            "metrics": found["metrics"],
            "reason": self.reason,
            "notes": list(self.notes),
        }

    def in_words(self) -> str:
        """A line for a person, where the row is unknown or rests on few items; else empty."""
        if self.card is None:
            return f"ceiling unknown ({UNKNOWN[self.reason or '']}): {RELABEL}"
        return "" if self.enough else f"ceiling from {self.n} items alone: {RELABEL}"


UNKNOWN = {
    "no_second_labels": "no item was labelled twice",
    "none_on_these_items": "none of these items was labelled twice",
    "within_a_day": "what was labelled twice was within a day, and may be remembered",
    "chosen_items_only": "the other labels are of items chosen because people differed on them",
}
RELABEL = f"let the expert label {needed(0)} or more items again, blind, a day later"


def ceiling(
    labels: Mapping[str, Label],
    annotations: Sequence[Annotation],
    expert: str,
    ids: Collection[str] | None = None,
    clusters: Mapping[str, str | None] | None = None,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Ceiling:
    """The ceiling over the items `ids` (all that are labelled, if None); see `ceiling_of`.

    Args:
        labels: the label that decides, by id.
        annotations: other labels; those that only repeat `labels` are recognised (`hear`).
        expert: who gave `labels`, or "".
        ids: the items that the judge is scored on.
        clusters: the group by id.
        level: nominal coverage of the intervals.
        seed: of the bootstrap.
    """
    return ceiling_of(hear(labels, annotations, expert, clusters), ids, level=level, seed=seed)


def ceiling_of(
    voices: Voices,
    ids: Collection[str] | None = None,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Ceiling:
    """The expert's second labels where they are enough, else other people's, else what there is.

    Other people are pooled: each of their labels is one look at the item, held against the label
    that decides. Where that label itself follows their majority, it is no reference for them:
    each two of them are then held against each other, both ways round, so that no name decides
    which is the reference. Looks at one item, or at items of one group, are one cluster. People
    who labelled a chosen part of the items (`chosen_parts`) are left out. Who that is, is told by
    all items, whatever `ids`.
    """
    scope = voices if ids is None else voices.only(ids)
    enough = needed(len(scope.deciding))
    derived = made_of_others(voices)
    chosen = chosen_parts(voices, derived)
    alone = _again(scope)
    kept = [name for name in scope.people if name not in chosen and name != derived]
    against_each_other = derived == voices.decider
    others = _each_other(scope, kept) if against_each_other else _others(scope, kept)
    sizes = {"self": _items(alone), "people": _items(others)}
    source: Source = "self"
    if sizes["self"] < enough and (sizes["people"] >= enough or not alone):
        source = "people"
    looks = alone if source == "self" else others
    if not looks:
        return Ceiling(None, "", 0, reason=_why(voices, kept))
    notes: tuple[str, ...] = ()
    if source == "self":
        who = f"{voices.expert}, a second time"
    elif against_each_other:
        names = sorted({name for name in kept if scope.people[name]})
        who = f"{_listed(names)} against each other"
        notes = (
            "the label that decides follows the majority of these people, and is steadier than one "
            "person: a judge can agree with it more than they do with each other.",
        )
    else:
        names = sorted({name for name in kept if scope.people[name]})
        who = f"{_listed(names)} against {voices.decider}"
    card = scorecard(
        [look.reference == "fail" for look in looks],
        [CODES[look.other] for look in looks],
        groups=[look.group for look in looks],
        level=level,
        seed=seed,
    )
    n = _items(looks)
    return Ceiling(source, who, n, n >= enough, card, notes=notes, looks=tuple(looks))


@dataclass(frozen=True)
class Beyond:
    """A judge against the ceiling, both held against the same references on the same items.

    Attributes:
        code: `BEYOND` where the judge's kappa is significantly the higher, else None.
        n: items with a human look and a line of the judge's.
        difference: kappa of the judge minus kappa of the other human look.
        reason: why nothing is said: ceiling_unknown or no_common_items.
    """

    code: str | None
    n: int
    difference: Metric | None = None
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "n": self.n,
            "kappa_difference": self.difference.to_json() if self.difference else None,
            "reason": self.reason,
        }


def beyond(
    ceiling: Ceiling,
    verdicts: Mapping[str, Label | None],
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Beyond:
    """Whether a judge agrees with the labels more than humans do: more than they can verify.

    Where the lower limit of the kappa difference is above 0 the labels are too noisy to say how
    good the judge is; it is not a triumph. Paired bootstrap, clustered as the ceiling.

    Args:
        ceiling: of the items that the judge was scored on.
        verdicts: by id; None is an abstention, and an id without an entry is left out.
        level: of the interval.
        seed: of the bootstrap.
    """
    if ceiling.card is None:
        return Beyond(None, 0, reason="ceiling_unknown")
    looks = [look for look in ceiling.looks if look.id in verdicts]
    if not looks:
        return Beyond(None, 0, reason="no_common_items")
    joint = Joint.of(
        [look.reference == "fail" for look in looks],
        [CODES[verdicts[look.id]] for look in looks],
        [CODES[look.other] for look in looks],
        [look.group for look in looks],
        "error",
    )
    resamples = joint.resamples(draws=DRAWS, seed=seed)
    difference = joint.difference("kappa", resamples, level)
    above = difference.interval.lo is not None and difference.interval.lo > 0
    return Beyond(BEYOND if above else None, _items(looks), difference)


def _again(voices: Voices) -> list[Look]:
    labels = voices.labels
    return _sorted(
        _look(voices, id_, labels[id_], said.label) for id_, said in second(voices).items()
    )


def _others(voices: Voices, names: Sequence[str]) -> list[Look]:
    return _sorted(
        _look(voices, id_, label, voices.people[name][id_])
        for name in names
        for id_, label in voices.labels.items()
        if id_ in voices.people[name]
    )


def _each_other(voices: Voices, names: Sequence[str]) -> list[Look]:
    return _sorted(
        _look(voices, id_, voices.people[one][id_], voices.people[other][id_])
        for one, other in permutations(names, 2)
        for id_ in voices.people[one].keys() & voices.people[other].keys() & voices.labels.keys()
    )


def _look(voices: Voices, id_: str, reference: Label, other: Label) -> Look:
    group = voices.clusters.get(id_)
    return Look(id_, f"item {id_}" if group is None else f"group {group}", reference, other)


def _sorted(looks: Any) -> list[Look]:
    """In an order that no name of a person decides."""
    return sorted(looks, key=lambda look: (look.id, look.reference, look.other))


def _items(looks: Sequence[Look]) -> int:
    return len({look.id for look in looks})


def _why(voices: Voices, kept: Sequence[str]) -> str:
    if second(voices) or any(voices.people[name] for name in kept):
        return "none_on_these_items"
    if voices.again and not voices.people:
        return "within_a_day"
    return "chosen_items_only" if voices.people else "no_second_labels"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
