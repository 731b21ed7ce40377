"""Sampling weights: estimates against scikit-learn, variances against statsmodels."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from metric_tables import items, random_tables
from scipy import stats
from sklearn import metrics as sk
from statsmodels.stats.proportion import proportion_confint

from judgelab.metrics.agreement import METRICS, PROPORTIONS
from judgelab.metrics.intervals import clustered_wilson, weighted_wilson
from judgelab.metrics.policies import POLICIES
from judgelab.metrics.scorecard import Scorecard, baselines, scorecard

EXPERT, JUDGE = items([30, 10, 12, 80, 3, 4])
RNG = np.random.default_rng(0)
WEIGHTS = np.where(EXPERT, 1.0, 4.0) * RNG.choice([1, 1.5, 2.5], len(EXPERT))
GROUPS = [f"user {i}" for i in RNG.integers(0, 30, len(EXPERT))]
HITS = {
    "agreement": (JUDGE == EXPERT, np.ones(len(EXPERT), bool)),
    "recall_fail": (JUDGE == 1, EXPERT),
    "recall_pass": (JUDGE == 0, ~EXPERT),
    "precision_fail": (EXPERT, JUDGE == 1),
    "precision_pass": (~EXPERT, JUDGE == 0),
}


def text(card: Scorecard) -> str:
    return json.dumps(card.to_json("mine"), allow_nan=False)


def test_estimates_equal_sklearn_with_sample_weights() -> None:
    rng = np.random.default_rng(4)
    for table in random_tables(60, abstentions=True, seed=11):
        expert, judge = items(table)
        weights = rng.choice([0.5, 1, 3, 7.25], len(expert))
        found = scorecard(expert, judge, weights=weights, draws=20).metrics
        args: tuple[Any, ...] = (expert * 1, judge)
        rates = sk.precision_recall_fscore_support(
            *args, labels=[1, 0], sample_weight=weights, zero_division=np.nan
        )
        expected = {
            f"{name}_{side}": rates[row][column]
            for row, name in enumerate(("precision", "recall", "f1"))
            for column, side in enumerate(("fail", "pass"))
        }
        expected["agreement"] = sk.accuracy_score(*args, sample_weight=weights)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            kappa = sk.cohen_kappa_score(*args, labels=[1, 0, -1], sample_weight=weights)
            correlation = sk.matthews_corrcoef(*args, sample_weight=weights)
        expected["kappa"] = kappa
        for name, value in expected.items():
            if np.isnan(value):
                assert found[name].value is None
            else:
                assert found[name].value == pytest.approx(value, abs=1e-9), name
        if found["mcc"].value is not None:
            assert found["mcc"].value == pytest.approx(correlation, abs=1e-9)


def test_precision_of_a_balanced_test_at_five_percent_fails() -> None:
    """Recalls of .9 are precision .9 on half fails, and .32 where 1 in 20 fails."""
    expert, judge = items([90, 10, 10, 90])
    assert scorecard(expert, judge).metrics["precision_fail"].value == 0.9
    card = scorecard(expert, judge, weights=np.where(expert, 0.05, 0.95))
    found = card.metrics
    assert found["precision_fail"].value == pytest.approx(0.045 / 0.14)
    assert found["recall_fail"].value == pytest.approx(0.9)
    assert card.prevalence_fail == pytest.approx(0.05)
    # Within a class the weights are equal: its recall is worth all of its items.
    assert found["recall_fail"].interval.n_eff == pytest.approx(100)
    assert found["precision_fail"].interval.n_eff < 100


@pytest.mark.parametrize("name", HITS)
@pytest.mark.parametrize("clustered", [False, True])
def test_variances_equal_statsmodels(name: str, clustered: bool) -> None:
    """A weighted regression on an intercept, HC0 and clustered; Wilson at the least of their worth.

    To the squared residuals of HC0 comes half a heavy item more.
    """
    hit, among = HITS[name]
    outcome, weights = hit[among] * 1.0, WEIGHTS[among]
    groups = np.unique(np.array(GROUPS)[among], return_inverse=True)[1]
    model = sm.WLS(outcome, np.ones_like(outcome), weights=weights)
    fit = model.fit(cov_type="HC0")
    p, total, most = float(fit.params[0]), weights.sum(), WEIGHTS.max()
    spread = (float(fit.bse[0]) * total) ** 2 + most**2 / 2
    n_eff = min(total * (total * p * (1 - p) + most / 2) / spread, total**2 / (weights**2).sum())
    quantile = stats.norm.ppf(0.975)
    if clustered:
        fit = model.fit(cov_type="cluster", cov_kwds={"groups": groups, "use_correction": True})
        n_eff = min(n_eff, p * (1 - p) / float(fit.bse[0]) ** 2)
        quantile = stats.t.ppf(0.975, groups.max())
    card = scorecard(EXPERT, JUDGE, weights=WEIGHTS, groups=GROUPS if clustered else None)
    found = card.metrics[name]
    assert found.value == pytest.approx(p)
    assert found.interval.n_eff == pytest.approx(n_eff)
    alpha = 2 * stats.norm.sf(quantile)
    lo, hi = proportion_confint(p * n_eff, n_eff, alpha=alpha, method="wilson")
    assert (found.interval.lo, found.interval.hi) == pytest.approx((lo, hi))
    assert found.interval.method == "wilson_weighted" + "_clustered" * clustered
    assert found.interval.n == among.sum()


@pytest.mark.parametrize("clustered", [False, True])
def test_the_bootstrap_equals_drawing_how_often_each_item_counts(clustered: bool) -> None:
    rng = np.random.default_rng(2)
    groups = np.unique(GROUPS, return_inverse=True)[1] if clustered else np.arange(len(EXPERT))
    cells = 2 * EXPERT + (JUDGE == 1)
    each = np.zeros((groups.max() + 1, 6))
    column = np.where(JUDGE == -1, np.where(EXPERT, 4, 5), np.array([3, 2, 1, 0])[cells])
    np.add.at(each, (groups, column), WEIGHTS)
    tables = rng.exponential(size=(20_000, len(each))) @ each
    tables[:, :4] += WEIGHTS.max() * rng.gamma(0.5, size=(20_000, 4))
    kappas = METRICS["kappa"](tables)
    tail = stats.norm.sf(1.96)
    if clustered:
        groups_there = len(each)
        widened = stats.t.ppf(0.975, groups_there - 1) * (1 - 1 / groups_there) ** -0.5
        tail = stats.norm.sf(widened)
    card = scorecard(EXPERT, JUDGE, weights=WEIGHTS, groups=GROUPS if clustered else None)
    found = card.metrics["kappa"].interval
    expected = tuple(np.quantile(kappas, [tail, 1 - tail]))
    assert (found.lo, found.hi) == pytest.approx(expected, abs=0.015)
    assert (found.n, found.clusters) == (139, len(each) if clustered else None)
    assert found.method == "bayesian_weighted" + "_clustered" * clustered


@pytest.mark.parametrize("groups", [None, GROUPS], ids=["items", "clusters"])
@pytest.mark.parametrize("policy", POLICIES)
def test_equal_weights_are_no_weights(groups: list[str] | None, policy: str) -> None:
    plain = scorecard(EXPERT, JUDGE, groups=groups, policy=policy, draws=300)
    alike = scorecard(
        EXPERT, JUDGE, groups=groups, policy=policy, draws=300, weights=[2.5] * len(EXPERT)
    )
    assert text(alike) == text(plain)
    assert "weights" not in plain.to_json("x")


@pytest.mark.parametrize("groups", [None, GROUPS], ids=["items", "clusters"])
def test_row_order_and_a_common_factor_change_nothing(groups: list[str] | None) -> None:
    order = np.random.default_rng(5).permutation(len(EXPERT))
    moved = None if groups is None else [groups[i] for i in order]
    first = scorecard(EXPERT, JUDGE, groups=groups, weights=WEIGHTS, seed=9)
    again = scorecard(EXPERT[order], JUDGE[order], groups=moved, weights=WEIGHTS[order], seed=9)
    assert text(first) == text(again)
    halved = scorecard(EXPERT, JUDGE, groups=groups, weights=WEIGHTS / 2, seed=9)
    assert text(halved) == text(first)


def test_nearly_equal_weights_give_nearly_the_plain_card() -> None:
    nearly = 1 + 1e-9 * np.arange(len(EXPERT))
    for groups in (None, GROUPS):
        plain = scorecard(EXPERT, JUDGE, groups=groups).metrics
        found = scorecard(EXPERT, JUDGE, groups=groups, weights=nearly).metrics
        for name in PROPORTIONS:
            for key in ("lo", "hi"):
                ours, theirs = (getattr(m[name].interval, key) for m in (found, plain))
                assert ours == pytest.approx(theirs, abs=1e-6)


def test_counts_stay_counts_and_the_weights_are_summed_up() -> None:
    card = scorecard(EXPERT, JUDGE, weights=WEIGHTS).to_json("mine")
    assert list(card["confusion"].values()) == [30, 10, 12, 80, 3, 4]
    assert (card["n"], card["coverage"]) == (139, 132 / 139)
    assert card["prevalence_fail"] == pytest.approx(WEIGHTS[EXPERT].sum() / WEIGHTS.sum())
    kish = WEIGHTS.sum() ** 2 / (WEIGHTS**2).sum()
    assert card["weights"] == {
        "n_eff": pytest.approx(kish),
        "min": pytest.approx(1 / WEIGHTS.mean()),
        "max": pytest.approx(10 / WEIGHTS.mean()),
    }


@pytest.mark.parametrize("policy", POLICIES)
def test_any_weighted_table_is_strict_json_with_a_reason_for_each_gap(policy: str) -> None:
    rng = np.random.default_rng(8)
    tables = [*random_tables(25, abstentions=True), *(random_tables(40, abstentions=True) > 0) * 1]
    for index, table in enumerate(tables):
        expert, judge = items(table)
        groups = [i // 3 for i in range(len(expert))] if index % 2 else None
        weights = rng.choice([0.1, 1, 30], len(expert))
        card = scorecard(expert, judge, policy=policy, groups=groups, weights=weights, draws=100)
        for name, metric in json.loads(text(card))["metrics"].items():
            missing = [key for key in ("value", "lo", "hi") if metric[key] is None]
            assert bool(missing) == ("reason" in metric), (name, metric)
            if not missing and name in PROPORTIONS:
                assert 0 <= metric["lo"] <= metric["value"] <= metric["hi"] <= 1
                assert metric.get("n_eff", 1) <= metric["n"] + 1e-9


def test_light_mistakes_do_not_make_heavy_items_certain() -> None:
    """50 heavy items without a mistake prove no more than 50 items can."""
    expert = np.ones(100, bool)
    judge = np.r_[np.zeros(5, int), np.ones(95, int)]
    weights = np.r_[np.ones(50), np.full(50, 20.0)]
    found = scorecard(expert, judge, weights=weights).metrics["recall_fail"].interval
    assert found.lo is not None
    assert found.lo < clustered_wilson([1] * 50, [1] * 50).lo + 0.01  # type: ignore[operator]


def test_without_mistakes_clusters_count_as_wholly_alike() -> None:
    found = weighted_wilson(
        [6.0, 2.0], [6.0, 2.0], [10, 10], n=40, squares=(200.0, 0.0), heaviest=3.0, clustered=True
    )
    assert found.n_eff == pytest.approx(80**2 / (10 * 36 + 10 * 4))
    assert (found.hi, found.clusters) == (1.0, 20)


@pytest.mark.parametrize(
    ("table", "drawn", "name", "n_eff"),
    [
        # No false alarm is there, and it would weigh 4: 30 alarms of weight 1 are worth 30 / 4.
        ([30, 10, 0, 60, 0, 0], "label", "precision_fail", 30 / 4),
        ([30, 0, 10, 60, 0, 0], "verdict", "recall_fail", 30 / 4),
        # The other class shows that right and wrong weigh alike: nothing heavier may be missing.
        ([30, 0, 10, 60, 0, 0], "label", "recall_fail", 30),
        ([30, 10, 0, 60, 0, 0], "verdict", "precision_fail", 30),
        # Without a mistake anywhere it cannot be known by what the items were drawn.
        ([30, 0, 0, 60, 0, 0], "label", "recall_fail", 30 / 4),
        ([30, 0, 0, 60, 0, 0], "label", "recall_pass", 60),
        ([30, 0, 0, 60, 0, 0], "label", "agreement", 270 / 4),
    ],
)
def test_a_share_of_1_is_worth_as_many_of_the_heaviest_that_may_be_missing(
    table: list[int], drawn: str, name: str, n_eff: float
) -> None:
    expert, judge = items(table)
    weights = np.where(expert if drawn == "label" else judge == 1, 1.0, 4.0)
    found = scorecard(expert, judge, weights=weights, draws=20).metrics[name]
    assert found.value == 1
    assert found.interval.n_eff == pytest.approx(n_eff)


def test_one_light_mistake_does_not_make_a_share_surer_than_none() -> None:
    """20 light items, 40 of weight 10: a light mistake does not show what the heavy ones hide."""
    expert, weights = np.ones(60, bool), np.repeat([1.0, 10.0], [20, 40])
    none, one = (
        scorecard(expert, np.r_[np.zeros(wrong, int), np.ones(60 - wrong, int)], weights=weights)
        for wrong in (0, 1)
    )
    low = [card.metrics["recall_fail"].interval.lo for card in (none, one)]
    assert low[1] < low[0]  # type: ignore[operator]
    assert low[1] == pytest.approx(low[0], abs=0.01)


def test_balanced_accuracy_of_weighted_items_is_of_the_two_recalls() -> None:
    card = scorecard(EXPERT, JUDGE, weights=WEIGHTS).metrics
    found = card["balanced_accuracy"]
    recalls = [card[name] for name in ("recall_fail", "recall_pass")]
    below = np.hypot(*(one.value - one.interval.lo for one in recalls)) / 2  # type: ignore
    assert found.interval.method == "mover_wilson_weighted"
    assert found.interval.lo == pytest.approx(found.value - below)  # type: ignore[operator]
    clustered = scorecard(EXPERT, JUDGE, weights=WEIGHTS, groups=GROUPS, draws=50).metrics
    assert clustered["balanced_accuracy"].interval.method == "bayesian_weighted_clustered"


def test_without_mistakes_heavy_items_may_still_hide_some() -> None:
    """Resampling the items alone would say that kappa is 1 for certain."""
    expert, judge = items([20, 0, 0, 40, 0, 0])
    weights = np.where(np.arange(60) % 3 == 0, 5.0, 1.0)
    found = scorecard(expert, judge, weights=weights).metrics["kappa"]
    heavier = scorecard(expert, judge, weights=weights**2).metrics["kappa"].interval
    assert (found.value, found.interval.hi) == (1.0, 1.0)
    assert 0.5 < found.interval.lo < 0.95  # type: ignore[operator]
    assert heavier.lo < found.interval.lo  # type: ignore[operator]


@pytest.mark.parametrize(
    "weights", [[1.0], [0, *WEIGHTS[1:]], [-1, *WEIGHTS[1:]], WEIGHTS * np.inf]
)
def test_weights_at_the_door(weights: Any) -> None:
    with pytest.raises(ValueError, match="positive and finite"):
        scorecard(EXPERT, JUDGE, weights=weights)


def test_nobody_and_one_group() -> None:
    assert scorecard([], [], weights=[]).metrics["kappa"].reason == "no_items"
    card = scorecard(EXPERT, JUDGE, weights=WEIGHTS, groups=["a"] * len(EXPERT))
    assert {m.interval.reason for m in card.metrics.values()} >= {"one_cluster"}
    json.loads(text(card))


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_baselines_are_the_cards_of_constant_judges(weights: Any) -> None:
    found = baselines(scorecard(EXPERT, JUDGE, weights=weights))
    for judge, verdict in (("always_pass", 0), ("always_fail", 1)):
        card = scorecard(EXPERT, np.full(len(EXPERT), verdict), weights=weights, draws=20)
        defined = {name: m.value for name, m in card.metrics.items() if m.value is not None}
        assert found[judge] == {name: pytest.approx(value) for name, value in defined.items()}
    assert found["always_pass"]["kappa"] == found["always_fail"]["kappa"] == 0
    assert "precision_fail" not in found["always_pass"]


@pytest.mark.slow
@pytest.mark.parametrize("prevalence", [0.05, 0.2])
def test_simulated_coverage_of_label_stratified_samples(prevalence: float) -> None:
    """100 fails and 100 passes, drawn by label; the population fails in `prevalence`."""
    rng = np.random.default_rng(3)
    expert = np.repeat([True, False], 100)
    weights = np.where(expert, prevalence, 1 - prevalence)
    shares = np.array([0.85, 0.15, 0.08, 0.92, 0, 0])
    truth = shares * ([prevalence] * 2 + [1 - prevalence] * 4)
    covered: dict[str, list[bool]] = {name: [] for name in ("agreement", "precision_fail", "kappa")}
    for _ in range(500):
        judge = np.where(expert, rng.random(200) < 0.85, rng.random(200) < 0.08).astype(np.int8)
        card = scorecard(expert, judge, weights=weights, draws=1000)
        for name, hits in covered.items():
            found, value = card.metrics[name].interval, float(METRICS[name](truth))
            hits.append(found.lo is not None and found.lo <= value <= found.hi)  # type: ignore
    for name, hits in covered.items():
        assert 0.93 <= np.mean(hits) <= 0.995, (name, np.mean(hits))


@pytest.mark.parametrize("scale", [2.0**-900, 2.0**900])
def test_only_the_ratios_of_weights_count_however_large_they_are(scale: float) -> None:
    plain, scaled = (
        scorecard(EXPERT, JUDGE, weights=weights, groups=GROUPS, draws=50)
        for weights in (WEIGHTS, WEIGHTS * scale)
    )
    assert text(scaled) == text(plain)
