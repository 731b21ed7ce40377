"""Demonstrations that the judge gets wrong: through the pool, out of fold, the same again."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from pathlib import Path

import pytest

from builders import example, examples, split, train_set
from judgelab import config as configs
from judgelab.calls.line import Calls
from judgelab.calls.pool import Pool
from judgelab.calls.store import CallStore
from judgelab.data.schema import DatasetConfig, load
from judgelab.data.split import TrainSet
from judgelab.demos.balanced import BalancedDemos
from judgelab.demos.base import by_label
from judgelab.demos.hard import FOLDS, HardDemos
from judgelab.judges.prompted import PromptedJudge
from judgelab.models.base import CallFailed, Request
from judgelab.models.neighbours import Neighbours
from judgelab.models.scripted import Scripted
from judgelab.tracking import pages
from judgelab.tracking.folder import RunFolder
from judgelab.types import Example, Interaction, Label, Verdict
from labs import Lab, endpoint, question, read_lines, rows, said, write_rows

ITEMS = examples(30)
WRONG = {"i3", "i9", "i1", "i2", "i4", "i5"}  # two fails, four passes


def selector(k: int, train: TrainSet, wrong: set[str], seed: int = 0) -> HardDemos:
    made = HardDemos(k, seed)
    made.prepare(train)
    labels = {e.id: e.label for e in train}
    other: dict[Label, Label] = {"fail": "pass", "pass": "fail"}
    made.learn(
        {e.id: other[labels[e.id]] if e.id in wrong else labels[e.id] for _, e in made.rehearsal()}
    )
    return made


def shown(made: HardDemos) -> list[Example]:
    return made.pick(ITEMS[0].interaction)


# --- what is rehearsed


def test_each_example_is_rehearsed_once_with_balanced_demos_of_the_other_folds(
    tmp_path: Path,
) -> None:
    made = HardDemos(4)
    made.prepare(train_set(ITEMS, tmp_path))
    rehearsal = made.rehearsal()
    assert sorted(e.id for _, e in rehearsal) == sorted(e.id for e in ITEMS)
    folds: dict[tuple[str, ...], set[str]] = {}
    for demos, asked in rehearsal:
        assert Counter(e.label for e in demos) == {"fail": 2, "pass": 2}
        folds.setdefault(tuple(e.id for e in demos), set()).add(asked.id)
    for demos, asked in folds.items():
        assert not set(demos) & asked
    assert len(folds) == FOLDS
    assert {len(asked) for asked in folds.values()} == {6}


def test_what_belongs_together_is_in_one_fold(tmp_path: Path) -> None:
    items = [example(i, "fail" if i % 2 else "pass", group=f"g{i // 4}") for i in range(24)]
    made = HardDemos(23)
    made.prepare(train_set(items, tmp_path))
    for demos, asked in made.rehearsal():
        assert asked.interaction.group not in {e.interaction.group for e in demos}


def test_one_group_alone_cannot_be_rehearsed(tmp_path: Path) -> None:
    items = [example(i, "fail" if i % 2 else "pass", group="one") for i in range(6)]
    made = HardDemos(4)
    made.prepare(train_set(items, tmp_path))
    assert made.rehearsal() == []
    assert len(shown(made)) == 4


def test_without_demos_there_is_nothing_to_find_out(tmp_path: Path) -> None:
    made = HardDemos(0)
    made.prepare(train_set(ITEMS, tmp_path))
    assert made.rehearsal() == []
    assert shown(made) == []


def test_what_is_not_fit_to_be_shown_is_not_asked(tmp_path: Path) -> None:
    items = [example(i, "fail", "" if i % 2 else None) for i in range(20)]
    made = HardDemos(4)
    made.prepare(train_set(items, tmp_path))
    assert {e.id for _, e in made.rehearsal()} == {f"i{i}" for i in range(0, 20, 2)}


# --- what is picked


@pytest.mark.parametrize(
    ("k", "fails", "passes", "mistakes"),
    [(4, 2, 2, 4), (2, 1, 1, 2), (6, 3, 3, 5), (8, 4, 4, 6), (30, 10, 20, 6), (1, 1, 0, 1)],
)
def test_mistakes_come_first_and_labels_take_turns(
    k: int, fails: int, passes: int, mistakes: int, tmp_path: Path
) -> None:
    found = shown(selector(k, train_set(ITEMS, tmp_path), WRONG))
    assert Counter(e.label for e in found) == Counter({"fail": fails, "pass": passes})
    assert len({e.id for e in found} & WRONG) == mistakes
    for side in by_label(found):
        wrong = [e.id in WRONG for e in side]
        assert wrong == sorted(wrong, reverse=True)


def test_where_nothing_is_wrong_they_are_balanced(tmp_path: Path) -> None:
    train = train_set(ITEMS, tmp_path)
    plain = BalancedDemos(5, seed=3)
    plain.prepare(train)
    assert shown(selector(5, train, set(), seed=3)) == plain.pick(ITEMS[0].interaction)


def test_of_too_many_mistakes_the_seed_draws(tmp_path: Path) -> None:
    train = train_set(ITEMS, tmp_path)
    everything = {e.id for e in ITEMS}
    found = {tuple(e.id for e in shown(selector(4, train, everything, s))) for s in range(6)}
    assert len(found) > 3
    again = tuple(e.id for e in shown(selector(4, train, everything, 0)))
    assert again in found


def test_an_abstention_is_no_mistake(tmp_path: Path) -> None:
    made = HardDemos(4)
    made.prepare(train_set(ITEMS, tmp_path))
    before = shown(made)
    made.learn({e.id: None for _, e in made.rehearsal()})
    assert shown(made) == before


# --- in a judge

ASKED = re.compile(r'"input": "([^"]*)"')
BY_INPUT = {e.interaction.input: e for e in ITEMS}


def misled(request: Request) -> str:
    """Right on all but WRONG."""
    found = ASKED.search(request.messages[-1]["content"])
    known = BY_INPUT.get(found[1]) if found else None
    if known is None:
        return said("pass")
    other = "pass" if known.label == "fail" else "fail"
    return said(other if known.id in WRONG else known.label)


def judge(model: Scripted | Neighbours, k: int = 6) -> PromptedJudge:
    return PromptedJudge("generic", "judge", "critique", model, HardDemos(k))


def judged(made: PromptedJudge, items: list[Interaction], repeat: int = 0) -> list[Verdict]:
    async def main() -> list[Verdict]:
        return [verdict async for verdict in made.judge(items, repeat)]

    return asyncio.run(main())


ASK = [example(i).interaction for i in range(100, 105)]


def test_the_judge_rehearses_once_through_its_pool(tmp_path: Path) -> None:
    model, calls = Scripted(misled, concurrency=8), Calls(Pool())
    made = judge(model)
    made.prepare(train_set(ITEMS, tmp_path), calls)
    assert len(judged(made, ASK)) == 5
    assert len(judged(made, ASK, repeat=1)) == 5
    assert len(model.requests) == 30 + 5 + 5
    assert calls.accounts.sent == 40
    picked = made.demos.pick(ASK[0])
    assert len({e.id for e in picked} & WRONG) == 5
    last = model.requests[-1].messages
    turns = [ASKED.search(turn["content"]) for turn in last if turn["role"] == "user"]
    assert [BY_INPUT[t[1]].id for t in turns[:-1] if t] == [e.id for e in picked]
    assert {row.get("by", "")[:5] for row in calls.replies} == {"", "demos"}  # type: ignore[attr-defined]


def test_where_a_call_of_the_rehearsal_fails_no_item_has_a_verdict(tmp_path: Path) -> None:
    down = True

    def answer(request: Request) -> str:
        if down and request.item == "i7":
            raise CallFailed("500", "down")
        return misled(request)

    model, calls = Scripted(answer), Calls(Pool(CallStore(tmp_path / "calls.db")))
    made = judge(model)
    made.prepare(train_set(ITEMS, tmp_path), calls)
    calls.accounts.planned = 5

    async def main() -> None:
        nonlocal down
        assert [v async for v in made.judge(ASK, 0)] == []
        assert calls.accounts.failed == {"500": 5}
        down = False
        again = judge(model)
        again.prepare(train_set(ITEMS, tmp_path), Calls(calls.pool))
        assert len([v async for v in again.judge(ASK, 0)]) == 5
        await calls.pool.close()

    asyncio.run(main())
    assert Counter(r.item for r in model.requests if r.item != "i7").most_common(1)[0][1] == 1


def test_the_estimate_counts_the_rehearsal_and_knows_what_is_known(tmp_path: Path) -> None:
    train = train_set(ITEMS, tmp_path)
    model = Scripted(misled, concurrency=8, price={"input": 1.0, "output": 2.0})
    pool = Pool(CallStore(tmp_path / "calls.db"))
    before = judge(model)
    before.prepare(train, Calls(pool))
    calls, tokens_in, tokens_out, usd = before.rehearsal_estimate()
    assert calls == 30
    assert tokens_in > 30 * 100
    assert tokens_out > 0
    assert usd == pytest.approx((tokens_in + 2 * tokens_out) / 1e6)
    done = judge(model)
    done.prepare(train, Calls(pool))

    async def main() -> None:
        assert len([v async for v in done.judge(ASK, 0)]) == 5
        after = judge(model)
        after.prepare(train, Calls(pool))
        assert after.demos.pick(ASK[0]) != done.demos.pick(ASK[0])
        assert after.rehearsal_estimate() == (0, 0, 0, 0.0)
        assert after.demos.pick(ASK[0]) == done.demos.pick(ASK[0])
        assert all(after.ask_estimate(item, 0)[0] == 0 for item in ASK)
        await pool.close()

    asyncio.run(main())


def test_the_offline_model_rehearses_too(tmp_path: Path) -> None:
    made = judge(Neighbours(), 4)
    made.prepare(train_set(ITEMS, tmp_path), Calls(Pool()))
    assert made.rehearsal_estimate() == (0, 0, 0, 0.0)
    assert len(judged(made, ASK)) == 5
    assert len(made.demos.pick(ASK[0])) == 4


def test_out_of_fold_demos_come_from_the_other_folds(tmp_path: Path) -> None:
    for fold in split(examples(60), tmp_path).folds("dev"):
        made = judge(Neighbours(), 8)
        made.prepare(fold.train, Calls(Pool()))
        judged(made, list(fold.items))
        assert not {i.id for i in fold.items} & {e.id for e in made.demos.pick(fold.items[0])}


# --- from the shell

OWN = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl", "tracking=none")


@pytest.mark.parametrize("n", [60, 130], ids=["cv", "holdout"])
def test_a_run_is_replayed_estimated_and_the_same_in_another_lab(n: int, tmp_path: Path) -> None:
    data = rows(n)

    def answer(body: dict[str, object]) -> str:
        return said("fail" if len(question(body)) % 3 else "pass")

    made: list[tuple[object, object]] = []
    for place in ("one", "two"):
        lab = Lab(tmp_path / place)
        write_rows(lab.folder / "data.jsonl", data)
        with endpoint(answer) as model:
            command = ("demos=hard", "judge.rubric=generic", *model.overrides, *OWN)
            assert lab.run(*command).code == 0
            dry = lab("run", *command, "--dry-run")
            assert "no calls to send" in dry.out.splitlines()[0]
            asked = len(model.asked)
        folder = lab.folder_of("hard k=4 · critique · m")
        verdicts = read_lines(folder / "verdicts.jsonl")
        replies = read_lines(folder / "replies.jsonl")
        made.append((verdicts, [(r["id"], r["repeat"], r.get("by"), r["reply"]) for r in replies]))
        rehearsed = [row for row in replies if row.get("by")]
        assert asked == len({row["key"] for row in replies})
        assert len(rehearsed) == (4 * n if n == 60 else len(replies) - len(verdicts))
        (lab.folder / ".judgelab").rename(lab.folder / "gone")
        assert "are the same (replayed" in lab("rerun", folder.name).out
        lab.write("prompts/rubrics/generic.md", "Another text.\n")
        again = lab("rerun", folder.name)
        assert "are the same (replayed" in again.out, "by place, where the rubric has moved"
        assert "rubric.md moved" in again.err
    assert made[0] == made[1]


def test_the_prompt_that_is_shown_is_the_one_that_was_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Lab(tmp_path)
    write_rows(tmp_path / "data.jsonl", rows(130))
    answer = lambda body: said("fail" if len(question(body)) % 3 else "pass")  # noqa: E731
    with endpoint(answer) as model:
        lab.run("demos=hard", "limit=1", *model.overrides, *OWN)
        sent = model.asked[-1]["messages"]
    monkeypatch.chdir(tmp_path)
    folder = RunFolder(lab.runs[0])
    dataset = load(configs.build_part(folder.config, "dataset", DatasetConfig))
    page = pages.prompt(folder, dataset)
    assert page
    for turn in sent:
        assert turn["content"] in page
