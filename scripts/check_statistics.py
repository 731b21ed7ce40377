"""Do the intervals hold what they promise? Simulations whose truth is known, and a table.

    python scripts/check_statistics.py            # twenty minutes of one core
    python scripts/check_statistics.py --quick    # fewer runs, half a minute
    python scripts/check_statistics.py --only scorecard,paired

Prints Markdown; ends with 1 where a promise is not held. Each row sums up scenarios: the lowest,
the mean and the highest coverage of the 95 % limits, and the scenario of the lowest. A promise is
held up to what chance explains (5 %) of the most extreme of so many scenarios. Seeded: the same on
every machine with the same numpy.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from statistics import NormalDist

import numpy as np
from simulated import (
    JUDGES,
    PREVALENCES,
    SIZES,
    Clustered,
    Exact,
    Limits,
    Scenario,
    Seen,
    arrays,
    equal_variants,
    exact_pair,
    limits_of,
    pair,
    pass_rate_data,
    scenarios,
    seen,
    stratified,
)

from judgelab.metrics.agreement import METRICS, PROPORTIONS
from judgelab.metrics.intervals import FEW_CLUSTERS

COVERAGE = (0.93, 0.99)
DRAWS = 2000  # resamples of a bootstrap; judgelab takes 10,000, which moves coverage little
RESAMPLED = tuple(name for name in METRICS if name not in PROPORTIONS)
FEW_CLASS = "fewer than 10 of a class"
FEW_HITS = "fewer than 10 hits or misses"


@dataclass(frozen=True)
class Row:
    """A line of the table: what was seen over some scenarios, and what is promised of it."""

    check: str
    setting: str
    of: str
    least: float
    mean: float
    most: float
    missing: float | None = None
    promise: tuple[float, float] | None = COVERAGE
    scenarios: int = 1
    runs: int = 0  # of a scenario; 0 where nothing was drawn
    worst: str = ""

    @property
    def held(self) -> bool:
        if self.promise is None:
            return True
        below, above = self.promise[0] - self.least, self.most - self.promise[1]
        return below <= self._chance(self.promise[0]) and above <= self._chance(self.promise[1])

    def _chance(self, share: float) -> float:
        """How far the most extreme of the scenarios strays from this share by chance."""
        quantile = NormalDist().inv_cdf(1 - 0.05 / self.scenarios)
        return quantile * float(np.sqrt(share * (1 - share) / self.runs)) if self.runs else 0.0

    @property
    def cells(self) -> list[str]:
        promise = "–" if self.promise is None else "{} to {}".format(*map(short, self.promise))
        held = "" if self.promise is None else "yes" if self.held else "**no**"
        missing = "" if self.missing is None else f"{self.missing:.1%}"
        numbers = map(short, (self.least, self.mean, self.most))
        return [self.check, self.setting, self.of, *numbers, missing, self.worst, promise, held]


HEADS = (
    *("what", "where", "from", "least", "mean", "most", "no limits", "least at"),
    *("promised", "held"),
)


def short(number: float) -> str:
    return f"{number:.3f}".replace("0.", ".", 1)


def summed(
    check: str,
    setting: str,
    found: Sequence[Seen],
    promise: tuple[float, float] | None = COVERAGE,
) -> Iterator[Row]:
    """One row of many scenarios; none where there is none. A scenario whose limits are mostly
    missing says little of coverage: it counts in their share alone."""
    told = [one for one in found if one.covered is not None and one.missing <= 0.5]
    if not told:
        return
    covered = [one.covered or 0.0 for one in told]
    worst = told[int(np.argmin(covered))]
    runs = max(one.runs for one in told)
    of = f"{len(told)} × {runs:,}" if runs else f"{len(told)}, exact"
    yield Row(
        check,
        setting,
        of,
        min(covered),
        float(np.mean(covered)),
        max(covered),
        missing=float(np.mean([one.missing for one in found])),
        promise=promise,
        scenarios=len(told),
        runs=runs,
        worst=worst.where,
    )


def generator(*key: object) -> np.random.Generator:
    """The random numbers of one scenario, whatever is run beside it."""
    return np.random.default_rng(zlib.crc32(repr(key).encode()))


Found = dict[str, list[tuple[bool, Seen]]]


def split_rows(prefix: str, found: Mapping[str, Sequence[tuple[bool, Seen]]]) -> Iterator[Row]:
    """A row for each metric where there are enough of each class; one for all where not."""
    for name, all_seen in found.items():
        yield from summed(f"{prefix}{name}", "", [one for few, one in all_seen if not few])
    few = [one for all_seen in found.values() for is_few, one in all_seen if is_few]
    named = f"{prefix}all of these"
    yield from summed(named, FEW_CLASS, few, None)


# --- the scorecard


def proportions(runs: int) -> Iterator[Row]:
    """Every outcome of a proportion's interval by its probability; nothing is drawn."""
    from judgelab.metrics.intervals import clopper_pearson, wilson

    for method, promise in ((wilson, COVERAGE), (clopper_pearson, (0.95, 1.0))):
        exact = Exact(method)
        enough: dict[str, list[Seen]] = {name: [] for name in PROPORTIONS}
        few: list[Seen] = []
        for one, name in product(scenarios(), PROPORTIONS):
            hits, among = PROPORTIONS[name].counts(one.cells)
            rare = one.n * min(float(hits), float(among - hits)) < 10
            (few if rare else enough[name]).append(exact.seen(one, name))
        label = method.__name__.replace("_", "-").title()
        if method is clopper_pearson:
            every = [one for found in enough.values() for one in found] + few
            yield from summed(f"{label}, all proportions", "", every, promise)
            continue
        for name, found in enough.items():
            yield from summed(f"{label}, {name}", "", found, promise)
        yield from summed(f"{label}, all proportions", FEW_HITS, few, (0.91, 1.0))


