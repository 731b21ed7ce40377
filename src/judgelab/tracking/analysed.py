"""What a report shows of an analysed run, and of one whose system was changed: every value of every
dimension, root causes, and the pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from judgelab.tracking import pictures
from judgelab.tracking.changes import KINDS, UNCLASSIFIED
from judgelab.tracking.folder import RunFolder
from judgelab.tracking.sourced import Source

Place = tuple[str | int, ...]  # keys from the top of a file
RATES = {
    "fails": "the expert fails",
    "judge_fails": "the judge fails",
    "missed": "missed failures",
    "false_alarms": "false alarms",
}
PICTURES = {
    "slices": "Every value of every dimension with its intervals; dotted: all items. A star: shown "
    "to differ from the rest, after Holm over all slices.",
    "heat": "Two dimensions against each other. Pale and hatched: too few items for a claim.",
    "after": "The share failing before and after, and below it what became of the failures. A "
    "failure counts in each root cause that it has, and of causes nothing is claimed. Pale or "
    "hollow: too few items for a claim.",
}


def analysed(folder: RunFolder) -> dict[str, Any] | None:
    """The values of the template; None where nobody analysed the run."""
    if not (found := folder.analysis):
        return None
    source = Source(f"{folder.id}/analysis.json", found)
    rows: list[tuple[str, Place]] = [("all", ("whole",))]
    rows += [
        (f"{name}={value}", ("slices", n))
        for n, row in enumerate(found["slices"])
        for name, value in row["by"].items()
    ]
    slices = {
        name: {"items": source.count(*at, "n")}
        | {head: source.metric(*at, key) for key, head in RATES.items()}
        for name, at in rows
    }
    tables = [_table("slice", slices)]
    if named := found.get("causes", {}).get("causes"):
        causes = {
            row["mode"]: _cause(source, ("causes", "causes", n)) for n, row in enumerate(named)
        }
        tables.append(_table("root cause", causes))
    return {
        "text": found["text"],
        "tables": tables,
        "pictures": [_picture(folder, name) for name in pictures.analysis(folder, found)],
    }


def changed(folder: RunFolder) -> dict[str, Any] | None:
    """The values of the template for a run with new outputs of its items; None for others."""
    found = folder.after
    if "claim" not in found:  # none, or made before there was a picture: `--after` makes it anew
        return None
    source = Source(f"{folder.id}/after.json", found)
    pictures.after(folder, found)
    slices: dict[str, dict[str, Any]] = {"all": _change(source, (), ("by_judge", "p"))}
    pale = ["all"] if found["few"] else []
    for n, row in enumerate(found["slices"]):
        name = ", ".join(f"{dimension}={value}" for dimension, value in row["by"].items())
        slices[name] = _change(source, ("slices", n), ("slices", n, "holm"))
        pale += [name] if row["few"] else []
    for name in pale:
        slices[name]["p, Holm"] = ""
    tables = [_table("slice", slices, pale)]
    if any(row["mode"] for row in found["causes"]):
        causes = {
            row["mode"] or UNCLASSIFIED: {"failures before": source.count("causes", n, "n")}
            | {head: source.count("causes", n, key) for key, head in KINDS.items()}
            | {"share gone": source.metric("causes", n, "share_gone")}
            for n, row in enumerate(found["causes"])
        }
        tables.append(_table("root cause", causes))
    return {
        "file": found["file"],
        "text": found["text"],
        "tables": tables,
        "pictures": [_picture(folder, "after")],
    }


def _cause(source: Source, at: Place) -> dict[str, Any]:
    """A row of the table of root causes."""
    return {
        "fails": source.count(*at, "count"),
        "share of fails": source.metric(*at, "share"),
        "recall of fail": source.metric(*at, "recall_fail"),
    }


def _change(source: Source, at: Place, p: Place) -> dict[str, Any]:
    """A row of the table of changes."""
    return {
        "items": source.count(*at, "n"),
        **{head: source.count(*at, "states", key) for key, head in KINDS.items()},
        "fails before": source.metric(*at, "expert_before"),
        "judge before": source.metric(*at, "judge_before"),
        "judge after": source.metric(*at, "judge_after"),
        "corrected change": source.metric(*at, "corrected_difference"),
        "p, Holm": source.p(*p),
    }


def _table(
    first: str, rows: Mapping[str, Mapping[str, Any]], pale: Sequence[str] = ()
) -> dict[str, Any]:
    """A table of the template: its first heading, the others, and the rows by name."""
    return {
        "first": first,
        "heads": list(next(iter(rows.values()))),
        "rows": [
            {"name": name, "pale": name in pale, "cells": cells} for name, cells in rows.items()
        ],
    }


def _picture(folder: RunFolder, name: str) -> dict[str, str]:
    return {"source": pictures.inline(folder, name), "caption": PICTURES[name]}
