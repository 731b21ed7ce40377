"""The sample's expert as a role, for trying rounds of labelling without one.

    python scripts/sample_expert.py unlabelled     # items.jsonl: the sample without its labels
    python scripts/sample_expert.py label 40       # label events for 40 more items

The events are those that the review page makes, in the order of its first queue; labels and
critiques are the sample's own. `--again ID ...` changes the expert's mind: the other verdict.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from judgelab import prompts, resources
from judgelab.data.events import EventLog, Given, labels_path
from judgelab.types import Interaction, sha256

FILE, NAME, EXPERT = Path("items.jsonl"), "mine", "expert"
OWN = ("label", "critique", "annotator")


def unlabelled() -> None:
    """Write the interactions alone."""
    rows = [{key: row[key] for key in row if key not in OWN} for row in sample()]
    FILE.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    print(f"{FILE}: {len(rows)} interactions without labels")


def label(count: int, again: list[str], rubric: str) -> None:
    """Append label events for `count` more items, and for those of `again` the other verdict."""
    log = EventLog(labels_path(NAME))
    done = {event.id for event in log.labels(EXPERT)}
    rows = {row["id"]: row for row in sample()}
    order = sorted(rows.keys() - done, key=lambda id_: sha256(f"0:{id_}"))
    for id_ in [*order[:count], *again]:
        row = rows[id_]
        one = Interaction(id_, row["input"], row["output"])
        verdict, critique = row["label"], row["critique"]
        if id_ in again:
            verdict = "pass" if verdict == "fail" else "fail"
            critique = f"On a second look I decide the other way. {critique}"
        given = Given(
            id=id_,
            content=one.content,
            expert=EXPERT,
            verdict=verdict,
            critique=critique,
            rubric=sha256(prompts.rubric(rubric)),
            visible={"judge": "hidden"},
        )
        log.append(given, log.chain(given.key).head)
    print(f"{log.path.name}: {len(list(log.labels(EXPERT)))} items labelled by {EXPERT}")


def sample() -> list[dict[str, str]]:
    path = resources.data_path("sample:interactions.jsonl")
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("what", choices=["unlabelled", "label"])
    parser.add_argument("count", nargs="?", type=int, default=0)
    parser.add_argument("--again", nargs="*", default=[], metavar="ID")
    parser.add_argument("--rubric", default="from_critiques")
    asked = parser.parse_args()
    if asked.what == "unlabelled":
        unlabelled()
    else:
        label(asked.count, asked.again, asked.rubric)
