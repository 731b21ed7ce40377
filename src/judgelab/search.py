"""Which variants a sweep tries: every combination, a random draw, or where Optuna's TPE points.

An axis that the other choices leave no place for (`demos.k` where demos=none) is not drawn, and a
variant that was there already is not judged again.
"""

from __future__ import annotations

import math
import os
import random
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from judgelab import axes as axes_
from judgelab import resources, variants
from judgelab.axes import Axis, Span
from judgelab.errors import ConfigError
from judgelab.variants import Distinct, Variant

if TYPE_CHECKING:
    import optuna

SAMPLERS = ("grid", "random", "tpe")
PATIENCE = 30  # draws in a row of variants that are there already: the axes count as exhausted
Ask = Callable[[str, Axis], str]


@dataclass(frozen=True)
class Space:
    """The axes over the fixed overrides; used inside `config.hydra()`."""

    fixed: Sequence[str]
    axes: Mapping[str, Axis]

    def draw(self, ask: Ask) -> dict[str, str]:
        """A choice, axis by axis: first whole groups, then what they have a place for."""
        choice: dict[str, str] = {}
        for key in sorted(self.axes, key=lambda key: "." in key):
            so_far = [*self.fixed, *(f"{k}={v}" for k, v in choice.items())]
            if "." not in key or variants.has_place(so_far, key):
                choice[key] = ask(key, self.axes[key])
        return {key: choice[key] for key in self.axes if key in choice}

    def variant(self, choice: Mapping[str, str]) -> Variant:
        return variants.of_choice(self.fixed, self.axes, choice)

    @cached_property
    def first(self) -> dict[str, str]:
        """The first value of every axis."""

        def of(key: str, axis: Axis) -> str:
            return as_text(axis, axis.low) if isinstance(axis, Span) else axis[0]

        return self.draw(of)


def check(settings: Mapping[str, Any]) -> None:
    """Raises ConfigError for a `search` that cannot be followed."""
    if settings["sampler"] not in SAMPLERS:
        raise ConfigError(
            f"search.sampler={settings['sampler']}: allowed are {', '.join(SAMPLERS)}; "
            "each is a yaml: search=tpe."
        )
    if not 0 < settings["alpha"] < 1:
        raise ConfigError(f"search.alpha={settings['alpha']}: a probability, such as 0.2.")
    for key in ("trials", "parallel"):
        if settings[key] < 1:
            raise ConfigError(f"search.{key}={settings[key]}: a number from 1.")
    if settings["sampler"] == "tpe":
        _storage_name(settings["storage"])


def grid(space: Space) -> Distinct:
    """Every combination of the axes once."""
    found = Distinct()
    for choice in axes_.grid(space.axes):
        found.add(space.variant(choice), choice)
    return found


def draws(space: Space, trials: int, seed: int) -> Distinct:
    """`trials` variants, drawn alike from each axis; all there are, where there are fewer."""
    rng = random.Random(seed)
    found, again = Distinct(), 0
    while len(found.variants) < trials and again < PATIENCE:
        variant = space.variant(space.draw(lambda key, axis: _drawn(axis, rng)))
        again = again + 1 if variant.id in found.variants else 0
        found.variants.setdefault(variant.id, variant)
    return found


def as_text(axis: Axis, value: float) -> str:
    """A number of an interval as an override has it."""
    whole = isinstance(axis, Span) and axis.whole
    return str(round(value)) if whole else f"{value:.6g}"


@dataclass
class Trial:
    """A choice of TPE's, and the variant it makes; several trials may make the same."""

    number: int
    variant: Variant


