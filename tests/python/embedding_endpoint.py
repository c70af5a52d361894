"""An endpoint of embeddings on loopback, that fails and lies when it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "right"


def vector_of(text: str, dimension: int) -> list[float]:
    """Return a vector that a text alone decides."""
    return [float((len(text) * (place + 3) + ord(text[0]) * 7) % 11 + 1) for place in range(dimension)]


@dataclass
class EmbeddingEndpoint:
    """What it answers: `trouble` has a status and headers for each coming request; `change` alters rows."""

    dimension: int = 8
    trouble: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    change: Callable[[list[dict[str, Any]]], Any] = lambda rows: {"data": rows}
    refuses: Callable[[str], bool] = lambda text: False
    #: Requests that are not answered until the server ends.
    silent: int = 0
    #: Requests whose answer ends in its middle.
    cut: int = 0
    address: str = ""
    ends: threading.Event = field(default_factory=threading.Event)

    def answer(self, asked: dict[str, Any], authorization: str | None) -> tuple[int, dict[str, str], Any]:
        """Return status, headers and body of an answer."""
        self.asked.append(asked)
        if self.silent:
            self.silent -= 1
            self.ends.wait()
        if self.trouble:
            status, headers = self.trouble.pop(0)
            return status, headers, {"error": {"message": f"trouble {status}"}}
        if authorization != f"Bearer {KEY}":
            return 401, {}, {"error": {"message": "who are you"}}
        if any(map(self.refuses, asked["input"])):
            return 400, {}, {"error": {"message": "too long"}}
        dimension = asked.get("dimensions", self.dimension)
        rows = [
            {"index": place, "embedding": vector_of(text, dimension)}
            for place, text in enumerate(asked["input"])
        ]
        # The order is not promised.
        return 200, {}, self.change(rows[::-1])


@contextmanager
def embedding_endpoint() -> Iterator[EmbeddingEndpoint]:
    """Run the endpoint while the block runs."""
    state = EmbeddingEndpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, headers, body = state.answer(asked, self.headers["Authorization"])
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            is_cut, state.cut = state.cut > 0, max(0, state.cut - 1)
            self.send_header("Content-Length", str(len(content) + is_cut))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    state.address = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield state
    finally:
        state.ends.set()
        server.shutdown()
        server.server_close()
        thread.join()
