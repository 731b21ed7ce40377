"""`judgelab round`: closes a round of labelling.

Freeze labels and rubric, judge, and say how the rounds went, what changed and what is next.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from judgelab import config as configs
from judgelab import plans, runner, sweep
from judgelab.commands import run as running
from judgelab.commands import show, telling
from judgelab.commands.estimate import say_estimate
from judgelab.commands.stopping import run_stoppable
from judgelab.data.readers.problems import shown
from judgelab.errors import ConfigError, IncompleteError, Stopped, UserError
from judgelab.expert.same_reason import of_run
from judgelab.rounds import frozen
from judgelab.rounds.frozen import Round
from judgelab.rounds.rule import Rule
from judgelab.rules import Rules
from judgelab.runner import Bench
from judgelab.scoring import in_words_of, p_in_words
from judgelab.types import sha256
from judgelab.variants import Variant

CHANGED = 12  # flipped labels that are listed
KEPT = ("experiment", "dataset", "split", "judge", "seed")  # of the overrides, what a review needs
DRIFT = {
    "drift": "the criteria have drifted: look at the older labels again",
    "none_seen": "no drift to one side is seen",
}


def close(overrides: Sequence[str], *, note: str, as_json: bool) -> None:
    """Freeze, judge, show. Raises IncompleteError where calls are missing: the round stays open."""
    configs.refuse_secrets([note])
    plan = plans.plan(overrides, multirun=False)
    if plan.is_sweep:
        raise ConfigError(
            "a round is closed with one judge, and this recipe is a sweep: run it with judgelab "
            "run, and give judgelab round the overrides of the judge that you choose."
        )
    variant = plan.variants[0]
    config = variant.config
    rules = Rule(**config["round"]), Rules.of(config["search"])
    sweep.check(plan)
    tracking = running.build_tracking(config)
    pool = running.open_pool(config)
    show.notes(telling.lost(pool))
    rounds = frozen.rounds_of(config["dataset"]["name"])
    judge, rubric = _judge(variant)
    bench = runner.bench(config, pool, events=_events(rounds, judge))
    one, before = _frozen(bench, judge, rubric, rounds, note)
    say_estimate(bench, plan.variants, 0)
    bench, (run,), _ = run_stoppable(running.judge_all(plan, bench), pool)
    show.notes(telling.odd_answers([run.folder], pool))
    show.notes([*telling.optimized([run.folder]), *bench.dataset.notes, *bench.split.notes])
    if pool.interrupted:
        telling.accounts([run.folder], pool)
        raise Stopped(pool.interrupted)
    if run.folder.complete and not one.closed:
        from judgelab.rounds import outcome

        one = frozen.close(one, outcome.result_of(one, before, bench, run.folder, rules))
    telling.accounts([run.folder], pool)
    links = running.track(tracking, bench, [run.folder], None)
    if not run.folder.complete:
        why = run.folder.record["incomplete_because"] or "interrupted"
        raise IncompleteError(
            f"round {one.number} is not closed: calls are missing ({why}). Its labels are frozen "
            f"and what is answered is kept; go on with: {_again(overrides, note)}"
        )
    rounds = [*before, one]
    _draw(rounds, rules[0])
    if tracking:
        try:
            tracking.rounds(bench.dataset.name, [(r.folder, r.about) for r in rounds])
        except UserError as error:
            show.notes([f"MLflow {error}"])
    if as_json:
        made = {"name": bench.dataset.name, "positive": "fail", "rounds": [r.about for r in rounds]}
        made["wrong_reasons"] = [_reasons(one, bench) for one in rounds]
        click.echo(json.dumps(made, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        _show(rounds, bench)
    show.next_steps([*_next(one, overrides), *links])


def _judge(variant: Variant) -> tuple[dict[str, str], str]:
    """What identifies the judge, and its rubric."""
    texts, config = runner.texts(variant), variant.config
    about = [variant.id, {name: sha256(text) for name, text in sorted(texts.items())}]
    about += [config["limit"], config["scores"]["policy"]]
    return {"name": variant.name, "sha256": sha256(about)}, frozen.rubric_in(texts)


def _events(rounds: Sequence[Round], judge: Mapping[str, str]) -> int | None:
    """How many label events an open round of this judge froze."""
    last = rounds[-1] if rounds else None
    if last is None or last.closed or last.about["judge"] != judge:
        return None
    return int(last.about["events"])


def _frozen(
    bench: Bench, judge: dict[str, str], rubric: str, rounds: Sequence[Round], note: str
) -> tuple[Round, list[Round]]:
    """The round that this command is about, and the closed ones before it: the last one where
    labels and judge are still its own, else a new one. What another judge left open is replaced."""
    last, before = rounds[-1] if rounds else None, [one for one in rounds if one.closed]
    now = judge, frozen.labels_hash(bench.dataset)
    same = last and (last.about["judge"], last.about["labels"]["sha256"]) == now
    if last and last.closed and same:
        text = "neither labels nor judge have changed since: shown again, as it was closed"
        show.notes([f"round {last.number}: {text}"])
        return last, before[:-1]
    if last and not last.closed:
        how = "as it was before: going on" if same else "anew: what it had frozen has changed"
        show.notes([f"round {last.number} is not closed yet; frozen {how}"])
        note = note or last.about["note"]
    previous = before[-1] if before else None
    number = previous.number + 1 if previous else 1
    return frozen.freeze(number, bench.dataset, judge, rubric, previous, note), before


def _again(overrides: Sequence[str], note: str) -> str:
    return shlex.join(["judgelab", "round", *overrides, *(["--note", note] if note else [])])


def _draw(rounds: Sequence[Round], rule: Rule) -> None:
    from judgelab.tracking import pictures

    rows = [
        {"round": one.number, "n": one.result["n"]}
        | {name: one.result["metrics"][name] for name in ("agreement", "kappa")}
        for one in rounds
    ]
    pictures.rounds(rounds[-1].folder, rows, rule.agreement)


def _show(rounds: Sequence[Round], bench: Bench) -> None:
    from judgelab.rounds import reasons

    one = rounds[-1]
    _table(rounds, bench)
    for title, lines in (
        ("labels", _labels(one, bench)),
        ("rubric", _rubric(one, rounds)),
        ("this judge", _standing(one)),
        ("why it may stall", reasons.said(one.result["why"]) if one.result["stalled"] else ()),
        ("the next round", _needed(one)),
    ):
        if found := list(lines):
            show.line(f"\n{title}")
            for text in found:
                show.line(f"  {text}")


def _table(rounds: Sequence[Round], bench: Bench) -> None:
    level = bench.level
    table = Table(
        title=escape(
            f"{bench.dataset.name}, rounds: positive class fail, intervals at {100 * level:.3g} %"
        ),
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    table.add_column("round", justify="right")
    for heading in ("labels", "flips", "judged"):
        table.add_column(heading, justify="right")
    for _, heading in (*show.SHOWN, show.AC1):
        table.add_column(heading, no_wrap=True)
    for one in rounds:
        result = one.result
        flips = str(len(result["flips"]["changed"])) if result["flips"] else ""
        n = [str(one.about["labels"]["n"]), flips, str(result["n"])]
        table.add_row(str(one.number), *n, *show.cells(result, show.SHOWN))
    show.table(table)
    for one in rounds:
        note = f": {one.about['note']}" if one.about["note"] else ""
        show.line(f"round {one.number}, {one.about['judge']['name']}{note}")
        found = _reasons(one, bench)
        if found["n"]:
            show.line(
                f"round {one.number}, right for the wrong reason in {in_words_of(found)} of its "
                f"agreements ({found['n']} looked at)"
            )
    parts = {(one.result["part"], one.result["mode"]) for one in rounds}
    said = ["out of fold, exploratory: no held-out claim"] if bench.split.exploratory else []
    said += ["rounds are of different items: the labels grew"] if len(rounds) > 1 else []
    said += ["from out of fold to dev in between"] if len(parts) > 1 else []
    show.below(said)


def _reasons(one: Round, bench: Bench) -> dict[str, Any]:
    """What was said since of the agreements of a round's judge."""
    return of_run(one.result["run"], bench.dataset, bench.split.clusters, bench.level)


