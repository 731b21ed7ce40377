"""Made-up data whose truth is known: labels and verdicts by their probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from judgelab.metrics.agreement import METRICS, PROPORTIONS
from judgelab.metrics.intervals import Interval

Codes = NDArray[np.int64]
Limits = tuple[float | None, float | None]
FAIL, PASS, NONE = 1, 0, -1
SIZES = (50, 100, 200, 400)
PREVALENCES = (0.1, 0.3, 0.5)
FEW = 10  # of the rarer class: below, judgelab says low_information
_EDGE = 1e-12


@dataclass(frozen=True)
class Judge:
    """Probabilities of a judge, whatever the item."""

    name: str
    recall_fail: float
    recall_pass: float
    abstains: float = 0.0


JUDGES = (
    Judge("good", 0.9, 0.95),
    Judge("even", 0.8, 0.8),
    Judge("cautious", 0.6, 0.95),
    Judge("weak", 0.5, 0.6),
    Judge("abstaining", 0.85, 0.9, abstains=0.05),
)


@dataclass(frozen=True)
class Scenario:
    """So many items, such a share of fails, such a judge."""

    n: int
    prevalence: float
    judge: Judge

    @property
    def cells(self) -> NDArray[np.float64]:
        """The probability of each cell of `confusion.CELLS`, shape (6,)."""
        answers, judge = 1 - self.judge.abstains, self.judge
        hit = answers * np.array([judge.recall_fail, judge.recall_pass])
        miss = answers - hit
        fails, passes = self.prevalence, 1 - self.prevalence
        return np.array(
            [
                fails * hit[0],
                fails * miss[0],
                passes * miss[1],
                passes * hit[1],
                fails * judge.abstains,
                passes * judge.abstains,
            ]
        )

    @property
    def truth(self) -> dict[str, float]:
        """What each metric would be on endlessly many items."""
        return {name: float(metric(self.cells)) for name, metric in METRICS.items()}

    @property
    def few(self) -> bool:
        """Whether fewer than ten of a class are expected."""
        return self.n * min(self.prevalence, 1 - self.prevalence) < FEW

    def __str__(self) -> str:
        return f"n {self.n}, {self.prevalence:.0%} fails, {self.judge.name}"


def scenarios(
    sizes: Iterable[int] = SIZES,
    prevalences: Iterable[float] = PREVALENCES,
    judges: Iterable[Judge] = JUDGES,
) -> Iterator[Scenario]:
    """All of them with each other."""
    return (Scenario(*of) for of in product(sizes, prevalences, judges))


@dataclass(frozen=True)
class Seen:
    """What came of one scenario: how often the limits held the truth, where there were limits."""

    where: str
    runs: int
    covered: float | None
    missing: float


def seen(where: object, limits: Sequence[Limits], truth: float | Sequence[float]) -> Seen:
    """The coverage of simulated limits; a limit that is None is missing."""
    lows = np.array([np.nan if lo is None else lo for lo, _ in limits])
    highs = np.array([np.nan if hi is None else hi for _, hi in limits])
    there = ~(np.isnan(lows) | np.isnan(highs))
    inside = (lows <= np.asarray(truth) + _EDGE) & (np.asarray(truth) <= highs + _EDGE)
    covered = float(inside[there].mean()) if there.any() else None
    return Seen(str(where), len(limits), covered, float(1 - there.mean()))


def limits_of(interval: Interval) -> Limits:
    return interval.lo, interval.hi


# --- one interval a proportion: nothing to draw, every outcome has its probability


class Exact:
    """Coverage of a proportion's interval, all outcomes weighed by their probability."""

    def __init__(self, interval: Callable[[int, int], Interval]) -> None:
        self.interval = interval
        self._limits: dict[int, NDArray[np.float64]] = {}

    def limits(self, among: int) -> NDArray[np.float64]:
        """Those of 0, 1, ... hits, shape (among + 1, 2)."""
        if among not in self._limits:
            found = [self.interval(hits, among) for hits in range(among + 1)]
            self._limits[among] = np.array([limits_of(one) for one in found], np.float64)
        return self._limits[among]

    def seen(self, scenario: Scenario, name: str) -> Seen:
        """Where the denominator is random the coverage is the mean over its outcomes above 0."""
        from scipy.stats import binom

        hits, among = PROPORTIONS[name].counts(scenario.cells)
        p, share = float(hits / among), float(among)
        sizes = np.arange(scenario.n + 1)
        weights = binom.pmf(sizes, scenario.n, share) if share < 1 - _EDGE else sizes == scenario.n
        covered = 0.0
        for size in np.flatnonzero((weights > 1e-9) & (sizes > 0)):
            lows, highs = self.limits(int(size)).T
            inside = (lows <= p + _EDGE) & (p <= highs + _EDGE)
            covered += float(weights[size] * binom.pmf(np.arange(size + 1), size, p)[inside].sum())
        some = float(weights[(weights > 1e-9) & (sizes > 0)].sum())
        return Seen(str(scenario), 0, covered / some, float(weights[0]))


