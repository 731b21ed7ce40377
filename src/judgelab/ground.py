"""What runs are compared under: the expert labels of what they judged, and at which level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from judgelab import config as configs
from judgelab.data.assignment import group_of
from judgelab.data.labels_file import Labels
from judgelab.data.looks import is_same_look, recorded_look
from judgelab.data.schema import Dataset, DatasetConfig, load
from judgelab.data.split import Split, SplitConfig, recorded_split
from judgelab.errors import ClaimError, DataError, UserError
from judgelab.sources import Source, another_look, level_of
from judgelab.tracking.folder import RunFolder
from judgelab.types import Label, canonical_json


@dataclass(frozen=True)
class Ground:
    """What runs are held against: the labels, the level, and what to say of them."""

    labels: Labels
    level: float
    notes: list[str]


def ground_of_runs(sources: Sequence[Source], group: str | None = None) -> Ground:
    """The expert labels of what runs judged, from the runs' own datasets as they are now.

    Labels of test open for runs that are looks at it, at the level of their looks, and only while
    they are the ones that the look saw.

    Raises:
        ClaimError: a look at test whose labels, or the texts they belong to, changed since.
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
        look = recorded_look(folder.record)
        known = split.labels(folder.record["part"], look)
        if look and not is_same_look(folder.record, known, datasets[key]):
            raise ClaimError(
                f"{source.name} ({folder.id}) is a look at test, and labels or texts of its items "
                "changed since: under the labels as they are now it would be another look. "
                f"{another_look(folder)}"
            )
        if not look and datasets[key].sha256 != folder.record["dataset"]["sha256"]:
            notes.append(
                f"{source.name}: its data or labels changed since; scored under the labels as "
                "they are now"
            )
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
