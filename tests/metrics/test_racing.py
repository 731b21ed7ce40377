"""Racing against plain loops, all orders of few items, and matrices whose winner is known."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from numpy.typing import NDArray

from judgelab.errors import ConfigError
from judgelab.metrics.agreement import METRICS
from judgelab.metrics.confusion import CELLS, item_cells
from judgelab.metrics.racing import Race, losses

Bools, Codes, Floats = NDArray[np.bool_], NDArray[np.int64], NDArray[np.float64]
RATIOS = [name for name in METRICS if name not in ("mcc", "gwet_ac1")]


def matrix(
    n: int, errors: list[float] | Floats, seed: int = 0, abstains: float = 0.0
) -> tuple[Bools, Codes]:
    """Labels, 30 % fails, and verdicts of variants with these error rates: (n,) and (K, n)."""
    rng = np.random.default_rng(seed)
    fails = rng.random(n) < 0.3
    codes = (fails ^ (rng.random((len(errors), n)) < np.array(errors)[:, None])).astype(np.int64)
    codes[rng.random(codes.shape) < abstains] = -1
    return fails, codes


def mistakes(n: int, counts: list[int], rng: np.random.Generator) -> tuple[Bools, Codes]:
    """Variants with exactly so many mistakes, each at places of its own."""
    fails = rng.permutation(n) < n // 3
    wrong = np.array([rng.permutation(n) < count for count in counts])
    return fails, (fails ^ wrong).astype(np.int64)


def tables(fails: Bools, codes: Codes) -> Codes:
    cells = [item_cells(fails, row) for row in codes]
    return np.array([np.bincount(row, minlength=len(CELLS)) for row in cells])


def race(fails: Bools, codes: Codes, **options: object) -> Race:
    found = Race(fails, len(codes), **options)  # type: ignore[arg-type]
    for position in range(len(fails)):
        found.step(codes[:, position])
    return found


def plain(fails: Bools, codes: Codes, metric: str, alpha: float) -> tuple[list[int], list[float]]:
    """When each variant is stopped, -1 never, and the wealth bet against it: one at a time."""
    n, many = len(fails), len(codes)
    ends = losses(metric, fails.mean()).tolist()
    cells = [item_cells(fails, row).tolist() for row in codes]
    cost = [[[end[cells[k][i]] for i in range(n)] for end in ends] for k in range(many)]
    most = [[max(end[1], end[4]) if fails[i] else max(end[2], end[5]) for i in range(n)]
            for end in ends]  # fmt: skip
    mean = [[sum(e[i] for e in cost[k]) / len(ends) for i in range(n)] for k in range(many)]
    guess = sum((sum(e[i] for e in most) / len(ends)) ** 2 for i in range(n)) / n / 4
    at, wealth, evidence = [-1] * many, [[[1.0] * len(ends)] * 2 for _ in range(many)], [1.0] * many

    for t in range(n):
        alive = [k for k in range(many) if at[k] < 0]
        so_far = {k: sum(mean[k][:t]) for k in alive}
        squares = np.mean([sum(x * x for x in mean[k][:t]) for k in alive])
        fall = 0.2 * math.sqrt(max(squares, 4 * guess, 1e-12))
        for k in alive:
            others = [j for j in alive if j != k]
            if not others:
                continue
            least = min(so_far[j] for j in others)
            raw = {j: math.exp((least - so_far[j]) / fall) for j in others}
            share = {j: raw[j] / sum(raw.values()) for j in others}

            def apart(i: int, rows: list[list[float]], k: int = k) -> float:
                return rows[k][i] - sum(share[j] * rows[j][i] for j in share)  # noqa: B023

            gap = [sum(apart(i, [c[e] for c in cost]) for i in range(t)) for e in range(len(ends))]
            must = [-one / (n - t) for one in gap]
            behind = sum(gap) / len(gap)
            second = (sum(apart(i, mean) ** 2 for i in range(t)) + 3 * guess) / (t + 3)
            variance = max(second - (behind / (t + 3)) ** 2, guess / 12, 1e-12)
            ahead = max(behind / (t + 3) - sum(must) / len(must), 0)
            goal = math.sqrt(2 * math.log(1 / alpha) * n / variance) / (n - t)
            cap = 0.95 / max(max(1e-9, max(most[e]) + must[e]) for e in range(len(ends)))
            wealth[k] = [
                [
                    old * (1 + min(bet, cap) * (apart(t, [c[e] for c in cost]) - must[e]))
                    for e, old in enumerate(wealth[k][b])
                ]
                for b, bet in enumerate((ahead / (variance + ahead**2), goal))
            ]
        leader = min(alive, key=lambda k: sum(mean[k][: t + 1]))
        for k in alive:
            evidence[k] = sum(min(bet) for bet in wealth[k]) / 2
            spent = [[sum(c[e][: t + 1]) for e in range(len(ends))] for c in cost]
            left = [sum(row[t + 1 :]) + 1e-6 for row in most]
            hopeless = any(
                all(
                    mine > theirs + r
                    for mine, theirs, r in zip(spent[k], spent[j], left, strict=True)
                )
                for j in alive
            )
            if hopeless:
                evidence[k] = math.inf
        for k in alive:
            if k != leader and evidence[k] >= 1 / alpha:
                at[k] = t + 1
    return at, evidence


@pytest.mark.parametrize("metric", ["agreement", "kappa", "f1_fail", "recall_fail"])
def test_the_race_equals_plain_loops(metric: str) -> None:
    fails, codes = matrix(60, np.linspace(0.1, 0.5, 8), seed=4, abstains=0.05)
    found = race(fails, codes, metric=metric, alpha=0.1)
    at, evidence = plain(fails, codes, metric, 0.1)
    assert found.at.tolist() == at
    assert found.evidence.tolist() == pytest.approx(evidence, rel=1e-9)
    assert 0 < (found.at > 0).sum() < 8


@pytest.mark.parametrize("metric", RATIOS)
def test_the_loss_at_the_winners_own_value_ranks_as_the_metric_does(metric: str) -> None:
    for seed in range(40):
        fails, codes = matrix(30, np.linspace(0.1, 0.45, 6), seed, abstains=0.1)
        counts = tables(fails, codes)
        values = METRICS[metric](counts)
        ends = losses(metric, fails.mean())
        for value in values[values >= 0]:
            loss = (1 - value) * ends[0] + value * ends[-1]
            total = counts @ loss
            same = total[np.isclose(values, value)]
            assert same == pytest.approx(same[0])
            assert (total[values > value + 1e-9] < same[0]).all()
            assert (total[values < value - 1e-9] > same[0]).all()


@pytest.mark.parametrize(("metric", "abstains"), [("agreement", 0.0), ("kappa", 0.2)])
def test_over_all_orders_the_wealth_against_the_winner_does_not_grow(
    metric: str, abstains: float
) -> None:
    """Exactly: five items, 120 orders, a level at which only certainty stops."""
    fails, codes = matrix(5, [0.2, 0.3, 0.5], seed=3, abstains=abstains)
    values = METRICS[metric](tables(fails, codes))
    winner = int(np.nanargmax(values))
    assert values[winner] > 0
    sums = np.zeros((5, 3))
    for order in permutations(range(5)):
        of = np.array(order)
        found = Race(fails[of], 3, metric=metric, alpha=1e-9)
        for t, position in enumerate(order):
            found.step(codes[:, position])
            sums[t] += np.minimum(found.evidence, 1e9)
    means = sums / 120
    assert (means[:, winner] <= 1 + 1e-9).all()
    assert (means[-1, values < values[winner] - 1e-9] > 1).all()


def lost(counts: list[int], metric: str, runs: int, copies: int = 1) -> int:
    """In how many orders of such a matrix the winner is stopped, at alpha 0.2."""
    rng, stopped = np.random.default_rng(7), 0
    for _ in range(runs):
        fails, codes = mistakes(40 // copies, counts, rng)
        fails, codes = np.repeat(fails, copies), np.repeat(codes, copies, axis=1)
        order = rng.permutation(len(fails))
        winner = int(METRICS[metric](tables(fails, codes)).argmax())
        found = race(fails[order], codes[:, order], metric=metric, alpha=0.2)
        stopped += int(found.at[winner] >= 0)
    return stopped


def by_chance(runs: int, alpha: float = 0.2) -> float:
    return alpha * runs + 2 * math.sqrt(alpha * (1 - alpha) * runs)


CLOSE, MANY = [10, 11], [10] * 12  # rivals as good, or one item worse: the worst case


@pytest.mark.parametrize(("counts", "metric"), [(CLOSE, "agreement"), (MANY, "kappa")])
def test_the_winner_is_stopped_no_oftener_than_alpha(counts: list[int], metric: str) -> None:
    assert lost(counts, metric, 60) <= by_chance(60)


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["agreement", "kappa", "balanced_accuracy", "f1_fail"])
@pytest.mark.parametrize("counts", [CLOSE, MANY])
def test_the_winner_is_stopped_no_oftener_than_alpha_in_many_runs(
    counts: list[int], metric: str
) -> None:
    assert lost(counts, metric, 200) <= by_chance(200)


def test_groups_in_the_items_change_nothing() -> None:
    """Five copies of each item, the order drawn over the copies: the claim is about these items."""
    assert lost([2, 2], "agreement", 40, copies=5) <= by_chance(40)


@pytest.mark.parametrize("alike", [0.0, 0.8])
def test_fifty_equal_variants_keep_a_winner(alike: float) -> None:
    rng, gone, runs = np.random.default_rng(5), 0, 20
    for _ in range(runs):
        shared, own = rng.random(60) < 0.15, rng.random((50, 60)) < 0.15
        wrong = np.where(rng.random((50, 60)) < alike, shared, own)
        fails = rng.random(60) < 0.3
        found = race(fails, (fails ^ wrong).astype(np.int64), metric="agreement")
        winners = wrong.sum(axis=1) == wrong.sum(axis=1).min()
        gone += not (winners & found.alive).any()
    assert gone <= 1


def test_certainty_alone_stops_who_cannot_win_and_no_one_sooner() -> None:
    fails, codes = matrix(40, np.linspace(0.1, 0.6, 6), seed=2)
    wrong = (codes != fails).cumsum(axis=1)
    found = race(fails, codes, metric="agreement", alpha=1e-300)
    for k in range(6):
        ahead = wrong[k] - wrong.min(axis=0) > 39 - np.arange(40)
        first = int(ahead.argmax()) + 1 if ahead.any() else -1
        assert found.at[k] == first
        assert math.isinf(found.evidence[k]) == (first > 0)
    totals = wrong[:, -1]
    assert (found.alive == (totals == totals.min())).all()


def test_a_hopeless_variant_is_stopped_within_few_items() -> None:
    fails, codes = matrix(150, [0.05, 0.1, 0.9], seed=1)
    found = race(fails, codes)
    assert 0 < found.at[2] <= 12
    assert found.alive[0]


def test_the_order_of_the_variants_and_of_the_calls_changes_nothing() -> None:
    fails, codes = matrix(70, np.linspace(0.05, 0.5, 9), seed=6, abstains=0.03)
    one = race(fails, codes)
    order = np.random.default_rng(1).permutation(9)
    two = race(fails, codes[order])
    assert two.at.tolist() == one.at[order].tolist()
    assert two.evidence.tolist() == pytest.approx(one.evidence[order].tolist(), rel=1e-9)

    three, calls = Race(fails, 9), [(k, i) for k in range(9) for i in range(70)]
    stopped: list[int] = []
    for call in np.random.default_rng(2).permutation(len(calls)):
        k, i = calls[call]
        stopped += three.tell(k, i, int(codes[k, i]))
    assert three.at.tolist() == one.at.tolist()
    assert three.evidence.tolist() == one.evidence.tolist()
    assert sorted(stopped) == np.flatnonzero(~one.alive).tolist()
    assert three.seen == 70


def test_an_item_counts_once_all_alive_have_answered_it() -> None:
    found = Race([True, False, True], 2)
    assert (found.tell(0, 0, 1), found.seen) == ([], 0)
    assert (found.tell(0, 2, 1), found.tell(1, 1, 0), found.seen) == ([], [], 0)
    assert (found.tell(1, 0, 1), found.seen) == ([], 1)
    assert (found.tell(0, 1, 0), found.seen) == ([], 2)


def test_nobody_is_stopped_for_being_worse_than_one_below_the_floor() -> None:
    """Always pass has the best agreement at 10 % fails, and finds none of them."""
    rng = np.random.default_rng(0)
    fails = np.arange(200) % 10 == 0
    able = (fails ^ (rng.random((3, 200)) < 0.3)).astype(np.int64)
    codes = np.vstack([np.zeros((1, 200), np.int64), able])
    assert race(fails, codes, metric="agreement").alive.tolist() == [True, False, False, False]
    floors = {"recall_fail": 0.5}
    found = race(fails, codes, metric="agreement", floors=floors)
    assert found.alive[1:].any()
    assert found.leader != 0


@pytest.mark.parametrize("metric", ["agreement", "kappa", "precision_fail", "mcc", "gwet_ac1"])
def test_the_edges(metric: str) -> None:
    fails = np.arange(30) % 3 == 0
    none = np.full((4, 30), -1)
    same = race(fails, none, metric=metric)
    assert (same.alive.all(), same.seen) == (True, 30)
    assert race(fails, none[:1], metric=metric).alive.all()
    assert Race([], 3, metric=metric).leader == 0
    constant = np.array([[0] * 30, [1] * 30, fails], np.int64)
    found = race(fails, constant, metric=metric)
    assert (found.leader, found.alive[2]) == (2, True)
    for one_class in (np.ones(30, bool), np.zeros(30, bool)):
        codes = np.array([one_class, ~one_class, one_class], np.int64)
        kept = race(one_class, codes, metric=metric).alive
        assert kept[[0, 2]].all()
        assert metric != "agreement" or not kept[1]


def test_what_is_not_a_race_is_refused() -> None:
    with pytest.raises(ConfigError, match="not a metric"):
        Race([True], 1, metric="accuracy")
    with pytest.raises(ConfigError, match="not a metric"):
        Race([True], 1, floors={"recall": 0.5})
    with pytest.raises(ValueError, match="shape"):
        Race([[True]], 1)
    with pytest.raises(ValueError, match="at least one"):
        Race([True], 0)
    with pytest.raises(ValueError, match="alpha"):
        Race([True], 1, alpha=0.0)
    found = Race([True], 1)
    for wrong, said in (((0, 0, 2), "abstained"), ((1, 0, 0), "variant 1"), ((0, 1, 0), "1 items")):
        with pytest.raises(ValueError, match=said):
            found.tell(*wrong)
    for codes in ([1, 0], [3]):
        with pytest.raises(ValueError, match=r"verdict|judge"):
            found.step(codes)
    found.step([1])
    with pytest.raises(ValueError, match="item 1 of 1"):
        found.step([1])
