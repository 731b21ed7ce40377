"""How sure a model was of its verdict: the probability of the tokens that spell it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from judgelab.models.base import Reply
from judgelab.parsing import after_thoughts, parse

# Within a JSON text an inner quotation mark is escaped: no critique can hold a match.
VERDICT = re.compile(r'(?<!\\)"\s*verdict\s*"\s*:\s*"\s*(pass|fail)\s*"', re.I)


def confidence(text: str, logprobs: Any) -> float | None:
    """The product of the probabilities of the tokens that hold the verdict's value.

    `logprobs` is what the endpoint gives for the answer: {content: [{token, logprob, bytes}]}.
    None where the text has no verdict, or its place among the tokens is not certain.
    """
    thoughts = len(text) - len(after_thoughts(text))
    found = list(VERDICT.finditer(text, thoughts))
    if len(found) != 1 or parse(Reply(text)).label != found[0][1].casefold():
        return None
    try:
        start = len(text[: found[0].start(1)].encode())
        return _probability(logprobs["content"], text.encode(), start, len(found[0][1]))
    except (TypeError, ValueError, KeyError, AttributeError):  # tokens of another shape
        return None


def _probability(
    tokens: Sequence[Mapping[str, Any]], text: bytes, start: int, length: int
) -> float | None:
    spelled = [
        bytes(token["bytes"]) if isinstance(token.get("bytes"), list) else token["token"].encode()
        for token in tokens
    ]
    # Reasoning may stand before the answer, and an end mark after it.
    begin = b"".join(spelled).rfind(text)
    if begin < 0:
        return None
    begin += start
    end = begin + length
    total, at = 0.0, 0
    for token, piece in zip(tokens, spelled, strict=True):
        if at < end and at + len(piece) > begin:
            total += float(token["logprob"])
        at += len(piece)
    return None if math.isnan(total) else round(math.exp(min(0.0, total)), 6)
