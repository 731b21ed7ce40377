"""Every other provider, through litellm (`name` is litellm's: provider/model)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Unpack

from judgelab.models.answers import finish
from judgelab.models.base import CallFailed, Common, Rejected, Reply, Request
from judgelab.models.endpoint import EndpointModel
from judgelab.models.faults import Fault, settle
from judgelab.models.retry_after import seconds
from judgelab.models.secrets import blot, known


class LiteLLM(EndpointModel):
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
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            name,
            endpoint=endpoint or base_url or "litellm",
            base_url=base_url,
            api_key_env=api_key_env,
            **common,
        )

    def secrets(self) -> Iterable[str]:
        """Without `api_key_env` litellm looks for the key itself: any of these may be it."""
        if self.api_key_env:
            return (self.key,)
        return known().values()

    async def complete(self, request: Request) -> Reply:
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")
        import litellm

        litellm.suppress_debug_info = True
        parameters = self.taken(request.parameters)
        try:
            async with asyncio.timeout(self.timeout):  # its own timeout starts anew at each byte
                answer = await litellm.acompletion(
                    model=request.model,
                    messages=list(request.messages),
                    base_url=self.base_url,
                    # None lets litellm find the provider's own; a named server may need none.
                    api_key=self.key or ("none" if self.base_url else None),
                    timeout=self.timeout,
                    num_retries=0,
                    max_retries=0,
                    drop_params=True,
                    **parameters,
                )
        except TimeoutError:
            raise CallFailed("timeout", f"no answer in {self.timeout:g} s", retry=True) from None
        except litellm.ContentPolicyViolationError:
            return Reply("", finish="content_filter")
        except litellm.ContextWindowExceededError:
            return Reply("", finish="too_long")
        except Exception as failure:
            error = failure
        else:
            return _reply(answer)
        # Outside of the handler: no traceback of ours shows litellm's words, or a key in them.
        try:
            return _settled(error, parameters.keys(), list(self.secrets()))
        except Rejected as rejected:
            self.leave_out(rejected)
            raise


def _settled(error: Exception, optional: Collection[str], secrets: Collection[str]) -> Reply:
    """litellm's exceptions carry an HTTP status; those without one are transport."""
    status = getattr(error, "status_code", None) or 0
    body = getattr(error, "body", None)
    body = body if isinstance(body, Mapping) else {}
    headers = getattr(error, "litellm_response_headers", None) or {}
    text = str(error)
    # A key that is nowhere set comes as a server's error, before anything is sent.
    if "missing credentials" in text.casefold():
        raise CallFailed(str(status), blot(text, secrets)[:300], closes=True)
    if not status:
        raise CallFailed(type(error).__name__, blot(text, secrets)[:300], retry=True)
    return settle(
        Fault(
            status,
            code=str(body.get("code") or ""),
            param=str(body.get("param") or ""),
            message=text,
            after=seconds(headers.get("retry-after"), headers.get("date")),
        ),
        optional,
        secrets,
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
        finish=finish(choice.finish_reason),
        refusal=special.get("refusal") or "",
        model=answer.model or "",
        tokens_in=getattr(usage, "prompt_tokens", 0) or 0,
        tokens_out=getattr(usage, "completion_tokens", 0) or 0,
        tokens_cached=getattr(details, "cached_tokens", 0) or 0,
    )
