"""A Chat Completions server on loopback for benchmarks: fast, one process, standard library alone.

usage: bench_server.py [LATENCY_MS]     prints its port; GET /stats gives its counts as JSON

An answer depends on the request alone and comes LATENCY_MS after it. POST /reset answers with the
counts and zeroes them; connections stay counted, and only those that have asked for a completion.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import zlib
from typing import Any

USAGE = '"usage":{"prompt_tokens":600,"completion_tokens":30,"total_tokens":630}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
# DSPy's default adapter asks for its fields between such marks.
MARKED = (
    "[[ ## critique ## ]]\n{critique}\n\n[[ ## verdict ## ]]\n{verdict}\n\n[[ ## completed ## ]]"
)


class Counts:
    """What the server has seen; `first` is when its first request came (monotonic)."""

    def __init__(self) -> None:
        self.requests = self.connections = self.in_flight = self.most_in_flight = 0
        self.first = 0.0

    def reset(self) -> None:
        self.requests = self.most_in_flight = 0
        self.first = 0.0

    def stats(self) -> bytes:
        return json.dumps(vars(self) | {"cpu": time.process_time()}).encode()


class Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, as much of it as clients of a JSON endpoint use."""

    def __init__(self, counts: Counts, latency: float) -> None:
        self.counts = counts
        self.latency = latency
        self.buffer = bytearray()
        self.used = False
        self.loop = asyncio.get_running_loop()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self.buffer[:end])
            length = 0
            at = head.lower().find(b"content-length:")
            if at >= 0:
                length = int(head[at + 15 :].split(b"\r\n", 1)[0])
            if len(self.buffer) < end + 4 + length:
                return
            body = bytes(self.buffer[end + 4 : end + 4 + length])
            del self.buffer[: end + 4 + length]
            self.handle(head, body)

    def handle(self, head: bytes, body: bytes) -> None:
        counts = self.counts
        if head.startswith((b"GET", b"POST /reset")):
            self.send(counts.stats())
            if head.startswith(b"POST"):
                counts.reset()
            return
        if not self.used:
            self.used = True
            counts.connections += 1
        counts.first = counts.first or time.monotonic()
        counts.requests += 1
        counts.in_flight += 1
        counts.most_in_flight = max(counts.most_in_flight, counts.in_flight)
        if self.latency:
            self.loop.call_later(self.latency, self.answer, body)
        else:
            self.answer(body)

    def answer(self, body: bytes) -> None:
        self.counts.in_flight -= 1
        # The interaction stands at the end of the request: hash that, not parameters or headers.
        number = zlib.crc32(body[body.rfind(b'"content"') :])
        said = {
            "critique": f"Because of {number:08x}.",
            "verdict": "fail" if number % 10 < 4 else "pass",
        }
        text = MARKED.format(**said) if b"[[ ## critique" in body else json.dumps(said)
        data = (
            '{"id":"x","object":"chat.completion","created":0,"model":"bench-1","choices":[{"index":'
            f'0,"message":{{"role":"assistant","content":{json.dumps(text)}}},"finish_reason":"stop"}}],'
            f"{USAGE}}}"
        )
        self.send(data.encode())

    def send(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(HEAD % (len(data), data))


async def main(latency: float) -> None:
    counts = Counts()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(counts, latency), "127.0.0.1", 0, backlog=1024
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1] if len(sys.argv) > 1 else 200) / 1000))
