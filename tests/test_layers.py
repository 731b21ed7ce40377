"""The house: imports go down only, no circles, heavy libraries only at use, no pickle."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import judgelab

PACKAGE = Path(judgelab.__file__).parent

# From the ground up; what stands on one floor stands side by side. A name is a module or a family
# of modules, and the longest name that fits decides. models.base is the contract of a model (a
# request, a reply), which prompts and parsing speak of; the models themselves stand above both.
# models.secrets knows nothing but the environment: configs and messages are searched with it.
FLOORS = (
    ("judgelab", "types", "errors"),
    ("resources", "models.secrets", "keys"),
    ("build", "loader", "members"),
    ("config",),
    ("models.base",),
    ("prompts", "parsing"),
    ("data", "metrics", "models"),
    ("calls", "demos", "expert", "scoring"),
    ("judges", "axes", "coverage", "rules"),
    ("variants", "estimates"),
    ("selection", "optimizers", "search"),
    ("tracking", "sentences", "study"),
    ("runner", "sources", "drift", "plans"),
    ("racetrack",),
    ("rerun", "sweep", "ground", "compare"),
    ("generate", "outcome", "probe", "analysis", "review", "rounds"),
    ("commands",),
    ("cli",),
)
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
HEAVY = {
    *("pandas", "sklearn", "mlflow", "litellm", "dspy", "scipy", "matplotlib", "openpyxl"),
    *("pyarrow", "optuna", "aiohttp", "hydra", "rich.progress"),
}
PICKLES = {"pickle", "cPickle", "joblib", "cloudpickle", "dill", "shelve", "marshal"}


@dataclass(frozen=True)
class Import:
    """`of` is a dotted module; `lazy` inside a function, `typing` under TYPE_CHECKING."""

    by: str
    of: str
    line: int
    lazy: bool
    typing: bool

    def __str__(self) -> str:
        return f"{self.by}:{self.line} imports {self.of}"


@cache
def modules() -> dict[str, Path]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        dotted = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        found[dotted.removesuffix("__init__").rstrip(".") or "judgelab"] = path
    return found


@cache
def imports() -> tuple[Import, ...]:
    return tuple(one for name, path in modules().items() for one in _imports(name, path))


def _imports(name: str, path: Path) -> Iterator[Import]:
    def walk(node: ast.AST, lazy: bool, typing: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            inside = lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                for part in child.body:
                    yield from walk(ast.Module([part], []), inside, True)
                for part in child.orelse:
                    yield from walk(ast.Module([part], []), inside, typing)
                continue
            for of in _named(child):
                yield Import(name, of, child.lineno, inside, typing)
            yield from walk(child, inside, typing)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), False, False)


def _named(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert not node.level, "imports are absolute, so that this test can read them"
        module = node.module or ""
        # `from judgelab import runner` is an import of the module, not of the package's face.
        return [
            f"{module}.{alias.name}" if _inside(f"{module}.{alias.name}") in modules() else module
            for alias in node.names
        ]
    return []


def _inside(dotted: str) -> str:
    return dotted.removeprefix("judgelab.")


def ours(typing: bool = False) -> list[Import]:
    """Imports among our own modules, those for type checkers alone only if asked for."""
    return [
        Import(one.by, _inside(one.of), one.line, one.lazy, one.typing)
        for one in imports()
        if one.of.split(".")[0] == "judgelab" and (typing or not one.typing)
    ]


def family(module: str) -> str:
    names = [name for name in FLOOR if module == name or module.startswith(f"{name}.")]
    assert names, f"{module} stands on no floor: give it one in {Path(__file__).name}"
    return max(names, key=len)


def circle(edges: dict[str, set[str]]) -> list[str]:
    """One circle of a directed graph, or nothing."""
    done: set[str] = set()

    def visit(node: str, way: list[str]) -> list[str]:
        if node in way:
            return [*way[way.index(node) :], node]
        if node in done:
            return []
        for following in sorted(edges.get(node, ())):
            if found := visit(following, [*way, node]):
                return found
        done.add(node)
        return []

    for start in sorted(edges):
        if found := visit(start, []):
            return found
    return []


def test_the_reader_of_imports_sees_every_kind(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        "import os.path\n"
        "from judgelab import runner, __version__\n"
        "from judgelab.types import Verdict\n"
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from judgelab.sweep import Plan\n"
        "else:\n    import json\n"
        "def f():\n    import pandas as pd\n"
        "class C:\n    async def g(self):\n        if True:\n            from mlflow import x\n"
    )
    seen = {(one.of, one.lazy, one.typing) for one in _imports("module", path)}
    assert seen == {
        ("os.path", False, False),
        ("judgelab.runner", False, False),
        ("judgelab", False, False),
        ("judgelab.types", False, False),
        ("typing", False, False),
        ("judgelab.sweep", False, True),
        ("json", False, False),
        ("pandas", True, False),
        ("mlflow", True, False),
    }


def test_the_finder_of_circles_finds_one():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_every_module_stands_on_a_floor():
    assert len(modules()) > 60
    for module in modules():
        family(module)


def test_imports_go_down_only():
    """Lazy imports too; within a family files may import each other, but in no circle."""
    wrong = [
        str(one)
        for one in ours()
        if family(one.by) != family(one.of) and FLOOR[family(one.by)] <= FLOOR[family(one.of)]
    ]
    assert wrong == []


def test_no_circles_at_run_time():
    edges: dict[str, set[str]] = {module: set() for module in modules()}
    for one in ours():
        edges[one.by].add(one.of)
    assert circle(edges) == []


def test_type_only_imports_name_modules_that_exist():
    for one in ours(typing=True):
        assert one.of in modules(), str(one)


def test_heavy_libraries_are_imported_at_use():
    # The loader is made of Hydra's classes, and is itself imported where a config is composed.
    eager = [one for one in imports() if not one.lazy and not one.typing and one.by != "loader"]
    assert [str(one) for one in eager if _heavy(one.of) or _inside(one.of) == "loader"] == []


def _heavy(dotted: str) -> bool:
    parts = dotted.split(".")
    return any(".".join(parts[: n + 1]) in HEAVY for n in range(len(parts)))


def test_no_pickle_anywhere():
    wrong = [str(one) for one in imports() if one.of.split(".")[0] in PICKLES]
    wrong += [
        name
        for name, path in modules().items()
        if any(word in path.read_text(encoding="utf-8") for word in ("allow_pickle", "read_pickle"))
    ]
    assert wrong == []


@pytest.mark.parametrize("statement", ["import judgelab.cli", "import judgelab.commands.run"])
def test_what_a_command_starts_with_is_light(statement):
    loaded = subprocess.run(
        [sys.executable, "-c", f"{statement}; import sys; print('\\n'.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)},
    ).stdout.split()
    assert [name for name in loaded if name in HEAVY] == []


def test_only_build_calls_what_a_config_names():
    """`_target_` runs code: one function looks it up, so that one place says what went wrong."""
    users = {one.by for one in imports() if one.of.startswith("hydra.utils")}
    assert users == set()
    callers = {
        name
        for name, path in modules().items()
        if "python_object(" in path.read_text(encoding="utf-8")
    }
    assert callers == {
        *("build", "resources", "judges.assertion", "tracking.facts", "generate.systems.python"),
    }
