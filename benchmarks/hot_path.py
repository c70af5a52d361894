"""What it costs to bring messages online between builds, and how soon they are in an answer.

A warehouse of the demo is built, and its card transactions are multiplied: more cards and merchants, each
with as many transactions as in the demo.
"""

from __future__ import annotations

import csv
import gzip
import http.client
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from uuid import uuid4

import duckdb

from benchmarks.measure import Cost, own_cpu, run_assay, run_module
from benchmarks.online import free_port, until_ready
from benchmarks.online_load import ASKED, cpu_of_family
from benchmarks.settings import Settings
from benchmarks.table import Row, within
from example import generate
from example.broker import start_broker

_SOURCE = _TOPIC = "payments.card_transactions"
_CHECKED, _BRONZE = "silver.slv_card_transactions__checked", "bronze.brz_payments__card_transactions"
_TRANSACTIONS = 20_000
# The lower rate is one that these machines keep up with.
_A_SECOND, _FEWER_A_SECOND, _SECONDS, _PROBES_A_SECOND = 500, 50, 30, 5
_BATCHES, _MESSAGES_A_BATCH = 4, 500
_GROWTH_LIMIT, _P50_LIMIT, _P99_LIMIT = 1.5, 1.0, 3.0
_FOUND, _BEGUN = "benchmark: ", "Brought online as messages come"
_MOST_SECONDS_TO_BEGIN = 1200


def rows(settings: Settings) -> tuple[list[Row], list[str]]:
    """Return the rows of the hot path, and remarks."""
    folder = (settings.scratch / "hot").absolute()
    environment = {
        "ASSAY_LANDING": str(folder / "landing"),
        "ASSAY_WAREHOUSE": str(folder / "assay.duckdb"),
        "DBT_TARGET_PATH": str(folder / "target"),
    }
    run_module("benchmarks.hot_path", "generate", str(folder / "landing"))
    run_assay("build", environment=environment)
    sizes = (50, 500) if settings.is_full else (5, 50)
    costs = []
    for copies in sizes:
        _multiply(folder / "assay.duckdb", copies)
        cost = run_module("benchmarks.hot_path", "cost", str(copies), environment=environment)
        costs.append(_found(cost))
    # What was measured so far has not landed, and must not be in the answers that are waited for.
    (folder / "online.sqlite").unlink()
    (folder / "stream.sqlite").unlink()
    run_assay("online", "sync", environment=environment)
    names = [f"{copies * _TRANSACTIONS:,} transactions" for copies in sizes]
    growth = within(costs[1] / costs[0], _GROWTH_LIMIT, f"CPU at most {_GROWTH_LIMIT:g} times the baseline")
    fewer, fresh = _freshness(folder, sizes[1], environment)
    return [
        Row(f"1,000 messages online, over {names[0]}", _BATCHES, cpu=costs[0]),
        Row(f"... over {names[1]}", _BATCHES, cpu=costs[1], baseline=names[0], **growth),
        Row(f"in an answer at {_FEWER_A_SECOND} a second, p50", wall=fewer["p50"]),
        Row("... p99", wall=fewer["p99"]),
        Row("... CPU of the stream, a second", cpu=fewer["cpu"]),
        Row(
            f"in an answer at {_A_SECOND} a second, p50",
            wall=fresh["p50"],
            limit=f"below {_P50_LIMIT:g} s",
            met=fresh["p50"] < _P50_LIMIT,
        ),
        Row("... p99", wall=fresh["p99"], limit=f"below {_P99_LIMIT:g} s", met=fresh["p99"] < _P99_LIMIT),
        Row("... CPU of the stream, a second", cpu=fresh["cpu"]),
    ], [
        f"In an answer: {fresh['probes']} cards are asked for until a transaction of theirs counts, over "
        f"{names[1]}; broker, sender, stream and server share the machine. There was a batch every "
        f"{fewer['interval']:.2f} s at {_FEWER_A_SECOND} a second, every {fresh['interval']:.2f} s at "
        f"{_A_SECOND}.",
    ]


