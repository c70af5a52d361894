"""A server of Postgres on loopback, for one test module."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

USER, PASSWORD = "clerk", "let:me@in"


@dataclass(frozen=True)
class PostgresServer:
    """A server that asks its only user for a password."""

    port: int
    _programs: Path
    _as_user: Mapping[str, Any]

    @property
    def address(self) -> str:
        """Its database's address, without a password."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"

    def run(self, sql: str) -> None:
        """Run SQL as the user."""
        command = [str(self._programs / "psql"), "-q", "-v", "ON_ERROR_STOP=1", "-d", self.address, "-c", sql]
        subprocess.run(command, check=True, env=os.environ | {"PGPASSWORD": PASSWORD}, **self._as_user)


def _programs() -> Path | None:
    """Return the folder of Postgres's programs, which Debian has off the path."""
    on_path = [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    folders = [*on_path, *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    return next((each for each in folders if (each / "initdb").exists() and (each / "psql").exists()), None)


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Start a server with an empty database; skip the test where Postgres is not installed."""
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
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        data = root / "data"
        initdb = (
            "initdb",
            "-D",
            data,
            "-U",
            USER,
            "-A",
            "scram-sha-256",
            "--pwfile",
            password,
            "-N",
            "-E",
            "UTF8",
        )
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        start = ("pg_ctl", "-D", data, "-w", "-l", root / "log", "-o", options, "start")
        stop = ("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")

        def run(program: str, *arguments: Any) -> None:
            subprocess.run([programs / program, *arguments], check=True, stdout=subprocess.DEVNULL, **as_user)

        run(*initdb)
        run(*start)
        try:
            yield PostgresServer(port, programs, as_user)
        finally:
            run(*stop)
