"""The command line: exit codes, one clear message, whole tables, and how it is stopped."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from judgelab.types import sha256
from labs import SHARED, Lab, endpoint, environment, read_json, rows, said, write_rows

QA = SHARED / "open-qa-answers"
OWN = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl", "tracking=none")


@pytest.fixture
def lab(tmp_path) -> Lab:
    return Lab(tmp_path / "my lab")


@pytest.fixture(scope="module")
def sampled(tmp_path_factory) -> Lab:
    """A lab with a run and a sweep on the sample, for all who only read."""
    lab = Lab(tmp_path_factory.mktemp("sampled"))
    lab.single = lab("run", "limit=12", "tracking=none")
    words = ("judge=prompted,assertion", "judge.reasoning=none,cot", "limit=12", "tracking=none")
    lab.sweep = lab("run", "-m", *words)
    return lab


WIDEST = 112  # columns of a table
MORE = 3  # commands that may come
COMMANDS = (
    *("init", "run", "holdout", "rerun", "probe", "analyze"),
    *("score", "compare", "data", "generate", "review", "round", "propose", "calls", "ui"),
)


def test_help_lists_the_commands_in_the_order_people_need_them(lab):
    done = lab("--help")
    assert done.code == 0
    listed = re.findall(r"^  (\w+) ", done.out[done.out.index("Commands:") :], re.MULTILINE)
    assert tuple(listed) == COMMANDS
    assert lab("-h").out == done.out
    assert "..." not in done.out.partition("Commands:")[2], "each is said whole"
    assert len(done.out) + MORE * 40 < 1000, "room for more: a mistake is answered with this"
    for command in COMMANDS:
        shown = lab(command, "--help")
        assert shown.code == 0
        assert len(max(shown.out.splitlines(), key=len)) <= 100
    assert re.search(r"version \d+\.\d+", lab("--version").out)


def test_a_command_says_what_its_words_are(lab):
    said = {
        "RUN is a folder": (
            *(("holdout",), ("rerun",), ("probe",), ("analyze",), ("compare",)),
            ("calls", "export"),
        ),
        "OVERRIDES are Hydra's": (
            *(("run",), ("data", "check"), ("data", "split"), ("data", "coverage")),
            *(("propose", "rubric"), ("generate", "inputs"), ("generate", "outputs")),
            *(("data", "causes"), ("generate", "sample")),
            *(("propose", "modes"), ("propose", "check")),
        ),
    }
    for what, commands in said.items():
        for command in commands:
            assert what in lab(*command, "--help").out, command


MISTAKES = {
    "no command": ((), "Usage: judgelab"),
    "unknown command": (("judge",), "No such command 'judge'"),
    "unknown option": (("run", "--fast"), "No such option"),
    "no RUN": (("rerun",), "Missing argument 'RUN'"),
    "empty lab": (("rerun", "latest"), r"no runs in .*Start with: judgelab run"),
    "no such run": (("holdout", "abc"), "no runs in"),
    "no labels": (("score",), "Missing option '--labels'"),
    "no verdicts": (("score", "--labels", "a.jsonl"), "Missing option '--verdicts'"),
    "unknown policy": (
        ("score", "--labels", "a", "--verdicts", "b", "--policy", "hope"),
        "'error', 'as_fail', 'as_pass', 'exclude'",
    ),
    "no such labels": (
        ("score", "--labels", "a.jsonl", "--verdicts", "b.jsonl"),
        r"a\.jsonl: there is no such file",
    ),
    "labels in no format": (
        ("score", "--labels", "a.docx", "--verdicts", "b.jsonl"),
        r"a\.docx.*\.jsonl",
    ),
    "init of nothing": (("init", "my.csv"), r"my\.csv: there is no such file"),
    "init of a folder": (("init", "."), r"\."),
    "unknown dataset": (("data", "check", "dataset=mine"), "dataset/mine.*jsonl"),
    "no data command": (("data", "look"), "No such command 'look'"),
    "no such data": (
        ("data", "check", "dataset=csv", "dataset.path=x.csv"),
        r"x\.csv: there is no such file",
    ),
    "no path": (("data", "split", "dataset=csv"), r"dataset\.path has no value yet"),
    "a sweep without -m": (("run", "demos=none,nearest"), r"demos has several values.*add -m"),
    "no override": (("run", "nearest"), "'nearest'.*key=value"),
    "no port": (("ui", "--port", "many"), "not a valid integer"),
    "recorded without a file": (("run", "judge=recorded"), r"judge\.path has no value"),
    "recorded with a wrong file": (
        ("run", "judge=recorded", "judge.path=v.jsonl"),
        r"v\.jsonl: there is no such file",
    ),
    "code that is not there": (
        ("run", "judge=assertion", "judge.check=not_there.short"),
        r"judge\.check: cannot import 'not_there\.short'.*modules in the lab",
    ),
    "a key that is not set": (("run", "model=openai"), "OPENAI_API_KEY"),
}


@pytest.mark.parametrize(("words", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_exit_2_and_one_message(lab, words, message):
    done = lab(*words)
    assert done.code == 2, done.err
    assert done.out == ""
    assert re.search(message, done.err, re.DOTALL), done.err
    assert "Traceback" not in done.err
    assert len(done.err) < 1500
    assert not (lab.folder / "runs").exists()


BAD_DATA = {
    "ragged": ("id,input,output,label\na,b,c,pass,extra\n", r"row 2|line 2"),
    "unknown label": ("id,input,output,label\na,b,c,good\n", r"label.*good.*pass"),
    "twice": ("id,input,output,label\na,b,c,pass\na,d,e,fail\n", r"twice.*'a'|\"a\""),
    "no labels": ("id,input,output,label\na,b,c,\n", "no labelled"),
    "no output": ("id,input,label\na,b,pass\n", "output"),
    "empty": ("", r"data\.csv"),
    "header alone": ("id,input,output,label\n", r"data\.csv"),
    "not text": (b"\xff\xfe\x00\x01\x02", r"data\.csv"),
}


@pytest.mark.parametrize(("content", "message"), BAD_DATA.values(), ids=BAD_DATA)
def test_bad_data_is_one_message_and_no_run(lab, content, message):
    raw = content if isinstance(content, bytes) else content.encode()
    (lab.folder / "data.csv").write_bytes(raw)
    words = ("dataset=csv", "dataset.path=data.csv", "model=neighbours", "tracking=none")
    done = lab("run", *words)
    assert done.code == 2, done.err
    assert re.search(message, done.message, re.DOTALL | re.IGNORECASE), done.message
    assert lab.runs == []
    assert not (lab.folder / "splits").exists()


def test_one_class_alone_still_shows_the_numbers_that_are_defined(lab):
    write_rows(lab.folder / "data.jsonl", [row | {"label": "pass"} for row in rows(30)])
    done = lab("run", *OWN, "model=neighbours")
    assert done.code == 0, done.err
    assert "–" in done.out, "an undefined metric is a dash"
    assert "exploratory, no held-out claim" in done.err


@pytest.mark.parametrize("name", ["runs", "splits", ".judgelab"])
def test_a_lab_that_cannot_be_written_says_so(lab, name):
    lab.write(name, "a file in the way")
    done = lab("run", "limit=3", "tracking=none")
    assert done.code == 2, done.err
    assert f"{lab.folder}/{name}" in done.message
    assert "folder to write in" in done.message


def as_one_who_may_not_write_everywhere() -> list[str]:
    """What to start a command with, so that file permissions bind root too."""
    if os.geteuid():
        return []
    if not shutil.which("setpriv"):
        pytest.skip("root may write anywhere, and there is no setpriv to bind it")
    lost = "-dac_override,-dac_read_search"
    return ["setpriv", "--bounding-set", lost, "--inh-caps", lost]


def test_a_read_only_lab_says_so(lab):
    start = as_one_who_may_not_write_everywhere()
    lab.folder.chmod(0o555)
    done = subprocess.run(
        [*start, sys.executable, "-m", "judgelab.cli", "run", "limit=3", "tracking=none"],
        cwd=lab.folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    lab.folder.chmod(0o755)
    assert done.returncode == 2, done.stderr
    assert re.search(r"^judgelab: /.*: Permission denied\. .*folder to write in", done.stderr)


def test_a_damaged_call_store_says_what_to_do(lab):
    lab.write(".judgelab/calls.db", "this is no database, not at all, " * 40)
    done = lab("run", "limit=3", "tracking=none")
    assert done.code == 2
    assert "calls.db cannot be opened" in done.message
    (lab.folder / ".judgelab" / "calls.db").unlink()
    (lab.folder / ".judgelab" / "calls.db").mkdir()
    assert lab("run", "limit=3", "tracking=none").code == 2


def test_modules_in_the_lab_do_not_shadow_pythons_own(lab):
    """A lab may hold a random.py or a csv.py; a module of its own name is found."""
    lab.write("colorsys.py", "raise RuntimeError('the wrong one')\n")
    lab.write("my_short_check.py", "def short(item):\n    return len(item.output) < 300, 'n'\n")
    done = lab("run", "judge=assertion", "judge.check=my_short_check.short", "limit=3", *OWN[3:])
    assert done.code == 0, done.err
    sys.modules.pop("colorsys", None)
    assert lab("run", "judge=assertion", "judge.check=colorsys.rgb_to_hsv", *OWN[3:]).code == 0


def whole(table: str) -> list[list[str]]:
    """The cells of a printed table, if every row has as many as the head."""
    lines = [line for line in table.splitlines() if line.strip()]
    assert max(map(len, lines)) <= WIDEST
    assert "…" not in table
    cell = r"-?[\d.]+ \[[^\]]*\]|\S+(?: \S+)*?(?=\s{2,}|$)|\S+"
    unmarked = (re.sub(r"([\d–]|ranked) +[*=-]$", r"\1", line.rstrip()) for line in lines[1:])
    head, *body = [re.findall(cell, line.strip()) for line in unmarked]
    found = [row for row in body if len(row) > 1]  # a long name goes on in the next line
    assert all(len(row) == len(body[0]) for row in found), table
    return [head, *found]


def test_tables_are_whole_in_a_narrow_terminal(sampled):
    head, row, ceiling = whole(sampled.single.out)
    assert ceiling[0] == "expert ceiling"
    assert head == [
        *("variant", "n", "cover", "agreement", "recall fail", "precision fail", "kappa", "AC1"),
    ]
    assert row[0].startswith("balanced k=4 ·")
    assert row[1] == "12"
    assert row[2] == "100%"
    assert re.match(r"\.\d\d \[\.\d\d, (\.\d\d|1)\]$", row[3])
    assert len(whole(sampled.sweep.out)) == 1 + 3 + 3 + 1


def test_results_go_to_stdout_and_remarks_to_stderr(sampled):
    assert sampled.single.out.startswith("sample, dev: positive class fail")
    assert "next" not in sampled.single.out
    assert re.search(r"verdicts: 12 planned = 12 answered \+ 0 abstained", sampled.single.err)


def test_a_next_step_ends_a_run(sampled):
    (name,) = [path.name for path in sampled.runs if "neighbours" in path.name]
    steps = re.findall(r"^next (.*)$", sampled.single.err, re.MULTILINE)
    assert steps[-2:] == [
        f"look at unseen items once: judgelab holdout {name[:8]}",
        f"again, from its record: judgelab rerun {name[:8]}",
    ]
    assert re.search(r"(is chosen: the highest|^No winner)", sampled.sweep.err, re.MULTILINE)


def test_texts_in_brackets_are_texts_and_no_markup(lab):
    data = [row | {"id": f"[/{row['id']}]"} for row in rows(30)]
    write_rows(lab.folder / "data.jsonl", data)
    own = (OWN[0], "dataset.name='[b]own'", *OWN[2:])
    done = lab("run", *own, "judge=classifier")
    assert done.code == 0, done.err
    assert done.out.startswith("[b]own, dev")
    assert "[b]own" in lab("data", "split", *own).out
    assert lab("data", "check", *own).code == 0
    flipped = {"pass": "fail", "fail": "pass"}
    write_rows(lab.folder / "data.jsonl", [row | {"label": flipped[row["label"]]} for row in data])
    again = lab("rerun", "latest")
    assert again.code == 1
    assert re.search(r"^\[/item-\d+\] \(repeat 0\): ", again.out, re.MULTILINE)


def test_json_of_a_run_and_a_sweep(sampled):
    for words, n in ((("run", "limit=12"), 1), (("run", "-m", "limit=12", "demos.k=1,2"), 5)):
        done = sampled(*words, "tracking=none", "--json")
        assert done.code == 0
        cards = json.loads(done.out)
        assert len(cards) == n
        for card in cards:
            assert {"judge", "n", "coverage", "confusion", "metrics", "run"} <= set(card)
            assert (card["n"], card["positive"], card["policy"]) == (12, "fail", "error")
            assert set(card["confusion"]) == {
                *("tp", "fn", "fp", "tn", "abstained_fail", "abstained_pass"),
            }
            assert sum(card["confusion"].values()) == 12
            for metric in card["metrics"].values():
                assert {"value", "lo", "hi", "method", "level", "n"} <= set(metric)
                assert metric["value"] is not None or metric["reason"]
            assert (sampled.folder / "runs" / card["run"] / "scores.json").is_file()


def test_cfg_prints_a_config_and_where_it_comes_from(lab):
    lab.write("conf/demos/nearest.yaml", "# mine\ndefaults: [random]\nk: 3\n")
    done = lab("run", "--cfg", "demos=nearest", "dataset=csv")
    assert done.code == 0
    assert re.search(rf"^# demos=nearest: {lab.folder}/conf/demos/", done.out, re.MULTILINE)
    assert re.search(r"^# dataset=csv: .*conf/dataset/csv\.yaml$", done.out, re.MULTILINE)
    assert "path: ???" in done.out, "a look is possible before everything is chosen"
    assert not list(lab.folder.glob("[!c]*"))


def test_score_of_recorded_verdicts(lab):
    data = rows(9)
    write_rows(lab.folder / "labels.jsonl", data)
    verdicts = [
        {"id": row["id"], "verdict": "fail", "judge": judge}
        for row in data
        for judge in ("a", "b")
        if (judge, row["id"]) != ("b", "item-000")
    ]
    write_rows(lab.folder / "v.jsonl", [*verdicts, {"id": "x", "verdict": None, "judge": "a"}])
    lab.write("w.csv", "id,verdict\nitem-001,PASS\nitem-002,\n")
    given = ("score", "--labels", "labels.jsonl", "--verdicts", "v.jsonl", "w.csv")
    done = lab(*given)
    assert done.code == 0, done.err
    lines = [line.split() for line in done.out.splitlines() if line.strip()][1:]
    assert lines[0][:3] == ["judge", "n", "cover"]
    assert max(map(len, done.out.splitlines())) <= WIDEST
    assert [line[:3] for line in lines[1:4]] == [
        ["a", "9", "100%"],
        ["b", "9", "89%"],
        ["w", "9", "11%"],
    ]
    assert "a: 1 verdicts on items without a label are left out" in done.err
    assert "b: 1 labelled items have no verdict (abstained: missing)" in done.err
    cards = {card["judge"]: card for card in json.loads(lab(*given, "--json").out)}
    assert cards["b"]["coverage"] == pytest.approx(8 / 9)
    assert {name: tuple(card["confusion"].values()) for name, card in cards.items()} == {
        "a": (3, 0, 6, 0, 0, 0),
        "b": (2, 0, 6, 0, 1, 0),
        "w": (0, 0, 0, 1, 3, 5),
    }
    assert cards["w"]["confusion"]["abstained_fail"] == 3
    as_fail = json.loads(lab(*given, "--json", "--policy", "as_fail").out)
    assert as_fail[1]["metrics"]["recall_fail"]["value"] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"id": "item-000", "verdict": "good"}', r"v\.jsonl, line 1.*'good'.*pass, fail"),
        ('{"id": "item-000"}', r"v\.jsonl, line 1.*no verdict"),
        ('{"id": "item-000", "verdict": "pass"}\n' * 2, r"line 2.*second verdict.*'item-000'"),
        ('{"id": "nobody", "verdict": "pass"}', "no item of judge 'v' is labelled.*nobody"),
        ("{", r"v\.jsonl.*line 1"),
        ("", r"v\.jsonl: the file is empty"),
    ],
)
def test_score_refuses_what_is_no_verdict(lab, text, message):
    write_rows(lab.folder / "labels.jsonl", rows(4))
    lab.write("v.jsonl", text)
    done = lab("score", "--labels", "labels.jsonl", "--verdicts", "v.jsonl")
    assert done.code == 2
    assert re.search(message, done.message, re.DOTALL)


@pytest.mark.skipif(not QA.is_dir(), reason=f"{QA} is not on this machine")
def test_score_of_recorded_judges_of_open_questions(lab):
    """The counts that the source's own tables give, with fail as the positive class."""
    labels, verdicts = str(QA / "interactions.jsonl"), str(QA / "verdicts.jsonl")
    done = lab("score", "--labels", labels, "--verdicts", verdicts, "--policy", "exclude", "--json")
    assert done.code == 0, done.err
    cards = {card["judge"]: card for card in json.loads(done.out)}
    cells = {
        judge: tuple(card["confusion"][cell] for cell in ("tp", "fn", "fp", "tn"))
        for judge, card in cards.items()
    }
    assert cells == {
        "gpt-4": (582, 89, 137, 679),
        "text-davinci-003": (581, 93, 149, 667),
        "bem": (601, 71, 217, 599),
    }
    known = {"gpt-4": 0.6951, "text-davinci-003": 0.6745, "bem": 0.6166}
    for judge, kappa in known.items():
        assert cards[judge]["metrics"]["kappa"]["value"] == pytest.approx(kappa, abs=5e-5)
    assert cards["gpt-4"]["coverage"] == pytest.approx(1487 / 1490)


