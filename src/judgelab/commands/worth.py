"""What the labels of a dataset are worth: the expert's side, and how many labels it takes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.markup import escape
from rich.table import Table

from judgelab.commands import show
from judgelab.commands.data import would_be
from judgelab.data.schema import Dataset
from judgelab.data.split import SplitConfig
from judgelab.errors import UserError
from judgelab.expert.ceiling import Ceiling, ceiling_of
from judgelab.expert.drift import Drift, by_round, drift
from judgelab.expert.people import InterAgreement, SelfAgreement, inter_agreement, self_agreement
from judgelab.expert.voices import Voices, voices_of
from judgelab.metrics.names import named
from judgelab.metrics.power import detectable
from judgelab.metrics.sample_size import in_words as labels_in_words
from judgelab.metrics.sample_size import without_judge
from judgelab.scoring import in_words, in_words_of

DIFFER = (0.1, 0.25)  # shares of the items on which two judges differ, for the smallest difference
VERDICTS = {
    "drift": "the criteria have drifted: label the older rounds again, or use one round alone",
    "none_seen": "no drift of the criteria seen",
}


@dataclass(frozen=True)
class Worth:
    """Everything that can be said of the labels before there is a judge."""

    voices: Voices
    again: SelfAgreement
    people: InterAgreement
    ceiling: Ceiling
    drift: Drift
    labels: Mapping[str, Any]

    @classmethod
    def of(cls, dataset: Dataset, split: SplitConfig) -> Worth:
        voices = voices_of(dataset, split.group)
        return cls(
            voices,
            self_agreement(voices),
            inter_agreement(voices),
            ceiling_of(voices),
            drift(voices),
            _labels(dataset, split),
        )

    def to_json(self) -> dict[str, Any]:
        expert = {
            "name": self.voices.expert,
            "self": self.again.to_json(),
            "people": self.people.to_json(),
            "ceiling": self.ceiling.to_json(),
            "drift": self.drift.to_json(),
            "by_round": by_round(self.voices),
            "notes": list(self.voices.notes),
        }
        return {"expert": expert, "labels": dict(self.labels)}

    def show(self) -> None:
        """Both on stdout."""
        _show_expert(self)
        _show_labels(self.labels)


def _labels(dataset: Dataset, config: SplitConfig) -> dict[str, Any]:
    """What the labels of each part could say of a judge, as the split would be made now."""
    whole: dict[str, Counter[Any]] = {
        "all": Counter(known.label for known in dataset.labels.values())
    }
    try:
        made = would_be(dataset, config)
    except UserError as error:  # said, but no reason to say nothing of the labels
        return {"mode": None, "parts": _parts(whole), "groups": None, "note": str(error)}
    counts = made.counts()
    held_out: dict[str, Counter[Any]] = {
        part: counts[part] for part in ("dev", "test") if part in counts
    }
    groups = Counter(group for group in made.clusters.values() if group is not None)
    return {
        "mode": made.mode,
        "parts": _parts(whole if made.exploratory else held_out),
        "groups": len(groups) if any(count > 1 for count in groups.values()) else None,
        "note": None,
    }


def _parts(counts: Mapping[str, Counter[Any]]) -> list[dict[str, Any]]:
    return [_part(name, count["fail"], count["pass"]) for name, count in counts.items()]


def _part(name: str, fails: int, passes: int) -> dict[str, Any]:
    smallest = [
        {"differ_on": share, "difference": detectable(fails + passes, share)} for share in DIFFER
    ]
    return {"part": name} | without_judge(fails, passes) | {"detectable": smallest}


def _show_expert(side: Worth) -> None:
    show.line("\nthe expert's side")
    for text in _expert_lines(side):
        show.line(f"  {text}")
    if side.people.pairs:
        table = Table(box=None, padding=(0, 1, 0, 2), pad_edge=True)
        table.add_column("two people", overflow="fold")
        table.add_column("n", justify="right")
        table.add_column("agreement", no_wrap=True)
        table.add_column("kappa", no_wrap=True)
        table.add_column("", overflow="fold")
        for one in side.people.pairs:
            found = one.to_json()
            table.add_row(
                escape(f"{one.a} · {one.b}"),
                str(one.pair.n),
                *(in_words_of(found[name]) for name in ("agreement", "kappa")),
                escape(_remark(side.people, one.a, one.b)),
            )
        show.table(table)
    for text in _ceiling_lines(side.ceiling, side.people):
        show.line(f"  {text}")


def _expert_lines(side: Worth) -> Iterator[str]:
    yield from side.voices.notes
    again, decider = side.again, side.voices.decider
    if again.pair:
        found = again.to_json()
        yield (
            f"{decider}, a second time: agreement {in_words_of(found['agreement'])}, kappa "
            f"{in_words_of(found['kappa'])}; {again.n} of {again.of} labelled again"
            + (" (enough)" if again.n >= again.needed else f", {again.needed} are enough")
        )
        yield f"  {_apart(again)}"
    elif again.reason == "expert_unnamed":
        yield "nobody is named as the expert: dataset.expert=NAME, or a column of annotators"
    elif side.people.made_of_others != decider:
        yield f"{decider}, a second time: none of {again.of} labelled again, consistency unknown"
    if again.too_soon:
        yield f"  left out, labelled again within a day: {again.too_soon}"
    yield from _drift_lines(side.drift)


def _apart(again: SelfAgreement) -> str:
    unknown = again.n - again.apart
    if not unknown:
        return "all a day or more apart"
    return f"a day or more apart: {again.apart}, not known: {unknown}"


def _drift_lines(found: Drift) -> Iterator[str]:
    if found.mixed:
        yield found.mixed
    for step in found.steps:
        changes = step.changes
        more = (
            "" if step.excess_p is None else f"; more than within a round: p = {step.excess_p:.2g}"
        )
        yield (
            f"round {step.round}: {changes.flipped} of {changes.n} labels changed, "
            f"{changes.fail_to_pass} fail to pass, {changes.pass_to_fail} pass to fail "
            f"(more one way than the other: p = {changes.p:.2g}{more})"
        )
    n, flipped = found.within
    if found.steps:
        yield VERDICTS[found.verdict] + (
            f"; within a round {flipped} of {n} changed"
            if n
            else "; nothing was labelled twice within a round, so only changes one way would show"
        )


def _remark(people: InterAgreement, a: str, b: str) -> str:
    chosen = [name for name in (a, b) if name in (people.chosen or {})]
    if chosen:
        return f"{', '.join(chosen)}: chosen items"
    if people.made_of_others in (a, b):
        return f"{people.made_of_others} follows their majority"
    return ""


def _ceiling_lines(found: Ceiling, people: InterAgreement) -> Iterator[str]:
    for name, why in (people.chosen or {}).items():
        yield f"{name} labelled a chosen part, so agreement there is too low: {why}"
    if people.alpha:
        alpha = in_words_of(people.alpha.to_json())
        yield f"Krippendorff's alpha of {', '.join(people.alpha_of)}: {alpha}"
    if found.card:
        card = found.to_json()
        numbers = ", ".join(f"{named(name)} {in_words(card, name)}" for name, _ in show.SHOWN)
        yield f"ceiling for a judge, {found.who}, n {found.n}:"
        yield f"  {numbers}"
    yield from found.notes
    if text := found.in_words():
        yield text


def _show_labels(labels: Mapping[str, Any]) -> None:
    show.line("\nhow many labels")
    if labels["note"]:
        show.line(f"  no split: {labels['note']}")
    for part in labels["parts"]:
        name = "all, out of fold" if labels["mode"] == "cv" else part["part"]
        show.line(f"  {name}: {part['n']} labels, {part['fails']} fail, {part['passes']} pass")
        for text in labels_in_words(part):
            show.line(f"    {text}")
        show.line(f"    {_smallest(part['detectable'])}")
    if labels["groups"]:
        show.line(
            f"  items share {labels['groups']} groups: where those of a group are alike, it takes "
            "more of them"
        )


def _smallest(found: Sequence[Mapping[str, Any]]) -> str:
    shown = [
        f"{math.ceil(100 * one['difference'] - 1e-9)} points where they differ on "
        f"{one['differ_on']:.0%}"
        for one in found
        if one["difference"] is not None
    ]
    if not shown:
        return "two judges: no difference in agreement could be shown"
    return f"two judges: the smallest difference that shows is {', '.join(shown)} of the items"
