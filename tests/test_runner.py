"""One variant on one part of the data, and the folder it leaves behind."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from judgelab import config as configs
from judgelab import plans, runner
from judgelab.calls.line import Calls
from judgelab.calls.pool import Pool
from judgelab.errors import ConfigError, UserError
from judgelab.judges.prompted import PromptedJudge
from judgelab.models.base import CallFailed, Reply, Request
from judgelab.models.scripted import Scripted
from judgelab.tracking.folder import RunFolder, find_run
from judgelab.types import Verdict
from labs import Lab, read_json, read_lines, rows, write_rows

FILES = {
    *("config.yaml", "record.json", "assignment.jsonl", "replies.jsonl", "verdicts.jsonl"),
    *("scores.json", "rubric.md", "template.j2"),
}
VERDICT = '{"critique": "c", "verdict": "fail"}'


@pytest.fixture
def lab(tmp_path, monkeypatch) -> Lab:
    monkeypatch.setenv("JUDGELAB_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "data.jsonl", rows(30))
    return Lab(tmp_path)


OWN = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl", "model=neighbours")


def opened(*overrides: str, own: bool = True) -> tuple[runner.Bench, runner.Run]:
    given = [*(OWN if own else ()), "tracking=none", *overrides]
    (variant,) = plans.plan(given, multirun=False).variants
    bench = runner.bench(variant.config, Pool())
    return bench, runner.open_run(bench, variant)


def with_model(monkeypatch, answer: Callable[[Request], str | Reply | CallFailed]) -> Scripted:
    """Every prompted judge asks this model from now on."""
    model = Scripted(answer)
    made = PromptedJudge.__init__

    def init(self, *args, **kwargs):
        made(self, *args, **kwargs)
        self.model = model

    monkeypatch.setattr(PromptedJudge, "__init__", init)
    return model


def test_a_run_leaves_its_whole_folder(lab):
    bench, run = opened()
    asyncio.run(runner.run(bench, run))
    folder = run.folder.path
    assert {path.name for path in folder.iterdir()} == FILES
    assert run.folder.complete

    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config == json.loads(json.dumps(run.variant.config))
    record = read_json(folder / "record.json")
    assert record["calls"] | {"planned": 30, "answered": 30, "pending": 0} == record["calls"]
    assert record["complete"] is True
    assert record["part"] == "dev"
    assert record["mode"] == "cv"
    assert record["dataset"] | {"name": "own", "items": 30, "labelled": 30} == record["dataset"]
    assert record["dataset"]["sha256"] == bench.dataset.sha256
    assert record["split"] == {"name": "own", "sha256": bench.split.sha256}
    assert {"judgelab", "python", "numpy", "mlflow", "dspy"} <= set(record["versions"])
    assert set(record["revision"]) == {"commit", "dirty"}
    for name, before in record["texts"].items():
        text = (folder / name).read_text()
        assert before in {hashlib.sha256(t.encode()).hexdigest() for t in (text, text[:-1])}
    assert set(record["texts"]) == {"rubric.md", "template.j2"}

    assigned = read_lines(folder / "assignment.jsonl")
    assert {row["id"] for row in assigned} == {f"item-{i:03}" for i in range(30)}
    assert {row["part"] for row in assigned} == {"cv"}
    verdicts = read_lines(folder / "verdicts.jsonl")
    order = [item.id for item in sorted_items(bench)]
    assert [row["id"] for row in verdicts] == order
    replies = read_lines(folder / "replies.jsonl")
    assert {row["id"] for row in replies} == set(order)
    assert all(json.loads(row["reply"]["text"])["verdict"] in ("pass", "fail") for row in replies)
    scores = read_json(folder / "scores.json")
    assert (scores["n"], scores["positive"], scores["coverage"]) == (30, "fail", 1.0)
    assert scores["confusion"]["tp"] + scores["confusion"]["fn"] == 10
    assert (scores["part"], scores["mode"], scores["exploratory"]) == ("dev", "cv", True)


def sorted_items(bench):
    return [item for fold in bench.folds for item in fold.items]


def test_verdicts_and_scores_carry_no_clock_latency_or_path(lab):
    bench, run = opened()
    asyncio.run(runner.run(bench, run))
    for name in ("verdicts.jsonl", "scores.json"):
        text = (run.folder.path / name).read_text()
        assert str(lab.folder) not in text
        assert "2026" not in text
        assert not any(word in text for word in ('"at"', "second", "latency", "time"))


def test_the_same_run_again_is_the_same_bytes(lab, tmp_path, monkeypatch):
    made = []
    for name in ("one", "two"):
        home = tmp_path / name
        home.mkdir()
        write_rows(home / "data.jsonl", rows(30) if name == "one" else rows(30)[::-1])
        monkeypatch.setenv("JUDGELAB_HOME", str(home))
        bench, run = opened()
        asyncio.run(runner.run(bench, run))
        made.append(run.folder)
    assert made[0].id == made[1].id, "whatever the order of the file"
    for name in ("verdicts.jsonl", "scores.json", "assignment.jsonl"):
        assert (made[0].path / name).read_bytes() == (made[1].path / name).read_bytes()


def test_a_complete_run_is_not_judged_again(lab, monkeypatch):
    bench, run = opened()
    asyncio.run(runner.run(bench, run))
    model = with_model(monkeypatch, lambda request: VERDICT)
    bench, again = opened()
    asyncio.run(runner.run(bench, again))
    assert again.folder.id == run.folder.id
    assert model.requests == []


@pytest.mark.parametrize(
    "override",
    ["demos.k=5", "limit=9", "scores.policy=exclude", "judge.rubric=generic", "split.folds=3"],
)
def test_whatever_changes_a_result_has_a_folder_of_its_own(lab, override):
    _, run = opened()
    own = ["split.name=other"] if override.startswith("split") else []
    _, other = opened(override, *own)
    assert other.folder.id != run.folder.id


def test_an_edited_rubric_or_label_has_a_folder_of_its_own(lab):
    lab.write("prompts/rubrics/mine.md", "Pass what is short.\n")
    _, run = opened("judge.rubric=mine")
    lab.write("prompts/rubrics/mine.md", "Fail what is long.\n")
    _, edited = opened("judge.rubric=mine")
    data = rows(30)
    data[4]["label"] = "fail"
    write_rows(lab.folder / "data.jsonl", data)
    _, relabelled = opened("judge.rubric=mine")
    assert len({run.folder.id, edited.folder.id, relabelled.folder.id}) == 3


@pytest.mark.parametrize("override", ["tracking=mlflow", "budget.usd=1", "baselines=[]"])
def test_what_changes_no_result_has_the_same_folder(lab, override):
    assert opened(override)[1].folder.id == opened()[1].folder.id


def test_failed_calls_leave_an_incomplete_run_without_scores(lab, monkeypatch):
    failing = {f"item-{i:03}" for i in range(5)}
    with_model(
        monkeypatch,
        lambda request: CallFailed("503", "busy") if request.item in failing else VERDICT,
    )
    bench, run = opened()
    asyncio.run(runner.run(bench, run))
    assert not run.folder.complete
    assert not (run.folder.path / "scores.json").exists()
    record = run.folder.record
    assert record["complete"] is False
    assert record["incomplete_because"] == "503: busy"
    calls = record["calls"]
    assert (calls["planned"], calls["answered"], calls["failed"]) == (30, 25, {"503": 5})
    assert calls["planned"] == calls["answered"] + 5 + calls["skipped"] + calls["pending"]
    assert {v.id for v in run.folder.verdicts} == {f"item-{i:03}" for i in range(5, 30)}

    with_model(monkeypatch, lambda request: VERDICT)
    bench, again = opened()
    asyncio.run(runner.run(bench, again))
    assert again.folder.complete, "the same command completes it"
    assert again.folder.record["incomplete_because"] is None
    assert len(again.folder.verdicts) == 30


def test_what_cannot_be_read_is_an_abstention_not_a_fail(lab, monkeypatch):
    answers = {"item-000": "it fails", "item-001": "", "item-002": '{"verdict": "maybe"}'}
    with_model(monkeypatch, lambda request: answers.get(request.item, VERDICT))
    bench, run = opened()
    asyncio.run(runner.run(bench, run))
    reasons = {v.id: v.reason for v in run.folder.verdicts if v.verdict is None}
    assert reasons == {
        "item-000": "unparsable",
        "item-001": "empty",
        "item-002": "out_of_enum",
    }
    scores = run.folder.scores
    assert scores["coverage"] == pytest.approx(27 / 30)
    assert scores["confusion"]["abstained_fail"] == 1
    assert scores["confusion"]["abstained_pass"] == 2
    assert run.folder.record["calls"]["abstained"] == {
        "empty": 1,
        "out_of_enum": 1,
        "unparsable": 1,
    }


def test_repeats_are_asked_and_kept_apart(lab, monkeypatch):
    model = with_model(
        monkeypatch,
        lambda request: VERDICT if request.repeat < 2 else '{"verdict": "pass"}',
    )
    bench, run = opened("judge.repeats=3", "limit=10")
    asyncio.run(runner.run(bench, run))
    verdicts = run.folder.verdicts
    assert [v.repeat for v in verdicts] == [0] * 10 + [1] * 10 + [2] * 10
    assert len({(r.item, r.repeat, r.key) for r in model.requests}) == 30
    assert run.folder.scores["n"] == 10
    assert run.folder.scores["confusion"]["tn"] == 0, "the majority of three decides"


def test_the_judge_is_handed_the_fixed_order_and_no_label(lab, monkeypatch):
    bench, run = opened("split.mode=holdout")
    model = with_model(monkeypatch, lambda request: VERDICT)
    asyncio.run(runner.run(bench, run))
    (fold,) = bench.folds
    assert [request.item for request in model.requests] == [item.id for item in fold.items]
    assert not any(hasattr(item, "label") or hasattr(item, "critique") for item in fold.items)
    shuffled = [item.id for item in fold.items]
    assert shuffled != sorted(shuffled)
    critiques = {e.critique for e in bench.dataset.examples if e.id in set(shuffled)}
    asked = json.dumps([list(request.messages) for request in model.requests])
    assert not any(critique in asked for critique in critiques)


def test_limit_takes_the_first_of_the_fixed_order(lab):
    whole = [item.id for item in opened("split.mode=holdout")[0].folds[0].items]
    few = [item.id for item in opened("split.mode=holdout", "limit=4")[0].folds[0].items]
    assert few == whole[:4]


def test_test_labels_are_closed_without_a_look(lab):
    bench, run = opened("split.mode=holdout")
    bench = replace(bench, part="test")
    with pytest.raises(PermissionError):
        runner.scores(bench, "x", [])
    with pytest.raises(PermissionError):
        asyncio.run(runner.run(bench, runner.open_run(bench, run.variant)))


def test_judge_gives_verdicts_in_the_fixed_order_whatever_came_first(lab, monkeypatch):
    bench, run = opened("split.mode=holdout", "limit=6")
    order = [item.id for item in bench.folds[0].items]

    async def backwards(self, interactions, repeat):
        for item in reversed(list(interactions)):
            yield Verdict(item.id, "pass", repeat=repeat)

    monkeypatch.setattr(PromptedJudge, "judge", backwards)
    seen = []
    calls = Calls(bench.pool)
    verdicts = asyncio.run(
        runner.judge(bench, run.variant, calls, lambda variant, verdict: seen.append(verdict.id))
    )
    assert seen == order[::-1]
    assert [verdict.id for verdict in verdicts] == order
    assert calls.accounts.complete


def test_a_judge_that_cannot_work_says_so_before_it_has_a_folder(lab, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        opened("model=openai")
    assert not (lab.folder / "runs").exists()


class TestFindRun:
    @pytest.fixture
    def runs(self, lab) -> Path:
        for n, name in enumerate(["aa1-x", "ab2-y"]):
            folder = RunFolder(lab.folder / "runs" / name)
            folder.write_json("record.json", {"n": n})
        RunFolder(lab.folder / "runs" / "aa1-x").write_json("mlflow.json", {"run_id": "f00d"})
        (lab.folder / "runs" / "zz-sweep").mkdir()
        return lab.folder / "runs"

    def test_by_folder_prefix_mlflow_id_and_latest(self, runs):
        assert find_run(str(runs / "aa1-x")).id == "aa1-x"
        assert find_run("runs/aa1-x").id == "aa1-x"
        assert find_run("aa").id == "aa1-x"
        assert find_run("f00d").id == "aa1-x"
        assert find_run("latest").id == "ab2-y"

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("a", "names several runs.*aa1-x, ab2-y"),
            ("q", "names no run.*unique prefix.*aa1-x, ab2-y"),
            ("zz", "names no run"),
            ("", "names several"),
        ],
    )
    def test_anything_else_lists_what_there_is(self, runs, name, message):
        with pytest.raises(UserError, match=message):
            find_run(name)

    def test_an_empty_lab_says_how_to_start(self, lab):
        with pytest.raises(UserError, match=r"no runs in .*judgelab run"):
            find_run("latest")


class TestRunFolder:
    def test_a_file_is_replaced_whole(self, tmp_path):
        folder = RunFolder(tmp_path / "r")
        folder.write("a.txt", "old")
        with pytest.raises(UnicodeEncodeError):
            folder.write("a.txt", "new" * 10_000 + "\udcff")
        assert (tmp_path / "r" / "a.txt").read_text() == "old"
        folder.write("a.txt", "newer")
        assert (tmp_path / "r" / "a.txt").read_text() == "newer"

    def test_not_a_number_is_refused(self, tmp_path):
        with pytest.raises(ValueError, match="JSON"):
            RunFolder(tmp_path / "r").write_json("scores.json", {"a": float("nan")})

    def test_texts_with_strange_line_ends_survive(self, tmp_path):
        folder = RunFolder(tmp_path / "r")
        critique = "one\u2028two\x85three\r\nfour\vfive"
        folder.write_lines("verdicts.jsonl", [{"id": "a", "verdict": "pass", "critique": critique}])
        assert folder.verdicts == [Verdict("a", "pass", critique=critique)]

    @pytest.mark.parametrize(
        ("name", "text", "read"),
        [
            ("record.json", "{", lambda folder: folder.record),
            ("record.json", "[]", lambda folder: folder.record),
            ("config.yaml", "[a", lambda folder: folder.config),
            ("config.yaml", "", lambda folder: folder.config),
            ("verdicts.jsonl", '{"id"\n', lambda folder: folder.verdicts),
            ("scores.json", "x", lambda folder: folder.scores),
        ],
    )
    def test_a_damaged_file_is_named(self, tmp_path, name, text, read):
        (tmp_path / name).write_text(text)
        with pytest.raises(UserError, match=rf"{name} is damaged"):
            read(RunFolder(tmp_path))

    def test_a_folder_that_is_no_run_says_so(self, tmp_path):
        with pytest.raises(UserError, match=r"has no record\.json: it is no run folder"):
            _ = RunFolder(tmp_path).record
        with pytest.raises(UserError, match=r"has no config\.yaml"):
            _ = RunFolder(tmp_path).config


def test_configs_are_read_back_as_they_were(lab):
    """Dates, numbers and texts that look like them survive the yaml of a run folder."""
    given = ["model=openai", "model.api_key_env=null", "model.name='4.10'"]
    (variant,) = plans.plan([*OWN[:3], *given], multirun=False).variants
    folder = RunFolder(lab.folder / "runs" / "x")
    folder.write_yaml("config.yaml", variant.config)
    back = folder.config
    assert back == variant.config
    assert back["judge"]["model"]["price"]["date"] == "2026-11-23"
    assert back["judge"]["model"]["name"] == "4.10"
    assert configs.variant_id(back["judge"]) == variant.id
