"""Verdicts that something else gave, from a file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from judgelab import resources
from judgelab.data.verdicts import read_verdicts
from judgelab.errors import ConfigError
from judgelab.judges.base import Judge
from judgelab.types import Interaction, Verdict


class RecordedJudge(Judge):
    """`name` picks one judge of a file that holds several; an id without a line is abstained."""

    def __init__(self, path: str, name: str | None = None) -> None:
        self.path = resources.data_path(path)
        judges = read_verdicts(self.path)
        if name is None and len(judges) > 1:
            raise ConfigError(f"{path} holds several judges: set judge.name={'|'.join(judges)}.")
        if name is not None and name not in judges:
            raise ConfigError(f"judge.name={name}: {path} holds {', '.join(judges)}.")
        self.verdicts = judges[name] if name else next(iter(judges.values()))
        self.repeats = 1 + max(repeat for _, repeat in self.verdicts)

    def texts(self) -> dict[str, str]:
        return {f"recorded{self.path.suffix}": self.path.read_text(encoding="utf-8-sig")}

    async def judge(
        self, interactions: Iterable[Interaction], repeat: int
    ) -> AsyncIterator[Verdict]:
        for interaction in interactions:
            given = self.verdicts.get((interaction.id, repeat))
            yield given or Verdict(interaction.id, None, reason="missing", repeat=repeat)
