"""Object storage on this machine: moto's server, which speaks S3 over HTTP."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from assay.bucket.bucket import Bucket

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@contextmanager
def served_bucket(name: str) -> Iterator[str]:
    """Serve an empty bucket while the block runs; yields the server's address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        address = "http://{}:{}".format(*server.get_host_and_port())
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in ENVIRONMENT.items():
                patch.setenv(variable, value)
            boto3.client("s3", endpoint_url=address).create_bucket(Bucket=name)
        yield address
    finally:
        server.stop()


@contextmanager
def served_apart(name: str) -> Iterator[str]:
    """Serve an empty bucket from a process of its own; yields the server's address.

    For tests of deltalake: while it waits for an answer, no other thread of its process runs.
    """
    with subprocess.Popen(
        [sys.executable, __file__, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


@contextmanager
def served_answers(answer: Callable[[str], tuple[int, bytes, int]]) -> Iterator[str]:
    """Serve what no storage in good order answers; yields the server's address.

    Args:
        answer: returns status, body and the length that is claimed for it, for the path of a request.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body, length = answer(self.path)
            self.send_response(status)
            for name, value in {"Content-Length": str(length), "ETag": '"1"', "Connection": "close"}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.do_GET()

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def contents(bucket: Bucket) -> dict[str, bytes | None]:
    """The objects of a place in a bucket."""
    return {found.key: bucket.read(found.key) for found in bucket.list()}


if __name__ == "__main__":
    with served_bucket(sys.argv[1]) as at:
        print(at, flush=True)
        sys.stdin.read()
