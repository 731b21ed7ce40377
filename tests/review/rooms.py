"""Rooms and a browser without a browser: requests to the app, as its server would pass them on."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from judgelab.data.annotations import ExpertLabel
from judgelab.data.events import EventLog
from judgelab.data.schema import Dataset
from judgelab.review.app import made
from judgelab.review.room import Room
from judgelab.review.safety import App
from judgelab.types import Interaction

HOST = "127.0.0.1:8123"
HOSTS = ("127.0.0.1", "localhost", "::1")
SAME = {"origin": f"http://{HOST}", "sec-fetch-site": "same-origin"}


def item(id_: str, **more: Any) -> Interaction:
    own = {"id": id_, "input": f"What is {id_}?", "output": f"It is number {id_}."}
    return Interaction(**(own | more))


def room(folder: Path, items: Sequence[Interaction] = (), **more: Any) -> Room:
    """A room of ann's over these items, or over six; `labels` are what the files hold."""
    labels = {k: ExpertLabel(*v) for k, v in more.pop("labels", {}).items()}
    chosen = items or [item(f"i{n}") for n in range(6)]
    dataset = Dataset("made", tuple(chosen), labels)
    return Room(dataset, EventLog(folder / "labels" / "made.jsonl"), "ann", **more)


@dataclass
class Answer:
    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def __getitem__(self, name: str) -> str:
        return next((v for k, v in self.headers if k == name), "")

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def words(self) -> str:
        """What a reader sees, more or less."""
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", self.text)).split())

    def field(self, name: str) -> str:
        """The value of a hidden field of the label's form."""
        form = self.text[self.text.index('action="/label"') :]
        found = re.search(rf'name="{name}" value="([^"]*)"', form)
        assert found, name
        return html.unescape(found[1])

    @property
    def query(self) -> dict[str, str]:
        """The query of the page that a redirect leads to."""
        assert self.status == 303, self.words
        return {k: v[-1] for k, v in parse_qs(urlsplit(self["location"]).query).items()}


@dataclass
class Visitor:
    """Somebody with a browser; keeps the cookie that it is given."""

    app: App
    cookie: str = ""
    address: str = "127.0.0.1"

    def get(self, path: str, **more: Any) -> Answer:
        return self.ask("GET", path, **more)

    def post(self, path: str, form: dict[str, Any] | bytes, **more: Any) -> Answer:
        body = form if isinstance(form, bytes) else urlencode(form).encode()
        more["headers"] = SAME | more.get("headers", {})
        return self.ask("POST", path, body=body, **more)

    def ask(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str | None] | None = None,
        body: bytes = b"",
        chunks: int = 1,
        twice: str = "",
    ) -> Answer:
        """A header that is None is left out; the one named by `twice` is sent two times."""
        sent: dict[str, str | None] = {"host": HOST, **(headers or {})}
        if self.cookie:
            sent.setdefault("cookie", self.cookie)
        if method == "POST" and chunks == 1:
            sent.setdefault("content-length", str(len(body)))
        pairs = [(k.encode(), v.encode("latin-1")) for k, v in sent.items() if v is not None]
        pairs += [pair for pair in pairs if pair[0] == twice.encode()]
        url = urlsplit(path)
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": url.path,
            "raw_path": url.path.encode(),
            "query_string": url.query.encode("latin-1"),
            "root_path": "",
            "headers": pairs,
            "client": (self.address, 5000),
            "server": ("127.0.0.1", 8123),
        }
        answer = asyncio.run(_exchange(self.app, scope, body, chunks))
        for name, value in answer.headers:
            if name == "set-cookie":
                self.cookie = value.split(";")[0] if "Max-Age=0" not in value else ""
        return answer

    # --- what an expert does

    def item(self, id_: str, **query: str) -> Answer:
        return self.get(f"/item?{urlencode({'id': id_, **query})}")

    def label(self, id_: str, verdict: str, critique: str = "", **more: str) -> Answer:
        """Opens the item and saves a label of it."""
        head = more.pop("head", None)
        head = self.item(id_).field("head") if head is None else head
        form = {"id": id_, "verdict": verdict, "critique": critique, "head": head, **more}
        return self.post("/label", form)


def visitor(room: Room, token: str = "") -> Visitor:
    return Visitor(made(room, HOSTS, token))


async def _exchange(app: App, scope: dict[str, Any], body: bytes, chunks: int) -> Answer:
    size = -(-len(body) // chunks) or 1
    parts = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
    answer = Answer()

    async def receive() -> dict[str, Any]:
        part = parts.pop(0) if parts else b""
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = [(k.decode().lower(), v.decode()) for k, v in message["headers"]]
        else:
            answer.body += message.get("body", b"")

    await app(scope, receive, send)
    return answer
