"""Keys and values of online stores are encrypted where a key is set, and answers stay as they are."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from unittest import mock

import pytest
from redis_server import RedisServer

import assay
from assay.core.fault import Fault
from assay.online.definition import Build, OnlineView
from assay.online.stores.open import open_store
from assay.online.stores.sealed import SealedStore
from assay.online.stores.store import Entity, Reading, StoreUnavailable

KEY, OTHER = "it's an invented key of 32 letters", "another invented key of 32 letters"
SECRET = "a value that nobody is to find"
PEOPLE = ["Adelheid Mustermann", 'O"Neill, ü', ""]
BUILD = Build("one", datetime(2025, 1, 1), datetime(2025, 1, 2), 3, "digest")
VIEW = OnlineView.of(json.dumps({"columns": [], "name": "ftr_people", "pii_key": None}), BUILD)


def entities(*names: str, value: str = SECRET) -> list[Entity]:
    return [Entity(name, number, f"[{number}]\n{value} {name}") for number, name in enumerate(names)]


def read(store: SealedStore, *keys: str) -> Reading:
    async def ask() -> Reading:
        try:
            return await store.read([("ftr_people", keys)])
        finally:
            await store.close()

    return asyncio.run(ask())


def values(store: SealedStore, *keys: str) -> list[str | None]:
    (found,) = read(store, *keys).stretches
    return [value.decode() if isinstance(value, bytes) else value for value in found]


def bytes_beside(file: Path) -> bytes:
    return b"".join(each.read_bytes() for each in file.parent.glob(f"{file.name}*"))


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)
    monkeypatch.delenv("ASSAY_ENCRYPTION_KEY_BEFORE", raising=False)
    return tmp_path / "online.sqlite"


def written(file: Path) -> SealedStore:
    store = open_store(f"sqlite:{file}")
    store.write(VIEW, [entities(*PEOPLE)], [], instead_of=None)
    return store


def test_a_store_holds_nothing_in_plain_and_answers_as_a_plain_one(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = written(file)
    for text in (SECRET, *PEOPLE[:1]):
        assert text.encode() not in bytes_beside(file)
    wanted = [entity.stretch for entity in entities(*PEOPLE)]
    # Another process, which does not know yet that the store is encrypted.
    for each in (store, open_store(f"sqlite:{file}")):
        assert values(each, *PEOPLE, "nobody") == [*wanted, None]
    held = store.catalog()["ftr_people"]
    assert (held.text, held.declared) == (VIEW.text, VIEW.declared)
    assert sorted(store.versions("ftr_people")) == sorted(zip(PEOPLE, range(3), strict=True))
    assert asyncio.run(store.sample("ftr_people")) in PEOPLE
    # A sync writes what has changed with the same key.
    store.write(VIEW, [entities(PEOPLE[0], value="later")], [PEOPLE[1]], instead_of=VIEW)
    assert values(store, *PEOPLE) == [f"[0]\nlater {PEOPLE[0]}", None, wanted[2]]
    assert b"later" not in bytes_beside(file)
    monkeypatch.delenv("ASSAY_ENCRYPTION_KEY")
    plain = file.with_name("plain.sqlite")
    assert values(written(plain), *PEOPLE) == wanted
    assert SECRET.encode() in bytes_beside(plain)


@pytest.mark.parametrize("given", [None, OTHER])
def test_another_key_or_none_is_told_and_not_shown(
    file: Path, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    written(file)
    if given:
        monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", given)
    else:
        monkeypatch.delenv("ASSAY_ENCRYPTION_KEY")
    store = open_store(f"sqlite:{file}")
    said = "gives another key" if given else "no key is set"
    for ask in (lambda: read(store, "x"), store.catalog, lambda: list(store.versions("ftr_people"))):
        with pytest.raises(StoreUnavailable, match=f"ftr_people in the online store .* {said}") as raised:
            ask()
        assert KEY not in str(raised.value)
        assert str(file) not in raised.value.for_callers


def test_an_extra_that_is_missing_is_told(file: Path) -> None:
    written(file)
    missing = {"cryptography.exceptions": None, "cryptography.hazmat.primitives.ciphers.aead": None}
    store = open_store(f"sqlite:{file}")
    with mock.patch.dict(sys.modules, missing):
        for ask in (lambda: read(store, "x"), lambda: list(store.versions("ftr_people"))):
            with pytest.raises(Fault, match=r"Encryption of online stores needs .*assay\[encryption\]"):
                ask()


def test_a_value_cannot_be_given_to_another_entity(file: Path) -> None:
    store = written(file)
    with sqlite3.connect(file) as connection:
        connection.execute("update entities set stretch = (select stretch from entities where version = 0)")
    with pytest.raises(StoreUnavailable, match="was changed by another program"):
        read(store, PEOPLE[1])
    assert values(store, PEOPLE[0]) == [entities(*PEOPLE)[0].stretch]


@pytest.fixture
def project(file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a plain online store, and no key."""
    monkeypatch.chdir(file.parent)
    Path("dbt_project.yml").write_text("name: shop\n")
    monkeypatch.delenv("ASSAY_ENCRYPTION_KEY")
    monkeypatch.setenv("ASSAY_WAREHOUSE", "data/assay.duckdb")
    monkeypatch.delenv("ASSAY_ONLINE_STORE", raising=False)
    Path("data").mkdir()
    store = Path("data", "online.sqlite")
    written(store)
    return store


