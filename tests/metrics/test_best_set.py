"""The best set and the optimism of a choice, against plain loops and what is simulated."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from judgelab.errors import ConfigError
from judgelab.metrics.agreement import METRICS
from judgelab.metrics.best_set import best_set, optimism
from judgelab.metrics.confusion import Confusion
from judgelab.metrics.discordant import mcnemar
from judgelab.metrics.multiplicity import holm

Bools, Codes = NDArray[np.bool_], NDArray[np.int64]


def lineup(
    n: int, errors: list[float] | NDArray[np.float64], seed: int = 0, prevalence: float = 0.3
) -> tuple[Bools, Codes]:
    rng = np.random.default_rng(seed)
    expert = rng.random(n) < prevalence
    wrong = rng.random((len(errors), n)) < np.array(errors)[:, None]
    return expert, (expert ^ wrong).astype(np.int64)


def hansen(losses: NDArray[np.float64], codes: Codes, draws: int) -> list[float]:
    """The set's p-values by resampling indices, one resample and one elimination at a time."""
    rng = np.random.default_rng(11)
    clusters = [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]
    picks = [
        np.concatenate([clusters[k] for k in rng.integers(0, len(clusters), len(clusters))])
        for _ in range(draws)
    ]
    means = losses.mean(axis=1)
    errors = np.array([losses[:, pick].mean(axis=1) - means for pick in picks])
    left, p, highest = list(range(len(losses))), [1.0] * len(losses), 0.0
    while len(left) > 1:
        relative = errors[:, left] - errors[:, left].mean(axis=1, keepdims=True)
        spread = np.sqrt((relative**2).mean(axis=0))
        distance = (means[left] - means[left].mean()) / spread
        beyond = (relative / spread).max(axis=1) - distance.max()
        highest = max(highest, float(((beyond > 1e-9) + (np.abs(beyond) <= 1e-9) / 2).mean()))
        worst = left[int(distance.argmax())]
        p[worst] = highest
        left.remove(worst)
    return p


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("metric", ["agreement", "kappa", "recall_fail"])
def test_p_values_equal_a_plain_elimination(metric: str, clustered: bool) -> None:
    expert, judges = lineup(150, [0.12, 0.14, 0.2, 0.26, 0.27, 0.34], seed=3)
    codes = np.random.default_rng(2).integers(0, 60, 150) if clustered else np.arange(150)
    codes = np.unique(codes, return_inverse=True)[1]
    weights = {
        "agreement": np.ones(150),
        "kappa": np.where(expert, 75 / expert.sum(), 75 / (~expert).sum()),
        "recall_fail": expert.astype(float),
    }[metric]
    expected = hansen((judges != expert) * weights, codes, 10_000)
    groups = codes.tolist() if clustered else None
    found = best_set(expert, judges, metric=metric, groups=groups, draws=20_000)
    assert found.p == pytest.approx(expected, abs=0.04)
    assert found.kept == tuple(p is not None and p >= 0.1 for p in found.p)
    assert found.clusters == (codes.max() + 1 if clustered else None)


# Losses of `frozen_lineup`, from arch 8 (MCS, block_size=1, method="max", reps=20000, seed=1).
ARCH = [1.0, 0.428, 0.428, 0.428, 0.034, 0.009]


def test_p_values_equal_arch() -> None:
    wrong = np.random.default_rng(1).random((60, 6)) < np.linspace(0.1, 0.4, 6)
    found = best_set(np.zeros(60, bool), wrong.T.astype(int), metric="agreement", draws=20_000)
    assert found.p == pytest.approx(ARCH, abs=0.015)


def test_the_order_of_items_and_judges_changes_no_digit() -> None:
    expert, judges = lineup(90, list(np.linspace(0.1, 0.4, 12)))
    items, order = (np.random.default_rng(1).permutation(k) for k in (90, 12))
    groups = np.random.default_rng(2).integers(0, 25, 90)
    for given in (None, groups):
        names = [None, None]
        if given is not None:
            names = [given.tolist(), [f"user {k}" for k in given[items]]]
        one = best_set(expert, judges, groups=names[0], draws=500)
        two = best_set(expert[items], judges[:, items][order], groups=names[1], draws=500)
        assert two.p == tuple(one.p[k] for k in order)
        first = optimism(expert, judges, groups=names[0], draws=500)
        second = optimism(expert[items], judges[:, items][order], groups=names[1], draws=500)
        assert second.value == pytest.approx(first.value, abs=0.005)


@pytest.mark.parametrize("draws", [300, 1000])
def test_identical_judges_share_their_fate(draws: int) -> None:
    """Twins of a good, a doubtful and a bad judge."""
    for seed in range(10):
        expert, judges = lineup(80, [0.1, 0.2, 0.27, 0.5], seed)
        found = best_set(expert, np.repeat(judges, 3, axis=0), draws=draws)
        p = np.array(found.p, float).reshape(4, 3)
        assert (p == p[:, :1]).all()
        assert found.kept[0]
        assert not found.kept[-1]


