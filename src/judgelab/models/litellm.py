"""Every other provider, through litellm (`name` is litellm's: provider/model)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from judgelab.errors import ConfigError
from judgelab.models.base import CallFailed, Model, Reply, Request
from judgelab.models.retry_after import seconds


class LiteLLM(Model):
    """`base_url` and `api_key_env` are for endpoints that litellm cannot find by itself."""

    def __init__(
        self,
        name: str,
        *,
        base_url: str | None = None,
        endpoint: str | None = None,
        api_key_env: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        reasoning_effort: str | None = None,
        timeout: float = 120.0,
        concurrency: int = 16,
        retries: int = 5,
        price: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            name,
            endpoint=endpoint or base_url or "litellm",
            parameters={
                "temperature": temperature,
                "max_tokens": max_tokens,
                "top_p": top_p,
                "seed": seed,
                "reasoning_effort": reasoning_effort,
            },
            concurrency=concurrency,
            retries=retries,
            price=price,
        )
        self.base_url = base_url
        self.api_key_env = api_key_env
        self.timeout = timeout

    def check(self) -> None:
        if self.api_key_env and not os.environ.get(self.api_key_env):
            raise ConfigError(
                f"model {self.name!r} needs a key: set the environment variable {self.api_key_env}."
            )

    async def complete(self, request: Request) -> Reply:
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")
        import litellm

        litellm.suppress_debug_info = True
        try:
            answer = await litellm.acompletion(
                model=request.model,
                messages=list(request.messages),
                base_url=self.base_url,
                api_key=os.environ.get(self.api_key_env) if self.api_key_env else None,
                timeout=self.timeout,
                num_retries=0,
                max_retries=0,
                drop_params=True,
                **request.parameters,
            )
        except litellm.ContentPolicyViolationError:
            return Reply("", finish="content_filter")
        except litellm.ContextWindowExceededError:
            return Reply("", finish="too_long")
        except Exception as error:
            raise _failed(error) from error
        return _reply(answer)


def _failed(error: Exception) -> CallFailed:
    """litellm's exceptions carry an HTTP status; those without one are transport."""
    status = getattr(error, "status_code", None) or 0
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    return CallFailed(
        str(status or type(error).__name__),
        str(error)[:300],
        retry=status in (0, 408, 409, 429) or status >= 500,
        after=seconds(headers.get("retry-after")),
        closes=status in (401, 403, 404),
    )


def _reply(answer: Any) -> Reply:
    choice = answer.choices[0]
    usage = getattr(answer, "usage", None)
    details = getattr(usage, "prompt_tokens_details", None)
    return Reply(
        text=choice.message.content or "",
        finish=choice.finish_reason or "stop",
        refusal=getattr(choice.message, "refusal", None) or "",
        model=answer.model or "",
        tokens_in=getattr(usage, "prompt_tokens", 0) or 0,
        tokens_out=getattr(usage, "completion_tokens", 0) or 0,
        tokens_cached=getattr(details, "cached_tokens", 0) or 0,
    )
