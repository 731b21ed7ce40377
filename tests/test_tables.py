"""The tables of run and score: what stands in them, what is said below, and what may choose."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from judgelab.commands.remarks import missing, remarks
from judgelab.metrics.scorecard import scorecard
from judgelab.scoring import in_words
from labs import Done, Lab, read_json, rows, write_rows

ITEMS = 60  # out of fold: every item is judged
EASY = 24  # that the careful judge answers
OWN = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl", "model=none")
JUDGES = "judge.path=careful.jsonl,whole.jsonl,silent.jsonl"
SWEEP = ("run", "-m", "judge=recorded", JUDGES, *OWN, "tracking=none")
WIDEST = 112


def recorded(lab: Lab) -> Lab:
    """One judge that answers only what it knows, one that answers all, one that answers nothing."""
    data = rows(ITEMS)
    other = {"pass": "fail", "fail": "pass"}
    write_rows(lab.folder / "data.jsonl", data)
    said: dict[str, Any] = {
        "careful": lambda i, label: label if i < EASY else None,
        "whole": lambda i, label: other[label] if i % 6 == 0 else label,
        "silent": lambda i, label: None,
    }
    for name, judge in said.items():
        given = [{"id": row["id"], "verdict": judge(i, row["label"])} for i, row in enumerate(data)]
        write_rows(lab.folder / f"{name}.jsonl", given)
    return lab


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """For all who only read: a sweep under `exclude`."""
    lab = recorded(Lab(tmp_path_factory.mktemp("made")))
    lab.swept = lab(*SWEEP, "scores.policy=exclude")  # type: ignore[attr-defined]
    return lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return recorded(Lab(tmp_path))


def about(lab: Lab) -> dict[str, Any]:
    (path,) = lab.folder.glob("runs/*-sweep/sweep.json")
    return read_json(path)


def row_of(done: Done, name: str) -> str:
    (line,) = [line for line in done.out.splitlines() if line.startswith(name)]
    return line


@pytest.mark.slow
def test_where_a_table_drops_items_how_many_and_the_coverage_stand_beside(made: Lab) -> None:
    done = made.swept  # type: ignore[attr-defined]
    assert done.code == 0, done.err
    assert re.search(r"variant +n +excl\. +cover +agreement", done.out)
    assert re.search(rf"path=careful\S* +{ITEMS} +{ITEMS - EASY} +40% +1 \[", done.out)
    assert re.search(rf"path=whole\S* +{ITEMS} +0 +100% +\.83 \[", done.out)
    assert re.search(rf"path=silent\S* +{ITEMS} +{ITEMS} +0% +–", done.out)
    assert "abstentions: exclude" in done.out
    assert max(map(len, done.out.splitlines())) <= WIDEST
    assert "excl." not in made(*SWEEP).out


def test_exclude_never_chooses(made: Lab) -> None:
    """The careful judge is without a mistake where it speaks, which is where it is easy."""
    names = {record["name"]: path.name for path, record in runs(made, "exclude").items()}
    (found,) = [
        one
        for one in map(read_json, made.folder.glob("runs/*-sweep/sweep.json"))
        if set(one["runs"]) == set(names.values()) | set(one["runs"])
        and names["path=careful.jsonl"] in one["runs"]
    ]
    choice = found["selection"]
    careful = read_json(made.folder / "runs" / names["path=careful.jsonl"] / "scores.json")
    assert careful["policy"] == "exclude"
    assert careful["metrics"]["kappa"]["value"] == 1
    assert choice["policy"] == "error"
    assert choice["chosen"] == names["path=whole.jsonl"] == found["runs"][0]
    assert choice["n"] == choice["set_n"] == ITEMS
    assert choice["set_reason"] is None
    assert names["path=careful.jsonl"] in choice["below_floors"]
    assert {pair["policy"] for pair in choice["pairs"]} == {"error"}
    assert any("scores.policy=exclude chooses nothing" in text for text in choice["text"])


def runs(lab: Lab, policy: str) -> dict[Path, dict[str, Any]]:
    return {
        path: read_json(path / "record.json")
        for path in lab.runs
        if read_json(path / "scores.json")["policy"] == policy
    }


@pytest.mark.slow
def test_ac1_stands_beside_kappa_and_the_share_of_fails_is_said(made: Lab) -> None:
    done = made(*SWEEP)
    assert done.out.startswith("own, dev: positive class fail (33% of the items)")
    assert re.search(r"kappa +AC1", done.out)
    (card,) = [
        c for c in json.loads(made(*SWEEP, "--json").out) if c["judge"] == "path=whole.jsonl"
    ]
    shown = in_words(card, "kappa") + r" +" + in_words(card, "gwet_ac1").split()[0]
    assert re.search(shown.replace("[", r"\["), row_of(done, "path=whole"))
    assert (
        "no AC1 for path=careful.jsonl and path=silent.jsonl: it is of judges without" in done.err
    )


@pytest.mark.slow
def test_the_metric_that_chooses_has_a_column(made: Lab) -> None:
    plain = made(*SWEEP).out
    for metric, heading in {"balanced_accuracy": "balanced", "f1_fail": "F1", "mcc": "MCC"}.items():
        done = made(*SWEEP, f"search.metric={metric}")
        assert done.code == 0, done.err
        head = "\n".join(done.out.splitlines()[1:3])
        assert re.search(rf"\b{heading}\b", head)
        assert heading not in plain
        assert max(map(len, done.out.splitlines())) <= WIDEST
        for card in json.loads(made(*SWEEP, f"search.metric={metric}", "--json").out):
            value, _, limits = in_words(card, metric).partition(" ")
            text = done.out[done.out.index(card["judge"]) :]
            first, second = text.splitlines()[:2]
            assert f" {value} " in first
            assert limits in second
    one = made("run", "judge=recorded", "judge.path=whole.jsonl", *OWN, "search.metric=mcc")
    assert re.search(r"kappa +MCC +AC1", one.out)
    for metric in ("agreement", "recall_fail", "precision_fail", "kappa"):
        assert made(*SWEEP, f"search.metric={metric}").out.splitlines()[1] == plain.splitlines()[1]


@pytest.mark.slow
def test_rules_that_were_chosen_after_a_look_are_seen(lab: Lab) -> None:
    first = lab(*SWEEP)
    assert about(lab)["rules_before"] == []
    assert "declared after a look" not in first.err
    assert lab(*SWEEP).err == first.err, "the same rules again are the same"
    by_agreement = ("search.metric=agreement", "search.floors.recall_fail=null")
    done = lab(*SWEEP, *by_agreement)
    (before,) = about(lab)["rules_before"]
    assert before == {
        "sweep": about(lab)["sweep"],
        "metric": "kappa",
        "floors": {"recall_fail": 0.5},
        "margin": 0.05,
    }
    said = (
        "These rules were declared after a look: sweeps on these items chose before by kappa with "
        "recall of fail >= .50, margin .05."
    )
    assert said in done.err
    assert said in about(lab)["selection"]["text"]
    again = lab(*SWEEP)
    assert [one["metric"] for one in about(lab)["rules_before"]] == ["agreement"]
    assert "chose before by agreement without a floor, margin .05." in again.err


@pytest.mark.slow
def test_another_sweep_with_other_rules_on_the_same_items_is_seen_too(lab: Lab) -> None:
    other = ("run", "-m", "judge=recorded", "judge.path=careful.jsonl,whole.jsonl", *OWN)
    assert lab(*other, "search.margin=0.2", "tracking=none").code == 0
    (first,) = lab.folder.glob("runs/*-sweep")
    lab(*SWEEP)
    (second,) = set(lab.folder.glob("runs/*-sweep")) - {first}
    (before,) = read_json(second / "sweep.json")["rules_before"]
    assert (before["sweep"], before["margin"]) == (read_json(first / "sweep.json")["sweep"], 0.2)
    write_rows(lab.folder / "other.jsonl", rows(ITEMS, seed=1))
    lab(*SWEEP, "dataset.path=other.jsonl", "dataset.name=other")
    (third,) = set(lab.folder.glob("runs/*-sweep")) - {first, second}
    assert read_json(third / "sweep.json")["rules_before"] == []


def test_no_json_holds_what_is_no_number(lab: Lab) -> None:
    words = ("run", "judge=recorded", "judge.path=whole.jsonl", *OWN, "tracking=none", "--json")
    assert lab(*words).code == 0
    (run,) = lab.runs
    text = (run / "scores.json").read_text()
    value = json.loads(text)["metrics"]["kappa"]["value"]
    (run / "scores.json").write_text(text.replace(f'"value": {value}', '"value": NaN'))
    done = lab(*words)
    assert (done.code, done.out) == (2, "")
    assert "scores.json is damaged (NaN is no number)" in done.message


def test_run_and_score_say_the_same_of_a_judge(lab: Lab) -> None:
    done = lab("run", "judge=recorded", "judge.path=whole.jsonl", *OWN, "tracking=none")
    (run,) = lab.runs
    scored = lab("score", "--labels", "data.jsonl", "--verdicts", run.name)
    said = [line for line in scored.err.splitlines() if line.startswith("note ")]
    assert "note recorded: wide intervals (only 20 fails)" in said
    assert sum("±" in line for line in said) == 4
    for line in said:
        assert line in done.err or "ceiling unknown" in line


def card_of(name: str, **cells: Any) -> dict[str, Any]:
    expert = [True] * 12 + [False] * 28
    judge = cells.pop("judge", [1] * 12 + [0] * 28)
    return scorecard(expert, judge, draws=200, **cells).to_json(name)


def test_few_clusters_are_said_once() -> None:
    groups = [f"g{i % 8}" for i in range(40)]
    wrong = [0] + [1] * 11 + [0] * 27 + [1]
    (said,) = [
        one
        for one in remarks([card_of("j", judge=wrong, groups=groups)], None)
        if "clusters" in one
    ]
    assert said == "j: few clusters (8)"
    fails_in_few = [f"f{i % 4}" for i in range(12)] + [f"p{i}" for i in range(68)]
    expert, judge = [True] * 12 + [False] * 68, [0] + [1] * 11 + [0] * 67 + [1]
    card = scorecard(expert, judge, draws=200, groups=fails_in_few).to_json("j")
    lines = [one for one in remarks([card], None) if "clusters" in one]
    assert lines == ["j: few clusters for precision of fail (5), recall of fail (4)"]


def test_why_a_cell_has_no_number_or_no_limits() -> None:
    cards = [card_of("right"), card_of("always pass", judge=[0] * 40)]
    cards += [card_of("shy", judge=[-1] + [1] * 11 + [0] * 27 + [1])]
    lines = list(missing(cards, ["agreement", "precision_fail", "kappa"], ["gwet_ac1"]))
    assert lines == [
        "no precision of fail for always pass: the judge fails nothing",
        "no interval of kappa for right and always pass: every resample gives the same value",
        "no AC1 for shy: it is of judges without abstentions",
    ]
    silent = [card_of("silent", judge=[-1] * 40, policy="exclude")]
    assert list(missing(silent, ["agreement", "kappa"], ["gwet_ac1"])) == [
        "no number for silent: there is no verdict"
    ]


def test_every_reason_of_a_scorecard_has_words() -> None:
    """A code would do, but none is left that somebody has to look up."""
    from judgelab.metrics.names import why_missing

    cards: list[Mapping[str, Any]] = [
        card_of("nothing", judge=[-1] * 40, policy="exclude"),
        card_of("silent", judge=[-1] * 40),
        card_of("always fail", judge=[1] * 40),
        card_of("one group", groups=["g"] * 40),
    ]
    reasons = {m["reason"] for card in cards for m in card["metrics"].values() if "reason" in m}
    assert len(reasons) > 5
    assert not [code for code in reasons if "_" in why_missing(code)]
