"""Every judge gives one verdict an item, changes nothing and never raises for one interaction."""

from __future__ import annotations

import asyncio
import functools
import json
import sys
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders import example, examples, interaction, split, text, train_set
from judgelab.calls import pool as pools
from judgelab.calls.line import Calls
from judgelab.calls.pool import Pool
from judgelab.calls.store import CallStore
from judgelab.data.sample.query import valid_query
from judgelab.demos.balanced import BalancedDemos
from judgelab.demos.nearest import NearestDemos
from judgelab.demos.none import NoDemos
from judgelab.errors import ConfigError, DataError
from judgelab.judges.assertion import AssertionJudge
from judgelab.judges.base import Judge
from judgelab.judges.classifier import ClassifierJudge
from judgelab.judges.constant import ConstantJudge
from judgelab.judges.prompted import PromptedJudge
from judgelab.judges.recorded import RecordedJudge
from judgelab.models.base import CallFailed, Reply
from judgelab.models.scripted import Scripted
from judgelab.types import LABELS, Interaction, Verdict

ITEMS = [interaction(i) for i in range(5)]


def judged(judge: Judge, items: Iterable[Interaction] = ITEMS, repeat: int = 0) -> list[Verdict]:
    async def main() -> list[Verdict]:
        return [verdict async for verdict in judge.judge(items, repeat)]

    return asyncio.run(main())


# --- constant


@pytest.mark.parametrize("word", ["pass", "fail"])
def test_constant(word: str) -> None:
    judge = ConstantJudge(word)
    assert judged(judge, repeat=2) == [Verdict(i.id, word, repeat=2) for i in ITEMS]
    assert not judge.llm
    with pytest.raises(ValueError, match="must be pass or fail"):
        ConstantJudge("maybe")


# --- assertion

CHECKS = """
import functools
import judgelab.types


def short(interaction):
    return len(interaction.output) < 20, "too long" if len(interaction.output) >= 20 else None


def silent(interaction):
    return None


def broken(interaction):
    return 1 / int(interaction.output)


def answers(interaction):
    return {"words": ("fail", "x"), "bare": True, "text": "ok", "number": (2, ""),
            "three": (True, "a", "b"), "list": [True, "x"], "none": (None, "x")}[interaction.output]


class Callable:
    def __call__(self, interaction):
        return True, "called"


called = Callable()
partly = functools.partial(lambda word, interaction: (True, word), "partial")
NUMBER = 3
"""


