"""Write a file for each role, with what the role may read of gold and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path

import duckdb

from assay.build.bucket import put_roles_in_bucket
from assay.build.made_of import read_made_of
from assay.build.publications import count_rows
from assay.build.publish import find_comments, remove_leftovers, temporary
from assay.contracts.grants import Grant, Role, write_grants
from assay.contracts.roles import read_roles
from assay.core.disk import make_private_folder, put_in_place, replace_private, sync
from assay.core.fault import MISUSED, Fault, known_fault
from assay.core.lock import Holder
from assay.core.places import Places
from assay.core.sql import folded, quoted, text
from assay.lake.grants import apply_grants
from assay.pii.key import VARIABLE, PiiKey, find_pii_key
from assay.pii.sql import hash_sql, mask_sql
from assay.project.lease import hold_warehouse
from assay.project.shared_lake import is_shared
from assay.project.warehouse import attach

# Part of what a file is made of: with another number, all files are written anew.
_LAYOUT = 2
_ENUM = re.compile(r"\bENUM\((?:'(?:[^']|'')*'(?:, )?)*\)")
_EXPRESSIONS: dict[str, Callable[[str], str]] = {"hash": hash_sql, "mask": mask_sql}
# `found` is the published file, and `published` the role's: comments are made for that name.
_OWN = """
create schema published.published;
create table published.published.publication as from found.published.publication;
comment on table published.published.publication is
    'The run that wrote the published file of which this is a part, and when (UTC).';
create table published.published.tables as from found.published.tables limit 0;
comment on table published.published.tables is
    'The tables of the role: the build that each comes from, and why it does not come from the last build.';
