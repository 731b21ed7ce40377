"""What comes of a sweep: its runs best first, the choice, what may be said of it, sweep.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from judgelab.axes import Span
from judgelab.metrics.names import named
from judgelab.metrics.policies import Policy, headline
from judgelab.plans import Plan
from judgelab.rules import Rules, place
from judgelab.runner import Bench, Run
from judgelab.scoring import codes, majority, score, short
from judgelab.tracking.folder import RunFolder, all_runs, all_sweeps, runs_folder
from judgelab.tracking.sweeps import tried
from judgelab.types import canonical_json, sha256

Cards = Mapping[str, Mapping[str, Any]]  # the scorecard of each complete run, by its id


def cards_to_choose(bench: Bench, folders: Sequence[RunFolder]) -> Cards:
    """The scorecards that rank and choose: a run's own, but for `exclude` (`policies.headline`)."""
    complete = [folder for folder in folders if folder.complete]
    policy = headline(bench.policy)
    if policy == bench.policy:
        return {folder.id: folder.scores for folder in complete}
    clusters, level = bench.split.clusters, bench.level
    return {
        folder.id: score(
            bench.labels, folder.verdicts, clusters=clusters, policy=policy, level=level
        ).to_json(folder.record["name"])
        for folder in complete
    }


def rank(folders: Sequence[RunFolder], cards: Cards, metric: str) -> list[RunFolder]:
    """Best first by the metric's point estimate (see `rules.place`), incomplete runs last."""

    def key(folder: RunFolder) -> tuple[Any, ...]:
        record, card = folder.record, cards.get(folder.id)
        # An id is made of the data's hash, test's labels too: names come first.
        names = (record["name"], folder.id)
        if card is None:
            return (True, *place(None, 0.0, *names))
        value, cost = card["metrics"][metric]["value"], record["calls"]["cost_usd"]
        return (False, *place(value, 0.0 if value is None else cost, *names))

    return sorted(folders, key=key)


def select(bench: Bench, plan: Plan, folders: Sequence[RunFolder], cards: Cards) -> dict[str, Any]:
    """The choice among the finished runs; the block `selection` of sweep.json."""
    import numpy as np

    from judgelab.selection import Candidate, Selection
    from judgelab.sentences import sentences

    labels = bench.labels
    items = sorted(labels)
    complete = [folder for folder in folders if folder.id in cards]
    records = {folder.id: folder.record for folder in complete}
    clusters = bench.split.clusters
    policy = headline(bench.policy)
    made = [record for record in records.values() if "optimizing" in record]
    before = tried(all_runs(), bench.split.config.name, bench.part)
    stopped = sum(bool(folder.stopped) for folder in folders)
    selection = Selection(
        Rules.of(plan.variants[0].config["search"]),
        [
            Candidate(
                folder.id,
                records[folder.id]["name"],
                cards[folder.id],
                codes(items, folder.verdicts),
                records[folder.id]["calls"]["cost_usd"],
                records[folder.id]["baseline"],
            )
            for folder in complete
        ],
        np.array([labels[item] == "fail" for item in items]),
        [clusters.get(item) for item in items],
        policy=policy,
        missing=len(plan.variants) - len(complete) - stopped,
        stopped=stopped,
        held_out=not bench.split.exploratory,
        tried=len(before - {record["variant"] for record in records.values()})
        + sum(record["optimizing"]["candidates"] for record in made),
    )
    found = selection.to_json() | {"part": bench.part, "exploratory": bench.split.exploratory}
    text = [*sentences(selection, found), *_excluded(bench.policy, policy), *bench.mixed_rounds]
    return found | {"text": text}


def _excluded(asked: str, policy: Policy) -> list[str]:
    if asked == policy:
        return []
    return [
        f"scores.policy={asked} chooses nothing, as a judge that answers only what is easy would "
        "win: in the choice an abstention counts as wrong."
    ]


def _rounds(bench: Bench, choice: Mapping[str, Any]) -> list[dict[str, Any]]:
    """How the best judge agrees with the labels of each round; empty where there is one round."""
    if len({annotation.round for annotation in bench.dataset.annotations}) < 2:
        return []
    if not choice["reference"]:
        return []
    from judgelab.expert.drift import by_round

    verdicts = majority(RunFolder(runs_folder() / choice["reference"]).verdicts)
    rows = by_round(bench.voices.only(bench.labels), verdicts, level=bench.level)
    return [{"round": row["round"], **row["judge"]} for row in rows if row["judge"]]


