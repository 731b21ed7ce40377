"""Run folders made by hand: twenty items, two kinds of judge, texts that are easy to look for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from judgelab import prompts
from judgelab.data.annotations import ExpertLabel
from judgelab.data.schema import Dataset
from judgelab.scoring import score
from judgelab.tracking.folder import RunFolder
from judgelab.types import Interaction, Label, Verdict, sha256

MARK = "zebra"  # in every text of an item, and in every critique
AT = "2026-01-05T10:00:00+00:00"
LABELS: tuple[Label, ...] = ("fail", "pass", "fail", "pass", "pass") * 4

PROMPTED = {
    "_target_": "judgelab.judges.prompted.PromptedJudge",
    "rubric": "from_critiques",
    "template": "judge",
    "reasoning": "critique",
    "context": "all",
    "repeats": 1,
    "model": {"_target_": "judgelab.models.neighbours.Neighbours", "name": "neighbours"},
    "demos": {
        "_target_": "judgelab.demos.balanced.BalancedDemos",
        "k": 2,
        "seed": 0,
        "show": "critique",
    },
}
ALWAYS_PASS = {"_target_": "judgelab.judges.constant.ConstantJudge", "verdict": "pass"}

ITEMS = tuple(
    Interaction(f"item-{n:02}", f"{MARK} question {n}", f"{MARK} answer {n}")
    for n in range(len(LABELS))
)
DATASET = Dataset(
    "small",
    ITEMS,
    {
        item.id: ExpertLabel(label, f"{MARK} critique of {item.id}", "ann")
        for item, label in zip(ITEMS, LABELS, strict=True)
    },
)
PARTS = ("train", "dev", "dev", "test", "test")


def part(name: str) -> list[str]:
    """The ids of a part: every fifth item is train, two of five are dev, two test."""
    return [item.id for n, item in enumerate(ITEMS) if PARTS[(n * 3 + n // 5) % 5] == name]


def run(
    runs: Path,
    name: str,
    *,
    judge: Mapping[str, Any] = PROMPTED,
    wrong: Sequence[int] = (),
    part_name: str = "dev",
    complete: bool = True,
    at: str = AT,
    **about: Any,
) -> RunFolder:
    """A run whose judge is right but for the places in `wrong`; constant judges say pass."""
    folder = RunFolder(
        runs / f"{sha256([name, part_name])[:8]}-{name.replace(' ', '-')}-{part_name}"
    )
    verdicts = [
        Verdict(
            id_,
            _said(judge, DATASET.labels[id_].label, n in wrong),
            critique=f"{MARK} judged {id_}",
        )
        for n, id_ in enumerate(part(part_name))
    ]
    done = verdicts if complete else verdicts[:2]
    texts = {}
    if judge is PROMPTED:
        texts = {
            "rubric.md": prompts.rubric("from_critiques"),
            "template.j2": prompts.template("judge"),
        }
    for file, text in texts.items():
        folder.write(file, text + "\n")
    folder.write_yaml("config.yaml", _config(judge))
    folder.write_json(
        "record.json",
        {
            "name": name,
            "variant": sha256(name),
            "axes": {},
            "baseline": False,
            "sweep": None,
            "part": part_name,
            "mode": "holdout",
            "dataset": {
                "name": DATASET.name,
                "sha256": DATASET.sha256,
                "items": len(ITEMS),
                "labelled": len(ITEMS),
            },
            "split": {"name": "small", "sha256": sha256("split")},
            "texts": {file: sha256(text) for file, text in texts.items()},
            "versions": {"judgelab": "0.1.0"},
            "revision": {"commit": "c0ffee", "dirty": True},
            "at": at,
            "calls": _accounts(len(verdicts), len(done)),
            "complete": complete,
            "incomplete_because": None if complete else "budget: budget.usd=5 would be passed",
            **about,
        },
    )
    folder.write_lines("assignment.jsonl", _assignment())
    folder.write_lines("replies.jsonl", ({"id": v.id, "text": f"{MARK} reply"} for v in done))
    folder.write_lines("verdicts.jsonl", (verdict.to_json() for verdict in done))
    if complete:
        labels = {id_: DATASET.labels[id_].label for id_ in part(part_name)}
        folder.write_json("scores.json", score(labels, verdicts).to_json(name))
    return folder


def sweep(runs: Path, folders: Sequence[RunFolder]) -> RunFolder:
    """The folder of a sweep over these runs, best first."""
    folder = RunFolder(runs / "5eeb5eeb-sweep")
    folder.write_json(
        "sweep.json",
        {
            "sweep": "5eeb5eeb",
            "command": "judgelab run -m demos.k=2,4",
            "failed": {},
            "dataset": {"name": DATASET.name, "sha256": DATASET.sha256},
            "split": {"name": "small", "mode": "holdout"},
            "runs": [run.id for run in folders],
        },
    )
    return folder


def _said(judge: Mapping[str, Any], label: Label, wrong: bool) -> Label:
    if judge is ALWAYS_PASS:
        return "pass"
    if wrong:
        return "pass" if label == "fail" else "fail"
    return label


def _config(judge: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "dataset": {"path": "data/small.jsonl"},
        "split": {"_target_": "judgelab.data.split.SplitConfig", "name": "small"},
        "limit": None,
        "judge": dict(judge),
    }


def _assignment() -> list[dict[str, Any]]:
    places = {id_: name for name in ("train", "dev", "test") for id_ in part(name)}
    return [
        {"id": id_, "group": id_, "part": name, "fold": -1, "content": "x"}
        for id_, name in sorted(places.items())
    ]


def _accounts(planned: int, answered: int) -> dict[str, Any]:
    return {
        "planned": planned,
        "answered": answered,
        "abstained": {},
        "failed": {"503": planned - answered} if planned > answered else {},
        "skipped": 0,
        "pending": 0,
        "sent": answered,
        "from_store": 0,
        "repaired": 0,
        "models": {"m-1": answered},
        "tokens_in": 100,
        "tokens_out": 10,
        "cost_usd": 0.25,
        "spent_usd": 0.0,
    }
