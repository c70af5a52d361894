"""Keys and values in Postgres and DynamoDB are encrypted where a key is set, and answers stay as they are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import uuid4

import boto3
import psycopg
import pytest
from dynamodb_server import dynamodb_server
from postgres_server import postgres_server

from assay.online.definition import Build, OnlineView
from assay.online.stores.open import open_store
from assay.online.stores.store import Entity, StoreUnavailable

KEY, OTHER = "it's an invented key of 32 letters", "another invented key of 32 letters"
SECRET, PERSON = "a value that nobody is to find", "Adelheid Mustermann"
BUILD = Build("one", datetime(2025, 1, 1), datetime(2025, 1, 2), 3, "digest")
VIEW = OnlineView.of(json.dumps({"columns": [], "name": "ftr_people", "pii_key": None}), BUILD)
KEYS = [PERSON, 'O"Neill, ü', "third"]
ENTITIES = [Entity(key, number, f"[{number}]\n{SECRET} {key}") for number, key in enumerate(KEYS)]


@contextmanager
def store_in(kind: str) -> Iterator[str]:
    """Start a server, and yield the URL of a store in it that is not made yet."""
    if kind == "postgres":
        with postgres_server() as server:
            yield server.store_url
        return
    with dynamodb_server() as address:
        yield f"dynamodb://features-{uuid4().hex}?region=eu-central-1&endpoint={address}"


def stored(url: str) -> str:
    """Return all that the server holds of the store, as a text."""
    if url.startswith("postgresql"):
        with psycopg.connect(url) as connection:
            tables = connection.execute(
                "select table_name from information_schema.tables where table_schema = 'assay_online'"
            ).fetchall()
            rows = [connection.execute(f"select * from assay_online.{name}").fetchall() for (name,) in tables]
        return repr(rows)
    table, _, asked = url.removeprefix("dynamodb://").partition("?")
    client: Any = boto3.client("dynamodb", "eu-central-1", endpoint_url=asked.partition("endpoint=")[2])
    return repr(client.scan(TableName=table)["Items"])


def values(url: str) -> list[str | None]:
    async def read() -> list[str | None]:
        store = open_store(url)
        try:
            (found,) = (await store.read([("ftr_people", [*KEYS, "nobody"])])).stretches
        finally:
            await store.close()
        return [value.decode() if isinstance(value, bytes) else value for value in found]

    return asyncio.run(read())


async def reseal(url: str) -> bool:
    store = open_store(url)
    try:
        return await store.reseal("ftr_people", 2)
    finally:
        await store.close()


@pytest.mark.usefixtures("builds")
@pytest.mark.parametrize("kind", ["postgres", "dynamodb"])
def test_a_server_keeps_what_is_encrypted(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSAY_ENCRYPTION_KEY_BEFORE", raising=False)
    monkeypatch.delenv("ASSAY_ENCRYPTION_KEY", raising=False)
    wanted = [*(entity.stretch for entity in ENTITIES), None]
    with store_in(kind) as url:
        open_store(url).write(VIEW, [ENTITIES], [], instead_of=None)
        # What the search finds in a plain store.
        assert SECRET in stored(url)
        assert PERSON in stored(url)
        # From plain to a key, and to the next one.
        for key, before in ((KEY, None), (OTHER, KEY)):
            monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", key)
            if before:
                monkeypatch.setenv("ASSAY_ENCRYPTION_KEY_BEFORE", before)
            assert values(url) == wanted
            assert asyncio.run(reseal(url))
            assert values(url) == wanted
            assert SECRET not in stored(url)
            assert PERSON not in stored(url)
            assert not asyncio.run(reseal(url))
        store = open_store(url)
        held = store.catalog()["ftr_people"]
        later = Entity(PERSON, 9, f"[9]\n{SECRET} later")
        store.write(held, [[later]], [KEYS[1]], instead_of=held)
        assert values(url) == [later.stretch, None, *wanted[2:]]
        assert sorted(store.versions("ftr_people")) == [(PERSON, 9), (KEYS[2], 2)]
        assert SECRET not in stored(url)
        monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)
        monkeypatch.delenv("ASSAY_ENCRYPTION_KEY_BEFORE")
        with pytest.raises(StoreUnavailable, match=r"ftr_people .* is encrypted, and .* gives another key"):
            values(url)
