"""Assertions fitted on train, and the gate on dev that one has to pass."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from judgelab.errors import ConfigError
from judgelab.judges import checks
from judgelab.judges.assertion import AssertionJudge
from judgelab.types import Example, Interaction

LEAST = 2  # caught failures of train, for a candidate
PHRASES = 8  # of a list
KINDS = (
    *("json_valid", "longest", "shortest", "without", "with_phrases", "cited"),
    *("numbers_grounded", "same_language", "fast"),
)  # those that are fitted; a pattern is written by hand
LISTS = ("keys", "phrases")  # arguments that one text would be taken apart for
SHORTEST, LONGEST = 1, 3  # words of a phrase


@dataclass(frozen=True)
class Candidate:
    """A check of the library with its arguments, or a function of the lab's own."""

    kind: str
    arguments: Mapping[str, Any]

    @property
    def code(self) -> str:
        """As Python writes it."""
        given = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{self.kind}({given})"

    @property
    def check(self) -> checks.Check:
        return checks.LIBRARY[self.kind](**self.arguments)


def written(text: str) -> Candidate:
    """A check of the library as Python writes it: `matches("TBD", wanted=False)`.

    Arguments are literals; nothing is evaluated. Raises ConfigError, with what there is.
    """
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError("it is no call such as longest(words=200)")
        made = checks.LIBRARY.get(call.func.id)
        if made is None:
            raise ValueError(f"there is no {call.func.id}")
        values = [_literal(value) for value in call.args]
        names = {name.arg or "**": _literal(name.value) for name in call.keywords}
        given = inspect.signature(made).bind(*values, **names).arguments
        if flat := [name for name in LISTS if isinstance(given.get(name), str)]:
            raise ValueError(f"{flat[0]} is a list: [{given[flat[0]]!r}]")
        found = Candidate(call.func.id, given)
        found.check(Interaction("", "1", "1"))  # what is of the wrong kind shows here
    except (ValueError, SyntaxError, TypeError, AttributeError, re.error) as error:
        there = ", ".join(_signatures())
        raise ConfigError(f"--check {text}: {error}. There are: {there}.") from None
    return found


def _literal(value: ast.expr) -> Any:
    try:
        return ast.literal_eval(value)
    except ValueError:
        raise ValueError(f"{ast.unparse(value)} is no literal, and nothing is evaluated") from None


def _signatures() -> list[str]:
    """As `matches(pattern, wanted=True)`."""
    found = []
    for name, made in checks.LIBRARY.items():
        given = inspect.signature(made).parameters.values()
        found.append(f"{name}({', '.join(str(p.replace(annotation=p.empty)) for p in given)})")
    return found


def candidates(fails: Sequence[Example], passes: Sequence[Example]) -> Iterator[Candidate]:
    """What the library can make of failures and passes of train."""
    for kind in ("json_valid", "cited", "numbers_grounded", "same_language"):
        yield Candidate(kind, {})
    lengths = sorted({len(e.interaction.output.split()) for e in (*fails, *passes)})
    for words in lengths:
        yield Candidate("longest", {"words": words})
        yield Candidate("shortest", {"words": words})
    for field in sorted({name for e in fails for name in e.interaction.context}):
        values = [e.interaction.context.get(field) for e in (*fails, *passes)]
        numbers = {
            float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool)
        }
        if "latency" in field and numbers:
            for seconds in sorted(numbers):
                yield Candidate("fast", {"seconds": seconds, "field": field})
    found = _phrases(fails, passes)
    for n in range(1, len(found) + 1):
        yield Candidate("without", {"phrases": found[:n]})
    for phrase in sorted(_common(passes)):
        yield Candidate("with_phrases", {"phrases": [phrase]})


def counts(check: Any, examples: Sequence[Example]) -> tuple[list[bool], list[bool]]:
    """Of each fail and of each pass whether the check fails it; what it says nothing of it does
    not."""
    judge = AssertionJudge.of(check)
    said = [(e.label, judge.verdict(e.interaction).verdict == "fail") for e in examples]
    caught = [flagged for label, flagged in said if label == "fail"]
    return caught, [flagged for label, flagged in said if label == "pass"]


def best(
    train: Sequence[Example], about: set[str] | None, most: float, kind: str | None = None
) -> tuple[Candidate | None, int]:
    """The candidate that catches the most on train within the bound, and how many there were.

    Args:
        about: the failures that it is to catch; None is all. Other failures count nowhere.
        most: the largest share of train's passes that it may flag.
        kind: of the library; None is any.
    """
    passes = [e for e in train if e.label == "pass"]
    fails = [e for e in train if e.label == "fail" and (about is None or e.id in about)]
    tried, chosen, score = 0, None, (LEAST - 1, 0.0, 0)
    for one in candidates(fails, passes):
        if kind not in (None, one.kind):
            continue
        tried += 1
        caught, alarms = counts(one.check, [*fails, *passes])
        rate = sum(alarms) / len(alarms) if alarms else 0.0
        found = (sum(caught), -rate, -len(one.code))
        if rate <= most and found[0] >= LEAST and (chosen is None or found > score):
            chosen, score = one, found
    return chosen, tried


