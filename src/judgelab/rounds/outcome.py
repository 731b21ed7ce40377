"""What came of a round: its scores, what changed since the last one, what the next one needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from judgelab.data import seen
from judgelab.data.critiques import is_fit
from judgelab.data.events import EventLog, labels_path
from judgelab.expert.drift import drift
from judgelab.expert.relabelled import relabelled
from judgelab.expert.voices import Said, Voices
from judgelab.metrics.names import named
from judgelab.metrics.sample_size import items_to_tell
from judgelab.rounds import reasons
from judgelab.rounds.frozen import Round, under_another
from judgelab.rounds.needs import next_labels
from judgelab.rounds.rule import Point, Rule
from judgelab.rules import Rules
from judgelab.runner import Bench
from judgelab.scoring import codes, majority, score, short
from judgelab.tracking.folder import RunFolder, runs_folder
from judgelab.types import CODES, Label


def result_of(
    one: Round, before: Sequence[Round], bench: Bench, folder: RunFolder, rules: tuple[Rule, Rules]
) -> dict[str, Any]:
    """The block `result` of round.json.

    Args:
        one: the round, open or closed.
        before: the closed rounds before it.
        bench: its dataset, as it was frozen, and the split.
        folder: the complete run of its judge.
        rules: of convergence, and of the choice, whose floors hold here too.
    """
    rule, choice = rules
    card = folder.scores
    kept = ("n", "coverage", "prevalence_fail", "policy", "reliability", "confusion", "metrics")
    found: dict[str, Any] = {
        "run": folder.id,
        "part": bench.part,
        "mode": bench.split.mode,
        "exploratory": bench.split.exploratory,
        **{name: card[name] for name in kept},
        "ceiling": bench.ceiling.to_json(),
        "relabelled": _relabelled(bench, folder),
        "below_floors": _below(card, choice),
        "disagreements": _disagreements(bench, folder),
        "flips": flips(before[-1], one, bench.voices.clusters) if before else None,
        "seen": _seen(one, before, bench),
        "against_last": _against(one, before, bench, folder),
    }
    points = [*(Point.of(r.number, r.result) for r in before), Point.of(one.number, found)]
    decision = rule.decision(points[-1], bench.level)
    tell = (found["against_last"] or {}).get("more")
    found |= {
        "converged": rule.converged(points),
        "stalled": rule.stalled(points),
        "decision": decision,
        "says": rule.in_words(points, decision),
        "needs": _needs(bench, card, {"decide": decision["more"], "tell": tell}),
    }
    return found | {"why": _why(bench, folder, found, rule.agreement) if found["stalled"] else []}


def flips(
    before: Round, now: Round, clusters: Mapping[str, str | None] | None = None
) -> dict[str, Any]:
    """Labels of the same texts by the same person that changed from one round to the other.

    Returns:
        `since` (the round), `n` labels that are in both, `table` [label before][label now], the
        `changed` items, McNemar's p (`expert.drift`: by cluster where groups repeat) and its
        verdict; `added` labels, those `gone` (taken back, or of texts that changed), and `others`,
        given by somebody else now.
    """
    was, is_ = before.labels, now.labels
    both = sorted(id_ for id_ in was.keys() & is_.keys() if was[id_].content == is_[id_].content)
    same = [id_ for id_ in both if was[id_].by == is_[id_].by]
    voices = Voices(
        "",
        {id_: Said(is_[id_].label, round=now.number) for id_ in same},
        {id_: (Said(was[id_].label, round=before.number),) for id_ in same},
        {},
        clusters or {},
    )
    found = drift(voices)
    steps = [step.changes for step in found.steps]
    table = Counter((was[id_].label, is_[id_].label) for id_ in same)
    return {
        "since": before.number,
        "n": len(same),
        "table": {a: {b: table[a, b] for b in ("fail", "pass")} for a in ("fail", "pass")},
        "changed": [
            {"id": id_, "before": was[id_].label, "now": is_[id_].label}
            for id_ in same
            if was[id_].label != is_[id_].label
        ],
        "p": steps[0].p if steps else None,
        "p_method": steps[0].p_method if steps else None,
        "verdict": found.verdict,
        "added": len(is_.keys() - set(both)),
        "gone": len(was.keys() - set(both)),
        "others": len(both) - len(same),
    }


def _relabelled(bench: Bench, folder: RunFolder) -> dict[str, Any] | None:
    scope, verdicts = bench.voices.only(bench.labels), majority(folder.verdicts)
    found = relabelled(scope, verdicts, policy=bench.policy, level=bench.level)
    return found.to_json() if found else None


def _below(card: Mapping[str, Any], rules: Rules) -> list[str]:
    values = {name: card["metrics"][name]["value"] for name in rules.floors}
    return [
        f"{named(name)} {'undefined' if value is None else short(value)} < {short(float(floor))}"
        for name, floor in rules.floors.items()
        if (value := values[name]) is None or value < floor
    ]


def _disagreements(bench: Bench, folder: RunFolder) -> dict[str, list[str]]:
    verdicts, labels = majority(folder.verdicts), bench.labels
    said: dict[tuple[Label, Label | None], list[str]] = {}
    for id_ in sorted(labels):
        said.setdefault((labels[id_], verdicts.get(id_)), []).append(id_)
    return {
        "missed_failures": said.get(("fail", "pass"), []),
        "false_alarms": said.get(("pass", "fail"), []),
        "abstained": sorted([*said.get(("fail", None), []), *said.get(("pass", None), [])]),
    }


def _seen(one: Round, before: Sequence[Round], bench: Bench) -> dict[str, Any] | None:
    """What was labelled before this rubric: what was learnt from it may stand there, so on test
    those are no unseen items for it. None without a rubric."""
    if not one.rubric:
        return None
    now = one.about["rubric"]["sha256"]
    content = {item.id: item.content for item in bench.dataset.interactions}
    found = seen.labelled_before(
        one.labels,
        EventLog(labels_path(bench.dataset.name), bench.dataset.events),
        content,
        {id_: place.part for id_, place in bench.split.places.items()},
        now,
        bench.dataset.expert,
        under_another(before, now, content),
    )
    return {"parts": [part.to_json() for part in found], "says": seen.in_words(found)}


def _against(
    one: Round, before: Sequence[Round], bench: Bench, folder: RunFolder
) -> dict[str, Any] | None:
    """This round's judge and the last one's on the items that both judged, under today's labels."""
    last = before[-1] if before else None
    if last is None or last.about["judge"] == one.about["judge"]:
        return None
    other = RunFolder(runs_folder() / last.result["run"])
    if not other.complete:
        return None
    from judgelab.metrics.paired import compare

    labels, judged = bench.labels, {verdict.id for verdict in other.verdicts}
    was, now = last.labels, one.labels
    items = sorted(
        id_ for id_ in labels.keys() & judged & was.keys() if was[id_].content == now[id_].content
    )
    if not items:
        return None
    pair = compare(
        [labels[id_] == "fail" for id_ in items],
        codes(items, folder.verdicts),
        codes(items, other.verdicts),
        groups=[bench.split.clusters.get(id_) for id_ in items],
        level=bench.level,
    )
    differ = (pair.a_only + pair.b_only) / pair.n
    wanted = items_to_tell(differ, (pair.a_only - pair.b_only) / pair.n)
    told = pair.p < 1 - bench.level
    kept = ("n", "a_only", "b_only", "p", "p_method", "difference", "kappa_difference")
    return {
        "round": last.number,
        "run": other.id,
        **{name: value for name, value in pair.to_json().items() if name in kept},
        "told_apart": told,
        "more": 0 if told else None if wanted is None else max(1, wanted - pair.n),
    }


