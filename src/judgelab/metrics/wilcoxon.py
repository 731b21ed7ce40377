"""Racing by Optuna's WilcoxonPruner: fewer verdicts, no promise.

Each variant's losses are tested against those of the running leader by a signed-rank test after
every item, without paying for the looks: the pruner's own documentation says that it errs more
often than its threshold, and on 0/1 losses an equal variant is stopped in one race of five.
"""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from judgelab.metrics.racing import Race

P = 0.1
STARTUP = 2  # items before the first test


class WilcoxonRace(Race):
    """As `Race`, but stopped is who the pruner would prune beside the leader."""

    def __init__(self, fails: ArrayLike, variants: int, *, metric: str = "kappa") -> None:
        super().__init__(fails, variants, metric=metric)
        self._losses = np.zeros((self.n, variants))

    def _count(self, codes: Any) -> list[int]:
        from optuna.pruners import WilcoxonPruner
        from optuna.study import StudyDirection
        from optuna.trial import create_trial

        before, item = self._total.copy(), self.seen
        super()._count(codes)
        self._losses[item] = (self._total - before).mean(axis=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pruner = WilcoxonPruner(p_threshold=P, n_startup_steps=STARTUP)
            losses = self._losses[: self.seen]
            trials = [
                create_trial(value=float(own.mean()), intermediate_values=dict(enumerate(own)))
                for own in losses.T
            ]
            leader: Any = SimpleNamespace(
                best_trial=trials[self.leader], direction=StudyDirection.MINIMIZE
            )
            worse = losses.mean(axis=0) > losses[:, self.leader].mean()
            stopped = [
                int(variant)
                for variant in np.flatnonzero(self.alive & worse)
                if pruner.prune(leader, trials[variant])
            ]
        self.alive[stopped] = False
        self.at[stopped] = self.seen
        return stopped

    def _stop(self) -> list[int]:
        return []