def _labels(one: Round, bench: Bench) -> Iterator[str]:
    counts = one.about["labels"]
    yield (
        f"frozen: {counts['n']}, {counts['fail']} fail, {counts['pass']} pass"
        + (f", up to label event {one.about['events']}" if one.about["events"] else "")
    )
    if found := one.result["flips"]:
        yield from _flips(found)
    ceiling = one.result["ceiling"]
    if ceiling["source"]:
        agreement = in_words_of(ceiling["metrics"]["agreement"])
        few = "" if ceiling["enough"] else ": too few to be a goal"
        yield f"ceiling, {ceiling['who']}: agreement {agreement} on {ceiling['n']} items{few}"
    else:
        yield bench.ceiling.in_words()
    yield from show.under_both(one.result.get("relabelled"))


def _flips(found: Mapping[str, Any]) -> Iterator[str]:
    gone = f", {found['gone']} gone" if found["gone"] else ""
    others = f", {found['others']} by somebody else now" if found["others"] else ""
    yield (
        f"since round {found['since']}: {found['added']} new{gone}{others}, "
        f"{len(found['changed'])} of {found['n']} changed"
    )
    if not found["changed"]:
        return
    for before in ("fail", "pass"):
        row = found["table"][before]
        yield f"  {before} before: {row['fail']:>4} fail now, {row['pass']:>4} pass now"
    yield f"  more one way than the other: p {p_in_words(found['p'])}; {DRIFT[found['verdict']]}"
    some = [f"{c['id']} {c['before']} → {c['now']}" for c in found["changed"][:CHANGED]]
    more = len(found["changed"]) - len(some)
    yield f"  {', '.join(some)}{f' and {more} more' if more else ''}"


