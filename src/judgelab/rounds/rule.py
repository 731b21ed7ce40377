"""When rounds have converged, and when they stall: rules over the rounds' scores alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from judgelab.errors import ConfigError
from judgelab.scoring import short

STALLED_OVER = 2  # rounds without a rise


@dataclass(frozen=True)
class Point:
    """What a round scored: agreement with its limits on n items, worth `n_eff` independent ones;
    the expert's own ceiling where enough items show it; the floors that the judge missed."""

    round: int
    n: int
    agreement: float | None
    lo: float | None = None
    hi: float | None = None
    n_eff: float | None = None
    ceiling: float | None = None
    below: tuple[str, ...] = ()

    @classmethod
    def of(cls, number: int, result: Mapping[str, Any]) -> Point:
        """Of a round's result."""
        metric, ceiling = result["metrics"]["agreement"], result["ceiling"]
        own = ceiling["source"] == "self" and ceiling["enough"]
        return cls(
            number,
            result["n"],
            metric["value"],
            metric["lo"],
            metric["hi"],
            metric.get("n_eff"),
            ceiling["metrics"]["agreement"]["value"] if own else None,
            tuple(result["below_floors"]),
        )


@dataclass(frozen=True)
class Rule:
    """`round` of a config. Raises ConfigError for other numbers."""

    agreement: float = 0.9
    rounds: int = 2

    def __post_init__(self) -> None:
        if not 0 < self.agreement < 1:
            raise ConfigError(
                f"round.agreement={self.agreement}: a number between 0 and 1, e.g. 0.9."
            )
        if self.rounds < 1:
            raise ConfigError(f"round.rounds={self.rounds}: a number of rounds from 1.")

    def met(self, point: Point) -> bool:
        """Whether a round reaches the goal or the expert's own ceiling, and misses no floor."""
        if point.agreement is None or point.below:
            return False
        above = point.ceiling is not None and point.agreement >= point.ceiling
        return point.agreement >= self.agreement or above

    def converged(self, points: Sequence[Point]) -> bool:
        """Whether the last rounds in a row, as many as are asked for, all meet it."""
        last = points[-self.rounds :]
        return len(last) == self.rounds and all(map(self.met, last))

    def stalled(self, points: Sequence[Point]) -> bool:
        """Whether the last two rounds are no better than the one before them, and not there."""
        last = [point.agreement for point in points[-STALLED_OVER - 1 :]]
        known = [value for value in last if value is not None]
        if len(known) <= STALLED_OVER or self.met(points[-1]):
            return False
        return max(known[1:]) <= known[0]

    def decision(self, point: Point, level: float = 0.95) -> dict[str, Any]:
        """Whether the judge's agreement is shown to be at the goal, and how many more judged items
        would decide it at this rate (0 where it is decided; None where no number would).

        Items in groups count by the design effect of the interval, so the new ones are meant to
        fall into new groups.
        """
        from judgelab.metrics.sample_size import items_apart  # with numpy

        goal, value = self.agreement, point.agreement
        found: dict[str, Any] = {"goal": goal, "state": "open", "more": None}
        if value is None:
            return found
        if point.lo is not None and point.lo >= goal:
            return found | {"state": "shown", "more": 0}
        if point.hi is not None and point.hi < goal:
            return found | {"state": "refuted", "more": 0}
        wanted = items_apart(value, goal, level)
        if wanted is None:
            return found
        deff = max(1.0, point.n / point.n_eff) if point.n_eff else 1.0
        return found | {"more": max(1, math.ceil(wanted * deff - 1e-9) - point.n)}

    def in_words(self, points: Sequence[Point], decision: Mapping[str, Any]) -> list[str]:
        """Where the rounds stand by this rule, and what a proof would take."""
        point = points[-1]
        goal = short(self.agreement)
        own = "" if point.ceiling is None else f" or the expert's own {short(point.ceiling)}"
        in_a_row = 0
        for one in reversed(points):
            if not self.met(one):
                break
            in_a_row += 1
        text = (
            f"converged: agreement of at least {goal}{own} in {self.rounds} rounds in a row"
            if self.converged(points)
            else f"not converged: agreement of at least {goal}{own} in {in_a_row} of the "
            f"{self.rounds} rounds in a row that it takes"
        )
        if point.below:
            text += f"; a floor is missed: {', '.join(point.below)}"
        return [f"{text}.", _proof(point, goal, decision)]


def _proof(point: Point, goal: str, decision: Mapping[str, Any]) -> str:
    if point.agreement is None or point.lo is None or point.hi is None:
        return f"These items give agreement no interval, so they cannot prove {goal}."
    limits = f"agreement is {short(point.agreement)} [{short(point.lo)}, {short(point.hi)}]"
    if decision["state"] == "shown":
        return f"It is shown: {limits}, its lower bound is at {goal} or above."
    if decision["state"] == "refuted":
        return f"It is shown to be less than {goal}: {limits}."
    if decision["more"] is None:
        return f"It is not shown: {limits}; at {goal} itself no number of labels would show it."
    said = "prove" if point.agreement > float(decision["goal"]) else "show that it is less than"
    return (
        f"It is not shown: {limits}. At this rate {decision['more']:,} more judged items would "
        f"{said} {goal}."
    )
