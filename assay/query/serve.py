"""Let several readers query what is published over the network (`assay query serve`)."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from threading import Event

import duckdb

from assay.core.extensions import load_extension
from assay.core.fault import MISUSED, Fault, known_fault
from assay.core.sql import quoted, text
from assay.project.warehouse import attach
from assay.query.allowed import Guard

#: The environment variable with what readers say to be let in.
TOKEN = "ASSAY_QUERY_TOKEN"
_SECONDS_BETWEEN_LOOKS = 1.0
_LEAST_TOKEN = 16
_OWN = ("published", "information_schema", "main")


def serve_queries(
    published: Path, *, port: int, token: str | None, say: Callable[[str], None], stop: Event
) -> None:
    """Answer queries on what is published until told to stop.

    The server is DuckDB's own, of its extension Quack, at this machine's own address. Readers run queries on
    the tables of gold and nothing else: no statement that writes, no file, no setting. When a build
    publishes, queries that have begun end on what they began with, and later ones read what is new.

    Args:
        published: the published file.
        port: TCP port.
        token: what readers say to be let in; without it one is made up and told.
        say: told what goes on.
        stop: is set to end.

    Raises:
        Fault: nothing is published, the token is too short, the port is taken, or extra `query` is not
            installed.
    """
    if not published.is_file():
        raise Fault(f"Nothing is published yet in {published.parent}. To build: assay build")
    if token and len(token) < _LEAST_TOKEN:
        raise Fault(f"The token is too short: it needs {_LEAST_TOKEN} characters or more.", MISUSED)
    _refuse_taken(port)
    links = published.absolute().parent / f".query-{port}"
    with duckdb.connect() as connection:
        # Quack loads httpfs at its first request, when the server opens no file any more.
        for extension in ("httpfs", "quack"):
            load_extension(connection, extension, extra="query", by="Serving queries")
        if not token:
            token = secrets.token_urlsafe(24)
            say(f"{TOKEN} is not set. The token of this server is {token}")
        shutil.rmtree(links, ignore_errors=True)
        links.mkdir(mode=0o700)
        address = f"quack:localhost:{port}"
        try:
            publications = _Publications(connection, published.absolute(), links)
            publications.take_newest()
            _close_doors(connection, links)
            connection.execute(f"call quack_serve({text(address)}, token = {text(token)})")
            connection.execute("set lock_configuration = true")
            say(f"Queries are answered at {address}. To stop: Ctrl-C")
            try:
                _follow(publications, say, stop)
            finally:
                connection.execute(f"call quack_stop({text(address)})")
        finally:
            shutil.rmtree(links, ignore_errors=True)


def _refuse_taken(port: int) -> None:
    # Quack would share the port with another server, and readers would get answers of either.
    for family, kind, _, _, address in socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM):
        with socket.socket(family, kind) as tried:
            try:
                tried.bind(address)
            except OSError as error:
                raise Fault(
                    f"Port {port} cannot be listened at ({error.strerror}): name another by --port.", MISUSED
                ) from error


def _close_doors(connection: duckdb.DuckDBPyConnection, links: Path) -> None:
    guard = Guard()
    connection.create_function("assay_may_run", guard.may_run, ["VARCHAR", "VARCHAR"], "BOOLEAN")
    connection.execute("set global quack_authorization_function = 'assay_may_run'")
    connection.execute("set global TimeZone = 'UTC'")
    connection.execute(f"set temp_directory = {text(links / 'spill')}")
    # The file of each publication is opened by a link in this folder.
    connection.execute(f"set allowed_directories = [{text(links)}]")
    connection.execute("set enable_external_access = false")


def _follow(publications: _Publications, say: Callable[[str], None], stop: Event) -> None:
    told = None
    while not stop.wait(_SECONDS_BETWEEN_LOOKS):
        try:
            if publications.take_newest():
                say("Queries read what a build has published now")
            told = None
        except (OSError, duckdb.Error) as error:
            problem = f"Queries still read what was published before: {known_fault(error) or error}"
            if problem != told:
                say(problem)
            told = problem


class _Publications:
    """Gives readers the tables of the newest publication, as views of their names."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, published: Path, links: Path) -> None:
        self._connection, self._published, self._links = connection, published, links
        self._number = 0
        self._identity: tuple[int, int] | None = None
        self._database: str | None = None
        self._views: set[tuple[str, str]] = set()

    def take_newest(self) -> bool:
        """Let later queries read the newest publication; return whether it is another than before.

        Raises:
            OSError, duckdb.Error: it cannot be read; readers keep what they had.
        """
        found = self._published.stat()
        if (found.st_ino, found.st_mtime_ns) == self._identity:
            return False
        self._number += 1
        database = f"publication_{self._number}"
        # DuckDB opens no file twice under one name, and a build gives the new file the name of the old.
        link = self._links / f"{database}.duckdb"
        try:
            os.link(self._published, link)
        except OSError:
            # Some file systems have no hard links.
            shutil.copyfile(self._published, link)
        try:
            attach(self._connection, link, database)
            self._show(database)
        except duckdb.Error:
            self._connection.execute(f"detach database if exists {quoted(database)}")
            raise
        finally:
            link.unlink()
        if self._database:
            # Queries that read it keep it open until they end.
            self._connection.execute(f"detach {quoted(self._database)}")
        self._identity, self._database = (found.st_ino, found.st_mtime_ns), database
        return True

    def _show(self, database: str) -> None:
        tables = self._connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = ? "
            "and schema_name not in (select unnest(?::varchar[])) order by all",
            [database, list(_OWN)],
        ).fetchall()
        self._connection.execute("begin")
        try:
            for schema, name in self._views.difference(tables):
                self._connection.execute(f"drop view {quoted(schema)}.{quoted(name)}")
            for schema, name in tables:
                self._connection.execute(f"create schema if not exists {quoted(schema)}")
                table = f"{quoted(schema)}.{quoted(name)}"
                self._connection.execute(f"create or replace view {table} as from {quoted(database)}.{table}")
            self._connection.execute("commit")
        except duckdb.Error:
            self._connection.execute("rollback")
            raise
        self._views = {(schema, name) for schema, name in tables}