@cache
def _resampled(table: tuple[int, ...]) -> dict[str, Limits]:
    from judgelab.metrics.scorecard import scorecard

    card = scorecard(*arrays(table), draws=DRAWS)
    return {name: limits_of(card.metrics[name].interval) for name in RESAMPLED}


def scorecard(runs: int) -> Iterator[Row]:
    """Kappa and the others that are no proportion: BCa, and MOVER for balanced accuracy."""
    found: Found = {name: [] for name in RESAMPLED}
    for one in scenarios():
        tables = generator("card", one).multinomial(one.n, one.cells, size=runs)
        limits = [_resampled(tuple(table)) for table in tables.tolist()]
        for name in RESAMPLED:
            if name == "gwet_ac1" and one.judge.abstains:
                continue  # undefined where anything is abstained
            got = seen(one, [given[name] for given in limits], one.truth[name])
            found[name].append((one.few, got))
    yield from split_rows("", found)


def clustered(runs: int) -> Iterator[Row]:
    """Items of 10 to 100 conversations of 1 to 9, which correlate by .3.

    Of what is no proportion nothing is promised where judgelab itself says `few_clusters`.
    """
    from judgelab.metrics.scorecard import scorecard as card_of

    for clusters in (10, 30, FEW_CLUSTERS, 100):
        found: Found = {name: [] for name in METRICS}
        for prevalence, judge in product(PREVALENCES, JUDGES[:4]):
            one = Clustered(clusters, prevalence, judge)
            rng, limits = generator("clusters", one), {name: [] for name in METRICS}
            for _ in range(runs):
                expert, verdicts, groups = one.draw(rng)
                card = card_of(expert, verdicts, groups=groups.tolist(), draws=DRAWS // 2)
                for name, metric in card.metrics.items():
                    limits[name].append(limits_of(metric.interval))
            for name in METRICS:
                got = seen(one, limits[name], one.scenario.truth[name])
                found[name].append((one.few, got))
        enough = COVERAGE if clusters >= FEW_CLUSTERS else None
        yield from _by_kind(found, f"{clusters} clusters", enough)


def weighted(runs: int) -> Iterator[Row]:
    """One of four drawn of some: passes by the label, by the verdict, or items by neither."""
    from judgelab.metrics.scorecard import scorecard as card_of

    for by in ("label", "verdict", "neither"):
        found: Found = {name: [] for name in METRICS}
        for one in scenarios((100, 400), (0.1, 0.3), JUDGES[:4]):
            weights, shares = stratified(one, by)
            tables = generator("weights", by, one).multinomial(one.n, shares, size=runs)
            limits: dict[str, list[Limits]] = {name: [] for name in METRICS}
            for table in tables:
                card = card_of(*arrays(table), weights=np.repeat(weights, table), draws=DRAWS // 2)
                for name, metric in card.metrics.items():
                    limits[name].append(limits_of(metric.interval))
            for name in METRICS:
                found[name].append((False, seen(one, limits[name], one.truth[name])))
        yield from _by_kind(found, f"weights 1 and 4 by {by}")


def _by_kind(
    found: Found, setting: str, resampled: tuple[float, float] | None = COVERAGE
) -> Iterator[Row]:
    """Proportions, the others and what is promised of them, both where a class has few."""
    kinds = (("proportions", PROPORTIONS, COVERAGE), ("all others", RESAMPLED, resampled))
    for kind, names, promise in kinds:
        own = [one for name in names for few, one in found[name] if not few]
        yield from summed(kind, setting, own, promise)
    few = [one for all_seen in found.values() for is_few, one in all_seen if is_few]
    yield from summed("all", f"{setting}, {FEW_CLASS}", few, None)


# --- pairs


PAIRS = ((0, 0), (0, 1), (1, 2), (2, 3))  # positions in JUDGES


def paired(runs: int) -> Iterator[Row]:
    """Differences of two judges who find half the items equally hard."""
    from judgelab.metrics.discordant import bonett_price, clustered_bonett_price
    from judgelab.metrics.paired import BOOTSTRAPPED, compare

    cases = [(one, JUDGES[j]) for i, j in PAIRS for one in scenarios(SIZES[:3], judges=[JUDGES[i]])]
    exact = [exact_pair(one, other, bonett_price) for one, other in cases]
    yield from summed("agreement, Bonett-Price", "", exact, (0.93, 1.0))
    for clusters in (10, 30, 100):
        got = []
        for prevalence, (i, j) in product(PREVALENCES, PAIRS[1:]):
            one, other = Clustered(clusters, prevalence, JUDGES[i]), JUDGES[j]
            rng, limits = generator("pair", one, other.name), []
            for _ in range(runs):
                right, others, sizes = one.pair(other, rng)
                interval = clustered_bonett_price(right, others, sizes)
                limits.append(limits_of(interval))
            truth = one.scenario.truth["agreement"]
            truth -= Scenario(one.scenario.n, prevalence, other).truth["agreement"]
            got.append(seen(f"{one} and {other.name}", limits, truth))
        setting = f"{clusters} clusters"
        yield from summed("agreement, Bonett-Price", setting, got, (0.93, 1.0))
    found: Found = {name: [] for name in BOOTSTRAPPED}
    for one, other in cases:
        rng = generator("difference", one, other.name)
        drawn: dict[str, list[Limits]] = {name: [] for name in BOOTSTRAPPED}
        for _ in range(runs // 2):
            differences = compare(*pair(one, other, rng), draws=DRAWS // 2).differences
            for name in BOOTSTRAPPED:
                drawn[name].append(limits_of(differences[name].interval))
        truth_of = Scenario(one.n, one.prevalence, other).truth
        for name in BOOTSTRAPPED:
            truth = one.truth[name] - truth_of[name]
            found[name].append((one.few, seen(f"{one} and {other.name}", drawn[name], truth)))
    yield from split_rows("difference of ", found)


# --- the choice in a sweep


VARIANTS = 50
# statistics of the best of K equal variants, all right on 85 %, n items: expected optimism
OFF = 0.007  # as much as half of the ranges that are published for it, and rounding
OPTIMISM = {(100, 10): 0.049, (100, 50): 0.0685, (100, 200): 0.0825, (200, 50): 0.048}


def choice(runs: int) -> Iterator[Row]:
    """Fifty variants that are all right on 85 % of the items."""
    from judgelab.metrics.best_set import best_set
    from judgelab.metrics.discordant import mcnemar
    from judgelab.metrics.multiplicity import all_pairs, holm

    runs = max(20, runs // 5)
    for n, alike in ((50, 0.0), (100, 0.0), (200, 0.0), (100, 0.5)):
        kept, claims = [], {"a baseline named before": [], "the best of them": []}
        for run in range(runs):
            expert, verdicts = equal_variants(n, VARIANTS, generator("equal", n, alike, run), alike)
            found = best_set(expert, verdicts, metric="agreement", draws=DRAWS, seed=run)
            kept.append(all(found.kept))
            right = verdicts == expert
            best = int(right.sum(axis=1).argmax())
            families = ((0, VARIANTS - 1), (best, all_pairs(VARIANTS)))
            for said, (reference, family) in zip(claims.values(), families, strict=True):
                lost = (right & ~right[reference]).sum(axis=1), (right[reference] & ~right).sum(1)
                ps = [mcnemar(int(b), int(c)).midp for b, c in zip(*lost, strict=True)]
                del ps[reference]
                said.append(min(p for p in holm(ps, family) if p is not None) <= 0.05)
        setting = f"n {n}" + (f", variants correlate by {alike:g}" if alike else "")
        yield _share("the set of the best keeps all 50", setting, kept, (0.88, 1.0))
        for reference, said in claims.items():
            yield _share(f"Holm tells any from {reference}", setting, said, (0.0, 0.07))


def _share(check: str, setting: str, found: Sequence[bool], promise: tuple[float, float]) -> Row:
    share = float(np.mean(found))
    runs = 0 if len(found) >= 200 else len(found)
    return Row(check, setting, f"{len(found):,}", share, share, share, None, promise, 1, runs)


def optimism(runs: int) -> Iterator[Row]:
    """By how much the best of equal variants looks better than it is, and what is said of it."""
    from judgelab.metrics.best_set import optimism as estimate

    for (n, variants), expected in OPTIMISM.items():
        true, said = [], []
        for run in range(runs):
            expert, verdicts = equal_variants(n, variants, generator("best", n, variants, run))
            true.append(float((verdicts == expert).mean(axis=1).max()) - 0.85)
            if run < max(10, runs // 25):
                value = estimate(expert, verdicts, metric="agreement", seed=run, draws=500).value
                said.append(value or 0.0)
        setting = f"n {n}, best of {variants}"
        is_ = float(np.mean(true))
        for what, values, near in (("is", true, expected), ("as judgelab says it", said, is_)):
            mean, of = float(np.mean(values)), f"{len(values):,}"
            promise = (near - OFF, near + OFF)
            yield Row(f"optimism {what}", setting, of, mean, mean, mean, promise=promise)


# --- from judge to population


def population(runs: int) -> Iterator[Row]:
    """The pass rate of unlabelled traffic."""
    from judgelab.metrics.population import rogan_gladen
    from judgelab.metrics.ppi import ppi

    corrected, powered = [], []
    for n, more, passes in product((60, 100, 200), (100, 1000), (0.6, 0.8, 0.9)):
        rng = generator("traffic", n, more, passes)
        first: list[Limits] = []
        second: list[Limits] = []
        for _ in range(runs):
            table, traffic = pass_rate_data(n, more, passes, rng)
            found = rogan_gladen(table, int(traffic.sum()), more)
            first.append(limits_of(found.interval))
            expert, verdicts = arrays((*table, 0, 0))
            powered_by = ppi(~expert, verdicts == 0, traffic)
            second.append(limits_of(powered_by.interval))
        where = f"{n} labels, {more} more, {passes:.0%} pass"
        corrected.append(seen(where, first, passes))
        powered.append(seen(where, second, passes))
    yield from summed("pass rate, Rogan-Gladen", "", corrected)
    yield from summed("pass rate, PPI++", "", powered)


CHECKS: Mapping[str, Callable[[int], Iterator[Row]]] = {
    one.__name__: one
    for one in (proportions, scorecard, clustered, weighted, paired, choice, optimism, population)
}
RUNS, QUICK = 1000, 100


def rows(names: Iterable[str] = CHECKS, runs: int = RUNS) -> Iterator[Row]:
    """Every row of these checks."""
    for name in names:
        began = time.process_time()
        yield from CHECKS[name](runs)
        print(f"{name}: {time.process_time() - began:.0f} s", file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} runs a scenario, not {RUNS}")
    parser.add_argument("--only", metavar="NAME", help=f"of {', '.join(CHECKS)}; commas between")
    given = parser.parse_args()
    names = given.only.split(",") if given.only else list(CHECKS)
    if strange := set(names) - CHECKS.keys():
        parser.error(f"{', '.join(sorted(strange))}: choose of {', '.join(CHECKS)}")
    os.nice(10)
    print(f"| {' | '.join(HEADS)} |")
    print(f"|{' --- |' * len(HEADS)}", flush=True)
    held = True
    for row in rows(names, QUICK if given.quick else RUNS):
        print(f"| {' | '.join(row.cells)} |", flush=True)
        held &= row.held
    return int(not held)


if __name__ == "__main__":
    sys.exit(main())
