"""An HTTP endpoint as the system under test."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack
from urllib.parse import urlsplit

from judgelab.errors import ConfigError
from judgelab.generate.inputs import Input
from judgelab.generate.systems.base import LONGEST, Answer, Common, System, SystemFailed
from judgelab.generate.systems.filling import answer_of, check_places, filled, filled_address
from judgelab.models.retry_after import seconds

if TYPE_CHECKING:
    import aiohttp

AGAIN = {408, 425, 429}  # and what a server says of itself: 500 and above
METHODS = ("GET", "POST", "PUT", "PATCH")


class HttpSystem(System):
    """Sends each input to an address, and takes the output out of the response.

    Args:
        url: an address, its scheme and host its own; values in it are URL-encoded.
        method: GET, POST, PUT or PATCH.
        headers: sent as they are.
        api_key_env: the environment variable whose value is sent as `Authorization: Bearer`.
        body: what is sent as JSON, with places in its texts. None: {input: "{input}"}, or nothing
            where the address holds the input.
        response: where the output is in the JSON that comes back, a dotted path such as
            `choices.0.message.content`; None takes the whole text.
        context: more of the response that a judge may see, name -> path.
        metadata: more of the response to keep, name -> path.
    """

    def __init__(
        self,
        url: str,
        method: str = "POST",
        headers: Mapping[str, Any] | None = None,
        api_key_env: str | None = None,
        body: Any = None,
        response: str | None = None,
        context: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        if method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "{" in parts.netloc:
            raise ValueError(
                f"url={url!r} must be http:// or https:// with a host of its own; {{input}} may "
                "stand behind it"
            )
        if body is None and "{input}" not in url:
            body = {"input": "{input}"}
        check_places(url, body, key="system.url and system.body")
        self.url, self.method, self.body, self.response = url, method, body, response
        self.headers = {str(key): str(value) for key, value in (headers or {}).items()}
        self.api_key_env = api_key_env
        self.context, self.metadata = dict(context or {}), dict(metadata or {})
        self._session: aiohttp.ClientSession | None = None

    def check(self) -> None:
        if self.api_key_env and not os.environ.get(self.api_key_env):
            raise ConfigError(
                f"system.api_key_env={self.api_key_env}: that environment variable is not set."
            )

    def preview(self, item: Input) -> str:
        said = f"{self.method} {filled_address(self.url, item)}"
        if self.body is None:
            return said
        return f"{said}\n{json.dumps(filled(self.body, item), ensure_ascii=False, indent=1)}"

    async def answer(self, item: Input) -> Answer:
        import aiohttp
        from yarl import URL

        url = URL(filled_address(self.url, item), encoded=True)
        more = {} if self.body is None else {"json": filled(self.body, item)}
        session = self._opened()
        try:
            async with session.request(self.method, url, allow_redirects=False, **more) as reply:
                text = await _text(reply)
                status, after = reply.status, _after(reply)
        except aiohttp.ClientConnectorError as error:
            raise SystemFailed("connection", str(error), retry=True, unreachable=True) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            detail = f"{type(error).__name__}: {error}"
            raise SystemFailed("connection", detail, retry=True) from error
        if not 200 <= status < 300:
            again = status in AGAIN or status >= 500
            raise SystemFailed(f"HTTP {status}", text, retry=again, after=after)
        return answer_of(text, self.response, self.context, self.metadata)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._session is None:
            key = os.environ.get(self.api_key_env) if self.api_key_env else None
            headers = {**self.headers, **({"Authorization": f"Bearer {key}"} if key else {})}
            limit = aiohttp.TCPConnector(limit=self.concurrency)
            nothing = aiohttp.ClientTimeout(total=None)  # whoever asks counts the time
            self._session = aiohttp.ClientSession(
                headers=headers,
                connector=limit,
                timeout=nothing,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def _after(reply: aiohttp.ClientResponse) -> float:
    return seconds(reply.headers.get("Retry-After"), reply.headers.get("Date"))


async def _text(reply: aiohttp.ClientResponse) -> str:
    """The body as text. Raises SystemFailed where it is longer than can be kept."""
    data = bytearray()
    async for chunk in reply.content.iter_chunked(65_536):
        data += chunk
        if len(data) > LONGEST:
            raise SystemFailed("too long", f"more than {LONGEST:,} bytes")
    return data.decode(_encoding(reply), "replace")


def _encoding(reply: aiohttp.ClientResponse) -> str:
    try:
        "".encode(reply.charset or "utf-8")
    except LookupError:
        return "utf-8"
    return reply.charset or "utf-8"
