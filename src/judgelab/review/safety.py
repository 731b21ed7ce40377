"""What stands between a network and the room: hosts, origins, the token, sizes, headers."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = "judgelab_review"
SHORTEST = 16  # characters of a token
ATTEMPTS, WINDOW = 10, 60.0  # wrong tokens of one address in so many seconds
KNOWN_ADDRESSES = 10_000
LARGEST = 1_000_000  # bytes of a form
METHODS = {"GET", "HEAD", "POST"}
OPEN = ("/static/",)  # holds nothing of the lab

HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; object-src 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


@dataclass(frozen=True)
class Refusal:
    """What stands on the page of who does not come in, or comes in now (200): then `onward`."""

    status: int
    says: str = ""
    asks: bool = False  # for the token
    onward: str = "/"


class RefusedError(Exception):
    """A request that is not answered."""

    def __init__(self, status: int, says: str) -> None:
        super().__init__(says)
        self.status = status


class Guard:
    """Every request passes here first, and every answer leaves with the headers.

    Args:
        app: what answers.
        hosts: the names that this server is called by, without ports; others are refused, so that
            a page elsewhere cannot reach it by a name of its own (DNS rebinding).
        token: what a visitor has to bring, once, in the link or in the form; "" is none.
        page: makes the page of a refusal.
        clock: seconds, for the limit of attempts.
    """

    def __init__(
        self,
        app: App,
        hosts: Collection[str],
        token: str,
        page: Callable[[Refusal], bytes],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.app = app
        self.hosts = {host.casefold().strip("[]") for host in hosts}
        self.token = token.encode()
        self.page = page
        self.clock = clock
        self._wrong: dict[str, deque[float]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def leave(message: Message) -> None:
            if message["type"] == "http.response.start":
                named = {name.lower() for name, _ in message["headers"]}
                more = ((k.encode(), v.encode()) for k, v in HEADERS.items())
                message["headers"] = [
                    *message["headers"],
                    *(pair for pair in more if pair[0] not in named),
                ]
            await send(message)

        try:
            headers = _headers(scope)
            self._check(scope["method"], headers)
            if not (scope["path"].startswith(OPEN) or self._is_known(scope, headers)):
                await self._door(scope, receive, leave)
                return
        except RefusedError as error:
            await _answer(leave, error.status, self.page(Refusal(error.status, str(error))))
            return
        await self.app(scope, receive, leave)

    def _check(self, method: str, headers: dict[str, str]) -> None:
        host = headers.get("host", "")
        if _hostname(host) not in self.hosts:
            raise RefusedError(403, "This server is not called by that name.")
        if method not in METHODS:
            raise RefusedError(405, "Pages are read with GET and written with POST.")
        if method != "POST":
            return
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site is not None:
            allowed = site in ("same-origin", "none")
        else:
            allowed = origin is not None and urlsplit(origin).netloc.casefold() == host.casefold()
        if not allowed:
            raise RefusedError(403, "A form of another page cannot write here.")
        if _number(headers.get("content-length")) > LARGEST:
            raise RefusedError(413, f"A form holds at most {LARGEST:,} bytes.")

    def _is_known(self, scope: Scope, headers: dict[str, str]) -> bool:
        """By the cookie; a wrong one is an attempt too."""
        if not self.token:
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            cookie = None
        return cookie is not None and self._is_right(scope, cookie.value, self._cookie())

    async def _door(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The page that takes the token, from the link or from its form."""
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["method"] == "POST":
            given = (await read_form(receive)).get("token", "")
        if given and self._is_right(scope, given, self.token.decode()):
            secure = "; Secure" if scope.get("scheme") == "https" else ""
            cookie = f"{COOKIE}={self._cookie()}; Path=/; HttpOnly; SameSite=Strict{secure}"
            # A page, and no redirect: a link that comes from elsewhere, such as a mail, would not
            # bring the new cookie along to where it is redirected.
            await _answer(send, 200, self.page(Refusal(200, onward=_onward(scope))), cookie)
            return
        says = "This is not the token." if given else "Open the link that you were sent."
        expired = f"{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"
        await _answer(send, 401, self.page(Refusal(401, says, True)), expired)

    def _is_right(self, scope: Scope, given: str, right: str) -> bool:
        """Compared in constant time, and only so often a minute."""
        address = str((scope.get("client") or ("",))[0])
        now = self.clock()
        wrong = self._wrong.get(address, deque())
        while wrong and now - wrong[0] >= WINDOW:
            wrong.popleft()
        if len(wrong) >= ATTEMPTS:
            raise RefusedError(429, "Too many wrong tokens. Wait a minute.")
        if hmac.compare_digest(given.encode(), right.encode()):
            return True
        if len(self._wrong) >= KNOWN_ADDRESSES:
            self._wrong.pop(next(iter(self._wrong)))
        wrong.append(now)
        self._wrong[address] = wrong
        return False

    def _cookie(self) -> str:
        """Not the token itself; the same after a restart."""
        return hmac.new(self.token, COOKIE.encode(), hashlib.sha256).hexdigest()


async def read_form(receive: Receive) -> dict[str, str]:
    """The fields of a form, the last value of each; no files. Raises RefusedError if too large."""
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise RefusedError(400, "The form did not arrive whole.")
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > LARGEST:
            raise RefusedError(413, f"A form holds at most {LARGEST:,} bytes.")
    try:
        fields = parse_qs(
            body.decode("ascii"), keep_blank_values=True, max_num_fields=50, errors="replace"
        )
    except ValueError as error:
        raise RefusedError(400, "This is no form.") from error
    return {name: values[-1] for name, values in fields.items()}


async def _answer(send: Send, status: int, page: bytes, cookie: str = "") -> None:
    headers = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-length", str(len(page)).encode()),
        *([(b"set-cookie", cookie.encode())] if cookie else []),
        *([(b"retry-after", b"60")] if status == 429 else []),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": page})


def _headers(scope: Scope) -> dict[str, str]:
    made: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        if key in made and key in ("host", "origin", "sec-fetch-site", "content-length"):
            raise RefusedError(400, f"The header {key} stands twice.")
        made[key] = value.decode("latin-1")
    return made


def _onward(scope: Scope) -> str:
    """The page that was asked for, without the token: a path of this server."""
    path = "/" + scope["path"].lstrip("/\\")
    query = parse_qsl(scope["query_string"].decode("latin-1"))
    return f"{quote(path)}?{urlencode([pair for pair in query if pair[0] != 'token'])}".rstrip("?")


def _hostname(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").casefold()
    except ValueError:
        return ""


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0
