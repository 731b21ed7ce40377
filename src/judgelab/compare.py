"""Two or more judges on the same items: who is better, and whom these items cannot tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from judgelab import config as configs
from judgelab.data.assignment import group_of
from judgelab.data.labels_file import Labels
from judgelab.data.looks import recorded_look
from judgelab.data.schema import Dataset, DatasetConfig, load
from judgelab.data.split import Split, SplitConfig, recorded_split
from judgelab.drift import changes
from judgelab.errors import DataError, UserError
from judgelab.scoring import codes
from judgelab.sources import LEVEL, Fit, Source, chosen, fit, level_of
from judgelab.tracking.folder import RunFolder
from judgelab.types import Label, canonical_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Ground:
    """What runs are held against: the labels, the level, and what to say of them."""

    labels: Labels
    level: float
    notes: list[str]


def ground_of_runs(sources: Sequence[Source], group: str | None = None) -> Ground:
    """The expert labels of what runs judged, from the runs' own datasets as they are now.

    Labels of test open for runs that are looks at it, at the level of their looks.

    Raises:
        UserError: a dataset that is not there any more, items that two datasets label
            differently, or runs clustered by different fields (`group` names one for all).
    """
    labels: dict[str, Label] = {}
    clusters: dict[str, str | None] = {}
    content: dict[str, str] = {}
    datasets: dict[str, Dataset] = {}
    notes, clashes, fields = [], set(), set()
    for source in sources:
        folder = _run(source)
        key = canonical_json(folder.config["dataset"])
        if key not in datasets:
            datasets[key] = _load(folder)
        split = _split(folder, datasets[key])
        fields.add(split.config.group)
        if datasets[key].sha256 != folder.record["dataset"]["sha256"]:
            notes.append(
                f"{source.name}: its data or labels changed since; scored under the labels as "
                "they are now"
            )
        known = split.labels(folder.record["part"], recorded_look(folder.record))
        items = {e.id: e.interaction for e in datasets[key].examples}
        for id_ in source.ids & known.keys():
            item = items[id_]
            if labels.setdefault(id_, known[id_]) != known[id_]:
                clashes.add(id_)
            content.setdefault(id_, item.content)
            clusters.setdefault(id_, group_of(item, group or split.config.group))
    if clashes:
        raise DataError(
            f"the datasets of these runs label {len(clashes)} items differently: "
            f"{', '.join(sorted(clashes)[:5])}. Say which labels count with --labels FILE."
        )
    if not labels:
        raise DataError("no item that these runs judged has a label any more.")
    if not group and len(fields) > 1:
        said = ", ".join(sorted(str(one or "group") for one in fields))
        raise UserError(
            f"the runs were made with different split.group ({said}); choose with --group FIELD."
        )
    if group and not any(clusters.values()):
        raise DataError(f"no item of these runs has the field {group!r} (--group).")
    grouped = clusters if any(clusters.values()) else None
    return Ground(Labels(labels, grouped, content, where="their dataset"), level_of(sources), notes)


def _run(source: Source) -> RunFolder:
    if source.run is None:
        raise UserError(
            f"{source.where} is no run of this lab, so it brings no labels: add --labels FILE."
        )
    return source.run


def _load(folder: RunFolder) -> Dataset:
    try:
        return load(configs.build_part(folder.config, "dataset", DatasetConfig))
    except UserError as error:
        raise DataError(
            f"{error} The labels of {folder.id} come from its own dataset; where that is gone, "
            "give them as --labels FILE."
        ) from error


def _split(folder: RunFolder, dataset: Dataset) -> Split:
    """Everybody where the run had them."""
    config = configs.build(folder.config["split"], SplitConfig, "split")
    return recorded_split(dataset, config, folder.record["mode"], folder.assignment)


@dataclass(frozen=True)
class Aligned:
    """Judges on their common items, sorted by id.

    Attributes:
        names: of the judges, as given.
        items: ids, n of them.
        expert: bool, shape (n,); True = fail.
        verdicts: one row a judge, shape (K, n); 1 = fail, 0 = pass, -1 = abstained.
        groups: the cluster of each item, or None.
        notes: which items were left out, and why.
    """

    names: list[str]
    items: list[str]
    expert: NDArray[np.bool_]
    verdicts: NDArray[np.int64]
    groups: list[str | None] | None
    notes: list[str]


def align(sources: Sequence[Source], labels: Labels) -> Aligned:
    """The items that every judge judged, with the texts that are labelled.

    Raises DataError where there are none, and UserError for fewer than two judges.
    """
    import numpy as np

    if len(sources) < 2:
        there = sources[0].name if sources else "none"
        raise UserError(f"compare needs two judges or more; there is one: {there}.")
    fits = {source.name: fit(source, labels) for source in sources}
    shared = set.intersection(*(one.ids for one in fits.values()))
    moved = {item for item in shared if len(_contents(sources, item)) > 1}
    items = sorted(shared - moved)
    if not items:
        raise DataError(_nothing_in_common(sources, fits, moved))
    return Aligned(
        [source.name for source in sources],
        items,
        np.array([labels.labels[item] == "fail" for item in items]),
        np.array([codes(items, source.verdicts) for source in sources]),
        [labels.clusters.get(item) for item in items] if labels.clusters else None,
        _left_out(fits, moved, len(items)),
    )


def _contents(sources: Sequence[Source], item: str) -> set[str]:
    return {source.content[item] for source in sources if item in source.content}


def _left_out(fits: Mapping[str, Fit], moved: set[str], n: int) -> list[str]:
    notes = [
        f"{name}: {len(one.ids) - n} of its {len(one.ids)} items are left out: not every judge "
        "judged them"
        for name, one in fits.items()
        if len(one.ids - moved) > n
    ]
    for name, one in fits.items():
        if one.unlabelled:
            notes.append(f"{name}: {len(one.unlabelled)} verdicts on items without a label")
        if one.moved:
            notes.append(f"{name}: {len(one.moved)} items have other texts now and are left out")
    if moved:
        notes.append(f"{len(moved)} ids stand for different texts and are left out")
    return notes


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

    `drift` is there where the judges are two runs.
    """

    aligned: Aligned
    baseline: str | None
    policy: str
    level: float
    pairs: list[dict[str, Any]]
    best_set: list[str]
    alpha: float
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
            "pairs": self.pairs,
            "best_set": self.best_set,
            "best_set_alpha": self.alpha,
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
    """Compare judges on their common items: each with `baseline`, or all with all.

    Holm and BH are over these pairs, on the p that decides of each. The best set is by agreement
    (0/1 loss).

    Raises:
        UserError: fewer than two judges, or a baseline that is none of them.
        DataError: no common items.
    """
    from judgelab.metrics import multiplicity, paired
    from judgelab.metrics.best_set import best_set

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
        {"a": a, "b": b, **one.to_json(), "holm": holm, "bh": bh}
        for (a, b), one, (holm, bh) in zip(family, found, adjusted, strict=True)
    ]
    best = best_set(aligned.expert, aligned.verdicts, metric="agreement", **options)
    return Comparison(
        aligned,
        base,
        policy,
        level,
        pairs,
        [name for name, kept in zip(names, best.kept, strict=True) if kept],
        best.alpha,
        _drift(sources, labels, level),
    )


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
