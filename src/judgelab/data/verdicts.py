"""Verdict files, from any tool: id, verdict and, if there, judge, critique and repeat."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from judgelab.data.readers import reader_for
from judgelab.errors import DataError
from judgelab.types import Label, Verdict

NONE = {"", "null", "none", "abstain"}


def read_verdicts(path: Path, name: str | None = None) -> dict[str, dict[tuple[str, int], Verdict]]:
    """Judge -> (id, repeat) -> verdict. A judge without a name is `name`, else the file's stem.

    Raises DataError for what cannot be a verdict and for two verdicts of one judge on one item.
    """
    judges: dict[str, dict[tuple[str, int], Verdict]] = defaultdict(dict)
    for found in reader_for(path).rows(path):
        where, row = found.where, found.values
        verdict = _verdict(path, where, row)
        judge = str(row.get("judge") or name or path.stem)
        key = (verdict.id, verdict.repeat)
        if key in judges[judge]:
            raise DataError(
                f"{path}, {where}: a second verdict of judge {judge!r} for item {verdict.id!r}. "
                "One line for each id, judge and repeat."
            )
        judges[judge][key] = verdict
    if not judges:
        raise DataError(f"{path}: holds no verdicts. Needed: id, verdict (pass, fail or null).")
    return dict(judges)


def _verdict(path: Path, where: str, row: Mapping[str, Any]) -> Verdict:
    missing = [name for name in ("id", "verdict") if name not in row]
    if missing:
        raise DataError(
            f"{path}, {where}: no {' and no '.join(missing)}. Found: {', '.join(map(str, row))}."
        )
    id_ = "" if row["id"] is None else str(row["id"]).strip()
    if not id_:
        raise DataError(f"{path}, {where}, id: it is empty; a verdict names its item.")
    word = str(row["verdict"] if row["verdict"] is not None else "").strip().casefold()
    if word not in {"pass", "fail", *NONE}:
        raise DataError(
            f"{path}, {where}, verdict: found {row['verdict']!r}; "
            "allowed are pass, fail, and null or empty for an abstention."
        )
    repeat = str(row.get("repeat") or 0)
    if not repeat.isdecimal():
        raise DataError(f"{path}, {where}, repeat: found {repeat!r}; allowed are 0, 1, 2, ...")
    label: Label | None = "pass" if word == "pass" else "fail" if word == "fail" else None
    reason = None if label else str(row.get("reason") or "unsure")
    critique = str(row.get("critique") or "")
    return Verdict(id_, label, reason, critique, int(repeat))
