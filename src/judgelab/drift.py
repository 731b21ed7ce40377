"""Two runs of a judge: what changed between them, from their records alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from judgelab import config as configs
from judgelab.errors import ConfigError
from judgelab.tracking.folder import RunFolder

TEXTS = {"rubric.md": "rubric", "template.j2": "template"}
# Keys of a judge's node that are compared by themselves: parts, and names of texts.
NAMED = ("model", "demos", "rubric", "template")
ORDER = ("data", "labels", "split", "rubric", "template", "model", "demos", "judge", "code")
Changes = Iterator[tuple[str, str]]


def changes(before: RunFolder, after: RunFolder) -> dict[str, str]:
    """What may have moved the verdicts or the scores, each with how it changed, in words.

    Keys, in this order: data, labels, split, rubric, template, model, demos, judge, code. A run
    keeps no label: where its dataset's hash differs and no item's text does, the labels (or
    critiques, or context) did; beside changed data, labels show by the number of fails alone.
    """
    found = [
        *_data(before, after),
        *_texts(before.record["texts"], after.record["texts"]),
        *_judge(before, after),
        *_code(before.record, after.record),
    ]
    words: dict[str, list[str]] = {}
    for what, how in sorted(found, key=lambda one: ORDER.index(one[0])):
        words.setdefault(what, []).append(how)
    return {what: "; ".join(how) for what, how in words.items()}


def _data(before: RunFolder, after: RunFolder) -> Changes:
    was, now = ({row["id"]: row for row in one.assignment} for one in (before, after))
    both = was.keys() & now.keys()
    counts = {
        "new": len(now.keys() - both),
        "gone": len(was.keys() - both),
        "with other texts": sum(was[i]["content"] != now[i]["content"] for i in both),
    }
    if before.record["dataset"]["sha256"] != after.record["dataset"]["sha256"]:
        if any(counts.values()):
            yield "data", ", ".join(f"{n} items {how}" for how, n in counts.items() if n)
            yield from _fails(before, after)
        else:
            yield "labels", "labels, critiques or context of the same items"
    moved = sum(
        any(was[i][key] != now[i][key] for key in ("group", "part", "fold"))
        for i in both
        if was[i]["content"] == now[i]["content"]
    )
    if moved:
        yield "split", f"{moved} items in another group, part or fold"
    names = [one.record["split"]["name"] for one in (before, after)]
    if names[0] != names[1]:
        yield "split", _arrow(*names)


def _fails(before: RunFolder, after: RunFolder) -> Changes:
    """Labels that changed beside the data: other fails among the same judged items."""
    ids = [{verdict.id for verdict in one.verdicts} for one in (before, after)]
    counts = [one.scores["confusion"] for one in (before, after)]
    was, now = (c["tp"] + c["fn"] + c["abstained_fail"] for c in counts)
    if ids[0] == ids[1] and was != now:
        yield "labels", f"fails among the judged items: {was} → {now}"


def _texts(before: Mapping[str, str], after: Mapping[str, str]) -> Changes:
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            of_member = ".".join(name.split(".")[-2:])
            kind = "code" if name.endswith(".py") else TEXTS.get(of_member, "judge")
            gone, new = name not in after, name not in before
            yield kind, f"{name} {'is gone' if gone else 'is new' if new else 'reads otherwise'}"


def _judge(before: RunFolder, after: RunFolder) -> Changes:
    was, now = before.config["judge"], after.config["judge"]
    for part in ("model", "demos"):
        if not _same(was.get(part), now.get(part)):
            yield part, _differences(was.get(part), now.get(part))
    answered = [sorted(one.record["calls"]["models"]) for one in (before, after)]
    if answered[0] != answered[1]:
        names = [", ".join(models) or "none" for models in answered]
        yield "model", f"answered by {_arrow(*names)}"
    rest = [{key: value for key, value in one.items() if key not in NAMED} for one in (was, now)]
    if not _same(*rest):
        yield "judge", _differences(*rest)


def _code(before: Mapping[str, Any], after: Mapping[str, Any]) -> Changes:
    was, now = before["versions"], after["versions"]
    for name in sorted(was.keys() | now.keys()):
        if was.get(name) != now.get(name):
            yield "code", f"{name} {_arrow(was.get(name), now.get(name))}"
    commits = [str(one["revision"]["commit"])[:8] for one in (before, after)]
    if commits[0] != commits[1]:
        yield "code", f"revision {_arrow(*commits)}"


def _same(before: Any, after: Any) -> bool:
    """Whether two nodes make the same verdicts; how calls are sent does not count."""
    try:
        return configs.variant_id({"": before}) == configs.variant_id({"": after})
    except ConfigError:  # a class of the lab that is gone
        return bool(before == after)


def _differences(before: Any, after: Any) -> str:
    was, now = dict(_leaves(before)), dict(_leaves(after))
    keys = [key for key in {**was, **now} if was.get(key) != now.get(key)]
    return ", ".join(f"{key or 'none'} {_arrow(was.get(key), now.get(key))}" for key in keys)


def _leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, list) and any(isinstance(one, Mapping) for one in node):
        node = {str(number): one for number, one in enumerate(node)}
    if isinstance(node, Mapping):
        for name, value in node.items():
            yield from _leaves(value, f"{key}.{name}" if key else str(name))
    elif node is not None:
        yield key, node


def _arrow(before: Any, after: Any) -> str:
    return f"{'none' if before is None else before} → {'none' if after is None else after}"
