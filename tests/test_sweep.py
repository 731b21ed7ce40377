"""A sweep: many variants, one pool; what fails, what is incomplete, what is ranked."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from labs import Lab, endpoint, question, read_json, read_lines, rows, said, write_rows

OWN = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl")
AXES = ("-m", "demos=none,balanced,nearest", "demos.k=2,4")
FEW = ("baselines=[]", "limit=15")
OFFLINE = (*OWN, "model=neighbours", "tracking=none")


@pytest.fixture(scope="module")
def swept(tmp_path_factory) -> Lab:
    """One sweep that works, for all who only read."""
    lab = Lab(tmp_path_factory.mktemp("swept"))
    write_rows(lab.folder / "data.jsonl", rows(40))
    lab.first = lab("run", *AXES, *OFFLINE)
    return lab


@pytest.fixture
def lab(tmp_path) -> Lab:
    write_rows(tmp_path / "data.jsonl", rows(40))
    return Lab(tmp_path)


@pytest.fixture
def fails_short() -> Iterator:
    """A model that fails every text with an even number of letters."""
    with endpoint(lambda body: said("pass" if len(question(body)) % 2 else "fail")) as made:
        yield made


def sweep_of(lab: Lab) -> dict:
    (path,) = lab.folder.glob("runs/*-sweep/sweep.json")
    return read_json(path)


def order(lab: Lab) -> list[str]:
    return [read_json(lab.folder / "runs" / run / "record.json")["name"] for run in _ranked(lab)]


def _ranked(lab: Lab) -> list[str]:
    return list(sweep_of(lab)["runs"])


def test_every_variant_and_baseline_has_its_folder(swept):
    assert swept.first.code == 0, swept.first.err
    records = swept.records
    assert set(records) == {
        *("none", "balanced k=2", "balanced k=4", "nearest k=2", "nearest k=4"),
        *("always fail", "always pass", "classifier"),
    }
    assert {name for name, r in records.items() if r["baseline"]} == {
        *("always fail", "always pass", "classifier"),
    }
    assert len({record["sweep"] for record in records.values()}) == 1
    assert len({record["split"]["sha256"] for record in records.values()}) == 1
    assert {record["calls"]["planned"] for record in records.values()} == {40}
    assert all((path / "scores.json").is_file() for path in swept.runs)
    assert "demos=none, demos.k=4 is the same judge as none" in swept.first.err


def test_all_variants_judge_the_same_items_in_the_same_order(swept):
    orders = {
        tuple(row["id"] for row in read_lines(path / "verdicts.jsonl")) for path in swept.runs
    }
    assert len(orders) == 1
    assert len(next(iter(orders))) == 40


def test_the_sweep_folder_says_how_it_was_made(swept):
    about = sweep_of(swept)
    assert about["command"] == "judgelab run " + " ".join((*AXES, *OFFLINE))
    assert about["axes"] == {"demos": ["none", "balanced", "nearest"], "demos.k": ["2", "4"]}
    assert about["equal"] == ["demos=none, demos.k=4 is the same judge as none"]
    assert about["failed"] == {}
    assert about["dataset"]["name"] == "own"
    assert sorted(about["runs"]) == [path.name for path in swept.runs]


def test_the_leaderboard_is_ranked_by_kappa_with_undefined_last(swept):
    kappas = [
        read_json(swept.folder / "runs" / run / "scores.json")["metrics"]["kappa"]["value"]
        for run in _ranked(swept)
    ]
    known = [kappa for kappa in kappas if kappa is not None]
    assert known == sorted(known, reverse=True)
    assert kappas[: len(known)] == known
    shown = [line for line in swept.first.out.splitlines()[2:] if line.strip()]
    names = [re.split(r"\s{2,}", line.removeprefix("baseline: "))[0] for line in shown]
    assert names == order(swept)


def test_the_same_command_again_judges_nothing(swept):
    stamps = {path: path.stat().st_mtime_ns for path in swept.folder.glob("runs/*/*.jsonl")}
    again = swept("run", *AXES, *OFFLINE)
    assert again.code == 0
    assert again.out == swept.first.out
    assert {p: p.stat().st_mtime_ns for p in swept.folder.glob("runs/*/*.jsonl")} == stamps


def test_no_baseline_wins(swept):
    """The best variant is proposed for the look at test, or that none beats a baseline is said."""
    first = next(name for name in order(swept) if not swept.records[name]["baseline"])
    assert f"judgelab rerun {swept.folder_of(first).name[:8]}" in swept.first.err
    if swept.records[order(swept)[0]]["baseline"]:
        assert "no variant has a higher kappa than the baseline" in swept.first.err


def test_an_edited_rubric_makes_a_sweep_of_its_own(lab):
    lab.write("prompts/rubrics/mine.md", "Pass what is short.\n")
    command = ("-m", "judge.rubric=mine", "demos.k=2,4", "baselines=[]", "limit=5", *OFFLINE)
    assert lab("run", *command).code == 0
    lab.write("prompts/rubrics/mine.md", "Fail what is long.\n")
    assert lab("run", *command).code == 0
    assert lab("run", *command, "scores.policy=exclude").code == 0
    sweeps = [read_json(path) for path in lab.folder.glob("runs/*-sweep/sweep.json")]
    assert len(sweeps) == 3, "none is written over another"
    assert not set(sweeps[0]["runs"]) & set(sweeps[1]["runs"])


CHECKS = """
def wrong(interaction):
    return True

