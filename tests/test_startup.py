"""What each command imports: an answer to a mistake waits for no library that does not say it.

Processor time is what counts; what is imported is what it is spent on, and can be told exactly.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from labs import Lab, environment, rows, write_rows
from server import ChatServer

HEAVY = {
    *("numpy", "pandas", "pyarrow", "scipy", "sklearn", "openpyxl", "matplotlib", "mlflow"),
    *("aiohttp", "litellm", "dspy", "optuna", "openai", "starlette", "uvicorn"),
}
SPY = """
import atexit, sys
atexit.register(lambda: open("modules", "w").write(" ".join(sys.modules)))
from judgelab.cli import main
main()
"""


@dataclass(frozen=True)
class Started:
    """How a process ended, and what it had imported then."""

    code: int
    err: str
    modules: set[str]

    @property
    def heavy(self) -> set[str]:
        return self.modules & HEAVY


def start(folder: Path, words: Sequence[str]) -> Started:
    done = subprocess.run(
        [sys.executable, "-c", SPY, *words],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return Started(done.returncode, done.stderr, set((folder / "modules").read_text().split()))


@pytest.fixture
def lab(tmp_path) -> Lab:
    made = Lab(tmp_path)
    data = rows(200)
    write_rows(made.folder / "good.jsonl", data)
    made.write("bad.jsonl", "".join(json.dumps(row) + "\n" for row in data) + "{\n")
    cells = [",".join((r["id"], "some input", "some output", r["label"])) for r in data]
    cells[150] = cells[150].replace(",pass", ",fine").replace(",fail", ",poor")
    made.write("bad.csv", "id,input,output,label\n" + "\n".join(cells) + "\n")
    made.write("ragged.csv", "id,input,output,label\n" + "a,b,c,pass,more\n" * 200)
    made.write("verdicts.jsonl", '{"id": "item-000", "verdict": "maybe"}\n')
    return made


OWN = "dataset=jsonl dataset.path="
MISTAKES = {
    "command": ("rnu", "No such command"),
    "option": ("run --bogus", "No such option"),
    "key": ("run demos.kk=3", r"demos\.kk: no such key"),
    "choice": ("run model=nope", "model/nope"),
    "type": ("run demos.k=many", "int is needed"),
    "grammar": ("run demos.k=[", "key=value"),
    "axis without -m": ("run demos.k=4,8", "add -m"),
    "recipe": ("run experiment=nope", "experiment/nope"),
    "rubric": ("run judge.rubric=nope", "prompts/rubrics/nope"),
    "a value that nothing takes": ("run judge.reasoning=loud", "reasoning must be"),
    "no model": (f"run {OWN}good.jsonl", "model= is not chosen"),
    "no key": ("run model=openai", "OPENAI_API_KEY"),
    "no key, own data": (f"run {OWN}good.jsonl model=openai", "OPENAI_API_KEY"),
    "no key, sweep": ("run experiment=which_critiques model=openai", "OPENAI_API_KEY"),
    "no file": (f"run {OWN}x.jsonl model=openai", "no such file"),
    "bad line": (f"run {OWN}bad.jsonl model=neighbours", "line 201"),
    "bad label": ("run dataset=csv dataset.path=bad.csv model=neighbours", "neither pass nor fail"),
    "ragged": ("run dataset=csv dataset.path=ragged.csv model=neighbours", "ragged rows"),
    "tracking": ("run tracking.texts=perhaps", "auto, true, false"),
    "experiment": ("run tracking.experiment=7", "str or null is needed"),
    "no optimizer of that judge": ("run optimizer=gepa", "optimizer=demo_search"),
    "a metric that may not choose": (
        "run optimizer=demo_search optimizer.metric=gwet_ac1",
        r"optimizer\.metric must be one of agreement",
    ),
    "policy": ("run scores.policy=x", "as_fail"),
    "ratios": ("run split.ratios.test=1", "sum to 1"),
    "limit": ("run limit=0", "limit=0"),
    "holdout": ("holdout nothing", "there are no runs"),
    "rerun": ("rerun nothing", "there are no runs"),
    "probe": ("probe nothing", "there are no runs"),
    "analyze": ("analyze nothing", "there are no runs"),
    "after": ("analyze nothing --after new.jsonl", "there are no runs"),
    "labels": ("score --labels x.jsonl --verdicts verdicts.jsonl", "no such file"),
    "verdicts": ("score --labels good.jsonl --verdicts verdicts.jsonl", "'maybe'"),
    "compare": ("compare nothing nowhere", "there are no runs"),
    "compared": ("compare --labels good.jsonl verdicts.jsonl", "'maybe'"),
    "check": ("data check dataset=csv dataset.path=bad.csv", "neither pass nor fail"),
    "export": ("data export q.ods", r"labels go to \.xlsx"),
    "export of nothing": ("data export q.xlsx dataset=nope", "dataset/nope"),
    "import": ("data import bad.csv --expert ann", "no column 'verdict'"),
    "import of nothing": ("data import none.xlsx --expert ann", "no such file"),
    "propose modes": ("propose modes model=openai", "OPENAI_API_KEY"),
    "propose check": ("propose check Odd", "small letters"),
    "causes": ("data causes --run nothing", "there are no runs"),
    "causes of bad data": ("data causes dataset=csv dataset.path=bad.csv", "neither pass nor fail"),
    "import of modes": ("data import x.jsonl --as modes --expert ann", "no such file"),
    "import from MLflow": ("data import --mlflow", "no MLflow store"),
    "init": ("init ragged.csv", "ragged rows"),
    "review": (f"review {OWN}x.jsonl", "no such file"),
    "queue": (f"review {OWN}good.jsonl --queue best", "unlabelled, stratified"),
    "round": (f"round {OWN}x.jsonl model=neighbours", "no such file"),
    "a round's rule": ("round round.agreement=2", r"round\.agreement=2"),
    "propose": ("propose rubric", "model=openai or model=ollama"),
    "propose without a key": ("propose rubric model=openai", "OPENAI_API_KEY"),
    "ui": ("ui", "nothing was tracked"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("command", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_without_a_heavy_import(lab, command, message):
    done = start(lab.folder, command.split())
    assert done.code == 2, done.err
    assert re.search(message, done.err), done.err
    assert done.heavy == set()


@pytest.mark.parametrize("words", ["--help", "run --help", "--version"])
def test_help_needs_no_config_either(lab, words):
    done = start(lab.folder, words.split())
    assert done.code == 0
    assert done.modules & {*HEAVY, "hydra", "omegaconf", "rich", "asyncio", "jinja2"} == set()


def test_a_key_is_asked_for_before_the_data_is_read(lab):
    """Reading may take minutes; what is wrong with the file as such is said first all the same."""
    done = start(lab.folder, f"run {OWN}bad.jsonl model=openai".split())
    assert "OPENAI_API_KEY" in done.err
    assert "line 201" not in done.err
    assert not (lab.folder / "splits").exists()


JUDGES = {
    "no model": ("judge=always_fail", {"numpy"}),
    "offline": ("model=neighbours demos=balanced", {"numpy"}),
    "similar demonstrations": ("model=neighbours demos=nearest", {"numpy"}),
    "spread demonstrations": ("model=neighbours demos=diverse", {"numpy"}),
    "a search for them": (
        "model=neighbours demos=random optimizer=demo_search optimizer.budget=40",
        {"numpy"},
    ),
    "classifier": ("judge=classifier", {"numpy", "scipy", "sklearn", "pandas", "pyarrow"}),
}


@pytest.mark.parametrize(("words", "needed"), JUDGES.values(), ids=JUDGES)
def test_judging_imports_what_the_variant_uses(lab, words, needed):
    command = f"run {OWN}good.jsonl model=neighbours tracking=none limit=9 {words}"
    done = start(lab.folder, command.split())
    assert done.code == 0, done.err
    assert done.heavy - needed == set()
    assert ("sklearn" in done.heavy) == ("sklearn" in needed)


def test_an_endpoint_takes_its_client_and_no_other(lab, server: ChatServer):
    command = f"run {OWN}good.jsonl tracking=none limit=9 model=openai_compatible model.name=m"
    done = start(lab.folder, [*command.split(), f"model.base_url={server.url}"])
    assert done.code == 0, done.err
    assert len(server.bodies) == 9
    assert done.heavy == {"numpy", "aiohttp"}


def test_mlflow_and_pictures_come_after_the_judging(lab):
    """A judge of the lab's own looks around while it judges."""
    lab.write(
        "spy.py",
        "import sys\n"
        "def look(interaction):\n"
        "    open('while_judging', 'w').write(' '.join(sys.modules))\n"
        "    return True, ''\n",
    )
    done = start(lab.folder, ["run", "judge=assertion", "judge.check=spy.look", "limit=3"])
    assert done.code == 0, done.err
    then = set((lab.folder / "while_judging").read_text().split())
    assert "judgelab.tracking.mlflow" in then, "a mistake in it costs no call"
    assert then & HEAVY == {"numpy"}
    assert {"mlflow", "matplotlib"} <= done.modules
    assert done.modules & {"sklearn", "litellm", "dspy", "optuna", "openai", "aiohttp"} == set()
