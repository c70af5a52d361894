"""`assay serve` in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx
from redis_server import free_port
from warehouse import PROJECT

from assay.server.settings import Settings


def settings_in(folder: Path, store: str, landing: Path | None = None) -> Settings:
    """Settings of a server all of whose files lie in a folder; the landing zone may lie elsewhere."""
    return Settings(
        store,
        folder / "serving",
        folder / "docs.html",
        landing or folder / "landing",
        folder / "ahead",
        folder / "search.duckdb",
        folder / "deleted.json",
        folder / "experiments.yml",
    )


def start(folder: Path, *arguments: str, output: int | IO[str] = subprocess.PIPE) -> subprocess.Popen[str]:
    """Start it in a folder that passes for a project's."""
    (folder / "dbt_project.yml").touch()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ASSAY_")}
    return subprocess.Popen(
        [sys.executable, "-c", "from assay.cli import app; app()", "serve", *arguments],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(PROJECT)},
        stdout=output,
        stderr=output,
        text=True,
    )


def until_ready(port: int) -> None:
    """Wait until it answers."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/ready").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise TimeoutError("the server has not started")


@contextmanager
def serving(folder: Path, store: str, *arguments: str) -> Iterator[tuple[str, int]]:
    """Serve a store while the block runs; its address and its process are given."""
    port = free_port()
    # To a file: a pipe that nobody reads would fill.
    with (folder / "serve.log").open("w") as log:
        process = start(folder, "--port", str(port), "--store", store, *arguments, output=log)
        try:
            until_ready(port)
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
