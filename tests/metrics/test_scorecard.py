"""The scorecard: what is put together, and the JSON it is printed as."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from metric_tables import items, random_tables

from judgelab.errors import ConfigError
from judgelab.metrics.agreement import METRICS, PROPORTIONS, estimates
from judgelab.metrics.bootstrap import bootstrap_interval, resample_clusters, resample_items
from judgelab.metrics.confusion import Confusion, group_tables
from judgelab.metrics.intervals import clustered_wilson, wilson
from judgelab.metrics.policies import POLICIES
from judgelab.metrics.scorecard import Scorecard, scorecard

OPEN_QA = Path(__file__).parents[3] / "shared" / "data" / "open-qa-answers"
NAMES = [
    "agreement",
    "precision_fail",
    "recall_fail",
    "f1_fail",
    "precision_pass",
    "recall_pass",
    "f1_pass",
    "balanced_accuracy",
    "kappa",
    "mcc",
    "gwet_ac1",
]
TABLE = [30, 10, 12, 80, 3, 4]
EXPERT, JUDGE = items(TABLE)
GROUPS = [f"user {i}" for i in np.random.default_rng(0).integers(0, 30, len(EXPERT))]


def text(card: Scorecard) -> str:
    return json.dumps(card.to_json("mine"), allow_nan=False)


def test_the_json_of_the_design() -> None:
    card = scorecard(EXPERT, JUDGE, seed=3).to_json("mine")
    assert list(card["metrics"]) == NAMES
    assert card["judge"] == "mine"
    assert (card["n"], card["positive"], card["policy"]) == (139, "fail", "error")
    assert card["coverage"] == pytest.approx(132 / 139)
    assert card["confusion"] == dict(
        zip(["tp", "fn", "fp", "tn", "abstained_fail", "abstained_pass"], TABLE, strict=True)
    )
    assert card["prevalence_fail"] == pytest.approx(43 / 139)
    assert card["reliability"] is None
    assert "n_excluded" not in card
    six = {"value", "lo", "hi", "method", "level", "n"}
    assert set(card["metrics"]["recall_fail"]) == six
    assert set(card["metrics"]["kappa"]) == six | {"seed", "B", "percentile", "undefined_share"}
    assert (card["metrics"]["kappa"]["seed"], card["metrics"]["kappa"]["B"]) == (3, 10_000)
    assert (
        card["metrics"]["gwet_ac1"] | {"value": None, "reason": "abstentions"}
        == (card["metrics"]["gwet_ac1"])
    )


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("groups", [None, GROUPS], ids=["items", "clusters"])
def test_values_and_intervals_are_those_of_the_parts(policy: str, groups: list[str] | None) -> None:
    card = scorecard(EXPERT, JUDGE, groups=groups, policy=policy, level=0.9, seed=1, draws=500)
    recoded = {  # by hand: tp, fn, fp, tn, abstained_fail, abstained_pass
        "error": (EXPERT, JUDGE),
        "as_fail": (EXPERT, np.where(JUDGE == -1, 1, JUDGE)),
        "as_pass": (EXPERT, np.where(JUDGE == -1, 0, JUDGE)),
        "exclude": (EXPERT[JUDGE != -1], JUDGE[JUDGE != -1]),
    }[policy]
    scored = Confusion.from_arrays(*recoded)
    if groups is None:
        resamples = resample_items(scored.table, draws=500, rng=1)
    else:
        kept = [g for g, j in zip(groups, JUDGE, strict=True) if policy != "exclude" or j != -1]
        tables = group_tables(*recoded, kept)
        resamples = resample_clusters(tables, draws=500, rng=1)
    for name, expected in estimates(scored).items():
        metric = card.metrics[name]
        assert (metric.value, metric.reason) == (expected.value, expected.reason)
        if name == "balanced_accuracy" and groups is None:
            assert metric.interval.method == "mover_wilson"
        elif name not in PROPORTIONS:
            assert metric.interval == bootstrap_interval(resamples, METRICS[name], 0.9)
        elif groups is None:
            hits, among = PROPORTIONS[name].counts(scored.table)
            assert metric.interval == wilson(int(hits), int(among), 0.9)
        else:
            assert metric.interval == clustered_wilson(*PROPORTIONS[name].counts(tables), 0.9)


def test_exclude_says_what_it_left_out() -> None:
    card = scorecard(EXPERT, JUDGE, policy="exclude").to_json("mine")
    assert (card["n"], card["n_excluded"], card["confusion"]["abstained_fail"]) == (139, 7, 3)
    assert card["coverage"] == pytest.approx(132 / 139)
    assert card["metrics"]["agreement"]["n"] == 132
    assert card["metrics"]["gwet_ac1"]["value"] is not None


def test_exclude_can_make_recall_look_perfect_and_error_does_not() -> None:
    expert, judge = items([1, 0, 0, 9, 3, 0])
    assert scorecard(expert, judge).metrics["recall_fail"].value == 0.25
    excluded = scorecard(expert, judge, policy="exclude")
    assert excluded.metrics["recall_fail"].value == 1.0
    assert (excluded.n_excluded, excluded.coverage) == (3, pytest.approx(10 / 13))


def test_no_items() -> None:
    for groups in (None, []):
        card = scorecard([], [], groups=groups).to_json("mine")
        assert (card["n"], card["coverage"], card["prevalence_fail"]) == (0, None, None)
        for metric in card["metrics"].values():
            assert (metric["value"], metric["lo"], metric["hi"]) == (None, None, None)
            assert (metric["reason"], metric["n"]) == ("no_items", 0)


def test_nothing_answered() -> None:
    expert, judge = items([0, 0, 0, 0, 12, 30])
    strict = scorecard(expert, judge).metrics
    assert [strict[n].value for n in ("agreement", "recall_fail", "f1_fail", "kappa")] == [0] * 4
    assert strict["precision_fail"].value is None
    excluded = scorecard(expert, judge, policy="exclude")
    assert {m.reason for m in excluded.metrics.values()} == {"all_abstained"}
    assert "NaN" not in text(excluded)


@pytest.mark.parametrize("policy", POLICIES)
def test_json_of_any_table_is_strict_and_every_missing_number_has_a_reason(policy: str) -> None:
    tables = [*random_tables(40, abstentions=True), *(random_tables(60, abstentions=True) > 0) * 1]
    for index, table in enumerate(tables):
        expert, judge = items(table)
        groups = [i // 3 for i in range(len(expert))] if index % 2 else None
        card = scorecard(expert, judge, policy=policy, groups=groups, draws=200)
        for name, metric in json.loads(text(card))["metrics"].items():
            missing = [key for key in ("value", "lo", "hi") if metric[key] is None]
            assert bool(missing) == ("reason" in metric), (name, metric)
            assert missing in ([], ["lo", "hi"], ["value", "lo", "hi"])
            if not missing and name in PROPORTIONS:
                assert 0 <= metric["lo"] <= metric["value"] <= metric["hi"] <= 1


@pytest.mark.parametrize(
    ("table", "policy", "expected"),
    [
        ([5, 4, 3, 50, 0, 0], "error", "low (9 fails)"),
        ([1, 0, 3, 50, 0, 0], "error", "low (1 fail)"),
        ([25, 9, 1, 8, 0, 0], "error", "low (9 passes)"),
        ([2, 1, 1, 0, 0, 0], "error", "low (3 fails, 1 pass)"),
        ([10, 4, 5, 10, 0, 0], "error", "low (29 items)"),
        ([10, 4, 5, 11, 0, 0], "error", None),
        ([5, 4, 3, 50, 2, 0], "error", None),
        ([5, 5, 3, 50, 0, 0], "error", None),
        ([5, 4, 3, 50, 2, 0], "exclude", "low (9 fails)"),
    ],
)
def test_reliability(table: list[int], policy: str, expected: str | None) -> None:
    assert scorecard(*items(table), policy=policy, draws=50).reliability == expected


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ([15, 9, 3, 80, 0, 0], "wide intervals (only 24 fails)"),
        ([40, 8, 12, 10, 0, 0], "wide intervals (only 22 passes)"),
        ([20, 10, 5, 60, 0, 0], "wide intervals (only 95 items)"),
        ([20, 10, 5, 65, 0, 0], None),
        ([5, 4, 3, 50, 0, 0], None),  # reliability is low, which says it already
    ],
)
def test_a_softer_word_under_a_hundred_items_or_25_of_a_class(
    table: list[int], expected: str | None
) -> None:
    assert scorecard(*items(table), draws=50).to_json("x")["caution"] == expected


def test_low_information_is_said_at_the_bootstrapped_intervals() -> None:
    low = scorecard(*items([5, 4, 3, 50, 0, 0])).metrics
    assert low["kappa"].to_json()["warnings"] == ["low_information"]
    assert "warnings" not in low["recall_fail"].to_json()
    enough = scorecard(*items([6, 4, 3, 50, 0, 0]))
    assert enough.warnings == ()


def test_few_clusters_are_said_once() -> None:
    groups = [i % 7 for i in range(len(EXPERT))]
    card = scorecard(EXPERT, JUDGE, groups=groups)
    assert card.warnings == ("few_clusters (7)",)
    assert card.clusters == 7
    assert card.metrics["kappa"].interval.clusters == 7


def test_one_group_has_values_and_no_limits() -> None:
    card = scorecard(EXPERT, JUDGE, groups=["a"] * len(EXPERT), policy="as_fail")
    for metric in card.metrics.values():
        assert metric.value is not None
        assert (metric.interval.lo, metric.interval.reason) == (None, "one_cluster")


def test_groups_that_no_two_items_share_are_no_clusters() -> None:
    plain = text(scorecard(EXPERT, JUDGE, draws=500))
    for groups in ([None] * len(EXPERT), list(range(len(EXPERT)))):
        assert text(scorecard(EXPERT, JUDGE, groups=groups, draws=500)) == plain


@pytest.mark.parametrize("groups", [None, GROUPS], ids=["items", "clusters"])
def test_same_seed_same_bytes_in_any_order_of_the_rows(groups: list[str] | None) -> None:
    order = np.random.default_rng(5).permutation(len(EXPERT))
    moved = None if groups is None else [groups[i] for i in order]
    first = text(scorecard(EXPERT, JUDGE, groups=groups, seed=9))
    assert text(scorecard(EXPERT, JUDGE, groups=groups, seed=9)) == first
    assert text(scorecard(EXPERT[order], JUDGE[order], groups=moved, seed=9)) == first
    assert text(scorecard(EXPERT, JUDGE, groups=groups, seed=10)) != first


def test_balanced_accuracy_where_a_recall_is_at_its_end() -> None:
    """The bootstrap would say that the recall of these 12 fails is certain."""
    card = scorecard(*items([12, 0, 8, 80, 0, 0])).metrics
    recalls = (card["recall_fail"].interval, card["recall_pass"].interval)
    found = card["balanced_accuracy"]
    assert found.value == pytest.approx((1 + 80 / 88) / 2)
    assert (found.interval.method, found.interval.n) == ("mover_wilson", 100)
    below = np.hypot(1 - recalls[0].lo, 80 / 88 - recalls[1].lo) / 2
    assert found.interval.lo == pytest.approx(found.value - below)
    assert found.interval.hi == pytest.approx(
        found.value + (recalls[1].hi - 80 / 88) / 2  # type: ignore[operator]
    )


def test_balanced_accuracy_of_independent_items_is_of_the_two_recalls() -> None:
    card = scorecard(EXPERT, JUDGE).metrics
    recalls = [card[name] for name in ("recall_fail", "recall_pass")]
    found = card["balanced_accuracy"]
    for end, sign in (("lo", -1), ("hi", 1)):
        gaps = [getattr(one.interval, end) - one.value for one in recalls]
        assert getattr(found.interval, end) == pytest.approx(
            found.value + sign * np.hypot(*gaps) / 2
        )
    clustered = scorecard(EXPERT, JUDGE, groups=GROUPS).metrics["balanced_accuracy"]
    assert clustered.interval.method == "bca_clustered"


def test_balanced_accuracy_at_its_end_with_clusters() -> None:
    expert, judge = items([12, 0, 8, 80, 0, 0])
    card = scorecard(expert, judge, groups=[i % 25 for i in range(100)]).metrics
    found, plain = card["balanced_accuracy"].interval, scorecard(expert, judge).metrics
    assert (found.method, found.clusters) == ("mover_wilson_clustered", 25)
    assert found.lo is not None
    assert found.lo <= plain["balanced_accuracy"].interval.lo  # type: ignore[operator]


def test_a_judge_without_a_mistake_is_not_certain() -> None:
    card = scorecard(*items([12, 0, 0, 28, 0, 0])).metrics
    assert card["kappa"].value == 1.0
    assert card["kappa"].to_json()["reason"] == "constant_resamples"
    assert (card["kappa"].interval.lo, card["kappa"].interval.hi) == (None, None)
    for name in ("agreement", "recall_fail", "balanced_accuracy"):
        interval = card[name].interval
        assert interval.lo is not None
        assert 0.6 < interval.lo < 1 == interval.hi


def test_the_constant_judge() -> None:
    card = scorecard(*items([0, 10, 0, 90, 0, 0])).metrics
    assert card["agreement"].value == 0.9
    assert (card["kappa"].value, card["recall_fail"].value) == (0, 0)
    assert (card["mcc"].value, card["mcc"].reason) == (None, "judge_constant")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"policy": "drop"}, ConfigError),
        ({"level": 95}, ValueError),
        ({"draws": 0}, ValueError),
        ({"groups": ["a"]}, ValueError),
    ],
)
def test_options_at_the_door(options: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        scorecard(EXPERT, JUDGE, **options)  # type: ignore[arg-type]


def read(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (OPEN_QA / name).read_text("utf-8").splitlines()]


@pytest.mark.skipif(not OPEN_QA.is_dir(), reason="the open-qa-answers data set is not here")
def test_gpt4_on_open_qa_answers() -> None:
    labels = {row["id"]: row["label"] == "fail" for row in read("interactions.jsonl")}
    verdicts = {r["id"]: r["verdict"] for r in read("verdicts.jsonl") if r["judge"] == "gpt-4"}
    judge = [{"fail": 1, "pass": 0}.get(verdicts.get(item, ""), -1) for item in labels]
    card = scorecard(list(labels.values()), judge, policy="exclude")
    counts = card.confusion
    assert (counts.tp, counts.fn, counts.fp, counts.tn) == (582, 89, 137, 679)
    assert card.n_excluded == 3
    kappa = card.metrics["kappa"]
    assert kappa.value == pytest.approx(0.6951, abs=5e-5)
    # The asymptotic interval is a fair witness at 1,487 items.
    half = 1.96 * np.sqrt(0.848 * 0.152 / 1487) / (1 - 0.5014)
    assert kappa.interval.lo == pytest.approx(0.6951 - half, abs=0.004)
    assert kappa.interval.hi == pytest.approx(0.6951 + half, abs=0.004)
