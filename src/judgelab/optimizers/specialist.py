"""A judge of one root cause: its rubric, and the critiques of train that it is shown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from judgelab.data.taxonomy import Mode
from judgelab.optimizers.check_fitting import LEAST
from judgelab.types import Example

MOST = 8  # failures that are shown, and as many passes
TARGET = "judgelab.judges.prompted.PromptedJudge"
KEPT = ("template", "reasoning", "context", "repeats", "repair")

RUBRIC = """You look for one flaw, and for nothing else: {name}.{description}

- An answer fails when it has this flaw, as the failures you are shown have it.
- An answer passes when it does not, whatever else is wrong with it. Others look for that.
- Where you cannot see that it has this flaw, it passes."""


def rubric(mode: Mode) -> str:
    """What it is to look for, as the taxonomy says it."""
    said = mode.description.strip()
    return RUBRIC.format(name=mode.name.replace("_", " "), description=said and f" {said}")


def demos(train: Sequence[Example], about: set[str]) -> list[str]:
    """Ids of failures of the mode that have a critique, each before a pass, in train's order.

    Failures of other modes are not shown: they would have to be shown as passes. None where there
    are fewer than `LEAST` failures.
    """
    spoken = [e for e in train if e.critique.strip()]
    fails = [e.id for e in spoken if e.label == "fail" and e.id in about][:MOST]
    passes = [e.id for e in spoken if e.label == "pass"][: len(fails)]
    if len(fails) < LEAST:
        return []
    mixed = [id_ for pair in zip(fails, passes, strict=False) for id_ in pair]
    return mixed + fails[len(passes) :]


def chosen(ids: Sequence[str]) -> dict[str, Any]:
    """The node of its demonstrations."""
    target = "judgelab.demos.chosen.ChosenDemos"
    return {"_target_": target, "ids": list(ids), "k": None, "seed": 0, "show": "critique"}


def yaml(node: Mapping[str, Any], name: str, ids: Sequence[str]) -> str:
    """The file of conf/judge: `node` is the judge that was held against dev.

    The model is the command's, so that it may be another one, or a member's.
    """
    kept = {key: node[key] for key in KEPT}
    values = {"_target_": TARGET, "rubric": name, **kept, "demos": chosen(ids)}
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    return "\n".join([*lines, "model: ${model}", ""])
