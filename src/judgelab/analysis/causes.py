"""Root causes: how often each failure mode is behind a fail, and which of them a judge misses.

Counts and rates alone: no text of an item, and no id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judgelab.metrics.multiplicity import holm
from judgelab.metrics.scorecard import FEW_OF_A_CLASS
from judgelab.metrics.shares import share, slice_p
from judgelab.scoring import in_words_of, listed, p_in_words
from judgelab.types import Label

Modes = Mapping[str, Sequence[str]]  # of each item that was classified
Clusters = Mapping[str, str | None]


def causes(
    fails: Sequence[str],
    modes: Modes,
    names: Sequence[str],
    clusters: Clusters,
    *,
    verdicts: Mapping[str, Label | None] | None = None,
    level: float = 0.95,
) -> dict[str, Any]:
    """The table "root cause, count, share" over failing items, the most frequent first.

    A share is of the classified fails; an item may have several modes, so shares may sum to more
    than 1. Wilson intervals, clustered where items share a group.

    Args:
        fails: ids that the expert fails.
        modes: as `data.modes.modes_of` gives them.
        names: the modes of the taxonomy; those that no item has are there with a count of 0.
        clusters: the group of each item; None = one of its own.
        verdicts: a judge's on these items; None for an abstention, which catches nothing.
        level: nominal coverage.

    Returns:
        JSON: `n` fails, `classified` of them, `causes`: `mode`, `count`, `share`; with verdicts
        also `recall_fail` of the mode's items, of all fails and of those `unclassified`, and of
        each mode `p` and `holm`: whether the judge catches its items as often as the other
        classified ones (`metrics.shares.slice_p`), None where either side has fewer than 10.
    """
    known = sorted(id_ for id_ in fails if modes.get(id_))
    rows: list[dict[str, Any]] = []
    for name in names:
        own = [id_ for id_ in known if name in modes[id_]]
        has = np.array([name in modes[id_] for id_ in known], dtype=bool)
        row = {"mode": name, "count": len(own), "share": _share(has, known, clusters, level)}
        if verdicts is not None:
            row["recall_fail"] = recall(own, verdicts, clusters, level)
        rows.append(row)
    rows.sort(key=lambda row: (-row["count"], row["mode"]))
    found: dict[str, Any] = {
        "positive": "fail",
        "level": level,
        "n": len(fails),
        "classified": len(known),
        "several": sum(len(modes[id_]) > 1 for id_ in known),
        "causes": rows,
    }
    if verdicts is not None:
        left = sorted(set(fails) - set(known))
        _against_rest(rows, known, modes, verdicts, clusters)
        found["recall_fail"] = recall(sorted(fails), verdicts, clusters, level)
        found["unclassified"] = recall(left, verdicts, clusters, level)
    return found


def recall(
    items: Sequence[str],
    verdicts: Mapping[str, Label | None],
    clusters: Clusters,
    level: float,
) -> dict[str, Any]:
    """The share of failing items that a judge fails, as JSON, with `hits`."""
    caught = np.array([verdicts.get(id_) == "fail" for id_ in items], dtype=bool)
    return {"hits": int(caught.sum())} | _share(caught, items, clusters, level)


def by_round(
    rounds: Sequence[tuple[str, Sequence[str]]],
    modes: Modes,
    names: Sequence[str],
    clusters: Clusters,
    level: float = 0.95,
) -> list[dict[str, Any]]:
    """The causes of the fails that each round added: different items, so that shares compare.

    Args:
        rounds: the name of each round, oldest first, and the ids that are fails in it.
        modes: under today's taxonomy, whenever they were classified.

    Returns:
        `causes` of each round with its `round`, and `first`, the modes that no earlier round has.
    """
    found, before, known = [], set[str](), set[str]()
    for name, fails in rounds:
        added = [id_ for id_ in fails if id_ not in before]
        there = {mode for id_ in added for mode in modes.get(id_, ())}
        first = [mode for mode in names if mode in there - known] if before else []
        found.append(
            {"round": name, **causes(added, modes, names, clusters, level=level), "first": first}
        )
        before |= set(fails)
        known |= there
    return found


def in_words(found: Mapping[str, Any]) -> Iterator[str]:
    """What the table is made of, and what it does not show."""
    if left := found["n"] - found["classified"]:
        yield (
            f"{left} of {found['n']} fails are not classified and in no share: name what is "
            "wrong with them in judgelab review"
        )
    if found["several"]:
        yield f"fails with several root causes: {found['several']}; shares sum to more than 1"
    if warnings := {w for row in found["causes"] for w in row["share"].get("warnings", ())}:
        yield ", ".join(sorted(warnings)).replace("_", " ")
    if "recall_fail" not in found:
        return
    few = [row["mode"] for row in found["causes"] if 0 < row["count"] < FEW_OF_A_CLASS]
    if few:
        yield f"recall from fewer than {FEW_OF_A_CLASS} fails claims nothing: {listed(few)}"
    tested = [row for row in found["causes"] if row["holm"] is not None]
    for row in tested:
        if row["holm"] < 1 - found["level"]:
            less = row["recall_fail"]["value"] < found["recall_fail"]["value"]
            yield (
                f"{row['mode']}: caught {'less' if less else 'more'} often than the other fails, "
                f"{in_words_of(row['recall_fail'])} (p {p_in_words(row['holm'])} after Holm over "
                f"{len(tested)} modes)"
            )


def _against_rest(
    rows: Sequence[dict[str, Any]],
    known: Sequence[str],
    modes: Modes,
    verdicts: Mapping[str, Label | None],
    clusters: Clusters,
) -> None:
    """The p-value of each mode against the others, one family for all modes."""
    caught = np.array([verdicts.get(id_) == "fail" for id_ in known], dtype=bool)
    groups = [clusters.get(id_) for id_ in known]
    for row in rows:
        inside = np.array([row["mode"] in modes[id_] for id_ in known], dtype=bool)
        enough = min(row["count"], len(known) - row["count"]) >= FEW_OF_A_CLASS
        row["p"] = slice_p(caught, inside, groups) if enough else None
    for row, adjusted in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["holm"] = adjusted


def _share(
    hits: NDArray[np.bool_], items: Sequence[str], clusters: Clusters, level: float
) -> dict[str, Any]:
    return share(hits, [clusters.get(id_) for id_ in items], level).to_json()
