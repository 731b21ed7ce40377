"""A judge under the first and under the blind second labels."""

from __future__ import annotations

import pytest
from people_labs import by, flipped, noisy, part, truths

from judgelab.expert.relabelled import Relabelled, relabelled
from judgelab.expert.voices import Voices, hear
from judgelab.metrics.scorecard import scorecard
from judgelab.types import CODES, Label

LABELS = truths(200)
IDS = list(LABELS)
JUDGE: dict[str, Label | None] = {**noisy(LABELS, 0.3, seed=1)}
BATCH = IDS[:60]


def voices(changed: list[str], clusters: dict[str, str | None] | None = None) -> Voices:
    again = by("ann", flipped(part(LABELS, BATCH), changed), round=2)
    return hear(LABELS, again, "ann", clusters)


def found(changed: list[str], **more: str) -> Relabelled:
    made = relabelled(voices(changed), JUDGE, **more)  # type: ignore[arg-type]
    assert made is not None
    return made


def test_both_columns_are_scorecards_and_the_difference_is_paired() -> None:
    changed = BATCH[:9]
    made = found(changed)
    second = flipped(part(LABELS, BATCH), changed)
    said = [CODES[JUDGE[i]] for i in BATCH]
    for card, labels in ((made.first, LABELS), (made.again, second)):
        alone = scorecard([labels[i] == "fail" for i in BATCH], said, groups=[None] * len(BATCH))
        assert card.metrics == alone.metrics
    gained = sum(JUDGE[i] != LABELS[i] for i in changed)
    assert (made.pair.a_only, made.pair.b_only) == (gained, len(changed) - gained)
    assert made.pair.difference.value == pytest.approx((2 * gained - 9) / 60)
    assert made.strata["differed"][1] == gained
    assert made.strata["agreed"][0] + made.strata["differed"][0] == made.n == 60
    assert made.to_json()["changed"][0].keys() == {"id", "before", "now"}


def test_where_no_label_changed_there_is_nothing_to_show() -> None:
    assert relabelled(voices([]), JUDGE) is None
    assert relabelled(hear(LABELS, [], "ann"), JUDGE) is None
    assert relabelled(voices(BATCH[:9]), {IDS[-1]: "fail"}) is None


@pytest.mark.parametrize("policy", ["error", "as_fail", "as_pass", "exclude"])
def test_the_difference_is_that_of_the_two_scorecards_whatever_an_abstention_is(
    policy: str,
) -> None:
    silent = BATCH[5:15]
    verdicts = JUDGE | dict.fromkeys(silent)
    made = relabelled(voices(BATCH[:9]), verdicts, policy=policy)
    assert made is not None
    values = [card.metrics["agreement"].value for card in (made.again, made.first)]
    assert values[0] is not None
    assert values[1] is not None
    assert made.pair.difference.value == pytest.approx(values[0] - values[1])


def test_items_of_a_group_are_one_cluster() -> None:
    clusters: dict[str, str | None] = {i: str(n // 3) for n, i in enumerate(IDS)}
    made = relabelled(voices(BATCH[:9], clusters), JUDGE)
    assert made is not None
    alone = found(BATCH[:9])
    assert made.pair.p_method == "sign_flip_clustered" != alone.pair.p_method
    assert made.pair.clusters == 20
