"""Let roles of contracts read their tables of a lake in Postgres, and no others.

Whoever reads a lake reads its catalog, which has the smallest and largest values of all columns, and rows of
small tables. So rows of the catalog are shown by table: policies of Postgres hide those of other tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from assay.contracts.grants import Role
from assay.core.fault import Fault
from assay.core.sql import folded
from assay.lake.readable import GOLD, READS, tell_readable
from assay.project.shared_lake import connect_catalog, has_catalog, has_table, shown

# A table is read where each column that it has, or had in a snapshot that is kept, is one that the role sees.
_MADE = """
create table if not exists assay_grants (role text not null, table_name text not null);
alter table assay_grants add column if not exists columns text[];
create or replace view assay_granted as
select tables.table_id, grants.role
from ducklake_table as tables
inner join ducklake_schema as schemas on tables.schema_id = schemas.schema_id
inner join assay_grants as grants on tables.table_name = grants.table_name
where
    schemas.schema_name = {gold}
    and not exists (
        select from ducklake_column as columns
        where
            columns.table_id = tables.table_id and columns.parent_column is null
            and lower(columns.column_name collate "C") <> all(grants.columns)
    )
union
select views.view_id, grants.role
from ducklake_view as views
inner join ducklake_schema as schemas on views.schema_id = schemas.schema_id
inner join assay_grants as grants on views.view_name = grants.table_name
where schemas.schema_name = {gold};
create or replace function assay_readable() returns setof bigint
language sql stable security definer set search_path = {schema}, pg_temp as $$
    select granted.table_id
    from assay_granted as granted
    inner join pg_roles as roles on granted.role = roles.rolname
    where pg_has_role(session_user, roles.oid, 'member')
$$
"""
# Tables of the catalog, with the column that says which table or view of the lake a row is of.
_CATALOG = """
select
    tables.relname,
    (
        select columns.attname from pg_attribute as columns
        where columns.attrelid = tables.oid and columns.attname in ('table_id', 'object_id', 'view_id')
        order by columns.attname = 'table_id' desc limit 1
    )
from pg_class as tables
where
    tables.relnamespace = quote_ident(%s)::regnamespace and tables.relkind = 'r'
    and tables.relname like 'ducklake\\_%%' and tables.relname <> 'ducklake_files_scheduled_for_deletion'
    and tables.relname !~ '^ducklake_inlined_.*[0-9]$'
"""
_INLINED = """
select tables.relname, granted.role
from assay_granted as granted
inner join pg_class as tables
    on tables.relname ~ ('^ducklake_inlined_[a-z]+_' || granted.table_id || '(_[0-9]+)?$')
where tables.relnamespace = quote_ident(%s)::regnamespace
group by tables.relname, granted.role
"""


def apply_grants(warehouse: Path, roles: Sequence[Role]) -> None:
    """Bring the rights in a lake's catalog to what contracts say, as a whole or not at all.

    A role gets the tables of which it reads all rows and columns as they are, and the views of which it reads
    all that they are made of. Its Postgres role has its name, and is made without a login if there is none.

    Args:
        warehouse: the file that stands for the lake.
        roles: all roles of the project.

    Raises:
        Fault: the catalog cannot be reached, or its user may not make roles or give rights.
    """
    from psycopg.sql import SQL, Identifier, Literal

    schema = Identifier(warehouse.stem)
    told = tell_readable(warehouse, roles)
    given = {
        (role.name, grant.table): [folded(name) for name in grant.columns]
        for role in roles
        for grant in role.grants
        if told[role.name, grant.table] == READS
    }
    with connect_catalog(warehouse) as connection:
        if not has_catalog(connection) or not (given or has_table(connection, "assay_grants")):
            return
        connection.execute(SQL(_MADE).format(schema=schema, gold=Literal(GOLD)))
        before = {name for (name,) in connection.execute("select distinct role from assay_grants").fetchall()}
        connection.execute("delete from assay_grants")
        for (name, table), columns in sorted(given.items()):
            connection.execute("insert into assay_grants values (%s, %s, %s)", (name, table, columns))
        now = {name for name, _ in given}
        for name in sorted(before | now):
            _make_role(connection, warehouse, name)
            for what in ("all tables in schema", "schema"):
                connection.execute(
                    SQL(f"revoke all on {what} {{}} from {{}}").format(schema, Identifier(name))
                )
        for name in sorted(now):
            connection.execute(SQL("grant usage on schema {} to {}").format(schema, Identifier(name)))
        for table, column in connection.execute(_CATALOG, (warehouse.stem,)).fetchall():
            _show_rows(connection, table, column)
            for name in sorted(now):
                connection.execute(
                    SQL("grant select on {} to {}").format(Identifier(table), Identifier(name))
                )
        for table, name in connection.execute(_INLINED, (warehouse.stem,)).fetchall():
            _grant(connection, table, name)


def _make_role(connection: Any, warehouse: Path, name: str) -> None:
    from psycopg.sql import SQL, Identifier

    found = connection.execute(
        "select rolsuper or rolname = current_user from pg_roles where rolname = %s", (name,)
    ).fetchone()
    if found is None:
        connection.execute(SQL("create role {} nologin").format(Identifier(name)))
    elif found[0]:
        raise Fault(
            f"Role {name} of a contract is the name of a user who owns the lake {shown(warehouse)}, or of a "
            "superuser there, who reads all: give the role another name."
        )


def _grant(connection: Any, table: str, role: str) -> None:
    from psycopg.sql import SQL, Identifier

    connection.execute(SQL("grant select on {} to {}").format(Identifier(table), Identifier(role)))


def _show_rows(connection: Any, table: str, column: str | None) -> None:
    """Show rows of a table of the catalog by the table of the lake that they are of; its owner sees all."""
    from psycopg.sql import SQL, Identifier

    if column is None:
        return
    name = Identifier(table)
    rows = SQL("{} in (select assay_readable())").format(Identifier(column))
    connection.execute(SQL("alter table {} enable row level security").format(name))
    connection.execute(SQL("drop policy if exists assay_roles on {}").format(name))
    connection.execute(SQL("create policy assay_roles on {} for select using ({})").format(name, rows))
