"""The macros that make features of embeddings, beside numpy at every instant."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import pytest
from numpy.typing import NDArray
from rendered_macros import Macros

BEGIN, FOREVER = datetime(2025, 1, 1), datetime(9999, 12, 31)
DIMENSION, NEIGHBOURS = 8, 3
Vector = NDArray[np.float64]
# Key, what holds, from when, until when.
State = tuple[str, Any, datetime, datetime]

MACROS = Macros()
DOCUMENT_VECTORS = MACROS.document_vectors("doc_chunks", "doc_embeddings")
MEAN_VECTORS = MACROS.mean_vectors("purchases", "vectors", ["customer_id"], "product_id", "available_at")
NEAREST_VECTORS = MACROS.nearest_vectors("vectors", "product_id", NEIGHBOURS)


def hour(number: int) -> datetime:
    return BEGIN + timedelta(hours=number)


HOURS, TEXTS = 60, 40


def draw_states(rng: random.Random, names: list[str], draw: Callable[[], Any]) -> list[State]:
    """Draw histories: states that follow each other, with or without a gap, some of them open."""
    states = []
    for name in names:
        at = rng.randrange(HOURS // 2)
        while at < HOURS:
            until = at + rng.randrange(1, HOURS // 2)
            states.append((name, draw(), hour(at), hour(until) if until < HOURS else FOREVER))
            at = until + rng.choice([0, 0, rng.randrange(1, 9)])
    rng.shuffle(states)
    return states


def valid(states: list[State], at: datetime) -> list[State]:
    return sorted((each for each in states if each[2] <= at < each[3]), key=lambda each: each[0])


def known(states: list[State], at: datetime) -> list[State]:
    """The states as they were known at an instant: none began later, and none had ended yet."""
    return [
        (name, value, since, until if until <= at else FOREVER)
        for name, value, since, until in states
        if since <= at
    ]


def draw_vector(rng: random.Random) -> list[float]:
    return [float(np.float32(rng.uniform(-1, 1))) for _ in range(DIMENSION)]


def unit(vector: Vector) -> Vector:
    return np.asarray(vector / np.linalg.norm(vector))


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def write(connection: duckdb.DuckDBPyConnection, name: str, columns: str, rows: list[Any]) -> None:
    connection.execute(f"create or replace table {name} ({columns})")
    if rows:
        connection.executemany(f"insert into {name} values ({', '.join('?' * len(rows[0]))})", rows)


def write_vectors(connection: duckdb.DuckDBPyConnection, states: list[State]) -> None:
    columns = f"product_id varchar, vector float[{DIMENSION}], valid_from timestamp, valid_to timestamp"
    write(connection, "vectors", columns, [list(each) for each in states])


def changes(connection: duckdb.DuckDBPyConnection, sql: str, key: str) -> list[dict[str, Any]]:
    found = connection.sql(f"from ({sql}) order by {key}, available_at").to_arrow_table().to_pylist()
    assert len({(row[key], row["available_at"]) for row in found}) == len(found)
    return found


def last_change(found: list[dict[str, Any]], key: str, at: datetime) -> dict[str, dict[str, Any]]:
    """Of each entity the change that counts at an instant, where it is no deletion."""
    last = {row[key]: row for row in found if row["available_at"] <= at}
    return {name: row for name, row in last.items() if not row.get("is_deleted")}


def instants(found: list[dict[str, Any]]) -> list[datetime]:
    assert len(found) > 20
    return sorted({row["available_at"] - timedelta(microseconds=less) for row in found for less in (0, 1)})


# --- documents ----------------------------------------------------------------------------------------------


def write_chunks(connection: duckdb.DuckDBPyConnection, states: list[State]) -> dict[str, Vector]:
    """Write chunks whose text is the hash, and embeddings of most texts; return the embeddings."""
    rows = [[*name.split("#"), value, since, until] for name, value, since, until in states]
    columns = "document_id varchar, chunk_number integer, chunk_hash varchar, valid_from timestamp"
    write(connection, "doc_chunks", f"{columns}, valid_to timestamp", rows)
    rng = random.Random(7)
    vectors = {f"text {number}": draw_vector(rng) for number in range(TEXTS)}
    vectors["text 3"] = [0.0] * DIMENSION
    told = [[name, None if name == "text 5" else vector] for name, vector in vectors.items()]
    write(connection, "doc_embeddings", f"chunk_hash varchar, vector float[{DIMENSION}]", told)
    return {name: np.array(vector) for name, vector in told if vector is not None}


def draw_chunks(seed: int) -> list[State]:
    rng = random.Random(seed)
    names = [f"{document}#{number}" for document in "abcdefgh" for number in range(1, rng.randrange(2, 5))]
    return draw_states(rng, names, lambda: f"text {rng.randrange(TEXTS)}")


@pytest.mark.parametrize("seed", range(3))
def test_a_document_has_the_mean_of_its_chunks_at_every_instant(
    seed: int, connection: duckdb.DuckDBPyConnection
) -> None:
    states = draw_chunks(seed)
    embeddings = write_chunks(connection, states)
    found = changes(connection, DOCUMENT_VECTORS, "document_id")
    for at in instants(found):
        of_document: dict[str, list[Vector]] = {}
        for name, text, _, _ in valid(states, at):
            if text in embeddings:
                of_document.setdefault(name.split("#")[0], []).append(embeddings[text])
        expected = {name: np.mean(each, axis=0) for name, each in of_document.items()}
        expected = {name: unit(mean) for name, mean in expected.items() if np.any(mean)}
        actual = last_change(found, "document_id", at)
        assert actual.keys() == expected.keys()
        for name, row in actual.items():
            np.testing.assert_allclose(row["vector"], expected[name], atol=1e-6)


def test_chunks_are_summed_in_their_order(connection: duckdb.DuckDBPyConnection) -> None:
    embeddings = [
        [name, [value] * DIMENSION] for name, value in (("great", 1e17), ("one", 1.0), ("less", -1e17))
    ]
    write(connection, "doc_embeddings", f"chunk_hash varchar, vector float[{DIMENSION}]", embeddings)
    columns = "document_id varchar, chunk_number integer, chunk_hash varchar, valid_from timestamp"
    chunks = {"vanishes": ["great", "one", "less"], "stays": ["less", "great", "one"]}
    rows = [
        [name, number, text, BEGIN, FOREVER]
        for name, texts in chunks.items()
        for number, text in reversed([*enumerate(texts, 1)])
    ]
    write(connection, "doc_chunks", f"{columns}, valid_to timestamp", rows)
    found = changes(connection, DOCUMENT_VECTORS, "document_id")
    assert {row["document_id"]: row["is_deleted"] for row in found} == {"stays": False, "vanishes": True}


# --- profiles -----------------------------------------------------------------------------------------------


def draw_products(seed: int) -> list[State]:
    rng = random.Random(seed)
    return draw_states(rng, [f"p{number:02}" for number in range(12)], lambda: draw_vector(rng))


def draw_purchases(seed: int) -> list[list[Any]]:
    rng = random.Random(seed)
    customers, products = ["anna", "bert", "cleo", None], [*(f"p{number:02}" for number in range(14)), None]
    return [[rng.choice(customers), rng.choice(products), hour(rng.randrange(HOURS))] for _ in range(150)]


def write_purchases(connection: duckdb.DuckDBPyConnection, purchases: list[list[Any]]) -> None:
    columns = "customer_id varchar, product_id varchar, available_at timestamp"
    write(connection, "purchases", columns, purchases)


@pytest.mark.parametrize("seed", range(3))
def test_a_profile_is_the_mean_of_what_was_known_of_what_was_met(
    seed: int, connection: duckdb.DuckDBPyConnection
) -> None:
    products, purchases = draw_products(seed), draw_purchases(seed)
    write_vectors(connection, products)
    write_purchases(connection, purchases)
    found = changes(connection, MEAN_VECTORS, "customer_id")
    for at in instants(found):
        met: dict[str, list[list[float]]] = {}
        for customer, product, bought in purchases:
            if customer and bought <= at:
                vectors = [vector for name, vector, _, _ in valid(products, bought) if name == product]
                met.setdefault(customer, []).extend(vectors)
        expected = {customer: np.array(vectors) for customer, vectors in met.items() if vectors}
        actual = last_change(found, "customer_id", at)
        assert actual.keys() == expected.keys()
        for customer, row in actual.items():
            assert row["events"] == len(expected[customer])
            np.testing.assert_allclose(row["vector"], expected[customer].mean(axis=0), atol=1e-6)


# --- neighbours ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_the_nearest_are_those_of_all_that_are_valid(
    seed: int, connection: duckdb.DuckDBPyConnection
) -> None:
    products = draw_products(seed)
    products[0] = (products[0][0], [0.0] * DIMENSION, *products[0][2:])
    write_vectors(connection, products)
    found = changes(connection, NEAREST_VECTORS, "product_id")
    for at in instants(found):
        units = {name: unit(np.array(vector)) for name, vector, _, _ in valid(products, at) if any(vector)}
        actual = last_change(found, "product_id", at)
        assert actual.keys() == units.keys()
        for name, row in actual.items():
            others = {other: float(units[name] @ units[other]) for other in units if other != name}
            nearest = sorted(others, key=lambda other: (-others[other], other))[:NEIGHBOURS]
            assert row["neighbours"] == nearest
            np.testing.assert_allclose(row["similarities"], [others[each] for each in nearest], atol=1e-6)


def test_of_those_that_are_as_near_the_lesser_key_comes_first(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    vectors = {name: [1.0] + [0.0] * (DIMENSION - 1) for name in "fbdace"}
    write_vectors(connection, [(name, vector, BEGIN, FOREVER) for name, vector in vectors.items()])
    found = changes(connection, NEAREST_VECTORS, "product_id")
    assert {row["product_id"]: row["neighbours"] for row in found} == {
        name: [other for other in "abcdef" if other != name][:NEIGHBOURS] for name in vectors
    }


def test_who_is_alone_has_no_neighbours(connection: duckdb.DuckDBPyConnection) -> None:
    write_vectors(connection, [("a", [1.0] * DIMENSION, hour(0), hour(5))])
    assert changes(connection, NEAREST_VECTORS, "product_id") == [
        {
            "product_id": "a",
            "neighbours": neighbours,
            "similarities": neighbours,
            "available_at": at,
            "is_deleted": neighbours is None,
        }
        for neighbours, at in (([], hour(0)), (None, hour(5)))
    ]


# --- all of them --------------------------------------------------------------------------------------------


def write_all(
    connection: duckdb.DuckDBPyConnection, seed: int, at: datetime = FOREVER, *, shuffled: int = 0
) -> None:
    """Write the inputs as they were known at an instant, in an order of their own."""
    chunks, products, purchases = draw_chunks(seed), draw_products(seed), draw_purchases(seed)
    for rows in (chunks, products, purchases):
        random.Random(shuffled).shuffle(rows)  # type: ignore[arg-type]
    write_chunks(connection, known(chunks, at))
    write_vectors(connection, known(products, at))
    write_purchases(connection, [each for each in purchases if each[2] <= at])


ALL = [
    (DOCUMENT_VECTORS, "document_id"),
    (MEAN_VECTORS, "customer_id"),
    (NEAREST_VECTORS, "product_id"),
]


@pytest.mark.parametrize(("sql", "key"), ALL, ids=lambda value: value if len(value) < 20 else "")
def test_what_becomes_known_later_changes_nothing(
    sql: str, key: str, connection: duckdb.DuckDBPyConnection
) -> None:
    write_all(connection, 1)
    whole = changes(connection, sql, key)
    for at in instants(whole)[::5]:
        write_all(connection, 1, at)
        assert changes(connection, sql, key) == [row for row in whole if row["available_at"] <= at]


@pytest.mark.parametrize(("sql", "key"), ALL, ids=lambda value: value if len(value) < 20 else "")
def test_order_and_threads_change_no_bit(sql: str, key: str, connection: duckdb.DuckDBPyConnection) -> None:
    found = []
    for shuffled, threads in enumerate((1, 2, 4)):
        connection.execute(f"set threads = {threads}")
        write_all(connection, 2, shuffled=shuffled)
        found.append(changes(connection, sql, key))
    assert found[0] == found[1] == found[2]
