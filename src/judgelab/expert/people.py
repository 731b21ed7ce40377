"""How well the expert agrees with himself, and people with each other."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from judgelab.expert.voices import Voices, second
from judgelab.metrics.raters import Pair, krippendorff_alpha, pairwise
from judgelab.metrics.scorecard import Metric
from judgelab.types import CODES, Label

ENOUGH, SHARE = 30, 0.1  # second labels: at least so many, and that share of the items
# A label is the majority of the others' where somebody who looked himself would have contradicted
# it at least so often, and a label of this name does so in this share of those times at most.
EXPECTED, CONTRADICTS = 10, 0.05
SIDES_WITH_FEWER = 0.25  # of somebody who looks himself, where others differ two to one
CHOSEN = 0.001  # p below which a person labelled a chosen part of the items


@dataclass(frozen=True)
class SelfAgreement:
    """The expert's second labels against those that decide.

    Attributes:
        of: labelled items.
        pair: agreement and kappa; None where nothing was labelled twice, with `reason`.
        too_soon: items left out, labelled again within a day alone.
        apart: items of the pair with both times known, a day or more apart.
        same_round: items of the pair with both labels in one numbered round.
        reason: no_second_labels, labelled_again_too_soon or expert_unnamed.
    """

    expert: str
    of: int
    pair: Pair | None
    too_soon: int = 0
    apart: int = 0
    same_round: int = 0
    reason: str | None = None

    @property
    def n(self) -> int:
        """Items labelled twice."""
        return self.pair.n if self.pair else 0

    @property
    def needed(self) -> int:
        """Second labels that are enough."""
        return needed(self.of)

    def to_json(self) -> dict[str, Any]:
        """The counts always; agreement and kappa where something was labelled twice."""
        counts = ("expert", "of", "n", "needed", "too_soon", "apart", "same_round")
        return (
            {name: getattr(self, name) for name in counts}
            | {"enough": self.n >= self.needed}
            | (_pair_json(self.pair) if self.pair else {"reason": self.reason})
        )


@dataclass(frozen=True)
class Between:
    """Two people, or one and the label that decides. `part` says whose items were chosen, if so."""

    a: str
    b: str
    pair: Pair
    part: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"a": self.a, "b": self.b, "n": self.pair.n} | _pair_json(self.pair, self.part)


@dataclass(frozen=True)
class InterAgreement:
    """People with each other.

    Attributes:
        pairs: all that share items; those with the label that decides first.
        alpha: Krippendorff's, over more than two people or where there are gaps; else None.
        alpha_of: whose labels it is of: not those who labelled a chosen part, and nothing that is
            made of the others' labels.
        chosen: who labelled a chosen part of the items, and how that is known.
        made_of_others: the name whose label is the majority of the others', if there is one.
    """

    pairs: tuple[Between, ...]
    alpha: Metric | None = None
    alpha_of: tuple[str, ...] = ()
    chosen: Mapping[str, str] | None = None
    made_of_others: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "pairs": [pair.to_json() for pair in self.pairs],
            "alpha": None if self.alpha is None else self.alpha.to_json(),
            "alpha_of": list(self.alpha_of),
            "chosen": dict(self.chosen or {}),
            "made_of_others": self.made_of_others,
        }


def needed(items: int) -> int:
    """Second labels that are enough for so many items: 30, and 10 % of them."""
    return max(ENOUGH, math.ceil(SHARE * items - 1e-9))


def self_agreement(voices: Voices, *, level: float = 0.95, seed: int = 0) -> SelfAgreement:
    """The newest other label of each item against the one that decides."""
    again = second(voices)
    soon = len(voices.again) - len(again)
    of = len(voices.deciding)
    if not again:
        reason = "labelled_again_too_soon" if soon else "no_second_labels"
        reason = reason if voices.expert else "expert_unnamed"
        return SelfAgreement(voices.expert, of, None, soon, reason=reason)
    ids = sorted(again)
    first = [voices.deciding[id_] for id_ in ids]
    other = [again[id_] for id_ in ids]
    pair = pairwise(
        [CODES[said.label] for said in first],
        [CODES[said.label] for said in other],
        groups=voices.groups(ids),
        level=level,
        seed=seed,
    )
    both = list(zip(first, other, strict=True))
    return SelfAgreement(
        voices.expert,
        of,
        pair,
        soon,
        apart=sum(a.at is not None and b.at is not None for a, b in both),
        same_round=sum(a.round is not None and a.round == b.round for a, b in both),
    )


def inter_agreement(voices: Voices, *, level: float = 0.95, seed: int = 0) -> InterAgreement:
    """Every two people on the items that both labelled, and all of them together."""
    if not voices.people:
        return InterAgreement(())
    said = {voices.decider: voices.labels, **voices.people}
    derived = made_of_others(voices)
    chosen = chosen_parts(voices, derived)
    pairs = []
    for a, b in combinations(said, 2):
        ids = sorted(said[a].keys() & said[b].keys())
        if ids:
            codes = [[CODES[said[name][id_]] for id_ in ids] for name in (a, b)]
            pair = pairwise(*codes, groups=voices.groups(ids), level=level, seed=seed)
            part = ", ".join(name for name in (a, b) if name in chosen) or None
            pairs.append(Between(a, b, pair, part))
    names = tuple(name for name in said if name not in chosen and name != derived)
    alpha = _alpha(said, names, voices, level, seed)
    return InterAgreement(tuple(pairs), alpha, names if alpha else (), chosen, derived)


def made_of_others(voices: Voices) -> str | None:
    """The name, the deciding label's or a person's, whose label follows the majority of the others.

    That is so where it contradicts them far less than a person would: one who is wrong as often
    as they are, by their disagreement, contradicts two who agree at that rate squared, and where
    they differ sides with the fewer now and then. Where it holds for several they merely agree;
    but not of somebody who labelled where others differ, and so made the majority.
    """
    said = {voices.decider: voices.labels, **voices.people}
    chosen = chosen_parts(voices)
    found = [name for name in said if name not in chosen and _follows(said, name)]
    alone = voices.decider in found and not voices.again
    return found[0] if len(found) == 1 or alone else None


def chosen_parts(voices: Voices, derived: str | None = None) -> dict[str, str]:
    """Who labelled rather those items on which others differ, and how often that is.

    One-sided test of Fisher's at .001. Their agreement with others is too low: it is that on the
    hard items.
    """
    said = {voices.decider: voices.labels, **voices.people}
    said.pop(derived or "", None)
    found = {}
    for name in voices.people.keys() & said.keys():
        table = Counter(
            (id_ in said[name], len(set(others)) > 1)
            for id_, others in _others(said, name).items()
            if len(others) > 1
        )
        split, inside = table[True, True], table[True, True] + table[True, False]
        away, outside = table[False, True], table[False, True] + table[False, False]
        if inside and outside and fisher(split, inside, away, outside) < CHOSEN:
            found[name] = (
                f"others differ on {split} of the {inside} items that {name} labelled, "
                f"on {away} of the other {outside}"
            )
    return dict(sorted(found.items()))


def fisher(hits: int, n: int, other_hits: int, other_n: int) -> float:
    """One-sided p of Fisher's exact test that hits / n is above other_hits / other_n.

    Source: Fisher 1935, Journal of the Royal Statistical Society 98(1): the hypergeometric tail.
    """
    total, marked = n + other_n, hits + other_hits
    tail = sum(
        math.comb(marked, k) * math.comb(total - marked, n - k)
        for k in range(hits, min(n, marked) + 1)
        if n - k <= total - marked
    )
    return tail / math.comb(total, n)


def _others(said: Mapping[str, Mapping[str, Label]], name: str) -> dict[str, list[Label]]:
    found: dict[str, list[Label]] = {}
    for other, labels in said.items():
        if other != name:
            for id_, label in labels.items():
                found.setdefault(id_, []).append(label)
    return found


def _follows(said: Mapping[str, Mapping[str, Label]], name: str) -> bool:
    among = {
        id_: others
        for id_, others in _others(said, name).items()
        if len(others) > 1 and id_ in said[name]
    }
    fails = {id_: others.count("fail") for id_, others in among.items()}
    pairs = sum(math.comb(len(others), 2) for others in among.values())
    unlike = sum(fails[id_] * (len(others) - fails[id_]) for id_, others in among.items())
    # Two who are wrong at rate q, each by himself, differ at the rate 2 q (1 - q).
    wrong = (1 - math.sqrt(max(0.0, 1 - 2 * unlike / pairs))) / 2 if pairs else 0.0
    expected, contradicted = 0.0, 0
    for id_, others in among.items():
        if 2 * fails[id_] == len(others):
            continue
        split = 0 < fails[id_] < len(others)
        expected += SIDES_WITH_FEWER if split else wrong ** len(others)
        contradicted += (said[name][id_] == "fail") != (2 * fails[id_] > len(others))
    return expected >= EXPECTED and contradicted <= CONTRADICTS * expected


def _alpha(
    said: Mapping[str, Mapping[str, Label]],
    names: Sequence[str],
    voices: Voices,
    level: float,
    seed: int,
) -> Metric | None:
    ids = sorted({id_ for name in names for id_ in said[name]})
    values = [[CODES[said[name].get(id_)] for id_ in ids] for name in names]
    gaps = any(-1 in row for row in values)
    if len(names) < 2 or (len(names) == 2 and not gaps):
        return None
    return krippendorff_alpha(values, groups=voices.groups(ids), level=level, seed=seed)


def _pair_json(pair: Pair, part: str | None = None) -> dict[str, Any]:
    return pair.to_json() | ({"chosen_part_of": part} if part else {})
