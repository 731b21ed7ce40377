"""A judge under the expert's first labels and under the blind second ones, on the same items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from judgelab.expert.voices import Voices, second
from judgelab.metrics.paired import Paired, compare
from judgelab.metrics.policies import check_policy
from judgelab.metrics.scorecard import Scorecard, scorecard
from judgelab.types import CODES, Label

COUNTED: Mapping[str, Label] = {"as_fail": "fail", "as_pass": "pass"}


@dataclass(frozen=True)
class Relabelled:
    """What a judge scores where labels changed: the first ones still decide.

    A batch of items to label again may hold more disagreements than there are (`judgelab review
    --again N --run RUN` draws half of each): then the level of both columns is the batch's, and
    their difference is what it is about.

    Attributes:
        n: items with a second label and a line of the judge's.
        changed: of those, the ids whose second label is another, with both labels.
        strata: by whether the judge's verdict was the first label (`agreed`, or `differed`, where
            an abstention is too), the items and how many of them changed.
        first: the scorecard under the first labels; `again` under the second.
        pair: agreement under the second labels against agreement under the first.
    """

    n: int
    changed: Mapping[str, tuple[Label, Label]]
    strata: Mapping[str, tuple[int, int]]
    first: Scorecard
    again: Scorecard
    pair: Paired

    def to_json(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "changed": [
                {"id": id_, "before": before, "now": now}
                for id_, (before, now) in self.changed.items()
            ],
            **{name: {"n": n, "changed": k} for name, (n, k) in self.strata.items()},
            "first": self.first.to_json("")["metrics"],
            "again": self.again.to_json("")["metrics"],
            "difference": self.pair.difference.to_json(),
            "p": self.pair.p,
            "p_method": self.pair.p_method,
        }


def relabelled(
    voices: Voices,
    verdicts: Mapping[str, Label | None],
    *,
    policy: str = "error",
    level: float = 0.95,
    seed: int = 0,
) -> Relabelled | None:
    """None where no label changed, or nothing was labelled a second time (`voices.second`).

    Agreement does not care which of two is the judge: the verdict stands in the expert's place
    here, and the two labels are compared as two judges are (`metrics.paired`).

    Args:
        voices: of the items that the judge is scored on.
        verdicts: the judge's by id; None is an abstention.
        policy: what an abstention counts as.
        level: nominal coverage of the intervals.
        seed: of the bootstrap.
    """
    counted = COUNTED.get(check_policy(policy))
    again = {id_: said.label for id_, said in second(voices).items() if id_ in verdicts}
    first = {id_: voices.labels[id_] for id_ in again}
    ids = sorted(again)
    changed = {id_: (first[id_], again[id_]) for id_ in ids if first[id_] != again[id_]}
    if not changed:
        return None
    said = [verdicts[id_] for id_ in ids]
    agreed = {id_ for id_ in ids if verdicts[id_] == first[id_]}
    strata = {
        name: (len(part), len(part & changed.keys()))
        for name, part in (("agreed", agreed), ("differed", set(ids) - agreed))
    }

    def card(labels: Mapping[str, Label]) -> Scorecard:
        return scorecard(
            [labels[id_] == "fail" for id_ in ids],
            [CODES[one] for one in said],
            groups=voices.groups(ids),
            policy=policy,
            level=level,
            seed=seed,
        )

    def codes(labels: Mapping[str, Label]) -> list[int]:
        """The labels, and no label where there is no verdict to agree with."""
        pairs = zip(ids, said, strict=True)
        return [CODES[labels[id_] if one or counted else None] for id_, one in pairs]

    pair = compare(
        [(one or counted) == "fail" for one in said],
        codes(again),
        codes(first),
        groups=voices.groups(ids),
        policy="exclude" if policy == "exclude" else "error",
        level=level,
        seed=seed,
    )
    return Relabelled(len(ids), changed, strata, card(first), card(again), pair)
