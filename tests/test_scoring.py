"""Verdicts against labels: majorities, missing items, and numbers in words."""

from __future__ import annotations

import itertools

import pytest

from judgelab.errors import ConfigError, DataError
from judgelab.scoring import in_words, majority, p_in_words, score
from judgelab.types import Label, Verdict


def verdicts(item: str, *words: Label | None) -> list[Verdict]:
    return [
        Verdict(item, word, None if word else "empty", repeat=n) for n, word in enumerate(words)
    ]


@pytest.mark.parametrize(
    ("words", "winner"),
    [
        (["pass"], "pass"),
        (["fail", "pass", "fail"], "fail"),
        (["fail", "pass"], None),
        (["fail", None, None], "fail"),
        (["fail", "pass", None], None),
        ([None], None),
    ],
)
def test_the_majority_of_what_was_answered_and_never_a_coin_toss(
    words: list[Label | None], winner: Label | None
) -> None:
    for order in itertools.permutations(words):
        assert majority(verdicts("a", *order)) == {"a": winner}


def test_every_labelled_item_counts_whatever_the_judge_said() -> None:
    labels: dict[str, Label] = {
        "tp": "fail",
        "fn": "fail",
        "fp": "pass",
        "tn": "pass",
        "none": "fail",
        "missing": "pass",
    }
    said = [
        *verdicts("tn", "pass"),
        *verdicts("tp", "fail", "fail", "pass"),
        *verdicts("fp", "fail"),
        *verdicts("fn", "pass"),
        *verdicts("none", None),
        *verdicts("unlabelled", "fail"),
    ]
    card = score(labels, said).to_json("j")
    assert card["confusion"] == {
        "tp": 1,
        "fn": 1,
        "fp": 1,
        "tn": 1,
        "abstained_fail": 1,
        "abstained_pass": 1,
    }
    assert card["n"] == 6
    assert card["coverage"] == pytest.approx(4 / 6)
    assert card["metrics"]["agreement"]["value"] == pytest.approx(2 / 6)
    assert score(labels, reversed(said)).to_json("j") == card


@pytest.mark.parametrize(
    ("policy", "agreement"), [("error", 2 / 4), ("as_fail", 3 / 4), ("as_pass", 2 / 4)]
)
def test_the_policy_says_what_an_abstention_is(policy: str, agreement: float) -> None:
    labels: dict[str, Label] = {"a": "fail", "b": "pass", "c": "fail", "d": "fail"}
    said = [*verdicts("a", "fail"), *verdicts("b", "pass"), *verdicts("c", "pass")]
    assert score(labels, said, policy=policy).metrics["agreement"].value == agreement


def test_exclude_leaves_them_out_and_says_how_many() -> None:
    labels: dict[str, Label] = {"a": "fail", "b": "pass", "c": "fail"}
    card = score(labels, verdicts("a", "fail"), policy="exclude").to_json("j")
    assert card["metrics"]["agreement"]["value"] == 1
    assert card["n_excluded"] == 2
    with pytest.raises(ConfigError):
        score(labels, [], policy="guess")


def test_clusters_widen_the_intervals_and_items_without_one_stand_alone() -> None:
    labels: dict[str, Label] = {f"{i:03}": "fail" if i % 2 else "pass" for i in range(80)}
    said = [
        v
        for i, item in enumerate(labels)
        for v in verdicts(item, labels[item] if i // 8 % 2 else "pass")
    ]
    alone = score(labels, said)
    clustered = score(labels, said, clusters={item: str(int(item) // 8) for item in labels})
    assert clustered.clusters == 10
    wide, narrow = (card.metrics["agreement"].interval for card in (clustered, alone))
    assert wide.lo is not None
    assert narrow.lo is not None
    assert wide.lo < narrow.lo
    nobody = score(labels, said, clusters=dict.fromkeys(labels))
    assert nobody.to_json("j") == alone.to_json("j")


@pytest.mark.parametrize(
    ("value", "lo", "hi", "words"),
    [
        (0.8412, 0.724, 0.9051, ".84 [.72, .91]"),
        (1.0, 0.9, 1.0, "1 [.90, 1]"),
        (0.0, -0.05, 0.1, "0 [-.05, .10]"),
        (-0.001, -1.0, 0.001, "0 [-1, 0]"),
        (0.5, None, None, ".50"),
        (None, None, None, "–"),
    ],
)
def test_numbers_in_words(
    value: float | None, lo: float | None, hi: float | None, words: str
) -> None:
    card = {"metrics": {"kappa": {"value": value, "lo": lo, "hi": hi}}}
    assert in_words(card, "kappa") == words


@pytest.mark.parametrize(
    ("p", "words"),
    [(0.0004, "<.001"), (0.001, ".001"), (0.0344, ".034"), (0.9996, "1"), (1.0, "1"), (0, "<.001")],
)
def test_a_p_value_in_words(p: float, words: str) -> None:
    assert p_in_words(p) == words


def test_repeats_are_compared_and_count_as_one_item() -> None:
    labels: dict[str, Label] = {"a": "fail", "b": "pass", "c": "pass", "d": "pass"}
    said = [
        *verdicts("a", "fail", "fail", "fail"),
        *verdicts("b", "pass", "fail", "pass"),
        *verdicts("c", None, "pass", "pass"),
        *verdicts("unlabelled", "fail", "pass", "fail"),
    ]
    card = score(labels, said).to_json("j")
    assert card["n"] == 4
    assert card["metrics"]["agreement"]["value"] == 3 / 4
    found = card["repeats"]
    assert (found["k"], found["n"]) == (3, 3), "d was never asked about"
    assert found["flip_rate"]["value"] == pytest.approx(2 / 3)
    assert found["pairwise_disagreement"]["value"] == pytest.approx((0 + 2 / 3 + 2 / 3) / 3)
    assert set(found["alpha"]) >= {"value", "lo", "hi", "method", "level", "n"}
    assert score(labels, reversed(said)).to_json("j") == card
    assert "repeats" not in score(labels, verdicts("a", "fail")).to_json("j")


def test_weights_by_item() -> None:
    labels: dict[str, Label] = {"a": "fail", "b": "pass", "c": "pass"}
    said = [*verdicts("a", "fail"), *verdicts("b", "pass"), *verdicts("c", "fail")]
    card = score(labels, said, weights={"a": 1, "b": 5, "c": 2, "other": 9})
    assert card.metrics["agreement"].value == pytest.approx(6 / 8)
    assert card.to_json("j")["confusion"]["fp"] == 1
    for wrong in ({"a": 1, "b": 5}, {"a": 1, "b": 0, "c": 1}, {"a": 1, "b": 1, "c": float("nan")}):
        with pytest.raises(DataError, match="1 labelled items have no positive weight"):
            score(labels, said, weights=wrong)


def test_weights_that_leave_one_item_alone_are_refused() -> None:
    labels: dict[str, Label] = {"a": "fail", "b": "pass"}
    with pytest.raises(DataError, match="one item would stand for more"):
        score(labels, verdicts("a", "fail"), weights={"a": 1e-300, "b": 1e300})
