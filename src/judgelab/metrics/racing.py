"""Racing: a variant that can no longer be the best of a sweep stops being paid for.

The claim, for any judges: the variant that would win on all n items is ever stopped with
probability at most alpha, however often one looks, in a family of any size.

What is random is the order of the items alone, so this is about these n items: nothing is assumed
of where they come from, whether they come in groups, or how the judges depend on each other. One
order, drawn uniformly, serves all variants; the groups are not kept together in it.

How. Let T be the sum of a variant's losses over all n items. If w wins, T_w <= T_j for every j, so
T_w is at most any weighted mean of the others' T. Before each item a bet is laid that w does worse
on it than such a mean of the leaders: their weights fall off with how far they are behind, and a
stopped variant has none. With S the distance of w from that mean on the t items so far, the next
difference x has, given the past, a mean of at most m = -S / (n - t) if w wins: what was lost must
be won back, and the fewer items are left, the faster. So the wealth, multiplied by
1 + bet * (x - m), is a supermartingale for the winner, and reaches 1 / alpha with probability at
most alpha (Ville's inequality). Weights and bets look at the past alone. Only one variant is the
winner, and its wealth is one process whoever it is bet against: so alpha is divided neither by the
variants nor by the pairs. Half of the wealth is bet by the losses so far (Kelly's bet),
half by the distance that a walk back to 0 reaches with probability alpha.

Sources: Waudby-Smith and Ramdas 2020, Confidence sequences for sampling without replacement
(NeurIPS 33), for m; Waudby-Smith and Ramdas 2024, Journal of the Royal
Statistical Society B 86(1), for betting without replacement and its bets; Ville 1939.

The loss. A metric that is a ratio of two sums over the items is at least v where a sum that is
linear in v is: so each item has a loss for v = 0 and one for v = 1, and for the winner's own v,
somewhere between, T_w <= T_j holds. The wealth of the same bets is log-concave in v, so the lesser
of the two at the ends is a lower bound whatever v is, and that is what is counted. For kappa the
ends are the class-balanced loss and 0/1 loss; agreement, the recalls and balanced accuracy have
one loss. So kappa, F1 and precision are raced themselves, if the best of them is not negative.
mcc and gwet_ac1 are no such ratios: mcc is raced by class-balanced, gwet_ac1 by 0/1 loss, and the
claim is then about that loss. Abstained is wrong; for kappa, where it is a third category, and F1
and precision, where it is not a prediction, it costs what it costs in the metric.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgelab.metrics.agreement import METRICS, check_metric
from judgelab.metrics.confusion import (
    ABSTAINED,
    ABSTAINED_FAIL,
    ABSTAINED_PASS,
    CELLS,
    FN,
    FP,
    item_cells,
)

Array = NDArray[np.float64]
# Met where a rival is as good as the winner; scripts/bench_search.py shows how far below it the
# share of lost winners stays in a sweep of unequal variants.
ALPHA = 0.05
_FALL = 0.2  # of the weights of those behind, in standard deviations of a variant's losses
_PRIOR = 3.0  # items that the guess of the variance counts for
_MOST = 0.95  # of the wealth is what a bet may lose
_ROUNDING = 1e-6  # of sums of losses
_WAITING = -2


def losses(metric: str, fails: float) -> Array:
    """What a verdict costs, by the metric that chooses: shape (E, 6) in the order of
    `confusion.CELLS`, for the ends v = 0 and v = 1 of the metric, E = 1 where they are the same.

    kappa >= v where n (tp + tn) - M >= v (n^2 - M), M = n^2 times the agreement expected by chance;
    f1_fail >= v where 2 tp - v (fails + judged fail) >= 0; precision_fail >= v where
    (1 - v) tp - v fp >= 0; the others alike. A right verdict costs 0.

    Args:
        metric: one of `agreement.METRICS`.
        fails: the expert's share of fails.

    Raises:
        ConfigError: an unknown metric.
    """
    check_metric(metric)
    of_fail, of_pass = 2 * (1 - fails), 2 * fails
    zero_one = [0, 1, 1, 0, 1, 1]
    balanced = [0, of_fail, of_pass, 0, of_fail, of_pass]
    only_fails, only_passes = [0, 1, 0, 0, 1, 0], [0, 0, 1, 0, 0, 1]
    ends: dict[str, list[Any]] = {
        "kappa": [[0, of_fail, of_pass, 0, of_fail / 2, of_pass / 2], zero_one],
        "balanced_accuracy": [balanced],
        "mcc": [balanced],
        "recall_fail": [only_fails],
        "recall_pass": [only_passes],
        "f1_fail": [[0, 2, 0, 0, 2, 0], [0, 1, 1, 0, 1, 0]],
        "f1_pass": [[0, 0, 2, 0, 0, 2], [0, 1, 1, 0, 0, 1]],
        "precision_fail": [only_fails, [0, 0, 1, 0, 0, 0]],
        "precision_pass": [only_passes, [0, 1, 0, 0, 0, 0]],
    }
    return np.array(ends.get(metric, [zero_one]), np.float64)


class Race:
    """The race of K variants over n items in one order, fed as the verdicts come.

    Verdicts may come in any order (`tell`): an item counts once all variants still alive have
    answered it and every item before it, so the outcome depends on the verdicts alone and not on
    which call was the fastest. What a stopped variant still answers is ignored. A variant must not
    be given items because of what it answered to others: the order is the sweep's.

    Attributes:
        alive: who is still in the race, bool, shape (K,).
        seen: number of items that count.
        at: items that count when a variant was stopped, -1 for those alive, shape (K,).
        evidence: the wealth bet against a variant, its last where it was stopped, infinite where
            it could not win even if it had no more losses and another nothing but; shape (K,).
    """

    def __init__(
        self,
        fails: ArrayLike,
        variants: int,
        *,
        metric: str = "kappa",
        alpha: float = ALPHA,
        floors: Mapping[str, float] | None = None,
    ) -> None:
        """
        Args:
            fails: the expert's labels in the order of the race, bool, shape (n,); True = fail.
            variants: K.
            metric: what the winner is best in, one of `agreement.METRICS`; chooses the loss.
            alpha: the most that the probability of stopping the winner may be.
            floors: metric -> least value. A variant below one on the items so far is not bet on
                (nobody is stopped for being worse than it), and may be stopped itself. The claim
                then holds where those bet on meet the floors on all items too.

        Raises:
            ConfigError: an unknown metric.
            ValueError: labels that are not one row, no variant, alpha outside (0, 1).
        """
        self.fails = np.asarray(fails, np.bool_)
        if self.fails.ndim != 1:
            raise ValueError(f"fails must have shape (n,); got {self.fails.shape}")
        if variants < 1:
            raise ValueError(f"a race needs at least one variant; got {variants}")
        if not 0 < alpha < 1:
            raise ValueError(f"alpha must lie between 0 and 1, e.g. {ALPHA}; got {alpha}")
        n, self.alpha, self.floors = len(self.fails), alpha, dict(floors or {})
        for name in self.floors:
            check_metric(name)
        self._loss = losses(metric, float(self.fails.mean()) if n else 0.0)
        ends = len(self._loss)
        self.alive = np.ones(variants, np.bool_)
        self.seen = 0
        self.at = np.full(variants, -1)
        self.evidence = np.ones(variants)
        self._codes = np.full((n, variants), _WAITING, np.int8)
        self._tables = np.zeros((variants, len(CELLS)), np.int64)
        self._total = np.zeros((ends, variants))  # of the losses
        self._mean = np.zeros(variants)  # the same, over the ends
        self._shared = np.zeros((variants, variants))  # sums of products of the mean losses
        self._wealth = np.zeros((2, ends, variants))  # logarithms; the first axis is the bet
        self._itself = np.where(np.eye(variants, dtype=bool), np.inf, 0.0)
        # The most that an item can cost, at each end, and the sum of that over the items left.
        of_fail = self._loss[:, [FN, ABSTAINED_FAIL]].max(axis=1, keepdims=True)
        of_pass = self._loss[:, [FP, ABSTAINED_PASS]].max(axis=1, keepdims=True)
        most = np.where(self.fails, of_fail, of_pass)
        self._most = most.max(axis=-1, initial=0.0)
        self._left = np.append(most[:, ::-1].cumsum(axis=-1)[:, ::-1], np.zeros((ends, 1)), axis=-1)
        self._guess = float((most.mean(axis=0) ** 2).mean()) / 4 if n else 0.0

    @property
    def n(self) -> int:
        return len(self.fails)

    @property
    def leader(self) -> int:
        """The first of those alive that meet the floors so far with the least loss; of those alive
        where none meets them."""
        return self._leader(self._standing())

    def tell(self, variant: int, position: int, code: int) -> list[int]:
        """One verdict: 1 = fail, 0 = pass, -1 = abstained. Returns who is stopped by it.

        Raises:
            ValueError: another code, or a variant or position that is not there.
        """
        if code not in (0, 1, -1):
            raise ValueError(f"a verdict is 1 (fail), 0 (pass) or -1 (abstained); got {code}")
        if not (0 <= variant < len(self.alive) and 0 <= position < self.n):
            raise ValueError(
                f"variant {variant}, position {position}: there are {len(self.alive)} variants "
                f"and {self.n} items, counted from 0"
            )
        self._codes[position, variant] = code
        return self._advance()

    def withdraw(self, variant: int) -> list[int]:
        """Take a variant out that will answer no more; it is not stopped. Returns who is stopped by
        the items that now count."""
        self.alive[variant] = False
        return self._advance()

    def _advance(self) -> list[int]:
        stopped: list[int] = []
        while self.seen < self.n and self.alive.any():
            if (self._codes[self.seen, self.alive] == _WAITING).any():
                break
            stopped += self._count(self._codes[self.seen])
        return stopped

    def step(self, codes: ArrayLike) -> list[int]:
        """The verdicts of all variants on the next item, shape (K,); those of stopped variants are
        ignored. Returns who is stopped by them.

        Raises:
            ValueError: all items are seen, another shape, or other codes.
        """
        given = np.asarray(codes)
        if self.seen == self.n or given.shape != self.alive.shape:
            raise ValueError(
                f"item {self.seen} of {self.n} with verdicts of shape {given.shape}: there is no "
                f"such item, or not one verdict a variant, {self.alive.shape}"
            )
        return self._count(given)

    def _leader(self, standing: NDArray[np.bool_]) -> int:
        among = standing if standing.any() else self.alive
        return int(np.where(among, self._mean, np.inf).argmin())

    def _standing(self) -> NDArray[np.bool_]:
        """Who is alive and below no floor on the items so far, shape (K,)."""
        standing = self.alive.copy()
        for name, least in self.floors.items():
            standing &= ~(METRICS[name](self._tables) < least)
        return standing

    def _others(self) -> Array:
        """The weights of the leaders that each variant is measured against, shape (K, K): rows sum
        to 1, or to 0 where there is none."""
        spread = float(np.diagonal(self._shared)[self.alive].mean())
        fall = _FALL * max(spread, 4 * self._guess, 1e-12) ** 0.5
        behind = np.where(self._standing(), self._mean, np.inf) / fall + self._itself
        ahead = np.minimum(behind.min(axis=1, keepdims=True), 1e12)
        weights: Array = np.exp(ahead - behind)
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
        return weights

    def _count(self, codes: NDArray[Any]) -> list[int]:
        """The bets are laid, then the item is looked at."""
        t, left = self.seen, self.n - self.seen
        weights = self._others()
        gap = self._total - self._total @ weights.T
        must = -gap / left
        bets = self._bets(weights, gap, must, t, left)
        expert = np.broadcast_to(self.fails[t], codes.shape)
        cells = item_cells(expert, np.where(self.alive, codes, ABSTAINED))
        loss = np.where(self.alive, self._loss[:, cells], 0.0)
        playing = self.alive & weights.any(axis=1)
        gained = np.log1p(bets[:, None] * (loss - loss @ weights.T - must))
        self._wealth += np.where(playing, gained, 0.0)
        mean = loss.mean(axis=0)
        self._shared += np.outer(mean, mean)
        self._total += loss
        self._mean += mean
        self._tables[self.alive, cells[self.alive]] += 1
        self.seen += 1
        return self._stop()

    def _bets(self, weights: Array, gap: Array, must: Array, t: int, left: int) -> Array:
        """What is bet against each variant, shape (2, K), from the items before this one.

        Kelly's bet is the mean of x - m over its second moment. The other is that of the boundary
        sqrt(variance n log(1/alpha) / 2), which a walk that ends at 0 crosses with probability
        alpha: twice that over the variance still to come.
        """
        shared, behind = self._shared, gap.mean(axis=0)
        mixed = weights @ shared
        squares = np.diagonal(shared) - 2 * np.einsum("kj,kj->k", weights, shared)
        squares = squares + np.einsum("kj,kj->k", mixed, weights)
        variance = (squares + _PRIOR * self._guess) / (t + _PRIOR)
        variance -= (behind / (t + _PRIOR)) ** 2
        variance = np.maximum(variance, max(self._guess / 12, 1e-12))
        ahead = np.maximum(behind / (t + _PRIOR) - must.mean(axis=0), 0.0)
        pace = ahead / (variance + ahead**2)
        goal = np.sqrt(2 * np.log(1 / self.alpha) * self.n / variance) / left
        floor = np.maximum(self._most[:, None] + must, 1e-9).max(axis=0)
        return np.asarray(np.minimum(np.stack([pace, goal]), _MOST / floor), np.float64)

    def _stop(self) -> list[int]:
        with np.errstate(over="ignore"):
            wealth = np.exp(self._wealth.min(axis=1)).mean(axis=0)
        standing = self._standing()
        # The same rival at both ends: then also between them.
        behind = self._total[:, :, None] - self._total[:, None]
        lost = (behind > self._left[:, self.seen, None, None] + _ROUNDING).all(axis=0)
        wealth[(lost & standing).any(axis=1)] = np.inf
        self.evidence[self.alive] = wealth[self.alive]
        stopped = self.alive & (wealth >= 1 / self.alpha)
        stopped[self._leader(standing)] = False
        self.alive &= ~stopped
        self.at[stopped] = self.seen
        return [int(variant) for variant in np.flatnonzero(stopped)]
