"""The rounds of a dataset as MLflow shows them: a run each, under one parent run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from judgelab.tracking import facts
from judgelab.tracking.folder import RunFolder
from judgelab.tracking.store import Store

FILES = ("rounds.png", "rounds.svg", "rubric.md", "rubric.diff")


def project(store: Store, name: str, rounds: Sequence[tuple[RunFolder, Mapping[str, Any]]]) -> str:
    """Show closed rounds of the dataset `name`; those that are there (by tag) are updated.

    Args:
        store: an open experiment.
        name: of the dataset.
        rounds: folder and round.json of each, in their order.

    Returns:
        The id of the parent's run.
    """
    # A name may hold a quote, which a search for a tag may not.
    known = name.replace("'", "")
    began = facts.at(rounds[0][1])
    parent = store.run("judgelab.rounds", known, name=f"rounds of {name}", at=began)
    for folder, about in rounds:
        number, result, at = about["round"], about["result"], facts.at(about)
        run = store.run("judgelab.round", f"{known}/{number}", name=f"round {number}", at=at)
        tags = _tags(about) | {"mlflow.parentRunId": parent.info.run_id}
        params = {"round": str(number), "split": result["part"], "judge": about["judge"]["name"]}
        store.log(run, metrics=metrics(about), params=params, tags=tags, at=at)
        store.files(run, [p for file in FILES if (p := folder.path / file).is_file()])
        store.end(run, done=True, at=at)
    folder, about = rounds[-1]
    tags = {"positive_class": "fail", "rounds": str(len(rounds)), "mlflow.user": facts.user(),
            "converged": "true" if about["result"]["converged"] else "false",
            "mlflow.note.content": _note(name, rounds)}  # fmt: skip
    store.log(parent, metrics=metrics(about), params={}, tags=tags, at=facts.at(about))
    store.files(parent, [p for file in FILES[:2] if (p := folder.path / file).is_file()])
    store.end(parent, done=True, at=facts.at(about))
    return str(parent.info.run_id)


def metrics(about: Mapping[str, Any]) -> dict[str, float]:
    """What a round's run shows: the metrics of a run's top level with their bounds, and counts."""
    result, labels = about["result"], about["labels"]
    flips = result["flips"]
    shown: dict[str, float | None] = {"coverage": result["coverage"]}
    for name, key in facts.TOP.items():
        metric = result["metrics"][key]
        shown |= {name: metric["value"]}
        shown |= {f"ci/{name}_{end}": metric[end] for end in ("lo", "hi")}
    shown |= {"more/labels": labels["n"], "more/fails": labels["fail"], "more/items": result["n"]}
    shown |= {"more/flips": len(flips["changed"]) if flips else None}
    return {name: float(value) for name, value in shown.items() if value is not None}


def _tags(about: Mapping[str, Any]) -> dict[str, str]:
    result, rubric = about["result"], about["rubric"]
    found = {
        "positive_class": "fail",
        "mlflow.user": facts.user(),
        "mlflow.source.name": "judgelab",
        "labels": about["labels"]["sha256"][:16],
        "judge_run": result["run"],
        "converged": "true" if result["converged"] else "false",
        "mlflow.note.content": "\n\n".join(filter(None, (about["note"], *result["says"]))),
    }
    if rubric:
        found["rubric_sha256"] = rubric["sha256"][:16]
    if result["exploratory"]:
        found["exploratory"] = "true"
    if result["reliability"]:
        found["reliability"] = result["reliability"]
    return found


def _note(name: str, rounds: Sequence[tuple[RunFolder, Mapping[str, Any]]]) -> str:
    from judgelab.scoring import in_words_of

    lines = [
        f"Rounds of labelling {name}; the positive class is **fail**.",
        "",
        "| round | labels | agreement | kappa | what |",
        "|---|---|---|---|---|",
    ]
    for _, about in rounds:
        found = about["result"]["metrics"]
        cells = [in_words_of(found[metric]) for metric in ("agreement", "kappa")]
        note = about["note"].replace("|", "\\|").replace("\n", " ")
        row = [about["round"], about["labels"]["n"], *cells, note]
        lines.append(f"| {' | '.join(map(str, row))} |")
    return "\n".join(lines)
