"""A judge that is code: a predicate with a critique."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

from judgelab import resources
from judgelab.errors import ConfigError
from judgelab.judges.base import Judge
from judgelab.types import Interaction, Verdict


class AssertionJudge(Judge):
    """`check` is the dotted path of a function: Interaction -> (passed, critique), or None.

    None abstains, for interactions that the assertion has nothing to say of.
    """

    def __init__(self, check: str) -> None:
        self.name = check
        self.check_one = resources.python_object(check, "judge.check")
        if not callable(self.check_one):
            raise ConfigError(f"judge.check={check} is no function.")

    @classmethod
    def of(cls, check: Callable[[Interaction], Any]) -> AssertionJudge:
        """Of a function that no config names."""
        made = cls.__new__(cls)
        made.name, made.check_one = getattr(check, "__name__", "check"), check
        return made

    def verdict(self, interaction: Interaction) -> Verdict:
        """Of one interaction. Raises ConfigError for an answer that is none."""
        return self._one(interaction, 0)

    def texts(self) -> dict[str, str]:
        try:
            source = inspect.getsourcefile(inspect.unwrap(self.check_one))
        except TypeError:  # of a callable object or a builtin
            source = inspect.getsourcefile(type(self.check_one))
        return {"assertion.py": Path(source).read_text(encoding="utf-8")} if source else {}

    async def judge(
        self, interactions: Iterable[Interaction], repeat: int
    ) -> AsyncIterator[Verdict]:
        for interaction in interactions:
            yield self._one(interaction, repeat)

    def _one(self, interaction: Interaction, repeat: int) -> Verdict:
        try:
            answer: Any = self.check_one(interaction)
        except Exception as error:
            critique = f"{self.name} raised {type(error).__name__}: {error}"
            return Verdict(
                interaction.id, None, reason="unparsable", critique=critique, repeat=repeat
            )
        if answer is None:
            return Verdict(interaction.id, None, reason="unsure", repeat=repeat)
        passed, critique = answer if isinstance(answer, tuple) and len(answer) == 2 else (None, "")
        if passed not in (True, False):
            raise ConfigError(
                f"judge.check={self.name} gave {answer!r} for item {interaction.id!r}; "
                "it returns (True or False, critique), or None to abstain."
            )
        return Verdict(
            interaction.id,
            "pass" if passed else "fail",
            critique=str(critique or ""),
            repeat=repeat,
        )
