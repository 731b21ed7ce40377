"""Two judges on the same items: who is right where they differ, and by how much."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgelab.errors import ConfigError
from judgelab.metrics.agreement import check_metric
from judgelab.metrics.bootstrap import DRAWS
from judgelab.metrics.confusion import (
    ABSTAINED,
    FAIL,
    PASS,
    Groups,
    count_tables,
    group_codes,
)
from judgelab.metrics.discordant import mcnemar, sign_flip
from judgelab.metrics.intervals import clustered_wilson, wilson
from judgelab.metrics.joint import SHARED, Joint
from judgelab.metrics.policies import Policy
from judgelab.metrics.power import detectable
from judgelab.metrics.scorecard import Metric

BOOTSTRAPPED = ("kappa", "f1_fail", "balanced_accuracy", "mcc")


@dataclass(frozen=True)
class Paired:
    """Judge a against judge b on the same items; differences are a minus b.

    Attributes:
        n: items compared.
        n_excluded: items that policy `exclude` dropped, as a judge abstained; None under others.
        policy: what an abstention counts as.
        a_only: items that a alone gets right.
        b_only: items that b alone gets right.
        both: items that both get right.
        neither: items that none gets right.
        mcnemar_exact: exact p-value of a_only against b_only, for gates.
        mcnemar_midp: its mid-p.
        p: the p-value that decides: the mid-p, or where groups repeat that of flipping the sign of
            whole clusters.
        p_method: "mcnemar_midp" or "sign_flip_clustered".
        differences: of agreement, recall_fail and recall_pass (Bonett-Price, clustered where groups
            repeat), kappa, f1_fail, balanced_accuracy and mcc (paired bootstrap).
        recall_p: p-values that decide of recall_fail and recall_pass, by the method of `p`.
        detectable: smallest difference in agreement that so many items show with 80 % power at
            this share of discordant items; None where no difference would do.
        clusters: number of groups, or None where no two items share one.
        observed: codes of what is the case: no_items, no_disagreement, one_cluster.
    """

    n: int
    n_excluded: int | None
    policy: Policy
    a_only: int
    b_only: int
    both: int
    neither: int
    mcnemar_exact: float
    mcnemar_midp: float
    p: float
    p_method: str
    differences: Mapping[str, Metric]
    recall_p: Mapping[str, float]
    detectable: float | None
    clusters: int | None
    observed: tuple[str, ...]

    @property
    def difference(self) -> Metric:
        """Agreement of a minus that of b."""
        return self.differences["agreement"]

    def to_json(self) -> dict[str, Any]:
        """The members of a pair in `judgelab compare --json`. Holds no NaN."""
        d = {name: metric.to_json() for name, metric in self.differences.items()}
        excluded = {} if self.n_excluded is None else {"n_excluded": self.n_excluded}
        return {
            "n": self.n,
            **excluded,
            "policy": self.policy,
            "a_only": self.a_only,
            "b_only": self.b_only,
            "both": self.both,
            "neither": self.neither,
            "mcnemar_exact": self.mcnemar_exact,
            "mcnemar_midp": self.mcnemar_midp,
            "p": self.p,
            "p_method": self.p_method,
            "difference": d.pop("agreement"),
            "kappa_difference": d.pop("kappa"),
            **{f"{name}_difference": value for name, value in d.items()},
            **{f"{name}_p": value for name, value in self.recall_p.items()},
            "detectable": self.detectable,
            "clusters": self.clusters,
            "observed": list(self.observed),
        }


def compare(
    expert: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    *,
    groups: Sequence[Hashable | None] | None = None,
    policy: str = "error",
    level: float = 0.95,
    seed: int = 0,
    draws: int = DRAWS,
) -> Paired:
    """Compare two judges on the same items. Exchanging them negates every difference.

    All bootstrapped differences share one set of resamples of the joint table expert x a x b.

    Args:
        expert: bool, shape (n,); True = fail.
        a: integers, shape (n,); 1 = fail, 0 = pass, -1 = abstained.
        b: as `a`, of the other judge.
        groups: one hashable value an item, e.g. the conversation; None = a group of its own.
        policy: what an abstention counts as; `exclude` keeps the items that both answered.
        level: nominal coverage of the intervals; the tests' own level is 1 - level.
        seed: of the bootstrap; the same arrays and seed give the same numbers in any row order.
        draws: number of resamples.

    Raises:
        ConfigError: an unknown policy.
        ValueError: arrays that are not aligned or hold other values, a level outside (0, 1), or
            draws < 1.
    """
    joint = Joint.of(expert, a, b, groups, policy)
    gains, losses = joint.discordant("agreement")
    a_only, b_only = int(gains.sum()), int(losses.sum())
    resamples = joint.resamples(draws=draws, seed=seed)
    differences = {
        name: joint.difference(name, resamples, level) for name in (*SHARED, *BOOTSTRAPPED)
    }
    test = mcnemar(a_only, b_only)
    n_eff = differences["agreement"].interval.n_eff
    conditions = {
        "no_items": joint.n == 0,
        "no_disagreement": joint.n > 0 and a_only + b_only == 0,
        "one_cluster": joint.clusters == 1,
    }
    share = (a_only + b_only) / joint.n if joint.n else 0.0
    return Paired(
        n=joint.n,
        n_excluded=joint.excluded if joint.policy == "exclude" else None,
        policy=joint.policy,
        a_only=a_only,
        b_only=b_only,
        both=joint.both,
        neither=joint.n - joint.both - a_only - b_only,
        mcnemar_exact=test.exact,
        mcnemar_midp=test.midp,
        p=joint.test("agreement").midp,
        p_method="mcnemar_midp" if joint.clusters is None else "sign_flip_clustered",
        differences=differences,
        recall_p={name: joint.test(name).midp for name in ("recall_fail", "recall_pass")},
        detectable=detectable(int(n_eff or joint.n), share, level=level),
        clusters=joint.clusters,
        observed=tuple(code for code, holds in conditions.items() if holds),
    )


@dataclass(frozen=True)
class NonInferiority:
    """Whether a cheaper judge is at most `margin` worse; `difference` is cheap minus best.

    `holds` asks that the lower limit lies above -margin; without a lower limit it is False.
    """

    metric: str
    margin: float
    difference: Metric
    holds: bool

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"difference": self.difference.to_json()}


def non_inferior(
    expert: ArrayLike,
    cheap: ArrayLike,
    best: ArrayLike,
    *,
    metric: str = "kappa",
    margin: float = 0.05,
    groups: Sequence[Hashable | None] | None = None,
    policy: str = "error",
    level: float = 0.95,
    seed: int = 0,
    draws: int = DRAWS,
) -> NonInferiority:
    """Paired non-inferiority: the lower limit at `level` (one-sided (1 + level) / 2) > -margin.

    Args:
        metric: one of `agreement.METRICS`.
        margin: what may be lost, in the metric's units.
        others: as in `compare`, with `cheap` for a and `best` for b.

    Raises:
        ConfigError: an unknown metric or policy, or a margin that is not above 0.
        ValueError: see `compare`.
    """
    check_metric(metric)
    if not margin > 0:
        raise ConfigError(f"margin={margin} must be above 0, e.g. 0.05: what may be lost")
    joint = Joint.of(expert, cheap, best, groups, policy)
    found = joint.difference(metric, joint.resamples(draws=draws, seed=seed), level)
    lo = found.interval.lo
    return NonInferiority(metric, margin, found, lo is not None and lo > -margin)


@dataclass(frozen=True)
class Flips:
    """How one judge's verdicts changed between two runs, abstentions being verdicts of their own.

    Attributes:
        counts: items by verdict in run a, then in run b: {"fail": {"fail": 3, ...}, ...}.
        n: items.
        flipped: items whose verdict changed.
        share: their share, Wilson (clustered where groups repeat).
        fail_to_pass: items that a fails and b passes.
        pass_to_fail: items that a passes and b fails.
        mcnemar_exact: exact p-value of the one against the other.
        mcnemar_midp: its mid-p.
        p: the p-value that decides, as in `Paired`.
        p_method: "mcnemar_midp" or "sign_flip_clustered".
        clusters: number of groups, or None where no two items share one.
    """

    counts: Mapping[str, Mapping[str, int]]
    n: int
    flipped: int
    share: Metric
    fail_to_pass: int
    pass_to_fail: int
    mcnemar_exact: float
    mcnemar_midp: float
    p: float
    p_method: str
    clusters: int | None

    def to_json(self) -> dict[str, Any]:
        """Every attribute by its name. Holds no NaN."""
        return asdict(self) | {"share": self.share.to_json()}


_VERDICTS = {"fail": FAIL, "pass": PASS, "abstained": ABSTAINED}


def flips(
    a: ArrayLike,
    b: ArrayLike,
    *,
    groups: Groups | None = None,
    level: float = 0.95,
) -> Flips:
    """What changed between two runs over the same items, without any label.

    Args:
        a: integers, shape (n,); 1 = fail, 0 = pass, -1 = abstained.
        b: as `a`, in the other run.
        groups: one hashable value an item, e.g. the conversation; None = a group of its own.
        level: nominal coverage of the share's interval.

    Raises:
        ValueError: arrays that are not aligned or hold other values, or a level outside (0, 1).
    """
    first, second = _verdicts(a), _verdicts(b)
    if first.shape != second.shape:
        raise ValueError(f"a and b must be aligned; got shapes {first.shape} and {second.shape}")
    cells = first * 3 + second
    codes = np.arange(len(cells)) if groups is None else group_codes(groups, len(cells))
    units = count_tables(cells, codes, 9).reshape(-1, 3, 3)
    clusters = len(units) if len(units) < len(cells) else None
    table, (failed, passed, _) = units.sum(axis=0), range(3)
    n, flipped = int(table.sum()), int(table.sum() - np.trace(table))
    lost, gained = units[:, failed, passed], units[:, passed, failed]
    if clusters is None:
        interval = wilson(flipped, n, level)
    else:
        sizes = units.sum(axis=(1, 2))
        interval = clustered_wilson(sizes - np.trace(units, axis1=1, axis2=2), sizes, level)
    test = mcnemar(int(lost.sum()), int(gained.sum()))
    return Flips(
        counts={
            one: dict(zip(_VERDICTS, (int(count) for count in row), strict=True))
            for one, row in zip(_VERDICTS, table, strict=True)
        },
        n=n,
        flipped=flipped,
        share=Metric(flipped / n if n else None, interval, None if n else "no_items"),
        fail_to_pass=int(lost.sum()),
        pass_to_fail=int(gained.sum()),
        mcnemar_exact=test.exact,
        mcnemar_midp=test.midp,
        p=test.midp if clusters is None else sign_flip(lost - gained).midp,
        p_method="mcnemar_midp" if clusters is None else "sign_flip_clustered",
        clusters=clusters,
    )


def _verdicts(codes: ArrayLike) -> NDArray[np.int64]:
    """0 = fail, 1 = pass, 2 = abstained: the order of `_VERDICTS`."""
    verdicts = np.asarray(codes)
    known = np.array(list(_VERDICTS.values()))
    if verdicts.ndim != 1 or not np.isin(verdicts, known).all():
        raise ValueError("verdicts must hold 1 = fail, 0 = pass, -1 = abstained, one an item")
    return np.asarray((verdicts[:, None] == known).argmax(axis=-1), np.int64)
