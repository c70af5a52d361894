"""A small HTTP API on loopback: orders in pages, that fails and limits its rate when it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PAGE = 4
#: A module of a project that reads the API by dlt's own `rest_api`.
MODULE = """
import os

import dlt
from dlt.sources.rest_api import rest_api_source


def shop():
    return rest_api_source({
        "client": {
            "base_url": os.environ["SHOP_API"],
            "paginator": {"type": "page_number", "base_page": 1, "total_path": "pages"},
        },
        "resources": [{
            "name": "orders",
            "primary_key": "id",
            "write_disposition": "merge",
            "endpoint": {
                "path": "orders",
                "data_selector": "orders",
                "params": {"api_key": "s3cret", "since": "{incremental.start_value}"},
                "incremental": {"cursor_path": "updated_at", "initial_value": "2025-01-01T00:00:00Z"},
            },
        }],
    }, name="shop")
"""


@dataclass
class ShopApi:
    """What the API has, and how it answers: `trouble` has a status and headers for each coming request."""

    orders: list[dict[str, Any]] = field(default_factory=list)
    trouble: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    address: str = ""

    def add(self, *numbers: int, **more: Any) -> None:
        """Add orders of days of January 2025, or bring them up to date."""
        for number in numbers:
            order = {"id": number, "updated_at": f"2025-01-{number:02}T12:00:00Z", "lines": [{"sku": "a"}]}
            self.orders.append(order | more)

    def answer(self, query: dict[str, str]) -> dict[str, Any]:
        """Return a page of the orders that have changed."""
        found = [each for each in self.orders if each["updated_at"] >= query["since"]]
        page = int(query["page"])
        return {"orders": found[(page - 1) * PAGE : page * PAGE], "pages": -(-len(found) // PAGE)}


@contextmanager
def shop_api() -> Iterator[ShopApi]:
    """Serve the API while the block runs."""
    api = ShopApi()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            api.asked.append(query)
            status, headers = api.trouble.pop(0) if api.trouble else (200, {})
            body = json.dumps(api.answer(query) if status == 200 else {"error": "no"}).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