@pytest.fixture
def checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "my_checks.py").write_text(CHECKS, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_checks", raising=False)
    return "my_checks"


def test_an_assertion_is_code_with_a_critique(checks: str) -> None:
    items = [interaction("a", output="short"), interaction("b", output="long" * 9)]
    judge = AssertionJudge(f"{checks}.short")
    assert judged(judge, items) == [
        Verdict("ia", "pass"),
        Verdict("ib", "fail", critique="too long"),
    ]
    assert judge.texts()["assertion.py"] == CHECKS


def test_an_assertion_may_have_nothing_to_say(checks: str) -> None:
    assert judged(AssertionJudge(f"{checks}.silent"), ITEMS[:1]) == [Verdict("i0", None, "unsure")]


def test_an_assertion_that_raises_abstains_and_the_others_go_on(checks: str) -> None:
    items = [interaction(i, output=word) for i, word in enumerate(("0", "x", "0"))]
    found = judged(AssertionJudge(f"{checks}.broken"), items)
    assert [(v.verdict, v.reason) for v in found] == [(None, "unparsable")] * 3
    assert "ZeroDivisionError" in found[0].critique
    assert "ValueError" in found[1].critique


@pytest.mark.parametrize("word", ["words", "bare", "text", "number", "three", "list", "none"])
def test_an_assertion_s_answer_is_not_guessed_at(word: str, checks: str) -> None:
    judge = AssertionJudge(f"{checks}.answers")
    with pytest.raises(ConfigError, match=r"judge\.check=my_checks\.answers gave .* for item 'ia'"):
        judged(judge, [interaction("a", output=word)])


@pytest.mark.parametrize("name", ["called", "partly"])
def test_any_callable_will_do(name: str, checks: str) -> None:
    judge = AssertionJudge(f"{checks}.{name}")
    assert judged(judge, ITEMS[:1])[0].verdict == "pass"
    assert set(judge.texts()) <= {"assertion.py"}


@pytest.mark.parametrize(
    "name", ["my_checks.absent", "no_such_module.f", "plain", "my_checks.NUMBER"]
)
def test_what_is_no_function_is_said(name: str, checks: str) -> None:
    with pytest.raises(ConfigError, match=r"judge\.check"):
        AssertionJudge(name)


def test_the_shipped_assertion_runs(tmp_path: Path) -> None:
    judge = AssertionJudge("judgelab.data.sample.query.valid_query")
    assert judge.check_one is valid_query
    assert len(judged(judge)) == len(ITEMS)


# --- classifier


def wordy(n: int, start: int = 0) -> list[Any]:
    """Fails speak of dogs, passes of cats."""
    made = []
    for i in range(start, start + n):
        label = "fail" if i % 2 else "pass"
        theme = "dog bone bark" if i % 2 else "cat milk purr"
        made.append(example(i, label, output=f"{theme} {text(i, 6)}"))
    return made


def fitted(train: list[Any], folder: Path, **more: Any) -> ClassifierJudge:
    judge = ClassifierJudge(**more)
    judge.prepare(train_set(train, folder), Calls(Pool()))
    return judge


def test_the_classifier_learns_from_train(tmp_path: Path) -> None:
    unseen = wordy(20, start=100)
    found = judged(fitted(wordy(40), tmp_path), [e.interaction for e in unseen])
    assert [v.verdict for v in found] == [e.label for e in unseen]
    assert all(type(v.verdict) is str for v in found)
    assert all(v.confidence is not None and 0.5 <= v.confidence <= 1 for v in found)
    again = judged(fitted(wordy(40)[::-1], tmp_path), [e.interaction for e in unseen])
    assert [v.verdict for v in again] == [v.verdict for v in found]


def test_the_classifier_reads_the_context_it_is_given(tmp_path: Path) -> None:
    animals = {"fail": "dog bone bark", "pass": "cat milk purr"}

    def one(i: object, label: str, words: str) -> Any:
        short = {"input": text(f"in {i}", 3), "output": text(f"out {i}", 3)}
        return example(i, label, context={"animal": words, "other": "same"}, **short)

    train = [one(i, label, animals[label]) for i in range(20) for label in (LABELS[i % 2],)]
    asked = [one(f"x{label}", label, animals[label]).interaction for label in LABELS]
    for context in ("all", ["animal"]):
        found = judged(fitted(train, tmp_path, context=context), asked)
        assert [v.verdict for v in found] == list(LABELS)
    bare = [replace(item, context={}) for item in asked]
    blind = fitted(train, tmp_path, context=["other", "absent"])
    same = [replace(item, context={"other": "same"}) for item in bare]
    assert judged(blind, asked) == judged(blind, same)
    assert judged(fitted(train, tmp_path, context=[]), asked) == judged(
        fitted(train, tmp_path, context=[]), bare
    )


@pytest.mark.parametrize("label", ["pass", "fail"])
def test_with_one_label_the_classifier_knows_only_that(label: str, tmp_path: Path) -> None:
    train = [example(i, label) for i in range(5)]
    assert [v.verdict for v in judged(fitted(train, tmp_path))] == [label] * 5


def test_without_train_or_words_the_classifier_abstains(tmp_path: Path) -> None:
    ratios = {"train": 0.0, "dev": 0.5, "test": 0.5}
    nobody = split(examples(120), tmp_path, ratios=ratios).folds("dev")[0].train
    judge = ClassifierJudge()
    judge.prepare(nobody, Calls(Pool()))
    assert [(v.verdict, v.reason) for v in judged(judge)] == [(None, "unsure")] * 5
    mute = [example(i, "fail" if i % 2 else "pass", input="?" * i, output="!") for i in range(6)]
    found = judged(fitted(mute, tmp_path))
    assert [(v.verdict, v.reason) for v in found] == [(None, "unsure")] * 5


def test_an_empty_list_of_items(tmp_path: Path) -> None:
    assert judged(fitted(wordy(10), tmp_path), []) == []


# --- recorded


def test_recorded_verdicts_and_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGELAB_HOME", str(tmp_path))
    rows = [
        {"id": "i0", "verdict": "fail", "judge": "gpt", "critique": "c"},
        {"id": "i0", "verdict": "pass", "judge": "gpt", "repeat": 1},
        {"id": "i1", "verdict": None, "judge": "gpt", "reason": "refusal"},
        {"id": "i0", "verdict": "pass", "judge": "llama"},
    ]
    path = tmp_path / "v.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    judge = RecordedJudge("v.jsonl", "gpt")
    assert judge.repeats == 2
    assert judged(judge, ITEMS[:3]) == [
        Verdict("i0", "fail", critique="c"),
        Verdict("i1", None, "refusal"),
        Verdict("i2", None, "missing"),
    ]
    assert judged(judge, ITEMS[:2], repeat=1) == [
        Verdict("i0", "pass", repeat=1),
        Verdict("i1", None, "missing", repeat=1),
    ]
    assert RecordedJudge("v.jsonl", "llama").repeats == 1
    assert judge.texts() == {"recorded.jsonl": path.read_text()}
    with pytest.raises(ConfigError, match=r"judge\.name=gpt\|llama"):
        RecordedJudge("v.jsonl")
    with pytest.raises(ConfigError, match="holds gpt, llama"):
        RecordedJudge("v.jsonl", "claude")
    with pytest.raises(DataError, match="absent"):
        RecordedJudge("absent.jsonl")


# --- prompted


def prompted(model: Scripted, **more: Any) -> PromptedJudge:
    given = {"rubric": "generic", "template": "judge", "reasoning": "critique", "demos": NoDemos()}
    return PromptedJudge(**(given | {"model": model} | more))


def ready(judge: PromptedJudge, folder: Path, pool: Pool | None = None) -> Calls:
    calls = Calls(pool or Pool())
    judge.prepare(train_set(examples(12, start=900), folder), calls)
    return calls


FAIL = '{"critique": "No.", "verdict": "fail"}'


def test_a_reply_becomes_a_verdict_or_an_abstention_with_its_reason(tmp_path: Path) -> None:
    replies = [
        Reply(FAIL, confidence=0.8),
        Reply("not a FAIL"),
        Reply(""),
        Reply("", finish="too_long"),
        Reply('{"verdict": "échec"}'),
    ]
    judge = prompted(Scripted(replies, concurrency=1))
    ready(judge, tmp_path)
    assert judged(judge, repeat=3) == [
        Verdict("i0", "fail", critique="No.", repeat=3, confidence=0.8),
        Verdict("i1", None, "unparsable", repeat=3),
        Verdict("i2", None, "empty", repeat=3),
        Verdict("i3", None, "too_long", repeat=3),
        Verdict("i4", None, "out_of_enum", repeat=3),
    ]


def test_a_call_that_failed_is_booked_and_is_no_verdict(tmp_path: Path) -> None:
    def answer(request: Any) -> str | CallFailed:
        return CallFailed("500", "down") if request.item in ("i1", "i3") else FAIL

    judge = prompted(Scripted(answer))
    calls = ready(judge, tmp_path)
    assert sorted(v.id for v in judged(judge)) == ["i0", "i2", "i4"]
    assert calls.accounts.failed == {"500": 2}


def test_repeats_are_asked_again_and_seeds_of_demos_do_not_change(tmp_path: Path) -> None:
    model = Scripted([FAIL])
    judge = prompted(model, demos=BalancedDemos(4), repeats=3)
    ready(judge, tmp_path)
    for repeat in range(judge.repeats):
        assert {v.repeat for v in judged(judge, repeat=repeat)} == {repeat}
    assert len(model.requests) == 15
    assert len({r.key for r in model.requests}) == 15
    assert len({json.dumps(r.messages) for r in model.requests}) == 5


def test_a_request_is_a_pure_function_of_template_demos_and_interaction(tmp_path: Path) -> None:
    one, two = (prompted(Scripted([FAIL]), demos=NearestDemos(3)) for _ in range(2))
    ready(one, tmp_path)
    ready(two, tmp_path)
    judged(two)
    for item in ITEMS:
        assert one.request(item, 0).key == two.request(item, 0).key


def test_the_estimate_is_of_what_would_still_be_sent(tmp_path: Path) -> None:
    model = Scripted([FAIL], price={"input": 1.0, "output": 1.0})
    judge = prompted(model)
    store = CallStore(tmp_path / "calls.db")
    calls = ready(judge, tmp_path, Pool(store))
    n, tokens_in, tokens_out, usd = judge.ask_estimate(ITEMS[0], 0)
    assert (n, tokens_out) == (1, 200)
    assert usd == pytest.approx((tokens_in + tokens_out) / 1e6)
    assert model.requests == []

    async def main() -> None:
        await calls.ask(model, judge.request(ITEMS[0], 0))
        assert judge.ask_estimate(ITEMS[0], 0) == (0, 0, 0, 0.0)
        assert judge.ask_estimate(ITEMS[0], 1)[0] == 1
        await calls.pool.close()

    asyncio.run(main())


def test_leaving_a_judge_early_leaves_no_work_behind(tmp_path: Path) -> None:
    async def main() -> None:
        gate = asyncio.Event()

        class Slow(Scripted):
            async def complete(self, request: Any) -> Reply:
                reply = await super().complete(request)
                if len(self.requests) > 1:
                    await gate.wait()
                return reply

        model = Slow([FAIL], concurrency=3)
        judge = prompted(model)
        calls = ready(judge, tmp_path)
        async with aclosing(judge.judge((interaction(i) for i in range(50)), 0)) as verdicts:
            async for verdict in verdicts:
                assert verdict.id == "i0"
                break
        await calls.pool.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert len(model.requests) <= 4

    asyncio.run(main())


def test_interactions_are_taken_up_in_the_order_given(tmp_path: Path) -> None:
    model = Scripted([FAIL], concurrency=3)
    judge = prompted(model)
    ready(judge, tmp_path)
    items = [interaction(i) for i in (7, 3, 9, 1, 8, 2)]
    assert len(judged(judge, items)) == 6
    assert [r.item for r in model.requests] == [i.id for i in items]


def test_a_spent_budget_skips_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "BACKOFF", 0.001)
    judge = prompted(Scripted([FAIL]))
    calls = ready(judge, tmp_path, Pool(calls=2))
    assert len(judged(judge)) == 2
    assert calls.accounts.skipped == 3


def test_texts_are_the_rubric_and_the_template() -> None:
    judge = prompted(Scripted([FAIL]))
    assert set(judge.texts()) == {"rubric.md", "template.j2"}
    assert judge.texts()["rubric.md"] == judge.prompt.rubric


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"repeats": 0}, ValueError),
        ({"reasoning": "some"}, ValueError),
        ({"rubric": "absent"}, ConfigError),
        ({"template": "absent"}, ConfigError),
    ],
)
def test_wrong_arguments_are_refused(wrong: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        prompted(Scripted([FAIL]), **wrong)


# --- what a variant is told apart by


def test_what_a_judge_does_not_use() -> None:
    common = {"rubric", "template", "reasoning", "context", "repeats", "repair"}
    for kind in (ConstantJudge, AssertionJudge, RecordedJudge):
        assert set(kind.unused({})) == common
    assert set(ClassifierJudge.unused({})) == common - {"context"}
    assert set(PromptedJudge.unused({"reasoning": "none"})) == {"demos.show"}
    assert set(PromptedJudge.unused({"reasoning": "cot"})) == set()
    assert functools.reduce(set.union, (set(k.unused({})) for k in (NoDemos, NearestDemos))) == {
        "k",
        "seed",
        "show",
    }
