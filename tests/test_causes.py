"""Root causes: the table with its intervals, by round and by judge, and its command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import hypergeom
from statsmodels.stats.proportion import proportion_confint

from judgelab.analysis.causes import by_round, causes, changes_in_words, in_words
from judgelab.types import Interaction
from labs import Lab, read_lines, rows, write_rows

NAMES = ["error messages", "user education", "access", "context handling", "nobody has it"]
FOUND = {
    f"i{n:02}": [mode]
    for n, mode in enumerate(
        ["user education"] * 8 + ["access"] * 6 + ["context handling"] * 4 + ["error messages"] * 2
    )
}
ALONE = dict.fromkeys(FOUND)
OWN = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl", "model=neighbours")


def counts(found: dict[str, Any]) -> dict[str, int]:
    return {row["mode"]: row["count"] for row in found["causes"]}


def test_root_cause_count_and_share() -> None:
    found = causes(list(FOUND), FOUND, NAMES, ALONE)
    assert list(counts(found).items()) == [
        ("user education", 8),
        ("access", 6),
        ("context handling", 4),
        ("error messages", 2),
        ("nobody has it", 0),
    ]
    for row in found["causes"]:
        lo, hi = proportion_confint(row["count"], 20, method="wilson")
        share = row["share"]
        assert (share["value"], share["n"]) == (row["count"] / 20, 20)
        assert (share["lo"], share["hi"]) == pytest.approx((lo, hi))
    assert list(in_words(found)) == []
    assert causes(list(reversed(FOUND)), FOUND, NAMES, ALONE) == found


def test_several_modes_and_none() -> None:
    modes = {"a": ["x", "y"], "b": ["y"]}
    found = causes(["a", "b", "c"], modes, ["x", "y"], {})
    assert counts(found) == {"y": 2, "x": 1}
    assert [row["share"]["value"] for row in found["causes"]] == [1, 0.5]
    said = " ".join(in_words(found))
    assert "1 of 3 fails are not classified" in said
    assert "fails with several root causes: 1;" in said


def test_no_fails_are_no_shares() -> None:
    found = causes([], {}, ["x"], {}, verdicts={})
    assert found["causes"][0]["share"]["value"] is None
    assert found["causes"][0]["share"]["reason"] == "no_items"
    assert found["recall_fail"]["value"] is None


def test_items_of_one_conversation_are_one_witness() -> None:
    groups = {id_: str(n // 2) for n, id_ in enumerate(FOUND)}
    free = causes(list(FOUND), FOUND, NAMES, ALONE)["causes"][0]["share"]
    tied = causes(list(FOUND), FOUND, NAMES, groups)["causes"][0]["share"]
    assert tied["method"] == "wilson_clustered"
    assert tied["clusters"] == 10
    assert tied["hi"] - tied["lo"] > free["hi"] - free["lo"]


def test_which_root_causes_a_judge_misses() -> None:
    verdicts: dict[str, Any] = dict.fromkeys(FOUND, "fail")
    verdicts |= {"i00": "pass", "i01": None}
    del verdicts["i02"]
    left = {id_: modes for id_, modes in FOUND.items() if id_ != "i19"}
    found = causes(list(FOUND), left, NAMES, ALONE, verdicts=verdicts)
    recall = {row["mode"]: row["recall_fail"] for row in found["causes"]}
    assert (recall["user education"]["hits"], recall["user education"]["n"]) == (5, 8)
    assert recall["user education"]["value"] == 5 / 8
    assert recall["access"]["value"] == 1
    assert recall["nobody has it"]["value"] is None
    assert (found["recall_fail"]["hits"], found["recall_fail"]["n"]) == (17, 20)
    assert (found["unclassified"]["hits"], found["unclassified"]["n"]) == (1, 1)
    assert "fewer than 10 fails claims nothing" in " ".join(in_words(found))


def test_holms_family_is_every_mode_and_so_it_is_said() -> None:
    modes = {f"i{n:02}": ["late" if n < 20 else "rude"] for n in range(40)}
    verdicts: dict[str, Any] = {id_: "pass" if n < 18 else "fail" for n, id_ in enumerate(modes)}
    names = ["late", "rude", "nobody has it"]
    found = causes(list(modes), modes, names, dict.fromkeys(modes), verdicts=verdicts)
    late, rude, nobody = found["causes"]
    assert late["p"] == rude["p"] < 0.001
    assert late["holm"] == rude["holm"] == pytest.approx(3 * late["p"])
    assert nobody["holm"] is None
    assert "late: caught less often" in " ".join(in_words(found))
    assert all("after Holm over 3 modes" in text for text in in_words(found) if "caught" in text)


def test_a_round_is_what_it_added() -> None:
    ids = list(FOUND)
    found = by_round([("1", ids[:8]), ("2", ids[:14]), ("now", ids[1:])], FOUND, NAMES, ALONE)
    assert [(one["round"], one["n"], one["first"]) for one in found] == [
        ("1", 8, []),
        ("2", 6, ["access"]),
        ("now", 6, ["error messages", "context handling"]),
    ]
    assert counts(found[1])["access"] == 6
    assert counts(found[2])["user education"] == 0


def two_rounds(old: list[str], new: list[str], clusters: Any = None) -> list[dict[str, Any]]:
    """What each of the fails of round 1 is, and each that round 2 adds."""
    modes = {f"i{n:03}": [mode] for n, mode in enumerate(old + new)}
    ids = list(modes)
    rounds = [("1", ids[: len(old)]), ("2", ids[len(old) :])]
    return by_round(rounds, modes, ["late", "rude", "nobody has it"], clusters or {})


def test_a_change_between_rounds_is_fishers_and_holms() -> None:
    found = two_rounds(["late"] * 15 + ["rude"] * 5, ["late"] * 4 + ["rude"] * 16)
    assert found[0]["change"] is None
    late, rude, nobody = found[1]["change"]["modes"]
    assert (late["before"], late["now"], late["of"]) == (15, 4, [20, 20])
    # mid-p: the mean of the two tails with and without what was seen
    dist = hypergeom(40, 19, 20)
    expected = 2 * (dist.cdf(3) + dist.pmf(4) / 2)
    assert late["p"] == pytest.approx(expected)
    assert late["holm"] == pytest.approx(3 * expected), "a mode that nothing has counts too"
    assert rude["holm"] == pytest.approx(late["holm"])
    assert (nobody["p"], nobody["holm"]) == (None, None)
    said = list(changes_in_words(found))
    assert said[0].startswith("round 1 to round 2: late less often, 15 of 20 and then 4 of 20")
    assert "rude more often" in said[1]
    assert "after Holm over 3 modes" in said[1]


def test_no_change_is_no_claim() -> None:
    same = ["late"] * 10 + ["rude"] * 10
    assert list(changes_in_words(two_rounds(same, same))) == [
        "round 1 to round 2: no root cause is shown to be more or less frequent"
    ]
    few = two_rounds(same, ["late"] * 9)
    assert {row["p"] for row in few[1]["change"]["modes"]} == {None}
    assert "9 classified fails in one of them are fewer than 10" in next(changes_in_words(few))


def test_a_change_within_few_conversations_is_no_claim() -> None:
    old, new = ["late"] * 15 + ["rude"] * 5, ["late"] * 4 + ["rude"] * 16
    tied = two_rounds(old, new, {f"i{n:03}": str(n // 5) for n in range(40)})
    assert "no change is claimed, few clusters (4)" in next(changes_in_words(tied))
    pairs = [["late"] * 90 + ["rude"] * 30, ["late"] * 70 + ["rude"] * 50]
    free = two_rounds(*pairs)[1]["change"]["modes"][0]["p"]
    twice = two_rounds(*pairs, {f"i{n:03}": str(n // 2) for n in range(240)})
    assert twice[1]["change"]["untested"] is None
    assert free < 0.01
    assert twice[1]["change"]["modes"][0]["p"] > 0.03


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    lab = Lab(tmp_path_factory.mktemp("causes"))
    words = ("data", "import", "sample:failure_modes.jsonl", "--as", "modes", "--expert", "ann")
    assert lab(*words, "--new-modes").code == 0
    lab.run()
    return lab


def test_the_table_of_the_sample(sampled: Lab) -> None:
    done = sampled("data", "causes")
    assert done.code == 0, done.err
    assert "60 of 60 fails classified" in done.out
    assert "40 fails of test are closed" in done.err
    found = json.loads(sampled("data", "causes", "--json").out)
    kept = {row["id"] for row in read_lines(sampled.runs[0] / "assignment.jsonl")
            if row["part"] != "test"}  # fmt: skip
    path = sampled.folder / "labels" / "sample.modes.jsonl"
    said = [row["modes"] for row in read_lines(path)[1:] if row["id"] in kept]
    assert sum(counts(found).values()) == len(said) == 60
    assert counts(found)["beyond_plan"] == said.count(["beyond_plan"])
    assert found["rounds"] == []


def test_what_the_judge_of_a_run_misses(sampled: Lab) -> None:
    done = sampled("data", "causes", "--run", "latest", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    scores = json.loads((sampled.runs[0] / "scores.json").read_text())
    assert found["recall_fail"]["hits"] == scores["confusion"]["tp"]
    assert found["recall_fail"]["value"] == scores["metrics"]["recall_fail"]["value"]
    assert sum(row["recall_fail"]["hits"] for row in found["causes"]) == scores["confusion"]["tp"]
    shown = sampled("data", "causes", "--run", "latest")
    assert f"{scores['confusion']['tp']} of {found['n']}" in shown.out.splitlines()[-1]
    assert "give no OVERRIDES" in sampled("data", "causes", "--run", "latest", "limit=3").message


def test_an_analysis_shows_them_too(sampled: Lab) -> None:
    run = sampled.runs[0].name
    done = sampled("analyze", run)
    assert done.code == 0, done.err
    own = json.loads(sampled("data", "causes", "--run", run, "--json").out)
    kept = json.loads((sampled.folder / "runs" / run / "analysis.json").read_text())
    assert kept["causes"] == own
    assert "recall fail" in done.out


def test_a_look_at_test_says_nothing_of_its_items(sampled: Lab) -> None:
    look = sampled("holdout", "latest", "--json")
    assert look.code == 0, look.err
    run = json.loads(look.out)[0]["run"]
    done = sampled("data", "causes", "--run", run)
    assert done.code == 2
    assert "whose items stay closed" in done.message


def test_rounds_and_a_lab_without_modes(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    data = rows(24)
    write_rows(tmp_path / "data.jsonl", data)
    empty = lab("data", "causes", *OWN)
    assert empty.code == 0, empty.err
    assert "name what fails in labels/own.taxonomy.yaml" in empty.err
    fails = [row for row in data if row["label"] == "fail"]
    write_rows(
        tmp_path / "m.jsonl",
        [{"id": row["id"], "modes": ["late" if n % 2 else "rude"]} for n, row in enumerate(fails)],
    )
    taken = ("data", "import", "m.jsonl", *OWN, "--as", "modes", "--expert", "a", "--new-modes")
    assert lab(*taken).code == 0
    frozen = [
        {"id": row["id"], "content": Interaction("", row["input"], row["output"]).content,
         "label": "fail", "by": ""}
        for row in fails[:3]
    ]  # fmt: skip
    frozen[2]["content"] = "of another text"
    about = {"round": 1, "labels": {"sha256": ""}, "judge": {"sha256": ""}}
    lab.write("rounds/own/1/round.json", json.dumps(about))
    lab.write("rounds/own/1/labels.jsonl", "".join(json.dumps(row) + "\n" for row in frozen))
    found = json.loads(lab("data", "causes", *OWN, "--json").out)
    assert [(one["round"], one["n"]) for one in found["rounds"]] == [("1", 2), ("now", 6)]
    shown = lab("data", "causes", *OWN)
    assert "round 1 (2 of 2)" in shown.out
    assert "round 1 to now: no change is claimed" in shown.err


def test_a_round_keeps_the_root_causes_that_it_froze(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    data = rows(24)
    write_rows(tmp_path / "data.jsonl", data)
    fails = [row for row in data if row["label"] == "fail"]
    taken = ("data", "import", "m.jsonl", *OWN, "--as", "modes", "--expert", "a", "--new-modes")

    def classify(modes: dict[int, str]) -> None:
        given = [{"id": fails[n]["id"], "modes": [mode]} for n, mode in modes.items()]
        write_rows(tmp_path / "m.jsonl", given)
        assert lab(*taken).code == 0

    def shown() -> list[dict[str, int]]:
        done = lab("data", "causes", *OWN, "--json")
        assert done.code == 0, done.err
        return [{mode: n for mode, n in counts(one).items() if n}
                for one in json.loads(done.out)["rounds"]]  # fmt: skip

    classify(dict.fromkeys(range(4), "rude"))
    closed = lab("round", *OWN, "tracking=none")
    assert closed.code == 0, closed.err
    round_one = tmp_path / "rounds" / "own" / "1" / "round.json"
    about = json.loads(round_one.read_text())
    log = tmp_path / "labels" / "own.modes.jsonl"
    assert about["modes"] == len(read_lines(log))
    assert shown() == [{"rude": 4}, {}]

    # Later the mode is split and gone, one of them is renamed, and a fifth fail gets a cause.
    classify({0: "late", 1: "curt", 4: "late"})
    taxonomy = tmp_path / "labels" / "own.taxonomy.yaml"
    taxonomy.write_text("tardy: {was: [late]}\ncurt: Too short.\n")
    assert shown() == [{"rude": 4, "tardy": 1}, {}], "a name that is none any more stays its name"
    assert "1 fails had no root cause when a round froze them" in lab("data", "causes", *OWN).err
    taxonomy.write_text("tardy: {was: [late]}\nimpolite: {was: [rude, curt]}\n")
    assert shown() == [{"impolite": 4, "tardy": 1}, {}]

    round_one.write_text(json.dumps({key: of for key, of in about.items() if key != "modes"}))
    assert shown() == [{"impolite": 3, "tardy": 2}, {}], "an older round is as it is now"
