"""Any endpoint that speaks Chat Completions, over a bare aiohttp session: the fast path."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from judgelab.errors import ConfigError
from judgelab.models.base import CallFailed, Model, Rejected, Reply, Request
from judgelab.models.faults import Fault, settle

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


PATH = "/chat/completions"


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
        self.url = base_url.rstrip("/") + PATH
        self.api_key_env = api_key_env
        self.structured = structured
        self.timeout = timeout
        self.rejected: set[str] = set()
        self._session: Any = None

    def response_format(self) -> Mapping[str, Any] | None:
        return VERDICT_SCHEMA if self.structured else None

    def check(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ConfigError(
                f"model.base_url={self.url.removesuffix(PATH)}: it starts with http:// or https://."
            )
        if self.api_key_env and not self._key():
            raise ConfigError(
                f"model {self.name!r} needs a key: set the environment variable "
                f"{self.api_key_env}, or model.api_key_env=null for a server without one."
            )

    async def complete(self, request: Request) -> Reply:
        body: dict[str, Any] = {"model": request.model, "messages": list(request.messages)}
        body |= {k: v for k, v in request.parameters.items() if k not in self.rejected}
        if request.response_format and "response_format" not in self.rejected:
            body["response_format"] = request.response_format
        status, headers, data = await self._post(body)
        if status == 200:
            return _reply(data)
        code, param, message = _error(data)
        fault = Fault(status, code, param, message, headers.get("Retry-After"))
        try:
            return settle(fault, body.keys() - {"model", "messages"}, self._key())
        except Rejected:
            self.rejected.add(param)
            raise

    async def _post(self, body: Mapping[str, Any]) -> tuple[int, Mapping[str, str], bytes]:
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(total=self.timeout),
                headers=self._headers(),
            )
        data = json.dumps(body).encode()
        try:
            async with self._session.post(self.url, data=data) as response:
                return response.status, response.headers, await response.read()
        except TimeoutError as error:
            raise CallFailed("timeout", f"no answer in {self.timeout:g} s", retry=True) from error
        except aiohttp.ClientError as error:
            raise CallFailed("connection", type(error).__name__, retry=True) from error

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if self.api_key_env:
            headers["Authorization"] = f"Bearer {self._key()}"
        return headers

    def _key(self) -> str:
        return os.environ.get(self.api_key_env, "").strip() if self.api_key_env else ""

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


def _reply(data: bytes) -> Reply:
    try:
        body = json.loads(data)
        choice = body["choices"][0]
        message = choice["message"]
        usage = body.get("usage") or {}
        details = usage.get("prompt_tokens_details") or {}
        return Reply(
            text=message.get("content") or "",
            finish=choice.get("finish_reason") or "stop",
            refusal=message.get("refusal") or "",
            model=body.get("model") or "",
            tokens_in=_count(usage.get("prompt_tokens")),
            tokens_out=_count(usage.get("completion_tokens")),
            tokens_cached=_count(details.get("cached_tokens")),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise CallFailed("malformed", "not a Chat Completions answer", retry=True) from error


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _error(data: bytes) -> tuple[str, str, str]:
    """(code, param, message) of an error body; empty where it does not say."""
    text = data.decode("utf-8", "replace")
    try:
        error = json.loads(text)["error"]
        return str(error.get("code")), str(error.get("param")), str(error.get("message"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", "", text
