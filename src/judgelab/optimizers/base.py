"""The contract of an optimizer: a judge -> a better one, learnt from train and chosen on dev."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from judgelab.calls.line import Calls
from judgelab.data.split import DevSet, TrainSet
from judgelab.metrics.names import METRICS

FEWEST_ANSWERS = 30
Watch = Callable[[int, int, str], None]  # answers used, of how many, the best so far in words


def unwatched(used: int, of: int, best: str) -> None:
    """Nobody looks on."""


@dataclass(frozen=True)
class Improved:
    """What came of it.

    Attributes:
        judge: the node of the judge to judge with. A rubric of its own stands in it as text.
        candidates: how many judges were scored on dev; they count as tried.
        story: what was tried and found, as JSON; the run folder keeps it in optimizer.json.
        notes: what the user should read of it, a line each.
    """

    judge: Mapping[str, Any]
    candidates: int = 0
    story: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()


class Optimizer(ABC):
    """Made from a config, then `check` before any data is read, then `improve` once.

    Test is out of reach: an optimizer is given train and dev by type. Every answer it needs comes
    through `calls`, so that store, limits, budget and accounts hold; `budget` is the most answers
    that it may use (None: no cap), those from the store counted, so that the same config and seed
    make the same judge whatever is in the store. `watch` may be told how far it is.
    """

    budget: int | None
    watch: Watch = staticmethod(unwatched)

    def check(self, judge: Mapping[str, Any]) -> None:  # noqa: B027
        """Raise a UserError where the judge of this node is none that it can improve."""

    @abstractmethod
    async def improve(
        self, judge: Mapping[str, Any], train: TrainSet, dev: DevSet, calls: Calls
    ) -> Improved:
        """A judge at least as good on dev; the same one where none was found.

        Raises:
            CallFailed: calls that it cannot do without have no answer. The run is incomplete, and
                the same command goes on from what is in the store.
        """


def check_metric(metric: str) -> str:
    """The metric, if it may choose. Raises ValueError."""
    allowed = [name for name in METRICS if name != "gwet_ac1"]  # it would take who always passes
    if metric not in allowed:
        raise ValueError(f"optimizer.metric must be one of {', '.join(allowed)}, got {metric!r}")
    return metric


def check_budget(budget: int) -> int:
    """The budget of answers, if something can be learnt from so many. Raises ValueError."""
    if not isinstance(budget, int) or budget < FEWEST_ANSWERS:
        raise ValueError(
            f"optimizer.budget must be a number of answers from {FEWEST_ANSWERS}, got {budget!r}"
        )
    return budget