def test_data_check_and_split(lab):
    checked = lab("data", "check")
    assert checked.code == 0, checked.err
    assert re.search(r"critiques usable as demos: \d+ of \d+", checked.out)
    split = lab("data", "split")
    assert split.code == 0
    head = split.out.splitlines()[1].split()
    assert head == ["train", "dev", "test"]
    counts = {
        line.split()[0]: [int(n) for n in line.split()[1:4]]
        for line in split.out.splitlines()
        if re.match(r" *(items|fail|pass)\s+\d", line)
    }
    assert [a + b for a, b in zip(counts["fail"], counts["pass"], strict=True)] == counts["items"]
    assert re.search(r"^ *\w+=\S.* \d+ +\d+ +\d+ *$", split.out, re.MULTILINE), "by dimension too"


def test_data_check_is_exit_1_where_something_has_to_be_mended(lab):
    data = rows(6)
    data.append(data[1] | {"id": "again", "label": "fail"})
    write_rows(lab.folder / "data.jsonl", data)
    done = lab("data", "check", *OWN)
    assert done.code == 1, done.out
    assert "error" in done.out
    assert "again" in done.out


def test_holdout_is_for_runs_on_dev_with_a_test_split(sampled):
    (name,) = [path.name for path in sampled.runs if "neighbours" in path.name]
    looked = sampled("holdout", name, "--json")
    assert looked.code == 0, looked.err
    (card,) = json.loads(looked.out)
    assert card["part"] == "test"
    assert card["look"] == "look 1 of 3 on this test split"
    again = sampled("holdout", card["run"])
    assert again.code == 2
    assert "itself a look at test" in again.message


