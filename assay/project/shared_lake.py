"""The catalog of a lake in Postgres, which several machines share, and the file that stands for it here."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from assay.core.disk import replace_private
from assay.core.fault import LEASE_ENDED, MISUSED, Fault, extra_needed
from assay.core.places import SHARED_ENDING

#: The environment variable that names the catalog of a lake.
CATALOG = "ASSAY_LAKE_CATALOG"
_POSTGRES = "postgres:"
_SECONDS_TO_CONNECT = 10
# How builders that hold a lease call themselves. Each commit of DuckLake makes a row of `ducklake_snapshot`.
_BUILDER = "assay-lease-"
_FENCE = f"""
create function assay_fence() returns trigger language plpgsql as $$
begin
    -- Who takes a lease that has ended removes it, and waits for the end of this commit.
    perform from {{schema}}.assay_leases
    where '{_BUILDER}' || id = current_setting('application_name') and expires_at > clock_timestamp()
    for key share;
    if not found and current_setting('application_name') like '{_BUILDER}%' then
        raise exception '{LEASE_ENDED}';
    end if;
    return new;
end
$$;
create trigger assay_fence before insert on ducklake_snapshot for each row execute function assay_fence();
"""
#: The leases that this process holds, by the file that stands for a lake.
noted_leases: dict[Path, str] = {}
_REFUSED = ("authentication failed", "no password supplied", "no pg_hba.conf entry", "does not exist")


def is_shared(warehouse: Path) -> bool:
    """Tell whether a warehouse is a lake whose catalog is in Postgres, by its name."""
    return warehouse.suffix == SHARED_ENDING


def address_of(warehouse: Path) -> str:
    """Return the address of the database with the catalog, as libpq reads it.

    Raises:
        Fault: it is not named, it cannot be read, it has a password, or extra `lake` is not installed.
    """
    named = os.environ.get(CATALOG) or ""
    if not named.startswith(_POSTGRES):
        raise Fault(
            f"{warehouse} stands for a lake in Postgres, and {CATALOG} does not say where that is: "
            "set it to postgres:host=... dbname=...",
            MISUSED,
        )
    with extra_needed("lake", "A lake in Postgres"):
        import psycopg
        from psycopg.conninfo import conninfo_to_dict, make_conninfo
    try:
        settings = conninfo_to_dict(named.removeprefix(_POSTGRES))
    except psycopg.ProgrammingError as error:
        why = str(error).strip()
        raise Fault(
            f"{CATALOG} is no address of Postgres ({why}): postgres:host=... dbname=...", MISUSED
        ) from error
    if settings.get("password"):
        # It would stand in what dbt keeps of its profile.
        raise Fault(
            f"{CATALOG} has a password: take it out, and set PGPASSWORD, or keep it in ~/.pgpass.", MISUSED
        )
    lease = lease_of(warehouse)
    builder = {"application_name": f"{_BUILDER}{lease}"} if lease else {}
    return make_conninfo("", **{"connect_timeout": _SECONDS_TO_CONNECT, **settings, **builder})


def lease_of(warehouse: Path) -> str | None:
    """Return the lease of a lake that this process holds; None if it holds none."""
    return noted_leases.get(warehouse.absolute())


def shown(warehouse: Path) -> str:
    """Return how messages name a lake: its name, and the address of its catalog."""
    return f"{warehouse.stem} in Postgres ({(os.environ.get(CATALOG) or '').removeprefix(_POSTGRES)})"


@contextmanager
def connect_catalog(warehouse: Path) -> Iterator[Any]:
    """Open the database with the catalog; what the block writes is one transaction.

    Yields:
        A connection of psycopg, in which names without a schema are of this lake.

    Raises:
        Fault: the server is away or refuses, or the connection breaks.
    """
    with extra_needed("lake", "A lake in Postgres"):
        import psycopg
        from psycopg.sql import SQL, Identifier
    try:
        with psycopg.connect(address_of(warehouse)) as connection:
            connection.execute(SQL("set search_path = {}").format(Identifier(warehouse.stem)))
            yield connection
    except psycopg.OperationalError as error:
        raise cannot_be_reached(warehouse, str(error)) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise Fault(
            f"The user of the lake {shown(warehouse)} may not do that ({str(error).splitlines()[0]}): "
            "grant it there, or build as another user."
        ) from error


def cannot_be_reached(warehouse: Path, why: str) -> Fault:
    """Return the fault of a catalog that is away, or refuses who asks."""
    lines = [line.strip() for line in why.splitlines() if line.strip()]
    told = next(
        (line for line in lines if any(each in line for each in _REFUSED)), lines[0] if lines else why
    )
    told = told.rpartition("FATAL:")[2].strip()
    if any(each in told for each in _REFUSED):
        return Fault(
            f"The catalog of the lake {shown(warehouse)} refuses: {told}. Check user and database in "
            f"{CATALOG}, and the password in PGPASSWORD or ~/.pgpass. Nothing is changed."
        )
    return Fault(
        f"The catalog of the lake {shown(warehouse)} cannot be reached: {told}. Start the server, or correct "
        f"{CATALOG}; then try again. What was committed stays."
    )


def has_catalog(connection: Any) -> bool:
    """Tell whether a lake is made, from a connection to its catalog."""
    return has_table(connection, "ducklake_metadata")


def has_table(connection: Any, name: str) -> bool:
    """Tell whether there is a table beside those of a catalog in Postgres."""
    found = connection.execute("select to_regclass(quote_ident(%s)) is not null", (name,)).fetchone()
    return bool(found[0])


def read_data_path(warehouse: Path) -> str | None:
    """Return the folder of Parquet files that a lake was made with, or its URL; None if it is not made.

    Raises:
        Fault: the catalog cannot be asked.
    """
    with connect_catalog(warehouse) as connection:
        if not has_catalog(connection):
            return None
        [path] = connection.execute("select value from ducklake_metadata where key = 'data_path'").fetchone()
        return str(path)


def name_replacement(catalog: Path) -> Path:
    """Return what stands for the lake that is made to take the place of another, until it does."""
    return catalog.with_name(f"{catalog.stem}@anew{catalog.suffix}")


def find_lakes_as_of(warehouse: Path) -> list[Path]:
    """Return what stands for the lakes beside another in its database that are as of earlier moments.

    Raises:
        Fault: the catalog cannot be asked.
    """
    with connect_catalog(warehouse) as connection:
        found = connection.execute(
            "select nspname from pg_namespace where starts_with(nspname, %s) and nspname <> %s "
            "and to_regclass(quote_ident(nspname) || '.ducklake_metadata') is not null order by nspname",
            (f"{warehouse.stem}@", name_replacement(warehouse).stem),
        ).fetchall()
    return [warehouse.with_name(f"{name}{SHARED_ENDING}") for (name,) in found]


def drop_catalog(warehouse: Path) -> None:
    """Drop the schema of a lake, if there is one.

    Raises:
        Fault: the catalog cannot be reached, or its user may not.
    """
    from psycopg.sql import SQL, Identifier

    with connect_catalog(warehouse) as connection:
        connection.execute(SQL("drop schema if exists {} cascade").format(Identifier(warehouse.stem)))


def replace_shared_catalog(new: Path, warehouse: Path, snapshot: int) -> None:
    """Put the catalog of one lake in the place of another's, of which nothing stays but leases and rights.

    The rows of the old one are gone from Postgres' files too, because its tables are dropped. Who has rights
    reads nothing until the next build gives them on the new tables.

    Args:
        new: the lake that takes the place, in the same database.
        warehouse: the lake that is replaced, of which the caller holds the lease.
        snapshot: the newest one of the old lake when the new one was begun.

    Raises:
        Fault: somebody without a lease has written to the lake since; nothing is changed.
    """
    from psycopg.sql import SQL, Identifier

    tables = (
        "select relname from pg_class where relkind = 'r' and relnamespace = quote_ident(%s)::regnamespace "
        "and starts_with(relname, 'ducklake_')"
    )
    with connect_catalog(warehouse) as connection:
        connection.execute("lock table ducklake_snapshot in access exclusive mode")
        [newest] = connection.execute("select max(snapshot_id) from ducklake_snapshot").fetchone()
        if newest != snapshot:
            raise Fault(
                f"Somebody has written to the lake {shown(warehouse)} meanwhile, without a lease. Nothing is "
                "changed. Let nobody but assay build write there, and try again."
            )
        connection.execute("drop function if exists assay_fence cascade")
        # Names and builds are of snapshots that are gone.
        for table in ("assay_tags", "assay_builds", "assay_declared"):
            connection.execute(SQL("drop table if exists {}").format(Identifier(table)))
        for (table,) in connection.execute(tables, (warehouse.stem,)).fetchall():
            connection.execute(SQL("drop table {} cascade").format(Identifier(table)))
        for (table,) in connection.execute(tables, (new.stem,)).fetchall():
            connection.execute(
                SQL("alter table {} set schema {}").format(
                    Identifier(new.stem, table), Identifier(warehouse.stem)
                )
            )
        connection.execute(SQL("drop schema {} cascade").format(Identifier(new.stem)))


def note_state(warehouse: Path) -> None:
    """Write which lake a file stands for, and its newest snapshot, so that the file changes with the lake.

    Raises:
        Fault: the catalog cannot be asked.
    """
    with connect_catalog(warehouse) as connection:
        if not has_catalog(connection):
            return
        _make_fence(connection, warehouse)
        found = connection.execute(
            "select (select schema_uuid::text from ducklake_schema order by schema_id limit 1), "
            "(select max(snapshot_id) from ducklake_snapshot)"
        ).fetchone()
    written = json.dumps({"lake": found[0], "snapshot": found[1]}).encode()
    if not warehouse.is_file() or warehouse.read_bytes() != written:
        warehouse.parent.mkdir(parents=True, exist_ok=True)
        replace_private(warehouse, written)


def _make_fence(connection: Any, warehouse: Path) -> None:
    """Have the catalog refuse commits of builders whose lease has ended."""
    from psycopg.sql import SQL, Identifier

    there = (
        "select 1 from pg_trigger where tgname = 'assay_fence' and tgrelid = 'ducklake_snapshot'::regclass"
    )
    if not has_table(connection, "assay_leases") or connection.execute(there).fetchone():
        return
    # Two machines may see a new lake at once.
    connection.execute("lock table ducklake_snapshot in share row exclusive mode")
    if not connection.execute(there).fetchone():
        connection.execute(SQL(_FENCE).format(schema=Identifier(warehouse.stem)))
