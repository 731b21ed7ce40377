"""What made a run: hashes, versions, revision, the call accounts."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from judgelab import __version__, resources
from judgelab.calls.accounts import Accounts
from judgelab.data.looks import opened
from judgelab.types import sha256

if TYPE_CHECKING:
    from judgelab.data.looks import Look
    from judgelab.runner import Bench, Run

PACKAGES = ("numpy", "scikit-learn", "jinja2", "hydra-core", "mlflow", "litellm", "dspy")


def record(
    bench: Bench, run: Run, accounts: Accounts, stopped: int | None = None
) -> dict[str, Any]:
    """record.json of a run. What its optimizer used is beside `calls`, not in it."""
    variant, optimizing = run.variant, run.optimizing or {}
    kept = ("candidates", "calls", "notes")
    about = {name: optimizing[name] for name in kept if name in optimizing}
    made_by = {"optimizing": about} if about else {}
    look = _look(bench.look, bench) if bench.look else {}
    return {
        "name": variant.name,
        "variant": variant.id,
        "axes": dict(variant.axes),
        "baseline": variant.baseline,
        "sweep": bench.sweep or None,
        "part": bench.part,
        "mode": bench.split.mode,
        **look,
        "dataset": {
            "name": bench.dataset.name,
            "sha256": bench.dataset.sha256,
            "items": len(bench.dataset.interactions),
            "labelled": len(bench.dataset.examples),
            **({"events": bench.dataset.events} if bench.dataset.events else {}),
        },
        "split": {"name": bench.split.config.name, "sha256": bench.split.sha256},
        "texts": {name: sha256(text) for name, text in sorted(run.texts.items())},
        "versions": versions(),
        "revision": revision(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "ceiling": bench.ceiling.to_json(),
        "calls": accounts.to_json(),
        **made_by,
        "command": shlex.join(["judgelab", *sys.argv[1:]]),
        "complete": accounts.complete and stopped is None,
        **({"stopped": {"after": stopped, "of": len(bench.order)}} if stopped is not None else {}),
        "incomplete_because": accounts.detail or None,
    }


def _look(look: Look, bench: Bench) -> dict[str, Any]:
    raised = {"looks_raised": look.raised} if look.raised else {}
    content = {item.id: item.content for fold in bench.folds for item in fold.items}
    seen = {"opened": opened(bench.labels, content)}
    return {"look": look.number, "looks": look.budget, **raised, **seen}


@cache
def versions() -> dict[str, str]:
    """Versions that may change a result."""
    from importlib.metadata import version

    found = {"judgelab": __version__, "python": platform.python_version()}
    return found | {name: version(name) for name in PACKAGES}


@cache
def revision() -> dict[str, Any]:
    """The git revision of the lab's folder, and whether it holds changes; nulls outside git."""

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", *words],
                cwd=resources.lab(),
                capture_output=True,
                text=True,
                timeout=10,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    head = git("rev-parse", "HEAD")
    changes = git("status", "--porcelain", "--untracked-files=no") if head else None
    return {"commit": head, "dirty": bool(changes) if head else None}
