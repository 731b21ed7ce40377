"""`judgelab generate outputs`: what the system under test says to the inputs."""

from __future__ import annotations

import json
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from judgelab import config as configs
from judgelab.commands import show
from judgelab.commands.coverage import dimensions_of
from judgelab.commands.progress import counting
from judgelab.commands.stopping import run_stoppable
from judgelab.data.appended import lines_of, only_writer
from judgelab.data.readers.problems import shown
from judgelab.errors import ConfigError, DataError, IncompleteError, Stopped
from judgelab.generate.inputs import Input, inputs_path, read_inputs
from judgelab.generate.outputs import (
    Line,
    Row,
    errors_path,
    identity,
    missing,
    order,
    outputs_path,
)
from judgelab.generate.systems.base import System


def outputs(
    overrides: Sequence[str], *, file: Path | None, out: Path | None, dry_run: bool
) -> None:
    """Ask for what has no output yet; each is on disk as it comes.

    Raises:
        UserError: no system, no inputs, or a file of another system's outputs.
        IncompleteError: inputs without an output.
    """
    config = _config(overrides)
    node = config["system"]
    if not node or "_target_" not in node:
        raise ConfigError(
            "system=none answers nothing: say what your system is. Choose system= one of: "
            f"{', '.join(name for name in configs.options('system') if name != 'none')}, such as "
            "system=python system.call=my_app.answer."
        )
    system = configs.build(node, System, "system")
    system.check()
    source = file or _default(config)
    items = order(read_inputs(source), config["seed"], config["limit"])
    target = out or outputs_path(source, system.name)
    if target.suffix != ".jsonl":
        raise ConfigError(f"--out {target}: interactions are JSONL; give a name in .jsonl.")
    where, line = shown(target), Line(system, identity(node))
    if dry_run:
        there = lines_of(target.read_bytes()) if target.exists() else []
        left = missing(items, _rows(there, where), line.config, where)
        show.line(f"{len(left)} of {len(items)} inputs have no output in {where}")
        if left:
            show.line(f"the first:\n{system.preview(left[0])}")
        return
    with only_writer(target) as kept, only_writer(errors_path(target)) as errors:
        left = missing(items, _rows(kept.lines, where), line.config, where)
        rows, failed = list[Row](), dict[str, Row]()
        with counting("asking", len(left)) as told:

            def keep(row: Row) -> None:
                kept.append([row])
                rows.append(row)
                told(len(rows) + len(failed), f"{len(failed)} errors")

            def fail(row: Row) -> None:
                errors.append([row])
                failed[row["id"]] = row
                told(len(rows) + len(failed), f"{len(failed)} errors")

            if left:
                run_stoppable(line.ask_all(left, keep, fail), line)
    _say(items, left, rows, failed, target)
    if line.interrupted:
        raise Stopped(line.interrupted)
    if len(rows) < len(left):
        _incomplete(line, len(left) - len(rows), target)
    example = f"dataset=jsonl dataset.path={shlex.quote(where)} dataset.name={target.stem}"
    show.next_steps(
        [
            f"label them: judgelab review {example}",
            "what they cover: "
            + " ".join(["judgelab data coverage", example, *_of_dimensions(overrides)]),
        ]
    )


def _of_dimensions(overrides: Sequence[str]) -> list[str]:
    """Those that name the cells: without them coverage has those alone that have items."""
    return [shlex.quote(one) for one in overrides if configs.axis_root(one) == "dimensions"]


def _config(overrides: Sequence[str]) -> dict[str, Any]:
    with configs.hydra():
        composed = configs.compose(overrides, lenient=True).config
        plain: dict[str, Any] = {
            name: configs.resolved(composed[name]) if composed[name] else None
            for name in ("dimensions", "system")
        }
        return plain | {name: composed[name] for name in ("seed", "limit")}


def _default(config: dict[str, Any]) -> Path:
    """The inputs of the dimensions."""
    made = dimensions_of(config["dimensions"])
    if made is None:
        raise ConfigError("which inputs? --inputs FILE.jsonl, or dimensions=NAME for those of it.")
    path = inputs_path(made.name)
    if not path.exists():
        raise DataError(
            f"{shown(path)}: there are no inputs of dimensions={made.name} yet. judgelab generate "
            "inputs makes them; --inputs FILE.jsonl names others."
        )
    return path


def _rows(lines: Sequence[str], where: str) -> list[Row]:
    found = []
    for number, text in enumerate(lines, 1):
        try:
            found.append(dict(json.loads(text)))
        except (ValueError, TypeError):
            raise DataError(f"{where}, line {number} is no JSON object. Restore it.") from None
    return found


def _say(
    items: Sequence[Input],
    left: Sequence[Input],
    rows: Sequence[Row],
    failed: dict[str, Row],
    target: Path,
) -> None:
    have = len(items) - len(left) + len(rows)
    show.line(f"{have} of {len(items)} inputs have an output in {shown(target)}, {len(rows)} new")
    if rows:
        took = [row["metadata"]["latency_s"] for row in rows]
        show.line(f"latency: median {median(took):.3g} s, longest {max(took):.3g} s")
    causes = Counter(row["error"]["cause"] for row in failed.values())
    for cause, n in causes.most_common():
        first = next(row for row in failed.values() if row["error"]["cause"] == cause)
        detail = " ".join(first["error"]["detail"].split())[:160]
        show.line(f"{n} errors: {cause} (such as {first['id']}: {detail})")


def _incomplete(line: Line, n: int, target: Path) -> None:
    again = shlex.join(["judgelab", *sys.argv[1:]])
    if line.unreachable:
        raise IncompleteError(
            f"{n} inputs have no output: nobody was there to ask ({line.unreachable}). Go on with: "
            f"{again}"
        )
    raise IncompleteError(
        f"{n} inputs have no output; why is in {shown(errors_path(target))}. They are asked again "
        f"by: {again}"
    )