create table published.published.role (
    role varchar not null,
    declared varchar not null,
    content varchar not null
);
comment on table published.published.role is 'Whose file this is; what it was made of, as hashes.';
"""


@dataclass(frozen=True)
class RoleFile:
    """The file of a role: its tables and rows, and whether it was written anew.

    `missing` are tables that the role may read and that are not published.
    """

    role: str
    path: Path
    tables: int
    rows: int
    is_new: bool
    missing: list[str] = field(default_factory=list)


def apply_roles(places: Places, *, wait: float, tell: Callable[[str], None]) -> list[RoleFile]:
    """Bring the files of all roles to what is published and to what contracts say, while no build goes on.

    A bucket in which readers look for them is brought to the same.

    Args:
        places: of the project.
        wait: how long to wait for a build to end, in seconds.
        tell: called with messages for people.

    Raises:
        Fault: nothing is published, a build is under way, the bucket cannot be written, or see
            `publish_roles`.
    """

    def waiting(holder: Holder | None) -> None:
        tell(f"Waiting up to {wait:.0f} s for a build: {holder or 'it has just begun'}")

    if not places.published.is_file():
        raise Fault(f"Nothing is published yet: {places.published} is not there. To publish: assay build")
    with hold_warehouse(places.warehouse, command="assay roles apply", wait=wait, on_wait=waiting):
        try:
            done = publish_roles(places)
        except Fault as fault:
            # What a role may no longer read goes from there, also where a new file cannot be written.
            if unsent := put_roles_in_bucket(places):
                raise Fault(f"{fault}\n{unsent}") from fault
            raise
        if unsent := put_roles_in_bucket(places):
            raise Fault(unsent)
        return done


def publish_roles(places: Places) -> list[RoleFile]:
    """Bring the files of all roles to what is published and to what contracts say.

    A file is written where its tables, what its role may read or the key for personal data has changed, and
    then from nothing: it never held what the role may not read. Files of roles that no contract names any
    more are removed. A project without roles has no such files. A lake in Postgres gets the rights of roles.
    The feature server finds beside its keys what each role may read.

    Args:
        places: of the project; there is something published.

    Returns:
        The files, in the order of their roles.

    Raises:
        Fault: the roles have mistakes, or a file cannot be written; the others are written. A file that
            holds what its role may no longer read is removed then.
    """
    roles = read_roles()
    _remove_others(places, roles)
    _tell_server(places.grants, roles)
    found, faults = [], []
    for role in roles:
        file = places.role_file(role.name)
        try:
            found.append(_publish_role(places.published, file, role))
        except (Fault, duckdb.Error, OSError) as error:
            made_of = read_made_of(file)
            if made_of is None or made_of.rights != _digest(asdict(role)):
                file.unlink(missing_ok=True)
            there = "stays as it was" if file.exists() else "is not there"
            faults.append(f"{file} {there}: {known_fault(error) or error}")
    if is_shared(places.warehouse):
        try:
            apply_grants(places.warehouse, roles)
        except Fault as fault:
            faults.append(f"Rights in the lake stay as they were: {fault}")
    if faults:
        raise Fault("\n".join(faults))
    return found


def _tell_server(file: Path, roles: Sequence[Role]) -> None:
    if not roles:
        file.unlink(missing_ok=True)
        return
    content = write_grants(roles)
    if not file.is_file() or file.read_bytes() != content:
        make_private_folder(file.parent)
        replace_private(file, content)


def _publish_role(published: Path, file: Path, role: Role) -> RoleFile:
    key = find_pii_key()
    shields = {shield for grant in role.grants for shield in grant.shields.values()}
    if "hash" in shields and key is None:
        raise Fault(f"The role {role.name} reads hashes, and there is no key: set {VARIABLE}.", MISUSED)
    _make_folder(file.parent)
    remove_leftovers([file])
    new = temporary(file)
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        # What DuckDB spills holds whole rows, which readers of the role must not find.
        connection.execute(f"set temp_directory = {text(temporary(published))}")
        attach(connection, published, "found")
        connection.execute("use found")
        tables = _find_tables(connection)
        missing = [grant.table for grant in role.grants if grant.table not in tables]
        declared, content = _digest(asdict(role)), _digest_content(connection, role, key)
        there = read_made_of(file)
        if there and (there.rights, there.content) == (declared, content):
            return RoleFile(role.name, file, *(count_rows(file) or (0, 0)), is_new=False, missing=missing)
        if key:
            key.set_variables(connection)
        try:
            attach(connection, new, "published", read_only=False)
            comments = find_comments(connection, "found")
            connection.execute(_OWN)
            for grant in role.grants:
                if grant.table in tables:
                    _copy_granted(connection, tables[grant.table], grant, comments)
            connection.execute(
                "insert into published.published.role values ($1, $2, $3)", [role.name, declared, content]
            )
            connection.execute("checkpoint published")
            connection.execute("detach published")
            sync(new)
            put_in_place(new, file)
            sync(file.parent)
        finally:
            remove_leftovers([file])
    return RoleFile(role.name, file, *(count_rows(file) or (0, 0)), is_new=True, missing=missing)


def _copy_granted(
    connection: duckdb.DuckDBPyConnection,
    relation: tuple[str, dict[str, str]],
    grant: Grant,
    comments: dict[tuple[str, str], dict[str | None, str]],
) -> None:
    """Copy what a role may read of a table; columns that the contract does not name are left out."""
    schema, columns = relation
    granted = {folded(name): name for name in grant.columns}
    seen = {name: grant.shields.get(granted[folded(name)]) for name in columns if folded(name) in granted}
    if not seen:
        return
    selected = ", ".join(
        f"{_EXPRESSIONS[shield](name) if shield else _as_seen(name, columns[name], grant)} as {quoted(name)}"
        for name, shield in seen.items()
    )
    source = f"{quoted(schema)}.{quoted(grant.table)}"
    connection.execute(f"create schema if not exists published.{quoted(schema)}")
    condition = f" where (\n{grant.rows}\n)" if grant.rows else ""
    try:
        connection.execute(
            f"create table published.{source} as select {selected} from found.{source}{condition}"
        )
    except duckdb.Error as error:
        raise known_fault(error) or Fault(f"{source} cannot be read by the role: {error}") from error
    for column, comment in comments.get((schema, grant.table), {}).items():
        if column is None or column in seen:
            connection.execute(comment)
    connection.execute(
        "insert into published.published.tables from found.published.tables where table_name = $1",
        [grant.table],
    )


def _as_seen(name: str, kind: str, grant: Grant) -> str:
    """Return a column as SQL: the type of an enum has the values of all rows, so some rows get texts."""
    return (
        f"{quoted(name)}::{_ENUM.sub('VARCHAR', kind)}" if grant.rows and _ENUM.search(kind) else quoted(name)
    )


def _find_tables(connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[str, dict[str, str]]]:
    """Return the schema and the columns of each published table, with their types, by name."""
    found: dict[str, tuple[str, dict[str, str]]] = {}
    for table, schema, column, kind in connection.execute(
        "select table_name, schema_name, column_name, data_type from duckdb_columns() "
        "where database_name = 'found' and schema_name <> 'published' order by column_index"
    ).fetchall():
        found.setdefault(table, (schema, {}))[1][column] = kind
    return found


def _digest_content(connection: duckdb.DuckDBPyConnection, role: Role, key: PiiKey | None) -> str:
    """Return a hash of all that the file of a role is made of."""
    # A condition may read any other table.
    names = None if any(grant.rows for grant in role.grants) else [grant.table for grant in role.grants]
    origins = connection.execute(
        "select table_name, is_current, built_at::varchar, run_id, why from found.published.tables "
        "where $1 is null or table_name in (select unnest($1::varchar[])) order by all",
        [names],
    ).fetchall()
    shown = key.fingerprint if key else None
    return _digest([_LAYOUT, asdict(role), shown, origins])


def _digest(content: object) -> str:
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _make_folder(folder: Path) -> None:
    for each in (folder.parent, folder):
        if not each.exists():
            each.mkdir()
            # The permissions of each file in the folder say who may read it.
            each.chmod(0o755)


def _remove_others(places: Places, roles: Sequence[Role]) -> None:
    """Remove the files of roles that no contract names any more."""
    names = {role.name for role in roles}
    for folder in places.roles.glob("*/"):
        if folder.name not in names:
            file = folder / places.published.name
            remove_leftovers([file])
            file.unlink(missing_ok=True)
            # A person may have put something there.
            with suppress(OSError):
                folder.rmdir()
    with suppress(OSError):
        places.roles.rmdir()