def _needs(bench: Bench, card: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    places = bench.split.places
    test = [id_ for id_, place in places.items() if place.part == "test"]
    shut = set(test)
    known = {e.id: e.label for e in bench.dataset.examples if e.id not in shut}
    share = 1.0 if bench.split.mode == "cv" else float(bench.split.config.ratios[bench.part])
    return next_labels(card, bench.dataset.interactions, known, test, more, share)


def _why(
    bench: Bench, folder: RunFolder, found: Mapping[str, Any], goal: float
) -> list[dict[str, Any]]:
    verdicts, labels = majority(folder.verdicts), bench.labels
    items = [item for fold in bench.folds for item in fold.items]
    judged = [reasons.Judged(one, verdicts.get(one.id) == labels[one.id]) for one in items]
    how, parts = reasons.where(judged)
    agreements = {
        str(part): score(
            {id_: labels[id_] for id_ in part.ids},
            folder.verdicts,
            clusters=bench.split.clusters,
            policy=bench.policy,
            level=bench.level,
        )
        .metrics["agreement"]
        .to_json()
        for part in (parts if how == "concentrated" else ())
    }
    trains = [[e for e in fold.train if is_fit(e)] for fold in bench.folds]
    fails = [sum(CODES[e.label] for e in train) for train in trains]
    train = min(zip(fails, (len(t) - f for t, f in zip(trains, fails, strict=True)), strict=True))
    ceiling, changed = found["ceiling"], found["flips"]
    own = None
    if ceiling["source"] == "self":
        own = {**ceiling["metrics"]["agreement"], "n": ceiling["n"]}
    return reasons.why(
        judged,
        agreements,
        list({e.id: e for fold in bench.folds for e in fold.train}.values()),
        train,
        own,
        (len(changed["changed"]), changed["n"]) if changed else (0, 0),
        goal,
    )
