"""Every other provider, through litellm (`name` is litellm's: provider/model)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from judgelab.errors import ConfigError
from judgelab.models.base import CallFailed, Model, Rejected, Reply, Request
from judgelab.models.faults import Fault, settle


class LiteLLM(Model):
    """`base_url` and `api_key_env` are for endpoints that litellm cannot find by itself.

    With a `base_url` the key comes from `api_key_env` alone; without one no key is sent.
    """

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
        self.rejected: set[str] = set()

    def check(self) -> None:
        if self.api_key_env and not os.environ.get(self.api_key_env):
            raise ConfigError(
                f"model {self.name!r} needs a key: set the environment variable {self.api_key_env}."
            )

    def _key(self) -> str | None:
        """None lets litellm find the provider's own variable; a named server may need no key."""
        if self.api_key_env:
            return os.environ.get(self.api_key_env)
        return "none" if self.base_url else None

    async def complete(self, request: Request) -> Reply:
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")
        import litellm

        litellm.suppress_debug_info = True
        parameters = {k: v for k, v in request.parameters.items() if k not in self.rejected}
        try:
            answer = await litellm.acompletion(
                model=request.model,
                messages=list(request.messages),
                base_url=self.base_url,
                api_key=self._key(),
                timeout=self.timeout,
                num_retries=0,
                max_retries=0,
                drop_params=True,
                **parameters,
            )
        except litellm.ContentPolicyViolationError:
            return Reply("", finish="content_filter")
        except litellm.ContextWindowExceededError:
            return Reply("", finish="too_long")
        except Exception as error:
            try:
                return _settled(error, parameters, os.environ.get(self.api_key_env or "", ""))
            except Rejected as rejected:
                self.rejected.add(rejected.parameter)
                raise
        return _reply(answer)


def _settled(error: Exception, parameters: Mapping[str, Any], secret: str) -> Reply:
    """litellm's exceptions carry an HTTP status; those without one are transport."""
    status = getattr(error, "status_code", None) or 0
    body = getattr(error, "body", None)
    body = body if isinstance(body, Mapping) else {}
    headers = getattr(error, "litellm_response_headers", None) or {}
    text = str(error).replace(secret, "***") if secret else str(error)
    # A key that is nowhere set comes as a server's error, before anything is sent.
    if "missing credentials" in text.casefold():
        raise CallFailed(str(status), text[:300], closes=True) from error
    if not status:
        raise CallFailed(type(error).__name__, text[:300], retry=True) from error
    return settle(
        Fault(
            status,
            code=str(body.get("code") or ""),
            param=str(body.get("param") or ""),
            message=text,
            retry_after=headers.get("retry-after"),
        ),
        parameters.keys(),
    )


def _reply(answer: Any) -> Reply:
    if not answer.choices:
        raise CallFailed("malformed", "an answer without choices", retry=True)
    choice = answer.choices[0]
    usage = getattr(answer, "usage", None)
    details = getattr(usage, "prompt_tokens_details", None)
    special = getattr(choice.message, "provider_specific_fields", None) or {}
    return Reply(
        text=choice.message.content or "",
        finish=choice.finish_reason or "stop",
        refusal=special.get("refusal") or "",
        model=answer.model or "",
        tokens_in=getattr(usage, "prompt_tokens", 0) or 0,
        tokens_out=getattr(usage, "completion_tokens", 0) or 0,
        tokens_cached=getattr(details, "cached_tokens", 0) or 0,
    )