@dataclass
class Study:
    """Optuna's ask and tell over a space.

    Each trial's sampler is seeded by `seed` and the trial's number, so that what it picks depends
    on the results it was told alone: a study that is taken up again goes on as if never stopped.
    `name` and `storage` are where Optuna keeps it.
    """

    space: Space
    trials: int
    seed: int
    name: str
    storage: str | None = None
    found: Distinct = field(default_factory=Distinct)

    def ask(self) -> Iterator[Trial]:
        """Trials until `trials` variants were tried, or the axes seem exhausted."""
        number = again = 0
        while len(self.found.variants) < self.trials and again < PATIENCE:
            variant = self.space.variant(self._choice(number))
            first = self.found.variants.setdefault(variant.id, variant)
            again = 0 if first is variant else again + 1
            yield Trial(number, first)
            number += 1

    def tell(
        self,
        trial: Trial,
        value: float | None,
        lacks: Mapping[str, float] | None = None,
        seen: int | None = None,
    ) -> None:
        """What a trial scored, None where that is undefined or failed.

        Args:
            lacks: by metric, what its floor exceeds its score by; above 0 where it is missed.
            seen: the number of items after which it was stopped; None where it saw them all.
        """
        from optuna.trial import Trial as Asked
        from optuna.trial import TrialState

        kept = self._study.get_trials(deepcopy=False)[trial.number]
        if kept.state.is_finished():
            return
        state = TrialState.COMPLETE
        with _quiet():
            asked = Asked(self._study, kept._trial_id)
            for name, missing in (lacks or {}).items():
                asked.set_constraint(name, missing)
            if value is None:
                state = TrialState.FAIL
            elif seen is not None:
                asked.report(value, step=seen)
                state = TrialState.PRUNED
            told = value if state is TrialState.COMPLETE else None
            self._study.tell(trial.number, told, state=state)

    def _choice(self, number: int) -> dict[str, str]:
        known = self._study.get_trials(deepcopy=False)
        if number < len(known) and "choice" in known[number].user_attrs:
            return dict(known[number].user_attrs["choice"])
        with _quiet():
            if not known:
                axes = self.space.axes
                first = self.space.first.items()
                self._study.enqueue_trial({key: _value(axes[key], text) for key, text in first})
            self._study.sampler = self._sampler(number)
            asked = self._study.ask()
            choice = self.space.draw(lambda key, axis: _suggested(asked, key, axis))
            asked.set_user_attr("choice", choice)
        return choice

    @cached_property
    def _study(self) -> optuna.Study:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with _quiet():
            return optuna.create_study(
                storage=_storage(self.storage),
                sampler=self._sampler(0),
                study_name=self.name,
                direction="maximize",
                load_if_exists=True,
            )

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        from optuna.samplers import TPESampler

        with _quiet():
            return TPESampler(seed=self.seed * 100_003 + number, multivariate=True, group=True)


def _storage_name(storage: str | None) -> str | None:
    """What Optuna opens: a journal file of the lab, or the URL of a database."""
    if storage is None or storage.endswith(".journal"):
        return storage
    if storage.startswith("env:"):
        name = storage.removeprefix("env:")
        if name not in os.environ:
            raise ConfigError(f"search.storage={storage}: the variable {name} is not set.")
        return os.environ[name]
    if "://" not in storage:
        raise ConfigError(
            f"search.storage={storage}: null (memory), a file FILE.journal, env:NAME of a variable "
            "that holds a database URL, or a URL without a password."
        )
    if urlsplit(storage).password:
        raise ConfigError(
            "search.storage holds a password, and configs are kept in run folders. Put the URL "
            "into a variable and name it: search.storage=env:NAME."
        )
    return storage


def _storage(storage: str | None) -> Any:
    name = _storage_name(storage)
    if name is None or not name.endswith(".journal"):
        return name
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path = resources.lab() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(str(path)))


def _suggested(trial: optuna.Trial, key: str, axis: Axis) -> str:
    if isinstance(axis, Span):
        if axis.whole:
            return str(trial.suggest_int(key, int(axis.low), int(axis.high), log=axis.log))
        return as_text(axis, trial.suggest_float(key, axis.low, axis.high, log=axis.log))
    if step := _step(axis):
        return str(trial.suggest_int(key, int(axis[0]), int(axis[-1]), step=step))
    return str(trial.suggest_categorical(key, axis))


def _value(axis: Axis, text: str) -> str | int | float:
    """The value of a choice as Optuna knows it."""
    if isinstance(axis, Span):
        return int(text) if axis.whole else float(text)
    return int(text) if _step(axis) else text


def _step(axis: list[str]) -> int:
    """The step of whole numbers that rise evenly, such as range(2,17,2); 0 for other lists."""
    if len(axis) < 3 or not all(value.isdecimal() for value in axis):
        return 0
    numbers = [int(value) for value in axis]
    steps = {after - before for before, after in pairwise(numbers)}
    return steps.pop() if len(steps) == 1 and min(steps) > 0 else 0


def _drawn(axis: Axis, rng: random.Random) -> str:
    if not isinstance(axis, Span):
        return rng.choice(axis)
    if axis.log:
        return as_text(axis, math.exp(rng.uniform(math.log(axis.low), math.log(axis.high))))
    if axis.whole:
        return str(rng.randint(int(axis.low), int(axis.high)))
    return as_text(axis, rng.uniform(axis.low, axis.high))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings that some of what is used here is experimental."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="optuna")
        warnings.filterwarnings("ignore", message=".*experimental")
        yield
