"""A Chat Completions server on loopback: its answers depend on the request alone, faults on order.

with ChatServer() as server:
    server.faults = {0: Fault(429, headers={"Retry-After": "1"})}   # the first request
    model = OpenAICompatible("m", server.url)
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Fault:
    """What a request gets instead of an answer.

    `data` is the whole body, else it is an OpenAI error of `code`, `param` and `message`. `hang`
    keeps the connection open without a byte; `cut` closes it in the middle of the body, `reset`
    tears it down there; `drip` gives the body byte by byte, with so many seconds between.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    code: str | None = None
    param: str | None = None
    message: str = "the test says no"
    data: bytes | None = None
    hang: bool = False
    cut: bool = False
    reset: bool = False
    drip: float = 0.0

    @property
    def spoils(self) -> bool:
        """Whether a good answer is on its way, and does not come through."""
        return self.data is None and (self.cut or self.reset or self.drip > 0)


@dataclass(frozen=True)
class Seen:
    """A request as it came, and when (monotonic)."""

    at: float
    body: Body
    headers: Mapping[str, str]


def content_of(body: Body) -> str:
    """The judged turn."""
    return str(body["messages"][-1]["content"])


def by_hash(body: Body) -> str:
    """A verdict that depends on every message, and on nothing else."""
    digest = hashlib.sha256(json.dumps(body["messages"], sort_keys=True).encode()).hexdigest()
    verdict = "fail" if int(digest[0], 16) < 6 else "pass"
    return json.dumps({"critique": f"Because of {digest[:8]}.", "verdict": verdict})


class ChatServer:
    """`faults` is by number of the request (0 is the first) or a function of (number, body).

    `gate`, where a test sets it, holds every answer back until it is set.
    """

    def __init__(self, answer: Callable[[Body], str] = by_hash) -> None:
        self.answer = answer
        self.faults: Mapping[int, Fault] | Callable[[int, Body], Fault | None] = {}
        self.model = "served-model"
        self.usage: Mapping[str, int] = {"prompt_tokens": 100, "completion_tokens": 10}
        self.gate: threading.Event | None = None
        self.seen: list[Seen] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.connections = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                with server._lock:
                    server.connections += 1

            def log_message(self, *words: Any) -> None:
                pass

            def do_POST(self) -> None:
                with contextlib.suppress(OSError):
                    server._handle(self)

        class Http(ThreadingHTTPServer):
            request_queue_size = 512  # with less the system drops connections that come at once

        self._http = Http(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    @property
    def bodies(self) -> list[Body]:
        return [one.body for one in self.seen]

    def __enter__(self) -> ChatServer:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.set()
        if self.gate:
            self.gate.set()
        self._http.shutdown()
        self._http.server_close()

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self._lock:
            number = len(self.seen)
            self.seen.append(Seen(time.monotonic(), body, _lower(handler.headers)))
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            assert handler.path == "/v1/chat/completions", handler.path
            faults = self.faults
            fault = faults(number, body) if callable(faults) else faults.get(number)
            if self.gate:
                assert self.gate.wait(30)
            if fault and fault.hang:
                self._closing.wait(30)
                handler.close_connection = True
                return
            data = self._ok(body) if fault is None or fault.spoils else _error(fault)
        finally:
            with self._lock:
                self.in_flight -= 1
        handler.send_response(fault.status if fault else 200)
        for key, value in (fault.headers if fault else {}).items():
            handler.send_header(key, value)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        if fault and (fault.cut or fault.reset):
            handler.wfile.write(data[: len(data) // 2])
            handler.close_connection = True
            if fault.reset:  # closing with nothing to linger for sends RST
                linger = struct.pack("ii", 1, 0)
                handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                handler.connection.close()
        elif fault and fault.drip:
            for i in range(len(data)):
                handler.wfile.write(data[i : i + 1])
                if self._closing.wait(fault.drip):
                    break
        else:
            handler.wfile.write(data)

    def _ok(self, body: Body) -> bytes:
        message = {"role": "assistant", "content": self.answer(body)}
        return json.dumps(
            {
                "id": "x",
                "object": "chat.completion",
                "created": 0,
                "model": self.model,
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {**self.usage, "total_tokens": sum(self.usage.values())},
            }
        ).encode()


def _error(fault: Fault) -> bytes:
    if fault.data is not None:
        return fault.data
    error = {"message": fault.message, "type": "x", "param": fault.param, "code": fault.code}
    return json.dumps({"error": error}).encode()


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {key.lower(): value for key, value in headers.items()}
