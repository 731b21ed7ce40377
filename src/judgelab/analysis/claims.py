"""What the numbers of an analysis allow to be said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from judgelab.analysis.corrected import REASONS as OWN_REASONS
from judgelab.analysis.findings import claimed
from judgelab.metrics.names import why_missing
from judgelab.metrics.population import ASSUMPTIONS, REASONS
from judgelab.scoring import in_words_of, p_in_words

SAID = {
    "fails": ("the expert fails", "items"),
    "missed": ("the judge misses", "expert fails"),
    "false_alarms": ("the judge fails wrongly", "expert passes"),
}
MOST_CLAIMS = 8


def named(by: Mapping[str, str]) -> str:
    """A slice as a table has it: feature=latency, persona=analyst."""
    return ", ".join(f"{name}={value}" for name, value in by.items())


def in_words(found: Mapping[str, Any]) -> list[str]:
    """On which items this is, what is shown by Holm's p, and what is not."""
    return [*_unseen(found), *_claims(found), *_corrected(found)]


def why(reason: str) -> str:
    """Why a corrected share is not there."""
    return OWN_REASONS.get(reason) or REASONS.get(reason) or why_missing(reason)


def _unseen(found: Mapping[str, Any]) -> Iterator[str]:
    n = found["whole"]["n"]
    if found["look"]:
        yield f"On test, {found['look']}: rates alone; what these items say stays closed."
    elif found["exploratory"]:
        yield (
            f"Out of fold: each of the {n} items was judged by a judge that saw nothing of its "
            "group. Exploratory, no held-out claim."
        )
    elif found["chosen_here"]:
        yield (
            f"On dev, where this judge was chosen among {found['tried_here']}: what it misses here "
            "flatters it. What the system fails does not depend on the judge."
        )
    else:
        yield f"On dev: nothing of these {n} items was shown to the judge."


def _claims(found: Mapping[str, Any]) -> Iterator[str]:
    if not found["looked_at"]:
        return
    shown = claimed(found)
    family = (
        f"{found['looked_at']} slices were looked at, {found['tested']} of them large enough for "
        f"{found['tests']} tests against the rest"
    )
    if not shown:
        least = [
            test["holm"]
            for row in (*found["slices"], *found["pairs"])
            for test in row["tests"].values()
            if test.get("holm") is not None
        ]
        smallest = f"; the smallest p after Holm is {p_in_words(min(least))}" if least else ""
        yield f"No slice is shown to differ from the rest: {family}{smallest}."
        return
    for name, row in shown[:MOST_CLAIMS]:
        what, of = SAID[name]
        test, rate = row["tests"][name], row[name]
        yield (
            f"{named(row['by'])}: {what} {in_words_of(rate)} of {rate['n']} {of}, "
            f"{in_words_of(test['rest'])} of the rest (p {p_in_words(test['holm'])} after Holm)."
        )
    more = len(shown) - MOST_CLAIMS
    also = f" {more} more are shown, in analysis.json." if more > 0 else ""
    yield f"{family}; Holm's p is over all of them.{also}"


def _corrected(found: Mapping[str, Any]) -> Iterator[str]:
    whole = found["whole"].get("corrected")
    if whole is None:
        if found["unlabelled"]:
            yield (
                f"{found['unlabelled']} items of the data are unlabelled: --unlabelled has the "
                "judge look at them, and corrects what it says."
            )
        else:
            yield f"No corrected share: {OWN_REASONS['no_unlabelled']}."
        return
    ways = {"rogan_gladen": "by the judge's recalls", "ppi": "as labels of a random sample"}
    parts = []
    for key, said in ways.items():
        metric = whole[key]
        if metric["value"] is None:
            parts.append(f"{said} none ({why(metric['reason'])})")
        else:
            parts.append(f"{said} {in_words_of(metric)}, if {ASSUMPTIONS[metric['assumption']]}")
    yield (
        f"Of the {whole['n']} unlabelled items the judge fails "
        f"{in_words_of(whole['judge_fails'])}; corrected {'; '.join(parts)}."
    )
    if whole["apart"]:
        yield "The two corrections exclude one another: one of their assumptions does not hold."


