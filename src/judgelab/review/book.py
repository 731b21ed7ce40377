"""The rubric in the room: what is in force, what it draws on, and who may decide."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from judgelab.data.remarks import Remark, RemarkLog
from judgelab.data.rubrics import RubricLog

MATERIAL = 30  # remarks that are listed, the newest


@dataclass(frozen=True)
class Book:
    """`parts` gives the part of each item that is assigned; `begun` says that a round was closed
    before the room opened, and `older` what the rounds froze under others than a rubric, by its
    hash and the hash of each item's texts."""

    log: RubricLog
    remarks: RemarkLog
    parts: Callable[[], Mapping[str, str]] = dict
    begun: bool = False
    older: Callable[[str, Mapping[str, str]], Collection[str]] = lambda rubric, content: ()

    def refresh(self) -> None:
        self.log.refresh()
        self.remarks.refresh()

    @property
    def first_round(self) -> bool:
        """Whether no round was closed, no version accepted and nothing said of a judge yet: then
        the rubric is folded away, so that the first labels are the expert's own."""
        accepted = any(one.kind == "accepted" for one in self.log.entries)
        return not self.begun and not accepted and not self.remarks.all

    @property
    def material(self) -> Sequence[Remark]:
        """Comments on disagreements that a proposal may draw on, the newest first. What was said of
        an item of test is none: the rubric would be written from it."""
        parts = self.parts()
        found = [one for one in self.remarks.all if one.teaches and parts.get(one.id) != "test"]
        return found[::-1][:MATERIAL]
