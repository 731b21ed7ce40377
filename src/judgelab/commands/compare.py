"""`judgelab compare`: judges on the same items, runs or files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from judgelab import compare as comparing
from judgelab.commands import show
from judgelab.compare import Comparison
from judgelab.data.labels_file import read_labels
from judgelab.errors import UserError
from judgelab.ground import ground_of_runs
from judgelab.scoring import in_words_of, p_in_words
from judgelab.sources import Source, judges, level_of, policy_of


def compare(
    words: Sequence[str],
    *,
    labels: Path | None,
    baseline: str | None,
    policy: str | None,
    group: str | None,
    as_json: bool,
) -> None:
    """Under the labels of a file or, for runs, those of their own dataset as they are now."""
    if not words:
        raise UserError(
            "nothing to compare: judgelab compare RUN RUN ..., or with --labels FILE also "
            "--verdicts FILE ..."
        )
    if labels:
        known = read_labels(labels, group)
        sources = judges(words)
        level, notes = level_of(sources), _looks(sources, labels)
    else:
        sources = judges(words)
        ground = ground_of_runs(sources, group)
        known, level, notes = ground.labels, ground.level, ground.notes
    found = comparing.compare(
        sources, known, baseline=baseline, policy=policy or policy_of(sources), level=level
    )
    show.notes([*notes, *found.aligned.notes, *_picked(found)])
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=1, ensure_ascii=False, allow_nan=False))
        return
    show.table(_table(found, group))
    if found.policy == "exclude" or (found.aligned.verdicts < 0).any():
        show.table(_answered(found))
    for line in (*_drift(found), *_differences(found), _verdict(found)):
        show.line(line)


def _table(found: Comparison, group: str | None) -> Table:
    clustered = f", clustered by {group or 'group'}" if found.aligned.groups else ""
    title = (
        f"{len(found.aligned.items)} common items, abstentions: {found.policy}, "
        f"intervals at {found.level:.1%}{clustered}"
    )
    table = Table(
        title=escape(title), title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for heading in ("a", "b"):
        table.add_column(heading, overflow="fold", min_width=10)
    excluded = found.policy == "exclude"
    for heading in ("n", *(["excl."] if excluded else []), "only a", "only b"):
        table.add_column(heading, justify="right")
    table.add_column("difference", no_wrap=True)
    for heading in ("p", "Holm", "BH"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("kappa difference", no_wrap=True)
    for pair in found.pairs:
        table.add_row(
            escape(pair["a"]),
            escape(pair["b"]),
            *(str(pair[key]) for key in ("n", *(["n_excluded"] if excluded else []))),
            *(str(pair[key]) for key in ("a_only", "b_only")),
            in_words_of(pair["difference"]),
            *(p_in_words(pair[key]) for key in ("p", "holm", "bh")),
            in_words_of(pair["kappa_difference"]),
        )
    return table


def _answered(found: Comparison) -> Table:
    """How much each judge answered of the same items."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("judge", overflow="fold", min_width=10)
    heads = {"n": "n", "abstained": "abstained", "missing": "of these missing"}
    if found.policy == "exclude":
        heads["n_excluded"] = "excluded"
    for heading in (*heads.values(), "cover"):
        table.add_column(heading, justify="right")
    for one in found.aligned.about(found.policy):
        counts = (str(one[key]) for key in heads)
        table.add_row(escape(one["judge"]), *counts, f"{one['coverage']:.1%}")
    return table


def _looks(sources: Sequence[Source], labels: Path) -> list[str]:
    """Looks at test under labels that a file gives."""
    return [
        f"{one.name} is a look at test; what it shows under {labels} is counted nowhere"
        for one in sources
        if one.run and one.run.record["part"] == "test"
    ]


def _picked(found: Comparison) -> list[str]:
    """What the p-values do not know of how these runs came to be compared."""
    names, tried = found.picked.names, found.picked.tried
    if not names and not found.picked.others:
        return []
    variants = f"{tried} variants were" if tried > 1 else "1 variant was"
    count = "the p-values count only the pairs named here"
    if not names:
        return [f"{variants} tried on these items; {count}"]
    were = "were" if len(names) > 1 else "was"
    return [
        f"{', '.join(names)} {were} chosen on these very items, where {variants} tried: "
        f"{count}, and flatter what was chosen. The number to report comes from judgelab holdout"
    ]


def _differences(found: Comparison) -> list[str]:
    """What each pair allows to be said; Holm's p decides, where there are items enough."""
    lines = []
    for pair in found.pairs:
        gap = pair["difference"]["value"]
        if pair["holm"] < 1 - found.level and gap:
            better, worse = (pair["a"], pair["b"]) if gap > 0 else (pair["b"], pair["a"])
            said = f"{better} agrees with the expert more often than {worse}"
            few = pair["reliability"]
            lines.append(f"not said that {said}: {_too_few(few)}" if few else said)
        else:
            lines.append(f"no difference shown between {pair['a']} and {pair['b']}: {_least(pair)}")
    return lines


def _too_few(reliability: str) -> str:
    """Why these items carry no claim."""
    from judgelab.metrics.scorecard import FEW_ITEMS, FEW_OF_A_CLASS

    return f"{reliability}; a claim takes {FEW_ITEMS} items and {FEW_OF_A_CLASS} of each class"


def _least(pair: Mapping[str, Any]) -> str:
    """The smallest difference that these items could have shown."""
    if pair["detectable"] is None:
        return f"{pair['n']} items could show none at all"
    return (
        f"the smallest that {pair['n']} items would show (4 times in 5) is "
        f"{math.ceil(100 * pair['detectable'] - 1e-9)} points"
    )


def _verdict(found: Comparison) -> str:
    """The set that cannot be told apart from the best; its test is at its own level."""
    n, names = found.best_n, found.best_set
    rest = [name for name in found.aligned.names if name not in names]
    apart = f"{', '.join(names)} cannot be told apart on {n} items"
    if not rest:
        return apart
    if found.few:
        return f"no best set from {n} items: {_too_few(found.few)}"
    if len(names) == 1:
        apart = f"{names[0]} is alone in the best set on {n} items"
    return f"{apart}; left out of the best set at {100 * found.alpha:.2g}%: {', '.join(rest)}"


def _drift(found: Comparison) -> list[str]:
    """Between two runs: what changed, and whether the verdicts did."""
    if found.drift is None:
        return []
    a, b = found.aligned.names
    changes, flips = found.drift["changes"], found.drift["flips"]
    what = "; ".join(f"{what} ({how})" for what, how in changes.items())
    said = f"from {a} to {b} changed: {what or 'nothing that the records hold'}"
    if not flips["n"]:
        return [said, "no item of both runs has the same texts, so no verdict can be compared"]
    moved = (
        f"verdicts on the {flips['n']} items of both: {flips['flipped']} moved, share "
        f"{in_words_of(flips['share'])}; fail to pass {flips['fail_to_pass']}, pass to fail "
        f"{flips['pass_to_fail']}, p {p_in_words(flips['p'])}"
    )
    return [said, moved]
