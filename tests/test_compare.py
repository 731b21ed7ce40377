"""`judgelab compare`: the same items, honest pairs, and what changed between two runs."""

from __future__ import annotations

import json
import random
import re
import shlex
import shutil
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binom, binomtest

from labs import (
    SHARED,
    Done,
    Lab,
    endpoint,
    question,
    read_json,
    read_lines,
    rows,
    said,
    write_rows,
)

QA = SHARED / "open-qa-answers"
OWN = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl", "tracking=none")
TURNED = {"pass": "fail", "fail": "pass"}
WIDEST = 104  # columns of a table
PAIR = {
    *("a", "b", "a_only", "b_only", "mcnemar_exact", "mcnemar_midp", "holm", "bh"),
    *("difference", "kappa_difference"),
}


def verdicts(data, share: float, seed: int) -> list[dict[str, Any]]:
    """Right on that share of the items."""
    rng = random.Random(seed)
    return [
        {"id": row["id"], "verdict": row["label"] if rng.random() < share else TURNED[row["label"]]}
        for row in data
    ]


JUDGES = {"good": (0.9, 1), "fair": (0.75, 2), "poor": (0.55, 3)}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A lab with 150 labels, three files of verdicts, and a run on dev of each."""
    lab = Lab(tmp_path_factory.mktemp("made"))
    data = rows(150)
    write_rows(lab.folder / "data.jsonl", data)
    for name, (share, seed) in JUDGES.items():
        write_rows(lab.folder / f"{name}.jsonl", verdicts(data, share, seed))
        done = lab("run", *OWN, "model=none", "judge=recorded", f"judge.path={name}.jsonl")
        assert done.code == 0, done.err
    return lab.folder


@pytest.fixture
def lab(made, tmp_path) -> Lab:
    shutil.copytree(made, tmp_path / "lab")
    return Lab(tmp_path / "lab")


def run_of(lab: Lab, name: str) -> str:
    """The id of the run of a file of verdicts."""
    (found,) = [p.name for p in lab.runs if f"{name}.jsonl" in (p / "config.yaml").read_text()]
    return found


def files(lab: Lab, *more: str, labels: str = "data.jsonl") -> Done:
    return lab("compare", "--labels", labels, "--verdicts", *more)


def found(done: Done) -> dict[str, Any]:
    assert done.code == 0, done.err
    return dict(json.loads(done.out))


def right(lab: Lab, name: str) -> dict[str, bool]:
    labels = {row["id"]: row["label"] for row in read_lines(lab.folder / "data.jsonl")}
    lines = read_lines(lab.folder / f"{name}.jsonl")
    return {row["id"]: row["verdict"] == labels[row["id"]] for row in lines}


# --- files


def test_pairs_count_who_alone_is_right(made):
    lab = Lab(made)
    names = [f"{name}.jsonl" for name in JUDGES]
    answer = found(files(lab, *names, "--json"))
    assert (answer["n"], answer["variants"], answer["baseline"]) == (150, list(JUDGES), None)
    assert [(p["a"], p["b"]) for p in answer["pairs"]] == list(combinations(JUDGES, 2))
    for pair in answer["pairs"]:
        assert set(pair) >= PAIR
        a, b = right(lab, pair["a"]), right(lab, pair["b"])
        only_a = sum(a[i] and not b[i] for i in a)
        only_b = sum(b[i] and not a[i] for i in a)
        assert (pair["a_only"], pair["b_only"], pair["n"]) == (only_a, only_b, 150)
        exact = binomtest(only_a, only_a + only_b).pvalue
        assert pair["mcnemar_exact"] == pytest.approx(exact)
        mid = exact - binom.pmf(min(only_a, only_b), only_a + only_b, 0.5)
        assert pair["mcnemar_midp"] == pytest.approx(mid)
        assert pair["p"] == pair["mcnemar_midp"]
        assert pair["difference"]["value"] == pytest.approx((only_a - only_b) / 150)
        assert pair["difference"]["lo"] < pair["difference"]["value"] < pair["difference"]["hi"]
        assert pair["kappa_difference"]["value"] > 0
    ps = sorted((pair["p"], pair["holm"], pair["bh"]) for pair in answer["pairs"])
    assert [p for p, *_ in ps] != [1, 1, 1]
    holm = [min(1, 3 * ps[0][0]), 2 * ps[1][0], ps[2][0]]
    expected = [max(holm[: k + 1]) for k in range(3)]
    assert [h for _, h, _ in ps] == pytest.approx(expected)
    bh = [3 * ps[0][0], 1.5 * ps[1][0], ps[2][0]]
    assert [h for *_, h in ps] == pytest.approx([min(bh[k:]) for k in range(3)])
    assert answer["best_set"] == ["good"]


def test_a_baseline_is_b_of_every_pair_and_its_family_is_smaller(made):
    lab = Lab(made)
    names = [f"{name}.jsonl" for name in JUDGES]
    for word in ("poor", "poor.jsonl"):
        answer = found(files(lab, *names, "--baseline", word, "--json"))
        assert answer["baseline"] == "poor"
        assert [(p["a"], p["b"]) for p in answer["pairs"]] == [("good", "poor"), ("fair", "poor")]
    least = min(answer["pairs"], key=lambda pair: pair["p"])
    assert least["holm"] == pytest.approx(2 * least["p"])
    turned = found(files(lab, "poor.jsonl", "good.jsonl", "--json"))["pairs"][0]
    straight = answer["pairs"][0]
    assert (turned["a_only"], turned["b_only"]) == (straight["b_only"], straight["a_only"])
    assert turned["kappa_difference"]["lo"] == -straight["kappa_difference"]["hi"]
    wrong = files(lab, *names, "--baseline", "best")
    assert (wrong.code, wrong.out) == (2, "")
    assert "'best' is none of these judges; there are: good, fair, poor" in wrong.message


def test_the_order_of_rows_changes_nothing(lab):
    expected = files(lab, "good.jsonl", "fair.jsonl", "--json").out
    for name in ("data", "good", "fair"):
        lines = read_lines(lab.folder / f"{name}.jsonl")
        random.Random(name).shuffle(lines)
        write_rows(lab.folder / f"{name}.jsonl", lines)
    assert files(lab, "good.jsonl", "fair.jsonl", "--json").out == expected


def test_an_id_without_a_line_is_an_abstention_as_in_score(lab):
    good, fair = (read_lines(lab.folder / f"{name}.jsonl") for name in ("good", "fair"))
    write_rows(lab.folder / "good.jsonl", [*good[:120], {"id": "stranger", "verdict": "pass"}])
    write_rows(lab.folder / "fair.jsonl", [fair[30] | {"verdict": None}, *fair[31:]])
    words = ("good.jsonl", "fair.jsonl", "--json")
    done = files(lab, *words)
    answer = found(done)
    assert (answer["n"], answer["pairs"][0]["n"]) == (150, 150)
    assert answer["judges"] == [
        {"judge": "good", "n": 150, "coverage": 0.8, "abstained": 30, "missing": 30},
        {"judge": "fair", "n": 150, "coverage": 119 / 150, "abstained": 31, "missing": 30},
    ]
    assert "good: 30 of 150 labelled items have no verdict (abstained: missing)" in done.err
    assert "good: 1 verdicts on items without a label" in done.err
    assert "left out" not in done.err
    cards = json.loads(lab("score", "--labels", "data.jsonl", "--verdicts", *words).out)
    for card, one in zip(cards, answer["judges"], strict=True):
        assert (card["n"], card["coverage"]) == (one["n"], one["coverage"])
    right_ones = [card["metrics"]["agreement"]["value"] for card in cards]
    assert answer["pairs"][0]["difference"]["value"] == pytest.approx(right_ones[0] - right_ones[1])
    table = files(lab, *words[:2]).out.splitlines()
    assert next(line.split() for line in table if line.startswith("good ") and "%" in line) == [
        *("good", "150", "30", "30", "80.0%")
    ]
    shutil.copy(lab.folder / "poor.jsonl", lab.folder / "again.jsonl")
    assert "cover" not in files(lab, "poor.jsonl", "again.jsonl").out


def test_of_runs_the_items_that_all_judged_count_and_a_file_is_held_against_those(lab):
    good, poor = run_of(lab, "good"), run_of(lab, "poor")
    dev = [row["id"] for row in read_lines(lab.folder / "runs" / good / "verdicts.jsonl")]
    lines = read_lines(lab.folder / "fair.jsonl")
    write_rows(lab.folder / "fair.jsonl", [row for row in lines if row["id"] not in dev[:4]])
    folder = lab.folder / "runs" / poor
    kept = read_lines(folder / "verdicts.jsonl")[3:]
    write_rows(folder / "verdicts.jsonl", kept)
    done = files(lab, good, poor, "fair.jsonl", "--json")
    answer = found(done)
    common = {row["id"] for row in kept}
    assert answer["n"] == len(common) == len(dev) - 3
    assert f"({good[:8]}): 3 of its {len(dev)} items are left out" in done.err
    missing = [one["missing"] for one in answer["judges"]]
    assert missing == [0, 0, len(common & set(dev[:4]))]


def test_files_without_an_item_in_common_are_refused(lab):
    good, fair = (read_lines(lab.folder / f"{name}.jsonl") for name in ("good", "fair"))
    write_rows(lab.folder / "good.jsonl", good[:120])
    write_rows(lab.folder / "fair.jsonl", fair[120:])
    done = files(lab, "good.jsonl", "fair.jsonl")
    assert (done.code, done.out) == (2, "")
    assert "no common items: good judged 120 items, fair judged 30 items" in done.message


def test_groups_are_clusters_without_being_asked(lab):
    data = read_lines(lab.folder / "data.jsonl")
    write_rows(
        lab.folder / "grouped.jsonl",
        [row | {"group": f"g{i // 6}", "context": {"user": i // 4}} for i, row in enumerate(data)],
    )
    names = ("good.jsonl", "fair.jsonl")
    own = found(files(lab, *names, "--json", labels="grouped.jsonl"))["pairs"][0]
    assert (own["clusters"], own["p_method"]) == (25, "sign_flip_clustered")
    user = files(lab, *names, "--group", "context.user", "--json", labels="grouped.jsonl")
    assert found(user)["pairs"][0]["clusters"] == 38
    assert "clustered by group" in files(lab, *names, labels="grouped.jsonl").out


def test_abstentions_count_by_the_policy(lab):
    fair = read_lines(lab.folder / "fair.jsonl")
    none = [row | {"verdict": None} if i < 10 else row for i, row in enumerate(fair)]
    write_rows(lab.folder / "fair.jsonl", none)
    words = ("good.jsonl", "fair.jsonl", "--json")
    error = found(files(lab, *words))
    assert (error["n"], error["pairs"][0]["n"], error["policy"]) == (150, 150, "error")
    exclude = found(files(lab, *words, "--policy", "exclude"))["pairs"][0]
    assert (exclude["n"], exclude["n_excluded"]) == (140, 10)
    assert exclude["a_only"] < error["pairs"][0]["a_only"]
    whole = found(files(lab, *words, "--policy", "exclude"))
    assert [one["n_excluded"] for one in whole["judges"]] == [0, 10]
    assert (whole["n"], whole["best_set_n"], error["best_set_n"]) == (150, 140, 150)
    shown = files(lab, *words[:2], "--policy", "exclude").out.splitlines()
    assert max(map(len, (line.rstrip() for line in shown[:6]))) <= WIDEST
    assert shown[1].split()[2:4] == ["n", "excl."]
    assert shown[2].split()[2:4] == ["140", "10"]
    assert shown[3].split() == ["judge", "n", "abstained", "of", "these", "missing", "excluded",
                                "cover"]  # fmt: skip
    assert shown[4].split() == ["good", "150", "0", "0", "0", "100.0%"]
    assert shown[5].split() == ["fair", "150", "10", "0", "10", "93.3%"]
    assert "apart on 140 items" in shown[-1] or "best set on 140 items" in shown[-1]


BROKEN = {
    "one judge": (("good.jsonl",), "two judges or more; there is one: good"),
    "no words": ((), "nothing to compare"),
    "an empty file": (("good.jsonl", "empty.jsonl"), r"empty\.jsonl: the file is empty"),
    "no file": (("good.jsonl", "none.jsonl"), r"none\.jsonl: there is no such file"),
    "no verdict": (("good.jsonl", "word.jsonl"), r"word\.jsonl, line 1.*'good'.*pass, fail"),
    "twice": (("good.jsonl", "twice.jsonl"), r"twice\.jsonl, line 2.*second verdict"),
    "no label": (("good.jsonl", "strange.jsonl"), "no item of judge 'strange' is labelled"),
    "one name": (("good.jsonl", "good.jsonl"), "'good' is in another file too"),
    "no RUN": (("good.jsonl", "nothing"), "RUN=nothing names no run"),
}


@pytest.mark.parametrize(("words", "message"), BROKEN.values(), ids=BROKEN)
def test_broken_input_is_exit_2_and_one_message(lab, words, message):
    lab.write("empty.jsonl", "")
    lab.write("word.jsonl", '{"id": "item-000", "verdict": "good"}\n')
    lab.write("twice.jsonl", '{"id": "item-000", "verdict": "pass"}\n' * 2)
    lab.write("strange.jsonl", '{"id": "who", "verdict": "pass"}\n')
    done = lab("compare", "--labels", "data.jsonl", *words)
    assert (done.code, done.out) == (2, "")
    assert re.search(message, done.message, re.DOTALL), done.message
    assert "Traceback" not in done.err


# --- what a person reads


def test_the_table_holds_the_numbers_of_the_json_and_no_star(made):
    lab = Lab(made)
    names = [f"{name}.jsonl" for name in JUDGES]
    done = files(lab, *names)
    assert done.code == 0, done.err
    title, head, *lines = done.out.splitlines()
    assert title.startswith("150 common items, abstentions: error, intervals at 95.0%")
    assert head.split()[:7] == ["a", "b", "n", "only", "a", "only", "b"]
    assert max(map(len, (title, head, *lines[:3]))) <= WIDEST
    for line, pair in zip(lines, found(files(lab, *names, "--json"))["pairs"], strict=False):
        cells = line.split()
        assert cells[:2] == [pair["a"], pair["b"]]
        assert cells[2:5] == [str(pair[key]) for key in ("n", "a_only", "b_only")]
        assert f"{pair['difference']['value']:.2f}".replace("0.", ".") == cells[5]
    assert "good agrees with the expert more often than poor" in done.out
    assert lines[-1] == (
        "good is alone in the best set on 150 items; left out of the best set at 10%: fair, poor"
    )
    assert "*" not in done.out


def test_no_difference_comes_with_the_smallest_that_could_be_shown(lab):
    good, correct = read_lines(lab.folder / "good.jsonl"), right(lab, "good")
    swapped = {i for yes in (True, False) for i in [i for i in correct if correct[i] == yes][:2]}
    twin = [
        row | {"verdict": TURNED[row["verdict"]]} if row["id"] in swapped else row for row in good
    ]
    write_rows(lab.folder / "twin.jsonl", twin)
    done = files(lab, "good.jsonl", "twin.jsonl")
    answer = found(files(lab, "good.jsonl", "twin.jsonl", "--json"))
    assert 0 < answer["pairs"][0]["detectable"] < 0.1
    points = re.search(
        r"no difference shown between good and twin: the smallest that 150 items would show "
        r"\(4 times in 5\) is (\d+) points",
        done.out,
    )
    assert points
    assert int(points[1]) - 1 < 100 * answer["pairs"][0]["detectable"] <= int(points[1])
    assert done.out.splitlines()[-1] == "good, twin cannot be told apart on 150 items"
    assert answer["best_set"] == ["good", "twin"]
    assert "not said" not in done.out
    write_rows(lab.folder / "tiny.jsonl", read_lines(lab.folder / "data.jsonl")[:4])
    assert (
        "4 items could show none at all"
        in files(lab, "good.jsonl", "twin.jsonl", labels="tiny.jsonl").out
    )


# --- runs


def test_runs_are_compared_under_the_labels_of_their_own_dataset(lab):
    good, poor = run_of(lab, "good"), run_of(lab, "poor")
    done = lab("compare", good, f"runs/{poor}", "--json")
    answer = found(done)
    names = [f"recorded ({good[:8]})", f"recorded ({poor[:8]})"]
    assert answer["variants"] == names
    dev = {row["id"] for row in read_lines(lab.folder / "runs" / good / "verdicts.jsonl")}
    assert answer["n"] == len(dev) < 150
    a, b = right(lab, "good"), right(lab, "poor")
    assert answer["pairs"][0]["a_only"] == sum(a[i] and not b[i] for i in dev)
    with_labels = lab("compare", "--labels", "data.jsonl", "--verdicts", good, poor, "--json")
    assert found(with_labels)["pairs"] == answer["pairs"]
    mixed = found(files(lab, good[:8], "poor.jsonl", "--json"))
    assert mixed["variants"] == ["recorded", "poor"]
    assert {**mixed["pairs"][0], "a": names[0], "b": names[1]} == answer["pairs"][0]
    for word in (poor[:8], f"runs/{poor}", names[1]):
        based = found(lab("compare", good, poor, run_of(lab, "fair"), "--baseline", word, "--json"))
        assert based["baseline"] == names[1]
    unknown = lab("compare", good, poor, "--baseline", "zzz")
    assert unknown.code == 2
    assert f"there are: {', '.join(names)}" in unknown.message


def test_abstentions_of_runs_count_as_the_runs_were_scored(lab):
    fails = {}
    for name in ("good", "poor"):
        words = ("model=none", "judge=recorded", f"judge.path={name}.jsonl")
        before = set(lab.runs)
        assert lab("run", *OWN, *words, "scores.policy=as_fail").code == 0
        fails[name] = (set(lab.runs) - before).pop().name
    both = lab("compare", *fails.values(), "--json")
    assert found(both)["policy"] == "as_fail"
    mixed = (fails["good"], run_of_policy(lab, "poor", fails))
    refused = lab("compare", *mixed)
    assert (refused.code, refused.out) == (2, "")
    assert "different policies for abstentions (as_fail, error)" in refused.message
    assert found(lab("compare", *mixed, "--policy", "error", "--json"))["policy"] == "error"


def run_of_policy(lab: Lab, name: str, others: dict[str, str]) -> str:
    """The run of a file of verdicts that is none of these."""
    texts = {p.name: (p / "config.yaml").read_text() for p in lab.runs}
    (one,) = [
        i for i, text in texts.items() if f"{name}.jsonl" in text and i not in others.values()
    ]
    return one


def test_a_file_among_runs_needs_labels(lab):
    done = lab("compare", run_of(lab, "good"), "poor.jsonl")
    assert (done.code, done.out) == (2, "")
    assert "poor.jsonl is no run of this lab" in done.message
    assert "--labels FILE" in done.message


def test_test_labels_open_for_looks_alone_and_at_their_level(lab):
    good, poor = run_of(lab, "good"), run_of(lab, "poor")
    for run in (good, poor):
        assert lab("holdout", run).code == 0
    looks = [p.name for p in lab.runs if read_json(p / "record.json")["part"] == "test"]
    answer = found(lab("compare", *looks, "--json"))
    assert answer["level"] == pytest.approx(1 - 0.05 / 3)
    assert answer["pairs"][0]["difference"]["level"] == answer["level"]
    assert answer["best_set_alpha"] == pytest.approx(0.1 / 3)
    test = {row["id"] for row in read_lines(lab.folder / "runs" / looks[0] / "verdicts.jsonl")}
    assert answer["n"] == len(test)
    apart = lab("compare", good, looks[0])
    assert (apart.code, apart.out) == (2, "")
    assert re.search(r"no common items: .* items of dev, .* items of test\.", apart.message)


def test_an_incomplete_run_is_refused_with_what_completes_it(lab):
    asked = []

    def answer(body):
        asked.append(1)
        return 503 if len(asked) == 5 else said("pass")

    with endpoint(answer) as model:
        sweep = ("run", "-m", *OWN, *model.overrides, "demos=none,balanced", "limit=8")
        assert lab(*sweep).code == 3
        runs = [path for path in lab.runs if not (path / "scores.json").exists()]
        done = lab("compare", runs[0].name, run_of(lab, "good"))
        assert (done.code, done.out) == (3, "")
        assert "is incomplete (" in done.message
        command = shlex.split(done.message.partition("go on with: ")[2])
        assert command == ["judgelab", *sweep]
        assert lab(*command[1:]).code == 0
    assert lab("compare", runs[0].name, run_of(lab, "good")).code == 0


def test_a_dataset_that_is_gone_names_the_way(lab):
    good, poor = run_of(lab, "good"), run_of(lab, "poor")
    (lab.folder / "data.jsonl").rename(lab.folder / "moved.jsonl")
    done = lab("compare", good, poor)
    assert (done.code, done.out) == (2, "")
    assert re.search(r"data\.jsonl: there is no such file.*--labels FILE", done.message, re.DOTALL)
    assert lab("compare", good, poor, "--labels", "moved.jsonl").code == 0


# --- what changed between two runs


def drift(lab: Lab, *runs: str) -> tuple[dict[str, Any], Done]:
    done = lab("compare", *runs, "--json")
    return found(done), done


def test_a_judge_against_its_like_says_what_was_typed(lab):
    answer, _ = drift(lab, run_of(lab, "good"), run_of(lab, "fair"))
    assert answer["changed"] == ["judge"]
    assert "path good.jsonl → fair.jsonl" in answer["changes"]["judge"]
    dev = {
        row["id"]
        for row in read_lines(lab.folder / "runs" / run_of(lab, "good") / "verdicts.jsonl")
    }
    said = [
        {r["id"]: r["verdict"] for r in read_lines(lab.folder / f"{n}.jsonl")}
        for n in ("good", "fair")
    ]
    moved = [(said[0][i], said[1][i]) for i in dev if said[0][i] != said[1][i]]
    flips = answer["flips"]
    assert (flips["n"], flips["flipped"]) == (len(dev), len(moved))
    assert flips["fail_to_pass"] == moved.count(("fail", "pass"))
    assert "flips" not in found(files(lab, "good.jsonl", "fair.jsonl", "--json"))


def prompted(lab: Lab, model, *more: str) -> str:
    """The id of a new run of a prompted judge."""
    before = set(lab.runs)
    overrides = [word for word in model.overrides if "base_url" not in word]
    url = [word for word in model.overrides if "base_url" in word]
    done = lab(
        "run", *OWN, *overrides, *url, "model.endpoint=there", "demos=none", "limit=12", *more
    )
    assert done.code == 0, done.err
    (made,) = set(lab.runs) - before
    return made.name


def strict(body) -> str:
    return said("fail" if len(question(body)) % 2 else "pass")


@pytest.mark.parametrize(
    ("change", "kind", "how"),
    [
        ("rubric", "rubric", "rubric.md reads otherwise"),
        ("judge.reasoning=none", "judge", "reasoning critique → none"),
        ("model.name=n", "model", "name m → n"),
        ("demos=balanced", "demos", "k none → "),
        ("labels", "labels", "labels, critiques or context of the same items"),
        ("data", "data", "with other texts"),
        ("more", "data", "40 items new"),
    ],
)
def test_what_changed_is_named(lab, change, kind, how):
    lab.write("prompts/rubrics/mine.md", "Pass what is short.\n")
    with endpoint(strict) as model:
        before = prompted(lab, model, "judge.rubric=mine")
        data = read_lines(lab.folder / "data.jsonl")
        typed = [change] if "=" in change else []
        if change == "rubric":
            lab.write("prompts/rubrics/mine.md", "Pass what is long.\n")
        elif change == "labels":
            judged = {r["id"] for r in read_lines(lab.folder / "runs" / before / "verdicts.jsonl")}
            data = [r | {"label": "fail"} if r["id"] in judged else r for r in data]
        elif change == "data":
            data = [
                r | {"output": r["output"] + " again"} if i < 9 else r for i, r in enumerate(data)
            ]
        elif change == "more":
            data += [row | {"id": f"new-{row['id']}"} for row in rows(40, seed=9)]
        write_rows(lab.folder / "data.jsonl", data)
        after = prompted(lab, model, "judge.rubric=mine", *typed)
    answer, done = drift(lab, before, after)
    assert answer["changed"] == [kind]
    assert how in answer["changes"][kind]
    assert ("scored under the labels as they are now" in done.err) == (kind in ("labels", "data"))
    text = lab("compare", before, after).out
    assert f"changed: {kind} ({answer['changes'][kind]})" in text
    assert f"verdicts on the {answer['flips']['n']} items of both" in text


def test_a_model_that_moved_under_its_name_is_named_and_its_verdicts_tested(lab):
    with endpoint(strict) as model:
        before = prompted(lab, model)
    shutil.rmtree(lab.folder / ".judgelab")
    folder = lab.folder / "runs" / before
    shutil.copytree(folder, lab.folder / "runs" / f"x-{before}")
    later = lab.folder / "runs" / f"x-{before}"
    record = read_json(later / "record.json")
    record["calls"]["models"] = {"m-2": 12}
    (later / "record.json").write_text(json.dumps(record))
    lines = read_lines(later / "verdicts.jsonl")
    write_rows(later / "verdicts.jsonl", [row | {"verdict": "fail"} for row in lines])
    answer, _ = drift(lab, before, later.name)
    assert answer["changed"] == ["model"]
    assert answer["changes"]["model"] == "answered by m-1 → m-2"
    passed = sum(row["verdict"] == "pass" for row in lines)
    assert 0 < passed == answer["flips"]["flipped"] == answer["flips"]["pass_to_fail"]
    nothing = lab.folder / "runs" / f"y-{before}"
    shutil.copytree(folder, nothing)
    answer, _ = drift(lab, before, nothing.name)
    assert (answer["changed"], answer["flips"]["flipped"]) == ([], 0)
    assert "nothing that the records hold" in lab("compare", before, nothing.name).out


def test_a_text_that_changed_under_one_id_is_no_common_item(lab):
    good, poor = run_of(lab, "good"), run_of(lab, "poor")
    before = found(lab("compare", good, poor, "--json"))["n"]
    judged = sorted(r["id"] for r in read_lines(lab.folder / "runs" / good / "verdicts.jsonl"))[:3]
    data = read_lines(lab.folder / "data.jsonl")
    changed = [r | {"output": "other"} if r["id"] in judged else r for r in data]
    write_rows(lab.folder / "data.jsonl", changed)
    done = lab("compare", good, poor, "--json")
    assert found(done)["n"] == before - 3
    assert "3 items have other texts now and are left out" in done.err
    write_rows(lab.folder / "data.jsonl", [row | {"input": "other"} for row in data])
    done = lab("compare", good, poor)
    assert (done.code, done.out) == (2, "")
    assert "every one stands for other texts now" in done.message


def test_two_runs_on_different_texts_of_one_id_share_nothing_to_flip(lab):
    with endpoint(strict) as model:
        before = prompted(lab, model)
        data = read_lines(lab.folder / "data.jsonl")
        write_rows(
            lab.folder / "data.jsonl", [row | {"output": row["output"] + " new"} for row in data]
        )
        after = prompted(lab, model)
    done = lab("compare", before, after)
    assert (done.code, done.out) == (2, "")
    assert "every one stands for other texts now" in done.message


# --- real verdicts


@pytest.mark.skipif(not QA.is_dir(), reason=f"{QA} is not on this machine")
def test_recorded_judges_of_open_questions_clustered_by_question(tmp_path):
    lab = Lab(tmp_path)
    words = ("--labels", str(QA / "interactions.jsonl"), "--verdicts", str(QA / "verdicts.jsonl"))
    clustered = ("--group", "context.question_id", "--json")
    answer = found(lab("compare", *words, *clustered))
    labels = {row["id"]: row["label"] for row in read_lines(QA / "interactions.jsonl")}
    said: dict[str, dict[str, bool]] = {}
    for row in read_lines(QA / "verdicts.jsonl"):
        said.setdefault(row["judge"], {})[row["id"]] = row["verdict"] == labels[row["id"]]
    common = set.intersection(*(set(one) for one in said.values()))
    assert (answer["n"], len(common)) == (len(labels), 1485)
    assert {one["judge"]: one["missing"] for one in answer["judges"] if one["missing"]} == {
        "gpt-4": 3,
        "bem": 2,
    }
    for pair in answer["pairs"]:
        a, b = said[pair["a"]], said[pair["b"]]
        assert pair["a_only"] == sum(a.get(i, False) and not b.get(i, False) for i in labels)
        assert pair["b_only"] == sum(b.get(i, False) and not a.get(i, False) for i in labels)
        assert (pair["clusters"], pair["p_method"]) == (301, "sign_flip_clustered")
    assert answer["best_set"] == ["gpt-4", "text-davinci-003"]
    based = found(lab("compare", *words, *clustered, "--baseline", "bem"))
    assert [pair["a"] for pair in based["pairs"]] == ["gpt-4", "text-davinci-003"]
    assert all(pair["holm"] < 0.05 for pair in based["pairs"])
