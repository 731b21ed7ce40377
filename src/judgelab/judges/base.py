"""The contract of a judge: interaction -> verdict."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from judgelab.calls.line import Calls
from judgelab.data.split import TrainSet
from judgelab.types import Interaction, Verdict

Estimate = tuple[int, int, int, float]  # calls to be sent, their tokens in and out, USD
NOTHING: Estimate = (0, 0, 0, 0.0)


def added(*estimates: Estimate) -> Estimate:
    """All of them together."""
    calls, tokens_in, tokens_out, usd = zip(*estimates, strict=True)
    return sum(calls), sum(tokens_in), sum(tokens_out), sum(usd)


class Judge(ABC):
    """Made from a config, then `prepare` once, then `judge` once a repeat.

    `answers` is how many answers of a model a verdict takes at most, `rehearsed` how many come
    before the first one; known after `prepare`.

    A judge sees no labels but those of train, changes no interaction, and never raises for one
    interaction: it abstains with a reason, or, where a call failed for no fault of the item, gives
    no verdict for it (the accounts hold the cause).
    """

    repeats: int = 1
    llm = False  # whether a language model decides
    answers = 0
    rehearsed = 0

    @classmethod
    def unused(cls, node: Mapping[str, Any]) -> Iterable[str]:
        """The keys of this judge's config (dotted paths) that cannot change its verdicts."""
        return ("rubric", "template", "reasoning", "context", "repeats", "repair")

    def texts(self) -> dict[str, str]:
        """What the verdicts depend on besides config and data, by name (rubric, template, code)."""
        return {}

    def check(self) -> None:  # noqa: B027
        """Raise a UserError where judging cannot work, before anything is sent."""

    def prepare(self, train: TrainSet, calls: Calls) -> None:  # noqa: B027
        """Learn from train; called once, before any judging."""

    def rehearsal_estimate(self) -> Estimate:
        """What has still to be asked between `prepare` and the first verdict (demos=hard). Where
        all of it is known already it is learnt here, so that `request` gives what will be sent."""
        return NOTHING

    def ask_estimate(self, interaction: Interaction, repeat: int) -> Estimate:
        """What judging this would still take at most."""
        return NOTHING

    @abstractmethod
    def judge(self, interactions: Iterable[Interaction], repeat: int) -> AsyncIterator[Verdict]:
        """Verdicts as they come, in any order, interactions taken up in the order given."""
