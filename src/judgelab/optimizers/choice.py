"""The last word is dev's: among a few candidates and the judge as it came."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from judgelab.optimizers.exam import FEWEST, Candidate, Exam, Score, Spent, mixed
from judgelab.types import Example

LOOKS = 3  # at all of dev: the judge as it came and the two best of the race


def kept_back(budget: int, dev: Sequence[Example], looks: int = LOOKS) -> int:
    """The answers of a budget that the choice needs; never more than half of it."""
    return min(budget // 2, looks * len(dev))


async def choose(
    exam: Exam, candidates: Sequence[Candidate], dev: Sequence[Example], rng: random.Random
) -> tuple[Candidate, list[dict[str, Any]]]:
    """The best on dev, which is the judge as it came unless another one is better; and the scores.

    Where there are many they race first. Where the answers left do not hold all of dev for those
    that are looked at, a part of it stands for it, the same for all.
    """
    base, raced = Candidate(), list(dict.fromkeys(candidates))
    items = mixed(dev, rng)
    looks = min(LOOKS, len(raced) + 1)
    if sum(exam.cost(one, items) for one in (base, *raced[: looks - 1])) > exam.left:
        items = items[: max(FEWEST, exam.left // looks)]
    scored: list[tuple[Candidate, Score]] = []
    try:
        scored.append((base, await exam.score(base, items)))
        exam.say_best(scored[0][1])
        if len(raced) >= LOOKS:
            spare = exam.left - (LOOKS - 1) * len(items)
            raced = [one for one, _ in await exam.race(raced, items, max(spare, len(items)))]
        for one in raced[: LOOKS - 1]:
            scored.append((one, await exam.score(one, items)))
            exam.say_best(max(score for _, score in scored))
    except Spent:
        pass
    best = base
    for one, score in scored[1:]:
        if score > dict(scored)[best]:
            best = one
    return best, [_row(one, score) for one, score in scored]


def _row(candidate: Candidate, score: Score) -> dict[str, Any]:
    return {"rubric": candidate.rubric, "demos": candidate.demos, **score.to_json()}
