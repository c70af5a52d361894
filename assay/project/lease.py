"""Let one process at a time write a warehouse; a lake in Postgres has leases, which hold on all machines.

A lease is a row of the catalog. Its holder prolongs it while it works; if the holder is killed, the lease
ends by itself. The server's clock alone decides when. A trigger refuses each commit of a builder whose lease
has ended, so that a builder that was away for too long writes no more, whatever it believes.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import Any
from uuid import uuid4

from assay.core.fault import LOCKED, Fault, lease_ended
from assay.core.lock import SECONDS_FOR_A_COPY, Holder, current_holder, locked
from assay.core.words import listed
from assay.project.shared_lake import connect_catalog, has_table, is_shared, lease_of, noted_leases

# So long a lease lasts without its holder, and so often the holder prolongs it.
SECONDS = 60.0
_SECONDS_BETWEEN_BEATS = 10.0
_SECONDS_BETWEEN_TRIES = 1.0
_TABLE = """
create table if not exists assay_leases (
    id text primary key,
    pid bigint not null,
    host text not null,
    command text not null,
    copies boolean not null,
    -- Null for all tables.
    tables jsonb,
    started_at timestamptz not null,
    expires_at timestamptz not null
)
"""
_HOLDERS = (
    "select pid, host, started_at, command, copies, tables from assay_leases "
    "where expires_at > clock_timestamp() order by started_at, id"
)
_UNTIL = f"clock_timestamp() + interval '{SECONDS} seconds'"


class Lease:
    """The right to write tables of a lake in Postgres, as long as it is prolonged.

    Args:
        warehouse: the file that stands for the lake.
        command: the command that others are told holds it.
        wait: how long to wait for other holders, in seconds.
        on_wait: called once, when the wait begins, with the holder.
        copies: whether others wait for its end.
    """

    def __init__(
        self,
        warehouse: Path,
        command: str,
        wait: float,
        on_wait: Callable[[Holder | None], None],
        copies: bool,
    ) -> None:
        self.id = uuid4().hex
        self._warehouse = warehouse
        self._command = command
        self._wait = wait
        self._on_wait = on_wait
        self._copies = copies
        self._ended = threading.Event()
        self._beats: threading.Thread | None = None

    def take(self, tables: frozenset[str] | None) -> None:
        """Take the lease of tables, as soon as nobody else has one of them.

        Args:
            tables: as `<schema>.<name>`; None for all, now and later.

        Raises:
            Fault: another holder had one of them during the whole wait, or the catalog cannot be reached.
        """
        started, told = time.monotonic(), False
        while other := self._try(tables):
            holder, shared = other
            waited = time.monotonic() - started
            if waited >= self._wait and not (holder.copies and waited < SECONDS_FOR_A_COPY):
                what = f"tables of this lake ({listed(sorted(shared))})" if shared else "this lake"
                raise Fault(
                    f"Another build has {what}: {holder}. Try again when it is done, or wait for it with "
                    "--wait SECONDS. The lease of a build that was killed ends after "
                    f"{SECONDS:g} seconds.",
                    LOCKED,
                )
            if not told:
                self._on_wait(holder)
                told = True
            time.sleep(_SECONDS_BETWEEN_TRIES)
        self._beats = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._beats.start()

    def _try(self, tables: frozenset[str] | None) -> tuple[Holder, frozenset[str]] | None:
        """Take the lease, or return who has some of its tables, and which of them; none where it has all."""
        with connect_catalog(self._warehouse) as connection:
            _make_table(connection, self._warehouse)
            # Others wait here: who looks and who takes are one.
            connection.execute("lock table assay_leases in share row exclusive mode")
            for *values, theirs in connection.execute(_HOLDERS).fetchall():
                both = None if theirs is None or tables is None else tables.intersection(theirs)
                if both is None or both:
                    return _holder(values), both or frozenset()
            connection.execute("delete from assay_leases where expires_at <= clock_timestamp()")
            connection.execute(
                f"insert into assay_leases values (%s, %s, %s, %s, %s, %s, clock_timestamp(), {_UNTIL})",
                (
                    self.id,
                    os.getpid(),
                    socket.gethostname(),
                    self._command,
                    self._copies,
                    None if tables is None else json.dumps(sorted(tables)),
                ),
            )
        return None

    def prolong(self) -> None:
        """Prolong the lease.

        Raises:
            Fault: it has ended, or the catalog cannot be reached.
        """
        with connect_catalog(self._warehouse) as connection:
            prolonged = connection.execute(
                f"update assay_leases set expires_at = {_UNTIL} "
                "where id = %s and expires_at > clock_timestamp()",
                (self.id,),
            )
            if prolonged.rowcount == 0:
                raise lease_ended()

    def _beat(self) -> None:
        while not self._ended.wait(_SECONDS_BETWEEN_BEATS):
            try:
                self.prolong()
            except Fault as fault:
                # The catalog may come back in time. If it does not, it takes no commit of this builder.
                if str(fault) == str(lease_ended()):
                    return

    def give_back(self) -> None:
        """Let others have the tables. A catalog that is away is let be: the lease ends by itself."""
        if self._beats is None:
            return
        self._ended.set()
        self._beats.join()
        try:
            with connect_catalog(self._warehouse) as connection:
                connection.execute("delete from assay_leases where id = %s", (self.id,))
        except Fault:
            return


_leases: dict[Path, Lease] = {}


@contextmanager
def hold_warehouse(
    warehouse: Path,
    *,
    command: str,
    wait: float,
    on_wait: Callable[[Holder | None], None],
    copies: bool = False,
    is_part: bool = False,
) -> Iterator[None]:
    """Hold the lock of `warehouse` while the block runs, and the lease of all of its tables if it is shared.

    Args:
        warehouse: the file to guard; its folder is made if it is missing.
        command: the command that other processes are told holds the lock.
        wait: how long to wait for another holder, in seconds.
        on_wait: called once, when the wait begins, with the process that holds the lock.
        copies: whether the block only copies from the warehouse, so that others wait for its end.
        is_part: whether the block writes some tables only, and leases them when it knows them.

    Raises:
        Fault: another process held the lock during the whole wait, or the lock cannot be made.
    """
    with locked(warehouse, command=command, wait=wait, on_wait=on_wait, copies=copies):
        if not is_shared(warehouse):
            yield
            return
        lease = Lease(warehouse, command, wait, on_wait, copies)
        key = warehouse.absolute()
        _leases[key] = lease
        try:
            if not is_part:
                _take(lease, key, None)
            yield
        finally:
            noted_leases.pop(key, None)
            del _leases[key]
            lease.give_back()


def lease_tables(warehouse: Path, tables: Iterable[str]) -> None:
    """Take the lease of some tables until the end of the block that holds the warehouse as a part.

    A warehouse that is not shared needs none.

    Args:
        warehouse: the file, which the block holds.
        tables: as `<schema>.<name>`.

    Raises:
        Fault: another holder had one of them during the whole wait.
    """
    key = warehouse.absolute()
    if lease := _leases.get(key):
        _take(lease, key, frozenset(tables))


def _take(lease: Lease, key: Path, tables: frozenset[str] | None) -> None:
    lease.take(tables)
    noted_leases[key] = lease.id


def require_lease(warehouse: Path) -> None:
    """Check that what the block holds of a warehouse is still its own, before it makes something of it.

    Raises:
        Fault: its lease has ended.
    """
    lease = _leases.get(warehouse.absolute())
    if lease and lease_of(warehouse):
        lease.prolong()


def find_holder(warehouse: Path) -> Holder | None:
    """Return who writes a warehouse now, on this machine or another; None where nobody does.

    Raises:
        Fault: the catalog of a lake in Postgres cannot be reached.
    """
    here = current_holder(warehouse)
    if here or not (is_shared(warehouse) and warehouse.is_file()):
        return here
    with connect_catalog(warehouse) as connection:
        found = connection.execute(_HOLDERS).fetchone() if has_table(connection, "assay_leases") else None
    return _holder(found[:-1]) if found else None


def _holder(values: Any) -> Holder:
    pid, host, started_at, command, copies = values
    return Holder(pid, host, started_at.astimezone(UTC), command, copies)


def _make_table(connection: Any, warehouse: Path) -> None:
    from psycopg.sql import SQL, Identifier

    if has_table(connection, "assay_leases"):
        return
    # Two that make it at once would break on another's names.
    connection.execute("select pg_advisory_xact_lock(hashtext(%s))", (f"assay {warehouse.stem}",))
    connection.execute(SQL("create schema if not exists {}").format(Identifier(warehouse.stem)))
    connection.execute(_TABLE)
