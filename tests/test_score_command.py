"""`judgelab score`: files, runs and MLflow runs under any labels, and what is said beside them."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from pathlib import Path

import pytest

from judgelab.scoring import in_words
from labs import SHARED, Done, Lab, endpoint, read_json, read_lines, rows, said, write_rows

OWN = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl", "model=none")
QA = SHARED / "open-qa-answers"
WIDEST = 112  # columns of a table


def verdicts(data, wrong: int, judge: str | None = None) -> list[dict[str, str]]:
    """Right but for every `wrong`-th item."""
    turned = {"pass": "fail", "fail": "pass"}
    named = {"judge": judge} if judge else {}
    return [
        {"id": row["id"], "verdict": turned[row["label"]] if i % wrong == 0 else row["label"]}
        | named
        for i, row in enumerate(data)
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A lab with two tracked runs on dev of recorded verdicts; both are called recorded."""
    lab = Lab(tmp_path_factory.mktemp("made"))
    data = rows(120)
    write_rows(lab.folder / "data.jsonl", data)
    for wrong in (4, 7):
        write_rows(lab.folder / f"v{wrong}.jsonl", verdicts(data, wrong))
        done = lab("run", *OWN, "judge=recorded", f"judge.path=v{wrong}.jsonl")
        assert done.code == 0, done.err
    return lab.folder


@pytest.fixture
def lab(made, tmp_path) -> Lab:
    shutil.copytree(made, tmp_path / "lab", ignore=shutil.ignore_patterns("mlflow.db"))
    return Lab(tmp_path / "lab")


def ids_of(lab: Lab) -> list[str]:
    """The runs, that of v4 first."""
    paths = {read_yaml_path(run): run.name for run in lab.runs}
    return [paths["v4.jsonl"], paths["v7.jsonl"]]


def read_yaml_path(run: Path) -> str:
    found = re.search(r"path: (v\d\.jsonl)", (run / "config.yaml").read_text())
    assert found
    return found[1]


def cards(done: Done) -> dict[str, dict]:
    assert done.code == 0, done.err
    return {card["judge"]: card for card in json.loads(done.out)}


def test_a_run_is_scored_on_what_it_judged_and_gives_its_own_scores_again(lab):
    first, _ = ids_of(lab)
    (card,) = cards(lab("score", "--labels", "data.jsonl", "--verdicts", first, "--json")).values()
    own = read_json(lab.folder / "runs" / first / "scores.json")
    assert card["n"] == own["n"] < 120
    assert card == {key: own[key] for key in card}


def test_a_run_is_scored_again_under_new_labels_without_a_call(lab):
    first, _ = ids_of(lab)
    data = read_lines(lab.folder / "data.jsonl")
    turned = [row | {"label": "fail"} for row in data]
    turned[0] |= {"output": "something else"}
    write_rows(lab.folder / "new.jsonl", [row for row in turned if row["id"] != "item-001"])
    done = lab("score", "--labels", "new.jsonl", "--verdicts", first[:8], "--json")
    (card,) = cards(done).values()
    judged = {
        row["id"]: row["verdict"]
        for row in read_lines(lab.folder / "runs" / first / "verdicts.jsonl")
    }
    kept = judged.keys() - {"item-000", "item-001"}
    assert card["n"] == len(kept)
    assert card["confusion"]["tp"] == sum(judged[item] == "fail" for item in kept)
    assert ("1 items have other texts" in done.err) == ("item-000" in judged)
    assert ("1 verdicts on items without a label" in done.err) == ("item-001" in judged)


def test_runs_of_one_name_are_told_apart_and_files_of_one_name_are_not(lab):
    first, second = ids_of(lab)
    found = cards(lab("score", "--labels", "data.jsonl", "--verdicts", first, second, "--json"))
    assert list(found) == [f"recorded ({first[:8]})", f"recorded ({second[:8]})"]
    words = ("score", "--labels", "data.jsonl", "--verdicts")
    twice = lab(*words, first, f"runs/{first}")
    assert (twice.code, twice.out) == (2, "")
    assert "are the same; give it once" in twice.message
    write_rows(lab.folder / "other.jsonl", [{"id": "item-000", "verdict": "pass", "judge": "v4"}])
    done = lab(*words, "v4.jsonl", "other.jsonl")
    assert done.code == 2
    assert "judge 'v4' is in another file too" in done.message
    write_rows(
        lab.folder / "named.jsonl", [{"id": "item-000", "verdict": "pass", "judge": "recorded"}]
    )
    assert list(cards(lab(*words, "named.jsonl", first, "--json"))) == [
        "recorded",
        f"recorded ({first[:8]})",
    ]


