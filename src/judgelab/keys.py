"""The keys of every config that belong to no part: their types and what they are by default."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any


@dataclass
class Scores:
    """How verdicts become numbers."""

    policy: str = "error"


@dataclass
class Floors:
    """The least that a variant's point estimate must be for it to be chosen; None is no floor."""

    agreement: float | None = None
    precision_fail: float | None = None
    recall_fail: float | None = 0.5
    f1_fail: float | None = None
    precision_pass: float | None = None
    recall_pass: float | None = None
    f1_pass: float | None = None
    balanced_accuracy: float | None = None
    kappa: float | None = None
    mcc: float | None = None


@dataclass
class Search:
    """Which variants a sweep tries, and how it chooses, on dev: declared before it is run."""

    metric: str = "kappa"
    floors: Floors | None = field(default_factory=Floors)
    margin: float = 0.05
    sampler: str = "grid"
    trials: int = 30
    parallel: int = 4
    race: Any = None
    alpha: float = 0.2
    storage: str | None = None
    seed: int = 0


@dataclass
class Probe:
    """What `judgelab probe` asks of a judge; None is no gate."""

    gate: float | None = None


@dataclass
class Round:
    """When rounds of labelling have converged: `rounds` of them in a row at `agreement`, or at the
    expert's own ceiling, by point estimates."""

    agreement: float = 0.9
    rounds: int = 2


@dataclass
class Caps:
    """The most that each variant may take; None is no cap."""

    calls: int | None = None
    tokens: int | None = None
    usd: float | None = None


@dataclass
class Budget:
    """Caps on a whole command, checked before a call is sent; None is no cap."""

    calls: int | None = None
    tokens: int | None = None
    usd: float | None = 5.0
    per_run: Caps = field(default_factory=Caps)


@dataclass
class RunConfig:
    """The top level of every config; a misspelt key here fails at once."""

    dataset: Any = None
    split: Any = None
    judge: Any = None
    model: Any = None
    demos: Any = None
    optimizer: Any = None
    tracking: Any = None
    dimensions: Any = None
    system: Any = None
    scores: Scores = field(default_factory=Scores)
    search: Search = field(default_factory=Search)
    probe: Probe = field(default_factory=Probe)
    budget: Budget = field(default_factory=Budget)
    round: Round = field(default_factory=Round)
    baselines: list[str] = field(default_factory=list)
    axes: dict[str, Any] = field(default_factory=dict)
    limit: int | None = None
    seed: int = 0


TOP = tuple(field.name for field in fields(RunConfig))
