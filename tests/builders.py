"""Made-up interactions and datasets; no two texts share a run of words unless a test says so."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from judgelab.data.annotations import ExpertLabel
from judgelab.data.schema import Dataset
from judgelab.data.split import Split, SplitConfig, TrainSet, make_split
from judgelab.types import Example, Interaction, Label

_letters = random.Random(7)
WORDS = ["".join(_letters.choices("abcdefghijklmnopqrstuvwxyz", k=7)) for _ in range(3000)]


def text(key: object, n: int = 20) -> str:
    """n made-up words; the same key gives the same words in every process."""
    return " ".join(random.Random(f"text:{key}").choices(WORDS, k=n))


def example(
    key: object, label: Label = "fail", critique: str | None = None, **more: Any
) -> Example:
    """One labelled interaction, its id, input, output and critique made from `key`."""
    said = text(f"critique:{key}") if critique is None else critique
    return Example(interaction(key, **more), label, said, "ada")


def interaction(key: object, **more: Any) -> Interaction:
    own = {"id": f"i{key}", "input": text(f"input:{key}"), "output": text(f"output:{key}")}
    return Interaction(**(own | more))


def examples(n: int, start: int = 0, every: int = 3, **more: Any) -> list[Example]:
    """n examples; each `every`-th is a fail."""
    return [
        example(i, "fail" if i % every == 0 else "pass", **more) for i in range(start, start + n)
    ]


def dataset(items: Iterable[Example], *unlabelled: Interaction) -> Dataset:
    items = list(items)
    labels = {e.id: ExpertLabel(e.label, e.critique, e.annotator) for e in items}
    return Dataset("made", (*(e.interaction for e in items), *unlabelled), labels, expert="ada")


def split(items: Iterable[Example], folder: Path, name: str = "made", **config: Any) -> Split:
    return make_split(dataset(items), SplitConfig(name, **config), folder)


def train_set(items: Sequence[Example], folder: Path) -> TrainSet:
    """A TrainSet that holds exactly these."""
    ratios = {"train": 1.0, "dev": 0.0, "test": 0.0}
    made = split(items, folder, "train_only", mode="holdout", ratios=ratios)
    return TrainSet(items, _made_by=made)
