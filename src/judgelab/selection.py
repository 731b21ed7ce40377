"""Which variant of a sweep is taken: on dev, never on test.

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
from judgelab.metrics.policies import Policy
from judgelab.metrics.scorecard import lacking
from judgelab.rules import Rules, place
from judgelab.scoring import short


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
        policy: what an abstention counts as, in the cards too; never `exclude` (see
            `policies.headline`).
        level, seed, draws: as in `metrics.scorecard`.
        tried: variants tried on these items before and elsewhere; they widen the family.
        stopped: variants that the race of the sweep stopped early: not ranked, of the family.
        missing: variants that are incomplete or could not run.
        held_out: whether there are other items to report a number from.
    """

    rules: Rules
    candidates: Sequence[Candidate]
    expert: NDArray[np.bool_]
    groups: Sequence[str | None] | None = None
    policy: Policy = "error"
    level: float = 0.95
    seed: int = 0
    draws: int = DRAWS
    tried: int = 0
    missing: int = 0
    stopped: int = 0
    held_out: bool = True

    @cached_property
    def variants(self) -> list[Candidate]:
        """Best first."""
        metric = self.rules.metric
        return sorted(
            (one for one in self.candidates if not one.baseline),
            key=lambda one: place(one.value(metric), one.cost, one.name, one.id),
        )

    @cached_property
    def below(self) -> dict[str, list[str]]:
        """Why a variant may not be chosen, by its id."""
        found = {one.id: list(self._misses(one)) for one in self.variants}
        return {id_: why for id_, why in found.items() if why}

    @cached_property
    def chosen(self) -> Candidate | None:
        return next((one for one in self.variants if one.id not in self.below), None)

    @property
    def too_few(self) -> str:
        """What there is too little of to claim anything, e.g. "9 fails"; else empty."""
        fails = int(self.expert.sum())
        return lacking(fails, len(self.expert) - fails)

    @property
    def reference(self) -> Candidate | None:
        """What all others are compared with: the chosen one, or else the best there is."""
        best = self.chosen or next(iter(self.variants), None)
        return best if best and best.value(self.rules.metric) is not None else None

    def to_json(self) -> dict[str, Any]:
        """The block `selection` of sweep.json, without its text (see `sentences`)."""
        reference, chosen = self.reference, self.chosen
        pairs = self._pairs(reference) if reference else []
        return {
            **self.rules.to_json(),
            "policy": self.policy,
            "n": len(self.expert),
            "too_few": self.too_few or None,
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
            return {"best_set": [], "set_n": 0, "alpha": ALPHA, "set_reason": "no_variants"}
        found = best_set(
            self.expert,
            np.array([one.codes for one in self.variants]),
            groups=self.groups,
            metric=self.rules.metric,
            policy=self.policy,
            seed=self.seed,
        )
        kept = [one.id for one, keep in zip(self.variants, found.kept, strict=True) if keep]
        about = {"set_n": found.n, "alpha": found.alpha, "set_reason": found.reason}
        return {"best_set": kept} | about

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

    def shown_better(self, other: Candidate) -> bool:
        """Whether the reference beats it, by the interval of the metric's difference, at a level
        paid by all that was tried."""
        level = 1 - (1 - self.level) / max(1, self._family - 1)
        reference = self.reference
        assert reference is not None
        hi = self._compare(other, reference, level)["metric_difference"]["hi"]
        return hi is not None and hi < 0


def _least(pairs: Sequence[Mapping[str, Any]], among: set[str]) -> float | None:
    """The smallest difference that the closest rival's items could show."""
    near = [p for p in pairs if p["a"] in among and p["detectable"] is not None]
    closest = min(near, key=lambda p: abs(p["difference"]["value"] or 0.0), default=None)
    return float(closest["detectable"]) if closest else None
