"""Labs whose labels are events alone: the sample without its labels, and an expert made of code."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from judgelab.data.events import EventLog, Given
from judgelab.resources import data_path
from judgelab.types import Interaction, sha256
from labs import Lab, write_rows

OWN = ("label", "critique", "annotator")
WORDS = ("dataset=jsonl", "dataset.path=items.jsonl", "dataset.name=mine", "model=neighbours")


def sample() -> dict[str, dict[str, Any]]:
    """The rows of the sample by id, in a fixed random order."""
    text = data_path("sample:interactions.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    return {row["id"]: row for row in sorted(rows, key=lambda row: sha256(f"0:{row['id']}"))}


class ExpertLab(Lab):
    """A lab around the sample's interactions, unlabelled."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.rows = sample()
        bare = [{k: v for k, v in row.items() if k not in OWN} for row in self.rows.values()]
        write_rows(self.folder / "items.jsonl", bare)

    @property
    def log(self) -> EventLog:
        return EventLog(self.folder / "labels" / "mine.jsonl")

    def label(
        self,
        ids: Iterable[str],
        *,
        other: Collection[str] = (),
        rubric: str | None = None,
        verdict: Callable[[dict[str, Any]], str] = lambda row: str(row["label"]),
    ) -> None:
        """Append a label event for each item, the other verdict for those of `other`."""
        log = self.log
        for id_ in ids:
            row, said = self.rows[id_], verdict(self.rows[id_])
            if id_ in other:
                said = "pass" if said == "fail" else "fail"
            content = Interaction(id_, row["input"], row["output"]).content
            given = Given(id=id_, content=content, expert="ann", verdict=said,
                          critique=row["critique"], rubric=rubric)  # fmt: skip
            log.append(given, log.chain(given.key).head)

    def close(self, *words: str) -> Any:
        """`judgelab round`, untracked."""
        return self("round", *WORDS, "tracking=none", *words)

    def about(self, number: int) -> dict[str, Any]:
        """round.json of a round."""
        path = self.folder / "rounds" / "mine" / str(number) / "round.json"
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