@dataclass(frozen=True)
class Gate:
    """What dev says of a check: shares with exact limits, and why it is refused, or ""."""

    caught: Mapping[str, Any]
    alarms: Mapping[str, Any]
    added: int | None
    most: float
    refused: str

    def to_json(self) -> dict[str, Any]:
        return {"positive": "fail", "caught": self.caught, "false_alarms": self.alarms,
                "added_to_run": self.added, "most_alarms": self.most,
                "accepted": not self.refused, "refused": self.refused or None}  # fmt: skip


def gate(
    caught: Sequence[bool],
    alarms: Sequence[bool],
    groups: tuple[Sequence[str | None], Sequence[str | None]],
    most: float,
    added: int | None = None,
) -> Gate:
    """Whether a check is shown to catch failures at a bounded rate of false alarms.

    The upper limit of the false alarms has to reach `most` at the highest, and the lower limit of
    the caught share to lie above it or above the alarms' own upper limit. Clopper-Pearson at 95 %;
    where items share a group the wider of it and the clustered interval.

    Args:
        caught: of each failure of dev whether it is flagged.
        alarms: of each pass.
        groups: of the failures and of the passes.
        added: failures that it flags and the judge of a run does not; None without a run.
    """
    of_fails, of_passes = (_exact(*pair) for pair in zip((caught, alarms), groups, strict=True))
    why = ""
    if of_fails["lo"] is None or of_passes["hi"] is None:
        why = "dev has no failures of this kind, or no passes"
    elif of_passes["hi"] > most:
        why = (
            f"it flags {of_passes['hits']} of {of_passes['n']} passes of dev, which may be "
            f"{of_passes['hi']:.0%} of them; allowed {most:.0%}"
        )
    elif of_fails["lo"] <= of_passes["hi"]:
        why = (
            f"it catches {of_fails['hits']} of {of_fails['n']} failures of dev, which may be "
            f"{of_fails['lo']:.0%} of them: not shown to be more than its false alarms, up to "
            f"{of_passes['hi']:.0%}"
        )
    elif added == 0:
        why = "the judge of the run catches all that it catches"
    return Gate(of_fails, of_passes, added, most, why)


def _exact(hits: Sequence[bool], groups: Sequence[str | None]) -> dict[str, Any]:
    import numpy as np

    from judgelab.metrics.intervals import clopper_pearson
    from judgelab.metrics.shares import clustered, share_interval

    n, count = len(hits), sum(hits)
    exact = clopper_pearson(count, n)
    lo, hi, method = exact.lo, exact.hi, exact.method
    if n and clustered(groups):
        tied = share_interval(np.array(hits, dtype=bool), groups, 0.95)
        method = "clopper_pearson or wilson_clustered, the wider"
        lo = None if lo is None or tied.lo is None else min(lo, tied.lo)
        hi = None if hi is None or tied.hi is None else max(hi, tied.hi)
    value = count / n if n else None
    return {"value": value, "lo": lo, "hi": hi, "method": method, "level": 0.95, "n": n,
            "hits": count, **({} if n else {"reason": "no_items"})}  # fmt: skip


def _phrases(fails: Sequence[Example], passes: Sequence[Example]) -> list[str]:
    """What several failures say and no pass does, the most telling first."""
    there = _spread(fails)
    alsos = _spread(passes)
    telling = [(n, phrase) for phrase, n in there.items() if n >= LEAST and phrase not in alsos]
    return [phrase for _, phrase in sorted(telling, key=lambda one: (-one[0], one[1]))][:PHRASES]


def _common(passes: Sequence[Example]) -> list[str]:
    """What nearly all passes say."""
    return [p for p, n in _spread(passes, 1).items() if n >= 0.95 * len(passes)]


def _spread(examples: Sequence[Example], most: int = LONGEST) -> dict[str, int]:
    """In how many outputs each phrase is."""
    found: dict[str, int] = {}
    for example in examples:
        words = checks.words_of(example.interaction.output)
        own = {
            " ".join(words[at : at + n])
            for n in range(SHORTEST, most + 1)
            for at in range(len(words) - n + 1)
        }
        for phrase in own:
            found[phrase] = found.get(phrase, 0) + 1
    return found
