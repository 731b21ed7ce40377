"""Criteria drift: whether the expert's labels of the same items changed from round to round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise as successive
from typing import Any, Literal

from judgelab.expert.people import fisher
from judgelab.expert.voices import Said, Voices, round_number, too_soon
from judgelab.metrics.paired import Flips, flips
from judgelab.metrics.raters import Pair, pairwise
from judgelab.metrics.scorecard import Metric, scorecard
from judgelab.types import CODES, Label

Verdict = Literal["drift", "none_seen", "unknown"]


@dataclass(frozen=True)
class Step:
    """The labels of one round against the newest earlier one of the same items.

    Attributes:
        round: its number; None stands for labels without one, which come first.
        changes: the 2x2 of flips and its test of asymmetry (McNemar; by cluster where groups
            repeat).
        pair: agreement and kappa with the earlier labels.
        excess_p: one-sided p of Fisher's test that items flip more often than within a round;
            None where no item was labelled twice within one.
    """

    round: int | None
    changes: Flips
    pair: Pair
    excess_p: float | None

    def to_json(self) -> dict[str, Any]:
        changes = self.changes.to_json()
        names = ("n", "flipped", "fail_to_pass", "pass_to_fail")
        tests = ("mcnemar_exact", "mcnemar_midp", "p", "p_method")
        return (
            {"round": self.round}
            | {name: changes[name] for name in (*names, *tests)}
            | {"excess_p": self.excess_p}
            | {name: getattr(self.pair, name).to_json() for name in ("agreement", "kappa")}
        )


@dataclass(frozen=True)
class Drift:
    """What changed between the expert's rounds.

    Attributes:
        verdict: drift where flips go one way, or are more than within a round, at 5 % over all
            tests (Bonferroni); none_seen; unknown where nothing was labelled in two rounds.
        steps: one a round that looks at items again.
        within: items labelled twice within a round, and how many of them flipped: the expert's
            own inconsistency.
        rounds: of the labels that decide, how many each round gave (None: without a round).
        mixed: the banner where these are several rounds.
    """

    verdict: Verdict
    steps: tuple[Step, ...]
    within: tuple[int, int]
    rounds: Mapping[int | None, int]
    mixed: str | None

    def to_json(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict,
            "steps": [step.to_json() for step in self.steps],
            "within_round": {"n": self.within[0], "flipped": self.within[1]},
            "rounds": [{"round": name, "labels": count} for name, count in self.rounds.items()],
            "mixed": self.mixed,
        }


def drift(voices: Voices, *, level: float = 0.95, seed: int = 0) -> Drift:
    """Flips from round to round, held against chance (asymmetry) and the expert's inconsistency.

    Inconsistency flips fails to passes as often as passes to fails, and flips as much within a
    round as between two. Labels known to be less than a day apart are not compared.
    """
    histories = _histories(voices)
    within = [
        (a.label, b.label)
        for said in histories.values()
        for a, b in successive(said)
        if a.round is not None and a.round == b.round and not too_soon(a, b)
    ]
    own = (len(within), sum(a != b for a, b in within))
    steps = tuple(
        _step(name, pairs, voices, own, level, seed)
        for name, pairs in sorted(_between(histories).items())
    )
    tests = [step.changes.p for step in steps]
    tests += [step.excess_p for step in steps if step.excess_p is not None]
    moved = any(p < (1 - level) / len(tests) for p in tests)
    verdict: Verdict = "drift" if moved else "none_seen" if steps else "unknown"
    return Drift(verdict, steps, own, voices.rounds, voices.mixed)


def by_round(
    voices: Voices,
    verdicts: Mapping[str, Label | None] | None = None,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Agreement by round, for a picture: the expert's with himself, and a judge's with him.

    Args:
        voices: what was said.
        verdicts: a judge's, by id; None is an abstention, no entry leaves the item out.
        level: of the intervals.
        seed: of the bootstraps.

    Returns:
        For each round with labels {round, labels, self, judge}. `self` is against the newest
        earlier label of the same items, `judge` against the labels of this round: {n, agreement,
        kappa} as in a scorecard's JSON, or None where there are no such items.
    """
    steps = {step.round: step for step in drift(voices, level=level, seed=seed).steps}
    newest: dict[int | None, dict[str, Label]] = {}
    for id_, said in _histories(voices).items():
        for one in said:
            newest.setdefault(one.round, {})[id_] = one.label
    rows = []
    for name in sorted(newest, key=round_number):
        step, judge = steps.get(name), None
        ids = sorted(newest[name].keys() & (verdicts or {}).keys())
        if ids and verdicts:
            card = scorecard(
                [newest[name][id_] == "fail" for id_ in ids],
                [CODES[verdicts[id_]] for id_ in ids],
                groups=voices.groups(ids),
                level=level,
                seed=seed,
            )
            judge = _point(card.n, card.metrics["agreement"], card.metrics["kappa"])
        own = _point(step.pair.n, step.pair.agreement, step.pair.kappa) if step else None
        rows.append({"round": name, "labels": len(newest[name]), "self": own, "judge": judge})
    return rows


def _histories(voices: Voices) -> dict[str, list[Said]]:
    """The expert's labels of each item, oldest first."""
    return {
        id_: sorted([*voices.again.get(id_, ()), said], key=lambda one: one.age)
        for id_, said in voices.deciding.items()
    }


def _between(histories: Mapping[str, list[Said]]) -> dict[int, list[tuple[str, Label, Label]]]:
    """For each round its newest label of an item, after the newest one of any earlier round."""
    found: dict[int, list[tuple[str, Label, Label]]] = {}
    for id_, said in histories.items():
        last = {round_number(one.round): one for one in said}
        numbers = sorted(last)
        for earlier, later in successive(numbers):
            if not too_soon(last[earlier], last[later]):
                found.setdefault(later, []).append((id_, last[earlier].label, last[later].label))
    return found


def _step(
    name: int,
    pairs: list[tuple[str, Label, Label]],
    voices: Voices,
    within: tuple[int, int],
    level: float,
    seed: int,
) -> Step:
    pairs = sorted(pairs)
    before = [CODES[label] for _, label, _ in pairs]
    after = [CODES[label] for _, _, label in pairs]
    groups = voices.groups([id_ for id_, _, _ in pairs])
    changes = flips(before, after, groups=groups, level=level)
    n, flipped = within
    excess = fisher(changes.flipped, changes.n, flipped, n) if n else None
    pair = pairwise(before, after, groups=groups, level=level, seed=seed)
    return Step(name, changes, pair, excess)


def _point(n: int, agreement: Metric, kappa: Metric) -> dict[str, Any]:
    return {"n": n, "agreement": agreement.to_json(), "kappa": kappa.to_json()}
