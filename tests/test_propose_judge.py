"""`judgelab propose check --kind judge`: one accepted, one refused, and a panel with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labs import Lab, endpoint, question, read_lines, rows, said, write_rows

OWN = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl")
WORDS = ("propose", "check", "too_late", *OWN, "--kind", "judge", "--mode", "late")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """Every second fail is late, and says so."""
    made = Lab(tmp_path)
    data = rows(360)
    fails = [row for row in data if row["label"] == "fail"]
    for row in fails[::2]:
        row["output"] += " it-is-late"
        row["critique"] += " why-it-is-late"
    write_rows(tmp_path / "data.jsonl", data)
    modes = [{"id": row["id"], "modes": ["rude" if n % 2 else "late"]}
             for n, row in enumerate(fails)]  # fmt: skip
    write_rows(tmp_path / "m.jsonl", modes)
    taken = ("data", "import", "m.jsonl", *OWN, "model=none", "--as", "modes", "--expert", "a")
    assert made(*taken, "--new-modes").code == 0
    return made


def sees(body: dict[str, Any]) -> str:
    return said("fail" if "it-is-late" in question(body) else "pass")


def files(lab: Lab) -> list[str]:
    found = (*lab.folder.glob("conf/**/*.yaml"), *lab.folder.glob("prompts/**/*.md"))
    return sorted(path.relative_to(lab.folder).as_posix() for path in found)


def test_one_is_accepted_and_votes_in_a_panel(lab: Lab) -> None:
    with endpoint(sees) as model:
        dry = lab(*WORDS, *model.overrides, "--dry-run")
        assert dry.code == 0, dry.err
        assert "calls to send" in dry.out
        assert (model.asked, files(lab)) == ([], [])
        done = lab(*WORDS, *model.overrides)
        assert done.code == 0, done.err
        assert "a rubric on late, with 16 critiques of train as demonstrations" in done.out
        assert files(lab) == ["conf/judge/too_late.yaml", "prompts/rubrics/too_late.md"]
        first = model.asked[0]["messages"]
        assert "You look for one flaw, and for nothing else: late." in first[0]["content"]
        assert sum("why-it-is-late" in turn["content"] for turn in first[1:]) == 8
        sent = len(model.asked)
        lab.run(*OWN, *model.overrides, "judge=too_late")
        (alone,) = lab.runs
        parts = {row["id"]: row["part"] for row in read_lines(alone / "assignment.jsonl")}
        judged = len(read_lines(alone / "verdicts.jsonl"))
        rude = judged - sent
        assert rude > 0, "the others are rude: they were not asked about for the gate"
        assert len(model.asked) == judged, "what was asked is paid for"
        shown = next(row["judge"]["demos"]["ids"] for row in [config(alone)])
        assert {parts[id_] for id_ in shown} == {"train"}
        members = "[{rubric: generic}, {judge: too_late}, {judge: assertion}]"
        lab.run(*OWN, *model.overrides, "judge=panel", f"judge.members={members}", "limit=6")
    systems = {body["messages"][0]["content"][:40] for body in model.asked[judged:]}
    assert not any("one flaw" in text for text in systems), "the member's answers were there"
    (panel,) = [path for path in lab.runs if path != alone]
    kept = [one["rubric"] for one in config(panel)["judge"]["members"][:2]]
    assert kept == ["generic", "too_late"]


def config(run: Path) -> Any:
    import yaml

    return yaml.safe_load((run / "config.yaml").read_text())


def test_one_is_refused_and_nothing_stays(lab: Lab) -> None:
    with endpoint(lambda body: said("fail")) as model:
        done = lab(*WORDS, *model.overrides, "--json")
        assert done.code == 1, done.err
        assert "refused: it flags" in done.message
        found = json.loads(done.out)
        assert (found["accepted"], found["caught"]["value"], found["mode"]) == (False, 1, "late")
        assert files(lab) == []
        asked = len(model.asked)
        assert lab(*WORDS, *model.overrides).code == 1
        assert len(model.asked) == asked, "a refusal is not paid for twice"


def test_what_the_runs_judge_catches_is_no_gain(lab: Lab) -> None:
    with endpoint(sees) as model:
        lab.run(*OWN, *model.overrides)
        done = lab(*WORDS, *model.overrides, "--run", "latest")
    assert done.code == 1
    assert "catches all that it catches" in done.message
    assert files(lab) == []


def test_it_goes_on_where_it_stopped(lab: Lab) -> None:
    refusing = [True]

    def answer(body: dict[str, Any]) -> str | int:
        return 401 if refusing[0] and len(model.asked) > 20 else sees(body)

    with endpoint(answer) as model:
        done = lab(*WORDS, *model.overrides)
        assert done.code == 3, done.err
        assert "Go on with: judgelab propose check too_late" in done.message
        assert files(lab) == []
        paid, refusing[0] = model.answered, False
        before = len(model.asked)
        assert lab(*WORDS, *model.overrides).code == 0
        assert paid >= 20
        assert model.answered - paid == len(model.asked) - before
        assert model.answered == len({json.dumps(body) for body in model.asked})


MISTAKES = {
    "no mode": (("--kind", "judge"), "give --mode too"),
    "an assertion's": (("--kind", "judge", "--mode", "late", "--pytest", "t.py"), "of assertions"),
    "no calls": (("--dry-run",), "sends no calls"),
    "no LLM": (("--kind", "judge", "--mode", "late", "model=neighbours"), "takes an LLM"),
    "another judge": (("--kind", "judge", "--mode", "late", "judge=always_fail"), "judge=prompted"),
    "repeats": (("--kind", "judge", "--mode", "late", "judge.repeats=3"), "asked once"),
}


@pytest.mark.parametrize(("words", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told(lab: Lab, words: tuple[str, ...], message: str) -> None:
    more = () if any(word.startswith("model=") for word in words) else ("model=neighbours",)
    done = lab("propose", "check", "x", *OWN, *words, *more)
    assert done.code == 2, done.err
    assert message in done.err
    assert files(lab) == []
