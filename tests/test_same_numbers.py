"""One sweep, many places that show it: every number in each is that of the run folder's JSON.

The table on the terminal, `--json`, sweep.json, the metrics, the description and leaderboard.csv
in MLflow, and report.html. Rounded ones are held against the JSON through `scoring.short`.
"""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from judgelab.metrics.agreement import METRICS
from judgelab.scoring import in_words, short
from labs import Done, Lab, endpoint, question, read_json, rows, said, write_rows

OWN = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl", "split.mode=cv")
SHOWN = ("agreement", "recall_fail", "precision_fail", "kappa")
NUMBER = re.compile(r"(?<![\w.])-?(?:\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)(?:e-\d+)?")
TOP = {"precision": "precision_fail", "recall": "recall_fail"}


@dataclass
class Swept:
    """A tracked sweep of paid variants, groups and abstentions, and all that it says."""

    lab: Lab
    done: Done
    printed: list[dict[str, Any]]
    about: dict[str, Any]
    scores: dict[str, dict[str, Any]]  # by run
    records: dict[str, dict[str, Any]]
    client: Any

    @property
    def choice(self) -> dict[str, Any]:
        return self.about["selection"]

    def name(self, run: str) -> str:
        return self.records[run]["name"]

    def mlflow_run(self, run: str) -> Any:
        tag = f"tags.\"judgelab.run\" = '{run}'"
        experiments = [one.experiment_id for one in self.client.search_experiments()]
        (found,) = self.client.search_runs(experiments, tag)
        return found


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Swept:
    lab = Lab(tmp_path_factory.mktemp("swept"))
    data = [row | {"group": f"g{i // 3}"} for i, row in enumerate(rows(60))]
    write_rows(lab.folder / "data.jsonl", data)
    labels = {json.dumps(row["output"]): row["label"] for row in data}

    def answer(body: dict[str, Any]) -> str:
        asked = question(body)
        label = next(label for text, label in labels.items() if text in asked)
        hard, many = len(asked) % 7, len(body["messages"])
        if hard == 1:
            return "no verdict"
        return said(label if hard + (many > 4) > 2 else "pass")

    command = ("run", "-m", "demos=balanced,nearest", "demos.k=1,3", *OWN)
    priced = ("model.price={input: 3.0, output: 11.0}", "budget.usd=null", "search.race=off")
    with endpoint(answer) as model:
        done = lab(*command, *model.overrides, *priced)
        assert done.code == 0, done.err
        again = lab(*command, *model.overrides, *priced, "--json")
    (path,) = lab.folder.glob("runs/*-sweep/sweep.json")
    about = read_json(path)
    from mlflow import MlflowClient

    return Swept(
        lab,
        done,
        json.loads(again.out),
        about,
        {run: read_json(lab.folder / "runs" / run / "scores.json") for run in about["runs"]},
        {run: read_json(lab.folder / "runs" / run / "record.json") for run in about["runs"]},
        MlflowClient(f"sqlite:///{lab.folder}/mlflow.db"),
    )


def test_the_sweep_has_something_to_show(swept: Swept) -> None:
    """Else the tests below would hold of nothing."""
    assert len(swept.scores) == 7
    assert swept.choice["chosen"]
    assert len({card["metrics"]["kappa"]["value"] for card in swept.scores.values()}) > 3
    assert {card["metrics"]["kappa"]["method"] for card in swept.scores.values()} == {
        "bca_clustered"
    }
    assert any(card["coverage"] < 1 for card in swept.scores.values())
    undefined = [m for c in swept.scores.values() for m in c["metrics"].values()]
    assert any(m["value"] is None and m["reason"] for m in undefined)
    assert any(record["calls"]["cost_usd"] for record in swept.records.values())


def test_the_json_that_is_printed_is_that_of_the_folders(swept: Swept) -> None:
    assert [card["run"] for card in swept.printed] == swept.about["runs"]
    for card in swept.printed:
        true = swept.scores[card["run"]]
        assert {key: card[key] for key in true} == true
        assert card["chosen"] == (card["run"] == swept.choice["chosen"])
        assert card["in_best_set"] == (card["run"] in swept.choice["best_set"])
        assert card["below_floors"] == swept.choice["below_floors"].get(card["run"], [])


