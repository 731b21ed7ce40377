"""The server of the expert's room: where it listens, what it is called, and who may come."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import threading
import zlib
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import quote

import uvicorn

from judgelab import resources
from judgelab.errors import ConfigError, UserError
from judgelab.review.app import made
from judgelab.review.room import Room
from judgelab.review.safety import SHORTEST

TOKEN = "JUDGELAB_REVIEW_TOKEN"
PORTS = range(8100, 8900)  # where a lab's own port is
TRIES = 20
GRACE = 3  # seconds for what is being written
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Place:
    """A socket that listens, the names it is called by, the token, and the link to send."""

    listening: socket.socket
    hosts: tuple[str, ...]
    token: str
    link: str
    is_open: bool  # to other machines


def place(host: str, port: int | None, name: str, path: str = "/") -> Place:
    """Listen. Without a port it is the lab's own one, so that link and drafts stay.

    Raises:
        ConfigError: off loopback without a token, or a token that is too short.
        UserError: nothing to listen on.
    """
    token = os.environ.get(TOKEN, "")
    is_open = not is_loopback(host)
    if is_open and not token:
        raise ConfigError(
            f"--host {host} is open to other machines, and there is no token: everybody there "
            f"could read and label. Set one, and the link will hold it: "
            f"export {TOKEN}={secrets.token_urlsafe(24)}"
        )
    if token and len(token) < SHORTEST:
        raise ConfigError(f"{TOKEN} has {len(token)} characters; at least {SHORTEST} are needed.")
    listening = _listen(host, port, name)
    number = listening.getsockname()[1]
    spoken = _spoken(host)
    if token:
        path += f"{'&' if '?' in path else '?'}token={quote(token, safe='')}"
    address = f"[{spoken}]" if ":" in spoken else spoken
    hosts = (*LOOPBACK, host, *(_own_names() if is_open else ()))
    return Place(listening, hosts, token, f"http://{address}:{number}{path}", is_open)


def serve(room: Room, at: Place) -> None:
    """Serve until interrupted; the link is printed once it answers."""
    config = uvicorn.Config(
        made(room, at.hosts, at.token),
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE,
    )
    threading.Thread(target=room.warm, daemon=True).start()
    print(at.link, flush=True)
    try:
        uvicorn.Server(config).run(sockets=[at.listening])
    except KeyboardInterrupt:
        pass
    finally:
        at.listening.close()
    print(f"\nThe review is over; the labels are in {room.log.path}.", file=sys.stderr)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int | None, name: str) -> socket.socket:
    ports = [port] if port is not None else [*_own_ports(name), 0]
    error: OSError | None = None
    for number in ports:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                host.strip("[]"), number, type=socket.SOCK_STREAM
            )[0]
            made = socket.socket(family, kind, protocol)
        except OSError as failed:
            error = failed
            continue
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(address)
            made.listen(128)
        except OSError as failed:
            made.close()
            error = failed
        else:
            return made
    raise UserError(
        f"cannot listen on {host}:{port or 'any port'} ({getattr(error, 'strerror', error)}): "
        "another program has the port, or the host is not this machine's. Leave --port out for a "
        "free one."
    )


def _own_ports(name: str) -> list[int]:
    start = zlib.crc32(f"{resources.lab().resolve()}:{name}".encode()) % len(PORTS)
    return [PORTS[(start + step) % len(PORTS)] for step in range(TRIES)]


def _spoken(host: str) -> str:
    """The host as a browser says it; of all addresses, the name of this machine."""
    bare = host.strip("[]")
    return socket.gethostname() if bare in ("0.0.0.0", "::", "") else bare


def _own_names() -> set[str]:
    """What this machine is called by others: names and addresses."""
    names = {socket.gethostname(), socket.getfqdn()}
    for name in list(names):
        try:
            names |= {str(found[4][0]).partition("%")[0] for found in socket.getaddrinfo(name, 0)}
        except OSError:
            continue
    for family, far in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((far, 9))  # sends nothing; it only chooses the address to send from
                names.add(probe.getsockname()[0])
        except OSError:
            continue
    return names
