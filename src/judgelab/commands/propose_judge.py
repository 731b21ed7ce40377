"""`judgelab propose check --kind judge`: a judge of one root cause, accepted by what dev says."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from judgelab import config as configs
from judgelab import resources, runner
from judgelab.calls.line import Calls
from judgelab.commands import show
from judgelab.commands.estimate import say_at_most
from judgelab.commands.propose_check import (
    about_mode,
    added_to,
    check_words,
    gist,
    refuse,
    say_gate,
)
from judgelab.commands.run import open_pool
from judgelab.commands.stopping import run_stoppable
from judgelab.commands.telling import lost
from judgelab.data.appended import replace_whole
from judgelab.data.modes import ModeLog
from judgelab.data.readers.problems import shown
from judgelab.errors import ClaimError, ConfigError, IncompleteError, Stopped
from judgelab.estimates import asking
from judgelab.judges.base import Judge
from judgelab.optimizers import check_fitting, specialist
from judgelab.tracking.folder import find_run
from judgelab.types import Example, Interaction, Label


def judge(
    name: str,
    overrides: Sequence[str],
    *,
    mode: str | None,
    alarms: float,
    run: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Writes the lab's prompts/rubrics/NAME.md and conf/judge/NAME.yaml, where it is accepted.

    Raises ClaimError (exit 1) where it is refused, IncompleteError where answers are missing;
    nothing but the answers is kept then.
    """
    lab = resources.lab()
    rubric, yaml = lab / "prompts" / "rubrics" / f"{name}.md", lab / "conf" / "judge"
    places = [rubric, yaml / f"{name}.yaml"]
    check_words(name, places, None, None, alarms)
    if mode is None:
        raise ConfigError("--kind judge is a judge of one root cause: give --mode too.")
    folder = find_run(run) if run else None
    with configs.hydra():
        composed = configs.compose(overrides).config
        plain, node = configs.resolved_top(composed), configs.resolved(composed.judge)
    _check_node(node)
    pool = open_pool(plain)
    bench = runner.bench(plain, pool)
    about = about_mode(bench.dataset, mode) or set()
    show.notes([*bench.dataset.notes, *bench.split.notes, *lost(pool)])
    train, dev = bench.split.folds("dev")[0].train, bench.split.dev()
    draft = _draft(bench.dataset.name, mode, list(train), about)
    made = draft.judge(node)
    fails = [e for e in dev if e.label == "fail" and e.id in about]
    passes = [e for e in dev if e.label == "pass"]
    missed = added_to(folder, fails) if folder else None
    calls = Calls(pool)
    made.prepare(train, calls)
    items = [e.interaction for e in (*fails, *passes)]
    takes = asking(made, items)
    if dry_run:
        show.line(f"{draft.how}: {takes}")
        return
    say_at_most(takes, pool)
    verdicts = _answers(made, items, calls)
    caught = [verdicts[e.id] == "fail" for e in fails]
    flagged = [verdicts[e.id] == "fail" for e in passes]
    clusters = bench.split.clusters
    groups = [clusters[e.id] for e in fails], [clusters[e.id] for e in passes]
    added = None if missed is None else sum(h and m for h, m in zip(caught, missed, strict=True))
    found = check_fitting.gate(caught, flagged, groups, alarms, added)
    abstained = sum(verdict is None for verdict in verdicts.values())
    if as_json:
        told = {"name": name, "mode": draft.mode, "how": draft.how, "abstained": abstained}
        click.echo(json.dumps(told | found.to_json(), indent=1, ensure_ascii=False))
    else:
        show.line(draft.how)
        say_gate(found)
        show.below([f"{abstained} answers are no verdict, and catch nothing"] if abstained else [])
    show.err.print(f"{pool.sent} calls sent now · ${pool.spent:.4f}", soft_wrap=True)
    refuse(found)
    head = (
        f"# Fails what has the root cause {draft.mode}. Accepted on dev of {bench.dataset.name} "
        f"with {node['model'].get('name', 'its model')}: {gist(found)}.\n"
    )
    _write(places, f"{draft.rubric}\n", head + specialist.yaml(node, name, draft.ids))
    show.next_steps(
        [
            f"beside a judge: judge=panel judge.members='[{{judge: {name}}}, ...]', or alone: "
            f"judgelab run judge={name}"
        ]
    )


@dataclass(frozen=True)
class Draft:
    """What is held against dev: the root cause, the rubric, and the ids of the demonstrations."""

    mode: str
    rubric: str
    ids: Sequence[str]

    @property
    def how(self) -> str:
        return f"a rubric on {self.mode}, with {len(self.ids)} critiques of train as demonstrations"

    def judge(self, node: Mapping[str, Any]) -> Judge:
        """The judge, with the model and the template of a node. Raises ConfigError without an
        LLM."""
        own = {"rubric": self.rubric, "demos": specialist.chosen(self.ids)}
        made = configs.build(configs.variant_of({**node, **own}), Judge, "judge")
        if not made.llm:
            raise ConfigError("model: a judge of one root cause takes an LLM: model=openai.")
        made.check()
        return made


def _draft(dataset: str, mode: str, train: Sequence[Example], about: set[str]) -> Draft:
    """Raises ClaimError where train shows too little."""
    taxonomy = ModeLog.of(dataset).taxonomy
    (named,) = [one for one in taxonomy.modes if one.name == taxonomy.spelt(mode)]
    if ids := specialist.demos(train, about):
        return Draft(named.name, specialist.rubric(named), ids)
    raise ClaimError(
        f"train has fewer than {check_fitting.LEAST} failures of {named.name} with a critique: "
        "too few to show a judge. Label more, or name their root cause: judgelab review."
    )


def _check_node(node: Mapping[str, Any]) -> None:
    """Raises ConfigError for a judge that has no rubric and demonstrations to be given."""
    if node["_target_"] != specialist.TARGET:
        raise ConfigError("--kind judge drafts a prompted judge: leave judge=prompted as it is.")
    if node["repeats"] != 1:
        raise ConfigError(f"judge.repeats={node['repeats']}: a check is asked once; leave it at 1.")


def _answers(made: Judge, items: Sequence[Interaction], calls: Calls) -> dict[str, Label | None]:
    """The verdict on each item. Raises IncompleteError where one is missing."""

    async def ask() -> dict[str, Label | None]:
        found = {}
        async for verdict in made.judge(items, 0):
            calls.book(verdict)
            found[verdict.id] = verdict.verdict
        return found

    verdicts = run_stoppable(ask(), calls.pool)
    if calls.pool.interrupted:
        raise Stopped(calls.pool.interrupted)
    if missing := len(items) - len(verdicts):
        again = shlex.join(["judgelab", *sys.argv[1:]])
        raise IncompleteError(
            f"{missing} of {len(items)} answers are missing ({calls.accounts.detail}). "
            f"Go on with: {again}"
        )
    return verdicts


def _write(places: Sequence[Path], *texts: str) -> None:
    for path, text in zip(places, texts, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_whole(path, text.encode())
    show.notes([f"written: {', '.join(shown(path) for path in places)}"])
