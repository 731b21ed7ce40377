"""`judgelab propose modes`: clusters and a model propose, and nothing is a mode by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from judgelab.analysis.clusters import agreement, clusters
from judgelab.errors import UserError
from labs import Lab, endpoint, read_lines, rows, write_rows

OWN = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl", "judge.rubric=null")
THEMES = {
    "late": "The answer arrives late, the deadline passed and the schedule slipped",
    "rude": "The tone offends the customer, impolite wording and sarcasm everywhere",
    "sums": "Totals are miscounted, the arithmetic adds duplicate invoices twice",
}


def themed(n: int = 8) -> dict[str, str]:
    rng = np.random.default_rng(0)
    return {
        f"{theme}{i}": " ".join(rng.permutation(text.split())[:8])
        for theme, text in THEMES.items()
        for i in range(n)
    }


def test_themes_are_found_and_the_order_changes_nothing() -> None:
    texts = themed()
    found, silhouette = clusters(texts, 0)
    assert [{id_[:4] for id_ in one.items} for one in found] == [{"late"}, {"rude"}, {"sums"}]
    assert 0 < silhouette <= 1
    assert clusters(dict(reversed(texts.items())), 0) == (found, silhouette)
    modes = {id_: [id_[:4]] for id_ in texts}
    assert agreement(found, modes) == (1.0, pytest.approx(1.0), 24)
    several = modes | {"late0": ["late", "rude"]}
    assert agreement(found, several)[2] == 23
    assert agreement(found, {})[2] == 0


def test_too_little_is_not_clustered() -> None:
    with pytest.raises(UserError, match="5 fails have a critique"):
        clusters({f"i{n}": "some words here" for n in range(5)}, 0)
    with pytest.raises(UserError, match="all alike"):
        clusters({f"i{n}": "some words here" for n in range(9)}, 0)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = Lab(tmp_path)
    data = rows(130)
    texts = list(themed(16).values())
    for n, row in enumerate(row for row in data if row["label"] == "fail"):
        row["critique"] = f"{texts[n]} of-{row['id']}-"
    write_rows(tmp_path / "data.jsonl", data)
    return made


def answer(body: dict[str, Any]) -> str:
    numbered = json.loads(body["messages"][-1]["content"])["critiques"]
    late = [int(n) for n, text in numbered.items() if "deadline" in text]
    rows_ = [
        {"name": "comes too late", "description": "It is late.", "critiques": [*late, 999]},
        {"name": "explains nothing", "description": "", "critiques": []},
    ]
    return f"Here they are:\n{json.dumps(rows_)}"


def test_a_model_and_clusters_propose_and_no_text_of_test_is_read(lab: Lab) -> None:
    words = ("propose", "modes", *OWN)
    dry = lab(*words, "model=none", "--dry-run")
    assert dry.code == 0, dry.err
    assert not (lab.folder / "labels").exists()
    with endpoint(answer) as model:
        done = lab(*words, *model.overrides, "--critiques", "200")
        assert done.code == 0, done.err
        assert "0 proposals" in lab(*words, *model.overrides, "--critiques", "200").err
        assert len(model.asked) == 1, "the answer is there"
    entries = read_lines(lab.folder / "labels" / "own.modes.jsonl")
    assert {row["kind"] for row in entries} == {"proposal"}
    assert not (lab.folder / "labels" / "own.taxonomy.yaml").exists()
    (by_model,) = [row for row in entries if row["by"] == "m"]
    assert by_model["name"] == "comes too late"
    assert by_model["items"]
    split = lab("data", "split", *OWN, "model=none")
    assert split.code == 0
    lab.run(*OWN, "model=neighbours", "limit=3", "judge.rubric=from_critiques")
    parts = {row["id"]: row["part"] for row in read_lines(lab.runs[0] / "assignment.jsonl")}
    sent = json.dumps(model.asked)
    assert {part for id_, part in parts.items() if f"of-{id_}-" in sent} == {"train"}
    proposed = {parts[id_] for row in entries for id_ in row["items"]}
    assert proposed == {"train", "dev"}


def test_an_answer_without_a_list_proposes_nothing(lab: Lab) -> None:
    with endpoint(lambda body: "Certainly!") as model:
        done = lab("propose", "modes", *OWN, *model.overrides)
    assert done.code == 2
    assert "there is no list of root causes in it" in done.message
    assert not (lab.folder / "labels" / "own.modes.jsonl").exists()
