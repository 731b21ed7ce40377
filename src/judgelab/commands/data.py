"""`judgelab data split`, and what the commands of `data` share."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from judgelab import config as configs
from judgelab import resources
from judgelab.commands import show
from judgelab.data.schema import Dataset, DatasetConfig, load
from judgelab.data.split import Split, SplitConfig, make_split


def split(overrides: Sequence[str]) -> None:
    """What each part holds, by label and by dimension."""
    dataset_config, config, _ = configured(overrides)
    dataset = load(dataset_config)
    made = make_split(dataset, config, resources.lab() / "splits")
    table = Table(
        title=escape(f"split {config.name} ({made.mode})"), title_justify="left", box=None
    )
    parts = made.counts()
    table.add_column("")
    for part in parts:
        table.add_column(part, justify="right")
    table.add_row("items", *(str(count.total()) for count in parts.values()))
    for label in ("fail", "pass"):
        table.add_row(label, *(str(count[label]) for count in parts.values()))
    for dimension, values in _dimensions(dataset, made).items():
        table.add_section()
        for value, count in sorted(values.items()):
            table.add_row(escape(f"{dimension}={value}"), *(str(count[part]) for part in parts))
    show.out.print(table)
    show.notes([*dataset.notes, *made.notes])
    if made.exploratory:
        show.notes(["few labels: everything is judged out of fold, there is no held-out test"])


def configured(overrides: Sequence[str]) -> tuple[DatasetConfig, SplitConfig, str | None]:
    """The dataset, the split and the judge's rubric that the overrides name."""
    with configs.hydra():
        config = configs.compose(overrides, lenient=True).config
        nodes = configs.resolved(config.dataset), configs.resolved(config.split)
        rubric = config.judge.get("rubric")
    dataset = configs.build(nodes[0], DatasetConfig, "dataset")
    return dataset, configs.build(nodes[1], SplitConfig, "split"), rubric


def _dimensions(dataset: Dataset, made: Split) -> dict[str, dict[str, Counter[str]]]:
    found: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for example in dataset.examples:
        place = made.places[example.id]
        part = f"fold {place.fold}" if place.part == "cv" else place.part
        for dimension, value in example.interaction.dimensions.items():
            found[dimension][value][part] += 1
    return found


def would_be(dataset: Dataset, config: SplitConfig) -> Split:
    """The split, made in a folder that is thrown away: a look assigns nobody for good."""
    with tempfile.TemporaryDirectory() as folder:
        kept = resources.lab() / "splits" / f"{config.name}.csv"
        if kept.exists():
            shutil.copy(kept, folder)
        return make_split(dataset, config, Path(folder))
