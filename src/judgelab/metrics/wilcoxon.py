"""Racing by Optuna's WilcoxonPruner: fewer verdicts, no promise.

Each variant's losses are tested against those of the running leader by a signed-rank test every
four items, without paying for the looks: the pruner's own documentation says that it errs more
often than its threshold, and on 0/1 losses an equal variant is stopped in one race of five.
"""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from judgelab.metrics.racing import Array, Race

P = 0.1
STARTUP = 14  # items before the first test: for fewer it goes through all permutations, in seconds
EVERY = 4  # items from test to test


class WilcoxonRace(Race):
    """As `Race`, but stopped is who the pruner would prune beside the leader."""

    def __init__(self, fails: ArrayLike, variants: int, *, metric: str = "kappa") -> None:
        super().__init__(fails, variants, metric=metric)
        self._losses = np.zeros((self.n, variants))

    def _count(self, codes: Any) -> list[int]:
        before, item = self._total.copy(), self.seen
        super()._count(codes)
        self._losses[item] = (self._total - before).mean(axis=0)
        if self.seen % EVERY and self.seen < self.n:
            return []
        losses = self._losses[: self.seen]
        best = losses[:, self.leader]
        worse = self.alive & (losses.mean(axis=0) > best.mean())
        stopped = [int(k) for k in np.flatnonzero(worse) if _pruned(losses[:, k], best)]
        self.alive[stopped] = False
        self.at[stopped] = self.seen
        return stopped

    def _stop(self) -> list[int]:
        return []


def _pruned(own: Array, best: Array) -> bool:
    """Whether the pruner would end a trial with these losses, where the best has those."""
    from optuna.pruners import WilcoxonPruner
    from optuna.study import StudyDirection
    from optuna.trial import create_trial

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is experimental, and scipy warns of ties
        pruner = WilcoxonPruner(p_threshold=P, n_startup_steps=STARTUP)
        trials = [
            create_trial(value=float(losses.mean()), intermediate_values=dict(enumerate(losses)))
            for losses in (own, best)
        ]
        leader: Any = SimpleNamespace(best_trial=trials[1], direction=StudyDirection.MINIMIZE)
        return bool(pruner.prune(leader, trials[0]))