# --- items


def arrays(table: Sequence[int]) -> tuple[NDArray[np.bool_], Codes]:
    """Labels and verdicts of a table of counts, shape (6,), or of several behind each other."""
    labels = np.array([True, True, False, False, True, False])
    verdicts = np.array([FAIL, PASS, FAIL, PASS, NONE, NONE])
    labels, verdicts = np.resize(labels, len(table)), np.resize(verdicts, len(table))
    return np.repeat(labels, table), np.repeat(verdicts, table)


@dataclass(frozen=True)
class Clustered:
    """Items of G clusters of 1 to 9 items; `rho` is the correlation of two items of a cluster."""

    clusters: int
    prevalence: float
    judge: Judge
    rho: float = 0.3

    @property
    def scenario(self) -> Scenario:
        return Scenario(5 * self.clusters, self.prevalence, self.judge)

    @property
    def few(self) -> bool:
        """Whether fewer than ten of a class are expected, counted as independent items."""
        sizes = np.arange(1, 10)
        alike = 1 + ((sizes**2).sum() / sizes.sum() - 1) * self.rho
        return self.scenario.n / alike * min(self.prevalence, 1 - self.prevalence) < FEW

    def draw(self, rng: np.random.Generator) -> tuple[NDArray[np.bool_], Codes, Codes]:
        """Labels, verdicts, and the cluster of each item.

        An item takes its cluster's uniform number with probability sqrt(rho), else one of its own:
        so each item keeps its probabilities, and two of a cluster correlate by rho.
        """
        sizes = np.resize(np.arange(1, 10), self.clusters)
        groups = np.repeat(np.arange(self.clusters), sizes)
        label, hit = (self._uniforms(groups, rng) for _ in range(2))
        expert = label < self.prevalence
        right = hit < np.where(expert, self.judge.recall_fail, self.judge.recall_pass)
        verdicts = np.where(right, expert, ~expert).astype(np.int64)
        if self.judge.abstains:
            verdicts[rng.random(len(groups)) < self.judge.abstains] = NONE
        return expert, verdicts, groups

    def pair(self, other: Judge, rng: np.random.Generator) -> tuple[Codes, Codes, Codes]:
        """Of each cluster: items that only this judge gets right, that only the other does, all."""
        sizes = np.resize(np.arange(1, 10), self.clusters)
        groups = np.repeat(np.arange(self.clusters), sizes)
        fails = self._uniforms(groups, rng) < self.prevalence
        first = self._uniforms(groups, rng)
        second = np.where(rng.random(len(groups)) < 0.5, first, self._uniforms(groups, rng))
        mine, theirs = (
            hit < np.where(fails, judge.recall_fail, judge.recall_pass)
            for judge, hit in ((self.judge, first), (other, second))
        )
        only = (np.bincount(groups, one, self.clusters) for one in (mine & ~theirs, theirs & ~mine))
        b, c = (one.astype(np.int64) for one in only)
        return b, c, sizes

    def _uniforms(self, groups: Codes, rng: np.random.Generator) -> NDArray[np.float64]:
        shared = rng.random(self.clusters)[groups]
        own = rng.random(len(groups))
        return np.where(rng.random(len(groups)) < np.sqrt(self.rho), shared, own)

    def __str__(self) -> str:
        return f"{self.clusters} clusters, {self.prevalence:.0%} fails, {self.judge.name}"


