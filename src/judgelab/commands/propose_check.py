"""`judgelab propose check`: an assertion fitted on train, accepted by what dev says of it."""

from __future__ import annotations

import json
import pprint
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from judgelab import resources
from judgelab.commands import show
from judgelab.commands.data import configured
from judgelab.data.appended import replace_whole
from judgelab.data.modes import ModeLog, modes_of
from judgelab.data.readers.problems import shown
from judgelab.data.schema import Dataset, load
from judgelab.data.split import make_split
from judgelab.errors import ClaimError, ConfigError, UserError
from judgelab.judges import checks
from judgelab.judges.assertion import AssertionJudge
from judgelab.optimizers import check_fitting
from judgelab.optimizers.check_fitting import Candidate, Gate
from judgelab.scoring import in_words_of, majority
from judgelab.tracking.folder import RunFolder, find_run
from judgelab.types import Example

FOLDER = "assertions"  # of the lab
EXAMPLES = 5  # of each kind in a test
NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Assertion:
    """A check, and how Python writes it: `name` is imported from `module`, `code` makes it."""

    check: Any
    module: str
    name: str
    code: str
    how: str


def check(
    name: str,
    overrides: Sequence[str],
    *,
    mode: str | None,
    kind: str | None,
    own: str | None,
    alarms: float,
    run: str | None,
    pytest: Path | None,
    as_json: bool,
) -> None:
    """Writes the lab's assertions/NAME.py and conf/judge/NAME.yaml, where it is accepted.

    Raises ClaimError (exit 1) where it is refused; nothing is written then.
    """
    lab = resources.lab()
    places = [lab / FOLDER / f"{name}.py", lab / "conf" / "judge" / f"{name}.yaml"]
    check_words(name, [*places, *([pytest] if pytest else [])], kind, own, alarms)
    folder = find_run(run) if run else None
    assertion = _own(own) if own else None
    config, split_config, _ = configured(overrides)
    dataset = load(config)
    about = about_mode(dataset, mode)
    split = make_split(dataset, split_config, lab / "splits")
    dev, train = list(split.dev()), list(split.folds("dev")[0].train)
    show.notes([*dataset.notes, *split.notes])
    assertion = assertion or _fitted(train, about, alarms, kind)
    made = assertion.check
    fails = [e for e in dev if e.label == "fail" and (about is None or e.id in about)]
    passes = [e for e in dev if e.label == "pass"]
    caught, flagged = check_fitting.counts(made, [*fails, *passes])
    said = added_to(folder, fails) if folder else None
    added = None if said is None else sum(h and s for h, s in zip(caught, said, strict=True))
    clusters = split.clusters
    groups = [clusters[e.id] for e in fails], [clusters[e.id] for e in passes]
    found = check_fitting.gate(caught, flagged, groups, alarms, added)
    if as_json:
        said_ = {"name": name, "mode": mode, "how": assertion.how, **found.to_json()}
        click.echo(json.dumps(said_, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        show.line(assertion.how)
        say_gate(found)
    refuse(found)
    source = f"from {assertion.module} import {assertion.name}\n\ncheck = {assertion.code}\n"
    texts = {
        places[0]: f'"""{_said(mode)}\n\nAccepted on dev of {dataset.name}: {gist(found)}.\n"""\n\n'
        f"{source}",
        places[1]: f"# {_said(mode)}\ndefaults: [assertion]\ncheck: {FOLDER}.{name}.check\n",
    }
    if pytest:
        texts[pytest] = _test(name, dataset.name, source, [*train, *dev], made, about)
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_whole(path, text.encode())
    show.notes([f"written: {', '.join(shown(path) for path in texts)}"])
    show.next_steps(
        [
            "what it flags is to be fixed first: judgelab data check",
            f"beside a judge: judge=panel judge.members='[{{judge: {name}}}, ...]', or alone: "
            f"judgelab run judge={name}",
        ]
    )


def _own(text: str) -> Assertion:
    """Of the dotted path of a function, or of a call of the library."""
    how = f"{text}: the only one held against dev"
    if "(" in text:
        return _of_library(check_fitting.written(text), how)
    module, _, name = text.rpartition(".")
    return Assertion(AssertionJudge(text).check_one, module, name, name, how)


def _fitted(
    train: Sequence[Example], about: set[str] | None, alarms: float, kind: str | None
) -> Assertion:
    """Raises ClaimError where nothing fits."""
    found, tried = check_fitting.best(train, about, alarms, kind)
    if found is None:
        raise ClaimError(
            f"nothing of {tried} assertions catches {check_fitting.LEAST} of train's failures "
            f"and at most {alarms:.0%} of its passes. Try --mode, or write your own: --check."
        )
    how = f"{found.code}: the best of {tried} on train, the only one held against dev"
    return _of_library(found, how)


def _of_library(one: Candidate, how: str) -> Assertion:
    return Assertion(one.check, checks.__name__, one.kind, one.code, how)


def check_words(
    name: str, places: Sequence[Path], kind: str | None, own: str | None, alarms: float
) -> None:
    """What is wrong with the command line, before any data is read."""
    if not NAME.fullmatch(name):
        raise ConfigError(f"NAME={name}: small letters, digits and _, a letter first.")
    if kind and own:
        raise ConfigError(
            "--kind fits a check of the library and --check names one, or your own: give one."
        )
    if kind not in (None, *check_fitting.KINDS):
        there = ", ".join(check_fitting.KINDS)
        raise ConfigError(f"--kind: there is no {kind!r}: {there}, or judge.")
    if not 0 < alarms < 1:
        raise ConfigError(f"--alarms {alarms:g}: a share between 0 and 1.")
    if taken := [shown(path) for path in places if path.exists()]:
        raise UserError(f"{', '.join(taken)}: already there; give another name.")


def about_mode(dataset: Dataset, mode: str | None) -> set[str] | None:
    """The failures that are of a mode; None of all of them."""
    if mode is None:
        return None
    log = ModeLog.of(dataset.name)
    name = log.taxonomy.spelt(mode)
    if name is None:
        there = ", ".join(log.taxonomy.names) or "none yet; see judgelab data import --as modes"
        raise UserError(f"--mode {mode}: no failure mode of {dataset.name}. There are: {there}.")
    return {id_ for id_, modes in modes_of(dataset, log).items() if name in modes}


def added_to(folder: RunFolder, fails: Sequence[Example]) -> list[bool]:
    """Of each failure whether the judge of a run misses it."""
    said = majority(folder.verdicts)
    if unknown := [e.id for e in fails if e.id not in said]:
        raise UserError(f"{folder.id} did not judge {len(unknown)} of these items of dev.")
    return [said[e.id] != "fail" for e in fails]


def say_gate(found: Gate) -> None:
    caught, alarms = found.caught, found.alarms
    show.line(
        f"dev, positive class fail: caught {in_words_of(caught)}, {caught['hits']} of "
        f"{caught['n']} failures; false alarms {in_words_of(alarms)}, {alarms['hits']} of "
        f"{alarms['n']} passes (exact limits at 95 %)"
    )
    if found.added is not None:
        show.line(f"{found.added} of the caught ones are missed by the judge of the run")


def refuse(found: Gate) -> None:
    """Raises ClaimError where dev does not say enough for it."""
    if found.refused:
        raise ClaimError(f"refused: {found.refused}. Nothing was written.")


def _said(mode: str | None) -> str:
    return f"Fails what has the root cause {mode}." if mode else "Fails what is surely wrong."


def gist(found: Gate) -> str:
    caught, alarms = found.caught, found.alarms
    return f"{caught['hits']} of {caught['n']} failures, {alarms['hits']} of {alarms['n']} passes"


TEST = '''"""{name}: failures of {dataset} that must be caught, and answers that must pass."""

import pytest

{code}
from judgelab.types import Interaction

{check}

CAUGHT = {caught}

GOOD = {good}


def assert_passes(input, output, context=None):
    """For your own tests: what your system answers now."""
    said = check(Interaction("here", input, output, context or {{}}))
    assert said is None or said[0], said[1]


@pytest.mark.parametrize("row", CAUGHT, ids=lambda row: row["id"])
def test_what_failed_is_caught(row):
    assert check(Interaction(**row))[0] is False


@pytest.mark.parametrize("row", GOOD, ids=lambda row: row["id"])
def test_what_is_good_passes(row):
    assert_passes(row["input"], row["output"], row["context"])
'''


def _test(
    name: str,
    dataset: str,
    source: str,
    examples: Sequence[Example],
    made: Any,
    about: set[str] | None,
) -> str:
    """A test that needs none of the lab; its examples are of train and dev."""
    wanted = [e for e in examples if e.label == "pass" or about is None or e.id in about]
    flagged = {e.id for e in wanted if any(any(side) for side in check_fitting.counts(made, [e]))}
    caught = [e for e in wanted if e.label == "fail" and e.id in flagged][:EXAMPLES]
    good = [e for e in wanted if e.label == "pass" and e.id not in flagged][:EXAMPLES]
    code, _, last = source.strip().partition("\n\n")

    def rows(some: Sequence[Example]) -> str:
        return pprint.pformat([_row(e) for e in some], width=96, sort_dicts=False)

    return TEST.format(
        name=name, dataset=dataset, code=code, check=last, caught=rows(caught), good=rows(good)
    )


def _row(example: Example) -> Mapping[str, Any]:
    item = example.interaction
    return {"id": item.id, "input": item.input, "output": item.output,
            "context": dict(item.context)}  # fmt: skip