def raises(interaction):
    raise RuntimeError("mine")

def fine(interaction):
    return len(interaction.output) % 2 == 0, "even"
"""


def test_one_variant_that_cannot_run_does_not_end_the_others(lab):
    lab.write("bad_checks.py", CHECKS)
    lab.write("conf/judge/wrong.yaml", "defaults: [assertion]\ncheck: bad_checks.wrong\n")
    lab.write("conf/judge/typo.yaml", "defaults: [assertion]\ncheck: bad_checks.nope\n")
    lab.write("conf/judge/fine.yaml", "defaults: [assertion]\ncheck: bad_checks.fine\n")
    done = lab("run", "-m", "judge=wrong,typo,fine,prompted", "baselines=[always_fail]", *OFFLINE)
    assert done.code == 3, done.err
    assert set(lab.records) == {"fine", "prompted", "always fail"}
    assert re.search(r"not run: wrong: .*gave True for item 'item-\d+'", done.err)
    assert re.search(r"not run: typo: judge\.check: cannot import 'bad_checks\.nope'", done.err)
    assert "2 variants could not run" in done.message
    assert "go on with: judgelab run -m judge=wrong,typo,fine,prompted" in done.message
    assert set(sweep_of(lab)["failed"]) == {"wrong", "typo"}
    assert "fine" in done.out


def test_a_judge_of_ones_own_may_raise_anything(lab):
    lab.write(
        "own_judge.py",
        "from judgelab.judges.base import Judge\n"
        "class Mine(Judge):\n"
        "    async def judge(self, interactions, repeat):\n"
        "        raise KeyError('oh')\n"
        "        yield\n",
    )
    lab.write("conf/judge/mine.yaml", "# mine\n_target_: own_judge.Mine\n")
    done = lab("run", "-m", "judge=mine,always_pass", "baselines=[]", *OFFLINE)
    assert done.code == 3
    assert re.search(r"not run: mine: KeyError: 'oh' \(.*own_judge\.py:4\)", done.err)
    assert set(lab.records) == {"always_pass"}


def test_a_sweep_whose_every_judge_fails_is_a_mistake(lab):
    lab.write("bad_checks.py", CHECKS)
    lab.write("conf/judge/wrong.yaml", "defaults: [assertion]\ncheck: bad_checks.wrong\n")
    done = lab("run", "-m", "judge=wrong", "judge.context=[a],[b]", *OFFLINE)
    assert done.code == 2
    assert "gave True" in done.message
    lab.write("prompts/rubrics/mine.md", "x\n")
    done = lab("run", "-m", "judge.rubric=nope,nope2", "baselines=[]", *OFFLINE)
    assert done.code == 2
    assert "no prompts/rubrics/nope.md" in done.message
    assert "no prompts/rubrics/nope2.md" in done.message


def test_a_missing_key_ends_before_anything_is_sent(lab, fails_short):
    mixed = ("-m", "model=openai_compatible,openai", *fails_short.overrides[1:], *OWN)
    done = lab("run", *mixed, "model.api_key_env=NOT_SET_ANYWHERE", "tracking=none")
    assert done.code == 2
    assert "NOT_SET_ANYWHERE" in done.message
    assert fails_short.asked == []


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("openai,neighbours", r"^judgelab: model 'gpt-\S+' needs a key: .*OPENAI_API_KEY[^\n]*\n$"),
        ("neighbours,openai", "OPENAI_API_KEY"),
        ("openai,gemini,openai_compatible", r"^[^\n]*OPENAI_API_KEY[^\n]*GEMINI_API_KEY[^\n]*\n$"),
    ],
)
def test_a_key_that_one_variant_misses_is_one_message_before_anything_is_sent(
    lab, fails_short, monkeypatch, other, message
):
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    asked = fails_short.overrides[1:3] if "compatible" in other else []
    done = lab("run", "-m", f"model={other}", *asked, *OWN, "tracking=none")
    assert done.code == 2
    assert done.out == ""
    assert re.search(message, done.message), done.message
    assert lab.runs == [], "no variant was judged, not even one that needs no key"
    assert not list(lab.folder.glob("runs/*"))
    assert fails_short.asked == []


def test_an_address_that_is_none_ends_a_sweep_before_anything_is_sent(lab, fails_short):
    good = fails_short.overrides[2].removeprefix("model.base_url=")
    for bad in ("not-there", good.replace("http://", "http://me:secret@")):
        words = ("model=openai_compatible", "model.name=m", f"model.base_url={good},{bad}")
        done = lab("run", "-m", *words, *OWN, "tracking=none")
        assert done.code == 2
        assert "model.base_url" in done.message
        assert "secret" not in done.err
        assert fails_short.asked == []
        assert not list(lab.folder.glob("runs/*"))


def test_a_real_model_is_asked_once_a_question_and_its_answers_are_kept(lab, fails_short):
    command = ("-m", "demos.k=0,2", "judge.repeats=1,2", *fails_short.overrides, *OWN, *FEW)
    done = lab("run", *command, "tracking=none", "--json")
    assert done.code == 0, done.err
    # k=0 and k=2, each with repeats 0 and 1: the first repeat is shared by both variants.
    assert len(fails_short.asked) == 2 * 2 * 15
    records = lab.records
    assert records["k=2 · repeats=2"]["calls"]["answered"] == 30
    assert "60 calls sent now" in done.err
    sent = sum(record["calls"]["sent"] for record in records.values())
    stored = sum(record["calls"]["from_store"] for record in records.values())
    assert (sent, stored) == (60, 30)
    again = lab("run", *command, "tracking=none", "scores.policy=exclude")
    assert again.code == 0
    assert len(fails_short.asked) == 60, "another policy asks nothing anew"
    assert "0 calls sent now" in again.err


def test_incomplete_runs_are_not_ranked_and_are_completed_for_the_missing_calls_only(lab):
    up = False
    broken = {row["input"] for row in rows(40)[:6]}

    def answer(body):
        hit = any(text in question(body) for text in broken)
        many = len(body["messages"]) > 4
        return 503 if hit and many and not up else said("fail" if hit else "pass")

    with endpoint(answer) as model:
        command = ("-m", "demos.k=1,3", *model.overrides, *OWN, "tracking=none", "baselines=[]")
        done = lab("run", *command)
        assert done.code == 3, done.err
        assert "1 runs are incomplete (503" in done.message
        assert "go on with: judgelab run -m demos.k=1,3" in done.message
        assert order(lab)[-1] == "k=3"
        (row,) = [line for line in done.out.splitlines() if "not ranked" in line]
        assert re.match(r"k=3\s+34 of 40\s+incomplete:\s+not ranked", row)
        assert not (lab.folder_of("k=3") / "scores.json").exists()
        assert lab.records["k=3"]["calls"]["failed"] == {"503": 6}
        assert "6 failed" in done.err
        folder, whole = lab.folder_of("k=3"), (lab.folder_of("k=1") / "scores.json").read_bytes()
        assert lab("holdout", folder.name).code == 2, "cv has no test"
        assert lab("rerun", folder.name).code == 2, "an incomplete run is not rerun"
        cards = lab("run", *command, "--json")
        assert cards.code == 3
        assert '"judge": "k=3"' not in cards.out

        up = True
        before = len(model.asked)
        done = lab("run", *command)
        assert done.code == 0, done.err
        assert len(model.asked) - before == 6, "only what was missing is asked"
        assert lab.folder_of("k=3") == folder, "the same run goes on"
        assert lab.records["k=3"]["calls"]["answered"] == 40
        assert (lab.folder_of("k=1") / "scores.json").read_bytes() == whole
        assert "k=3" in order(lab)
        assert "not ranked" not in done.out


@pytest.mark.parametrize(
    ("cap", "why"),
    [
        ("budget.calls=25", "budget.calls=25 is spent"),
        ("budget.usd=0.02", "budget.usd=0.02 would be passed"),
    ],
)
def test_a_spent_budget_ends_with_what_there_is_and_goes_on(lab, fails_short, cap, why):
    price = "model.price={input:10,output:10,date:2026-11-23}"
    model = (*fails_short.overrides, "model.concurrency=1", price)
    command = ("demos=none", *model, *OWN, "tracking=none")
    done = lab("run", *command, cap)
    assert done.code == 3
    assert why in done.message
    first = len(fails_short.asked)
    assert 5 <= first <= 25
    (record,) = lab.records.values()
    calls = record["calls"]
    assert calls["skipped"] == 40 - first
    assert calls["planned"] == calls["answered"] + calls["skipped"]
    assert calls["cost_usd"] == pytest.approx(first * 110 * 10 / 1e6)
    assert lab("run", *command).code == 0
    assert len(fails_short.asked) == 40


def test_dry_run_counts_and_sends_nothing(lab, fails_short):
    price = "model.price={input:1000,output:1000,date:2026-11-23}"
    few = ("baselines=[always_pass]", "limit=15", "tracking=none")
    command = ("-m", "demos.k=1,3", *fails_short.overrides, *OWN, *few, price)
    done = lab("run", *command, "--dry-run")
    assert done.code == 0, done.err
    assert fails_short.asked == []
    assert lab.runs == []
    lines = done.out.splitlines()
    assert re.match(r"k=1: 15 verdicts, 15 calls to send, about [\d,]+ tokens in and", lines[0])
    assert lines[2] == "always pass: 15 verdicts, no calls to send"
    assert re.match(r"in all, 3 variants: 45 verdicts, 30 calls to send, .* about \$\d", lines[3])
    lab("run", *command, "budget.usd=null")
    assert len(fails_short.asked) == 30
    again = lab("run", *command, "--dry-run")
    assert "no calls to send" in again.out.splitlines()[-1], "answers in the store are not paid"


def test_what_the_offline_model_cannot_tell_apart_is_said(lab):
    done = lab("run", "-m", "judge.reasoning=none,cot", "limit=5", "baselines=[]", *OFFLINE)
    assert "neighbours is no LLM: judge.reasoning makes no difference to it" in done.err