def test_a_run_by_every_name_that_it_has(made):
    lab = Lab(made)
    first, second = ids_of(lab)
    mlflow_id = read_json(made / "runs" / first / "mlflow.json")["run_id"]
    words = ("score", "--labels", "data.jsonl", "--json", "--verdicts")
    expected = lab(*words, first).out
    for word in (
        first[:10],
        f"runs/{first}",
        str(made / "runs" / first),
        mlflow_id,
        f"runs:/{mlflow_id}",
    ):
        assert lab(*words, word).out == expected, word
    os.utime(made / "runs" / second / "record.json")
    assert lab(*words, "latest").out == lab(*words, second).out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nothing",), "RUN=nothing names no run"),
        (("none.jsonl",), r"none\.jsonl: there is no such file"),
        (("runs:/",), r"runs:/: not an MLflow run. Write runs:/RUN_ID"),
        (("runs:/abc",), r"runs:/abc: there is no MLflow store at .*mlflow\.db"),
        (("v4.docx",), r"v4\.docx.*\.jsonl"),
        (("splits",), "RUN=splits names no run"),
    ],
)
def test_what_is_no_source_is_one_message(lab, words, message):
    done = lab("score", "--labels", "data.jsonl", "--verdicts", *words)
    assert (done.code, done.out) == (2, "")
    assert re.search(message, done.message, re.DOTALL), done.message


