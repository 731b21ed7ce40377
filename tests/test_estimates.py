"""What judging would take: added up over repeats, or scaled up from the first few."""

from __future__ import annotations

from judgelab.estimates import Takes, asking
from judgelab.judges.base import Estimate, Judge
from judgelab.types import Interaction


class ByLength(Judge):
    """Takes a call with a token a letter, of its first repeat alone."""

    repeats = 2

    def ask_estimate(self, interaction: Interaction, repeat: int) -> Estimate:
        return (0, 0, 0, 0.0) if repeat else (1, len(interaction.output), 2, 0.5)

    def judge(self, interactions, repeat):
        raise AssertionError("an estimate sends nothing")


ITEMS = [Interaction(f"i{n}", "", "x" * n) for n in range(1, 5)]


def test_every_repeat_counts():
    whole = asking(ByLength(), ITEMS)
    assert whole == Takes(verdicts=8, calls=4, tokens_in=10, tokens_out=8, usd=2.0)
    assert str(whole) == (
        "8 verdicts, 4 calls to send, about 10 tokens in and 8 out, about $2.0000"
    )


def test_the_first_few_stand_for_all():
    assert asking(ByLength(), ITEMS, most=1) == Takes(8, 4, 4, 8, 2.0)
    assert asking(ByLength(), ITEMS, most=9) == asking(ByLength(), ITEMS)


def test_nothing_takes_nothing():
    assert asking(ByLength(), []) == Takes()
    assert str(Takes(verdicts=3)) == "3 verdicts, no calls to send"
