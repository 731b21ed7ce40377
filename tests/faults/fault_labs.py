"""Labs for the faults of servers: items that each get one, and what has to hold of the accounts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labs import Lab, read_lines, rows, write_rows
from server import Body, ChatServer, Fault, content_of

OWN = ("dataset=jsonl", "dataset.name=own", "dataset.path=data.jsonl")
# By id, as they stand in a prompt.
INPUTS: dict[str, str] = {row["id"]: json.dumps(row["input"]) for row in rows(60)}


def lab_of(folder: Path, items: int) -> Lab:
    """A lab with so many labelled items."""
    lab = Lab(folder)
    write_rows(folder / "data.jsonl", rows(items))
    return lab


def words(server: ChatServer, *more: str) -> tuple[str, ...]:
    """The overrides of a judge that asks the server, untracked, without baselines."""
    model = ("model=openai_compatible", "model.name=m", f"model.base_url={server.url}")
    name = "model.endpoint=there"  # a server that is started again has another port
    floor = "search.floors.recall_fail=null"  # what it answers need not be any good
    return (*model, name, *OWN, floor, "tracking=none", "baselines=[]", *more)


def item_of(body: Body) -> str:
    """The id of the judged item: by its input, which no other has."""
    content = content_of(body)
    (found,) = [id_ for id_, text in INPUTS.items() if text in content]
    return found


def completion(
    content: Any, finish: str = "stop", model: str = "served-model", **message: Any
) -> bytes:
    """A whole body that comes as a success."""
    choice = {"message": {"content": content, **message}, "finish_reason": finish}
    usage = {"prompt_tokens": 100, "completion_tokens": 10}
    return json.dumps({"model": model, "choices": [choice], "usage": usage}).encode()


def asked(server: ChatServer) -> Counter[str]:
    """How often the server was asked about each item."""
    return Counter(item_of(body) for body in server.bodies)


def adds_up(calls: Mapping[str, Any]) -> bool:
    """planned = answered + abstained + failed + skipped + pending"""
    told = sum(calls["abstained"].values()) + sum(calls["failed"].values())
    return bool(
        calls["planned"] == calls["answered"] + told + calls["skipped"] + calls["pending"] >= 0
    )


def record_of(lab: Lab) -> dict[str, Any]:
    """The record of the only run."""
    (record,) = lab.records.values()
    assert adds_up(record["calls"]), record["calls"]
    return record


def verdicts_of(lab: Lab) -> dict[str, dict[str, Any]]:
    """The verdicts of the only run, by item."""
    (path,) = lab.runs
    return {row["id"]: row for row in read_lines(path / "verdicts.jsonl")}


def outcome(lab: Lab) -> dict[str, bytes]:
    """What a rerun compares, byte by byte."""
    names = ("verdicts.jsonl", "scores.json")
    return {f"{run.name}/{name}": (run / name).read_bytes() for run in lab.runs for name in names}


class ByItem:
    """Faults by item: the n-th request about an item gets the n-th of its list, if there is one;
    a list that ends with `...` goes on with its last."""

    def __init__(self, faults: Mapping[str, Sequence[Any]]) -> None:
        self.faults = faults
        self.asked: Counter[str] = Counter()

    def __call__(self, number: int, body: Body) -> Fault | None:
        item = item_of(body)
        n = self.asked[item]
        self.asked[item] += 1
        mine = list(self.faults.get(item, ()))
        if mine and mine[-1] is ...:
            n, mine = min(n, len(mine) - 2), mine[:-1]
        return mine[n] if n < len(mine) else None
