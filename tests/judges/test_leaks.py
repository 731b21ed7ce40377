"""Nothing of dev or test reaches a prompt but the interaction that is judged."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest

from builders import example, split, text
from judgelab.calls.line import Calls
from judgelab.calls.pool import Pool
from judgelab.data.split import Fold, Split
from judgelab.demos.balanced import BalancedDemos
from judgelab.demos.base import DemoSelector
from judgelab.demos.diverse import DiverseDemos
from judgelab.demos.nearest import NearestDemos
from judgelab.demos.none import NoDemos
from judgelab.demos.random import RandomDemos
from judgelab.judges.classifier import ClassifierJudge
from judgelab.judges.prompted import PromptedJudge
from judgelab.models.base import Request
from judgelab.models.scripted import Scripted
from judgelab.types import Example, Interaction, Verdict

GRAM = 13  # words
SELECTORS = {
    "none": NoDemos,
    "random": lambda: RandomDemos(8),
    "balanced": lambda: BalancedDemos(8),
    "diverse": lambda: DiverseDemos(8),
    "nearest": lambda: NearestDemos(8),
    "nearest, all of train": lambda: NearestDemos(999),
}
cases = pytest.mark.parametrize(
    ("n", "part"), [(70, "dev"), (180, "dev"), (180, "test")], ids=["cv", "dev", "test"]
)
selectors = pytest.mark.parametrize("name", SELECTORS)


@lru_cache(2000)
def grams(words: str, n: int = GRAM) -> frozenset[tuple[str, ...]]:
    found = re.findall(r"\w+", words.casefold())
    return frozenset(tuple(found[i : i + n]) for i in range(len(found) - n + 1))


def told(item: Example, *, critique: bool = True) -> set[tuple[str, ...]]:
    """The runs of words of an item: input, output, context and critique, each for itself."""
    one = item.interaction
    texts = [one.input, one.output, *map(str, one.context.values())]
    return set().union(*(grams(t) for t in texts + [item.critique] * critique))


def items(n: int) -> list[Example]:
    """Conversations, shared inputs, near-copies and shared boilerplate: where leaks come from."""
    rng = random.Random(n)
    made: list[Example] = []
    for i in range(n):
        new = example(i, rng.choice(["fail", "pass"]), f"canary{i} {text(f'why {i}', 18)}")
        one = replace(new.interaction, context={"schema": text("the one schema", 20)})
        kind = rng.randrange(5)
        if kind == 0:
            one = replace(one, group=f"talk {rng.randrange(n // 4)}")
        elif kind == 1:
            one = replace(one, input=text(f"shared {rng.randrange(n // 3)}"))
        elif kind == 2 and made:
            old = rng.choice(made).interaction
            one = replace(one, input=old.input + " again", output=f"{old.output} {i}")
        made.append(replace(new, interaction=one))
    return made


def prompts(fold: Fold, selector: DemoSelector, reasoning: str = "critique") -> list[Request]:
    """Every request that judging this fold sends."""
    model = Scripted(['{"verdict": "pass"}'])
    judge = PromptedJudge("from_critiques", "judge", reasoning, model, selector)
    judge.prepare(fold.train, Calls(Pool()))

    async def main() -> list[Verdict]:
        return [verdict async for verdict in judge.judge(fold.items, 0)]

    assert len(asyncio.run(main())) == len(fold.items)
    return model.requests


def leaks(request: Request, fold: Fold, known: Mapping[str, Example]) -> set[tuple[str, ...]]:
    """Runs of words of held-out items that neither the judged item nor train has."""
    seen: set[tuple[str, ...]] = set()
    for message in request.messages:
        content = message["content"]
        seen |= grams(content) | grams(content.replace("\\n", "\n"))
    allowed = told(known[request.item], critique=False)
    for item in fold.train:
        allowed |= told(item)
    train = {item.id for item in fold.train}
    held_out = [item for i, item in known.items() if i not in train]
    return (set().union(*map(told, held_out)) - allowed) & seen


@cases
@selectors
def test_no_prompt_holds_the_words_of_a_held_out_item(
    n: int, part: str, name: str, tmp_path: Path
) -> None:
    known = {e.id: e for e in items(n)}
    made = split(known.values(), tmp_path)
    asked = 0
    for fold in made.folds(part):
        groups = {made.places[e.id].group for e in fold.train}
        for request in prompts(fold, SELECTORS[name]()):
            asked += 1
            assert leaks(request, fold, known) == set(), request.item
            # Nor a demo from the judged item's group.
            assert made.places[request.item].group not in groups
    assert asked == sum(len(fold.items) for fold in made.folds(part)) > 50


@cases
@selectors
@pytest.mark.parametrize("reasoning", ["none", "critique", "cot"])
def test_no_prompt_holds_a_held_out_critique(
    n: int, part: str, name: str, reasoning: str, tmp_path: Path
) -> None:
    known = {e.id: e for e in items(n)}
    for fold in split(known.values(), tmp_path).folds(part):
        train = {item.id for item in fold.train}
        for request in prompts(fold, SELECTORS[name](), reasoning):
            whole = json.dumps(request.messages)
            canaries = {f"i{c}" for c in re.findall(r"canary(\d+)", whole)}
            assert canaries <= train
            assert request.item not in canaries
            if name not in ("none",) and reasoning != "none":
                assert canaries


def _flipped(known: Iterable[Example], ids: set[str]) -> list[Example]:
    other = {"pass": "fail", "fail": "pass"}
    return [
        replace(e, label=other[e.label], critique="moved", annotator="x") if e.id in ids else e
        for e in known
    ]


def _moved(made: Split, known: Sequence[Example], part: str, folder: Path) -> list[list[Fold]]:
    """For each fold, the fold as it is and as it is with the labels of its own items turned."""
    pairs = []
    for n, fold in enumerate(made.folds(part)):
        own = {item.id for item in fold.items}
        if made.mode == "holdout":
            own = {e.id for e in known} - {e.id for e in fold.train}
        again = split(_flipped(known, own), folder)
        assert again.sha256 == made.sha256
        pairs.append([fold, again.folds(part)[n]])
    return pairs


@cases
@selectors
def test_turning_every_held_out_label_changes_no_byte_of_a_prompt(
    n: int, part: str, name: str, tmp_path: Path
) -> None:
    known = items(n)
    for before, after in _moved(split(known, tmp_path), known, part, tmp_path):
        first, second = (prompts(fold, SELECTORS[name]()) for fold in (before, after))
        assert [r.key for r in first] == [r.key for r in second]
        assert [r.item for r in first] == [r.item for r in second]


@cases
def test_nor_does_the_classifier_learn_from_a_held_out_label(
    n: int, part: str, tmp_path: Path
) -> None:
    known = items(n)

    def verdicts(fold: Fold) -> list[Verdict]:
        judge = ClassifierJudge()
        judge.prepare(fold.train, Calls(Pool()))

        async def main() -> list[Verdict]:
            return [verdict async for verdict in judge.judge(fold.items, 0)]

        return asyncio.run(main())

    for before, after in _moved(split(known, tmp_path), known, part, tmp_path):
        assert verdicts(before) == verdicts(after)


def test_no_prompt_says_where_its_item_comes_from(tmp_path: Path) -> None:
    known = [
        replace(e, interaction=replace(e.interaction, group=e.interaction.group or f"zz{i}zz"))
        for i, e in enumerate(items(180))
    ]
    made = split(known, tmp_path, "secretname")
    fold = made.folds("dev")[0]
    for request in prompts(fold, NearestDemos(4)):
        whole = json.dumps(request.messages)
        assert "secretname" not in whole
        assert not re.search(r"zz\d+zz|talk \d", whole)
        assert f'"{request.item}"' not in whole


# --- the detector itself


def test_the_detector_finds_a_planted_leak(tmp_path: Path) -> None:
    known = {e.id: e for e in items(180)}
    made = split(known.values(), tmp_path)
    fold = made.folds("dev")[0]
    train = {e.id for e in fold.train}
    shown = set().union(*(told(e) for e in fold.train))
    planted = next(e for i, e in known.items() if made.places[i].part == "test" and told(e) - shown)

    class Leaky(RandomDemos):
        def pick(self, interaction: Interaction) -> list[Example]:
            return [*super().pick(interaction), planted]

    assert planted.id not in train
    requests = prompts(fold, Leaky(3))
    assert all(leaks(request, fold, known) for request in requests)


def test_nothing_held_out_can_be_smuggled_into_train(tmp_path: Path) -> None:
    made = split(items(180), tmp_path)
    fold = made.folds("dev")[0]
    with pytest.raises(TypeError):
        fold.train[0] = fold.train[1]
    with pytest.raises(AttributeError):
        fold.train.append(fold.train[0])
    selector = BalancedDemos(4)
    with pytest.raises(AttributeError):
        selector.pick(fold.items[0])
