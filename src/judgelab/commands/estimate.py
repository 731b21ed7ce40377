"""What may be called, and what it may cost, before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence

from judgelab import config as configs
from judgelab.calls.line import Calls
from judgelab.calls.pool import Pool
from judgelab.commands import show
from judgelab.estimates import Takes, asking
from judgelab.judges.base import Judge
from judgelab.runner import Bench
from judgelab.search import paid
from judgelab.variants import Variant

ESTIMATED_FROM = 16  # prompts of a variant


def say_estimate(bench: Bench, variants: Sequence[Variant], more: int = 0) -> None:
    """What may be spent, before it is; from a few prompts of each variant. `more` variants are not
    known yet, and are taken to be as the first."""
    whole = Takes()
    for number, variant in enumerate(variants):
        if paid(variant.judge):
            one = estimate(bench, variant, Pool(), most=ESTIMATED_FROM)
            one += optimizing(bench, variant)
            whole += one * (1 + (more if number == 0 else 0))
    say_at_most(whole, bench.pool)


def say_at_most(whole: Takes, pool: Pool) -> None:
    """Where it costs anything, with the cap on it."""
    if whole.usd:
        budget = "no cap (budget.usd=null)" if pool.usd is None else f"budget.usd={pool.usd:g}"
        said = f"at most {whole.calls:,.0f} calls, about ${whole.usd:.2f}; {budget}"
        show.err.print(said, soft_wrap=True)


def estimate(bench: Bench, variant: Variant, pool: Pool, most: int | None = None) -> Takes:
    """All verdicts of a variant; where there is a `most`, as the first so many items of the first
    fold suggest."""
    folds = bench.folds[:1] if most else bench.folds
    whole = Takes()
    for fold in folds:
        judge = configs.build(variant.judge, Judge, "judge")
        judge.prepare(fold.train, Calls(pool))
        rehearsal = Takes.of(judge.rehearsal_estimate()) * (len(bench.folds) / len(folds))
        items = sum(len(one.items) for one in bench.folds) / sum(len(one.items) for one in folds)
        whole += rehearsal + asking(judge, fold.items, most) * items
    return whole


def optimizing(bench: Bench, variant: Variant) -> Takes:
    """An optimizer's budget at the cost of a verdict."""
    if not variant.optimizer or variant.optimizer["budget"] is None:
        return Takes()
    judge = configs.build(variant.judge, Judge, "judge")
    fold = bench.folds[0]
    judge.prepare(fold.train, Calls(Pool()))
    asked = [Takes.of(judge.ask_estimate(item, 0)) for item in fold.items[:ESTIMATED_FROM]]
    whole = sum(asked, Takes())
    return whole * (variant.optimizer["budget"] / whole.calls) if whole.calls else Takes()
