"""Two judges on the same items: counts, differences, and what must not depend on anything."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import (
    balanced_accuracy_score,
    cohen_kappa_score,
    f1_score,
    matthews_corrcoef,
)

from judgelab.errors import ConfigError
from judgelab.metrics.agreement import METRICS, estimate
from judgelab.metrics.confusion import Confusion
from judgelab.metrics.discordant import bonett_price, clustered_bonett_price, mcnemar, sign_flip
from judgelab.metrics.paired import Paired, compare, flips, non_inferior
from judgelab.metrics.policies import POLICIES
from judgelab.metrics.power import detectable
from judgelab.metrics.scorecard import Metric

Bools, Codes = NDArray[np.bool_], NDArray[np.int64]
KEYS = [
    *("n", "policy", "a_only", "b_only", "both", "neither", "mcnemar_exact", "mcnemar_midp"),
    *("p", "p_method", "difference", "kappa_difference", "recall_fail_difference"),
    *("recall_pass_difference", "f1_fail_difference", "balanced_accuracy_difference"),
    *("mcc_difference", "recall_fail_p", "recall_pass_p", "detectable", "clusters", "observed"),
]


def data(
    n: int, seed: int = 0, abstain: float = 0.05, errors: tuple[float, float] = (0.15, 0.25)
) -> tuple[Bools, Codes, Codes]:
    rng = np.random.default_rng(seed)
    expert = rng.random(n) < 0.35
    a, b = (
        np.where(rng.random(n) < abstain, -1, expert ^ (rng.random(n) < error)) for error in errors
    )
    return expert, a.astype(np.int64), b.astype(np.int64)


def groups_of(n: int, count: int = 30) -> list[str]:
    return [f"user {k}" for k in np.random.default_rng(9).integers(0, count, n)]


def limits(metric: Metric) -> tuple[float, float]:
    assert metric.interval.lo is not None
    assert metric.interval.hi is not None
    return metric.interval.lo, metric.interval.hi


def text(found: Paired) -> str:
    return json.dumps(found.to_json(), allow_nan=False)


def recoded(judge: Codes, policy: str) -> Codes:
    return np.where(judge < 0, {"as_fail": 1, "as_pass": 0}.get(policy, -1), judge)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", range(40))
def test_counts_item_by_item(policy: str, seed: int) -> None:
    expert, a, b = data(int(np.random.default_rng(seed).integers(1, 60)), seed, abstain=0.2)
    kept = (a >= 0) & (b >= 0) if policy == "exclude" else np.ones(len(a), bool)
    right = [(recoded(judge, policy) == expert)[kept] for judge in (a, b)]
    found = compare(expert, a, b, policy=policy, draws=50)
    expected = [int((first & second).sum()) for first, second in ((right[0], ~right[1]),)]
    expected += [int((~right[0] & right[1]).sum()), int((right[0] & right[1]).sum())]
    assert [found.a_only, found.b_only, found.both] == expected
    assert found.neither == kept.sum() - sum(expected)
    assert found.n == kept.sum()
    assert found.n_excluded == ((~kept).sum() if policy == "exclude" else None)
    test = mcnemar(found.a_only, found.b_only)
    assert (found.mcnemar_exact, found.mcnemar_midp, found.p) == (test.exact, test.midp, test.midp)
    text(found)


@pytest.mark.parametrize("policy", POLICIES)
def test_differences_are_those_of_the_scorecards(policy: str) -> None:
    expert, a, b = data(200, abstain=0.1)
    found = compare(expert, a, b, policy=policy, draws=50)
    kept = (a >= 0) & (b >= 0) if policy == "exclude" else np.ones(len(a), bool)
    judges = [Confusion.from_arrays(expert[kept], judge[kept]) for judge in (a, b)]
    for name, metric in found.differences.items():
        first, second = (estimate(name, judge, policy).value for judge in judges)
        assert first is not None
        assert second is not None
        assert metric.value == pytest.approx(first - second)


def test_differences_equal_scikit_learn() -> None:
    expert, a, b = data(300, abstain=0)
    found = compare(expert, a, b, draws=50).differences
    scores = {
        "kappa": cohen_kappa_score,
        "f1_fail": f1_score,
        "balanced_accuracy": balanced_accuracy_score,
        "mcc": matthews_corrcoef,
    }
    for name, score in scores.items():
        expected = score(expert.astype(int), a) - score(expert.astype(int), b)
        assert found[name].value == pytest.approx(expected)


def test_the_json_of_the_design() -> None:
    expert, a, b = data(200)
    found = compare(expert, a, b)
    shown = found.to_json()
    assert list(shown) == KEYS
    assert list(compare(expert, a, b, policy="exclude", draws=50).to_json()) == [
        "n",
        "n_excluded",
        *KEYS[1:],
    ]
    assert set(shown["difference"]) == {"value", "lo", "hi", "method", "level", "n"}
    assert shown["difference"]["value"] == (found.a_only - found.b_only) / 200
    assert shown["kappa_difference"]["method"] == "bca"
    assert shown["kappa_difference"]["percentile"] is not None
    assert (shown["p"], shown["p_method"]) == (found.mcnemar_midp, "mcnemar_midp")
    share = (found.a_only + found.b_only) / 200
    assert shown["detectable"] == detectable(200, share)
    assert shown["observed"] == []


def test_recalls_are_compared_within_their_class() -> None:
    expert, a, b = data(150)
    found = compare(expert, a, b, draws=50)
    for name, one in (("recall_fail", True), ("recall_pass", False)):
        of = expert == one
        gained = int(((a == one) & (b != one))[of].sum())
        lost = int(((a != one) & (b == one))[of].sum())
        expected = bonett_price(gained, lost, int(of.sum()))
        assert found.differences[name].interval == expected
        assert found.recall_p[name] == mcnemar(gained, lost).midp


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("errors", [(0.15, 0.25), (0.02, 0.05)])
def test_exchanging_the_judges_negates_differences(
    grouped: bool, errors: tuple[float, float]
) -> None:
    expert, a, b = data(160, errors=errors)
    groups = groups_of(160) if grouped else None
    one, two = (
        compare(expert, first, second, groups=groups, draws=500)
        for first, second in ((a, b), (b, a))
    )
    assert (one.a_only, one.b_only) == (two.b_only, two.a_only)
    assert (one.p, one.mcnemar_exact, one.recall_p) == (two.p, two.mcnemar_exact, two.recall_p)
    assert one.detectable == two.detectable
    for name, metric in one.differences.items():
        other = two.differences[name]
        assert metric.value == pytest.approx(-(other.value or 0.0), abs=1e-12)
        lo, hi = limits(other)
        assert limits(metric) == pytest.approx((-hi, -lo), abs=1e-9)


def test_judges_who_mirror_each_other_have_mirrored_limits() -> None:
    expert = np.array([True, False] * 40)
    a, b = expert.astype(int), expert.astype(int)
    a[:20], b[20:40] = 1 - a[:20], 1 - b[20:40]
    found = compare(expert, a, b).differences["kappa"]
    lo, hi = limits(found)
    assert found.value == 0.0
    assert lo == -hi
    assert found.interval.method == "bca"


@pytest.mark.parametrize("grouped", [False, True])
def test_order_and_names_change_no_digit(grouped: bool) -> None:
    expert, a, b = data(160)
    groups = groups_of(160) if grouped else None
    order = np.random.default_rng(4).permutation(160)
    renamed = None if groups is None else [hash(groups[k]) for k in order]
    other = compare(expert[order], a[order], b[order], groups=renamed, draws=500)
    assert text(other) == text(compare(expert, a, b, groups=groups, draws=500))


def test_the_bootstrap_keeps_the_judges_paired() -> None:
    """Against a resampling of the items themselves."""
    expert, a, b = data(250, abstain=0)
    rng = np.random.default_rng(1)
    values = []
    for _ in range(3000):
        k = rng.integers(0, 250, 250)
        first, second = (
            METRICS["kappa"](Confusion.from_arrays(expert[k], judge[k]).table) for judge in (a, b)
        )
        values.append(first - second)
    found = compare(expert, a, b).differences["kappa"].interval
    assert found.percentile == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=0.015)


def test_where_groups_repeat_everything_is_clustered() -> None:
    expert, a, b = data(200)
    codes = np.random.default_rng(9).integers(0, 40, 200)
    found = compare(expert, a, b, groups=codes.tolist(), draws=500)
    gains, losses = (
        np.bincount(codes, hit)
        for hit in ((a == expert) & (b != expert), (b == expert) & (a != expert))
    )
    expected = clustered_bonett_price(gains, losses, np.bincount(codes))
    assert limits(found.difference) == (expected.lo, expected.hi)
    assert found.difference.interval.n_eff == pytest.approx(expected.n_eff)
    assert found.p == sign_flip((gains - losses).astype(int)).midp
    assert (found.p_method, found.clusters) == ("sign_flip_clustered", 40)
    assert found.differences["kappa"].interval.method in (
        "bca_clustered",
        "wald_adjusted_clustered",
    )
    assert expected.n_eff is not None
    share = (found.a_only + found.b_only) / 200
    assert found.detectable == detectable(int(expected.n_eff), share)
    alone = compare(expert, a, b, groups=[None] * 200, draws=500)
    assert alone == compare(expert, a, b, draws=500)


def test_a_repeated_data_set_is_no_more_certain_where_it_is_clustered() -> None:
    expert, a, b = data(120)
    once = compare(expert, a, b, groups=[*range(60), *range(60)], draws=500)
    twice = compare(
        *(np.tile(part, 2) for part in (expert, a, b)),
        groups=[*range(60), *range(60)] * 2,
        draws=500,
    )
    wide, same = (limits(found.difference) for found in (once, twice))
    assert same == pytest.approx(wide, abs=0.015)
    assert twice.p == pytest.approx(once.p)
    assert twice.mcnemar_midp < once.mcnemar_midp


def test_no_disagreement_is_said_and_leaves_limits() -> None:
    expert, a, _ = data(80)
    found = compare(expert, a, a)
    assert (found.p, found.mcnemar_exact, found.observed) == (1.0, 1.0, ("no_disagreement",))
    for metric in found.differences.values():
        lo, hi = limits(metric)
        assert metric.value == 0.0
        assert lo < 0 < hi
    assert found.differences["kappa"].interval.method == "wald_adjusted"
    assert found.detectable == detectable(80, 0.0)


def test_adjusted_limits_of_agreement_would_be_bonett_price() -> None:
    """The same formula, which balanced accuracy at one class size each nearly shares."""
    expert = np.array([True, False] * 50)
    a, b = expert.astype(int), expert.astype(int)
    a[:3], b[3:12] = 1 - a[:3], 1 - b[3:12]
    found = compare(expert, a, b)
    adjusted = found.differences["balanced_accuracy"]
    assert adjusted.interval.method == "wald_adjusted"
    assert limits(adjusted) == pytest.approx(limits(found.difference), abs=0.002)


def test_adjusted_kappa_by_hand() -> None:
    """Simulated: large tables with half an item more in each discordant cell."""
    expert, a, b = data(120, errors=(0.03, 0.06), abstain=0)
    found = compare(expert, a, b).differences["kappa"]
    assert found.interval.method == "wald_adjusted"
    patterns = [(e, x, y) for e in (1, 0) for x in (1, 0) for y in (1, 0)]
    counts = np.array(
        [((expert == e) & (a == x) & (b == y)).sum() + (x != y) / 2 for e, x, y in patterns]
    )
    drawn = np.random.default_rng(0).multinomial(40_000, counts / counts.sum(), size=4000) / 40_000

    def kappa(shares: NDArray[np.float64], side: int) -> NDArray[np.float64]:
        table = np.zeros((len(shares), 6))
        for k, pattern in enumerate(patterns):
            cell = {(1, 1): 0, (1, 0): 1, (0, 1): 2, (0, 0): 3}[pattern[0], pattern[side]]
            table[:, cell] += shares[:, k]
        return METRICS["kappa"](table)

    values = kappa(drawn, 1) - kappa(drawn, 2)
    spread = values.std() * np.sqrt(40_000 / counts.sum()) * stats.norm.ppf(0.975)
    centre = values.mean()
    assert limits(found) == pytest.approx((centre - spread, centre + spread), rel=0.05)


def test_undefined_is_none_with_a_reason() -> None:
    found = compare([True] * 12, [1] * 12, [1] * 6 + [0] * 6)
    assert found.differences["recall_pass"].reason == "no_expert_passes"
    assert found.differences["recall_pass"].value is None
    assert found.differences["kappa"].reason == "both_constant_and_equal"
    assert found.differences["kappa"].interval.lo is None
    assert found.differences["mcc"].value is None
    assert found.difference.value == 0.5
    text(found)


@pytest.mark.parametrize("groups", [None, ["x"] * 3])
def test_nothing_left_to_compare(groups: list[str] | None) -> None:
    found = compare([True, False, True], [-1, 0, -1], [1, -1, 0], policy="exclude", groups=groups)
    assert (found.n, found.n_excluded, found.p) == (0, 3, 1.0)
    assert found.observed == ("no_items",)
    assert {metric.value for metric in found.differences.values()} == {None}
    assert found.detectable is None
    text(found)


def test_one_cluster_has_no_limits() -> None:
    expert, a, b = data(40)
    found = compare(expert, a, b, groups=["one"] * 40)
    assert found.observed == ("one_cluster",)
    assert {metric.interval.lo for metric in found.differences.values()} == {None}
    assert {metric.interval.reason for metric in found.differences.values()} == {"one_cluster"}
    assert found.p >= 0.5
    text(found)


def test_bad_arguments_are_refused() -> None:
    expert, a, b = data(10)
    with pytest.raises(ConfigError, match="policy"):
        compare(expert, a, b, policy="skip")
    with pytest.raises(ValueError, match="aligned"):
        compare(expert, a, b[:9])
    with pytest.raises(ValueError, match="groups"):
        compare(expert, a, b, groups=["x"])
    with pytest.raises(ValueError, match="level"):
        compare(expert, a, b, level=1.0)
    with pytest.raises(ValueError, match="draws"):
        compare(expert, a, b, draws=0)


def test_the_level_reaches_every_interval_and_the_power() -> None:
    expert, a, b = data(200)
    usual, strict = (compare(expert, a, b, level=level, draws=2000) for level in (0.95, 0.99))
    for name, metric in strict.differences.items():
        assert metric.interval.level == 0.99
        inner, outer = limits(usual.differences[name]), limits(metric)
        assert outer[0] < inner[0] < inner[1] < outer[1]
    assert (strict.detectable or 0) > (usual.detectable or 1)


@pytest.mark.parametrize("metric", METRICS)
def test_non_inferiority_is_the_lower_limit(metric: str) -> None:
    expert, cheap, best = data(2000, errors=(0.16, 0.15), abstain=0)
    wide, narrow = (
        non_inferior(expert, cheap, best, metric=metric, margin=margin, draws=1000)
        for margin in (0.2, 0.001)
    )
    assert wide.difference == narrow.difference
    lo, _ = limits(wide.difference)
    assert -0.2 < lo < -0.001
    assert (wide.holds, narrow.holds) == (True, False)
    json.dumps(wide.to_json(), allow_nan=False)
    if metric in ("agreement", "kappa", "mcc", "recall_fail"):
        paired = compare(expert, cheap, best, draws=1000).differences[metric]
        assert wide.difference == paired


def test_the_same_verdicts_are_non_inferior_only_on_enough_items() -> None:
    held = [
        non_inferior(*(data(n)[k] for k in (0, 1, 1)), metric="kappa", draws=200).holds
        for n in (40, 2000)
    ]
    assert held == [False, True]


def test_without_a_limit_nothing_is_non_inferior() -> None:
    found = non_inferior([True] * 9, [1] * 9, [1] * 9, metric="kappa", draws=50)
    assert not found.holds
    assert found.difference.reason == "both_constant_and_equal"
    with pytest.raises(ConfigError, match="margin"):
        non_inferior([True], [1], [1], margin=0)
    with pytest.raises(ConfigError, match="choose one of"):
        non_inferior([True], [1], [1], metric="accuracy")


def test_flips_are_counted_verdict_by_verdict() -> None:
    a = [1, 1, 1, 0, 0, -1, 1, 0, -1]
    b = [1, 0, 0, 0, 1, 0, -1, 0, -1]
    found = flips(a, b)
    assert found.counts == {
        "fail": {"fail": 1, "pass": 2, "abstained": 1},
        "pass": {"fail": 1, "pass": 2, "abstained": 0},
        "abstained": {"fail": 0, "pass": 1, "abstained": 1},
    }
    assert (found.fail_to_pass, found.pass_to_fail, found.flipped, found.n) == (2, 1, 5, 9)
    assert found.share.value == 5 / 9
    assert found.p == mcnemar(2, 1).midp
    assert (found.mcnemar_exact, found.p_method) == (mcnemar(2, 1).exact, "mcnemar_midp")
    json.dumps(found.to_json(), allow_nan=False)


def test_flips_of_clusters() -> None:
    _, a, b = data(120)
    groups = groups_of(120)
    found = flips(a, b, groups=groups)
    lost = [
        sum((a[k] == 1) & (b[k] == 0) for k in range(120) if groups[k] == name)
        - sum((a[k] == 0) & (b[k] == 1) for k in range(120) if groups[k] == name)
        for name in set(groups)
    ]
    assert found.p == pytest.approx(sign_flip(lost).midp)
    assert found.share.interval.method == "wilson_clustered"
    assert found.clusters == len(set(groups))
    assert flips(a, b).share.interval.method == "wilson"


def test_no_flip_and_no_item() -> None:
    same = flips([1, 0, -1] * 20, [1, 0, -1] * 20)
    assert (same.p, same.flipped, same.share.value) == (1.0, 0, 0.0)
    assert (same.share.interval.hi or 0) > 0.05
    empty = flips(np.array([], int), np.array([], int))
    assert (empty.share.value, empty.share.reason) == (None, "no_items")
    with pytest.raises(ValueError, match="aligned"):
        flips([1], [1, 0])
    with pytest.raises(ValueError, match="1 = fail"):
        flips([2], [1])


@pytest.mark.slow
@pytest.mark.parametrize("n", [50, 100, 200])
@pytest.mark.parametrize("wrong", [(0.15, 0.15), (0.02, 0.05), (0.0, 0.1)])
def test_limits_hold_the_difference(n: int, wrong: tuple[float, float]) -> None:
    """95 % limits of every difference; errors that both share besides those of one alone."""
    shared, prevalence, runs = 0.08, 0.35, 300

    def table(alone: float) -> NDArray[np.float64]:
        error = 1 - (1 - shared) * (1 - alone)
        cells = [prevalence * (1 - error), prevalence * error]
        cells += [(1 - prevalence) * error, (1 - prevalence) * (1 - error)]
        return np.array([*cells, 0, 0])

    held: dict[str, int] = {}
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        expert, both = rng.random(n) < prevalence, rng.random(n) < shared
        a, b = ((expert ^ (both | (rng.random(n) < one))).astype(int) for one in wrong)
        for name, metric in compare(expert, a, b, draws=1000).differences.items():
            truth = float(METRICS[name](table(wrong[0])) - METRICS[name](table(wrong[1])))
            lo, hi = limits(metric)
            held[name] = held.get(name, 0) + (lo - 1e-12 <= truth <= hi + 1e-12)
    assert min(held.values()) / runs >= 0.92