def test_judges_who_are_all_alike_stay() -> None:
    expert, judges = lineup(50, [0.2])
    found = best_set(expert, np.repeat(judges, 5, axis=0))
    assert (found.kept, found.p) == ((True,) * 5, (1.0,) * 5)
    assert best_set(expert, judges).p == (1.0,)


def test_a_constant_distance_is_worth_its_items() -> None:
    """One always right, one always wrong: the bootstrap sees no error, however few the items."""
    for n, p in ((2, 0.5), (4, 0.125), (5, 0.0625), (30, 2.0**-29)):
        expert = np.array([True, False] * n)[:n]
        judges = np.stack([expert, ~expert]).astype(int)
        found = best_set(expert, judges, metric="agreement", draws=200)
        assert found.p == (1.0, p)
        assert found.kept == (True, p >= 0.1)


def test_what_cannot_be_told_keeps_everybody_and_says_why() -> None:
    nothing = best_set(np.zeros(0, bool), np.zeros((2, 0), int))
    one = best_set([True], [[1], [0]])
    cluster = best_set([True, False, True], [[1, 0, 1], [0, 1, 0]], groups=["a"] * 3)
    none = best_set([True, False], [[-1, 0], [1, -1]], policy="exclude")
    assert [found.reason for found in (nothing, one, cluster, none)] == [
        "no_items",
        "one_item",
        "one_cluster",
        "no_items",
    ]
    for found in (nothing, one, cluster, none):
        assert (found.kept, found.p) == ((True, True), (None, None))


def test_a_judge_that_answered_nothing_does_not_empty_the_common_items() -> None:
    expert, judges = lineup(100, [0.05, 0.5, 0.0])
    judges[2] = -1
    found = best_set(expert, judges, policy="exclude", draws=500)
    alone = best_set(expert, judges[:2], policy="exclude", draws=500)
    assert (found.n, found.reason, found.left_out) == (100, None, {2: "no_verdict"})
    assert (found.kept, found.p) == ((*alone.kept, False), (*alone.p, None))
    assert best_set(expert, judges, draws=500).left_out == {}, "elsewhere it is wrong everywhere"
    several = optimism(expert, judges, policy="exclude", draws=500)
    assert several == optimism(expert, judges[:2], policy="exclude", draws=500)
    assert several.value is not None
    silent = best_set(expert, np.full((2, 100), -1), policy="exclude")
    assert (silent.kept, silent.reason, silent.left_out) == ((True, True), "no_items", {})


def test_policies_and_losses() -> None:
    expert, judges = lineup(100, [0.05, 0.05])
    judges[1, :40] = -1
    assert best_set(expert, judges, draws=500).kept == (True, False)
    answered = best_set(expert, judges, policy="exclude", draws=500)
    assert (answered.n, answered.kept) == (60, (True, True))
    assert answered.loss == "class_balanced"
    assert best_set(expert, judges, metric="agreement", draws=50).loss == "zero_one"
    assert best_set(expert, judges, metric="recall_pass", draws=50).loss == "zero_one_pass"


def test_balanced_loss_sees_the_judge_that_never_fails() -> None:
    """At 5 % fails, always PASS is right as often as a judge who finds them."""
    rng = np.random.default_rng(0)
    expert = np.arange(400) < 24
    good = np.where(expert, rng.random(400) < 0.9, rng.random(400) < 0.06).astype(int)
    judges = np.stack([good, np.zeros(400, int)])
    assert best_set(expert, judges, metric="agreement", draws=1000).kept == (True, True)
    assert best_set(expert, judges, metric="kappa", draws=1000).kept == (True, False)


def test_bad_arguments_are_refused() -> None:
    expert, judges = lineup(10, [0.1, 0.2])
    with pytest.raises(ConfigError, match="accuracy"):
        best_set(expert, judges, metric="accuracy")
    with pytest.raises(ConfigError, match="policy"):
        optimism(expert, judges, policy="skip")
    with pytest.raises(ConfigError, match="accuracy"):
        optimism(expert, judges, floors={"accuracy": 0.5})
    with pytest.raises(ValueError, match="alpha"):
        best_set(expert, judges, alpha=0)
    with pytest.raises(ValueError, match="one row a judge"):
        best_set(expert, judges[0])
    with pytest.raises(ValueError, match="draws"):
        best_set(expert, judges, draws=0)


def test_one_judge_is_chosen_without_optimism() -> None:
    expert, judges = lineup(200, [0.15])
    found = optimism(expert, judges, metric="agreement")
    assert found.value == pytest.approx(0.0, abs=0.002)
    assert found.judges == 1