def fix_claim(found: Mapping[str, Any]) -> str:
    """Whether the system is shown to fail less often, or more often, after its change."""
    test, gap = found["by_judge"], found["by_judge"]["difference"]["value"]
    if found["few"]:
        return f"Nothing is claimed: {found['few']}."
    if test["p"] < 1 - found["level"] and gap and found["corrected_after"]["value"] is not None:
        what = "less" if gap < 0 else "more"
        return f"The system fails {what} often than before (p {p_in_words(test['p'])})."
    least = test["detectable"]
    could = f"; {found['n']} items could show {100 * least:.0f} points" if least else ""
    return f"No change is shown (p {p_in_words(test['p'])}){could}."


def fix_in_words(found: Mapping[str, Any]) -> list[str]:
    """What may be said of a system before and after its change."""
    return [*_compared(found), *_states(found), *_changed(found), *_where(found)]


def _compared(found: Mapping[str, Any]) -> Iterator[str]:
    on = ", judged out of fold," if found["exploratory"] else f" of {found['on']}"
    if found["look"]:
        on += f" ({found['look']}: rates alone)"
    same = f"; {found['unchanged']} outputs are the old ones" if found["unchanged"] else ""
    yield f"{found['n']} inputs{on} with their old and new outputs, by the same judge{same}."
    parts = [f"{n} {why}" for why, n in found["left"].items()]
    if found["without"]:
        parts.append(f"{found['without']} items of the run have no new output")
    if parts:
        yield f"Not compared: {'; '.join(parts)}."


def _states(found: Mapping[str, Any]) -> Iterator[str]:
    counts = found["states"]
    fails = counts["gone"] + counts["stays"] + counts["untold_fail"]
    yield (
        f"Of {fails} failures {counts['gone']} are gone, {counts['stays']} stay; {counts['new']} "
        f"are new. Of {counts['untold_fail']} failures and {counts['untold_pass']} passes nothing "
        "is told: the judge was wrong about the old output, or says nothing of one. "
        f"{found['by_expert']} are the expert's word, the others the judge's, whose mistakes are "
        "among them."
    )


def _changed(found: Mapping[str, Any]) -> Iterator[str]:
    difference, after = found["corrected_difference"], found["corrected_after"]
    if after["value"] is None:
        yield f"No corrected share: {why(after['reason'])}."
    else:
        yield (
            f"Share failing before {in_words_of(found['expert_before'])} by the expert, after "
            f"{in_words_of(after)} corrected, difference {in_words_of(difference)}, if the judge's "
            "recalls are the same on old and new outputs."
        )
    yield found["claim"]
    if labelled := found["labelled"]:
        yield (
            f"The expert labelled {labelled['n']} of the {labelled['changed']} that changed: "
            f"{in_words_of(labelled['before'])} of them failed before, "
            f"{in_words_of(labelled['after'])} now (p {p_in_words(labelled['p'])}); as a random "
            f"sample of what changed they make it {in_words_of(labelled['ppi'])}."
        )


def _where(found: Mapping[str, Any]) -> Iterator[str]:
    shown = [row for row in found["slices"]
             if row["holm"] is not None and row["holm"] < 1 - found["level"]]  # fmt: skip
    for row in sorted(shown, key=lambda row: row["holm"])[:MOST_CLAIMS]:
        gap = row["by_judge"]["difference"]["value"]
        yield (
            f"{named(row['by'])}: fails {'less' if gap < 0 else 'more'} often, corrected "
            f"{in_words_of(row['corrected_difference'])} (p {p_in_words(row['holm'])} after Holm "
            f"over {len(found['slices'])} slices)."
        )