@pytest.mark.slow
def test_tracked_runs_are_found_by_their_mlflow_id(lab):
    """The one test here that goes through MLflow; tests/tracking says the rest."""
    done = lab("run", "limit=4", "judge=always_pass")
    assert done.code == 0, done.err
    assert re.search(r"^next see the runs side by side in MLflow: ", done.err, re.MULTILINE)
    assert (lab.folder / "mlflow.db").is_file()
    (folder,) = lab.runs
    run_id = read_json(folder / "mlflow.json")["run_id"]
    assert lab("rerun", run_id).code == 0


class Held:
    """A model that answers `n` calls and then keeps everybody waiting."""

    def __init__(self, n: int) -> None:
        self.n, self.open, self.seen = n, threading.Event(), 0
        self.lock = threading.Lock()

    def __call__(self, body) -> str:
        with self.lock:
            self.seen += 1
            wait = self.seen > self.n
        if wait:
            self.open.wait(30)
        return said("fail")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_stopped_half_way_nothing_answered_is_lost(lab, number, code):
    write_rows(lab.folder / "data.jsonl", rows(40))
    held = Held(25)
    with endpoint(held) as model:
        axes = ["demos.k=1,2", "baselines=[]", "model.concurrency=4"]
        words = ["run", "-m", *axes, *model.overrides, *OWN]
        # Where the tests run in the background SIGINT is ignored, and children inherit that.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        started = subprocess.Popen(
            [sys.executable, "-m", "judgelab.cli", *words],
            cwd=lab.folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        signal.signal(signal.SIGINT, before)
        try:
            until = time.monotonic() + 30
            while (model.answered < 25 or held.seen < 29) and time.monotonic() < until:
                time.sleep(0.01)
            time.sleep(0.05)
            started.send_signal(number)
            assert started.stderr
            heard = next(line for line in started.stderr if "4 calls on their way" in line)
            started.send_signal(number)  # once more: it does not wait for them
            out, err = started.communicate(timeout=20)
            err = heard + err
        finally:
            started.kill()
        assert started.returncode == code, err
        assert "Traceback" not in err
        (message,) = [line for line in err.splitlines() if line.startswith("judgelab: ")]
        assert "interrupted. What is answered is kept; go on with: judgelab run -m" in message
        assert "demos.k=1,2" in message
        assert out == ""
        with sqlite3.connect(lab.folder / ".judgelab" / "calls.db") as store:
            assert store.execute("SELECT count(*) FROM calls").fetchone() == (25,)
        held.open.set()
        before = len(model.asked)
        done = lab(*words)
        assert done.code == 0, done.err
        assert len(model.asked) - before == 80 - 25, "only what was not answered is asked"
        asked = [sha256(body) for body in model.asked[:25]] + [sha256(b) for b in model.asked[29:]]
        assert len(set(asked)) == 80


def test_a_reader_that_goes_away_is_no_error(lab):
    """`judgelab data split | head -1`"""
    command = f"{sys.executable} -m judgelab.cli data split 2>err | head -c 1 >/dev/null"
    subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        cwd=lab.folder,
        env=environment(),
        check=False,
    )
    assert "Traceback" not in (lab.folder / "err").read_text()


def test_the_lab_may_be_elsewhere(lab, tmp_path, monkeypatch):
    from judgelab import resources

    elsewhere = tmp_path / "elsewhere"
    monkeypatch.setenv("JUDGELAB_HOME", str(elsewhere))
    assert resources.lab() == elsewhere
    monkeypatch.setenv("JUDGELAB_HOME", "")
    assert resources.lab() == Path.cwd()
