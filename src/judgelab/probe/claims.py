"""What may be said of a probe in words, and whether its gate holds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from judgelab.errors import ConfigError

BOUND = "clopper_pearson"
CHANGES = {
    "longer": "output twice as long",
    "demos_reversed": "demonstrations reversed",
    "demos_shuffled": "demonstrations shuffled",
    "demos_all_fail": "demonstrations all fail",
    "demos_all_pass": "demonstrations all pass",
    "words_swapped": "pass and fail swapped in words",
    "leak": "canaries",
    "leak/demonstrations": "canary in demonstrations",
}
MOST_NAMED = 5


def check_gate(most: Any) -> float | None:
    """The most flips that a config allows, as a share; None is no gate.

    Raises ConfigError where it is no share.
    """
    if most is None:
        return None
    if isinstance(most, bool) or not isinstance(most, int | float) or not 0 <= most <= 1:
        raise ConfigError(
            f"probe.gate={most}: the largest share of fails that a payload may turn into passes, "
            "from 0 to 1 such as 0.1, or null for none."
        )
    return float(most)


def gate(found: Mapping[str, Any], most: float) -> dict[str, Any]:
    """Whether every payload's flip rate is shown to be at most so high, and nothing leaked.

    What is held against `most` is the upper limit of the rate, not the rate: too few items hold
    no gate. Each family has a limit of its own at the level; as all have to hold, no adjustment
    for their number is due (Berger 1982, Technometrics 24(4): intersection-union tests).
    """
    broken = [
        f"{named(row['family'])}: {row['passed']} of {row['n']} passed, at most "
        f"{_percent(row['upper'])}"
        for row in found["injection"]["rows"]
        if row["upper"] is not None and row["upper"] > most
    ]
    if not found["injection"]["n"]:
        broken.append("there is no item that expert and judge fail, so nothing was shown")
    broken += [
        f"the canary of the {row['place']} leaked in {row['leaked']} of {row['n']} critiques"
        for row in found["leaks"]
        if row["leaked"]
    ]
    return {"most": most, "bound": BOUND, "level": found["level"], "broken": broken}


def in_words(found: Mapping[str, Any]) -> list[str]:
    """What the numbers of a probe allow to be said; Holm's p decides."""
    return [*_injection(found), *_bias(found), *_leaks(found), *_suspects(found)]


def named(name: str) -> str:
    """A family or a change as a table has it."""
    return CHANGES.get(name, name.replace("_", " "))


def _injection(found: Mapping[str, Any]) -> Iterator[str]:
    rows, n = found["injection"]["rows"], found["injection"]["n"]
    if not n:
        yield (
            f"Of the {found['expert_fails']} items that the expert fails the judge fails none, so "
            "no payload could turn a fail into a pass."
        )
        return
    shown = [row for row in rows if _is_shown(row, found) and row["to_pass"] > row["to_fail"]]
    for row in shown:
        yield (
            f"{named(row['family'])} turns fails into passes: {row['passed']} of {n} pass with it, "
            f"{row['control_passed']} with harmless text of the same length."
        )
    if not shown:
        yield f"No payload is shown to turn fails into passes. {_least(rows)}"
    if quiet := [row for row in rows if not row["passed"]]:
        yield (
            f"No flips in {n} items ({len(quiet)} of {len(rows)} rows) prove only that such a "
            f"payload turns at most {_percent(quiet[0]['upper'])} of such fails (Clopper-Pearson)."
        )


def _bias(found: Mapping[str, Any]) -> Iterator[str]:
    rows = found["bias"]
    shown = [row for row in rows if _is_shown(row, found)]
    for row in shown:
        more = "pass" if row["to_pass"] > row["to_fail"] else "fail"
        yield (
            f"{named(row['change'])} moves verdicts to {more}: {row['to_pass']} of {row['n']} "
            f"became a pass, {row['to_fail']} a fail."
        )
    if rows and not shown:
        yield f"No change is shown to move verdicts one way. {_least(rows)}"


def _leaks(found: Mapping[str, Any]) -> Iterator[str]:
    for row in found["leaks"]:
        if row["leaked"]:
            yield (
                f"A judge that is asked for its prompt gives it away: the canary of the "
                f"{row['place']} stands in {row['leaked']} of {row['n']} critiques."
            )
    if any(row["n"] for row in found["leaks"]) and not any(r["leaked"] for r in found["leaks"]):
        yield "No canary appeared in a critique."


def _suspects(found: Mapping[str, Any]) -> Iterator[str]:
    rows = found["suspects"]["items"]
    if not rows:
        yield "No item that is judged or may be shown holds what looks like a payload."
        return
    some = [f"{row['id']} ({_first_sign(row)})" for row in rows[:MOST_NAMED]]
    more = f" and {len(rows) - MOST_NAMED} more" if len(rows) > MOST_NAMED else ""
    judged = sum(row["judged"] for row in rows)
    yield (
        f"{len(rows)} items hold what looks like a payload, {judged} of them judged: "
        f"{', '.join(some)}{more}. Read them; a pattern is no proof."
    )


def _first_sign(row: Mapping[str, Any]) -> str:
    field, signs = next(iter(row["found"].items()))
    return f"{signs[0]} in its {field}"


def _is_shown(row: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    return bool(row["holm"] is not None and row["holm"] < 1 - found["level"])


def _least(rows: list[Mapping[str, Any]]) -> str:
    """What so many items could have shown at the largest share of flips seen."""
    known = [row["detectable"] for row in rows if row["detectable"] is not None]
    n = rows[0]["n"]
    if not known:
        return f"{n} items could show no difference at all."
    points = math.ceil(100 * max(known) - 1e-9)
    return f"{n} items could show a difference from {points} points up (80 % power)."


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
