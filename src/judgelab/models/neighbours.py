"""The offline model: a nearest-demonstration baseline. It is no LLM and reads no rubric.

It sees what any model sees, the messages, and answers in the same format: each demonstration
votes for its verdict with its similarity to the interaction in question.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from judgelab.models.base import COMMON_KEYS, Model, Reply, Request
from judgelab.parsing import parse

WORD = re.compile(r"[^\W_]+", re.UNICODE)
SHARPNESS = 4  # a vote weighs similarity ** SHARPNESS, so that near demonstrations decide


class Neighbours(Model):
    """A similarity-weighted vote of the demonstrations; without any it abstains."""

    local = True
    llm = False

    def __init__(self, name: str = "neighbours") -> None:
        super().__init__(name, endpoint="neighbours", concurrency=1)

    @classmethod
    def unused(cls, node: Mapping[str, Any]) -> Iterable[str]:
        return COMMON_KEYS

    async def complete(self, request: Request) -> Reply:
        turns = [m["content"] for m in request.messages if m["role"] != "system"]
        *shown, question = turns
        demos = list(zip(shown[::2], shown[1::2], strict=True))
        answers = [parse(Reply(answer)) for _, answer in demos]
        votes: dict[str, float] = {"pass": 0.0, "fail": 0.0}
        best: tuple[float, str] = (-1.0, "")
        similarities = _similarities(
            question,
            [
                f"{turn}\n{answer.critique}"
                for (turn, _), answer in zip(demos, answers, strict=True)
            ],
        )
        for similarity, answer in zip(similarities, answers, strict=True):
            if answer.label is not None:
                votes[answer.label] += similarity**SHARPNESS
                best = max(best, (similarity, answer.critique))
        if best[0] == 0:  # nobody shares a word that tells anything: all votes weigh the same
            votes |= Counter(answer.label for answer in answers if answer.label is not None)
        total = sum(votes.values())
        if not total:
            return Reply("", model=self.name)
        label = "fail" if votes["fail"] >= votes["pass"] else "pass"
        critique = f"The closest judged example says: {best[1]}" if best[1] else ""
        text = json.dumps({"critique": critique, "verdict": label}, ensure_ascii=False)
        return Reply(text, model=self.name, confidence=round(votes[label] / total, 6))


def _similarities(question: str, others: list[str]) -> list[float]:
    """Cosine similarities of TF-IDF vectors; the documents are the prompt's own turns."""
    documents = [_counts(text) for text in (question, *others)]
    spread = Counter(word for counts in documents for word in counts)
    idf = {word: math.log((1 + len(documents)) / (1 + n)) for word, n in spread.items()}
    vectors = [
        {word: (1 + math.log(n)) * idf[word] for word, n in counts.items() if idf[word] > 0}
        for counts in documents
    ]
    norms = [math.sqrt(sum(w * w for w in vector.values())) for vector in vectors]
    asked, norm = vectors[0], norms[0]
    return [
        sum(w * vector[word] for word, w in asked.items() if word in vector) / (norm * n)
        if norm and n
        else 0.0
        for vector, n in zip(vectors[1:], norms[1:], strict=True)
    ]


@lru_cache(maxsize=4096)
def _counts(text: str) -> Counter[str]:
    return Counter(WORD.findall(text.casefold()))
