"""Where Optuna's TPE points: a study over a space, in memory, in a file or in a database."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from judgelab import resources
from judgelab.axes import Axis, Span
from judgelab.errors import ConfigError, IncompleteError
from judgelab.models.secrets import blot, known
from judgelab.search import PATIENCE, Space, as_text
from judgelab.variants import Distinct, Variant

if TYPE_CHECKING:
    import optuna


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
            with _guarded(self.storage), _quiet():
                choice = self._choice(number)
            variant = self.space.variant(choice)
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
        """What a trial scored, None where that is undefined.

        To TPE one that failed says nothing. One that was stopped is worse than all that were not,
        and the worse the earlier; among those stopped as early its score so far decides.

        Args:
            lacks: by metric, what its floor exceeds its score by; above 0 where it is missed.
            seen: the number of items after which it was stopped; None where it saw them all.
        """
        with _guarded(self.storage), _quiet():
            self._tell(trial, value, lacks or {}, seen)

    def _tell(
        self, trial: Trial, value: float | None, lacks: Mapping[str, float], seen: int | None
    ) -> None:
        from optuna.trial import Trial as Asked
        from optuna.trial import TrialState

        kept = self._study.get_trials(deepcopy=False)[trial.number]
        if kept.state.is_finished():
            return
        state = TrialState.FAIL if value is None else TrialState.COMPLETE
        state = state if seen is None else TrialState.PRUNED
        asked = Asked(self._study, kept._trial_id)
        for name, missing in lacks.items():
            asked.set_constraint(name, missing)
        if seen is not None and value is not None:
            asked.report(value, step=seen)
        told = value if state is TrialState.COMPLETE else None
        self._study.tell(trial.number, told, state=state)

    def _choice(self, number: int) -> dict[str, str]:
        trials = self._study.get_trials(deepcopy=False)
        if number < len(trials) and "choice" in trials[number].user_attrs:
            return dict(trials[number].user_attrs["choice"])
        if not trials:
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
        return optuna.create_study(
            storage=_storage(self.storage),
            sampler=self._sampler(0),
            study_name=self.name,
            direction="maximize",
            load_if_exists=True,
        )

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        from optuna.samplers import TPESampler

        return TPESampler(seed=self.seed * 100_003 + number, multivariate=True, group=True)


def check_storage(storage: str | None) -> str | None:
    """What Optuna opens: a journal file of the lab, or the URL of a database.

    Raises ConfigError for what is none, and for a password in the config.
    """
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
    name = check_storage(storage)
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


@contextmanager
def _guarded(storage: str | None) -> Iterator[None]:
    """What a database says as one message; its URL may hold a password and is not said."""
    if storage is None or storage.endswith(".journal"):
        yield
        return
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    url = check_storage(storage) or ""
    try:
        yield
    except ImportError as error:
        raise ConfigError(
            f"search.storage={storage}: the driver of {url.split(':')[0]} is not installed. For "
            "PostgreSQL: pip install 'psycopg[binary]', and a URL that begins with "
            "postgresql+psycopg://."
        ) from error
    except ArgumentError as error:
        raise ConfigError(
            f"search.storage={storage}: that is no URL of a database, such as "
            "postgresql+psycopg://USER:PASSWORD@HOST:5432/NAME."
        ) from error
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = getattr(error, "orig", None) or error.__cause__ or error
        password = urlsplit(url).password or ""
        secrets = [*known().values(), url, password, unquote(password)]
        said = " ".join(blot(str(cause), secrets).split())[:300]
        raise IncompleteError(
            f"search.storage={storage}: the database cannot be used: {said}. What is answered is "
            "kept, and the same command goes on once it can."
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings that some of what is used here is experimental."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="optuna")
        warnings.filterwarnings("ignore", message=".*experimental")
        yield
