"""What an endpoint's error means: the fault of the item, a parameter, the account or the moment."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from judgelab.models.base import CallFailed, Rejected, Reply
from judgelab.models.retry_after import seconds

# Errors that belong to the item: their code -> how the reply ended.
ITEM_ERRORS = {
    "content_filter": "content_filter",
    "content_policy_violation": "content_filter",
    "context_length_exceeded": "too_long",
    "string_above_max_length": "too_long",
}
# Servers that give no such code say it in words (vLLM, llama.cpp, proxies).
TOO_LONG = re.compile(
    r"maximum context length|context (length|window|size)|prompt is too long|input is too long",
    re.I,
)
UNSUPPORTED = {"unsupported_parameter", "unsupported_value", "unknown_parameter"}
NO_QUOTA = {"insufficient_quota", "billing_hard_limit_reached"}


@dataclass(frozen=True)
class Fault:
    """An error answer: HTTP status, and what its body and headers say, empty where nothing."""

    status: int
    code: str = ""
    param: str = ""
    message: str = ""
    retry_after: str | None = None


def settle(fault: Fault, optional: Collection[str], secret: str = "") -> Reply:
    """The reply where the item itself was refused; `optional` may be left out of the request.

    Raises:
        Rejected: one of `optional` is not taken.
        CallFailed: everything else; `secret` is blotted out of what it says.
    """
    message = fault.message.replace(secret, "***") if secret else fault.message
    if fault.code in ITEM_ERRORS:
        return Reply("", finish=ITEM_ERRORS[fault.code])
    if fault.status in (400, 413) and TOO_LONG.search(message):
        return Reply("", finish="too_long")
    if fault.status == 400 and fault.code in UNSUPPORTED and fault.param in optional:
        raise Rejected(fault.param, message)
    quota = fault.code in NO_QUOTA
    raise CallFailed(
        "quota" if quota else str(fault.status),
        message[:300],
        retry=not quota and (fault.status in (408, 409, 429) or fault.status >= 500),
        after=seconds(fault.retry_after),
        closes=quota or fault.status in (401, 403, 404),
    )
