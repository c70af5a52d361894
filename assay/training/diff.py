"""Find which rows and columns differ between two versions, and why (`assay training-set diff`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import duckdb

from assay.core.fault import MISUSED, Fault, known_fault
from assay.core.parquet import rows_of_parquet
from assay.core.sql import quoted
from assay.core.words import counted
from assay.landing.discover import counts_as_in_time
from assay.training.store import Version, VersionManifest

_NAMES_SHOWN = 5


@dataclass(frozen=True)
class ColumnChange:
    """The number of rows in both versions in which a column differs, with the first by key as an example."""

    name: str
    rows: int
    key: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Difference:
    """The differences between two versions; there may be `reasons` although no row or column differs."""

    added: int = 0
    removed: int = 0
    changed: int = 0
    first_added: str | None = None
    first_removed: str | None = None
    columns: list[ColumnChange] = field(default_factory=list)
    schema: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


def diff(before: Version, after: Version) -> Difference:
    """Compare two versions of one training set, row by row by primary key.

    Raises:
        Fault: the versions are of different sets or have different keys, or the rows of one cannot be read.
    """
    old, new = before.manifest, after.manifest
    if old.name != new.name:
        raise Fault(f"{old.version} and {new.version} are of different training sets.", MISUSED)
    if old.primary_key != new.primary_key:
        raise Fault(
            f"The key was {', '.join(old.primary_key)} and is {', '.join(new.primary_key)}: "
            f"rows of {old.version} and {new.version} cannot be told to be the same."
        )
    try:
        with duckdb.connect() as connection:
            connection.execute("set TimeZone = 'UTC'")
            rows = _compare(connection, before, after)
    except (duckdb.Error, OSError) as error:
        raise known_fault(error) or Fault(f"The rows of a version cannot be read: {error}") from error
    return Difference(**rows, schema=_schema(old, new), reasons=find_reasons(before, after))


def find_reasons(before: Version, after: Version) -> list[str]:
    """Return what differs in the making of two versions: files, moment, code, engine."""
    old, new = before.manifest, after.manifest
    found = []
    if old.input_hash != new.input_hash:
        theirs, ours = before.input_files, after.input_files
        for heading, files, others in (("new", ours, theirs), ("missing", theirs, ours)):
            names = [file.source_file for number, file in files.items() if number not in others]
            if names:
                found.append(f"{heading} data: {counted(len(names), 'file')}, {_some(sorted(names))}")
                if late := [name for name in names if counts_as_in_time(name)]:
                    found.append(
                        f"backfilled: of these, {counted(len(late), 'file')} landed late and count as if "
                        f"they had been there in time, {_some(sorted(late))}"
                    )
    if (old.as_of, old.is_as_of_given) != (new.as_of, new.is_as_of_given):
        found.append(f"another moment: as of {old.as_of}, then {new.as_of}")
    if old.code_hash != new.code_hash:
        names = sorted(
            name for name in old.code.keys() | new.code.keys() if old.code.get(name) != new.code.get(name)
        )
        found.append(f"new code: {_some(names)}")
    if old.engine != new.engine:
        found.append(f"another engine: {old.engine}, then {new.engine}")
    return found


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more


def _schema(old: VersionManifest, new: VersionManifest) -> list[str]:
    before = {column.name: column.type for column in old.columns}
    after = {column.name: column.type for column in new.columns}
    gone = [f"column {name} is gone" for name in before if name not in after]
    added = [f"column {name} is new ({after[name]})" for name in after if name not in before]
    retyped = [
        f"column {name} was {before[name]} and is {after[name]}"
        for name in before
        if name in after and before[name] != after[name]
    ]
    shared = [name for name in before if name in after]
    moved = ["the columns' order"] * (shared != [name for name in after if name in before])
    return gone + added + retyped + moved


def _compare(connection: duckdb.DuckDBPyConnection, before: Version, after: Version) -> dict[str, Any]:
    keys = before.manifest.primary_key
    old = {column.name: column.type for column in before.manifest.columns}
    new = {column.name: column.type for column in after.manifest.columns}
    compared = [name for name in old if name in new and name not in keys]
    # A key is never NULL: after the full join, NULL means that the version lacks the row.
    is_added, is_removed = f"a.{quoted(keys[0])} is null", f"b.{quoted(keys[0])} is null"
    key = f"concat_ws(', ', {quoted(*keys)})"
    differing = []
    for name in compared:
        # Values of different types are compared as texts; the change of type is listed with the schema.
        cast = "" if old[name] == new[name] else "::varchar"
        is_other = f"a.{quoted(name)}{cast} is distinct from b.{quoted(name)}{cast}"
        differing.append(f"(not ({is_added} or {is_removed}) and {is_other})")
    measures = [
        f"count(*) filter ({is_added})",
        f"count(*) filter ({is_removed})",
        f"count(*) filter ({' or '.join(differing) or 'false'})",
        f"min({key}) filter ({is_added})",
        f"min({key}) filter ({is_removed})",
    ]
    for name, is_other in zip(compared, differing, strict=True):
        example = f"[{key}, a.{quoted(name)}::varchar, b.{quoted(name)}::varchar]"
        measures += [f"count(*) filter ({is_other})", f"min_by({example}, {key}) filter ({is_other})"]
    rows = connection.execute(
        f"select {', '.join(measures)} from {rows_of_parquet(before.data)} as a "
        f"full join {rows_of_parquet(after.data)} as b using ({quoted(*keys)})"
    ).fetchall()
    added, removed, changed, first_added, first_removed, *others = rows[0]
    columns = [
        ColumnChange(name, count, *example)
        for name, count, example in zip(compared, others[::2], others[1::2], strict=True)
        if count
    ]
    return {
        "added": added,
        "removed": removed,
        "changed": changed,
        "first_added": first_added,
        "first_removed": first_removed,
        "columns": columns,
    }
