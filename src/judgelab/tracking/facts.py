"""What MLflow shows of a run folder: metrics, params, tags. Pure reading; nothing is sent here."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from judgelab import resources
from judgelab.calls import accounts
from judgelab.tracking.folder import RunFolder

# The only metrics at the top level, beside coverage and cost_usd: shown name -> scorecard's name.
TOP = {
    "agreement": "agreement",
    "precision": "precision_fail",
    "recall": "recall_fail",
    "recall_pass": "recall_pass",
    "kappa": "kappa",
}
LONGEST_TAG = 5000  # characters; the least that a store allows


def metrics(folder: RunFolder) -> dict[str, float]:
    """Metric name -> value; none of an incomplete run: the tag `calls` says how far it came."""
    if not folder.complete:
        return {}
    card, calls = folder.scores, folder.record["calls"]
    shown = {name: card["metrics"][key]["value"] for name, key in TOP.items()}
    shown |= {"coverage": card["coverage"], "cost_usd": calls["cost_usd"]}
    more = dict(_more(card, calls)) | dict(_optimizing(folder.record.get("optimizing")))
    shown |= dict(_bounds(card)) | {f"more/{key}": value for key, value in more.items()}
    return {name: float(value) for name, value in shown.items() if value is not None}


def headline(folder: RunFolder) -> dict[str, float]:
    """The metrics that stand for a whole sweep: those at the top level, and their bounds."""
    return {name: v for name, v in metrics(folder).items() if not name.startswith("more/")}


def params(folder: RunFolder) -> dict[str, str]:
    """What a person would type to get this judge, as flat keys, and the part it was judged on."""
    record, config = folder.record, folder.config
    judge: Mapping[str, Any] = config["judge"]
    found: dict[str, Any] = {"split": record["part"], "judge": _kind(judge)}
    found |= {f"judge.{key}": judge.get(key) for key in ("reasoning", "verdict")}
    found["judge.rubric"] = rubric_name(folder)
    found["judge.repeats"] = judge.get("repeats") if judge.get("repeats", 1) != 1 else None
    demos, model = judge.get("demos"), judge.get("model")
    if demos:
        k = len(demos["ids"]) if "ids" in demos else demos.get("k")
        found |= {"demos": _kind(demos), "demos.k": k, "demos.show": demos.get("show")}
    if model:
        found |= {"model": model.get("endpoint") or _kind(model), "model.name": model.get("name")}
    found |= {"limit": config.get("limit")} | record["axes"]
    return {key: str(value) for key, value in found.items() if value is not None}


def rubric_name(folder: RunFolder) -> str | None:
    """What a judge's rubric is called; one that an optimizer wrote by what it was made from."""
    name: str | None = folder.config["judge"].get("rubric")
    if name is None or "\n" not in name:
        return name
    improved = folder.config.get("improved", {})
    return "-".join(filter(None, (improved.get("rubric"), improved.get("optimizer")))) or "own"


def lineage(folder: RunFolder) -> dict[str, str]:
    """Of a judge that an optimizer made: which one, in which run, from which rubric."""
    return {
        f"improved.{key}": str(value)
        for key, value in folder.config.get("improved", {}).items()
        if value
    }


def tags(folder: RunFolder) -> dict[str, str]:
    """Tags of a run: how to read its numbers, and what it came from."""
    record = folder.record
    found = {
        "judgelab.run": folder.id,
        "mlflow.runType": "evaluation",  # the runs table opens a sweep whose runs have this
        "positive_class": "fail",
        "llm": _flag(is_llm(folder.config["judge"])),
        "baseline": _flag(record["baseline"]),
        "calls": accounts.in_words(record["calls"])[:LONGEST_TAG],
        "mode": record["mode"],
        **lineage(folder),
        **source(record),
    }
    if record["mode"] == "cv":
        found["exploratory"] = "true"
    if "look" in record:
        found["look"] = f"{record['look']} of {record['looks']}"
    if len(models := record["calls"]["models"]) > 1:
        found["models"] = ", ".join(models)
    if stopped := folder.stopped:
        return found | {"stopped": f"after {stopped['after']} of {stopped['of']} items"}
    if not folder.complete:
        found["incomplete"] = record["incomplete_because"] or "calls are missing"
        return found
    card = folder.scores
    if card["reliability"]:
        found["reliability"] = card["reliability"]
    if card["policy"] != "error":
        found["scores.policy"] = card["policy"]
    if undefined := "; ".join(_undefined(card)):
        found["undefined"] = undefined[:LONGEST_TAG]
    return found


def source(record: Mapping[str, Any]) -> dict[str, str]:
    """Who made it, with what, at which revision of the lab."""
    found = {
        "mlflow.user": user(),
        "mlflow.source.name": "judgelab",
        "mlflow.source.type": "LOCAL",
    }
    revision = record["revision"]
    if revision["commit"]:
        found |= {
            "mlflow.source.git.commit": revision["commit"],
            "git.dirty": _flag(revision["dirty"]),
        }
    return found


def user() -> str:
    """The name of whoever runs this."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without an entry
        return "unknown"


def at(record: Mapping[str, Any]) -> int:
    """When the run was made, in milliseconds since 1970."""
    return int(datetime.fromisoformat(record["at"]).timestamp() * 1000)


def is_llm(node: Any) -> bool:
    """Whether a language model decides anywhere in a judge's config."""
    if isinstance(node, list):
        return any(is_llm(item) for item in node)
    if not isinstance(node, Mapping):
        return False
    if "_target_" in node:
        target = resources.python_object(node["_target_"], "_target_")
        if getattr(target, "llm", False) is True:  # as a judge's or a model's class says
            return True
    return any(is_llm(item) for item in node.values())


def _kind(node: Mapping[str, Any]) -> str:
    """What the yaml is called by convention: the module of the class, `nearest`."""
    return str(node["_target_"].split(".")[-2])


def _bounds(card: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    for name, key in TOP.items():
        yield f"ci/{name}_lo", card["metrics"][key]["lo"]
        yield f"ci/{name}_hi", card["metrics"][key]["hi"]


def _more(card: Mapping[str, Any], calls: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    shown = set(TOP.values())
    yield from ((key, m["value"]) for key, m in card["metrics"].items() if key not in shown)
    counts = card["confusion"]
    yield from ((key, counts[key]) for key in ("tp", "fn", "fp", "tn"))
    yield "abstained", counts["abstained_fail"] + counts["abstained_pass"]
    yield "items", card["n"]
    yield "prevalence_fail", card["prevalence_fail"]
    counted = ("planned", "answered", "skipped", "sent", "from_store", "repaired")
    yield from ((f"calls_{key}", calls.get(key, 0)) for key in counted)
    for fate in ("abstained", "failed"):
        yield f"calls_{fate}", sum(calls[fate].values())
        yield from ((f"calls_{fate}_{cause}", n) for cause, n in calls[fate].items())
    yield from ((key, calls[key]) for key in ("tokens_in", "tokens_out", "spent_usd"))


def _optimizing(about: Mapping[str, Any] | None) -> Iterator[tuple[str, Any]]:
    """What making the judge took, beside the judging."""
    if about:
        yield "optimizer_candidates", about["candidates"]
        yield from ((f"optimizer_{key}", value) for key, value in about["calls"].items())


def _undefined(card: Mapping[str, Any]) -> Iterator[str]:
    shown = {key: name for name, key in TOP.items()}
    for key, metric in card["metrics"].items():
        if metric["value"] is None:
            yield f"{shown.get(key, key)}: {metric.get('reason') or 'undefined'}"


def _flag(value: object) -> str:
    return "true" if value else "false"
