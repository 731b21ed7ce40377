"""What a run's judge said, for the expert's room: shown once the expert has decided."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from judgelab.data.remarks import Remark, RemarkLog
from judgelab.errors import UserError
from judgelab.scoring import majority
from judgelab.tracking.folder import RunFolder
from judgelab.types import Label, Verdict


@dataclass(frozen=True)
class Opinion:
    """Of one item: `sure` is the judge's confidence, or else the share of its repeats that agree;
    None where nothing says how sure it was."""

    verdict: Label
    critique: str
    sure: float | None


@dataclass
class Told:
    """The opinions of a run's judge by item, and the remarks on them.

    An item whose texts are others than those that were judged has no opinion. `agreement` is the
    run's, under the labels that it saw.
    """

    run: str
    name: str
    opinions: Mapping[str, Opinion]
    log: RemarkLog
    agreement: Mapping[str, Any]
    content: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: RunFolder, log: RemarkLog, content: Mapping[str, str]) -> Told:
        """`content` is the hash of each item's texts.

        Raises:
            UserError: a run on test, whose texts stay closed, an incomplete one, or of other data.
        """
        record = folder.record
        if record["part"] == "test":
            raise UserError(
                f"{folder.id} is a look at test, and test stays closed: what is read there would "
                "go into the rubric. Give the run on dev."
            )
        if not folder.complete:
            raise UserError(f"{folder.id} is not complete: {folder.unranked}.")
        judged = {row["id"]: row["content"] for row in folder.assignment}
        fitting = [one for one in folder.verdicts if judged.get(one.id) == content.get(one.id, "")]
        if not fitting:
            raise UserError(
                f"{folder.id} judged {record['dataset']['name']}, and none of its items is in this "
                "dataset as it was judged. Give the run's own dataset=..."
            )
        agreement = folder.scores["metrics"]["agreement"]
        return cls(folder.id, record["name"], _opinions(fitting), log, agreement, content)

    def differs(self, id_: str, label: str) -> bool:
        """Whether the judge gave the other verdict; an abstention is none."""
        opinion = self.opinions.get(id_)
        return opinion is not None and {label, opinion.verdict} == {"pass", "fail"}

    def agrees(self, id_: str, label: str) -> bool:
        opinion = self.opinions.get(id_)
        return opinion is not None and opinion.verdict == label

    def remark(self, expert: str, id_: str) -> Remark | None:
        """The one on an item; see `remarks`."""
        return self.log.on(expert, id_, self.content.get(id_, ""), self.run)

    def remarks(self, expert: str) -> dict[str, Remark]:
        """By item, those that still fit its texts and the judge's verdict."""
        return {
            one.id: one
            for one in self.log.of(expert, self.run)
            if self.content.get(one.id) == one.content
        }


def _opinions(verdicts: Sequence[Verdict]) -> dict[str, Opinion]:
    decided = majority(verdicts)
    by_id: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        by_id[verdict.id].append(verdict)
    found = {}
    for id_, given in by_id.items():
        if (winner := decided[id_]) is not None:
            agreeing = [one for one in given if one.verdict == winner]
            found[id_] = Opinion(winner, agreeing[0].critique, _sure(given, agreeing))
    return found


def _sure(given: Sequence[Verdict], agreeing: Sequence[Verdict]) -> float | None:
    confidences = [one.confidence for one in agreeing if one.confidence is not None]
    if confidences:
        return sum(confidences) / len(confidences) * len(agreeing) / len(given)
    return len(agreeing) / len(given) if len(given) > 1 else None
