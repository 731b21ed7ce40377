"""A CSV of 50 rows, offline: what is defined is shown, and what it does not show is not claimed."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from judgelab.metrics.agreement import METRICS
from judgelab.scoring import in_words
from labs import Done, Lab, read_json, rows

FAILS = 9
HEADLINE = ("agreement", "recall_fail", "precision_fail", "kappa")
SWEEP = ("run", "-m", "dataset=mine", "demos=balanced,nearest", "demos.k=2,4")
FREE = ("model=neighbours", "tracking=none", "search.floors.recall_fail=null")
BETTER = re.compile(r"\b(?:better than|beats|outperforms|winner|significant\w*|proven)\b", re.I)


@dataclass
class Fifty:
    """A lab of 50 rows with nine fails, and its sweep."""

    lab: Lab
    checked: Done
    swept: Done
    cards: list[dict[str, Any]]
    choice: dict[str, Any]

    @property
    def said(self) -> str:
        return self.swept.out + self.swept.err

    @property
    def page(self) -> str:
        (path,) = self.lab.folder.glob("runs/*-sweep/report.html")
        return re.sub(r"<style.*?</style>|<[^>]*>", " ", path.read_text(), flags=re.S)


@pytest.fixture(scope="module")
def fifty(tmp_path_factory: pytest.TempPathFactory) -> Fifty:
    lab = Lab(tmp_path_factory.mktemp("fifty"))
    with (lab.folder / "export.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "question", "answer", "verdict", "comment"])
        for i, row in enumerate(rows(50)):
            said = "bad" if i % 5 == 0 and i < 5 * FAILS else "good"
            writer.writerow([row["id"], row["input"], row["output"], said, row["critique"]])
    assert lab("init", "export.csv").code == 0
    checked = lab("data", "check", "dataset=mine")
    assert checked.code == 0, checked.err
    swept = lab(*SWEEP, *FREE)
    assert swept.code == 0, swept.err
    cards = json.loads(lab(*SWEEP, *FREE, "--json").out)
    (path,) = lab.folder.glob("runs/*-sweep/sweep.json")
    return Fifty(lab, checked, swept, cards, read_json(path)["selection"])


def test_every_number_that_is_defined_is_shown_with_its_interval(fifty: Fifty) -> None:
    """No limits only where every resample is alike, or too many are undefined: with the reason."""
    assert len(fifty.cards) == 4 + 3
    for card in fifty.cards:
        assert card["n"] == 50
        assert card["confusion"]["tp"] + card["confusion"]["fn"] == FAILS
        assert list(card["metrics"]) == list(METRICS)
        constant = card["judge"].startswith("always") or card["confusion"]["tp"] == 0
        for name, metric in card["metrics"].items():
            if metric["lo"] is None:
                assert metric["reason"], (card["judge"], name)
                known = ("undefined_resamples", "bca_undefined") + (
                    "constant_resamples",
                ) * constant
                assert metric["value"] is None or metric["reason"] in known
            else:
                assert metric["lo"] <= metric["value"] <= metric["hi"]
                assert metric["level"] == 0.95
        for name in ("agreement", "recall_fail", "recall_pass"):
            assert card["metrics"][name]["lo"] is not None
    lines = fifty.swept.out.splitlines()
    for card in fifty.cards:
        cells = [in_words(card, name) for name in HEADLINE]
        assert any(all(cell in line for cell in cells) for line in lines), card["judge"]


def test_it_says_that_this_is_exploratory_and_how_reliable_it_is(fifty: Fifty) -> None:
    assert "exploratory, no held-out claim" in fifty.said
    assert "50 labels, each judged once" in fifty.said
    assert f"reliability low ({FAILS} fails)" in fifty.said
    assert all(card["exploratory"] and card["mode"] == "cv" for card in fifty.cards)
    assert {card["reliability"] for card in fifty.cards} == {f"low ({FAILS} fails)"}
    doubtful = [m for c in fifty.cards for m in c["metrics"].values() if m["method"] == "bca"]
    warned = [m for m in doubtful if m["lo"] is not None]
    assert warned
    assert all("low_information" in m["warnings"] for m in warned)


def test_it_names_the_set_that_cannot_be_told_apart(fifty: Fifty) -> None:
    names = {card["run"]: card["judge"] for card in fifty.cards}
    kept = [names[run] for run in fifty.choice["best_set"]]
    assert len(kept) > 1
    (line,) = [line for line in fifty.choice["text"] if "told apart" in line]
    assert all(name in line for name in kept)
    assert "on 50 items" in line
    assert line in fifty.said
    assert fifty.choice["exploratory"]


def test_it_says_how_many_labels_it_takes(fifty: Fifty) -> None:
    for said in (fifty.said, fifty.checked.out):
        assert re.search(r"agreement: ±\d+ points on 50 items", said)
        more = re.search(r"recall of fail: ±(\d+) points on 9 fails\. To get ±10: (\d+) more", said)
        assert more
        assert int(more[1]) > 15
        assert int(more[2]) > 20


def test_no_claim_is_made(fifty: Fifty) -> None:
    for text in (*fifty.said.splitlines(), *fifty.page.split(". ")):
        claims = BETTER.search(
            re.sub(r"not (shown|claimed) to be better than|looks (about )?\S+ better", "", text)
        )
        assert not claims, text
    shown = fifty.lab("run", "dataset=mine", "demos.k=2", *FREE)
    assert not BETTER.search(shown.out + shown.err)


def test_no_held_out_number_is_there_or_promised(fifty: Fifty) -> None:
    assert {card["part"] for card in fifty.cards} == {"dev"}
    assert not any("look" in card for card in fifty.cards)
    for text in (fifty.said, fifty.page):
        assert "judgelab holdout" not in text
    for run in fifty.lab.runs[:2]:
        done = fifty.lab("holdout", run.name)
        assert done.code == 2
        assert "no held-out test split" in done.message
        assert "From 100 labels" in done.message
    assert list(fifty.lab.folder.glob("splits/*.looks.jsonl")) == []
    assert {read_json(run / "record.json")["part"] for run in fifty.lab.runs} == {"dev"}


def test_under_twenty_rows_are_shown_too(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    with (tmp_path / "few.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "question", "answer", "verdict", "comment"])
        for row in rows(15):
            writer.writerow([row[k] for k in ("id", "input", "output", "label", "critique")])
    assert lab("init", "few.csv").code == 0
    done = lab("run", "dataset=mine", "model=neighbours", "tracking=none", "--json")
    assert done.code == 0, done.err
    (card,) = json.loads(done.out)
    assert card["metrics"]["agreement"]["lo"] is not None
    assert card["reliability"] == "low (5 fails)"
    assert "exploratory" in done.err
