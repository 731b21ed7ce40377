"""Similarities against an independent implementation."""

from __future__ import annotations

import random

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from builders import WORDS, example, interaction
from judgelab.demos.similarity import Space
from judgelab.types import Example


def some(n: int, seed: int) -> list[Example]:
    """Examples of few words, so that they share some of them, some more than once."""
    rng = random.Random(seed)
    return [
        example(i, input=" ".join(rng.choices(WORDS[:40], k=rng.randrange(9))), output="Über 7_x")
        for i in range(n)
    ]


@pytest.mark.parametrize("n", [1, 2, 30])
def test_they_are_those_of_a_vectorizer(n: int) -> None:
    examples, asked = some(n, 1), [e.interaction for e in some(20, 2)]
    asked.append(interaction("unknown", input="nothing of", output="all that"))
    texts = [f"{e.interaction.input}\n{e.interaction.output}" for e in examples]
    vectorizer = TfidfVectorizer(sublinear_tf=True, token_pattern=r"\w+")
    vectors = vectorizer.fit_transform(texts)
    space = Space(examples)
    for item in asked:
        vector = vectorizer.transform([f"{item.input}\n{item.output}"])
        expected = np.asarray((vectors @ vector.T).todense()).ravel()
        np.testing.assert_allclose(space.to_all(item), expected, atol=1e-12)
    for index in range(n):
        expected = np.asarray((vectors @ vectors[index].T).todense()).ravel()
        np.testing.assert_allclose(space.between(index), expected, atol=1e-12)
        assert space.between(index)[index] == pytest.approx(1)


def test_the_order_of_words_moves_no_digit() -> None:
    """Else equally near examples would be told apart by rounding."""
    words = WORDS[:30]
    forward = example("a", input=" ".join(words), output="")
    backward = example("b", input=" ".join(reversed(words)), output="")
    space = Space([forward, example("c"), backward])
    for item in (e.interaction for e in (forward, example("c"), backward)):
        similar = space.to_all(item)
        assert similar[0] == similar[2]
