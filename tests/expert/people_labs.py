"""Made-up people who label made-up items."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

from judgelab.types import Annotation, Label


def other(label: Label) -> Label:
    return "pass" if label == "fail" else "fail"


def truths(n: int, seed: int = 0, fails: float = 0.4) -> dict[str, Label]:
    rng = random.Random(seed)
    return {f"i{k:04}": "fail" if rng.random() < fails else "pass" for k in range(n)}


def noisy(labels: Mapping[str, Label], wrong: float, seed: int) -> dict[str, Label]:
    """Somebody who is wrong at that rate."""
    rng = random.Random(seed)
    return {i: other(label) if rng.random() < wrong else label for i, label in labels.items()}


def by(
    name: str, labels: Mapping[str, Label], *, at: str = "", round: int | None = None
) -> list[Annotation]:
    return [Annotation(i, name, label, at=at, round=round) for i, label in labels.items()]


def part(labels: Mapping[str, Label], ids: Iterable[str]) -> dict[str, Label]:
    return {i: labels[i] for i in ids}


def flipped(labels: Mapping[str, Label], ids: Iterable[str]) -> dict[str, Label]:
    turned = set(ids)
    return {i: other(label) if i in turned else label for i, label in labels.items()}


def adjudicated(
    labels: Mapping[str, Label], wrong: float, seed: int
) -> tuple[dict[str, Label], dict[str, Label], dict[str, Label], dict[str, Label]]:
    """Two people, a third who labels where they differ, and the majority of them."""
    one, two, three = (noisy(labels, wrong, seed + k) for k in range(3))
    third = {i: three[i] for i in labels if one[i] != two[i]}
    return one, two, third, {i: third.get(i, one[i]) for i in labels}