def test_every_number_of_the_table_is_a_rounded_one_of_the_scores(swept: Swept) -> None:
    title, _, *lines = swept.done.out.splitlines()
    first = [line for line in lines if re.search(r"\d%", line)]  # a long name goes on below
    for run, line in zip(swept.about["runs"], first, strict=True):
        card, record = swept.scores[run], swept.records[run]
        cells = [str(card["n"]), f"{card['coverage']:.0%}"]
        cells += [in_words(card, name) for name in SHOWN]
        cells.append(in_words(card, "gwet_ac1").split()[0])
        name = f"{'baseline: ' * record['baseline']}{record['name']}"
        shown = re.match(r".*?(?=\s{2,})", line)
        assert shown
        assert name.startswith(shown[0].strip())
        rest = line[shown.end() :]
        for cell in cells:
            before, found, rest = rest.partition(cell)
            assert found, (line, cell)
            assert not before.strip(), (line, cell)
        (usd,) = NUMBER.findall(rest)
        assert float(usd) == pytest.approx(record["calls"]["cost_usd"], abs=5e-5)
    card = swept.scores[swept.about["runs"][0]]
    shares = [f"{card['prevalence_fail']:.0%}".rstrip("%"), "95"]
    assert NUMBER.findall(title) == shares


def test_what_is_said_of_the_choice_is_of_its_numbers(swept: Swept) -> None:
    """The sentences below the table, and each of their numbers."""
    text = swept.choice["text"]
    shown = (swept.done.out + swept.done.err).splitlines()
    assert [line for line in shown if line in text] == text
    chosen = swept.choice["chosen"]
    assert text[0].startswith(f"{swept.name(chosen)} is chosen")
    assert in_words(swept.scores[chosen], swept.choice["metric"]) in text[0]
    optimism = swept.choice["optimism"]
    known = {
        *(str(swept.choice["n"]), str(len(swept.choice["best_set"])), "80"),
        *(str(len([r for r in swept.records.values() if not r["baseline"]])), "100"),
        *(short(least) for least in swept.choice["floors"].values()),
        short(optimism["value"]),
        str(optimism["variants"]),
        f"{100 * (swept.choice['detectable'] or 0):.0f}",
        f"{100 * swept.choice['margin']:.0f}",
    }
    if cheaper := swept.choice["cheaper"]:
        known |= {f"{cheaper['saves_usd']:.4f}"}
        known |= {f"{100 * max(0.0, -cheaper['difference']['lo']):.0f}"}
    for card in swept.scores.values():
        known |= set(NUMBER.findall(in_words(card, swept.choice["metric"])))
        known |= {short(card["metrics"]["recall_fail"]["value"])}
    meets = len([r for r in swept.records.values() if not r["baseline"]])
    known.add(str(meets - len(swept.choice["below_floors"])))
    for line in text:
        plain = line
        for record in swept.records.values():
            plain = plain.replace(record["name"], "")
        assert set(NUMBER.findall(plain)) <= known, line


def test_the_pairs_of_the_choice_are_differences_of_the_scores(swept: Swept) -> None:
    pairs = swept.choice["pairs"]
    assert {pair["a"] for pair in pairs} == swept.scores.keys() - {swept.choice["reference"]}
    for pair in pairs:
        a, b = (swept.scores[pair[side]]["metrics"] for side in "ab")
        for key, name in (("difference", "agreement"), ("kappa_difference", "kappa")):
            true = a[name]["value"] - b[name]["value"]
            assert pair[key]["value"] == pytest.approx(true, abs=1e-12)
        assert pair["n"] == swept.choice["n"]
        right = pair["both"] + pair["a_only"]
        assert right / pair["n"] == pytest.approx(a["agreement"]["value"], abs=1e-12)


def test_every_metric_in_mlflow_is_that_of_the_scores(swept: Swept) -> None:
    for run, card in swept.scores.items():
        shown = dict(swept.mlflow_run(run).data.metrics)
        calls = swept.records[run]["calls"]
        for key, metric in card["metrics"].items():
            top = {value: name for name, value in TOP.items()}.get(key, key)
            name = top if top in shown or f"ci/{top}_lo" in shown else f"more/{key}"
            assert shown.pop(name, None) == metric["value"], name
            for end in ("lo", "hi"):
                if f"ci/{top}_{end}" in shown:
                    assert shown.pop(f"ci/{top}_{end}") == metric[end]
        counts = card["confusion"]
        abstained = counts["abstained_fail"] + counts["abstained_pass"]
        true = {"coverage": card["coverage"], "cost_usd": calls["cost_usd"]}
        true |= {f"more/{cell}": counts[cell] for cell in ("tp", "fn", "fp", "tn")}
        true |= {"more/abstained": abstained, "more/items": card["n"]}
        true |= {"more/prevalence_fail": card["prevalence_fail"]}
        for name, value in true.items():
            assert shown.pop(name) == value, name
        for name, value in shown.items():  # the call accounts are left
            key = name.removeprefix("more/").removeprefix("calls_")
            fate, _, cause = key.partition("_")
            if fate in ("abstained", "failed"):
                per = calls[fate]
                assert value == (per[cause] if cause else sum(per.values())), name
            else:
                assert value == calls.get(key, 0), name


