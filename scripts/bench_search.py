"""What racing saves, and whether it keeps the variant that the full grid would choose.

    python scripts/bench_search.py                 # 200 seeds, five settings, 15 core-minutes
    python scripts/bench_search.py --quick --seeds 20

Run it with the Python of judgelab's environment. Spent: verdicts asked for, as a share of the full
grid's. Kept: one of the variants with the best agreement on all items is never stopped (where
several tie, one of them is enough: the choice then scores the same); kappa kept: the same for
kappa. Regret: the best agreement minus the best of those kept. Each seed draws a matrix of verdicts
and an order anew. Everything is simulated from recorded or made-up verdicts: no call is sent.
"""

from __future__ import annotations

import argparse
import json
import os
import string
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from judgelab.metrics.agreement import METRICS
from judgelab.metrics.confusion import CELLS, item_cells
from judgelab.metrics.racing import Race

Bools, Codes, Floats = NDArray[np.bool_], NDArray[np.int64], NDArray[np.float64]
Matrix = tuple[Bools, Codes]
VARIANTS = 24
ALIKE = 0.8  # the recorded judges' mistakes have tetrachoric correlations of .78 to .85
RECORDED = "gpt-4", "text-davinci-003", "bem"

# --- matrices: labels (n,), True = fail, and verdicts (K, n), 1 = fail, 0 = pass, -1 = abstained


def simulated(n: int, rng: np.random.Generator, alike: float = 0.0) -> Matrix:
    """30 % fails, accuracies uniform in .6 to .9; a variant is wrong where sqrt(alike) times the
    item's normal number plus sqrt(1 - alike) times its own falls short of its quantile."""
    from scipy.stats import norm

    accuracy = rng.uniform(0.6, 0.9, (VARIANTS, 1))
    shared, own = rng.standard_normal(n), rng.standard_normal((VARIANTS, n))
    wrong = np.sqrt(alike) * shared + np.sqrt(1 - alike) * own < norm.ppf(1 - accuracy)
    fails = rng.random(n) < 0.3
    return fails, (fails ^ wrong).astype(np.int64)


@cache
def answers(folder: Path) -> tuple[Bools, Codes, Codes]:
    """Labels, the three recorded judges, and seven lexical ones, on all items."""
    rows = [json.loads(line) for line in (folder / "interactions.jsonl").open(encoding="utf-8")]
    place = {row["id"]: number for number, row in enumerate(rows)}
    recorded = np.full((len(RECORDED), len(rows)), -1)
    for line in (folder / "verdicts.jsonl").open(encoding="utf-8"):
        one = json.loads(line)
        recorded[RECORDED.index(one["judge"]), place[one["id"]]] = one["verdict"] == "fail"
    both = np.array([_overlaps(row["output"], row["context"]["reference_answers"]) for row in rows])
    f1, recall = both.T
    lexical = [f1 < least for least in (0.3, 0.5, 0.7, 1.0)]
    lexical += [recall < least for least in (0.5, 0.8, 1.0)]
    fails = np.array([row["label"] == "fail" for row in rows])
    return fails, recorded, np.array(lexical).astype(np.int64)


def _overlaps(text: str, references: Sequence[str]) -> tuple[float, float]:
    """F1 and recall of the words of a reference answer, the best of them."""

    def words(of: str) -> Counter[str]:
        plain = "".join(" " if c in string.punctuation else c for c in of.lower())
        return Counter(word for word in plain.split() if word not in ("a", "an", "the"))

    given, found = words(text), [(0.0, 0.0)]
    for reference in map(words, references):
        shared = (given & reference).total()
        if shared:
            f1 = 2 * shared / (given.total() + reference.total())
            found.append((f1, shared / reference.total()))
    return max(f1 for f1, _ in found), max(recall for _, recall in found)


def recorded(n: int, rng: np.random.Generator, folder: Path) -> Matrix:
    """n of the items, and 24 judges: the three recorded; failing where any, most or all of them
    do; seven by word overlap with the reference answers (F1 under .3, .5, .7, 1, recall under .5,
    .8, 1); each pair of the recorded, one or the other by a coin an item; and each of the recorded
    with 5, 10 or 20 % of its verdicts turned (bem not with 20)."""
    fails, judges, lexical = answers(folder)
    votes = (judges == 1).sum(axis=0)
    made = [*judges, *((votes >= least).astype(np.int64) for least in (1, 2, 3)), *lexical]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        made.append(np.where(rng.random(len(fails)) < 0.5, judges[one], judges[other]))
    for judge in judges:
        for share in (0.05, 0.1, 0.2):
            turned = (rng.random(len(fails)) < share) & (judge >= 0)
            made.append(np.where(turned, 1 - judge, judge))
    items = rng.permutation(len(fails))[:n]
    return fails[items], np.array(made[:VARIANTS])[:, items]


