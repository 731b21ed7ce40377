"""What a Chat Completions answer says, in the shapes that servers give it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from judgelab.models.base import CallFailed, Reply
from judgelab.models.logprobs import confidence

# How an answer ended, in the words of the servers and in ours; all others are a stop.
FINISH = {
    **dict.fromkeys(("length", "max_tokens", "model_length"), "length"),
    **dict.fromkeys(("content_filter", "refusal", "sensitive"), "content_filter"),
    # Gemini's
    **dict.fromkeys(("safety", "recitation", "blocklist"), "content_filter"),
    **dict.fromkeys(("prohibited_content", "spii", "image_safety"), "content_filter"),
}
ERRORS = {str(status) for status in range(400, 600)}
# Cached prompt tokens outside `prompt_tokens_details`: DeepSeek, Anthropic's words, Moonshot.
CACHED = ("prompt_cache_hit_tokens", "cache_read_input_tokens", "cached_tokens")


def read(body: Any) -> Reply:
    """The reply in an answer; thoughts (`reasoning_content`) are no part of it."""
    try:
        choice = body["choices"][0]
        message = choice["message"]
        content = message.get("content") or ""
        text = content if isinstance(content, str) else _joined(content)
        reason = choice.get("finish_reason")
        if reason == "error":
            raise CallFailed("malformed", "the answer broke off", retry=True)
        logprobs = choice.get("logprobs")
        return Reply(
            text=text,
            finish=finish(reason),
            refusal=message.get("refusal") or "",
            model=str(body.get("model") or ""),
            confidence=confidence(text, logprobs) if logprobs else None,
            **_usage(body.get("usage")),
        )
    except (KeyError, IndexError, TypeError, AttributeError):
        raise CallFailed("malformed", "not a Chat Completions answer", retry=True) from None


def _joined(parts: Any) -> str:
    """The text of an answer in parts; thoughts are other parts."""
    return "".join(part["text"] for part in parts if part.get("type") in ("text", "output_text"))


def finish(reason: Any) -> str:
    """In our words; Gemini's are in capitals, some with more behind a colon."""
    return FINISH.get(str(reason).split(":")[0].strip().casefold(), "stop")


def _usage(usage: Any) -> dict[str, Any]:
    if not isinstance(usage, Mapping):
        return {}
    prompt, answer = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if prompt:  # Gemini and others leave the tokens of thoughts, which are paid for, to the total
        answer = max(answer, _count(usage.get("total_tokens")) - prompt)
    details = usage.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, Mapping) else 0
    for other in CACHED:
        cached = cached or _count(usage.get(other))
    return {"tokens_in": prompt, "tokens_out": answer, "tokens_cached": min(cached, prompt)}


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def hidden_error(body: Any) -> Any:
    """The error in an answer that came as a success, as OpenRouter sends them; None for none."""
    if not isinstance(body, Mapping):
        return None
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return body.get("error") or (first.get("error") if isinstance(first, Mapping) else None)


def error_status(error: Any) -> int:
    """The HTTP status that an error names as its code; a server's fault where it names none."""
    code = str(error.get("code")) if isinstance(error, Mapping) else ""
    return int(code) if code in ERRORS else 500
