"""What may be called, and what it may cost, before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence

from judgelab import config as configs
from judgelab.calls.line import Calls
from judgelab.calls.pool import Pool
from judgelab.commands import show
from judgelab.judges.base import Judge
from judgelab.runner import Bench
from judgelab.search import paid
from judgelab.variants import Variant

ESTIMATED_FROM = 16  # prompts of a variant


def say_estimate(bench: Bench, variants: Sequence[Variant], more: int = 0) -> None:
    """What may be spent, before it is; from a few prompts of each variant. `more` variants are not
    known yet, and are taken to be as the first."""
    calls, usd = 0.0, 0.0
    for number, variant in enumerate(variants):
        if not paid(variant.judge):
            continue
        row = estimate(bench, variant, Pool(), most=ESTIMATED_FROM)
        times = 1 + (more if number == 0 else 0)
        before = optimizing(bench, variant)
        calls += times * (row[1] + before[1])
        usd += times * (row[4] + before[4])
    if usd:
        cap = bench.pool.usd
        budget = "no cap (budget.usd=null)" if cap is None else f"budget.usd={cap:g}"
        show.err.print(f"at most {calls:,.0f} calls, about ${usd:.2f}; {budget}", soft_wrap=True)


def estimate(bench: Bench, variant: Variant, pool: Pool, most: int | None = None) -> list[float]:
    """Verdicts, calls, tokens in, tokens out, USD; where there is a `most`, as the first so many
    items of the first fold suggest."""
    whole: list[float] = [0, 0, 0, 0, 0.0]
    folds = bench.folds
    seen = folds[:1] if most else folds
    items = sum(len(fold.items) for fold in folds) / sum(len(fold.items[:most]) for fold in seen)
    for fold in seen:
        judge = configs.build(variant.judge, Judge, "judge")
        judge.prepare(fold.train, Calls(pool))
        rows = [(len(folds) / len(seen), (0, *judge.rehearsal_estimate()))]
        for interaction in fold.items[:most]:
            for repeat in range(judge.repeats):
                rows.append((items, (1, *judge.ask_estimate(interaction, repeat))))
        for times, row in rows:
            whole = [a + times * b for a, b in zip(whole, row, strict=True)]
    return whole


def optimizing(bench: Bench, variant: Variant) -> list[float]:
    """The same of an optimizer: its budget at the cost of a verdict."""
    none: list[float] = [0, 0, 0, 0, 0.0]
    if not variant.optimizer or variant.optimizer["budget"] is None:
        return none
    judge = configs.build(variant.judge, Judge, "judge")
    fold = bench.folds[0]
    judge.prepare(fold.train, Calls(Pool()))
    asked = [judge.ask_estimate(item, 0) for item in fold.items[:ESTIMATED_FROM]]
    calls = sum(row[0] for row in asked)
    if not calls:
        return none
    times = variant.optimizer["budget"] / calls
    return [0, *(times * sum(row[part] for row in asked) for part in range(4))]


def calls_in_words(row: Sequence[float]) -> str:
    """Of a row of `estimate`, or of the sum of several."""
    verdicts, calls, tokens_in, tokens_out, usd = row
    if not calls:
        return f"{verdicts:,.0f} verdicts, no calls to send"
    return (
        f"{verdicts:,.0f} verdicts, {calls:,.0f} calls to send, about {tokens_in:,.0f} tokens in "
        f"and {tokens_out:,.0f} out, about ${usd:.4f}"
    )