# --- schemes: from labels and verdicts to the items that each variant was asked, shape (K,)


def full(fails: Bools, codes: Codes) -> Codes:
    return np.full(len(codes), len(fails))


def safe(fails: Bools, codes: Codes, alpha: float, metric: str) -> Codes:
    race = Race(fails, len(codes), metric=metric, alpha=alpha)
    for verdicts in codes.T:
        race.step(verdicts)
    return np.where(race.alive, len(fails), race.at)


def pairwise(fails: Bools, codes: Codes, rule: Callable[[int, int], bool]) -> Codes:
    """Stopped once the rule holds against the running best, of the items that only the variant,
    and that only the best gets wrong."""
    wrong, n = codes != fails, len(fails)
    asked = np.full(len(codes), n)
    for t in range(1, n + 1):
        alive = np.flatnonzero(asked == n)
        best = alive[wrong[alive, :t].sum(axis=1).argmin()]
        for k in alive:
            mine, its = wrong[k, :t], wrong[best, :t]
            if k != best and rule(int((mine & ~its).sum()), int((its & ~mine).sum())):
                asked[k] = t
    return asked


@cache
def sign_test(b: int, c: int, p: float = 0.05) -> bool:
    from scipy.stats import binom

    return bool(binom.sf(b - 1, b + c, 0.5) < p)


@cache
def sign_wealth(b: int, c: int, alpha: float = 0.05) -> bool:
    """Beta(1/2, 1/2) mixture of the chance of b, truncated to above one half."""
    from scipy.special import betainc, betaln

    log = betaln(b + 0.5, c + 0.5) - betaln(0.5, 0.5) + np.log(2) * (b + c + 1)
    return bool(log + np.log(max(betainc(c + 0.5, b + 0.5, 0.5), 1e-300)) >= -np.log(alpha))


@cache
def wilcoxon_p(b: int, c: int, zeros: int) -> float:
    """The p-value of `scipy.stats.wilcoxon(..., alternative="greater", zero_method="zsplit")` of b
    differences of 1, c of -1 and so many zeros: there all signs are tried up to 13 differences,
    which is the sign test, and the normal approximation is taken from 14 on."""
    n, moved = b + c + zeros, b + c
    if n <= 13:
        from scipy.stats import binom

        return float(binom.sf(b - 1, moved, 0.5))
    from scipy.special import ndtr

    ranks = b * (zeros + (moved + 1) / 2) + zeros * (zeros + 1) / 4
    ties = (moved**3 - moved + zeros**3 - zeros) / 48
    spread = np.sqrt(n * (n + 1) * (2 * n + 1) / 24 - ties)
    return float(ndtr(-(ranks - n * (n + 1) / 4) / spread))


def wilcoxon_pruner(fails: Bools, codes: Codes, p: float, startup: int) -> Codes:
    """Optuna's WilcoxonPruner: one trial after the other, each item a step, against the best
    finished trial; not pruned while its own mean is no worse than that trial's."""
    wrong, n = codes != fails, len(fails)
    asked = np.full(len(codes), n)
    best = 0
    for k in range(1, len(codes)):
        worse = (wrong[k] & ~wrong[best]).cumsum()
        better = (wrong[best] & ~wrong[k]).cumsum()
        mine, its = wrong[k].cumsum() / np.arange(1, n + 1), wrong[best].mean()
        for t in range(max(2, startup), n + 1):
            b, c = int(worse[t - 1]), int(better[t - 1])
            if mine[t - 1] > its and wilcoxon_p(b, c, t - b - c) < p:
                asked[k] = t
                break
        if asked[k] == n and wrong[k].sum() < wrong[best].sum():
            best = k
    return asked


