"""Changes to a judge that should not change a verdict: its demonstrations and its words.

A change gets a judge that was just built, and the examples it may learn from; it changes the judge
and gives what the judge is then prepared with. It raises Unfit where the judge has no use for it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from judgelab.data.split import Split, TrainSet
from judgelab.demos.base import DemoSelector
from judgelab.judges.base import Judge
from judgelab.judges.prompted import PromptedJudge
from judgelab.types import Example, Interaction, Label, sha256

Change = Callable[[Judge, TrainSet, Split], TrainSet]
Picked = Callable[[list[Example]], list[Example]]

_SIDE_BY_SIDE = re.compile(
    r"(?P<a>[\"'`*]*\bpass\b[\"'`*]*)(?P<between>\s*(?:/|\||,|\bor\b|\band\b)\s*)"
    r"(?P<b>[\"'`*]*\bfail\b[\"'`*]*)"
    r"|(?P<c>[\"'`*]*\bfail\b[\"'`*]*)(?P<amid>\s*(?:/|\||,|\bor\b|\band\b)\s*)"
    r"(?P<d>[\"'`*]*\bpass\b[\"'`*]*)",
    re.IGNORECASE,
)


class Unfit(Exception):
    """Why a change says nothing about a judge."""


def reversed_demos(judge: Judge, train: TrainSet, split: Split) -> TrainSet:
    """The demonstrations in the opposite order."""
    prompted = _with_demos(judge)
    prompted.demos = _Rearranged(prompted.demos, lambda picked: picked[::-1])
    return train


def shuffled_demos(judge: Judge, train: TrainSet, split: Split) -> TrainSet:
    """The demonstrations in an order that is neither theirs nor the opposite."""
    prompted = _with_demos(judge)
    seed = prompted.demos.seed
    prompted.demos = _Rearranged(prompted.demos, lambda picked: _shuffled(picked, seed))
    return train


def of_label(label: Label) -> Change:
    """As many demonstrations, by the same selector, of one label alone."""

    def change(judge: Judge, train: TrainSet, split: Split) -> TrainSet:
        _with_demos(judge)
        return TrainSet([e for e in train if e.label == label], _made_by=split)

    return change


def swapped_words(judge: Judge, train: TrainSet, split: Split) -> TrainSet:
    """Where the template names pass and fail side by side, the other one first."""
    prompted = _prompted(judge)
    template, swapped = _SIDE_BY_SIDE.subn(_swapped, prompted.prompt.template)
    if not swapped:
        raise Unfit("its template does not name pass and fail side by side")
    prompted.prompt = replace(prompted.prompt, template=template)
    prompted.repair = prompted.prompt.repair if prompted.repair else None
    return train


def canaries(seed: str) -> dict[str, str]:
    """A string of its own for each place of a prompt that only the judge should read."""
    places = ("rubric", "demonstrations")
    return {place: f"ref-{sha256(f'{seed}:{place}')[:12]}" for place in places}


def with_canaries(strings: Mapping[str, str]) -> Change:
    """One string in the rubric, another behind the critique of every demonstration."""
    of_rubric, of_demos = strings["rubric"], strings["demonstrations"]

    def change(judge: Judge, train: TrainSet, split: Split) -> TrainSet:
        prompted = _prompted(judge)
        rubric = f"{prompted.prompt.rubric}\n\nReference of this rubric: {of_rubric}"
        prompted.prompt = replace(prompted.prompt, rubric=rubric)
        known: dict[str, Example] = {}

        def marked(picked: list[Example]) -> list[Example]:
            for one in picked:
                known.setdefault(one.id, replace(one, critique=f"{one.critique} [{of_demos}]"))
            return [known[one.id] for one in picked]

        prompted.demos = _Rearranged(prompted.demos, marked)
        return train

    return change


def shows_critiques(judge: Judge, items: Sequence[Interaction]) -> bool:
    """Whether a judge shows demonstrations with their critiques."""
    prompted = _prompted(judge)
    shown = prompted.prompt.show == "critique" and prompted.prompt.reasoning != "none"
    return shown and all(prompted.demos.pick(item) for item in items[:1])


def check_shown(changed: Judge, plain: Judge, name: str, items: Sequence[Interaction]) -> None:
    """Raise Unfit where a change of demonstrations leaves too few of them, or no other order."""
    assert isinstance(changed, PromptedJudge)
    assert isinstance(plain, PromptedJudge)
    for item in items[:1]:
        shown, wanted = len(changed.demos.pick(item)), len(plain.demos.pick(item))
        if not wanted:
            raise Unfit("it is shown no demonstrations")
        if shown < wanted:
            raise Unfit(f"train has {shown} such examples to show where the judge sees {wanted}")
        if wanted < LEAST.get(name, 1):
            raise Unfit(f"of {wanted} demonstrations there is no other such order")


LEAST = {"demos_reversed": 2, "demos_shuffled": 3}
OF_DEMOS: dict[str, Change] = {
    "demos_reversed": reversed_demos,
    "demos_shuffled": shuffled_demos,
    "demos_all_fail": of_label("fail"),
    "demos_all_pass": of_label("pass"),
}
CHANGES: dict[str, Change] = {**OF_DEMOS, "words_swapped": swapped_words}


class _Rearranged(DemoSelector):
    """What another selector picks, rearranged."""

    def __init__(self, inner: DemoSelector, rearrange: Picked) -> None:
        super().__init__(inner.k, inner.seed, inner.show)
        self._inner = inner
        self._rearrange = rearrange

    def prepare(self, train: TrainSet) -> None:
        self._inner.prepare(train)

    def pick(self, interaction: Interaction) -> list[Example]:
        return self._rearrange(self._inner.pick(interaction))

    def select(
        self,
        train: Sequence[Example],
        interaction: Interaction | None,
        k: int,
        rng: random.Random,
    ) -> list[Example]:
        return self._rearrange(self._inner.select(train, interaction, k, rng))


def _prompted(judge: Judge) -> PromptedJudge:
    if not isinstance(judge, PromptedJudge):
        raise Unfit("the judge is no prompt: it has no rubric, template or demonstrations")
    return judge


def _with_demos(judge: Judge) -> PromptedJudge:
    if not isinstance(judge, PromptedJudge):
        raise Unfit("the judge takes no demonstrations")
    return judge


def _shuffled(picked: list[Example], seed: int) -> list[Example]:
    """The same places for the same number of demonstrations, so that a prompt's start stays."""
    order = list(range(len(picked)))
    rng = random.Random(seed)
    while len(order) > 2 and order in (sorted(order), sorted(order, reverse=True)):
        rng.shuffle(order)
    return [picked[n] for n in order]


def _swapped(match: re.Match[str]) -> str:
    groups = match.groupdict()
    if groups["a"] is not None:
        return f"{groups['b']}{groups['between']}{groups['a']}"
    return f"{groups['d']}{groups['amid']}{groups['c']}"
