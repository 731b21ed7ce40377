"""Root causes: how often each failure mode is behind a fail, and which of them a judge misses.

Counts and rates alone: no text of an item, and no id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judgelab.metrics.intervals import few_clusters
from judgelab.metrics.multiplicity import holm
from judgelab.metrics.scorecard import FEW_OF_A_CLASS
from judgelab.metrics.shares import by_group, clustered, share, slice_p
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
        modes: of each of them, as it counts in the round that added it.

    Returns:
        `causes` of each round with its `round`, `first`, the modes that no earlier round has, and
        `change`, what `changes` says of it and the round before; None of the first.
    """
    found, before, known = list[dict[str, Any]](), set[str](), set[str]()
    last = list[str]()
    for name, fails in rounds:
        added = [id_ for id_ in fails if id_ not in before]
        there = {mode for id_ in added for mode in modes.get(id_, ())}
        first = [mode for mode in names if mode in there - known] if before else []
        one = {"round": name, **causes(added, modes, names, clusters, level=level), "first": first}
        change = changes(last, added, modes, names, clusters) if found else None
        found.append(one | {"change": change})
        last = added
        before |= set(fails)
        known |= there
    return found


def changes(
    before: Sequence[str],
    now: Sequence[str],
    modes: Modes,
    names: Sequence[str],
    clusters: Clusters,
) -> dict[str, Any]:
    """Whether each mode is as frequent among the fails of a round as among those of the one before.

    `metrics.shares.slice_p` over the classified fails of both, Holm over all modes of the taxonomy.
    Nothing is tested where a round has fewer than 10 of them, or they lie in fewer than 50 groups.

    Returns:
        JSON: `untested`, why, or None, and `modes`: `mode`, its count `before` and `now`, `of`
        classified fails in each, `p` and `holm`.
    """
    sides = [sorted(id_ for id_ in ids if modes.get(id_)) for ids in (before, now)]
    both = [id_ for side in sides for id_ in side]
    inside = np.array([n >= len(sides[0]) for n in range(len(both))], dtype=bool)
    groups = [clusters.get(id_) for id_ in both]
    untested = next(filter(None, (_too_few(side, clusters) for side in sides)), None)
    rows: list[dict[str, Any]] = []
    for name in names:
        has = np.array([name in modes[id_] for id_ in both], dtype=bool)
        counts = {"before": int(has[~inside].sum()), "now": int(has[inside].sum())}
        p = slice_p(has, inside, groups) if has.any() and untested is None else None
        rows.append({"mode": name, **counts, "of": [len(side) for side in sides], "p": p})
    for row, adjusted in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["holm"] = adjusted
    return {"untested": untested, "modes": rows}


def changes_in_words(rounds: Sequence[Mapping[str, Any]], level: float = 0.95) -> Iterator[str]:
    """What is shown to be more or less frequent than in the round before."""
    for old, new in pairwise(rounds):
        where = f"{_round(old)} to {_round(new)}"
        if why := new["change"]["untested"]:
            yield f"{where}: no change is claimed, {why}"
            continue
        tested = [row for row in new["change"]["modes"] if row["holm"] is not None]
        shown = [row for row in tested if row["holm"] < 1 - level]
        if not shown:
            yield f"{where}: no root cause is shown to be more or less frequent"
        for row in shown:
            (of, of_now), was = row["of"], row["before"]
            more = row["now"] * of > was * of_now
            yield (
                f"{where}: {row['mode']} {'more' if more else 'less'} often, {was} of {of} and "
                f"then {row['now']} of {of_now} classified fails (p {p_in_words(row['holm'])} "
                f"after Holm over {len(new['change']['modes'])} modes)"
            )


def _round(one: Mapping[str, Any]) -> str:
    return "now" if one["round"] == "now" else f"round {one['round']}"


def _too_few(side: Sequence[str], clusters: Clusters) -> str | None:
    """Why the fails of a round are too few to compare."""
    if len(side) < FEW_OF_A_CLASS:
        return f"{len(side)} classified fails in one of them are fewer than {FEW_OF_A_CLASS}"
    groups = [clusters.get(id_) for id_ in side]
    if clustered(groups) and (few := few_clusters(len(by_group(groups, np.ones(len(side), bool))))):
        return few[0].replace("_", " ")
    return None


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
    for row in found["causes"]:
        if row["holm"] is not None and row["holm"] < 1 - found["level"]:
            less = row["recall_fail"]["value"] < found["recall_fail"]["value"]
            yield (
                f"{row['mode']}: caught {'less' if less else 'more'} often than the other fails, "
                f"{in_words_of(row['recall_fail'])} (p {p_in_words(row['holm'])} after Holm over "
                f"{len(found['causes'])} modes)"
            )


def _against_rest(
    rows: Sequence[dict[str, Any]],
    known: Sequence[str],
    modes: Modes,
    verdicts: Mapping[str, Label | None],
    clusters: Clusters,
) -> None:
    """The p-value of each mode against the others; Holm's family is all modes, tested or not."""
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