def _rubric(one: Round, rounds: Sequence[Round]) -> Iterator[str]:
    seen = one.result["seen"]
    if not seen:
        return
    path = one.folder.path / "rubric.diff"
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            yield f"  {line}"
    else:
        yield "unchanged" if len(rounds) > 1 else shown(one.folder.path / "rubric.md")
    yield seen["says"] or "no label says under which rubric it was given"


def _standing(one: Round) -> Iterator[str]:
    result = one.result
    yield from result["says"]
    if result["reliability"]:
        yield f"reliability is {result['reliability']}"
    if pair := result["against_last"]:
        found = in_words_of(pair["difference"])
        text = (
            f"against the judge of round {pair['round']}, on the same {pair['n']} items under "
            f"today's labels: right alone {pair['a_only']} to {pair['b_only']}, difference in "
            f"agreement {found}, p {p_in_words(pair['p'])}"
        )
        yield text + ("" if pair["told_apart"] else "; not told apart")


def _needed(one: Round) -> Iterator[str]:
    from judgelab.rounds import needs

    result = one.result
    found, wrong = result["needs"], result["disagreements"]
    yield from needs.in_words(found, result["decision"])
    if (pair := result["against_last"]) and found["tell"]:
        yield (
            f"{found['tell']:,} more labels, at random, until this judge and that of round "
            f"{pair['round']} are told apart (80 % power)"
        )
    missed, alarms = len(wrong["missed_failures"]), len(wrong["false_alarms"])
    if missed + alarms:
        yield (
            f"{missed + alarms} disagreements to look at again, {missed} missed failures and "
            f"{alarms} false alarms, among as many agreements"
        )
    if found["open"]:
        yield f"{found['batch']} more labels would bring the intervals to"
        yield f"  {'':28} {'fails':>5}  {'agreement':>9}  {'recall of fail':>14}"
        now = {"of": "now", "fails": 0, "half_width": found["half_width"]}
        for way in (now, *found["ways"]):
            width = [_points(way["half_width"][name]) for name in ("agreement", "recall_fail")]
            fails = f"{way['fails']:.1f}" if way["fails"] else ""
            yield f"  {way['of'][:28]:28} {fails:>5}  {width[0]:>9}  {width[1]:>14}"


def _points(width: float | None) -> str:
    return "–" if width is None else f"±{100 * width:.1f}"


def _next(one: Round, overrides: Sequence[str]) -> Iterator[str]:
    """The commands, what serves the open decision first."""
    from judgelab.expert.people import needed

    result = one.result
    found, wrong = result["needs"], result["disagreements"]
    kept = [one for one in overrides if configs.axis_root(one) in KEPT]
    review = shlex.join(["judgelab", "review", *kept])
    where = found["fails"]["where"]
    steps = []
    if found["open"] and (result["decision"]["state"] == "open" or found["tell"]):
        steps.append(f"label at random: {review} --queue unlabelled")
    if where and found["open"]:
        values = ", then ".join(part["value"] for part in where["parts"])
        steps.append(f"find fails: {review}, and search there for {values}")
    if found["thin"]:
        steps.append(f"fill thin cells: {review} --queue stratified")
    differ = len(wrong["missed_failures"]) + len(wrong["false_alarms"])
    run = f" --run {result['run'][:8]}"
    if differ:
        steps.append(f"look at the disagreements: {review} --queue disagreements{run}")
    if result["decision"]["state"] != "refuted" and result["n"] > differ:
        steps.append(f"is it right for the expert's reason? {review} --queue reasons{run}")
    if not result["ceiling"]["enough"]:
        both = 0 < differ < result["n"] - len(wrong["abstained"])
        again = f"{review} --again {needed(result['n'])}{run if both else ''}"
        steps.append(f"label some again, blind, a day later: {again}")
    if result["converged"] and not result["exploratory"]:
        yield f"look at unseen items once: judgelab holdout {result['run'][:8]}"
    yield from steps
    yield f"then close the next round: {_again(overrides, '')}"
