"""How a sweep chooses: the metric, the floors and the margin, declared before it is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from judgelab.errors import ConfigError
from judgelab.metrics.names import METRICS, named
from judgelab.scoring import short

HARDLY = 0.005  # an optimism under it is none in two digits


@dataclass(frozen=True)
class Rules:
    """How a sweep chooses: declared before it is run.

    Args:
        metric: what the best is best in.
        floors: metric -> the least that its point estimate must be.
        margin: how much worse, in the metric, a cheaper variant may be to be offered.

    Raises ConfigError for a metric that is not one, or may not choose, and for other numbers.
    """

    metric: str = "kappa"
    floors: Mapping[str, float] = field(default_factory=lambda: {"recall_fail": 0.5})
    margin: float = 0.05

    def __post_init__(self) -> None:
        for key, name in (
            ("search.metric", self.metric),
            *((f"search.floors.{name}", name) for name in self.floors),
        ):
            if name not in METRICS:
                raise ConfigError(f"{key}: {name} is no metric; allowed: {', '.join(METRICS)}.")
        if self.metric == "gwet_ac1":
            raise ConfigError(
                "search.metric=gwet_ac1: at 10 % fails it gives a judge that always passes .89, "
                "so it is shown and never chooses. Take kappa or balanced_accuracy."
            )
        for name, floor in self.floors.items():
            if not isinstance(floor, int | float) or not -1 <= floor <= 1:
                raise ConfigError(f"search.floors.{name}={floor}: a number from -1 to 1.")
        if not isinstance(self.margin, int | float) or not 0 < self.margin < 1:
            raise ConfigError(f"search.margin={self.margin}: a number between 0 and 1, e.g. 0.05.")

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Rules:
        """The rules in a config's `search`, or in a sweep's JSON; a floor of None is none."""
        floors = (said["floors"] or {}).items()
        kept = {name: least for name, least in floors if least is not None}
        return cls(said["metric"], kept, said["margin"])

    def to_json(self) -> dict[str, Any]:
        """metric, floors and margin."""
        return {"metric": self.metric, "floors": dict(self.floors), "margin": self.margin}

    @property
    def in_words(self) -> str:
        """The floors: `recall of fail >= .50`."""
        floors = (f"{named(n)} >= {short(float(least))}" for n, least in self.floors.items())
        return " and ".join(floors)


def place(value: float | None, cost: float, *names: str) -> tuple[bool | float | str, ...]:
    """The key that sorts best first: where values tie the cheaper first, undefined last."""
    return (value is None, -(value or 0.0), cost, *names)
