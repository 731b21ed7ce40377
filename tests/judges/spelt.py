"""Judges that are spelt: a letter a verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from builders import examples, interaction, train_set
from judgelab.calls.line import Calls
from judgelab.calls.pool import Pool
from judgelab.judges.base import Judge
from judgelab.models.base import CallFailed
from judgelab.types import Interaction, Verdict

WORDS = {"p": "pass", "f": "fail"}


class Says(Judge):
    """One letter an item: p, f, or - for an abstention; a `.` is no verdict at all. Its repeats
    read on in the same word."""

    def __init__(self, word: str, repeats: int = 1, confidence: float | None = None) -> None:
        self.word, self.repeats, self.confidence = word, repeats, confidence

    def prepare(self, train: Any, calls: Calls) -> None:
        self.calls = calls

    async def judge(self, interactions: Iterable[Interaction], repeat: int) -> Any:
        for item in interactions:
            letter = self.word[int(item.id[1:]) * self.repeats + repeat % self.repeats]
            if letter == ".":
                self.calls.failed(CallFailed("500", "down"), item.id, repeat)
                continue
            await asyncio.sleep(0)
            label: Any = WORDS.get(letter)
            reason = None if label else "refusal"
            yield Verdict(item.id, label, reason, f"{letter}{repeat}", repeat, self.confidence)


def ready(judge: Judge, folder: Path | None = None) -> Calls:
    calls = Calls(Pool())
    train: Any = train_set(examples(12), folder) if folder else []
    judge.prepare(train, calls)
    return calls


def judged(judge: Judge, n: int, repeat: int = 0) -> dict[str, Verdict]:
    async def main() -> list[Verdict]:
        items = [interaction(i) for i in range(n)]
        return [verdict async for verdict in judge.judge(items, repeat)]

    found = asyncio.run(main())
    assert len({verdict.id for verdict in found}) == len(found)
    return {verdict.id: verdict for verdict in found}
