"""Markdown pages made from run folders: descriptions, disagreements, one rendered prompt."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping

from judgelab import config as configs
from judgelab.calls import accounts
from judgelab.calls.line import Calls
from judgelab.calls.pool import Pool
from judgelab.data.schema import Dataset
from judgelab.data.split import SplitConfig, recorded_split
from judgelab.errors import UserError
from judgelab.judges.base import Judge
from judgelab.judges.prompted import PromptedJudge
from judgelab.scoring import in_words, majority
from judgelab.tracking.folder import RunFolder
from judgelab.tracking.sweeps import BELOW, BEST, CHOSEN, Sweep
from judgelab.types import Example, sha256

LONGEST_NOTE = 5000  # characters; what every MLflow server takes in a tag
LONGEST_TEXT = 3000  # characters of an input or output on a page
WIDTH = 110  # columns of a text on a page: MLflow's viewer does not wrap code
FITTING = re.compile(rf"(.{{1,{WIDTH}}})(?:\s+|$)|(.{{{WIDTH}}})")  # up to a gap, or in mid-word
EXPLORATORY = "Exploratory: few labels, each judged once out of fold; no held-out claim."
MARKS = {CHOSEN: " **◆**", BEST: " **●**", BELOW: " **✗**"}  # beside a name
COLUMNS = {
    "kappa": "kappa",
    "agreement": "agreement",
    "precision_fail": "precision",
    "recall_fail": "recall",
    "recall_pass": "recall of pass",
}


def sweep_note(sweep: Sweep, links: Mapping[str, str]) -> str:
    """The description of a sweep; `links` is the address of a run by its folder's id."""
    around = [
        *_headline(sweep),
        *_claims(sweep),
        f"Run again (what is finished is not repeated):\n\n{fenced(sweep.about['command'])}",
        *(
            f"Not run: **{_cell(name)}**: {_cell(why)}"
            for name, why in sweep.about["failed"].items()
        ),
    ]
    room = LONGEST_NOTE - sum(len(part) + 2 for part in around)
    return "\n\n".join([around[0], leaderboard(sweep, links, room), *around[1:]])[:LONGEST_NOTE]


def run_note(folder: RunFolder, with_disagreements: bool) -> str:
    """The description of a run: what it is, what it says, how to repeat it."""
    record, card = folder.record, folder.scores
    where = f"**{_cell(record['name'])}** on {record['part']} of {_cell(record['dataset']['name'])}"
    lines = [f"{where}: {card['look']}" if card.get("look") else where]
    if card:
        level = f"intervals at {100 * card['metrics']['agreement']['level']:.3g}%"
        shown = ", ".join(f"{heading} {in_words(card, key)}" for key, heading in COLUMNS.items())
        excluded = ""
        if "n_excluded" in card:
            excluded = f", {card['n_excluded']} of them excluded, coverage {card['coverage']:.0%}"
        lines.append(f"{shown} ({card['n']} items{excluded}; positive class: fail; {level})")
        counts = card["confusion"]
        wrong = f"{counts['fn']} missed failures, {counts['fp']} false alarms"
        more = ": `disagreements.md` among the artifacts holds both critiques"
        lines.append(f"{wrong}{more if with_disagreements else ''}.")
        if record["mode"] == "cv":
            lines.append(EXPLORATORY)
    else:
        lines.append(f"{'Not ranked' if folder.stopped else 'Incomplete'}: {folder.unranked}.")
    lines.append(f"Verdicts: {accounts.in_words(record['calls'])}.")
    lines.append(f"From its record, without a call: `judgelab rerun {folder.id[:8]}`")
    return "\n\n".join(lines)


