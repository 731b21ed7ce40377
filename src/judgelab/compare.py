"""Two or more judges on the same items: who is better, and whom these items cannot tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from judgelab.data.labels_file import Labels
from judgelab.drift import changes
from judgelab.errors import DataError, UserError
from judgelab.scoring import codes
from judgelab.sources import LEVEL, Fit, Source, chosen, fit
from judgelab.tracking.sweeps import Sweep, tried_beside
from judgelab.types import CODES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ABSTAINED = CODES[None]


@dataclass(frozen=True)
class Aligned:
    """Judges on the items that all were asked, sorted by id.

    Attributes:
        names: of the judges, as given.
        items: ids, n of them.
        expert: bool, shape (n,); True = fail.
        verdicts: one row a judge, shape (K, n); 1 = fail, 0 = pass, -1 = abstained.
        groups: the cluster of each item, or None.
        missing: items that each judge has no line for, one number a judge; they are abstentions.
        notes: which items were left out or are missing, and why.
    """

    names: list[str]
    items: list[str]
    expert: NDArray[np.bool_]
    verdicts: NDArray[np.int64]
    groups: list[str | None] | None
    missing: list[int]
    notes: list[str]

    def about(self, policy: str) -> list[dict[str, Any]]:
        """How much each judge answered: the block `judges` of `judgelab compare --json`."""
        n, found = len(self.items), []
        for name, row, missing in zip(self.names, self.verdicts, self.missing, strict=True):
            none = int((row == ABSTAINED).sum())
            excluded = {"n_excluded": none} if policy == "exclude" else {}
            counts = {"n": n, "coverage": (n - none) / n, "abstained": none, "missing": missing}
            found.append({"judge": name, **counts, **excluded})
        return found


def align(sources: Sequence[Source], labels: Labels) -> Aligned:
    """The items that every judge was asked (`sources.Fit`), with the texts that are labelled.

    Raises DataError where no item has a line of every judge, and UserError for fewer than two
    judges.
    """
    import numpy as np

    if len(sources) < 2:
        there = sources[0].name if sources else "none"
        raise UserError(f"compare needs two judges or more; there is one: {there}.")
    fits = {source.name: fit(source, labels) for source in sources}
    shared = set.intersection(*(one.asked for one in fits.values()))
    moved = {item for item in shared if len(_contents(sources, item)) > 1}
    common = shared - moved
    if not common.intersection(*(one.ids for one in fits.values())):
        raise DataError(_nothing_in_common(sources, fits, moved))
    items, missing = sorted(common), [len(common - one.ids) for one in fits.values()]
    return Aligned(
        [source.name for source in sources],
        items,
        np.array([labels.labels[item] == "fail" for item in items]),
        np.array([codes(items, source.verdicts) for source in sources]),
        [labels.clusters.get(item) for item in items] if labels.clusters else None,
        missing,
        [*_left_out(fits, moved, len(items)), *_missing(fits, common)],
    )


def _contents(sources: Sequence[Source], item: str) -> set[str]:
    return {source.content[item] for source in sources if item in source.content}


def _left_out(fits: Mapping[str, Fit], moved: set[str], n: int) -> list[str]:
    notes = [
        f"{name}: {len(one.asked) - n} of its {len(one.asked)} items are left out: not every judge "
        "judged them"
        for name, one in fits.items()
        if len(one.asked - moved) > n
    ]
    for name, one in fits.items():
        if one.unlabelled:
            notes.append(f"{name}: {len(one.unlabelled)} verdicts on items without a label")
        if one.moved:
            notes.append(f"{name}: {len(one.moved)} items have other texts now and are left out")
    if moved:
        notes.append(f"{len(moved)} ids stand for different texts and are left out")
    return notes


def _missing(fits: Mapping[str, Fit], items: set[str]) -> list[str]:
    return [
        f"{name}: {none} of {len(items)} labelled items have no verdict (abstained: missing)"
        for name, one in fits.items()
        if (none := len(items - one.ids))
    ]


def _nothing_in_common(sources: Sequence[Source], fits: Mapping[str, Fit], moved: set[str]) -> str:
    judged = []
    for source in sources:
        part = f" of {source.run.record['part']}" if source.run else ""
        judged.append(f"{source.name} judged {len(fits[source.name].ids)} items{part}")
    why = f" {len(moved)} ids they share stand for different texts." if moved else ""
    return (
        f"no common items: {', '.join(judged)}.{why} Judges are compared on the same items: "
        "runs on the same part of the same data, or files with the same ids."
    )


@dataclass(frozen=True)
class Comparison:
    """Every pair, and the set that cannot be told apart from the best, tested at `alpha`.

    Attributes:
        best_n: items that the best set is from; under policy `exclude` those that all answered.
        few: why the items carry no claim of a best set (`reliability`), or None.
        picked: what was tried on these items beside the judges named here.
        drift: what changed, where the judges are two runs.
    """

    aligned: Aligned
    baseline: str | None
    policy: str
    level: float
    pairs: list[dict[str, Any]]
    best_set: list[str]
    alpha: float
    best_n: int
    few: str | None
    picked: Picked
    drift: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """The object that `judgelab compare --json` prints. Holds no NaN."""
        return {
            "n": len(self.aligned.items),
            "variants": self.aligned.names,
            "baseline": self.baseline,
            "positive": "fail",
            "policy": self.policy,
            "level": self.level,
            "judges": self.aligned.about(self.policy),
            "pairs": self.pairs,
            "best_set": self.best_set,
            "best_set_alpha": self.alpha,
            "best_set_n": self.best_n,
            "best_set_reliability": self.few,
            "picked": self.picked.names,
            "tried": self.picked.tried,
            **(self.drift or {}),
        }


def compare(
    sources: Sequence[Source],
    labels: Labels,
    *,
    baseline: str | None = None,
    policy: str = "error",
    level: float = LEVEL,
    seed: int = 0,
) -> Comparison:
    """Compare judges on the items all were asked: each with `baseline`, or all with all.

    Holm and BH are over these pairs, on the p that decides of each. The best set is by agreement
    (0/1 loss), its level paid by the looks like that of the pairs. Both come with a `reliability`:
    why so few items carry no claim.

    Raises:
        UserError: fewer than two judges, or a baseline that is none of them.
        DataError: no common items.
    """
    from judgelab.metrics import multiplicity, paired
    from judgelab.metrics.best_set import ALPHA, best_set

    aligned = align(sources, labels)
    base = chosen(baseline, sources).name if baseline else None
    names = aligned.names
    family = [(a, base) for a in names if a != base] if base else list(combinations(names, 2))
    of = dict(zip(names, aligned.verdicts, strict=True))
    options: Any = {"groups": aligned.groups, "policy": policy, "seed": seed}
    found = [
        paired.compare(aligned.expert, of[a], of[b], level=level, **options) for a, b in family
    ]
    adjusted = zip(
        multiplicity.holm([one.p for one in found]),
        multiplicity.bh([one.p for one in found]),
        strict=True,
    )
    pairs = [
        {
            **{"a": a, "b": b, **one.to_json(), "holm": holm, "bh": bh},
            "reliability": reliability(aligned.expert, [of[a], of[b]], policy),
        }
        for (a, b), one, (holm, bh) in zip(family, found, adjusted, strict=True)
    ]
    alpha = ALPHA * ((1 - level) / (1 - LEVEL))
    best = best_set(aligned.expert, aligned.verdicts, metric="agreement", alpha=alpha, **options)
    return Comparison(
        aligned,
        base,
        policy,
        level,
        pairs,
        [name for name, kept in zip(names, best.kept, strict=True) if kept],
        best.alpha,
        best.n,
        reliability(aligned.expert, aligned.verdicts, policy),
        picked(sources),
        _drift(sources, labels, level),
    )


def reliability(
    expert: NDArray[np.bool_], judges: Sequence[NDArray[np.int64]] | NDArray[np.int64], policy: str
) -> str | None:
    """As of a scorecard: "low (9 fails)" under 30 compared items or 10 of a class, else None.

    Args:
        expert: bool, shape (n,); True = fail.
        judges: rows of shape (n,); -1 = abstained.
        policy: `exclude` compares the items that all of them answered.
    """
    import numpy as np

    from judgelab.metrics.scorecard import FEW_ITEMS, FEW_OF_A_CLASS

    answered = (np.asarray(judges) != ABSTAINED).all(axis=0)
    kept = expert[answered] if policy == "exclude" else expert
    fails, n = int(kept.sum()), len(kept)
    counts = ((fails, "fail", "fails"), (n - fails, "pass", "passes"))
    few = [f"{k} {one if k == 1 else many}" for k, one, many in counts if k < FEW_OF_A_CLASS]
    if not few and n < FEW_ITEMS:
        few = [f"{n} items"]
    return f"low ({', '.join(few)})" if few else None


@dataclass(frozen=True)
class Picked:
    """How runs on dev came to be compared.

    Attributes:
        names: of those that a sweep chose, on these very items.
        tried: variants that were tried on them; 0 where no run on dev is compared.
        others: those of them that are not compared.
    """

    names: list[str]
    tried: int
    others: int


def picked(sources: Sequence[Source]) -> Picked:
    """What the p-values of a comparison do not know: the choice that went before it."""
    runs = {one.name: one.run for one in sources if one.run and one.run.record["part"] == "dev"}
    sweeps = {name: Sweep.around(run) for name, run in runs.items()}
    chosen = {name: sweep and sweep.selection.get("chosen") for name, sweep in sweeps.items()}
    places = {(run.path.parent, run.record["split"]["name"]): run for run in runs.values()}
    tried = {variant for run in places.values() for variant in tried_beside(run)}
    others = tried - {run.record["variant"] for run in runs.values()}
    names = [name for name, run in runs.items() if chosen[name] == run.id]
    return Picked(names, len(tried), len(others))


def _drift(sources: Sequence[Source], labels: Labels, level: float) -> dict[str, Any] | None:
    """What changed between two runs, and whether the verdicts on the same texts moved."""
    runs = [source.run for source in sources if source.run]
    if len(sources) != 2 or len(runs) != 2:
        return None
    from judgelab.metrics import paired

    before, after = sources
    found = changes(runs[0], runs[1])
    items = sorted(
        item for item in before.ids & after.ids if before.content[item] == after.content[item]
    )
    said = [codes(items, source.verdicts) for source in sources]
    groups = [labels.clusters.get(item) for item in items] if labels.clusters else None
    flips = paired.flips(*said, groups=groups, level=level)
    return {"changed": list(found), "changes": found, "flips": flips.to_json()}
