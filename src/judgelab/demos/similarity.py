"""How alike interactions are: cosine of TF-IDF vectors of input and output."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judgelab.types import Example, Interaction

WORD = re.compile(r"\w+")


class Space:
    """The TF-IDF space of a set of examples."""

    def __init__(self, examples: Sequence[Example]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._vectorizer = TfidfVectorizer(sublinear_tf=True, token_pattern=WORD.pattern)
        texts = [_text(example.interaction) for example in examples]
        # Without a word in any of them there is nothing to fit: they are all equally far.
        texts = texts if any(map(WORD.search, texts)) else ["no words"] * len(texts)
        self.vectors: Any = self._vectorizer.fit_transform(texts)

    def to_all(self, interaction: Interaction) -> NDArray[np.float64]:
        """Similarity of an interaction to every example, in 0..1."""
        vector = self._vectorizer.transform([_text(interaction)])
        return np.asarray((self.vectors @ vector.T).todense()).ravel()

    def between(self, index: int) -> NDArray[np.float64]:
        """Similarity of one example to every example."""
        return np.asarray((self.vectors @ self.vectors[index].T).todense()).ravel()


def _text(interaction: Interaction) -> str:
    return f"{interaction.input}\n{interaction.output}"
