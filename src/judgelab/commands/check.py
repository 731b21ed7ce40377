"""`judgelab data check`: what is wrong with a dataset, and what its labels can carry."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click
from rich.markup import escape
from rich.table import Table

from judgelab import prompts, resources
from judgelab.commands import show
from judgelab.commands.data import configured
from judgelab.commands.propose_check import FOLDER
from judgelab.data.checks import Finding, Fix, fixes, usable_critiques
from judgelab.data.checks import check as run_checks
from judgelab.data.events import EventLog, labels_path
from judgelab.data.schema import Dataset, load
from judgelab.data.seen import Before, in_words, labelled_before, parts_of
from judgelab.data.split import SplitConfig
from judgelab.errors import ClaimError, UserError
from judgelab.judges.assertion import AssertionJudge
from judgelab.rounds.frozen import rounds_of, under_another
from judgelab.types import sha256

COLOURS = {"error": "red", "warning": "yellow", "note": "dim"}
FIXES_SHOWN = 15
ROLE = (
    "the sample's expert is a role, and so are its second labels: they show the format and "
    "measure nobody's consistency."
)


def check(overrides: Sequence[str], *, as_json: bool = False) -> None:
    """Findings, a fix list, the expert's side, how many labels; exit 1 where there are errors."""
    dataset_config, split_config, rubric = configured(overrides)
    dataset = load(dataset_config)
    notes = list(dataset.notes)
    if (dataset_config.annotations or "").startswith("sample:"):
        notes.append(ROLE)
    from judgelab.commands.worth import Worth

    before = _before(dataset, split_config, rubric)
    findings, mend = [*_fix_first(dataset, split_config), *run_checks(dataset)], fixes(dataset)
    worth = Worth.of(dataset, split_config) if dataset.labels else None
    if as_json:
        usable, total, terse = usable_critiques(dataset)
        made = {
            "dataset": dataset.name,
            "positive": "fail",
            "findings": [finding.to_json() for finding in findings],
            "critiques": {"usable": usable, "of": total, "terse": terse},
            "fixes": [fix.to_json() for fix in mend],
            **(worth.to_json() if worth else {"expert": None, "labels": None}),
            "before_rubric": [part.to_json() for part in before],
            "notes": notes,
        }
        click.echo(json.dumps(made, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        show.notes(notes)
        _show_findings(dataset, findings, mend)
        if worth:
            worth.show()
        if said := in_words(before):
            show.line(f"\n{said}")
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        raise ClaimError(f"{len(errors)} errors to mend in the data before it is judged against.")


def _fix_first(dataset: Dataset, split: SplitConfig) -> list[Finding]:
    """What the lab's accepted assertions fail, outside test: no judge is needed for it."""
    files = sorted((resources.lab() / FOLDER).glob("*.py"))
    if not files:
        return []
    parts = parts_of(dataset.interactions, split, resources.lab() / "splits")
    open_ = [one for one in dataset.interactions if parts.get(one.id) != "test"]
    found = []
    for path in files:
        judge = AssertionJudge(f"{FOLDER}.{path.stem}.check")
        ids = tuple(one.id for one in open_ if judge.verdict(one).verdict == "fail")
        if ids:
            title = f"fix first: {len(ids)} outputs that the assertion {path.stem} fails"
            found.append(Finding("warning", title, len(ids), ids))
    return found


def _before(dataset: Dataset, split: SplitConfig, rubric: str | None) -> list[Before]:
    """What was labelled before the rubric in force, by part; nothing where either cannot be read,
    which is no fault of the data."""
    log = EventLog(labels_path(dataset.name))
    if not rubric or not log.events:
        return []
    try:
        parts = parts_of(dataset.interactions, split, resources.lab() / "splits")
        now = sha256(prompts.rubric(rubric))
    except UserError:
        return []
    content = {one.id: one.content for one in dataset.interactions}
    older = under_another(rounds_of(dataset.name), now, content)
    return labelled_before(dataset.labels, log, content, parts, now, dataset.expert, older)


def _show_findings(dataset: Dataset, findings: Sequence[Finding], mend: Sequence[Fix]) -> None:
    for finding in findings:
        colour = COLOURS[finding.level]
        show.out.print(f"[{colour}]{finding.level}[/] {escape(finding.title)}", soft_wrap=True)
        if finding.ids:
            show.line(f"  {', '.join(finding.ids[:8])}{' …' if finding.count > 8 else ''}")
    usable, total, terse = usable_critiques(dataset)
    show.line(f"critiques usable as demos: {usable} of {total}, {terse} terse")
    if not mend:
        return
    show.line(f"\nto mend: {len(mend)} items")
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("item", no_wrap=True, max_width=20)
    table.add_column("label")
    table.add_column("what is wrong", no_wrap=True, max_width=28)
    table.add_column("what to do", no_wrap=True)
    table.add_column("critique", no_wrap=True, overflow="ellipsis", max_width=26)
    for fix in mend[:FIXES_SHOWN]:
        table.add_row(escape(fix.id), fix.label, fix.wrong, fix.todo, escape(fix.excerpt))
    show.table(table)
    if len(mend) > FIXES_SHOWN:
        show.line(f"… and {len(mend) - FIXES_SHOWN} more (--json lists all)")