def key_of_store() -> str | None:
    (found,) = (each for each in assay.open(".").encryption.status().found.files if each.can_be)
    return found.key


def test_a_rotation_takes_a_store_to_a_key_and_to_the_next_while_servers_read(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [entity.stretch for entity in entities(*PEOPLE)]
    assert key_of_store() is None
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)
    server = open_store(f"sqlite:{project}")
    # What was there before the key stays plain in a sync, and is read.
    server.write(VIEW, [], [], instead_of=VIEW)
    assert values(server, *PEOPLE) == wanted
    assert assay.open(".").encryption.rotate().found.written == [project]
    assert key_of_store() == "now"
    # Nothing is left in free pages either.
    assert SECRET.encode() not in bytes_beside(project)
    assert PEOPLE[0].encode() not in bytes_beside(project)
    assert values(server, *PEOPLE) == wanted
    assert assay.open(".").encryption.rotate().found.as_they_were == [project]
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", OTHER)
    assert key_of_store() == "another"
    with pytest.raises(Fault, match=r"ftr_people in sqlite:\S+ cannot be read .* No file is changed"):
        assay.open(".").encryption.rotate()
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY_BEFORE", KEY)
    both = open_store(f"sqlite:{project}")
    assert values(both, *PEOPLE) == wanted
    held = both.catalog()["ftr_people"]
    assert assay.open(".").encryption.rotate().found.written == [project]
    assert values(both, *PEOPLE) == wanted
    # A sync that began before does not go on with the old key.
    with pytest.raises(StoreUnavailable, match="Another sync wrote"):
        both.write(VIEW, [entities("late")], [], instead_of=held)
    assert sorted(both.versions("ftr_people")) == sorted(zip(PEOPLE, range(3), strict=True))


def test_a_file_that_cannot_be_read_hides_no_other(project: Path) -> None:
    project.write_bytes(b"no store" * 100)
    project.with_name("stream.sqlite").write_bytes(b"no store" * 100)
    project.with_name("serving").mkdir()
    told = assay.open(".").encryption.status()
    assert [Path(each.path).name for each in told.found.files] == ["serving"]
    shown = str(told)
    for name, why in zip(("online", "stream"), told.found.unread, strict=True):
        assert f"{name}.sqlite" in why
    assert shown.count("Warning: one is not among them") == 2


def test_a_rotation_that_is_killed_leaves_the_store_whole(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)
    second = replace(VIEW, name="ftr_more", text=VIEW.text.replace("people", "more"))
    monkeypatch.delenv("ASSAY_ENCRYPTION_KEY")
    open_store(f"sqlite:{project}").write(second, [entities("one")], [], instead_of=None)
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)
    reseal, done = SealedStore.reseal, list[str]()

    async def reseal_and_die(self: SealedStore, view: str, at_a_time: int) -> bool:
        if done:
            raise KeyboardInterrupt
        done.append(view)
        return await reseal(self, view, at_a_time)

    with monkeypatch.context() as patched:
        patched.setattr(SealedStore, "reseal", reseal_and_die)
        with pytest.raises(KeyboardInterrupt):
            assay.open(".").encryption.rotate()
    assert key_of_store() is None
    assert sorted(map(str, open_store(f"sqlite:{project}").tags().values()))[-1] == "None"
    assert values(open_store(f"sqlite:{project}"), *PEOPLE) == [each.stretch for each in entities(*PEOPLE)]
    assert assay.open(".").encryption.rotate().found.written == [project]
    assert key_of_store() == "now"
    assert SECRET.encode() not in bytes_beside(project)


def test_redis_keeps_what_is_encrypted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    (tmp_path / "redis").mkdir()
    server = RedisServer(tmp_path / "redis")
    server.start()
    try:
        store = open_store(server.url)
        store.write(VIEW, [entities(*PEOPLE)], [], instead_of=None)
        wanted = [entity.stretch for entity in entities(*PEOPLE)]
        assert values(store, *PEOPLE, "nobody") == [*wanted, None]
        assert sorted(store.versions("ftr_people")) == sorted(zip(PEOPLE, range(3), strict=True))
        monkeypatch.setenv("ASSAY_ENCRYPTION_KEY_BEFORE", KEY)
        monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", OTHER)

        async def reseal() -> bool:
            other = open_store(server.url)
            try:
                return await other.reseal("ftr_people", 2)
            finally:
                await other.close()

        assert asyncio.run(reseal())
        assert values(open_store(server.url), *PEOPLE) == wanted
    finally:
        server.stop()
