"""Servers of Postgres on loopback."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from redis_server import free_port

USER, PASSWORD = "clerk", "let:me@in"


@dataclass(frozen=True)
class PostgresServer:
    """A server that asks its only user for a password."""

    port: int
    _root: Path
    _programs: Path
    _options: str
    _as_user: Mapping[str, Any]

    @property
    def address(self) -> str:
        """Its database's address, without a password."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"

    @property
    def store_url(self) -> str:
        """The URL of an online store in it, with the password."""
        return f"postgresql://{USER}:{quote(PASSWORD)}@127.0.0.1:{self.port}/postgres"

    def run(self, *sql: str) -> None:
        """Run SQL as the user: each text is a transaction."""
        self.run_in("postgres", *sql)

    def run_in(self, database: str, *sql: str) -> None:
        """Run SQL in another database of the server."""
        commands = [part for text in sql for part in ("-c", text)]
        address = self.address.removesuffix("postgres") + database
        command = [str(self._programs / "psql"), "-q", "-v", "ON_ERROR_STOP=1", "-d", address, *commands]
        environment = os.environ | {"PGPASSWORD": PASSWORD}
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, **self._as_user)

    def new_database(self) -> str:
        """Create an empty database, and return its address in libpq's words, without a password."""
        name = f"of_{uuid4().hex}"
        self.run(f"create database {name}")
        return f"host=127.0.0.1 port={self.port} user={USER} dbname={name}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.control("-l", self._root / "log", "-o", self._options, "start")

    def stop(self, how: str = "immediate") -> None:
        """Stop it: at once, as where it falls over, or `fast`, in good order."""
        self.control("-m", how, "stop")

    def control(self, *arguments: Any) -> None:
        """Call pg_ctl."""
        self.call("pg_ctl", "-D", self._root / "data", "-w", *arguments)

    def call(self, program: str, *arguments: Any) -> None:
        """Call one of Postgres's programs."""
        command = [self._programs / program, *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **self._as_user)


def _programs() -> Path | None:
    """Return the folder of Postgres's programs, which Debian has off the path."""
    on_path = [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    folders = [*on_path, *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    return next((each for each in folders if (each / "initdb").exists() and (each / "psql").exists()), None)


@contextmanager
def postgres_server(log_for_readers: bool = False) -> Iterator[PostgresServer]:
    """Start a server with an empty database; skip the test where Postgres is not installed.

    Args:
        log_for_readers: whether its log says what readers of changes need (`wal_level = logical`).
    """
    programs = _programs()
    if programs is None:
        pytest.skip("Postgres is not installed: apt-get install postgresql")
    as_user: dict[str, Any] = {}
    with TemporaryDirectory() as name:
        root = Path(name)
        if os.geteuid() == 0:
            # Postgres does not run as root.
            as_user = {"user": "nobody", "cwd": root}
            shutil.chown(root, "nobody")
        password = root / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        port = free_port()
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        if log_for_readers:
            options += " -c wal_level=logical"
        server = PostgresServer(port, root, programs, options, as_user)
        asked = ("-A", "scram-sha-256", "--pwfile", password)
        server.call("initdb", "-D", root / "data", "-U", USER, *asked, "-N", "-E", "UTF8")
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def shared_postgres() -> Iterator[PostgresServer]:
    """The server that files of tests share; each has databases of its own."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="module")
def catalog_server(shared_postgres: PostgresServer) -> Iterator[PostgresServer]:
    """That server, for catalogs of lakes: who asks finds its password."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGPASSWORD", PASSWORD)
        yield shared_postgres
