"""Any endpoint that speaks Chat Completions, over a bare aiohttp session: the fast path."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from judgelab.errors import ConfigError
from judgelab.models.base import CallFailed, Model, Reply, Request
from judgelab.models.retry_after import seconds

# 400s that belong to the item: the code of the error -> how the reply ended.
ITEM_ERRORS = {
    "content_filter": "content_filter",
    "content_policy_violation": "content_filter",
    "context_length_exceeded": "too_long",
    "string_above_max_length": "too_long",
}
UNSUPPORTED = {"unsupported_parameter", "unsupported_value", "unknown_parameter"}
VERDICT_SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "verdict",
        "schema": {
            "type": "object",
            "properties": {
                "reasoning": {"type": "string"},
                "critique": {"type": "string"},
                "verdict": {"enum": ["pass", "fail"]},
            },
            "required": ["verdict"],
        },
    },
}


class OpenAICompatible(Model):
    """Chat Completions at `<base_url>/chat/completions`.

    `endpoint` is the name that answers are stored under (default: the base URL), so that a moved
    server pays nothing again. `structured` sends a JSON schema. The key is read from the
    environment variable `api_key_env`; null is for servers without one.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        endpoint: str | None = None,
        api_key_env: str | None = None,
        structured: bool = False,
        temperature: float | None = None,
        max_tokens: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        reasoning_effort: str | None = None,
        max_tokens_key: str = "max_tokens",
        timeout: float = 120.0,
        concurrency: int = 16,
        retries: int = 5,
        price: Mapping[str, Any] | None = None,
    ) -> None:
        parameters = {
            "temperature": temperature,
            max_tokens_key: max_tokens,
            "top_p": top_p,
            "seed": seed,
            "reasoning_effort": reasoning_effort,
        }
        super().__init__(
            name,
            endpoint=endpoint or base_url.rstrip("/"),
            parameters=parameters,
            concurrency=concurrency,
            retries=retries,
            price=price,
        )
        self.url = base_url.rstrip("/") + "/chat/completions"
        self.api_key_env = api_key_env
        self.structured = structured
        self.timeout = timeout
        self.rejected: set[str] = set()
        self._session: Any = None

    def response_format(self) -> Mapping[str, Any] | None:
        return VERDICT_SCHEMA if self.structured else None

    def check(self) -> None:
        if self.api_key_env and not os.environ.get(self.api_key_env):
            raise ConfigError(
                f"model {self.name!r} needs a key: set the environment variable "
                f"{self.api_key_env}, or model.api_key_env=null for a server without one."
            )

    async def complete(self, request: Request) -> Reply:
        body: dict[str, Any] = {"model": request.model, "messages": list(request.messages)}
        body |= {k: v for k, v in request.parameters.items() if k not in self.rejected}
        if request.response_format and "response_format" not in self.rejected:
            body["response_format"] = request.response_format
        status, headers, text = await self._post(body)
        if status == 200:
            return _reply(text)
        code, param, message = _error(text)
        if code in ITEM_ERRORS:
            return Reply("", finish=ITEM_ERRORS[code])
        if status == 400 and code in UNSUPPORTED and param in body and param not in self.rejected:
            self.rejected.add(param)
            return await self.complete(request)
        quota = code in ("insufficient_quota", "billing_hard_limit_reached")
        raise CallFailed(
            "quota" if quota else str(status),
            message,
            retry=not quota and (status in (408, 409, 429) or status >= 500),
            after=seconds(headers.get("Retry-After")),
            closes=quota or status in (401, 403, 404),
        )

    async def _post(self, body: Mapping[str, Any]) -> tuple[int, Mapping[str, str], str]:
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(total=self.timeout),
                headers=self._headers(),
            )
        data = json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
        try:
            async with self._session.post(self.url, data=data) as response:
                return response.status, response.headers, await response.text()
        except TimeoutError as error:
            raise CallFailed("timeout", f"no answer in {self.timeout:g} s", retry=True) from error
        except aiohttp.ClientError as error:
            raise CallFailed("connection", type(error).__name__, retry=True) from error

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if self.api_key_env:
            headers["Authorization"] = f"Bearer {os.environ.get(self.api_key_env, '')}"
        return headers

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


def _reply(text: str) -> Reply:
    try:
        body = json.loads(text)
        choice = body["choices"][0]
        message = choice["message"]
        usage = body.get("usage") or {}
        details = usage.get("prompt_tokens_details") or {}
        return Reply(
            text=message.get("content") or "",
            finish=choice.get("finish_reason") or "stop",
            refusal=message.get("refusal") or "",
            model=body.get("model") or "",
            tokens_in=usage.get("prompt_tokens") or 0,
            tokens_out=usage.get("completion_tokens") or 0,
            tokens_cached=details.get("cached_tokens") or 0,
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise CallFailed("malformed", "not a Chat Completions answer", retry=True) from error


def _error(text: str) -> tuple[str, str, str]:
    """(code, param, message) of an error body; empty where it does not say."""
    try:
        error = json.loads(text)["error"]
        return str(error.get("code")), str(error.get("param")), str(error.get("message"))[:300]
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", "", text[:300]