def halving(fails: Bools, codes: Codes, first: int) -> Codes:
    """The better half goes on at n / first items, then at twice as many, and so on."""
    wrong, n = codes != fails, len(fails)
    asked, left, rung = np.full(len(codes), n), np.arange(len(codes)), n / first
    while rung < n:
        t = round(rung)
        order = wrong[left, :t].sum(axis=1).argsort(kind="stable")
        out = left[order[(len(left) + 1) // 2 :]]
        asked[out] = t
        left, rung = np.setdiff1d(left, out), rung * 2
    return asked


Scheme = Callable[[Bools, Codes], Codes]
SCHEMES: dict[str, Scheme] = {
    "full grid": full,
    **{
        f"safe, alpha {alpha}{by}": partial(safe, alpha=alpha, metric=metric)
        for metric, by in (("agreement", ""), ("kappa", ", by kappa"))
        for alpha in (0.05, 0.1, 0.2)
    },
    "sign-test e-process .05 against the best": partial(pairwise, rule=sign_wealth),
    "sign test p .05, peeking (not valid)": partial(pairwise, rule=sign_test),
    "Wilcoxon p .1, startup 2": partial(wilcoxon_pruner, p=0.1, startup=2),
    "Wilcoxon p .05, startup 30": partial(wilcoxon_pruner, p=0.05, startup=30),
    "halving from n/4": partial(halving, first=4),
    "halving from n/8": partial(halving, first=8),
}
QUICK = [name for name in SCHEMES if "alpha 0.1" not in name]

# --- the table


@dataclass(frozen=True)
class Setting:
    name: str
    n: int
    draw: Callable[[int, np.random.Generator], Matrix]


def settings(folder: Path, quick: bool) -> Iterator[Setting]:
    yield Setting("independent errors", 150, simulated)
    for n in (150,) if quick else (150, 400):
        yield Setting(f"correlated errors ({ALIKE})", n, partial(simulated, alike=ALIKE))
    if (folder / "verdicts.jsonl").is_file():
        for n in (150,) if quick else (150, 400):
            yield Setting("recorded judges", n, partial(recorded, folder=folder))


def measure(setting: Setting, schemes: Sequence[str], seed: int) -> Floats:
    """Spent, kept, kappa kept and regret of each scheme, shape (schemes, 4)."""
    fails, codes = setting.draw(setting.n, np.random.default_rng(seed))
    tables = np.array([np.bincount(item_cells(fails, row), minlength=len(CELLS)) for row in codes])
    scores = {name: METRICS[name](tables) for name in ("agreement", "kappa")}
    rows = []
    for name in schemes:
        asked = SCHEMES[name](fails, codes)
        there = asked == setting.n
        lost = [float(np.nanmax(of) - np.nanmax(of[there])) for of in scores.values()]
        rows.append([asked.sum() / codes.size, lost[0] < 1e-9, lost[1] < 1e-9, lost[0]])
    return np.array(rows, np.float64)


def main() -> None:
    from rich.console import Console
    from rich.table import Table

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--quick", action="store_true", help="150 items, fewer schemes")
    parser.add_argument(
        "--data", type=Path, default=Path("open-qa-answers"), help="recorded judges"
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    given = parser.parse_args()
    if given.seeds < 1:
        parser.error(f"--seeds must be at least 1; got {given.seeds}")
    console = Console(width=None if Console().is_terminal else 110)
    schemes = QUICK if given.quick else list(SCHEMES)
    found = list(settings(given.data, given.quick))
    console.print(f"{VARIANTS} variants, {given.seeds} seeds. Positive class: fail.")
    with ProcessPoolExecutor(given.processes) as pool:
        for setting in found:
            rows = pool.map(partial(measure, setting, schemes), range(given.seeds), chunksize=5)
            means = np.mean(list(rows), axis=0)
            table = Table(title=f"{setting.name}, {setting.n} items", title_justify="left")
            table.add_column("scheme")
            for column in ("spent", "kept", "kappa kept", "regret"):
                table.add_column(column, justify="right")
            for name, (spent, kept, kappa, regret) in zip(schemes, means, strict=True):
                cells = (f"{spent:.1%}", f"{kept:.1%}", f"{kappa:.1%}", f"{regret:.4f}")
                table.add_row(name, *cells)
            console.print(table)
    if not any(setting.name == "recorded judges" for setting in found):
        console.print(f"No recorded judges: {given.data / 'verdicts.jsonl'} is not there (--data).")


if __name__ == "__main__":
    main()
