"""Call the routes that are asked most without the framework's routing, which takes longer than they do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

Endpoint = Callable[[Request], Awaitable[Response]]
OnError = Callable[[Request, Exception], Awaitable[Response]]


class Direct:
    """Middleware: what is posted to some paths goes straight to their functions, all else to the application.

    Args:
        app: the application.
        endpoints: the function of each path that takes a request and nothing more.
        on_errors: how errors are answered, by their class; those of other classes are raised.
    """

    def __init__(
        self, app: ASGIApp, *, endpoints: Mapping[str, Endpoint], on_errors: Mapping[Any, Any]
    ) -> None:
        self._app = app
        self._endpoints = endpoints
        self._on_errors = on_errors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        endpoint = self._endpoints.get(scope.get("path", ""))
        if endpoint is None or scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await endpoint(request)
        except Exception as error:
            response = await self._on_error(error)(request, error)
        await response(scope, receive, send)

    def _on_error(self, error: Exception) -> OnError:
        for kind in type(error).__mro__:
            if kind in self._on_errors:
                on_error: OnError = self._on_errors[kind]
                return on_error
        raise error
