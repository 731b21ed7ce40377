"""Which of many judges cannot be told apart from the best."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from judgelab.metrics.agreement import METRICS, Array, check_metric
from judgelab.metrics.bootstrap import resample_clusters
from judgelab.metrics.confusion import CELLS, TN, TP
from judgelab.metrics.lineup import Lineup

BEST_SET_DRAWS, OPTIMISM_DRAWS = 4000, 2000
ALPHA = 0.1
_TIE = 1e-9  # statistics that differ by rounding alone are equal

# What a mistake counts, by the metric that selects; zero_one for the others.
_LOSSES = {
    **dict.fromkeys(("kappa", "balanced_accuracy", "mcc", "f1_fail", "f1_pass"), "class_balanced"),
    "recall_fail": "zero_one_fail",
    "recall_pass": "zero_one_pass",
}


@dataclass(frozen=True)
class BestSet:
    """The judges that cannot be told apart from the best.

    Attributes:
        kept: for each judge whether it is in the set; where there is a `reason`, all that were
            compared.
        p: p-value of each, None where there is a `reason`; kept where p >= alpha.
        alpha: level of the test.
        loss: what a mistake counts: zero_one, class_balanced, or zero_one_fail and zero_one_pass
            (of that class alone).
        n: items compared; with policy `exclude` those that all the judges answered.
        clusters: number of groups, or None where no two items share one.
        seed: of the bootstrap.
        draws: number of resamples.
        reason: why no judge could be told apart: no_items, one_item, one_cluster.
        left_out: why a judge was not compared, by its place: no_verdict (of it, under `exclude`).
    """

    kept: tuple[bool, ...]
    p: tuple[float | None, ...]
    alpha: float
    loss: str
    n: int
    clusters: int | None
    seed: int
    draws: int
    reason: str | None = None
    left_out: Mapping[int, str] = field(default_factory=dict)


def best_set(
    expert: ArrayLike,
    judges: ArrayLike,
    *,
    groups: Sequence[Hashable | None] | None = None,
    metric: str = "kappa",
    policy: str = "error",
    alpha: float = ALPHA,
    seed: int = 0,
    draws: int = BEST_SET_DRAWS,
) -> BestSet:
    """Model Confidence Set by T_max and elimination, over items or whole clusters.

    The judge with the largest loss above the mean of those left, in standard errors, is removed
    while the largest of these is surprising (a resample as far out counts half); the set holds the
    best judge with probability 1 - alpha. Loss: a mistake on an item; for kappa, F1, MCC and
    balanced accuracy it weighs n / (2 items of its class), for a recall only its class counts.
    Judges with equal statistics leave together. No p-value is below 2^(1 - units), the least that
    flipping the signs of so many items or clusters could give: the bootstrap sees no error in three
    items that all say the same.
    Source: Hansen, Lunde and Nason 2011, Econometrica 79(2), 3.1.2 and the appendix.

    Args:
        expert: bool, shape (n,); True = fail.
        judges: integers, shape (K, n); 1 = fail, 0 = pass, -1 = abstained.
        groups: one hashable value an item, e.g. the conversation; None = a group of its own.
        metric: one of `agreement.METRICS`; chooses the loss.
        policy: what an abstention counts as; `exclude` keeps the items that all answered, and
            leaves out who answered none.
        alpha: level of the test.
        seed: of the bootstrap; the same arrays and seed give the same numbers in any row order.
        draws: number of resamples.

    Raises:
        ConfigError: an unknown metric or policy.
        ValueError: arrays that are not aligned or hold other values, no judge, alpha outside
            (0, 1), or draws < 1.
    """
    lineup = Lineup.of(expert, judges, groups, policy)
    check_metric(metric)
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, e.g. 0.1; got {alpha}")
    count, loss = len(np.asarray(judges)), _LOSSES.get(metric, "zero_one")
    compared = np.isin(np.arange(count), lineup.given)
    found = BestSet(
        tuple(compared.tolist()),
        (None,) * count,
        alpha,
        loss,
        lineup.n,
        lineup.clusters,
        seed,
        draws,
        left_out=dict.fromkeys(np.flatnonzero(~compared).tolist(), "no_verdict"),
    )
    if lineup.too_few:
        return replace(found, reason=lineup.too_few)
    p = _set_p_values(*_resampled_losses(lineup, loss, draws, seed))
    p = np.maximum(p, 0.5 ** ((lineup.clusters or lineup.n) - 1))
    of = dict(zip(lineup.given.tolist(), p.tolist(), strict=True))
    return replace(
        found,
        kept=tuple(k in of and of[k] >= alpha for k in range(count)),
        p=tuple(of.get(k) for k in range(count)),
    )


def _resampled_losses(lineup: Lineup, loss: str, draws: int, seed: int) -> tuple[Array, Array]:
    """Mean loss of each judge, (K,), and in each resample, (K, B)."""
    fails = lineup.fails
    wrong = ~np.isin(lineup.cells.T, (TP, TN))
    # The order of the judges must not matter where they differ at all: first by their mistakes,
    # then by how many they share with each other.
    counts = wrong.astype(np.float64)
    shared = np.sort(counts.T @ counts, axis=-1)
    order = np.lexsort((*shared.T, wrong.sum(axis=0)))
    wrong = wrong[:, order]
    columns = [fails[:, None], ~fails[:, None], wrong & fails[:, None], wrong & ~fails[:, None]]
    drawn = resample_clusters(lineup.by_unit(np.hstack(columns)), draws=draws, rng=seed)
    weights = _weights(loss, int(fails.sum()), int((~fails).sum()))

    def mean_loss(tables: Array) -> Array:
        of_fails, of_passes = np.split(tables[..., 2:], 2, axis=-1)
        weighted = weights[0] * of_fails + weights[1] * of_passes
        return np.asarray(weighted / tables[..., :2].sum(axis=-1, keepdims=True), np.float64)

    back = np.argsort(order)
    whole, resampled = mean_loss(drawn.observed.astype(np.float64)), mean_loss(drawn.tables)
    return whole[back], np.ascontiguousarray(resampled.T[back])


def _weights(loss: str, fails: int, passes: int) -> tuple[float, float]:
    """What a mistake on a fail and on a pass counts."""
    if loss == "class_balanced":
        n = fails + passes
        return n / (2 * max(fails, 1)), n / (2 * max(passes, 1))
    return float(loss != "zero_one_pass"), float(loss != "zero_one_fail")


def _set_p_values(losses: Array, resampled: Array) -> Array:
    """The p-value of each judge, (K,), from its loss, (K,), and its resampled losses, (K, B)."""
    errors = resampled - losses[:, None]
    p, highest, left = np.ones(len(losses)), 0.0, np.arange(len(losses))
    while len(left) > 1:
        above = losses[left] - losses[left].mean()
        error = errors[left]
        error -= error.mean(axis=0)
        spread = np.sqrt(np.einsum("kb,kb->k", error, error) / error.shape[1])
        # A judge that is worse by the same amount in every resample is infinitely far.
        scale = np.where(spread > _TIE, spread, np.inf)
        distance = np.where(above > _TIE, above / np.where(spread > _TIE, spread, _TIE**2), 0.0)
        furthest = float(distance.max())
        if furthest == 0:
            break
        error /= scale[:, None]
        top = error.max(axis=0)
        ties = np.abs(top - furthest) <= _TIE
        highest = max(highest, float(((top > furthest) & ~ties).mean() + ties.mean() / 2))
        leaving = distance >= furthest * (1 - _TIE)
        p[left[leaving]] = highest
        left = left[~leaving]
    return p


@dataclass(frozen=True)
class Optimism:
    """By how much the score of the best of several judges flatters it, on these items.

    Attributes:
        value: expected score of the chosen judge here minus what it would score on new items.
        shrinkage: how far the judges are taken to differ: 0 = only by chance, 1 = as it seems.
        judges: number of judges with a score.
        seed: of the bootstrap.
        draws: number of resamples.
        reason: why there is no value: no_items, one_item, one_cluster, none_eligible.
    """

    value: float | None
    shrinkage: float | None
    judges: int
    seed: int
    draws: int
    reason: str | None = None


def optimism(
    expert: ArrayLike,
    judges: ArrayLike,
    *,
    metric: str = "kappa",
    floors: Mapping[str, float] | None = None,
    groups: Sequence[Hashable | None] | None = None,
    policy: str = "error",
    seed: int = 0,
    draws: int = OPTIMISM_DRAWS,
) -> Optimism:
    """Expected optimism of choosing the best of these judges on these items (winner's curse).

    The choice is made again in each resample, and what its score there exceeds its true one is
    averaged. A plain resample of K equal judges sees only 0.6 to 0.7 of it, as their scores differ
    by chance already and are then taken for the truth; so the true scores are taken to be the
    observed ones, shrunk to their mean by the share of their variance that chance explains.
    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, 17 (re-selection inside
    the resample); Efron and Morris 1973, Journal of the American Statistical Association 68(341)
    (shrinkage).

    Args:
        floors: least values of metrics that a judge must reach to be chosen, e.g.
            {"recall_fail": 0.5}.
        others: as in `best_set`.

    Raises:
        ConfigError: an unknown metric or policy.
        ValueError: see `best_set`.
    """
    lineup = Lineup.of(expert, judges, groups, policy)
    for name in (metric, *(floors or {})):
        check_metric(name)
    none = Optimism(None, None, 0, seed, draws)
    if lineup.too_few:
        return replace(none, reason=lineup.too_few)
    one_hot = np.eye(len(CELLS), dtype=np.int64)[lineup.cells.T]
    drawn = resample_clusters(lineup.by_unit(one_hot.reshape(lineup.n, -1)), draws=draws, rng=seed)
    scores = METRICS[metric](drawn.observed.reshape(-1, len(CELLS)))
    tables = drawn.tables.reshape(draws, -1, len(CELLS))[:, ~np.isnan(scores)]
    scores = scores[~np.isnan(scores)]
    resampled = METRICS[metric](tables)
    eligible = ~np.isnan(resampled)
    for name, least in (floors or {}).items():
        eligible &= METRICS[name](tables) >= least
    possible = eligible.any(axis=-1)
    if not possible.any():
        return replace(none, judges=len(scores), reason="none_eligible")
    chance, eligible = (resampled - scores)[possible], eligible[possible]
    shrinkage = _shrinkage(scores, chance)
    chosen = np.where(eligible, shrinkage * scores + chance, -np.inf)
    winners = chosen >= chosen.max(axis=-1, keepdims=True) - _TIE
    gained = np.where(winners, chance, 0.0).sum(axis=-1) / winners.sum(axis=-1)
    return Optimism(float(gained.mean()), shrinkage, len(scores), seed, draws)


def _shrinkage(scores: Array, chance: Array) -> float:
    """Share of the variance of K scores, (K,), that their errors, (B, K), do not explain."""
    spread = float(scores.var())
    return max(0.0, 1 - float(np.nanmean(np.nanvar(chance, axis=-1))) / spread) if spread else 0.0