def _multiply(warehouse: Path, copies: int) -> None:
    """Give the warehouse so many times the cards, merchants and transactions of the demo."""
    with duckdb.connect(str(warehouse)) as connection:
        run = connection.execute
        if not run("select 1 from duckdb_schemas() where schema_name = 'bench'").fetchall():
            run("create schema bench")
            run(f"create table bench.checked as from {_CHECKED}")
            run(f"create table bench.hashes as select file_id, row_number, content_hash from {_BRONZE}")
            run(f"drop view {_BRONZE}")
        run(f"delete from {_CHECKED}")
        run(
            f"insert into {_CHECKED} select * exclude (copy) replace (file_id + 1000000 * copy as file_id, "
            "if(copy = 0, card_id, (99 + copy) || card_id) as card_id, "
            "if(copy = 0, merchant_id, merchant_id || ' ' || copy) as merchant_id) "
            f"from bench.checked, range({copies}) as copies (copy)"
        )
        run(
            f"create or replace table {_BRONZE} as select * exclude (copy) "
            "replace (file_id + 1000000 * copy as file_id) "
            f"from bench.hashes, range({copies}) as copies (copy)"
        )


class _Sales:
    """Transactions of today, of cards and merchants as `_multiply` makes them."""

    def __init__(self, landing: Path, copies: int) -> None:
        self._copies, self._chance = copies, random.Random(1)
        self._rows = []
        for path in sorted(landing.glob("payments/card_transactions/**/*.csv.gz")):
            with gzip.open(path, "rt", encoding="utf-8", errors="replace") as lines:
                rows = (row for row in csv.DictReader(lines) if None not in row)
                self._rows += [row for row in rows if str(row.get("cc_num")).isdigit()]
        cards = sorted({row["cc_num"] for row in self._rows})
        every = [(99 + copy if copy else "", card) for copy in range(copies) for card in cards]
        self._chance.shuffle(every)
        self.cards = [f"{copy}{card}" for copy, card in every]

    def one(self, card: str) -> bytes:
        """A transaction that happened a second ago."""
        at = time.time() - 1
        row = dict(self._chance.choice(self._rows))
        copy = self._chance.randrange(self._copies)
        row |= {
            "cc_num": card,
            "merchant": row["merchant"] + (f" {copy}" if copy else ""),
            "trans_date_trans_time": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at)),
            "unix_time": str(int(at)),
            # Never one that was sent before: silver would reject it.
            "trans_num": uuid4().hex,
        }
        return json.dumps(row).encode()


def _cost(copies: int) -> float:
    """Return the CPU seconds of 1,000 messages, from what a consumer hands over to the online store."""
    from assay.core.places import find_places
    from assay.landing.formats.messages import Message
    from assay.online.stores.open import open_store, store_url
    from assay.stream.hot.hot import HotPath
    from assay.stream.source import find_stream_sources

    places = find_places()
    [source] = find_stream_sources([_SOURCE])
    path = HotPath(places, [source], open_store(store_url(None, places)), lambda _: None)
    sales, begun = _Sales(places.landing, copies), 0.0
    for batch in range(_BATCHES + 1):
        now = int(time.time() * 1000)
        values = [
            sales.one(sales.cards[(batch * _MESSAGES_A_BATCH + i) % len(sales.cards)])
            for i in range(_MESSAGES_A_BATCH)
        ]
        messages = [
            Message(batch * _MESSAGES_A_BATCH + i, now, now, None, (), value)
            for i, value in enumerate(values)
        ]
        # The first is not counted.
        begun = own_cpu() if batch == 1 else begun
        path.apply(source, {0: messages})
    used = own_cpu() - begun
    path.close()
    return used / (_BATCHES * _MESSAGES_A_BATCH) * 1000


def _freshness(folder: Path, copies: int, environment: dict[str, str]) -> list[dict[str, float]]:
    """Send transactions for a while, at each rate, and ask a server until it knows of some of them."""
    from assay.stream.kafka import make_topic

    broker = start_broker(folder / "broker")
    try:
        make_topic(broker.address, _TOPIC, 1)
        environment = environment | {"ASSAY_KAFKA_BOOTSTRAP_SERVERS": broker.address}
        port, log = free_port(), folder / "stream.log"
        stream = ("stream", "run", "--source", _SOURCE)
        with _command(("serve", "--port", str(port)), environment, folder / "serve.log"):
            until_ready(port, "/ready")
            with _command(stream, environment, log) as process:
                _await_text(process, log, _BEGUN)
                found: list[dict[str, float]] = []
                for rate in (_FEWER_A_SECOND, _A_SECOND):
                    before = cpu_of_family(process.pid)
                    arguments = ("fresh", str(copies), str(port), broker.address, str(rate))
                    fresh = _found(run_module("benchmarks.hot_path", *arguments, environment=environment))
                    fresh["cpu"] = (cpu_of_family(process.pid) - before) / fresh["seconds"]
                    found.append(fresh)
                return found
    finally:
        broker.stop()


