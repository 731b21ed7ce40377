"""From a stranger's CSV to a leaderboard: at most four commands, at 50 rows and at 150."""

from __future__ import annotations

import csv
import json
import re

import pytest

from labs import Lab, read_json, read_lines, rows

FOREIGN = {
    "id": "Ticket No",
    "input": "customer_question",
    "output": "Bot answer",
    "label": "Expert verdict",
    "critique": "reviewer comments",
    "group": "conversation id",
}
SPELLINGS = {"pass": "Good", "fail": "Bad"}


def write_csv(lab: Lab, n: int) -> None:
    with (lab.folder / "export.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*FOREIGN.values(), "agent"])
        for i, row in enumerate(rows(n)):
            theirs = row | {"label": SPELLINGS[row["label"]], "group": f"c{i // 2}"}
            writer.writerow([*(theirs[name] for name in FOREIGN), f"a{i % 3}"])


class Typist:
    """Types commands, and counts them."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.typed = lab, 0

    def __call__(self, *words: str):
        self.typed += 1
        done = self.lab(*words)
        assert done.code == 0, done.err
        return done


@pytest.mark.parametrize(
    ("n", "mode"), [pytest.param(50, "cv", marks=pytest.mark.slow), (150, "holdout")]
)
def test_from_a_csv_to_a_leaderboard_in_four_commands(tmp_path, n, mode):
    lab = Lab(tmp_path)
    write_csv(lab, n)
    judgelab = Typist(lab)

    proposed = judgelab("init", "export.csv")
    for ours, theirs in FOREIGN.items():
        assert re.search(rf"^  {ours} +{theirs}  \({n} of {n} rows filled\)$", proposed.out, re.M)
    fails = sum(row["label"] == "fail" for row in rows(n))
    assert re.search(rf"^  fail +.Bad. {fails} rows$", proposed.out, re.MULTILINE)
    assert re.search(rf"^  pass +.Good. {n - fails} rows$", proposed.out, re.MULTILINE)
    made = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("mine.*")}
    assert made == {
        *("conf/dataset/mine.yaml", "prompts/rubrics/mine.md", "experiments/mine.yaml"),
    }
    # The expert confirms the mapping: nothing has to be changed in this one.
    steps = re.findall(r"judgelab [^\n]+", proposed.err)
    assert steps == [
        "judgelab data check dataset=mine",
        "judgelab run experiment=mine model=neighbours",
    ]

    checked = judgelab(*steps[0].split()[1:])
    assert f"critiques usable as demos: {n} of {n}" in checked.out
    swept = judgelab(*steps[1].split()[1:], "tracking=none", "--json")
    assert judgelab.typed == 3

    cards = {card["judge"]: card for card in json.loads(swept.out)}
    variants = {f"{demos} k={k}" for demos in ("random", "balanced", "nearest") for k in (4, 8)}
    assert set(cards) == variants | {"always fail", "always pass", "classifier"}
    records = lab.records
    for name in variants:
        assert records[name]["mode"] == mode
        assert records[name]["calls"]["answered"] == cards[name]["n"]
        texts = (lab.folder_of(name) / "rubric.md").read_text(encoding="utf-8")
        assert texts.strip() == (tmp_path / "prompts/rubrics/mine.md").read_text().strip()
    if mode == "cv":
        assert {card["n"] for card in cards.values()} == {n}, "each is judged once"
        assert all(card["exploratory"] for card in cards.values())
    else:
        (size,) = {card["n"] for card in cards.values()}
        assert 0.3 * n < size < 0.5 * n
        assert "judgelab holdout" in swept.err
        assert judgelab("holdout", lab.folder_of("nearest k=8").name).code == 0
    assert judgelab.typed <= 4
    assert judgelab("rerun", "latest").code == 0
    places: dict[str, set] = {}
    for row in read_lines(lab.folder_of("random k=4") / "assignment.jsonl"):
        places.setdefault(row["group"], set()).add((row["part"], row["fold"]))
    assert set(places) == {f"group:c{i}" for i in range(n // 2)}, "the conversation is the group"
    assert all(len(place) == 1 for place in places.values()), "and is never split"


def test_init_never_writes_over_anything(tmp_path):
    lab = Lab(tmp_path)
    write_csv(lab, 20)
    lab.write("prompts/rubrics/mine.md", "My own words.\n")
    done = lab("init", "export.csv")
    assert done.code == 2
    assert "prompts/rubrics/mine.md" in done.message
    assert (tmp_path / "prompts/rubrics/mine.md").read_text() == "My own words.\n"
    assert not (tmp_path / "conf").exists()


def test_without_labels_the_way_leads_to_the_expert(tmp_path):
    lab = Lab(tmp_path)
    lab.write(
        "log.csv", "\n".join(["input,output", *(f"ask {n},say {n}" for n in range(9))]) + "\n"
    )
    proposed = lab("init", "log.csv")
    assert proposed.code == 0, proposed.err
    assert "judgelab review dataset=mine judge.rubric=mine" in proposed.err
    yaml = tmp_path / "conf/dataset/mine.yaml"
    yaml.write_text(re.sub("  label: null.*", "  label: null", yaml.read_text()))
    done = lab("data", "check", "dataset=mine")
    assert done.code == 0, done.message
    assert "9 unlabelled" in done.out


def test_init_without_a_file_makes_a_lab_around_the_sample(tmp_path):
    lab = Lab(tmp_path)
    done = lab("init")
    assert done.code == 0, done.err
    assert "judgelab run experiment=mine" in done.err
    run = lab("run", "experiment=mine", "tracking=none", "limit=5", "baselines=[]", "--json")
    assert run.code == 0, run.err
    cards = json.loads(run.out)
    assert len(cards) == 6
    record = read_json(tmp_path / "runs" / cards[0]["run"] / "record.json")
    assert record["dataset"]["name"] == "sample"


def test_without_a_model_the_user_is_asked_for_one(tmp_path):
    lab = Lab(tmp_path)
    write_csv(lab, 20)
    assert lab("init", "export.csv").code == 0
    done = lab("run", "experiment=mine", "tracking=none")
    assert done.code == 2
    assert re.search(r"model= is not chosen.*anthropic.*openai_compatible", done.message)
    assert lab.runs == []


def test_a_score_is_a_verdict_only_where_the_expert_says_from_when(tmp_path):
    lab = Lab(tmp_path)
    lines = [f"{r['input']}\t{r['output']}\t{i % 5 + 1}" for i, r in enumerate(rows(40))]
    lab.write("export.tsv", "\n".join(["question\tanswer\tscore", *lines]) + "\n")
    proposed = lab("init", "export.tsv")
    assert proposed.code == 0, proposed.err
    assert "fill in which spellings pass and which fail" in proposed.out
    done = lab("data", "check", "dataset=mine")
    assert done.code == 2, done.out
    assert "score" in done.message
    said = ("dataset.labels.pass=['4','5']", "dataset.labels.fail=['1','2','3']")
    assert lab("data", "check", "dataset=mine", *said).code == 0
    run = lab("run", "dataset=mine", *said, "model=neighbours", "tracking=none", "--json")
    assert run.code == 0, run.err
    (card,) = json.loads(run.out)
    assert card["confusion"]["tp"] + card["confusion"]["fn"] == 24