def rules_before(bench: Bench, now: Rules) -> list[dict[str, Any]]:
    """Other rules that sweeps on the same items chose by before, this one under them too: each
    with its sweep. The same items are those of a part of a split, as for what was tried."""
    found: dict[str, dict[str, Any]] = {}
    for folder in all_sweeps():
        about = folder.sweep
        choice = about.get("selection") or {}
        here = (bench.split.config.name, bench.part)
        if about["sweep"] != bench.sweep and (about["split"]["name"], choice.get("part")) != here:
            continue
        own = {"sweep": about["sweep"], **Rules.of(choice).to_json()}
        for one in (*about.get("rules_before", ()), own):
            if Rules.of(one) != now:
                found.setdefault(sha256(one), one)
    return sorted(found.values(), key=canonical_json)


def _race(plan: Plan, folders: Sequence[RunFolder]) -> dict[str, Any] | None:
    """What the race saved: verdicts planned and asked for, of all but the baselines."""
    if plan.race == "off":
        return None
    calls = [f.record["calls"] for f in folders if not f.record["baseline"]]
    return {
        "kind": plan.race,
        "alpha": plan.variants[0].config["search"]["alpha"] if plan.race == "safe" else None,
        "variants": len(calls),
        "stopped": [f.id for f in folders if f.stopped],
        "planned": sum(one["planned"] for one in calls),
        "asked": sum(one["planned"] - one["stopped"] for one in calls),
    }


def _race_in_words(race: Mapping[str, Any] | None) -> list[str]:
    if not race:
        return []
    share = race["asked"] / max(1, race["planned"])
    promise = (
        f"the best of all is among the stopped with probability {race['alpha']:.0%} at most"
        if race["kind"] == "safe"
        else "fast, without a promise that the best of all is not among the stopped"
    )
    return [
        f"The race stopped {len(race['stopped'])} of {race['variants']} variants early: "
        f"{race['asked']:,} of {race['planned']:,} planned verdicts ({share:.0%}); {promise}."
    ]


def _rules_in_words(before: Sequence[Mapping[str, Any]]) -> list[str]:
    if not before:
        return []
    said = dict.fromkeys(_one_rule(Rules.of(one)) for one in before)
    return [
        f"These rules were declared after a look: sweeps on these items chose before by "
        f"{'; by '.join(said)}."
    ]


def _one_rule(rules: Rules) -> str:
    floors = f" with {rules.in_words}" if rules.floors else " without a floor"
    return f"{named(rules.metric)}{floors}, margin {short(rules.margin)}"


def write_sweep(
    bench: Bench, plan: Plan, runs: Sequence[Run], failed: dict[str, str], command: str
) -> tuple[RunFolder, dict[str, Any], list[RunFolder]]:
    """runs/<id>-sweep/sweep.json: the leaderboard, the choice, and how to run it again.

    Returns the folder, the choice and the runs, best first.
    """
    folder = RunFolder(runs_folder() / f"{bench.sweep}-sweep")
    there = [run.folder for run in runs if run.folder.exists]
    cards = cards_to_choose(bench, there)
    own = Rules.of(plan.variants[0].config["search"])
    choice, before = select(bench, plan, there, cards), rules_before(bench, own)
    race = _race(plan, there)
    choice["text"] += [*_race_in_words(race), *_rules_in_words(before)]
    ranked = rank(there, cards, own.metric)
    folder.write_json(
        "sweep.json",
        {
            "sweep": bench.sweep,
            "command": command,
            "axes": {k: str(v) if isinstance(v, Span) else v for k, v in plan.axes.items()},
            "tried": [run.folder.id for run in runs if not run.variant.baseline],
            "sampler": plan.variants[0].config["search"]["sampler"],
            "equal": plan.equal,
            "failed": failed,
            "dataset": {"name": bench.dataset.name, "sha256": bench.dataset.sha256},
            "split": {"name": bench.split.config.name, "mode": bench.split.mode},
            "tracking": plan.variants[0].config["tracking"],
            "runs": [run.id for run in ranked],
            "rules_before": before,
            "race": race,
            "selection": choice,
            "rounds": _rounds(bench, choice),
        },
    )
    return folder, choice, ranked
