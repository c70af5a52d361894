"""An online store in a database of Postgres, for those who run one anyway.

Its tables are in the schema `assay_online`. A sync changes a view in one transaction, and a read is one
statement, which sees the tables as they are at one moment: readers see a view before the change or after it.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import islice
from typing import Any, NamedTuple
from uuid import uuid4

from assay.core.fault import MISUSED, Fault, extra_needed
from assay.online.definition import Build, OnlineView
from assay.online.stores.shown_url import shown_url
from assay.online.stores.store import (
    Catalog,
    Entity,
    Reading,
    StoreUnavailable,
    Wanted,
    empty,
    overtaken,
)

with extra_needed("postgres", by="The online store in Postgres"):
    import psycopg
    from psycopg import conninfo, errors

# Keys and stretches are bytes: a text of Postgres cannot hold every character, and has an order of its own.
# What changes entities without a sync takes the digests away, so the next sync compares them one by one.
_SCHEMA = """
create table assay_online.stamp (
    is_only boolean primary key default true check (is_only), value text not null
);
create table assay_online.catalog (
    id bigint generated always as identity primary key, feature_view text not null unique,
    definition text not null, run_id text not null, known_until timestamp, synced_at timestamp, digest text
);
create table assay_online.entities (
    view bigint not null, key bytea not null, version bigint not null, stretch bytea not null,
    primary key (view, key)
);
create function assay_online.watch() returns trigger language plpgsql as $$
begin
    update assay_online.catalog set digest = null where digest is not null;
    update assay_online.stamp set value = gen_random_uuid()::text;
    return null;
end
$$;
create trigger watch after insert or update or delete or truncate on assay_online.entities
    for each statement when (current_setting('assay.sync', true) is distinct from 'on')
    execute function assay_online.watch();
"""
_READ = """
select stamp.value, found.place, found.stretch
from assay_online.stamp
left join (
    select asked.place, entities.stretch
    from unnest(%s::text[], %s::bytea[], %s::bigint[]) as asked (feature_view, key, place)
    inner join assay_online.catalog on catalog.feature_view = asked.feature_view
    inner join assay_online.entities on entities.view = catalog.id and entities.key = asked.key
) as found on true
"""
_CATALOG = """
select stamp.value, definition, run_id, known_until, synced_at, digest
from assay_online.stamp left join assay_online.catalog on true
order by feature_view collate "C"
"""
_ENTITIES = """
from assay_online.entities
inner join assay_online.catalog on catalog.id = entities.view
where catalog.feature_view = %s
"""
_ENTER = """
insert into assay_online.catalog (feature_view, definition, run_id, known_until, synced_at, digest)
values (%s, %s, %s, %s, %s, %s)
on conflict (feature_view) do update set
    definition = excluded.definition, run_id = excluded.run_id, known_until = excluded.known_until,
    synced_at = excluded.synced_at, digest = excluded.digest
