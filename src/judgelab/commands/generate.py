"""`judgelab generate inputs`: what users may send, for each combination of dimensions."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from judgelab import config as configs
from judgelab.calls.budget import most_tokens
from judgelab.calls.line import Calls
from judgelab.commands import show
from judgelab.commands.coverage import dimensions_of
from judgelab.commands.progress import counting
from judgelab.commands.propose import writing_model
from judgelab.commands.run import open_pool
from judgelab.commands.stopping import run_stoppable
from judgelab.commands.telling import lost
from judgelab.data.appended import Spool, lines_of, only_writer
from judgelab.data.readers.problems import rows_count, rows_text, shown
from judgelab.errors import ConfigError, IncompleteError, Stopped, UserError
from judgelab.generate.inputs import Input, inputs_of, inputs_path
from judgelab.generate.sheet import check_name, read_sheet, write_sheet
from judgelab.generate.writer import TOKENS, Order, Written, write
from judgelab.models.base import CallFailed, Model

LISTED = 5  # rows of a sheet that are named


def inputs(
    overrides: Sequence[str], *, n: int, sheet: Path | None, from_: Path | None, dry_run: bool
) -> None:
    """Write what is missing: by a model, or by hand through a spreadsheet.

    Raises:
        UserError: no dimensions, or no model that can write.
        IncompleteError: cells that lack inputs.
    """
    if sheet and from_:
        raise UserError("--sheet writes a spreadsheet and --from takes one in: give one of them.")
    config, node = _config(overrides)
    made = dimensions_of(config["dimensions"])
    if made is None:
        raise ConfigError(
            "dimensions=none: say what inputs differ in. Write conf/dimensions/mine.yaml (as "
            "dimensions=sample, which --cfg of judgelab run prints) and give dimensions=mine."
        )
    path = inputs_path(made.name)
    order = Order(made, n, config["seed"], config["limit"])
    if sheet:
        _hand_out(sheet, path, order, overrides)
        return
    if from_:
        _take_in(from_, path, order, overrides)
        return
    again = shlex.join(["judgelab", "generate", "inputs", "--sheet", "inputs.xlsx", *overrides])
    model = writing_model(node, "inputs", f"fill them in by hand: {again}")
    calls = Calls(open_pool(config))
    if dry_run:
        _open(order, lines_of(path.read_bytes()) if path.exists() else [], path)
        show.line(_planned(order, model, calls))
        return
    with only_writer(path) as spool:
        _open(order, spool.lines, path)
        _write(order, model, calls, spool, path, overrides)


def _config(overrides: Sequence[str]) -> tuple[dict[str, Any], Any]:
    """The config as plain data, and the node of the model, which may be none."""
    with configs.hydra():
        composed = configs.compose(overrides, lenient=True).config
        plain = {
            name: configs.resolved(composed[name]) if composed[name] else None
            for name in ("dimensions", "budget")
        }
        plain |= {name: composed[name] for name in ("seed", "limit")}
        return plain, configs.resolved(composed.model)


def _open(order: Order, lines: Sequence[str], path: Path) -> None:
    """Counts what the file holds already."""
    for one in inputs_of(lines, path):
        order.take(one)


def _write(
    order: Order, model: Model, calls: Calls, spool: Spool, path: Path, overrides: Sequence[str]
) -> None:
    pool = calls.pool
    if not order.lacking:
        show.line(_have(order, path))
        _say_next(path, overrides)
        return
    show.notes([*lost(pool), *_warm(model)])
    show.err.print(_planned(order, model, calls), soft_wrap=True, markup=False)
    before, failed = len(order.there), None

    lacking = sum(order.lacking.values())

    async def work() -> Written | None:
        nonlocal failed

        def keep(new: Sequence[Input]) -> None:
            if new:
                spool.append(one.to_json() for one in new)
            told(len(order.there) - before, f"{pool.sent} calls · ${pool.spent:.4f}")

        try:
            with counting("writing", lacking) as told:
                return await write(calls, model, order, keep)
        except CallFailed as failure:
            failed = failure
            return None

    done = run_stoppable(work(), pool)
    show.line(f"{len(order.there) - before} inputs written; {_have(order, path)}")
    show.err.print(f"{pool.sent} calls sent now · ${pool.spent:.4f}", soft_wrap=True)
    if pool.interrupted:
        raise Stopped(pool.interrupted)
    again = shlex.join(["judgelab", *sys.argv[1:]])
    if failed is not None:
        raise IncompleteError(f"no answer came ({failed}). Go on with: {again}")
    assert done is not None
    show.notes(_rejected(done))
    if done.given_up:
        first = ", ".join(" · ".join(cell) for cell in done.given_up[:3])
        raise IncompleteError(
            f"{len(done.given_up)} combinations lack inputs, as the answers brought nothing new "
            f"({first}, ...). Another seed=N asks anew, a higher model.temperature more freely, "
            "and --sheet FILE.xlsx is for doing it by hand."
        )
    _say_next(path, overrides)


def _planned(order: Order, model: Model, calls: Calls) -> str:
    """What the first question of each cell takes."""
    lacking, unknown = order.lacking, []
    for cell, lacks in lacking.items():
        asked = order.request(model, cell)
        if not calls.known(asked):
            tokens_in, tokens_out = most_tokens(asked)
            unknown.append((tokens_in, max(tokens_out, lacks * TOKENS)))
    tokens = [sum(column) for column in zip(*unknown, strict=True)] or [0, 0]
    usd = model.price.estimate(*tokens) if model.price else 0.0
    known = len(lacking) - len(unknown)
    said = (
        f"{len(lacking):,} of {len(order.own):,} combinations lack {sum(lacking.values()):,} "
        f"inputs: {len(unknown):,} calls to send"
    )
    if unknown:
        said += f", about {tokens[0]:,} tokens in and {tokens[1]:,} out, about ${usd:.4f}"
    if known:
        said += f"; {known:,} answers are there"
    cap = calls.pool.usd
    return f"{said}; what is too like another is asked for again" + (
        f"; budget.usd={cap:g}" if usd and cap is not None else ""
    )


def _warm(model: Model) -> list[str]:
    """A model that says the same each time writes little that is new."""
    if model.parameters.get("temperature") != 0:
        return []
    return ["model.temperature=0: the inputs will be much alike; model.temperature=1 varies them"]


def _rejected(done: Written) -> list[str]:
    found = []
    if done.alike:
        found.append(f"{done.alike} texts were nearly the same as others, and were left out")
    if done.useless:
        why = ", ".join(f"{name} {n}" for name, n in sorted(done.useless.items()))
        found.append(f"{done.useless.total()} answers held no inputs: {why}")
    return found


def _have(order: Order, path: Path) -> str:
    full = len(order.own) - len(order.lacking)
    return (
        f"{shown(path)} holds {len(order.there):,} inputs; {full:,} of {len(order.own):,} "
        f"combinations have {order.n}"
    )


def _say_next(path: Path, overrides: Sequence[str]) -> None:
    words = shlex.join(one for one in overrides if configs.axis_root(one) == "dimensions")
    show.next_steps(
        [
            f"read them: {shown(path)} is yours to edit",
            f"your system answers them: judgelab generate outputs {words} system=python "
            "system.call=my_app.answer (or system=http, system=command)",
        ]
    )


def _hand_out(sheet: Path, path: Path, order: Order, overrides: Sequence[str]) -> None:
    check_name(sheet)
    if sheet.exists():
        raise UserError(f"{sheet} is there already. Give another name, or move it away.")
    _open(order, lines_of(path.read_bytes()) if path.exists() else [], path)
    if not order.lacking:
        raise UserError(f"{_have(order, path)}: nothing is missing, and {sheet} is not written.")
    rows = write_sheet(sheet, order)
    show.line(f"{rows} rows to fill in, in {sheet}")
    words = ["--n", str(order.n), "--from", str(sheet), *overrides]
    show.next_steps([f"when they are filled in: judgelab generate inputs {shlex.join(words)}"])


def _take_in(sheet: Path, path: Path, order: Order, overrides: Sequence[str]) -> None:
    check_name(sheet)
    with only_writer(path) as spool:
        _open(order, spool.lines, path)
        taken = read_sheet(sheet, order)
        spool.append(one.to_json() for one in taken.new)
        for one in taken.new:
            order.take(one)
    show.line(
        f"{len(taken.new)} inputs taken in, {taken.known} were there, {rows_count(taken.empty)} "
        f"empty; {_have(order, path)}"
    )
    if taken.alike:
        where = rows_text(taken.alike[:LISTED], len(taken.alike))
        show.notes([f"left out, as they say nearly what another input says: {where}"])
    _say_next(path, overrides)