def pair(
    scenario: Scenario, other: Judge, rng: np.random.Generator, alike: float = 0.5
) -> tuple[NDArray[np.bool_], Codes, Codes]:
    """Labels, and the verdicts of two judges, who find the same items hard with this share."""
    n = scenario.n
    expert = rng.random(n) < scenario.prevalence
    first = rng.random(n)
    second = np.where(rng.random(n) < alike, first, rng.random(n))
    both = []
    for judge, hit in ((scenario.judge, first), (other, second)):
        right = hit < np.where(expert, judge.recall_fail, judge.recall_pass)
        both.append(np.where(right, expert, ~expert).astype(np.int64))
    return expert, both[0], both[1]


def exact_pair(
    scenario: Scenario, other: Judge, interval: Callable[[int, int, int], Interval]
) -> Seen:
    """Coverage of the difference in agreement of such a `pair`, every outcome by its probability.

    Both judges are right where their number lies below both recalls; they share it in half of the
    items.
    """
    from scipy.stats import binom

    only_first = only_second = 0.0
    judges = (scenario.judge, other)
    fails = scenario.prevalence
    for share, name in ((fails, "recall_fail"), (1 - fails, "recall_pass")):
        first, second = (getattr(judge, name) for judge in judges)
        only_first += share * (max(0.0, first - second) + first * (1 - second)) / 2
        only_second += share * (max(0.0, second - first) + second * (1 - first)) / 2
    n, truth, covered = scenario.n, only_first - only_second, 0.0
    for b, chance in enumerate(binom.pmf(np.arange(n + 1), n, only_first)):
        if chance < 1e-7:
            continue
        rest = binom.pmf(np.arange(n - b + 1), n - b, only_second / (1 - only_first))
        for c in np.flatnonzero(rest > 1e-7):
            lo, hi = limits_of(interval(b, int(c), n))
            if lo is not None and hi is not None and lo <= truth + _EDGE and truth <= hi + _EDGE:
                covered += float(chance * rest[c])
    return Seen(f"{scenario} and {other.name}", 0, covered, 0.0)


def stratified(scenario: Scenario, by: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The weight of an item in each cell where one of four passes is drawn, by the expert's label
    or the judge's verdict; and the probability of each cell in such a sample. By neither: of one
    half of the items, whatever they are, one of four is drawn; its cells follow the others'."""
    cells = scenario.cells
    if by == "neither":
        weights, cells = np.repeat([1.0, 4], len(cells)), np.tile(cells, 2)
    else:
        weights = np.array([1.0, 1, 4, 4, 1, 4] if by == "label" else [1.0, 4, 1, 4, 4, 4])
    shares = cells / weights
    return weights, shares / shares.sum()


def pass_rate_data(
    n: int, more: int, passes: float, rng: np.random.Generator
) -> tuple[Codes, NDArray[np.bool_]]:
    """A labelled sample, tp, fn, fp, tn, and whether a good judge passes each of `more` others."""
    cells = Scenario(n, 1 - passes, JUDGES[0]).cells
    traffic = rng.random(more) < cells[1] + cells[3]
    return rng.multinomial(n, cells)[:4], traffic


def equal_variants(
    n: int, variants: int, rng: np.random.Generator, alike: float = 0.0, right: float = 0.85
) -> tuple[NDArray[np.bool_], Codes]:
    """Labels, 30 % fails, and verdicts of variants that are all as good: (n,) and (K, n)."""
    expert = rng.random(n) < 0.3
    shared = rng.random(n) < right
    own = rng.random((variants, n)) < right
    hit = np.where(rng.random((variants, n)) < np.sqrt(alike), shared, own)
    return expert, np.where(hit, expert, ~expert).astype(np.int64)