def leaderboard(sweep: Sweep, links: Mapping[str, str], room: int) -> str:
    """A Markdown table of at most `room` characters, best first, with human against human
    below it; baselines are in italics."""
    paid = any(folder.record["calls"]["cost_usd"] for folder in sweep.ranked)
    excluded = ["excluded"] * any("n_excluded" in folder.scores for folder in sweep.complete)
    heads = ["variant", *COLUMNS.values(), "coverage", *excluded, *(["USD"] if paid else [])]
    rows = [_table_row(heads), _table_row([":--"] * len(heads))]
    for folder in sweep.ranked:
        record = folder.record
        name = _cell(record["name"])
        name = f"[{name}]({links[folder.id]})" if folder.id in links else name
        name = f"*{name}* (baseline)" if record["baseline"] else name
        name += _marks(sweep, folder)
        if not folder.complete:
            why = "stopped" if folder.stopped else "incomplete"
            rows.append(_table_row([name, why, *[""] * (len(heads) - 2)]))
            continue
        card = folder.scores
        cells = [name, *(in_words(card, key) for key in COLUMNS), f"{card['coverage']:.0%}"]
        cells += [str(card.get("n_excluded", ""))] * len(excluded)
        rows.append(_table_row(cells + [f"{record['calls']['cost_usd']:.4f}"] * paid))
    last = _ceiling(sweep, len(heads))
    room -= sum(map(len, last))
    fits = [n for n in range(2, len(rows) + 1) if len("\n".join(rows[:n])) < room - 40]
    shown = fits[-1] if fits else 2
    left = f"\n\n... and {len(rows) - shown} more" if shown < len(rows) else ""
    return "\n".join([*rows[:shown], *last]) + left


def leaderboard_csv(sweep: Sweep) -> str:
    """The leaderboard as CSV: a row a run, best first, every metric with its bounds."""
    names = list(next((folder.scores["metrics"] for folder in sweep.complete), {}))
    excluded = ["n_excluded"] * any("n_excluded" in folder.scores for folder in sweep.complete)
    heads = ["variant", "baseline", "standing", "run", "n", "coverage", "cost_usd", *excluded]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(heads + [f"{name}{part}" for name in names for part in ("", "_lo", "_hi")])
    for folder in sweep.ranked:
        record, card = folder.record, folder.scores
        about = [record["name"], record["baseline"], sweep.standing(folder), folder.id]
        about += [card.get("n"), card.get("coverage"), record["calls"]["cost_usd"]]
        about += [card.get(name) for name in excluded]
        metrics = [card["metrics"][name] for name in names] if card else []
        writer.writerow(about + [m[part] for m in metrics for part in ("value", "lo", "hi")])
    return file.getvalue()


def disagreements(folder: RunFolder, dataset: Dataset) -> str | None:
    """Every item where judge and expert differ; None where the data have moved since."""
    if dataset.sha256 != folder.record["dataset"]["sha256"]:
        return None
    missed, alarms, judged = differing(folder, dataset)
    record = folder.record
    parts = [
        f"# Disagreements: {record['name']} on {record['part']}",
        f"{len(missed)} missed failures (the judge passes what the expert fails) and {len(alarms)} "
        f"false alarms (it fails what the expert passes), of {judged} items.",
        "## Missed failures",
        *(_disagreement(*both) for both in missed),
        "## False alarms",
        *(_disagreement(*both) for both in alarms),
    ]
    return "\n\n".join(parts) + "\n"


def differing(
    folder: RunFolder, dataset: Dataset
) -> tuple[list[tuple[Example, str]], list[tuple[Example, str]], int]:
    """Missed failures and false alarms, each with the judge's critique, and the items judged."""
    said = folder.verdicts
    decided = majority(said)
    critiques = {v.id: v.critique for v in reversed(said) if v.verdict == decided[v.id]}
    examples = {example.id: example for example in dataset.examples}
    wrong = [
        (examples[id_], critiques[id_])
        for id_, verdict in decided.items()
        if verdict not in (None, examples[id_].label)
    ]
    missed = [both for both in wrong if both[0].label == "fail"]
    return missed, [both for both in wrong if both[0].label == "pass"], len(decided)


