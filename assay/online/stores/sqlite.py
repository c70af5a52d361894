"""An online store in a SQLite file; readers are not blocked while one writer writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from assay.core.disk import make_private
from assay.online.definition import Build, OnlineView
from assay.online.stores.store import (
    Catalog,
    Entity,
    Reading,
    StoreUnavailable,
    Wanted,
    empty,
    overtaken,
)

# Of the tables; a file of another layout counts as empty, and the next sync writes it anew.
_LAYOUT = 2
_SCHEMA = """
create table stamp (value text not null) strict;
create table catalog (
    id integer primary key, feature_view text not null unique, definition text not null, run_id text not null,
    known_until text, synced_at text not null, digest text
) strict;
create table entities (
    view integer not null, key text not null, version integer not null, stretch text not null,
    primary key (view, key)
) strict, without rowid;
"""
# What changes entities without a sync takes the digest away, so the next sync compares them one by one.
_CHANGES = {"insert": "new", "update": "old", "delete": "old"}
_WATCH = """
create trigger watch_{change} after {change} on entities begin
    update catalog set digest = null where id = {row}.view and digest is not null;
    update stamp set value = lower(hex(randomblob(16)));
end
"""
_VIEW = "view = (select id from catalog where feature_view = ?)"
_SECONDS_TO_WAIT_FOR_A_WRITER = 60.0
_KEYS_AT_A_TIME = 500


class SqliteStore:
    """The store in a file, which the first sync creates; before a sync has finished, it counts as empty."""

    def __init__(self, path: Path) -> None:
        self.url = f"sqlite:{path}"
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None
        self._stamp: str | None = None
        self._catalog: Catalog = {}

    def __del__(self) -> None:
        # A connection refers to itself, so one that nobody closed keeps the file and its write-ahead log
        # open until Python next looks for garbage.
        self._forget()

    async def read(self, wanted: Sequence[Wanted]) -> Reading:
        """Read stretches; see `Store`."""
        with self._reading() as connection:
            catalog = self._current_catalog(connection)
            return Reading(catalog, [_read_view(connection, view, keys) for view, keys in wanted])

    async def sample(self, view: str) -> str | None:
        """Return some key; see `Store`."""
        with self._reading() as connection:
            found = connection.execute(f"select min(key) from entities where {_VIEW}", [view])
            key: str | None = found.fetchone()[0]
            return key

    def catalog(self) -> Catalog:
        """Return what the store holds; see `Store`."""
        with self._reading_if_any() as connection:
            return self._current_catalog(connection) if connection else {}

    def names(self) -> set[str]:
        """Return the names of the views there are; see `Store`."""
        return set(self.catalog())

    def versions(self, view: str) -> Iterator[tuple[str, int]]:
        """Yield keys and versions; see `Store`."""
        with self._reading_if_any() as connection:
            if connection:
                yield from connection.execute(f"select key, version from entities where {_VIEW}", [view])

    def entities(self, view: str) -> int:
        """Count the entities of a view; see `Store`."""
        with self._reading() as connection:
            found = connection.execute(f"select count(*) from entities where {_VIEW}", [view])
            return int(found.fetchone()[0])

    def bytes_by_view(self) -> dict[str, int]:
        """Return the bytes of keys and values of each view, without what SQLite takes around them.

        Raises:
            StoreUnavailable: it cannot be read now.
        """
        with self._reading_if_any() as connection:
            if connection is None:
                return {}
            return dict(
                connection.execute(
                    "select feature_view, sum(length(cast(key as blob)) + length(cast(stretch as blob))) "
                    "from catalog inner join entities on entities.view = catalog.id group by feature_view"
                ).fetchall()
            )

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
        with self._writing() as connection:
            held = connection.execute(
                "select run_id, synced_at, digest from catalog where feature_view = ?", [view.name]
            ).fetchone()
            expected = None
            if instead_of:
                of = instead_of.build
                expected = (of.run_id, _text(of.synced_at), of.digest)
            if held != expected:
                raise overtaken(view.name)
            [(number,)] = connection.execute(
                "insert into catalog (feature_view, definition, run_id, known_until, synced_at, digest) "
                "values (?, ?, ?, ?, ?, ?) on conflict (feature_view) do update set "
                "definition = excluded.definition, run_id = excluded.run_id, "
                "known_until = excluded.known_until, synced_at = excluded.synced_at, "
                "digest = excluded.digest returning id",
                [
                    view.name,
                    view.text,
                    build.run_id,
                    _text(build.known_until),
                    _text(build.synced_at),
                    build.digest,
                ],
            ).fetchall()
            for batch in changed:
                connection.executemany(
                    "insert or replace into entities values (?, ?, ?, ?)",
                    [(number, each.key, each.version, each.stretch) for each in batch],
                )
            connection.executemany(
                "delete from entities where view = ? and key = ?", [(number, key) for key in removed]
            )

    def remove(self, view: str) -> None:
        """Take a view out; see `Store`."""
        with self._writing() as connection:
            connection.execute(f"delete from entities where {_VIEW}", [view])
            connection.execute("delete from catalog where feature_view = ?", [view])

    async def close(self) -> None:
        """Close the file."""
        self._forget()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Provide a connection that reads what a sync has written.

        Raises:
            StoreUnavailable: the file cannot be read, or is empty.
        """
        with self._reading_if_any() as connection:
            if connection is None:
                raise empty(self.url)
            yield connection

    @contextmanager
    def _reading_if_any(self) -> Iterator[sqlite3.Connection | None]:
        """Provide a connection that reads what a sync has written; None if no sync has finished yet."""
        try:
            connection = self._connected()
            if connection is None:
                yield None
                return
            connection.execute("begin")
            try:
                yield connection if self._stamp or _is_written(connection) else None
            finally:
                connection.execute("rollback")
        except (sqlite3.Error, OSError) as error:
            self._forget()
            raise StoreUnavailable(
                f"The online store {self._path} cannot be read ({error}). "
                "If it is broken, remove it; to write it: assay online sync"
            ) from error

    def _connected(self) -> sqlite3.Connection | None:
        """Return a connection to the file that is at the path now: it may have been replaced, or be none."""
        try:
            status = self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            self._forget()
            return None
        if self._connection is None or self._opened != (status.st_dev, status.st_ino):
            self._forget()
            self._connection = sqlite3.connect(
                self._path, timeout=1.0, isolation_level=None, check_same_thread=False
            )
            self._opened = (status.st_dev, status.st_ino)
        return self._connection

    def _forget(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection, self._stamp = None, None

    def _current_catalog(self, connection: sqlite3.Connection) -> Catalog:
        (stamp,) = connection.execute("select value from stamp").fetchone()
        if stamp != self._stamp:
            rows = connection.execute(
                "select definition, run_id, known_until, synced_at, digest from catalog order by feature_view"
            ).fetchall()
            views = [
                OnlineView.of(
                    definition, Build(run_id, _moment(known_until), _moment(synced_at), digest=digest)
                )
                for definition, run_id, known_until, synced_at, digest in rows
            ]
            self._catalog, self._stamp = {view.name: view for view in views}, stamp
        return self._catalog

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            make_private(self._path)
            connection = sqlite3.connect(
                self._path, timeout=_SECONDS_TO_WAIT_FOR_A_WRITER, isolation_level=None
            )
            try:
                # With a write-ahead log, readers see the last commit and do not wait for the writer.
                connection.execute("pragma journal_mode = wal")
                connection.execute("begin immediate")
                _prepare(connection)
                yield connection
                for change, row in _CHANGES.items():
                    connection.execute(_WATCH.format(change=change, row=row))
                connection.execute("delete from stamp")
                connection.execute("insert into stamp values (?)", [uuid4().hex])
                connection.execute("commit")
            finally:
                connection.close()
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(
                f"The online store {self._path} cannot be written ({error}): it holds what it did before. "
                "If another sync is under way, try again when it is done; if the file is broken, remove it."
            ) from error


def _is_written(connection: sqlite3.Connection) -> bool:
    """Tell whether a sync has finished: the first one commits the tables."""
    return bool(connection.execute("pragma user_version").fetchone()[0] == _LAYOUT)


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the tables, and let a sync change entities unwatched: within its transaction, nobody else does."""
    if _is_written(connection):
        for change in _CHANGES:
            connection.execute(f"drop trigger if exists watch_{change}")
        return
    for table in ("stamp", "catalog", "entities"):
        connection.execute(f"drop table if exists {table}")
    for statement in _SCHEMA.split(";"):
        connection.execute(statement)
    connection.execute(f"pragma user_version = {_LAYOUT}")


def _read_view(connection: sqlite3.Connection, view: str, keys: Sequence[str]) -> list[bytes | str | None]:
    found: dict[str, str] = {}
    for start in range(0, len(keys), _KEYS_AT_A_TIME):
        some = keys[start : start + _KEYS_AT_A_TIME]
        places = ", ".join("?" * len(some))
        found.update(
            connection.execute(
                f"select key, stretch from entities where {_VIEW} and key in ({places})",
                [view, *some],
            ).fetchall()
        )
    return [found.get(key) for key in keys]


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