returning id
"""
_UPSERT = """
insert into assay_online.entities
select %s, key, version, stretch
from unnest(%s::bytea[], %s::bigint[], %s::bytea[]) as changed (key, version, stretch)
on conflict (view, key) do update set version = excluded.version, stretch = excluded.stretch
"""
# The first number of the locks that writers take; the second is of the view, or 0 while tables are made.
_LOCKS = 1_635_017_081
_SECONDS_TO_WAIT = 2.0
_MOST_CONNECTIONS = 8
_ENTITIES_AT_A_TIME = 5000


class _Held(NamedTuple):
    stamp: str
    catalog: Catalog


class PostgresStore:
    """The store in a database, which the first sync makes tables in; without them, it counts as empty."""

    def __init__(self, url: str) -> None:
        self.url = shown_url(url)
        # No server answers later than this that can be used; what the URL says itself comes first.
        defaults: dict[str, Any] = {
            "connect_timeout": "2",
            "tcp_user_timeout": "5000",
            "application_name": "assay",
        }
        try:
            given = conninfo.conninfo_to_dict(url)
        except psycopg.Error:
            # The error is not shown or chained, because it may contain the password.
            raise Fault(
                f"{self.url} is no URL of Postgres: write postgresql://HOST:PORT/DATABASE.", MISUSED
            ) from None
        self._password = str(given.get("password") or "")
        self._address = conninfo.make_conninfo(**(defaults | given))
        self._held: _Held | None = None
        self._idle: list[psycopg.AsyncConnection[Any]] = []
        self._places = asyncio.Semaphore(_MOST_CONNECTIONS)

    async def read(self, wanted: Sequence[Wanted]) -> Reading:
        """Read stretches in one statement; see `Store`."""
        asked = [(view, key.encode()) for view, keys in wanted for key in keys]
        arguments = [[view for view, _ in asked], [key for _, key in asked], list(range(len(asked)))]
        async with self._reading() as connection:
            found = await _rows(connection, _READ, arguments)
            held = self._held
            if held is None or not found or found[0][0] != held.stamp:
                # Somebody has written: the catalog and the stretches are read as of one moment.
                async with connection.transaction():
                    await connection.execute("set transaction isolation level repeatable read, read only")
                    held = _catalog(await _rows(connection, _CATALOG, []))
                    found = await _rows(connection, _READ, arguments)
                self._held = held
        if held is None:
            raise empty(self.url)
        stretches = {place: stretch for _, place, stretch in found}
        places = iter(range(len(asked)))
        return Reading(
            held.catalog,
            [[stretches.get(place) for place in islice(places, len(keys))] for _, keys in wanted],
        )

    async def sample(self, view: str) -> str | None:
        """Return some key; see `Store`."""
        async with self._reading() as connection:
            found = await _rows(connection, f"select key {_ENTITIES} order by key limit 1", [view])
        return found[0][0].decode() if found else None

    def catalog(self) -> Catalog:
        """Return what the store holds; see `Store`."""
        with self._connected("read") as connection:
            held = _catalog(connection.execute(_CATALOG).fetchall()) if _is_made(connection) else None
        return held.catalog if held else {}

    def names(self) -> set[str]:
        """Return the names of the views there are; see `Store`."""
        return set(self.catalog())

    def versions(self, view: str) -> Iterator[tuple[str, int]]:
        """Yield keys and versions; see `Store`."""
        with self._connected("read") as connection:
            if _is_made(connection):
                with connection.transaction(), connection.cursor("versions", binary=True) as cursor:
                    cursor.itersize = _ENTITIES_AT_A_TIME
                    cursor.execute(f"select key, version {_ENTITIES}", [view])
                    for key, version in cursor:
                        yield key.decode(), version

    def entities(self, view: str) -> int:
        """Count the entities of a view; see `Store`."""
        with self._connected("read") as connection:
            if not _is_made(connection):
                raise empty(self.url)
            [(number,)] = connection.execute(f"select count(*) {_ENTITIES}", [view]).fetchall()
        return int(number)

    def write(
        self,
        view: OnlineView,
        changed: Iterable[Sequence[Entity]],
        removed: Iterable[str],
        *,
        instead_of: OnlineView | None,
    ) -> None:
        """Bring a view to another build in one transaction; see `Store`."""
        build = view.build
        with self._writing(view.name) as connection:
            held = connection.execute(
                "select run_id, synced_at, digest from assay_online.catalog where feature_view = %s",
                [view.name],
            ).fetchone()
            of = instead_of.build if instead_of else None
            if held != ((of.run_id, of.synced_at, of.digest) if of else None):
                raise overtaken(view.name)
            entry = [
                view.name,
                view.text,
                build.run_id,
                build.known_until,
                build.synced_at,
                build.digest,
            ]
            [(number,)] = connection.execute(_ENTER, entry).fetchall()
            for batch in changed:
                keys = [each.key.encode() for each in batch]
                versions = [each.version for each in batch]
                stretches = [each.stretch.encode() for each in batch]
                connection.execute(_UPSERT, [number, keys, versions, stretches])
            rest = iter(removed)
            while some := [key.encode() for key in islice(rest, _ENTITIES_AT_A_TIME)]:
                connection.execute(
                    "delete from assay_online.entities where view = %s and key = any(%s::bytea[])",
                    [number, some],
                )

    def remove(self, view: str) -> None:
        """Take a view out; see `Store`."""
        with self._writing(view) as connection:
            connection.execute(
                "delete from assay_online.entities where view = "
                "(select id from assay_online.catalog where feature_view = %s)",
                [view],
            )
            connection.execute("delete from assay_online.catalog where feature_view = %s", [view])

    async def close(self) -> None:
        """Close the connections; they belong to the event loop that runs now."""
        while self._idle:
            await self._idle.pop().close()
        self._places = asyncio.Semaphore(_MOST_CONNECTIONS)

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        """Provide one of a few connections, and hang up where the server does not answer in time.

        Raises:
            StoreUnavailable: the store cannot be read, or is empty.
        """
        loop = asyncio.get_running_loop()
        deadline: float | None = None
        try:
            async with self._places:
                connection = await self._take()
                deadline = loop.time() + _SECONDS_TO_WAIT
                timer = loop.call_at(deadline, _hang_up, connection)
                try:
                    yield connection
                except BaseException:
                    # The others may be as stale, for instance behind a firewall that has forgotten them.
                    for each in [connection, *self._idle]:
                        await each.close()
                    self._idle.clear()
                    raise
                finally:
                    timer.cancel()
                self._idle.append(connection)
        except (errors.UndefinedTable, errors.InvalidSchemaName):
            raise empty(self.url) from None
        except (psycopg.Error, OSError) as error:
            is_late = deadline is not None and loop.time() >= deadline
            late = f"it gave no answer within {_SECONDS_TO_WAIT:.0f} seconds"
            raise self._unavailable("read", late if is_late else _said(error)) from error

    async def _take(self) -> psycopg.AsyncConnection[Any]:
        """Return a connection that waits, or else a new one."""
        while self._idle:
            connection = self._idle.pop()
            if _is_quiet(connection):
                return connection
            await connection.close()
        return await psycopg.AsyncConnection.connect(self._address, autocommit=True)

    @contextmanager
    def _connected(self, done: str, hint: str = "") -> Iterator[psycopg.Connection[Any]]:
        """Provide a connection of its own for a sync, and close it."""
        try:
            with psycopg.connect(self._address, autocommit=True) as connection:
                yield connection
        except (psycopg.Error, OSError) as error:
            raise self._unavailable(done, _said(error), hint) from error

    @contextmanager
    def _writing(self, view: str) -> Iterator[psycopg.Connection[Any]]:
        """Provide a transaction that changes a view while no other sync does."""
        hint = " It holds what it did before; if another sync is under way, try again when it is done."
        with self._connected("written", hint) as connection, connection.transaction():
            connection.execute("set local lock_timeout = '60s'")
            # Where the machine of a sync vanishes, others get its lock after this time.
            connection.execute("set local idle_in_transaction_session_timeout = '10min'")
            connection.execute("set local assay.sync = 'on'")
            _make(connection)
            connection.execute("select pg_advisory_xact_lock(%s, hashtext(%s))", [_LOCKS, view])
            yield connection
            connection.execute(
                "insert into assay_online.stamp (value) values (%s) "
                "on conflict (is_only) do update set value = excluded.value",
                [uuid4().hex],
            )

    def _unavailable(self, done: str, said: str, hint: str = "") -> StoreUnavailable:
        said = said.replace(self._password, "...") if self._password else said
        return StoreUnavailable(f"The online store {self.url} cannot be {done}: {said}.{hint}")


async def _rows(connection: psycopg.AsyncConnection[Any], sql: str, arguments: Sequence[Any]) -> list[Any]:
    cursor = connection.cursor(binary=True)
    await cursor.execute(sql, arguments)
    return await cursor.fetchall()


def _said(error: Exception) -> str:
    """Return an error's message in one line, without the statement that the server quotes."""
    of_server = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return " ".join((of_server or str(error)).split()).rstrip(".?")


