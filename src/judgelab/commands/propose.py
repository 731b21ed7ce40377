"""`judgelab propose`: what a model proposes, for a person to accept."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import Any

from judgelab import config as configs
from judgelab import prompts, runner
from judgelab.calls.budget import most_tokens
from judgelab.calls.line import Calls
from judgelab.commands import show
from judgelab.commands.run import open_pool
from judgelab.commands.stopping import run_stoppable
from judgelab.commands.telling import lost
from judgelab.data.readers.problems import shown
from judgelab.data.remarks import RemarkLog, remarks_path
from judgelab.data.rubrics import RubricLog, rubrics_path
from judgelab.errors import ConfigError, IncompleteError, Stopped, UserError
from judgelab.models.base import CallFailed, Model, Reply, Request
from judgelab.optimizers import rubric_writer
from judgelab.tracking.folder import find_run
from judgelab.types import sha256

UNSAID = "the model gave no reason"


def rubric(overrides: Sequence[str], *, run: str | None, critiques: int, dry_run: bool) -> None:
    """Ask `model` for a better rubric; the answer is a proposal, in force only once accepted.

    `run` is the only run whose comments are shown; `critiques` is how many of train's at most.
    Raises IncompleteError where no answer came.
    """
    config, node = _config(overrides)
    name = config["judge"].get("rubric")
    if not name or "\n" in name:
        raise ConfigError(f"judge.rubric={name}: name the rubric that is to be better.")
    instead = "propose a text yourself: judgelab review, /rubric"
    model = writing_model(node, "a rubric", instead)
    prompts.rubric(name)
    only = find_run(run).id if run else None
    pool = open_pool(config)
    bench = runner.bench(config, pool)
    log = RubricLog(rubrics_path(bench.dataset.name), name)
    remarks = RemarkLog(remarks_path(bench.dataset.name)).all
    material = rubric_writer.gather(
        bench.split,
        log.text,
        [one for one in remarks if only in (None, one.run)],
        [one.why for one in log.decisions if one.kind == "declined"],
        critiques,
        config["seed"],
    )
    show.notes([*bench.dataset.notes, *bench.split.notes, *_left_out(material)])
    if not material.remarks and not material.critiques:
        raise UserError(
            "there is nothing to write a rubric from: no comment on a disagreement of train or "
            "dev, and no critique in train. Comment in judgelab review --run RUN."
        )
    asked = rubric_writer.request(model, material)
    calls = Calls(pool)
    if dry_run:
        show.line(_takes(model, asked, calls, material))
        return
    show.notes(lost(pool))
    show.err.print(_takes(model, asked, calls, material), soft_wrap=True, markup=False)
    reply = run_stoppable(ask(calls, model, asked), pool)
    show.err.print(f"{pool.sent} calls sent now · ${pool.spent:.4f}", soft_wrap=True)
    _propose(log, model, material, reply)


def _config(overrides: Sequence[str]) -> tuple[dict[str, Any], Any]:
    """The config as plain data, and the node of the model, which may be none."""
    with configs.hydra():
        composed = configs.compose(overrides, lenient=True).config
        plain = configs.resolved_top(composed)
        plain["judge"] = {"rubric": composed.judge.get("rubric")}
        return plain, configs.resolved(composed.model)


def writing_model(node: Any, what: str, instead: str) -> Model:
    """The model that writes something. Raises ConfigError where there is none that can, with what
    to do instead."""
    made = configs.build(node, Model, "model") if node and "_target_" in node else None
    if made is None or not made.llm:
        name = "none" if made is None else made.name
        raise ConfigError(
            f"model={name} cannot write {what}: that takes an LLM. Choose one, such as "
            f"model=openai or model=ollama, or {instead}."
        )
    made.check()
    return made


async def ask(calls: Calls, model: Model, asked: Request) -> Reply:
    """One answer. Raises IncompleteError where none comes, with the command that goes on."""
    try:
        return await calls.ask(model, asked)
    except CallFailed as failure:
        if calls.pool.interrupted:
            raise Stopped(calls.pool.interrupted) from None
        again = shlex.join(["judgelab", *sys.argv[1:]])
        raise IncompleteError(f"no answer came ({failure}). Go on with: {again}") from failure


def _takes(model: Model, asked: Request, calls: Calls, material: rubric_writer.Material) -> str:
    """What it is made of, and what it takes."""
    n, m = len(material.remarks), len(material.critiques)
    comments = "1 comment on a disagreement" if n == 1 else f"{n} comments on disagreements"
    of = f"from {comments} and {m} critique{'s' * (m != 1)} of train"
    if calls.known(asked):
        return f"{of}: no calls to send, the answer is there"
    tokens_in, _ = asked.estimated_tokens()
    tokens_out = max(most_tokens(asked)[1], len(material.rubric) // 2)
    usd = model.price.estimate(tokens_in, tokens_out) if model.price else 0.0
    size = f"{tokens_in:,} tokens in and {tokens_out:,} out"
    return f"{of}: 1 call to send, about {size}, about ${usd:.4f}"


def _left_out(material: rubric_writer.Material) -> list[str]:
    if not material.left_out:
        return []
    return [f"{material.left_out} comments are left out: their items are test's, or unlabelled now"]


def _propose(log: RubricLog, model: Model, material: rubric_writer.Material, reply: Reply) -> None:
    try:
        text, why = rubric_writer.read(reply)
        made = log.propose(
            text,
            by=model.name,
            why=why or UNSAID,
            base=sha256(material.rubric),
            remarks=[one.ref for one in material.remarks],
        )
    except ValueError as error:
        raise UserError(f"nothing was proposed by {model.name}: {error}.") from error
    show.line(f"proposal {made.sequence}, by {model.name}: {made.why}")
    show.notes([f"it is in {shown(log.path)}, and in force only once it is accepted"])
    show.next_steps(["read the difference, then accept or decline: judgelab review, /rubric"])
