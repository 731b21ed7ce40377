"""Changes to a judge: what each one changes in the prompt, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from builders import examples, train_set
from judgelab import prompts
from judgelab.calls.line import Calls
from judgelab.calls.pool import Pool
from judgelab.data.split import Split, TrainSet
from judgelab.demos.balanced import BalancedDemos
from judgelab.demos.base import DemoSelector
from judgelab.demos.nearest import NearestDemos
from judgelab.demos.none import NoDemos
from judgelab.demos.random import RandomDemos
from judgelab.judges.constant import ConstantJudge
from judgelab.judges.prompted import PromptedJudge
from judgelab.models.neighbours import Neighbours
from judgelab.probe import changes, payloads
from judgelab.probe.changes import Change, Unfit
from judgelab.types import Interaction

ITEM = Interaction("asked", "words of the input", "words of the output")


@pytest.fixture
def train(tmp_path: Path) -> TrainSet:
    return train_set(examples(30), tmp_path)


@pytest.fixture
def split(tmp_path: Path) -> Split:
    from builders import split

    return split(examples(30), tmp_path / "again", "again", mode="holdout",
                 ratios={"train": 1.0, "dev": 0.0, "test": 0.0})  # fmt: skip


def judge(demos: DemoSelector, **more: str) -> PromptedJudge:
    words = {"rubric": "generic", "template": "judge", "reasoning": "critique"} | more
    return PromptedJudge(model=Neighbours(), demos=demos, **words)  # type: ignore[arg-type]


def prepared(
    demos: DemoSelector, train: TrainSet, split: Split, change: Change | None = None, **more: str
) -> PromptedJudge:
    made = judge(demos, **more)
    made.prepare(change(made, train, split) if change else train, Calls(Pool()))
    return made


def turns(made: PromptedJudge) -> list[tuple[str, str]]:
    """The demonstrations of its prompt, as (question, answer)."""
    _, *messages, _ = made.request(ITEM, 0).messages
    texts = [message["content"] for message in messages]
    return list(zip(texts[::2], texts[1::2], strict=True))


SELECTORS: Sequence[type[DemoSelector]] = (BalancedDemos, RandomDemos, NearestDemos)


@pytest.mark.parametrize("selector", SELECTORS)
def test_the_same_demonstrations_in_another_order(
    selector: type[DemoSelector], train: TrainSet, split: Split
) -> None:
    plain = turns(prepared(selector(5), train, split))
    backwards = turns(prepared(selector(5), train, split, changes.reversed_demos))
    shuffled = turns(prepared(selector(5), train, split, changes.shuffled_demos))
    assert backwards == plain[::-1]
    assert sorted(shuffled) == sorted(plain)
    assert shuffled not in (plain, backwards)
    again = turns(prepared(selector(5), train, split, changes.shuffled_demos))
    assert again == shuffled, "the seed is the selector's own"


@pytest.mark.parametrize("selector", SELECTORS)
@pytest.mark.parametrize("label", ["pass", "fail"])
def test_as_many_demonstrations_of_one_label(
    selector: type[DemoSelector], label: str, train: TrainSet, split: Split
) -> None:
    change = changes.OF_DEMOS[f"demos_all_{label}"]
    shown = turns(prepared(selector(6), train, split, change))
    assert len(shown) == 6
    assert all(f'"verdict": "{label}"' in answer for _, answer in shown)


@pytest.mark.parametrize("reasoning", prompts.REASONING)
def test_the_words_of_the_template_change_places(
    reasoning: str, train: TrainSet, split: Split
) -> None:
    plain = prepared(BalancedDemos(2), train, split, reasoning=reasoning).request(ITEM, 0)
    made = prepared(BalancedDemos(2), train, split, changes.swapped_words, reasoning=reasoning)
    swapped = made.request(ITEM, 0)
    before, after = plain.messages[0]["content"], swapped.messages[0]["content"]
    assert '"verdict": "pass" or "fail"' in before
    assert '"verdict": "fail" or "pass"' in after
    assert "you decide: fail or pass." in after
    assert sorted(before) == sorted(after), "words move, none is added"
    assert plain.messages[1:] == swapped.messages[1:]


def test_a_repair_is_said_in_the_changed_words_too(train: TrainSet, split: Split) -> None:
    made = judge(NoDemos())
    made.repair = made.prompt.repair
    changes.swapped_words(made, train, split)
    assert made.repair is not None
    assert '"fail" or "pass"' in made.repair


@pytest.mark.parametrize(
    ("written", "swapped"),
    [
        ("pass or fail", "fail or pass"),
        ("PASS/FAIL", "FAIL/PASS"),
        ('`fail` | "pass"', '"pass" | `fail`'),
        ("**Pass**, **Fail**", "**Fail**, **Pass**"),
        ("pass if it is right, fail if not", None),
        ("passing or failing", None),
    ],
)
def test_only_words_side_by_side_are_swapped(written: str, swapped: str | None) -> None:
    found, n = changes._SIDE_BY_SIDE.subn(changes._swapped, written)
    assert (found, n) == ((swapped, 1) if swapped else (written, 0))


def test_a_template_without_the_words_side_by_side_is_left_out(
    train: TrainSet, split: Split
) -> None:
    made = judge(NoDemos())
    text = "{% block system %}{{ rubric }}{{ reasoning }}{% endblock %}{% block interaction %}"
    made.prompt = prompts.Prompt(rubric="x", template=text + "{{ data }}{{ tag }}{% endblock %}")
    with pytest.raises(Unfit, match="does not name pass and fail side by side"):
        changes.swapped_words(made, train, split)


def test_canaries_stand_in_the_rubric_and_in_every_shown_critique(
    train: TrainSet, split: Split
) -> None:
    strings = changes.canaries("variant")
    assert strings != changes.canaries("other")
    plain = prepared(BalancedDemos(4), train, split).request(ITEM, 0)
    made = prepared(BalancedDemos(4), train, split, changes.with_canaries(strings))
    messages = made.request(ITEM, 0).messages
    assert strings["rubric"] in messages[0]["content"]
    answers = [message["content"] for message in messages if message["role"] == "assistant"]
    assert len(answers) == 4
    assert all(strings["demonstrations"] in answer for answer in answers)
    assert messages[-1] == plain.messages[-1]
    assert changes.shows_critiques(made, [ITEM])
    assert made.request(ITEM, 0).messages_json == made.request(ITEM, 0).messages_json
    for other in (
        prepared(NoDemos(), train, split),
        prepared(BalancedDemos(4, show="label"), train, split),
        prepared(BalancedDemos(4), train, split, reasoning="none"),
    ):
        assert not changes.shows_critiques(other, [ITEM])


def test_what_a_judge_has_no_use_for_is_said(train: TrainSet, split: Split) -> None:
    for change in changes.CHANGES.values():
        with pytest.raises(Unfit, match="the judge"):
            change(ConstantJudge("fail"), train, split)
    plain = prepared(NoDemos(), train, split)
    with pytest.raises(Unfit, match="it is shown no demonstrations"):
        changes.check_shown(plain, plain, "demos_reversed", [ITEM])
    for name, least in changes.LEAST.items():
        enough, few = (prepared(RandomDemos(k), train, split) for k in (least, least - 1))
        changes.check_shown(enough, enough, name, [ITEM])
        with pytest.raises(Unfit, match=f"of {least - 1} demonstrations there is no other such"):
            changes.check_shown(few, few, name, [ITEM])
    many = prepared(BalancedDemos(16), train, split)
    fails = prepared(BalancedDemos(16), train, split, changes.OF_DEMOS["demos_all_fail"])
    with pytest.raises(Unfit, match="train has 10 such examples to show where the judge sees 16"):
        changes.check_shown(fails, many, "demos_all_fail", [ITEM])


@pytest.mark.parametrize("length", [0, 1, 85, 576, 577, 5000])
def test_harmless_text_is_exactly_as_long(length: int) -> None:
    assert len(payloads.benign(length)) == length


def test_a_marked_interaction_is_another_item() -> None:
    marked = payloads.marked(ITEM, "payload/praise", "Well done.")
    assert marked.id == "asked#payload/praise"
    assert marked.output == f"{ITEM.output}\n\nWell done."
    assert (marked.input, marked.context) == (ITEM.input, ITEM.context)
    assert marked.content != ITEM.content
    assert payloads.marked(ITEM, "demos_reversed").output == ITEM.output
    assert len(payloads.padding(ITEM)) == payloads.LEAST_PADDING
