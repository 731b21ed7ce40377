"""The benchmark of racing at a tiny size, and the rules of others that it compares with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labs import environment

SCRIPTS = Path(__file__).parents[1] / "scripts"


def made(n: int, errors: list[float], seed: int) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Labels and verdicts of variants with these error rates: (n,) and (K, n)."""
    rng = np.random.default_rng(seed)
    fails = rng.random(n) < 0.3
    wrong = rng.random((len(errors), n)) < np.array(errors)[:, None]
    return fails, (fails ^ wrong).astype(np.int64)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script as a module."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import bench_search

    return bench_search


def test_the_benchmark_prints_its_table(tmp_path: Path) -> None:
    words = ["--seeds", "1", "--quick", "--processes", "1", "--data", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, SCRIPTS / "bench_search.py", *words],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for said in ("full grid", "safe, alpha 0.05", "Wilcoxon p .1", "halving", "is not there"):
        assert said in " ".join(done.stdout.split())


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_the_benchmark_prunes_as_optuna_does(bench: Any) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    fails, codes = made(40, [0.3, 0.1, 0.6, 0.4, 0.15, 0.5], seed=8)
    pruner = optuna.pruners.WilcoxonPruner(p_threshold=0.1, n_startup_steps=14)
    study = optuna.create_study(direction="maximize", pruner=pruner)

    def objective(trial: optuna.Trial) -> float:
        right = (codes[trial.number] == fails).astype(float)
        for t in range(40):
            trial.report(right[t], t)
            if trial.should_prune():
                raise optuna.TrialPruned
        return float(right.mean())

    study.optimize(objective, n_trials=6)
    asked = [len(trial.intermediate_values) for trial in study.trials]
    assert bench.wilcoxon_pruner(fails, codes, 0.1, 14).tolist() == asked
    assert min(asked) < 40


@pytest.mark.parametrize("counts", [(3, 0, 2), (9, 3, 3), (7, 6, 30), (0, 0, 20)])
def test_the_benchmarks_p_value_equals_scipys(bench: Any, counts: tuple[int, int, int]) -> None:
    from scipy.stats import wilcoxon

    values = np.repeat([1.0, -1.0, 0.0], counts)
    expected = wilcoxon(values, alternative="greater", zero_method="zsplit").pvalue
    assert bench.wilcoxon_p(*counts) == pytest.approx(expected)


def test_halving_keeps_the_better_half(bench: Any) -> None:
    fails, codes = made(80, [0.5, 0.05, 0.6, 0.3], seed=1)
    assert bench.halving(fails, codes, 4).tolist() == [20, 80, 20, 40]
