"""Addresses: GET shows what its query asks for, POST does what its form says; each in a thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from judgelab.review.safety import read_form

Page = Callable[[Mapping[str, str]], Response]


def shows(path: str, page: Page) -> Route:
    async def answer(request: Request) -> Response:
        return await run_in_threadpool(page, dict(request.query_params))

    return Route(path, answer)


def does(path: str, page: Page) -> Route:
    async def answer(request: Request) -> Response:
        return await run_in_threadpool(page, await read_form(request.receive))

    return Route(path, answer, methods=["POST"])
