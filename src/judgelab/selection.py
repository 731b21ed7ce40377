"""Which variant of a sweep is taken, and what may be said of that: on dev, never on test.

The choice is the best point estimate among the variants that meet the floors; baselines are
compared with and never chosen. What cannot be told apart from the best is shown beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judgelab.metrics.best_set import ALPHA, best_set, optimism
from judgelab.metrics.bootstrap import DRAWS
from judgelab.metrics.multiplicity import all_pairs, bh, holm
from judgelab.metrics.names import named
from judgelab.metrics.paired import NonInferiority, compare, non_inferior
from judgelab.rules import Rules
from judgelab.scoring import in_words, short

HELD_OUT = "The number to report comes from judgelab holdout."
NOT_HELD_OUT = "With so few labels no held-out number is there to report."
NAMED = 5  # variants of a set that a sentence names


@dataclass(frozen=True)
class Candidate:
    """A finished run: its scorecard as JSON, and its verdict on every item, shape (n,): 1 = fail,
    0 = pass, -1 = abstained. `cost` is what all its answers cost, in USD."""

    id: str
    name: str
    card: Mapping[str, Any]
    codes: NDArray[np.int64]
    cost: float = 0.0
    baseline: bool = False

    def value(self, metric: str) -> float | None:
        value = self.card["metrics"][metric]["value"]
        return None if value is None else float(value)


@dataclass(frozen=True)
class Selection:
    """The choice on one set of items.

    Args:
        rules: declared in the config.
        candidates: of one sweep, finished.
        expert: labels of the items, bool, shape (n,); True = fail.
        groups: the cluster of each item, or None.
        policy, level, seed, draws: as in `metrics.scorecard`.
        tried: variants tried on these items before and elsewhere; they widen the family.
        missing: variants that are incomplete or could not run.
        held_out: whether there are other items to report a number from.
    """

    rules: Rules
    candidates: Sequence[Candidate]
    expert: NDArray[np.bool_]
    groups: Sequence[str | None] | None = None
    policy: str = "error"
    level: float = 0.95
    seed: int = 0
    draws: int = DRAWS
    tried: int = 0
    missing: int = 0
    held_out: bool = True

    @cached_property
    def variants(self) -> list[Candidate]:
        """Best first; where the metric ties the cheaper first, undefined last."""

        def key(one: Candidate) -> tuple[bool, float, float, str, str]:
            value = one.value(self.rules.metric)
            return (value is None, -(value or 0.0), one.cost, one.name, one.id)

        return sorted((one for one in self.candidates if not one.baseline), key=key)

    @cached_property
    def below(self) -> dict[str, list[str]]:
        """Why a variant may not be chosen, by its id."""
        found = {one.id: list(self._misses(one)) for one in self.variants}
        return {id_: why for id_, why in found.items() if why}

    @cached_property
    def chosen(self) -> Candidate | None:
        return next((one for one in self.variants if one.id not in self.below), None)

    @property
    def reference(self) -> Candidate | None:
        """What all others are compared with: the chosen one, or else the best there is."""
        best = self.chosen or next(iter(self.variants), None)
        return best if best and best.value(self.rules.metric) is not None else None

    def to_json(self) -> dict[str, Any]:
        """The block `selection` of sweep.json."""
        reference, chosen = self.reference, self.chosen
        pairs = self._pairs(reference) if reference else []
        found: dict[str, Any] = {
            "metric": self.rules.metric,
            "floors": dict(self.rules.floors),
            "margin": self.rules.margin,
            "n": len(self.expert),
            "clusters": self.variants[0].card["metrics"]["agreement"].get("clusters")
            if self.variants
            else None,
            "level": self.level,
            "chosen": chosen.id if chosen else None,
            "reference": reference.id if reference else None,
            "below_floors": self.below,
            **self._best_set(),
            "cheaper": self._cheaper(chosen) if chosen else None,
            "optimism": self._optimism(),
            "family": self._family,
            "pairs": pairs,
            "detectable": _least(pairs, {one.id for one in self.variants}),
        }
        return found | {"text": list(self._text(found))}

    @property
    def _family(self) -> int:
        return len(self.candidates) + self.tried

    def _misses(self, one: Candidate) -> Iterator[str]:
        if one.value(self.rules.metric) is None:
            yield f"{named(self.rules.metric)} is undefined"
        for metric, least in self.rules.floors.items():
            value = one.value(metric)
            if value is None:
                yield f"{named(metric)} is undefined"
            elif value < least:
                yield f"{named(metric)} {short(value)} under {short(float(least))}"

    def _pairs(self, reference: Candidate) -> list[dict[str, Any]]:
        """Every other run against the reference; Holm and BH over the pairs of all that was tried.

        Over every pair, as these items chose the reference.
        """
        others = [one for one in self.candidates if one is not reference]
        pairs = [self._compare(other, reference, self.level) for other in others]
        ps = [pair["p"] for pair in pairs]
        family = all_pairs(self._family)
        return [
            {"a": other.id, "b": reference.id, **pair, "holm": strict, "bh": loose}
            for other, pair, strict, loose in zip(
                others, pairs, holm(ps, family), bh(ps, family), strict=True
            )
        ]

    def _compare(self, a: Candidate, b: Candidate, level: float) -> dict[str, Any]:
        """A pair as `judgelab compare --json` has it, with the difference in the metric."""
        pair = compare(self.expert, a.codes, b.codes, level=level, **self._how).to_json()
        own = pair.get(f"{self.rules.metric}_difference")
        if own is None and self.rules.metric != "agreement":
            own = self._non_inferior(a, b, level).difference.to_json()
        return pair | {"metric_difference": own or pair["difference"]}

    def _non_inferior(self, a: Candidate, b: Candidate, level: float) -> NonInferiority:
        metric, margin = self.rules.metric, self.rules.margin
        return non_inferior(
            self.expert, a.codes, b.codes, metric=metric, margin=margin, level=level, **self._how
        )

    @property
    def _how(self) -> dict[str, Any]:
        return {
            "groups": self.groups,
            "policy": self.policy,
            "seed": self.seed,
            "draws": self.draws,
        }

    def _best_set(self) -> dict[str, Any]:
        if not self.variants:
            return {"best_set": [], "alpha": ALPHA, "set_reason": "no_variants"}
        found = best_set(
            self.expert,
            np.array([one.codes for one in self.variants]),
            groups=self.groups,
            metric=self.rules.metric,
            policy=self.policy,
            seed=self.seed,
        )
        kept = [one.id for one, keep in zip(self.variants, found.kept, strict=True) if keep]
        return {"best_set": kept, "alpha": found.alpha, "set_reason": found.reason}

    def _cheaper(self, chosen: Candidate) -> dict[str, Any] | None:
        """The cheapest that is shown to be no worse than the margin."""
        for other in sorted(self.variants, key=lambda one: (one.cost, one.name, one.id)):
            if other.cost >= chosen.cost:
                return None
            if other.id in self.below:
                continue
            found = self._non_inferior(other, chosen, self.level)
            if found.holds:
                saves = chosen.cost - other.cost
                return {
                    "run": other.id,
                    "saves_usd": saves,
                    "difference": found.difference.to_json(),
                }
        return None

    def _optimism(self) -> dict[str, Any] | None:
        """How much better the best of these looks here than it is."""
        if len(self.variants) < 2:
            return None
        found = optimism(
            self.expert,
            np.array([one.codes for one in self.variants]),
            metric=self.rules.metric,
            floors=self.rules.floors,
            groups=self.groups,
            policy=self.policy,
            seed=self.seed,
        )
        about = {"value": found.value, "variants": found.judges, "shrinkage": found.shrinkage}
        return about | {"seed": found.seed, "B": found.draws, "reason": found.reason}

    def _text(self, found: Mapping[str, Any]) -> Iterator[str]:
        """What may be said, a sentence each."""
        yield self._choice()
        if self.missing and self.variants:
            yield f"Not among them: {self.missing} that are incomplete or could not run."
        if self.variants:
            yield from self._standing(found)

    def _choice(self) -> str:
        chosen, metric, floors = self.chosen, self.rules.metric, self.rules.in_words
        if chosen:
            among = f"of {len(self.variants)}"
            if floors:
                meets = len(self.variants) - len(self.below)
                among = f"of the {meets} (of {len(self.variants)}) with {floors}"
            return (
                f"{chosen.name} is chosen: the highest {named(metric)} {among}, "
                f"{in_words(chosen.card, metric)}."
            )
        nearest = self.reference
        if not self.variants:
            return "No variant is complete yet."
        if nearest is None:
            return f"No winner: {named(metric)} is undefined for every variant."
        why = "; ".join(self.below[nearest.id])
        needs = f" with {floors}" if floors else ""
        return (
            f"No winner: no variant{needs}. The highest {named(metric)} is of {nearest.name}, "
            f"{in_words(nearest.card, metric)}, but its {why}."
        )

    def _standing(self, found: Mapping[str, Any]) -> Iterator[str]:
        names = {one.id: one.name for one in self.candidates}
        items = f"{found['n']} items"
        kept = [names[id_] for id_ in found["best_set"]]
        if found["set_reason"]:
            yield f"Which are as good as the best cannot be said ({found['set_reason']})."
        elif len(kept) == 1:
            yield f"{kept[0]} alone is left as the best of {len(self.variants)} on {items}."
        else:
            yield f"{_listed(kept)} cannot be told apart on {items}."
        if found["detectable"] and len(kept) > 1:
            yield (
                f"These items could show a difference in agreement from "
                f"{100 * found['detectable']:.0f} points up (80 % power)."
            )
        yield from self._baselines()
        if cheaper := found["cheaper"]:
            lo = cheaper["difference"]["lo"]
            yield (
                f"{names[cheaper['run']]} costs ${cheaper['saves_usd']:.4f} less and is at most "
                f"{100 * max(0.0, -lo):.0f} points of {named(self.rules.metric)} worse "
                f"(margin {100 * self.rules.margin:.0f})."
            )
        optimism = found["optimism"]
        if optimism and optimism["value"] is not None and self.chosen:
            yield (
                f"This {named(self.rules.metric)} is optimistic: the best of "
                f"{optimism['variants']} looks about {short(optimism['value'])} better "
                "on the items it was chosen on than "
                f"it is. {HELD_OUT if self.held_out else NOT_HELD_OUT}"
            )

    def _baselines(self) -> Iterator[str]:
        """Baselines that the reference is not better than, by the metric or beyond chance."""
        reference = self.reference
        if reference is None:
            return
        metric = self.rules.metric
        unclear = []
        for one in (one for one in self.candidates if one.baseline):
            value, best = one.value(metric), reference.value(metric)
            if value is not None and best is not None and value >= best:
                yield (
                    f"The baseline {one.name} is at least as good: {named(metric)} "
                    f"{in_words(one.card, metric)}."
                )
            elif not self._shown_better(reference, one):
                unclear.append(one.name)
        if unclear:
            plural = "s" if len(unclear) > 1 else ""
            yield (
                f"{reference.name} is not shown to be better than the baseline{plural} "
                f"{_listed(unclear)}."
            )

    def _shown_better(self, reference: Candidate, other: Candidate) -> bool:
        """By the interval of the metric's difference, at a level paid by all that was tried."""
        level = 1 - (1 - self.level) / max(1, self._family - 1)
        hi = self._compare(other, reference, level)["metric_difference"]["hi"]
        return hi is not None and hi < 0


def _least(pairs: Sequence[Mapping[str, Any]], among: set[str]) -> float | None:
    """The smallest difference that the closest rival's items could show."""
    near = [p for p in pairs if p["a"] in among and p["detectable"] is not None]
    closest = min(near, key=lambda p: abs(p["difference"]["value"] or 0.0), default=None)
    return float(closest["detectable"]) if closest else None


def _listed(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    left = len(names) - NAMED
    shown = [*names[:NAMED], *([f"{left} more"] if left > 0 else [])]
    return f"{', '.join(shown[:-1])} and {shown[-1]}"