def prompt(folder: RunFolder, dataset: Dataset) -> str | None:
    """The prompt of the first judged item; None for other judges, and where a text has moved."""
    config, record = folder.config, folder.record
    try:
        judge = configs.build(config["judge"], Judge, "judge")
    except UserError:
        return None
    texts = {name: sha256(text) for name, text in judge.texts().items()}
    if not isinstance(judge, PromptedJudge) or texts != record["texts"]:
        return None
    rows = folder.assignment
    if not {row["id"] for row in rows} <= {example.id for example in dataset.examples}:
        return None
    chosen = configs.build(config["split"], SplitConfig, "split")
    split = recorded_split(dataset, chosen, record["mode"], rows)
    fold = split.folds(record["part"], config["limit"])[0]
    judge.prepare(fold.train, Calls(Pool()))
    if judge.rehearsed:  # its demos are what it learnt from these answers
        judge.prepare(fold.train, Calls(Pool(record=folder.replies)))
        judge.rehearsal_estimate()
    item = fold.items[0]
    turns = judge.request(item, 0).messages
    parts = [f"# The prompt of {record['name']} for item {item.id}"]
    for turn in turns:
        parts += [f"## {turn['role']}", fenced(turn["content"])]
    return "\n\n".join(parts) + "\n"


def fenced(text: str) -> str:
    """The text as a code block that no text can close."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def _table_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _headline(sweep: Sweep) -> Iterator[str]:
    if not any(not folder.record["baseline"] for folder in sweep.complete):
        yield "No variant is complete yet."
    elif sweep.selection:
        said = _cell(" ".join(sweep.selection.get("text") or ()))
        yield f"{said or 'No reason was kept.'} Positive class: fail."
    elif sweep.best is not None:
        card, record = sweep.best.scores, sweep.best.record
        yield (
            f"**Best of {sum(not f.record['baseline'] for f in sweep.ranked)} by kappa: "
            f"{_cell(record['name'])}**: kappa {in_words(card, 'kappa')}, agreement "
            f"{in_words(card, 'agreement')} on {card['n']} {record['part']} items of "
            f"{_cell(record['dataset']['name'])}. Positive class: fail. Intervals at "
            f"{card['metrics']['agreement']['level']:.0%}."
        )


def _marks(sweep: Sweep, folder: RunFolder) -> str:
    standing = sweep.standing(folder)
    too = MARKS[BEST] if standing == BELOW and sweep.in_set(folder) else ""
    return MARKS.get(standing, "") + too


def _claims(sweep: Sweep) -> Iterator[str]:
    said = "".join(_marks(sweep, folder) for folder in sweep.ranked)
    marks = [f"{mark.strip()}: {means}" for means, mark in MARKS.items() if mark in said]
    if marks:
        yield f"{'; '.join(marks)}."
    if sweep.cv:
        yield EXPLORATORY
    elif sweep.best is not None:
        yield (
            "Chosen on dev, so the best of many looks better than it is. A look at unseen items: "
            f"`judgelab holdout {sweep.best.id[:8]}`"
        )


def _ceiling(sweep: Sweep, columns: int) -> list[str]:
    """The row of human against human; none where the runs' records know nothing of it."""
    if not (ceiling := sweep.ceiling):
        return []
    name = "*human against human* (ceiling)"
    metrics = ceiling.get("metrics") or {}
    if metrics:
        cells = [in_words(ceiling, key) if key in metrics else "" for key in COLUMNS]
    else:
        cells = [f"unknown: {_cell((ceiling.get('reason') or '').replace('_', ' '))}"]
    return [_table_row([name, *cells, *[""] * (columns - 1 - len(cells))])]


def _disagreement(example: Example, critique: str) -> str:
    item = example.interaction
    other = "pass" if example.label == "fail" else "fail"
    return "\n\n".join(
        [
            f"### {_cell(item.id)}",
            f"**Expert: {example.label}.** {_cell(example.critique) or '(no critique)'}",
            f"**Judge: {other}.** {_cell(critique) or '(no critique)'}",
            f"Input:\n\n{fenced(_folded(item.input))}",
            f"Output:\n\n{fenced(_folded(item.output))}",
        ]
    )


def _folded(text: str) -> str:
    """The text in lines of at most WIDTH columns, cut where it is very long."""
    left = len(text) - LONGEST_TEXT
    lines = text[:LONGEST_TEXT].splitlines()
    wrapped = ("\n".join(a or b for a, b in FITTING.findall(line)) for line in lines)
    return "\n".join(wrapped) + (f"\n... {left:,} characters more" if left > 0 else "")


def _cell(text: str) -> str:
    """Text that stays inside a cell of a Markdown table."""
    return re.sub(r"([|\[\]*_<>`\\])", r"\\\1", " ".join(text.split()))
