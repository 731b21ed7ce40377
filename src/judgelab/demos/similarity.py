"""How alike interactions are: cosine of TF-IDF vectors of input and output.

Written out, because one import of a vectorizer costs more than all the similarities of a sweep,
and each of its transforms more than a call to a model.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from judgelab.types import Example, Interaction

WORD = re.compile(r"\w+")

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


class Space:
    """The TF-IDF space of a set of examples: (1 + ln tf) (1 + ln((1 + n) / (1 + df))), length 1."""

    def __init__(self, examples: Sequence[Example]) -> None:
        counts = [_counts(example.interaction) for example in examples]
        spread = Counter(word for words in counts for word in words)
        self._words = {word: place for place, word in enumerate(sorted(spread))}
        spreads = np.array([spread[word] for word in self._words], dtype=np.int64)
        self._idf = 1 + np.log((1 + len(examples)) / (1 + spreads))
        self._vectors = [self._vector(words) for words in counts]
        # By word: in which examples it is, and what it weighs there.
        places = np.concatenate([places for places, _ in self._vectors])
        order = np.argsort(places, kind="stable")
        lengths = [len(places) for places, _ in self._vectors]
        self._owners = np.repeat(np.arange(len(examples)), lengths)[order]
        self._weights = np.concatenate([weights for _, weights in self._vectors])[order]
        self._ends = np.cumsum(spreads)

    def to_all(self, interaction: Interaction) -> Floats:
        """Similarity of an interaction to every example, in 0..1."""
        return self._to_all(*self._vector(_counts(interaction)))

    def between(self, index: int) -> Floats:
        """Similarity of one example to every example."""
        return self._to_all(*self._vectors[index])

    def _vector(self, counts: Mapping[str, int]) -> tuple[Indices, Floats]:
        """Places and weights of the words that the space knows, by place."""
        known = {self._words[word]: n for word, n in counts.items() if word in self._words}
        places = np.fromiter(known, np.int64, len(known))
        times = np.fromiter(known.values(), np.float64, len(known))
        order = places.argsort()
        weights = (1 + np.log(times[order])) * self._idf[places[order]]
        return places[order], weights / (np.sqrt(weights @ weights) or 1)

    def _to_all(self, places: Indices, weights: Floats) -> Floats:
        ends = self._ends[places]
        lengths = ends - np.where(places > 0, self._ends[places - 1], 0)
        at = np.repeat(ends - np.cumsum(lengths), lengths) + np.arange(lengths.sum())
        shares = np.repeat(weights, lengths) * self._weights[at]
        return np.asarray(np.bincount(self._owners[at], shares, len(self._vectors)), np.float64)


def _counts(interaction: Interaction) -> Counter[str]:
    return Counter(WORD.findall(f"{interaction.input}\n{interaction.output}".lower()))
