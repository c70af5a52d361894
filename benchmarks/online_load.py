"""Ask a server: requests one after the other, or many clients that keep their connections.

What a server costs is read from /proc, by its own processes, so a load generator on the same cores does not
count; its share of their time shows in the wall clock alone.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median, quantiles
from typing import Any

ASKED, HEALTH = "/get-online-features", "/health"
_WARM_UP = 50

Body = dict[str, Any] | None


def p50_by_turns(port: int, asked: Mapping[str, Callable[[int], Body]], requests: int) -> dict[str, float]:
    """Return the median wall seconds of requests of several kinds, which take turns on one connection.

    Whatever else the machine does meets all kinds alike.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port)
    seconds: dict[str, list[float]] = {kind: [] for kind in asked}
    for number in range(requests + _WARM_UP):
        for kind, body_of in asked.items():
            body = body_of(number)
            content = None if body is None else json.dumps(body)
            headers = {} if body is None else {"Content-Type": "application/json"}
            started = time.perf_counter()
            method, path = ("GET", HEALTH) if body is None else ("POST", ASKED)
            connection.request(method, path, content, headers)
            answer = connection.getresponse()
            answer.read()
            seconds[kind].append(time.perf_counter() - started)
            assert answer.status == 200, answer.status
    connection.close()
    return {kind: median(each[_WARM_UP:]) for kind, each in seconds.items()}


def ask_by_many(
    port: int, body_of: Callable[[int], Body], clients: int, requests: int
) -> tuple[float, float]:
    """Let clients ask at once, each over a connection that it keeps; return p50 and p99 in seconds."""
    seconds: list[float] = []

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for each in range(requests // clients):
            content = json.dumps(body_of(number * requests + each)).encode()
            head = f"POST {ASKED} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            started = time.perf_counter()
            writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200"), answer
            length = next(
                line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length")
            )
            await reader.readexactly(int(length.partition(b":")[2]))
            seconds.append(time.perf_counter() - started)
        writer.close()

    async def all_clients() -> None:
        await asyncio.gather(*(client(number) for number in range(clients)))

    asyncio.run(all_clients())
    return median(seconds), quantiles(seconds, n=100)[98]


def cpu_of_family(parent: int) -> float:
    """CPU seconds of a process and its children so far."""
    ticks = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(status.parent.name) == parent or int(fields[1]) == parent:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
