"""`judgelab propose modes`: failure modes that critiques suggest, for a person to accept."""

from __future__ import annotations

from collections.abc import Sequence

from judgelab import config as configs
from judgelab import runner
from judgelab.calls.line import Calls
from judgelab.commands import show
from judgelab.commands.propose import ask
from judgelab.commands.run import open_pool
from judgelab.commands.stopping import run_stoppable
from judgelab.data.modes import ModeLog, Proposal, modes_of
from judgelab.data.readers.problems import shown
from judgelab.errors import UserError
from judgelab.models.base import Model
from judgelab.optimizers import mode_writer
from judgelab.runner import Bench

CLUSTERS = "clusters"


def modes(overrides: Sequence[str], *, critiques: int, dry_run: bool) -> None:
    """Clusters of the critiques, and what `model` makes of them where it is an LLM.

    Raises IncompleteError where no answer of the model came.
    """
    with configs.hydra():
        composed = configs.compose(overrides, lenient=True).config
        plain = configs.resolved_top(composed)
        node = configs.resolved(composed.model)
    made = configs.build(node, Model, "model") if node and "_target_" in node else None
    model = made if made is not None and made.llm else None
    if model:
        model.check()
    pool = open_pool(plain)
    bench = runner.bench(plain, pool)
    log = ModeLog.of(bench.dataset.name)
    texts = _open_critiques(bench)
    show.notes([*bench.dataset.notes, *bench.split.notes])
    from judgelab.analysis.clusters import agreement, clusters

    found, silhouette = clusters(texts, plain["seed"])
    show.line(
        f"{len(found)} clusters of {len(texts)} critiques (silhouette {silhouette:.2f}, the "
        "highest of 2 to 12)"
    )
    known = modes_of(bench.dataset, log)
    rand, mutual, n = agreement(found, known)
    if n:
        show.line(
            f"with the modes of {n} of them that have one: adjusted Rand {rand:.2f}, adjusted "
            f"mutual information {mutual:.2f} (0 is chance, 1 the same)"
        )
    proposals = [
        Proposal(
            name=one.name,
            description="",
            items=one.items,
            by=CLUSTERS,
            why=f"{len(one.items)} critiques share these words.",
        )
        for one in found
    ]
    if model:
        some = dict(list(_train_critiques(bench).items())[:critiques])
        asked = mode_writer.request(model, some, log.taxonomy.modes)
        calls = Calls(pool)
        sends = 0 if calls.known(asked) else 1
        show.err.print(f"from {len(some)} critiques of train: {sends} calls to send")
        if dry_run:
            return
        reply = run_stoppable(ask(calls, model, asked), pool)
        try:
            proposals += mode_writer.read(reply, some, model.name)
        except ValueError as error:
            raise UserError(f"nothing was proposed by {model.name}: {error}.") from error
    if dry_run:
        show.notes(["nothing was written (--dry-run)"])
        return
    new = log.propose(proposals)
    for one in new:
        show.line(f"proposed: {one.name} ({len(one.items)} fails, by {one.by})")
    show.notes([f"{len(new)} proposals in {shown(log.path)}; none is a mode before it is accepted"])
    show.next_steps(["accept them one by one, or not: judgelab review, /causes"])


def _open_critiques(bench: Bench) -> dict[str, str]:
    """Of the fails outside test."""
    places = bench.split.places
    return {
        e.id: e.critique
        for e in bench.dataset.examples
        if e.label == "fail" and e.critique.strip() and _is_open(places.get(e.id))
    }


def _train_critiques(bench: Bench) -> dict[str, str]:
    """Of the fails that a judge may learn from, in the split's fixed order."""
    train = [e for fold in bench.folds for e in fold.train]
    return {e.id: e.critique for e in train if e.label == "fail" and e.critique.strip()}


def _is_open(place: object) -> bool:
    return getattr(place, "part", "test") in ("train", "dev", "cv")