def _hang_up(connection: psycopg.AsyncConnection[Any]) -> None:
    """End a connection that somebody waits for: a query could only be cancelled by a server that answers."""
    if not connection.closed:
        with socket.socket(fileno=os.dup(connection.fileno())) as its_socket:
            its_socket.shutdown(socket.SHUT_RDWR)


def _is_quiet(connection: psycopg.AsyncConnection[Any]) -> bool:
    """Tell whether a connection that waits can be used: a server says nothing on it but that it ends."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return not poll.poll(0)


def _catalog(rows: Sequence[Any]) -> _Held | None:
    """Read the catalog's rows; None if no sync has finished yet."""
    if not rows:
        return None
    views = [
        OnlineView.of(definition, Build(run_id, known_until, synced_at, digest=digest))
        for _, definition, run_id, known_until, synced_at, digest in rows
        if definition is not None
    ]
    return _Held(rows[0][0], {view.name: view for view in views})


def _is_made(connection: psycopg.Connection[Any]) -> bool:
    """Tell whether the tables are there: the transaction that makes the first of them makes all."""
    # Unlike to_regclass, which may remember what was so before the last statement.
    found = connection.execute(
        "select from pg_tables where schemaname = 'assay_online' and tablename = 'entities'"
    )
    return found.fetchone() is not None


def _make(connection: psycopg.Connection[Any]) -> None:
    """Make the tables, where they are not there; the schema may have been made for this user."""
    if _is_made(connection):
        return
    connection.execute("select pg_advisory_xact_lock(%s, 0)", [_LOCKS])
    if _is_made(connection):
        return
    if connection.execute("select from pg_namespace where nspname = 'assay_online'").fetchone() is None:
        connection.execute("create schema assay_online")
    connection.execute(_SCHEMA)
