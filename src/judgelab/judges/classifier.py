"""TF-IDF and logistic regression fitted on train: what the words alone can tell."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from judgelab.calls.line import Calls
from judgelab.data.split import TrainSet
from judgelab.judges.base import Judge
from judgelab.types import Interaction, Label, Verdict

WORD = re.compile(r"\b\w\w+\b")


class ClassifierJudge(Judge):
    """Reads input, output and the context fields in `context` ("all" or a list)."""

    def __init__(self, seed: int = 0, context: str | Sequence[str] = "all") -> None:
        self.seed = seed
        self.context = context
        self._model: Any = None
        self._only: Label | None = None

    @classmethod
    def unused(cls, node: Mapping[str, Any]) -> Iterable[str]:
        return ("rubric", "template", "reasoning", "repeats", "repair")

    def prepare(self, train: TrainSet, calls: Calls) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        labels = [example.label for example in train]
        if len(set(labels)) < 2:
            self._only = labels[0] if labels else None
            return
        self._model = make_pipeline(
            TfidfVectorizer(
                token_pattern=WORD.pattern,
                ngram_range=(1, 2),
                sublinear_tf=True,
                max_features=50_000,
            ),
            LogisticRegression(class_weight="balanced", max_iter=1000, random_state=self.seed),
        )
        texts = [self._text(example.interaction) for example in train]
        if any(map(WORD.search, texts)):  # else there is nothing to fit, and it abstains
            self._model.fit(texts, labels)
        else:
            self._model = None

    async def judge(
        self, interactions: Iterable[Interaction], repeat: int
    ) -> AsyncIterator[Verdict]:
        interactions = list(interactions)
        if self._model is None or not interactions:
            for interaction in interactions:
                reason = None if self._only else "unsure"
                yield Verdict(interaction.id, self._only, reason=reason, repeat=repeat)
            return
        chances = self._model.predict_proba([self._text(item) for item in interactions])
        for interaction, row in zip(interactions, chances, strict=True):
            best = int(row.argmax())
            yield Verdict(
                interaction.id,
                "fail" if self._model.classes_[best] == "fail" else "pass",
                repeat=repeat,
                confidence=round(float(row[best]), 6),
            )

    def _text(self, interaction: Interaction) -> str:
        shown = [
            value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for key, value in interaction.context.items()
            if self.context == "all" or key in self.context
        ]
        return "\n".join([interaction.input, interaction.output, *shown])