def _measure_freshness(copies: int, port: int, broker: str, rate: int) -> dict[str, float]:
    from confluent_kafka import Producer

    from assay.core.places import find_places

    sales = _Sales(find_places().landing, copies)
    producer = Producer({"bootstrap.servers": broker, "linger.ms": 2})
    # The server is asked for cards that send one transaction each.
    number = _SECONDS * _PROBES_A_SECOND
    probes, others = sales.cards[:number], sales.cards[number:]
    sent: dict[str, float] = {}
    begun = time.monotonic()

    def send() -> None:
        chance, count = random.Random(2), 0
        while (passed := time.monotonic() - begun) < _SECONDS:
            while count < passed * rate:
                producer.produce(_TOPIC, sales.one(chance.choice(others)))
                count += 1
            if len(sent) < min(number, passed * _PROBES_A_SECOND):
                card = probes[len(sent)]
                producer.produce(_TOPIC, sales.one(card))
                sent[card] = time.monotonic()
            producer.poll(0)
            time.sleep(0.005)
        producer.flush(30)

    known = _counts(port, probes)
    sender = threading.Thread(target=send)
    sender.start()
    seen: dict[str, float] = {}
    while (sender.is_alive() or len(seen) < len(sent)) and time.monotonic() - begun < 4 * _SECONDS:
        waiting = [card for card in list(sent) if card not in seen]
        found = _counts(port, waiting)
        seen |= {card: time.monotonic() for card in waiting if found[card] != known[card]}
        time.sleep(0.05)
    sender.join()
    ended = time.monotonic()
    waits = [seen.get(card, ended) - at for card, at in sent.items()]
    batches = sorted({round(at, 1) for at in seen.values()})
    return {
        "probes": len(waits),
        "p50": median(waits),
        "p99": quantiles(waits, n=100)[98],
        "interval": (batches[-1] - batches[0]) / max(1, len(batches) - 1) if batches else ended - begun,
        "seconds": ended - begun,
    }


def _counts(port: int, cards: list[str]) -> dict[str, Any]:
    """Ask the server how many transactions some cards had."""
    if not cards:
        return {}
    connection = http.client.HTTPConnection("127.0.0.1", port)
    asked = {"features": ["ftr_card__velocity:transaction_count_all"], "entities": {"card_id": cards}}
    connection.request("POST", ASKED, json.dumps(asked), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = json.loads(answer.read())
    connection.close()
    assert answer.status == 200, content
    names = content["metadata"]["feature_names"]
    values = content["results"][names.index("transaction_count_all")]["values"]
    return dict(zip(cards, values, strict=True))


@contextmanager
def _command(
    arguments: tuple[str, ...], environment: dict[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", "from assay.cli import app; app()", *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=os.environ | environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _await_text(process: subprocess.Popen[bytes], log: Path, text: str) -> None:
    deadline = time.monotonic() + _MOST_SECONDS_TO_BEGIN
    while text not in log.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise TimeoutError(f"the stream has not begun: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.2)


def _found(cost: Cost) -> Any:
    line = next(line for line in reversed(cost.output.splitlines()) if line.startswith(_FOUND))
    return json.loads(line.removeprefix(_FOUND))


def _main(what: str, *arguments: str) -> None:
    if what == "generate":
        # Up to today, so that what is sent goes on from it.
        generate(Path(arguments[0]), start=date.today() - timedelta(365))
        return
    found = _cost(int(arguments[0])) if what == "cost" else None
    if what == "fresh":
        copies, port, broker, rate = arguments
        found = _measure_freshness(int(copies), int(port), broker, int(rate))
    print(_FOUND + json.dumps(found))


if __name__ == "__main__":
    _main(*sys.argv[1:])
