"""Point estimates against scikit-learn, published examples and hand-computed tables."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from metric_tables import EXPERT, JUDGE, random_tables, swapped
from sklearn import metrics as sk

from judgelab.errors import ConfigError
from judgelab.metrics import names
from judgelab.metrics.agreement import METRICS, estimate, estimates
from judgelab.metrics.confusion import Confusion, apply_policy

SWAPS = {
    "precision_fail": "precision_pass",
    "recall_fail": "recall_pass",
    "f1_fail": "f1_pass",
}
TWO_BY_TWO = random_tables(500, abstentions=False)
WITH_ABSTENTIONS = random_tables(250, abstentions=True)
EITHER_KIND = pytest.mark.parametrize(
    "tables",
    [
        pytest.param(TWO_BY_TWO, id="2x2"),
        pytest.param(WITH_ABSTENTIONS, id="abstentions"),
        pytest.param(
            np.vstack([random_tables(5000, abstentions=kind, seed=8) for kind in (True, False)]),
            id="ten thousand",
            marks=pytest.mark.slow,
        ),
    ],
)


def test_the_names_are_those_of_the_formulas() -> None:
    assert tuple(METRICS) == names.METRICS


def rates(table: np.ndarray) -> dict[str, float]:
    """scikit-learn's precision, recall and F1 of each class; NaN where it has none."""
    precision, recall, f1, _ = sk.precision_recall_fscore_support(
        np.where(EXPERT, 1, 0),
        JUDGE,
        labels=[1, 0],
        sample_weight=table,
        zero_division=np.nan,
    )
    classes = ("fail", "pass")
    values = {"precision": precision, "recall": recall, "f1": f1}
    return {f"{key}_{classes[i]}": row[i] for key, row in values.items() for i in (0, 1)}


