"""What holds for every request: an id, bounds, a line in the log, and figures."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Collection
from uuid import uuid4

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assay.runs.moment import now
from assay.server.errors import problem
from assay.server.metrics import DURATION, REQUESTS

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class TooLarge(Exception):
    """The body is larger than allowed."""


class Requests:
    """Middleware. The log is JSON lines on standard error."""

    def __init__(self, app: ASGIApp, *, body_bytes: int, seconds: float, paths: Collection[str]) -> None:
        self._app = app
        self._body_bytes = body_bytes
        self._seconds = seconds
        self._paths = frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 500
        sent = False

        async def noted(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status, sent = message["status"], True
                message["headers"] = [*message.get("headers", []), (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            async with asyncio.timeout(self._seconds):
                await self._app(scope, self._bounded(receive), noted)
        except TimeoutError:
            if not sent:
                await problem(503, f"It took longer than {self._seconds:g} s.")(scope, receive, noted)
        except TooLarge:
            if not sent:
                said = f"The body is larger than {self._body_bytes} bytes: ask in several requests."
                await problem(413, said)(scope, receive, noted)
        finally:
            took = time.perf_counter() - started
            path = scope["path"] if scope["path"] in self._paths else "other"
            REQUESTS.labels(path, status).inc()
            DURATION.labels(path).observe(took)
            _log(scope, request_id, status, took)

    def _bounded(self, receive: Receive) -> Receive:
        received = 0

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._body_bytes:
                raise TooLarge
            return message

        return bounded


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value.decode("latin-1")):
            return str(value.decode("latin-1"))
    return uuid4().hex


def _log(scope: Scope, request_id: str, status: int, took: float) -> None:
    line = {
        "at": f"{now().isoformat()}Z",
        "level": "error" if status >= 500 else "info",
        "request_id": request_id,
        "method": scope["method"],
        "path": scope["path"],
        "status": status,
        "milliseconds": round(took * 1000, 3),
    }
    sys.stderr.write(orjson.dumps(line).decode() + "\n")