def test_a_clear_winner_is_chosen_without_optimism() -> None:
    expert, judges = lineup(300, [0.02, 0.4, 0.45, 0.5])
    found = optimism(expert, judges, metric="agreement")
    assert found.value == pytest.approx(0.0, abs=0.002)
    assert (found.shrinkage or 0) > 0.95


def test_floors_decide_who_may_win() -> None:
    """The judge with the best agreement finds no fail; the other two are alike."""
    expert = np.arange(200) < 20
    rng = np.random.default_rng(3)
    alike = [(expert ^ (rng.random(200) < 0.2)).astype(int) for _ in range(2)]
    judges = np.stack([np.zeros(200, int), *alike])
    free = optimism(expert, judges, metric="agreement")
    bound = optimism(expert, judges, metric="agreement", floors={"recall_fail": 0.5})
    assert free.value is not None
    assert bound.value is not None
    assert bound.value > free.value + 0.003
    never = optimism(expert, judges, floors={"recall_fail": 1.1})
    assert (never.value, never.reason) == (None, "none_eligible")


def test_an_undefined_score_is_never_chosen() -> None:
    expert, judges = lineup(60, [0.2, 0.2])
    judges = np.vstack([judges, np.zeros(60, int)])
    found = optimism(expert, judges, metric="precision_fail", draws=500)
    assert found.judges == 2
    none = optimism(np.ones(9, bool), np.ones((2, 9), int), metric="kappa", draws=50)
    assert (none.value, none.reason, none.judges) == (None, "none_eligible", 0)
    assert optimism([True], [[1]]).reason == "one_item"


# Expected optimism of the winner of K equal judges at .85 on n items, errors shared or not.
WINNERS = [(100, 10, 0.045, 0.053), (100, 50, 0.063, 0.074), (200, 50, 0.043, 0.053)]


@pytest.mark.parametrize(("n", "judges", "lowest", "highest"), WINNERS)
def test_optimism_of_equal_judges(n: int, judges: int, lowest: float, highest: float) -> None:
    found = [
        optimism(*lineup(n, [0.15] * judges, seed), metric="agreement", draws=300).value
        for seed in range(60)
    ]
    assert lowest - 0.004 <= float(np.mean([v for v in found if v is not None])) <= highest + 0.004


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["agreement", "kappa"])
@pytest.mark.parametrize("errors", [(0.1, 0.4), (0.1, 0.2), (0.15, 0.15)])
def test_optimism_is_what_new_items_show(metric: str, errors: tuple[float, float]) -> None:
    """The winner's score here minus its true one, averaged over data sets."""
    wrong = np.linspace(*errors, 24)
    truth = METRICS[metric](
        np.stack([0.3 * (1 - wrong), 0.3 * wrong, 0.7 * wrong, 0.7 * (1 - wrong)], axis=-1)
        @ np.eye(4, 6)
    )
    gained, expected = [], []
    for seed in range(200):
        expert, judges = lineup(150, wrong, seed)
        tables = np.stack([Confusion.from_arrays(expert, judge).table for judge in judges])
        scores = METRICS[metric](tables)
        winner = int(scores.argmax())
        gained.append(scores[winner] - truth[winner])
        expected.append(optimism(expert, judges, metric=metric, draws=300).value or 0.0)
    # Within a quarter of it: the spread of the true scores is itself estimated.
    assert np.mean(expected) == pytest.approx(np.mean(gained), rel=0.25)


def equal_lineups(n: int) -> list[tuple[Bools, Codes]]:
    return [lineup(n, [0.15] * 50, seed) for seed in range(200)]


@pytest.mark.slow
@pytest.mark.parametrize("n", [50, 100, 200])
@pytest.mark.parametrize("metric", ["agreement", "kappa"])
def test_equal_judges_stay_together(n: int, metric: str) -> None:
    kept = [all(best_set(*one, metric=metric, draws=1000).kept) for one in equal_lineups(n)]
    assert np.mean(kept) >= 0.88


@pytest.mark.slow
@pytest.mark.parametrize("n", [50, 100, 200])
def test_holm_claims_no_winner_among_equal_judges(n: int) -> None:
    """Fifty variants against a baseline that is one of them."""
    claims = []
    for expert, judges in equal_lineups(n):
        right = judges == expert
        better, worse = (right[1:] & ~right[0]).sum(axis=1), (~right[1:] & right[0]).sum(axis=1)
        ps = [mcnemar(int(b), int(c)).midp for b, c in zip(better, worse, strict=True)]
        claims.append(any((p or 0) < 0.05 for p in holm(ps)))
    assert np.mean(claims) <= 0.07