def test_the_parent_in_mlflow_has_the_numbers_of_the_chosen(swept: Swept) -> None:
    parent_id = swept.mlflow_run(swept.choice["chosen"]).data.tags["mlflow.parentRunId"]
    parent = swept.client.get_run(parent_id)
    card = swept.scores[swept.choice["chosen"]]
    for name in ("agreement", "precision", "recall", "kappa"):
        metric = card["metrics"][TOP.get(name, name)]
        assert parent.data.metrics[name] == metric["value"]
        assert parent.data.metrics[f"ci/{name}_lo"] == metric["lo"]
    note = parent.data.tags["mlflow.note.content"]
    for run, card in swept.scores.items():
        (line,) = [row for row in note.splitlines() if f"[{swept.name(run)}]" in row]
        cells = [cell.strip() for cell in line.strip("|").split("|")[1:]]
        shown = ("kappa", "agreement", "precision_fail", "recall_fail", "recall_pass")
        assert cells[:5] == [in_words(card, name) for name in shown]
        assert cells[5] == f"{card['coverage']:.0%}"
        assert cells[6] == f"{swept.records[run]['calls']['cost_usd']:.4f}"


def test_every_number_of_leaderboard_csv_is_that_of_the_scores(swept: Swept) -> None:
    parent = swept.mlflow_run(swept.choice["chosen"]).data.tags["mlflow.parentRunId"]
    path = Path(swept.client.download_artifacts(parent, "leaderboard.csv"))
    table = list(csv.DictReader(io.StringIO(path.read_text())))
    assert [row["run"] for row in table] == swept.about["runs"]
    for row in table:
        card = swept.scores[row["run"]]
        true = {"n": card["n"], "coverage": card["coverage"]}
        true["cost_usd"] = swept.records[row["run"]]["calls"]["cost_usd"]
        for name, metric in card["metrics"].items():
            true |= {name: metric["value"], f"{name}_lo": metric["lo"], f"{name}_hi": metric["hi"]}
        shown = {key: row[key] for key in row.keys() - {"variant", "baseline", "standing", "run"}}
        assert shown == {key: "" if value is None else str(value) for key, value in true.items()}
        assert (row["standing"] == "chosen") == (row["run"] == swept.choice["chosen"])


class _Numbers(HTMLParser):
    """Every <data> of a page: where it is from, its value, its text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[dict[str, str | None], list[str]]] = []
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "data":
            self.found.append((dict(attrs), []))
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag != "data"

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.found[-1][1].append(data)


def test_every_number_of_the_report_is_that_of_the_json_it_names(swept: Swept) -> None:
    (page,) = swept.lab.folder.glob("runs/*-sweep/report.html")
    seen: dict[str, int] = {}
    for attributes, texts in _Numbers(page.read_text()).found:
        place = attributes["data-from"] or ""
        name, _, pointer = place.partition("#/")
        if name == "counted":
            continue
        true: Any = read_json(swept.lab.folder / "runs" / name)
        for step in pointer.split("/"):
            key = step.replace("~1", "/").replace("~0", "~")
            true = true[int(key) if isinstance(true, list) else key]
        value = json.loads(attributes["value"] or "")
        if isinstance(true, dict) and "value" in true:
            assert "".join(texts) == _metric(true), place
            true = true["value"]
        assert value == true, place
        seen[Path(name).name] = seen.get(Path(name).name, 0) + 1
    assert seen["scores.json"] >= 4 * len(swept.scores)
    assert seen["sweep.json"] > 10
    assert seen["record.json"] >= len(swept.scores)


def _metric(metric: dict[str, Any]) -> str:
    return in_words({"metrics": {"it": metric}}, "it")


def test_the_scores_hold_every_metric(swept: Swept) -> None:
    for card in swept.scores.values():
        assert list(card["metrics"]) == list(METRICS)
        for metric in card["metrics"].values():
            assert (metric["lo"] is None) == (metric["hi"] is None)
            assert metric["lo"] is not None or metric["reason"]
            if metric["value"] is not None and metric["lo"] is not None:
                assert metric["lo"] - 1e-12 <= metric["value"] <= metric["hi"] + 1e-12
