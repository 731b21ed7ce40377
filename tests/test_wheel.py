"""A wheel installed elsewhere finds what it brought along, and a user's own folders come first."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from labs import Lab, read_json

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy of what is in the repository, so that nothing is written into it."""
    copy = tmp_path_factory.mktemp("copy")
    for name in ("src", "conf", "experiments", "prompts"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel"]
    if subprocess.run([*command[:3], "--help"], capture_output=True, check=False).returncode:
        command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", "dist", "."]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = (copy / "dist").glob("*.whl")
    return built


def test_the_sdist_names_every_folder_that_the_repository_explains_itself_with():
    """What README and the tests read is in the archive: docs too, which the README shows."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        listed = set(tomllib.load(file)["tool"]["hatch"]["build"]["targets"]["sdist"]["include"])
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if tracked.returncode:
        pytest.skip("not a git repository")
    tops = {Path(name).parts[0] for name in tracked.stdout.splitlines()}
    assert listed <= tops
    assert {top for top in tops if (ROOT / top).is_dir() and not top.startswith(".")} <= listed


@pytest.mark.skipif(not importlib.util.find_spec("hatchling"), reason="hatchling is not here")
def test_the_sdist_holds_the_docs(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(built) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"docs/statistics.md", "docs/leaderboard.png", "README.md"} <= names


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The wheel unpacked in a folder of its own."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def judgelab(installed: Path, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command as its console script starts it, with the unpacked wheel alone to import."""
    start = "import sys; sys.argv[0] = 'judgelab'; from judgelab.cli import main; main()"
    kept = {key: value for key, value in os.environ.items() if not key.startswith("JUDGELAB")}
    done = subprocess.run(
        [sys.executable, "-c", start, *words],
        cwd=home,
        env={**kept, "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1", "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_the_wheel_holds_what_a_lab_needs_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for folder in ("conf", "experiments", "prompts"):
        shipped = {
            f"judgelab/{folder}/{path.relative_to(ROOT / folder).as_posix()}"
            for path in (ROOT / folder).rglob("*")
            if path.is_file()
        }
        assert shipped
        assert shipped == {name for name in names if name.startswith(f"judgelab/{folder}/")}
    assert "judgelab/data/sample/interactions.jsonl" in names
    assert "judgelab/tracking/report.html.j2" in names
    assert "judgelab/py.typed" in names
    tops = {name.split("/")[0] for name in names}
    assert len(tops) == 2, tops
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    (entry,) = [name for name in names if name.endswith("entry_points.txt")]
    with zipfile.ZipFile(wheel) as archive:
        assert "judgelab = judgelab.cli:main" in archive.read(entry).decode()


def test_a_run_from_an_empty_folder(installed, tmp_path):
    shown = judgelab(installed, tmp_path, "run", "--cfg").stdout
    assert f"# judge=prompted: {installed}/judgelab/conf/judge/prompted.yaml" in shown
    judgelab(installed, tmp_path, "run", "tracking=none", "limit=5")
    lab = Lab(tmp_path)
    (record,) = lab.records.values()
    assert record["dataset"]["name"] == "sample"
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "splits", ".judgelab"}


def test_a_users_own_rubric_judge_and_recipe_from_an_empty_folder(installed, tmp_path):
    lab = Lab(tmp_path)
    lab.write("prompts/rubrics/mine.md", "Pass what a busy engineer can use as it is.\n")
    lab.write("conf/judge/mine.yaml", "# mine\ndefaults: [prompted]\nrubric: mine\n")
    lab.write("experiments/mine.yaml", "# mine\nlimit: 4\naxes: {judge: 'mine,always_fail'}\n")
    judgelab(installed, tmp_path, "run", "tracking=none", "judge=mine", "limit=5")
    (folder,) = lab.runs
    assert (folder / "rubric.md").read_text() == "Pass what a busy engineer can use as it is.\n"
    done = judgelab(installed, tmp_path, "run", "tracking=none", "experiment=mine")
    assert "mine" in done.stdout
    assert len(lab.runs) == 1 + 2 + 2
    judgelab(installed, tmp_path, "rerun", folder.name)
    config = read_json(folder / "record.json")
    assert config["complete"] is True