@pytest.fixture(scope="module")
def elsewhere(made) -> tuple[Lab, str]:
    """An MLflow run that no judgelab made, in the store of the lab."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{made}/mlflow.db")
    place = client.create_experiment("theirs", (made / "theirs").as_uri())
    run = client.create_run(place, run_name="their judge").info.run_id
    data = read_lines(made / "data.jsonl")
    text = "".join(json.dumps(row) + "\n" for row in verdicts(data, 5))
    client.log_text(run, text, "verdicts.jsonl")
    lines = [f"{row['id']},{row['verdict']}" for row in verdicts(data, 3)]
    client.log_text(run, "\n".join(["id,verdict", *lines]), "eval/v.csv")
    client.log_text(run, "nothing", "notes.txt")
    return Lab(made), run


def test_an_mlflow_run_of_another_tool(elsewhere):
    lab, run = elsewhere
    words = ("score", "--labels", "data.jsonl", "--json", "--verdicts")
    found = cards(lab(*words, f"runs:/{run}", f"runs:/{run}/eval/v.csv"))
    assert [card["n"] for card in found.values()] == [120, 120]
    assert list(found) == [f"their judge ({run[:8]})", f"their judge ({run[:8]}/v.csv)"]
    (whole,) = cards(lab(*words, f"runs:/{run}")).items()
    assert whole[0] == "their judge"
    assert whole[1]["metrics"]["agreement"]["value"] == pytest.approx(1 - 24 / 120)
    (one,) = cards(lab(*words, f"runs:/{run}/eval/v.csv")).values()
    assert one["metrics"]["agreement"]["value"] == pytest.approx(1 - 40 / 120)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("runs:/{run}/none.jsonl", r"none\.jsonl could not be read.*Artifacts.*verdicts\.jsonl"),
        ("runs:/{run}/notes.txt", r"notes\.txt.*\.jsonl"),
        ("runs:/0123456789abcdef", r"could not be read from MLflow.*not found"),
    ],
)
def test_an_mlflow_run_that_does_not_give_it(elsewhere, word, message):
    lab, run = elsewhere
    done = lab("score", "--labels", "data.jsonl", "--verdicts", word.format(run=run))
    assert (done.code, done.out) == (2, "")
    assert re.search(message, done.message, re.DOTALL), done.message
    assert "Traceback" not in done.err


def test_a_server_that_is_down_is_one_message_without_its_password(lab):
    words = ("score", "--labels", "data.jsonl", "--verdicts", "runs:/0123456789abcdef")
    uri = "http://somebody:pass7word@127.0.0.1:9"
    running = lab.start(*words, MLFLOW_TRACKING_URI=uri, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (2, "")
    assert "could not be read from MLflow at http://127.0.0.1:9" in err
    assert "pass7word" not in err
    assert "Traceback" not in err


def test_an_incomplete_run_has_no_score_and_the_command_that_completes_it(lab):
    refused = []

    def answer(body):
        refused.append(1)
        return 503 if len(refused) == 5 else said("pass")

    with endpoint(answer) as model:
        run = ("run", *OWN[:-1], *model.overrides, "demos=none", "limit=8", "tracking=none")
        assert lab(*run).code == 3
        done = lab("score", "--labels", "data.jsonl", "--verdicts", "latest")
        assert (done.code, done.out) == (3, "")
        assert "is incomplete" in done.message
        command = shlex.split(done.message.partition("go on with: ")[2])
        assert command == ["judgelab", *run]
        assert lab(*command[1:]).code == 0
        found = cards(lab("score", "--labels", "data.jsonl", "--verdicts", "latest", "--json"))
    assert [card["n"] for card in found.values()] == [8]


# --- the table, and what is said beside it


def test_the_table_holds_the_headline_the_constant_judges_and_the_numbers_of_the_json(lab):
    words = ("score", "--labels", "data.jsonl", "--verdicts", "v4.jsonl", "v7.jsonl")
    done = lab(*words)
    assert done.code == 0, done.err
    title, head, *table = done.out.splitlines()
    assert title.startswith("positive class fail, abstentions: error, intervals at 95.0%")
    assert head.split()[:3] == ["judge", "n", "cover"]
    assert re.findall(r"recall fail|precision fail|kappa|AC1|fails", head) == [
        *("recall fail", "precision fail", "kappa", "AC1", "fails"),
    ]
    assert max(map(len, done.out.splitlines())) <= WIDEST
    assert [line.split("  ")[0] for line in table] == ["v4", "v7", "always pass", "always fail"]
    for name, card in cards(lab(*words, "--json")).items():
        (line,) = [line for line in table if line.startswith(name)]
        for metric in ("agreement", "recall_fail", "precision_fail", "kappa"):
            assert in_words(card, metric) in line
        assert line.split()[1:3] == ["120", "100%"]
        assert line.split()[-1] == "33%"
    assert re.search(r"always fail +120 +100% +\.33 \[.*1 \[.*0 ", done.out)


def test_an_excluded_item_is_seen_in_the_table(lab):
    data = read_lines(lab.folder / "data.jsonl")
    some = [row | {"verdict": None} if i == 7 else row for i, row in enumerate(verdicts(data, 9))]
    write_rows(lab.folder / "some.jsonl", some)
    words = ("score", "--labels", "data.jsonl", "--verdicts", "some.jsonl")
    assert "excl." not in lab(*words).out
    done = lab(*words, "--policy", "exclude")
    assert re.search(r"judge +n +excl\. +cover", done.out)
    assert re.search(r"some +120 +1 +99% ", done.out)
    (card,) = cards(lab(*words, "--policy", "exclude", "--json")).values()
    assert (card["n"], card["n_excluded"]) == (120, 1)


def test_how_many_labels_and_how_reliable_is_said(lab):
    write_rows(lab.folder / "few.jsonl", read_lines(lab.folder / "data.jsonl")[:20])
    done = lab("score", "--labels", "few.jsonl", "--verdicts", "v4.jsonl", "v7.jsonl")
    assert "v4: reliability low (7 fails)" in done.err
    assert re.search(
        r"note v7: recall of fail: ±\d+ points on 7 fails.*To get ±10: \d+ more", done.err
    )
    assert "v4: 100 verdicts on items without a label are left out" in done.err


def test_items_of_one_group_are_one_cluster_without_being_asked(lab):
    data = read_lines(lab.folder / "data.jsonl")
    write_rows(
        lab.folder / "grouped.jsonl",
        [row | {"group": f"g{i // 6}", "context": {"user": i // 4}} for i, row in enumerate(data)],
    )
    words = ("score", "--labels", "grouped.jsonl", "--verdicts", "v4.jsonl")
    found = {
        name: cards(lab(*words, *more, "--json"))["v4"]["metrics"]["kappa"].get("method")
        for name, more in {"own": (), "user": ("--group", "context.user")}.items()
    }
    assert found == {"own": "bca_clustered", "user": "bca_clustered"}
    clusters = [
        cards(lab(*words, *more, "--json"))["v4"]["metrics"]["agreement"]["clusters"]
        for more in ((), ("--group", "context.user"))
    ]
    assert clusters == [20, 30]
    assert "clustered by group" in lab(*words).out
    wrong = lab(*words, "--group", "context.usr")
    assert wrong.code == 2
    assert "no item has the field 'context.usr'" in wrong.message


# --- weights, repeats and the ceiling


def test_weights_make_the_sample_the_population(lab):
    data = read_lines(lab.folder / "data.jsonl")
    heavy = [row | {"w": 5 if row["label"] == "pass" else 1} for row in data]
    write_rows(lab.folder / "weighted.jsonl", heavy)
    words = ("score", "--labels", "weighted.jsonl", "--verdicts", "v4.jsonl")
    plain, weighted = (
        cards(lab(*words, *more, "--json"))["v4"] for more in ((), ("--weights", "w"))
    )
    assert plain["prevalence_fail"] == pytest.approx(40 / 120)
    assert weighted["prevalence_fail"] == pytest.approx(40 / 440)
    said = {row["id"]: row["verdict"] for row in read_lines(lab.folder / "v4.jsonl")}
    right = sum(row["w"] for row in heavy if said[row["id"]] == row["label"])
    assert weighted["metrics"]["agreement"]["value"] == pytest.approx(right / 440)
    for name in ("recall_fail", "recall_pass"):
        values = [card["metrics"][name]["value"] for card in (plain, weighted)]
        assert values[0] == pytest.approx(values[1])
    assert "weighted by w" in lab(*words, "--weights", "w").out
    wrong = lab(*words, "--weights", "v")
    assert (wrong.code, wrong.out) == (2, "")
    assert "weighted.jsonl, line 1, v: found None; a weight is a number over 0" in wrong.message


@pytest.mark.parametrize(
    "weight", [1e300, 1e13, 1e-300, "9" * 400, "inf", "nan"], ids=lambda w: str(w)[:9]
)
def test_a_weight_that_no_item_can_have_is_refused_where_it_stands(lab, weight):
    data = [row | {"w": 2} for row in read_lines(lab.folder / "data.jsonl")]
    data[6]["w"] = weight
    write_rows(lab.folder / "weighted.jsonl", data)
    words = ("score", "--labels", "weighted.jsonl", "--verdicts", "v4.jsonl", "--weights", "w")
    done = lab(*words)
    assert (done.code, done.out) == (2, "")
    assert "weighted.jsonl, line 7, w: found " in done.message
    assert "from 1e-12 to 1e+12" in done.message
    assert len(done.message) < 400
    write_rows(lab.folder / "weighted.jsonl", [row | {"w": 1e300} for row in data])
    assert "weighted.jsonl, line 1, w: found 1e+300" in lab(*words).message


def test_repeats_are_one_item_and_their_flips_are_said(lab):
    data = read_lines(lab.folder / "data.jsonl")
    both = [
        row | {"repeat": repeat, "verdict": "pass" if repeat and i < 12 else "fail"}
        for repeat in (0, 1, 2)
        for i, row in enumerate({"id": row["id"]} for row in data)
    ]
    write_rows(lab.folder / "often.jsonl", both)
    words = ("score", "--labels", "data.jsonl", "--verdicts", "often.jsonl")
    card = cards(lab(*words, "--json"))["often"]
    assert card["n"] == 120
    assert card["repeats"]["k"] == 3
    assert card["repeats"]["flip_rate"]["value"] == pytest.approx(0.1)
    assert card["confusion"]["tp"] + card["confusion"]["fp"] == 108
    assert "often: 3 verdicts an item, the majority counts; flip rate .10 [" in lab(*words).err


def annotate(data, wrong: int, annotator: str) -> list[dict[str, str]]:
    return [
        {"id": row["id"], "annotator": annotator, "label": row["verdict"]}
        for row in verdicts(data, wrong)
    ]


def test_other_labels_are_the_ceiling_in_the_same_table(lab):
    data = [row | {"annotator": "ann"} for row in read_lines(lab.folder / "data.jsonl")]
    write_rows(lab.folder / "labels.jsonl", data)
    stranger = {"id": "who", "annotator": "bob", "label": "pass"}
    write_rows(lab.folder / "more.jsonl", [*annotate(data, 10, "bob"), stranger])
    words = ("score", "--labels", "labels.jsonl", "--verdicts", "v4.jsonl", "v7.jsonl")
    alone = lab(*words)
    assert "ceiling unknown: --annotations FILE" in alone.err
    assert "expert ceiling" not in alone.out
    done = lab(*words, "--annotations", "more.jsonl")
    assert re.search(r"^expert ceiling +120 +100% \.90 \[", done.out, re.MULTILINE)
    assert "the expert ceiling is bob against ann, on 120 of these items" in done.err
    assert "more.jsonl: 1 items have no label in labels.jsonl: left out" in done.err
    for card in cards(lab(*words, "--annotations", "more.jsonl", "--json")).values():
        assert card["ceiling"]["metrics"]["agreement"]["value"] == pytest.approx(0.9)
        assert card["beyond_ceiling"]["code"] is None
        assert card["beyond_ceiling"]["kappa_difference"]["value"] < 0
    write_rows(lab.folder / "perfect.jsonl", verdicts(data, 1000))
    above = lab(*words[:3], "--verdicts", "perfect.jsonl", "--annotations", "more.jsonl")
    assert re.search(r"perfect: kappa above the ceiling's by .*beyond what these labels", above.err)


def test_a_judge_under_the_first_and_the_second_labels(lab):
    data = [row | {"annotator": "ann"} for row in read_lines(lab.folder / "data.jsonl")]
    write_rows(lab.folder / "labels.jsonl", data)
    again = [row | {"round": 2} for row in annotate(data[:40], 10, "ann")]
    write_rows(lab.folder / "again.jsonl", again)
    words = ("score", "--labels", "labels.jsonl", "--verdicts", "v4.jsonl", "v7.jsonl")
    done = lab(*words, "--annotations", "again.jsonl")
    assert done.out.count("labelled again, blind: 4 of 40 are others now") == 2
    assert "second less first: agreement" in done.out
    for card in cards(lab(*words, "--annotations", "again.jsonl", "--json")).values():
        found = card["relabelled"]
        more = found["again"]["agreement"]["value"] - found["first"]["agreement"]["value"]
        assert found["difference"]["value"] == pytest.approx(more)
    assert "labelled again" not in lab(*words).out


@pytest.mark.parametrize(
    ("rows_", "message"),
    [
        ([{"id": "item-000", "label": "pass"}], "there is no column 'annotator'"),
        ([{"id": "item-000", "annotator": "bob", "label": "good"}], "good"),
    ],
)
def test_annotations_that_are_none_are_one_message(lab, rows_, message):
    write_rows(lab.folder / "more.jsonl", rows_)
    words = ("score", "--labels", "data.jsonl", "--verdicts", "v4.jsonl")
    done = lab(*words, "--annotations", "more.jsonl")
    assert (done.code, done.out) == (2, "")
    assert message in done.message
    assert "more.jsonl" in done.message


def test_labels_that_nobody_gave_again_leave_the_ceiling_unknown(lab):
    data = [row | {"annotator": "ann"} for row in read_lines(lab.folder / "data.jsonl")]
    write_rows(lab.folder / "labels.jsonl", data)
    write_rows(lab.folder / "same.jsonl", annotate(data, 1000, "ann")[1:])
    words = ("score", "--labels", "labels.jsonl", "--verdicts", "v4.jsonl")
    done = lab(*words, "--annotations", "same.jsonl")
    assert done.code == 0, done.err
    assert "ceiling unknown (no item was labelled twice)" in done.err
    assert "expert ceiling" not in done.out


@pytest.mark.skipif(not QA.is_dir(), reason=f"{QA} is not on this machine")
def test_people_of_open_questions_are_the_ceiling_of_its_judges(lab):
    words = ["score", "--labels", str(QA / "interactions.jsonl")]
    words += ["--verdicts", str(QA / "verdicts.jsonl"), "--group", "context.question_id"]
    words += ["--annotations", str(QA / "annotations.jsonl"), "--json"]
    for card in cards(lab(*words)).values():
        assert card["metrics"]["kappa"]["method"] == "bca_clustered"
        assert card["metrics"]["agreement"]["clusters"] == 301
        assert card["ceiling"]["who"] == "annotator1 and annotator2 against each other"
        assert card["ceiling"]["metrics"]["kappa"]["value"] > card["metrics"]["kappa"]["value"]
        assert card["beyond_ceiling"]["code"] is None
