"""What holds for every request: an id, bounds, a line in the log and in the audit log, and figures."""

from __future__ import annotations

import asyncio
import re
import sys
import time
import traceback
from collections.abc import Collection
from typing import Any
from uuid import uuid4

import orjson
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assay.core.disk import has_no_room
from assay.core.moment import now
from assay.server.audit import Audit, shortened
from assay.server.errors import problem
from assay.server.metrics import count_request

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Those who watch a server ask for these all day, and learn nothing of features.
_UNAUDITED = ("/health", "/ready", "/metrics")


class TooLarge(Exception):
    """The body is larger than allowed."""


class Requests:
    """Middleware. The log is JSON lines on standard error.

    Routes leave in the request's state who asks (`reader`) and what they read or wrote (`audited`).
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        body_bytes: int,
        seconds: float,
        paths: Collection[str],
        audit: Audit,
        with_keys: bool,
    ) -> None:
        self._app = app
        self._body_bytes = body_bytes
        self._seconds = seconds
        self._paths = frozenset(paths)
        self._audit = audit
        self._with_keys = with_keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id(scope)
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        request = HTTPConnection(scope)
        status = 500
        sent = is_replaced = False

        async def told(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status, sent = message["status"], True
                message["headers"] = [*message.get("headers", []), (b"x-request-id", request_id.encode())]
            await send(message)

        async def noted(message: Message) -> None:
            """Answer once it is written down who asks; where it cannot be, that is the answer."""
            nonlocal is_replaced
            if message["type"] == "http.response.start":
                try:
                    self._note(request, message["status"])
                except OSError as error:
                    is_replaced = True
                    state["error"] = f"The audit log cannot be written: {error}"
                    said = "It cannot be written down who asks, so nothing is answered: try again later."
                    await problem(507 if has_no_room(error) else 503, said)(scope, receive, told)
            if not is_replaced:
                await told(message)

        try:
            async with asyncio.timeout(self._seconds):
                await self._app(scope, self._bounded(receive), noted)
        except TimeoutError:
            if not sent:
                said = f"It took longer than {self._seconds:g} s."
                await problem(503, said, request)(scope, receive, noted)
        except TooLarge:
            if not sent:
                said = f"The body is larger than {self._body_bytes} bytes: ask in several requests."
                await problem(413, said, request)(scope, receive, noted)
        except Exception:
            state["error"] = traceback.format_exc()
            if not sent:
                said = f"The server has failed at this request: its log says how, under {request_id}."
                await problem(500, said, request)(scope, receive, noted)
        finally:
            took = time.perf_counter() - started
            path = scope["path"] if scope["path"] in self._paths else "other"
            count_request(path, status, took)
            _log(scope, request_id, status, took)

    def _note(self, request: HTTPConnection, status: int) -> None:
        """Write into the audit log what a request was answered.

        Raises:
            OSError: it cannot be written.
        """
        scope, state = request.scope, request.scope["state"]
        if scope["path"] in _UNAUDITED:
            return
        asked = {
            "reader": state.get("reader"),
            "request_id": state["request_id"],
            "method": scope["method"],
            "path": scope["path"],
        }
        if status >= 400:
            unknown = self._with_keys and asked["reader"] is None
            self._audit.note_refused(asked, status, state.get("why", ""), few=unknown or status == 429)
        elif audited := state.get("audited"):
            what, more = audited
            self._audit.note(what, asked, **more)

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


def log(level: str, **line: Any) -> None:
    """Write a line to the log."""
    said = {"at": f"{now().isoformat()}Z", "level": level} | line
    sys.stderr.write(orjson.dumps(said).decode() + "\n")


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value.decode("latin-1")):
            return str(value.decode("latin-1"))
    return uuid4().hex


def _log(scope: Scope, request_id: str, status: int, took: float) -> None:
    why = scope["state"].get("error")
    log(
        "error" if status >= 500 else "info",
        request_id=request_id,
        method=scope["method"],
        path=shortened(scope["path"]),
        status=status,
        milliseconds=round(took * 1000, 3),
        **({"error": why} if why else {}),
    )
