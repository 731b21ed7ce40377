"""Any endpoint that speaks Chat Completions, over a bare aiohttp session: the fast path."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Unpack
from urllib.parse import urlsplit

from judgelab.errors import UnreadyError
from judgelab.models.answers import error_status, hidden_error, read
from judgelab.models.base import CallFailed, Common, Rejected, Reply, Request
from judgelab.models.endpoint import EndpointModel
from judgelab.models.faults import fault, settle
from judgelab.models.retry_after import seconds

# Not `strict`, which would demand every property in every answer: judge.reasoning says which of
# them the prompt asks for. An order is kept: a model that thinks first writes its thoughts first.
VERDICT_SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "verdict",
        "schema": {
            "type": "object",
            "properties": {
                "reasoning": {"type": "string"},
                "critique": {"type": "string"},
                "verdict": {"type": "string", "enum": ["pass", "fail"]},
            },
            "required": ["verdict"],
        },
    },
}
PATH = "/chat/completions"
MOST_BYTES = 8 * 2**20  # of an answer; a longer one is no verdict
SUCCESS = range(200, 300)


class OpenAICompatible(EndpointModel):
    """Chat Completions at `<base_url>/chat/completions`.

    `endpoint` is the name that answers are stored under (default: the base URL), so that a moved
    server pays nothing again. `structured` sends a JSON schema, `logprobs` asks for the
    probabilities that become the verdict's confidence.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        endpoint: str | None = None,
        api_key_env: str | None = None,
        structured: bool = False,
        logprobs: bool = False,
        max_tokens_key: str = "max_tokens",
        **common: Unpack[Common],
    ) -> None:
        address = base_url.rstrip("/")
        super().__init__(
            name,
            endpoint=endpoint or address,
            base_url=base_url,
            api_key_env=api_key_env,
            parameters={
                "logprobs": logprobs or None,
                max_tokens_key: common.pop("max_tokens", None),
            },
            **common,
        )
        self.url = address + PATH
        self.structured = structured
        self._session: Any = None

    def response_format(self) -> Mapping[str, Any] | None:
        return VERDICT_SCHEMA if self.structured else None

    def check(self) -> None:
        if not self.url.startswith(("http://", "https://")) or not urlsplit(self.url).hostname:
            raise UnreadyError(
                f"model.base_url={self.url.removesuffix(PATH)}: it starts with http:// or https:// "
                "and a host."
            )
        super().check()

    async def complete(self, request: Request) -> Reply:
        optional = self._optional(request)
        status, headers, data = await self._post(self._body(request, optional))
        body = _json(data)
        if status in SUCCESS:
            error = hidden_error(body)
            if not error:
                return read(body)
            body, status = {"error": error}, error_status(error)
        after = seconds(headers.get("Retry-After"), headers.get("Date"))
        said = fault(status, body, data.decode("utf-8", "replace"), after)
        try:
            return settle(said, optional.keys(), self.secrets())
        except Rejected as rejected:
            self.leave_out(rejected)
            raise

    def _optional(self, request: Request) -> Mapping[str, Any]:
        """What is sent beside the question, and may be left out of it."""
        wanted = request.parameters
        if request.response_format:
            wanted = {**wanted, "response_format": request.response_format}
        return self.taken(wanted)

    def _body(self, request: Request, optional: Mapping[str, Any]) -> bytes:
        rest = json.dumps({"model": request.model, **optional})
        body = f'{{"messages":{request.messages_json},{rest[1:]}'
        # A lone surrogate is no UTF-8: it goes as the escape that JSON has for it.
        return body.encode("utf-8", "backslashreplace")

    async def _post(self, data: bytes) -> tuple[int, Mapping[str, str], bytes]:
        import aiohttp

        session = self._session or self._open()
        try:
            async with session.post(self.url, data=data, allow_redirects=False) as response:
                return response.status, response.headers, await _read(response.content)
        except TimeoutError:
            raise CallFailed("timeout", f"no answer in {self.timeout:g} s", retry=True) from None
        except (aiohttp.ClientError, OSError) as error:
            # The error's own words may hold headers, and the key in them.
            raise CallFailed("connection", type(error).__name__, retry=True) from None

    def _open(self) -> Any:
        import aiohttp

        headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",  # short answers, and none that swells when unpacked
            "User-Agent": "judgelab",
        }
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=self.timeout),
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


async def _read(content: Any) -> bytes:
    """A whole body; one that does not end is given up."""
    parts: list[bytes] = []
    size = 0
    while part := await content.readany():
        parts.append(part)
        size += len(part)
        if size > MOST_BYTES:
            raise CallFailed("malformed", f"an answer of more than {MOST_BYTES >> 20} MiB")
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _json(data: bytes) -> Any:
    """None for what is no JSON."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
