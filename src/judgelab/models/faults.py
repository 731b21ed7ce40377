"""What an endpoint's error means: the fault of the item, a parameter, the account or the moment."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from judgelab.models.base import CallFailed, Rejected, Reply
from judgelab.models.secrets import blot

# Errors that belong to the item: their code -> how the reply ended.
ITEM_ERRORS = {
    "content_filter": "content_filter",
    "content_policy_violation": "content_filter",
    "context_length_exceeded": "too_long",
    "string_above_max_length": "too_long",
}
# Servers that give no such code say it in words (vLLM, llama.cpp, Gemini, proxies).
TOO_LONG = re.compile(
    r"maximum context length|context (length|window|size)|(prompt|input|request) is too long"
    r"|token count.{1,40} exceeds",
    re.I,
)
FILTERED = re.compile(
    r"content[ _-](filter|policy|management)|requires moderation|(input|prompt) was flagged", re.I
)
UNSUPPORTED = {"unsupported_parameter", "unsupported_value", "unknown_parameter"}
NOT_TAKEN = re.compile(
    r"not (support|allowed|permitted|enabled|available|recogni[sz]ed|accept)|n't support"
    r"|unsupported|unavailable|unrecogni[sz]ed|unknown|unexpected|extra (inputs|fields)"
    r"|deprecated|cannot find field",
    re.I,
)
# Parameters that servers also call by other names.
SPELLINGS = {
    "response_format": r"response.?format|json.?schema|structured.?outputs?|text\.format",
    "reasoning_effort": r"reasoning([._ ]?effort)?|thinking|effort",
    "logprobs": r"(top_)?logprobs",
}
OTHER_NAME = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
NO_QUOTA = {"insufficient_quota", "billing_hard_limit_reached"}
OUT_OF_MONEY = re.compile(
    r"insufficient (balance|credits?|funds|quota)|credit balance is too low", re.I
)
BAD_KEY = re.compile(r"api key (not valid|is invalid|expired)|(invalid|incorrect) api key", re.I)
# Gemini and others say in words alone how long to wait.
WAIT = re.compile(r"(?:retry|try again) in (\d+(?:\.\d+)?) ?(ms|s)\b", re.I)
LONGEST_DETAIL = 300


@dataclass(frozen=True)
class Fault:
    """An error answer: HTTP status, what its body says, and the seconds that it asks to wait."""

    status: int
    code: str = ""
    param: str = ""
    message: str = ""
    after: float = 0.0


def fault(status: int, body: Any, text: str, after: float = 0.0) -> Fault:
    """What an error body says, in the shapes that servers give it; `text` is the body as it came.

    OpenAI and most: {error: {message, param, code}}; Gemini: a list with one of these; Ollama:
    {error: text}; FastAPI: {detail: text or [{loc, msg}]}; older vLLM: the error as it is.
    """
    if isinstance(body, list) and body:
        body = body[0]
    error = body.get("error") or body if isinstance(body, Mapping) else {}
    if isinstance(error, str):
        return Fault(status, message=error, after=after)
    detail = error.get("detail")
    if isinstance(detail, list) and detail and isinstance(detail[0], Mapping):
        place = detail[0].get("loc")
        param = ".".join(map(str, place[1:])) if isinstance(place, list) else ""
        return Fault(status, "", param, _said(detail[0].get("msg")), after)
    more = error.get("metadata")
    message = _said(error.get("message")) or _said(detail) or text
    if isinstance(more, Mapping) and more.get("raw"):  # OpenRouter: what its provider said
        message = f"{message}: {more['raw']}"
    return Fault(status, _said(error.get("code")), _said(error.get("param")), message, after)


def settle(fault: Fault, optional: Collection[str], secrets: Iterable[str] = ()) -> Reply:
    """The reply where the item itself was refused; `optional` may be left out of the request.

    Raises:
        Rejected: one of `optional` is not taken.
        CallFailed: everything else; `secrets` are blotted out of what it says.
    """
    status, code = fault.status, fault.code
    message = blot(fault.message, secrets)
    if code in ITEM_ERRORS:
        return Reply("", finish=ITEM_ERRORS[code])
    if status in (400, 413, 422) and TOO_LONG.search(message):
        return Reply("", finish="too_long")
    if status in (400, 403) and FILTERED.search(message):
        return Reply("", finish="content_filter")
    if status in (400, 403, 422) and (name := _rejected(fault, optional)):
        other = OTHER_NAME.get(name, "")
        raise Rejected(
            name, message[:LONGEST_DETAIL], instead=other if _names(other, message) else None
        )
    quota = (
        code in NO_QUOTA
        or (status == 402 and not fault.after)
        or (status < 500 and OUT_OF_MONEY.search(message))
    )
    wrong_key = status == 400 and BAD_KEY.search(message)
    raise CallFailed(
        "quota" if quota else "401" if wrong_key else str(status),
        message[:LONGEST_DETAIL],
        retry=not quota and (status in (402, 408, 409, 425, 429) or status >= 500),
        after=fault.after or (_wait(message) if status == 429 else 0.0),
        closes=bool(quota or wrong_key) or status in (401, 403, 404, 405) or 300 <= status < 400,
    )


def _rejected(fault: Fault, optional: Collection[str]) -> str:
    """Which of `optional` the endpoint does not take: the one it names first; "" where none."""
    if fault.code not in UNSUPPORTED and not NOT_TAKEN.search(fault.message):
        return ""
    where = fault.param or fault.message
    places = {name: found.start() for name in optional if (found := _names(name, where))}
    return min(places, key=places.__getitem__, default="")


def _names(name: str, text: str) -> re.Match[str] | None:
    return _spelling(name).search(text) if name else None


@cache
def _spelling(name: str) -> re.Pattern[str]:
    """A parameter's name in any case of letters: max_tokens, maxTokens, "Max tokens"."""
    words = SPELLINGS.get(name) or re.escape(name).replace("_", "[_ ]?")
    return re.compile(rf"(?<![a-z_])(?:{words})(?![a-z_])", re.I)


def _wait(message: str) -> float:
    found = WAIT.search(message)
    return float(found[1]) / (1000 if found[2].casefold() == "ms" else 1) if found else 0.0


def _said(value: Any) -> str:
    return "" if value is None else str(value)