def quiet(function: Callable[..., Any], *args: Any, **kwargs: Any) -> float:
    """scikit-learn's value where its input is degenerate, without its warnings."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return float(function(*args, **kwargs))


@EITHER_KIND
def test_precision_recall_f1_equal_sklearn(tables: np.ndarray) -> None:
    ours = {name: METRICS[name](tables) for name in (*SWAPS, *SWAPS.values())}
    undefined = 0
    for row, table in enumerate(tables):
        for name, expected in rates(table).items():
            np.testing.assert_allclose(ours[name][row], expected, rtol=1e-12, err_msg=name)
            undefined += bool(np.isnan(expected))
    assert undefined > 20, "the random tables must hold degenerate ones"


@EITHER_KIND
def test_kappa_and_mcc_equal_sklearn(tables: np.ndarray) -> None:
    kappas, mccs, agreements = (METRICS[name](tables) for name in ("kappa", "mcc", "agreement"))
    expert = np.where(EXPERT, 1, 0)
    for row, table in enumerate(tables):
        weights = {"sample_weight": table}
        expected = quiet(sk.cohen_kappa_score, expert, JUDGE, labels=[1, 0, -1], **weights)
        np.testing.assert_allclose(kappas[row], expected, atol=1e-12)
        correlation = quiet(sk.matthews_corrcoef, expert, JUDGE, **weights)
        if np.isnan(mccs[row]):  # a constant rater, where scikit-learn says 0
            assert correlation == pytest.approx(0)
            margins = (EXPERT, ~EXPERT, JUDGE == 1, JUDGE == 0, JUDGE == -1)
            assert any(table[margin].sum() == table.sum() for margin in margins)
        else:
            np.testing.assert_allclose(mccs[row], correlation, atol=1e-12)
        hits = sk.accuracy_score(expert, JUDGE, **weights)
        np.testing.assert_allclose(agreements[row], hits, rtol=1e-12)


def test_balanced_accuracy_equals_sklearn_where_both_classes_exist() -> None:
    ours = METRICS["balanced_accuracy"](TWO_BY_TWO)
    expert = np.where(EXPERT, 1, 0)
    for value, table in zip(ours, TWO_BY_TWO, strict=True):
        if table[EXPERT].sum() and table[~EXPERT].sum():
            kept = table > 0
            args = (expert[kept], JUDGE[kept])
            expected = quiet(sk.balanced_accuracy_score, *args, sample_weight=table[kept])
            assert value == pytest.approx(expected, rel=1e-12)
        else:
            assert np.isnan(value)


def test_ac1_equals_its_definition_in_exact_fractions() -> None:
    values = METRICS["gwet_ac1"](TWO_BY_TWO)
    for value, (tp, fn, fp, tn, _, _) in zip(values, TWO_BY_TWO.tolist(), strict=True):
        n = tp + fn + fp + tn
        share = Fraction(2 * tp + fn + fp, 2 * n)
        chance = 2 * share * (1 - share)
        assert value == pytest.approx(float((Fraction(tp + tn, n) - chance) / (1 - chance)))


def test_kappa_paradox_of_gwet() -> None:
    """118 + 5 + 2 + 0 items: agreement .944, kappa -.023, AC1 .941 (Gwet 2002)."""
    for table in (Confusion(tp=118, fn=5, fp=2), Confusion(tn=118, fn=2, fp=5)):
        found = {name: estimate(name, table).value for name in ("agreement", "kappa", "gwet_ac1")}
        assert found == pytest.approx(
            {"agreement": 0.944, "kappa": -0.0234, "gwet_ac1": 0.9408}, abs=5e-5
        )


@EITHER_KIND
def test_swapping_the_labels_swaps_the_classes_and_nothing_else(tables: np.ndarray) -> None:
    pairs = SWAPS | {fail: fail for fail in METRICS if not fail.endswith(("_fail", "_pass"))}
    for here, there in pairs.items():
        np.testing.assert_allclose(
            METRICS[here](tables), METRICS[there](swapped(tables)), rtol=1e-12, err_msg=here
        )


def test_tables_on_leading_axes_give_values_on_leading_axes() -> None:
    tables = WITH_ABSTENTIONS[:24].reshape(2, 3, 4, 6)
    for name, metric in METRICS.items():
        values = metric(tables)
        assert values.shape == (2, 3, 4)
        np.testing.assert_array_equal(values[1, 2, 3], metric(tables[1, 2, 3]), err_msg=name)


# tp 1, fn 2, fp 3, tn 4, abstained on 5 fails and 6 passes; computed by hand.
HAND = Confusion(1, 2, 3, 4, 5, 6)
BY_HAND: dict[str, dict[str, Fraction | None]] = {
    "error": {
        "agreement": Fraction(5, 21),
        "precision_fail": Fraction(1, 4),
        "recall_fail": Fraction(1, 8),
        "f1_fail": Fraction(1, 6),  # 2 / (2 + 3 + 2 + 5)
        "precision_pass": Fraction(4, 6),
        "recall_pass": Fraction(4, 13),
        "f1_pass": Fraction(8, 19),  # 8 / (8 + 3 + 2 + 6)
        "balanced_accuracy": (Fraction(1, 8) + Fraction(4, 13)) / 2,
        "kappa": Fraction(21 * 5 - (8 * 4 + 13 * 6), 21**2 - (8 * 4 + 13 * 6)),
        "gwet_ac1": None,
    },
    "as_fail": {  # 6, 2, 9, 4
        "agreement": Fraction(10, 21),
        "precision_fail": Fraction(6, 15),
        "recall_fail": Fraction(6, 8),
        "f1_fail": Fraction(12, 23),
        "precision_pass": Fraction(4, 6),
        "recall_pass": Fraction(4, 13),
        "f1_pass": Fraction(8, 19),
        "balanced_accuracy": (Fraction(6, 8) + Fraction(4, 13)) / 2,
        "kappa": Fraction(21 * 10 - (8 * 15 + 13 * 6), 21**2 - (8 * 15 + 13 * 6)),
        "gwet_ac1": Fraction(-17, 445),  # (210 - 218.5) / (441 - 218.5)
    },
    "as_pass": {  # 1, 7, 3, 10
        "agreement": Fraction(11, 21),
        "precision_fail": Fraction(1, 4),
        "recall_fail": Fraction(1, 8),
        "f1_fail": Fraction(2, 12),
        "precision_pass": Fraction(10, 17),
        "recall_pass": Fraction(10, 13),
        "f1_pass": Fraction(20, 30),
        "balanced_accuracy": (Fraction(1, 8) + Fraction(10, 13)) / 2,
        "kappa": Fraction(21 * 11 - (8 * 4 + 13 * 17), 21**2 - (8 * 4 + 13 * 17)),
        "gwet_ac1": Fraction(17, 87),  # (231 - 180) / (441 - 180)
    },
    "exclude": {  # 1, 2, 3, 4
        "agreement": Fraction(5, 10),
        "precision_fail": Fraction(1, 4),
        "recall_fail": Fraction(1, 3),
        "f1_fail": Fraction(2, 7),
        "precision_pass": Fraction(4, 6),
        "recall_pass": Fraction(4, 7),
        "f1_pass": Fraction(8, 13),
        "balanced_accuracy": (Fraction(1, 3) + Fraction(4, 7)) / 2,
        "kappa": Fraction(10 * 5 - (3 * 4 + 7 * 6), 10**2 - (3 * 4 + 7 * 6)),
        "gwet_ac1": Fraction(9, 109),  # (50 - 45.5) / (100 - 45.5)
    },
}
HAND_MCC = {
    # Gorodkin: covariance over the root of the two variances, each times n^2.
    "error": (105 - 110) / np.sqrt((441 - 64 - 169) * (441 - 16 - 36 - 121)),
    "as_fail": (6 * 4 - 2 * 9) / np.sqrt(15.0 * 8 * 13 * 6),
    "as_pass": (1 * 10 - 7 * 3) / np.sqrt(4.0 * 8 * 13 * 17),
    "exclude": (1 * 4 - 2 * 3) / np.sqrt(4.0 * 3 * 7 * 6),
}


@pytest.mark.parametrize("policy", BY_HAND)
def test_policies_by_hand(policy: str) -> None:
    found = {name: value.value for name, value in estimates(HAND, policy).items()}
    assert found.pop("mcc") == pytest.approx(HAND_MCC[policy], abs=1e-15)
    for name, expected in BY_HAND[policy].items():
        value = found.pop(name)
        assert value == (None if expected is None else pytest.approx(float(expected), abs=1e-15))
    assert not found


def test_policies_agree_where_nothing_is_abstained() -> None:
    for table in TWO_BY_TWO[:50]:
        confusion = Confusion.from_table(table)
        strict = estimates(confusion, "error")
        for policy in ("as_fail", "as_pass", "exclude"):
            assert estimates(confusion, policy) == strict


@pytest.mark.parametrize(
    ("name", "confusion", "policy", "reason"),
    [
        *((name, Confusion(), "error", "no_items") for name in METRICS),
        *((name, Confusion(abstained_fail=3), "exclude", "all_abstained") for name in METRICS),
        ("precision_fail", Confusion(fn=2, tn=3), "error", "judge_never_fails"),
        ("precision_pass", Confusion(tp=2, fp=3), "error", "judge_never_passes"),
        ("recall_fail", Confusion(fp=2, tn=3), "error", "no_expert_fails"),
        ("recall_pass", Confusion(tp=2, fn=3), "error", "no_expert_passes"),
        ("balanced_accuracy", Confusion(fp=2, tn=3), "error", "no_expert_fails"),
        ("balanced_accuracy", Confusion(tp=2, fn=3), "error", "no_expert_passes"),
        ("f1_fail", Confusion(tn=3), "error", "no_fails"),
        ("f1_pass", Confusion(tp=3), "error", "no_passes"),
        ("kappa", Confusion(tn=3), "error", "both_constant_and_equal"),
        ("mcc", Confusion(tn=3, fp=1), "error", "expert_constant"),
        ("mcc", Confusion(tn=3, fn=1), "error", "judge_constant"),
        ("mcc", Confusion(abstained_fail=3, abstained_pass=1), "error", "judge_constant"),
        ("gwet_ac1", Confusion(tp=3, tn=3, abstained_pass=1), "error", "abstentions"),
    ],
)
def test_undefined_is_none_with_a_reason(
    name: str, confusion: Confusion, policy: str, reason: str
) -> None:
    found = estimate(name, confusion, policy)
    assert (found.value, found.reason) == (None, reason)


def test_what_is_zero_is_not_undefined() -> None:
    always_pass = Confusion(fn=10, tn=90)
    found = estimates(always_pass)
    assert found["agreement"].value == 0.9
    assert found["gwet_ac1"].value == pytest.approx(0.8895, abs=1e-4)
    assert [found[name].value for name in ("kappa", "recall_fail", "f1_fail")] == [0, 0, 0]
    assert found["precision_fail"].value is None
    assert estimate("kappa", Confusion(abstained_fail=4)).value == 0


def test_estimate_of_the_recoded_table_is_the_estimate_under_the_policy() -> None:
    for policy in ("as_fail", "as_pass"):
        assert estimates(apply_policy(HAND, policy)) == estimates(HAND, policy)


def test_unknown_metric_names_the_choices() -> None:
    with pytest.raises(ConfigError, match="accuracy is not a metric; choose one of agreement, "):
        estimate("accuracy", HAND)
