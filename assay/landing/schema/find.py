"""Find how the columns or keys of files differ from those expected."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import duckdb

from assay.core.sql import quoted
from assay.landing.declared import DIFFERENCES, Difference, LandingTable
from assay.landing.formats.rows import Tally
from assay.landing.names import container_of
from assay.landing.schema.changes import Change, Kind
from assay.landing.schema.expected import Expected
from assay.landing.schema.logical_types import LOGICAL_TYPES, NARROW_TO_WIDE, LogicalType
from assay.landing.schema.measure import Counts, Keys, count_values, find_keys
from assay.landing.schema.new_names import count_new_values
from assay.landing.schema.renames import suggest_renames

# With fewer values, no type is learnt and no change is reported.
_FEWEST_VALUES = 3
# Malformed values are rarer than this: most values of a column read as its type.
_SHARE_OF_A_CHANGE = 0.5
_SHARE_OF_A_TYPE = 0.95
# More names are data, such as the ids of a map's entries. Counting takes time for each name.
_MOST_NAMES = 1000


def find_changes(
    connection: duckdb.DuckDBPyConnection,
    table: LandingTable,
    expected: Expected,
    files: Mapping[int, Tally],
    sample: str,
    refuse: Callable[[int, str], None],
) -> dict[int, list[Change]]:
    """Find how files differ from what is expected, after their rows were inserted into the landing table.

    The rows in `sample` show which files may differ, and in which names; for these, all rows are counted.
    Names and types that are not declared are learnt from the first files, in their order.

    Args:
        connection: a connection to the warehouse, in the transaction that inserted the rows.
        table: the declared table.
        expected: what is expected of the table; it learns from these files.
        files: the counts of each file's lines, by file_id, in the order in which the files landed.
        sample: a relation of landed rows of these files, all or some of each.
        refuse: called with file_id and message for each file with too many undeclared names.

    Returns:
        file_id -> changes, without the files that do not differ.
    """
    counted = count_values(connection, table, sample, expected.types_to_try(LOGICAL_TYPES))
    documents = find_keys(connection, table, sample, expected.names) if table.format == "jsonl" else {}
    if table.format == "jsonl" and not expected.names:
        told = (file for file in files if file in documents)
        first = next((file for file in told if len(documents[file].found.get("", ())) <= _MOST_NAMES), None)
        if first is not None:
            _learn_keys(connection, table, expected, first, sample, documents)
            counted = count_values(connection, table, sample, expected.types_to_try(LOGICAL_TYPES))
            documents = find_keys(connection, table, sample, expected.names)
    suspects: dict[int, dict[str, Kind]] = {}
    names, required = set(expected.names), expected.required
    for file_id, tally in files.items():
        if table.format == "csv":
            found = _suspect_columns(tally)
        else:
            found = _suspect_keys(names, required, documents.get(file_id, Keys()))
        if (news := sum(kind == "new" for kind in found.values())) > _MOST_NAMES:
            refuse(file_id, _too_many(news, table))
            continue
        for name, counts in counted.get(file_id, {}).items():
            if name in found:
                continue
            if (known := expected.types.get(name)) is None:
                if counts.filled >= _FEWEST_VALUES:
                    expected.learn(name, _type_of(counts))
            elif _is_change(counts, known):
                found[name] = "type"
        if found:
            suspects[file_id] = found
    return _confirmed(connection, table, expected, suspects, files, sample)


def _too_many(names: int, table: LandingTable) -> str:
    what, remedy = ("columns", "rows") if table.format == "csv" else ("keys", "values, as in an array")
    return (
        f"It has {names:,} {what} that nobody declared, where {_MOST_NAMES:,} are the most: "
        f"if their names are data, send them as {remedy}."
    )


def needs_all_rows(table: LandingTable) -> bool:
    """Tell whether to examine all rows: a sample could miss rows that a mode has to treat."""
    differences: tuple[Difference, ...] = ("new", "type") if table.format == "csv" else DIFFERENCES
    return any(table.mode_of(each) != "evolve" for each in differences)


def _suspect_columns(tally: Tally) -> dict[str, Kind]:
    found: dict[str, Kind] = dict.fromkeys(tally.unexpected_columns, "new")
    return found | dict.fromkeys(tally.lost_columns, "lost")


def _suspect_keys(names: Collection[str], required: Collection[str], keys: Keys) -> dict[str, Kind]:
    found: dict[str, Kind] = {}
    for inside in keys.found.values():
        found |= dict.fromkeys((name for name in inside if name not in names), "new")
    for name in required:
        if name not in keys.found.get(container_of(name), {name}):
            found[name] = "lost"
    return found


def _learn_keys(
    connection: duckdb.DuckDBPyConnection,
    table: LandingTable,
    expected: Expected,
    file_id: int,
    sample: str,
    documents: Mapping[int, Keys],
) -> None:
    """Expect the keys of the first file's documents, and those of the objects in them, one level deep."""
    of_file = f"(select * from {sample} where file_id = {file_id})"
    top = list(documents[file_id].found.get("", {}))
    counts = count_values(connection, table, of_file, dict.fromkeys(top, LOGICAL_TYPES)).get(file_id, {})
    objects = [name for name in top if name and _type_of(counts[name]) == "object"]
    inside = find_keys(connection, table, of_file, [f"{name}." for name in objects])[file_id]
    for container, names in inside.found.items():
        if len(names) > _MOST_NAMES:
            continue
        for name, number in names.items():
            expected.learn_key(name, is_required=number >= inside.documents[container])


def _confirmed(
    connection: duckdb.DuckDBPyConnection,
    table: LandingTable,
    expected: Expected,
    suspects: Mapping[int, Mapping[str, Kind]],
    files: Mapping[int, Tally],
    sample: str,
) -> dict[int, list[Change]]:
    """Count all rows of files that may differ; the type of new values is taken from the sample."""
    if not suspects:
        return {}
    declared = [(name, kind) for found in suspects.values() for name, kind in found.items() if kind != "new"]
    is_retyped = {name for name, kind in declared if kind == "type"}
    types = {name: LOGICAL_TYPES if name in is_retyped else () for name, _ in sorted(set(declared))}
    landed = landed_rows(table, suspects)
    counted = count_values(connection, table, landed, types)
    news = {
        file_id: [name for name, kind in found.items() if kind == "new"]
        for file_id, found in suspects.items()
    }
    filled = count_new_values(connection, table, landed, news)
    sampled = count_new_values(connection, table, sample, news, LOGICAL_TYPES)
    nothing, known_types = Counts(0, 0, 0, {}), expected.types
    earlier: list[tuple[int, list[Change]]] = []
    for file_id in files:
        of_file, of_sample = counted.get(file_id, {}), sampled.get(file_id, {})
        new = filled.get(file_id, {})
        changes = []
        for name, kind in suspects.get(file_id, {}).items():
            counts, known = of_file.get(name, nothing), known_types.get(name)
            if kind == "new":
                rows = new.get(name, nothing).filled
                changes.append(Change(name, kind, rows, found_type=_type_of(of_sample.get(name, nothing))))
            elif kind == "lost" and not counts.present:
                changes.append(Change(name, kind, counts.rows, known))
            elif kind == "type" and known and _is_change(counts, known):
                wrong = counts.filled - counts.reads[known]
                changes.append(Change(name, kind, wrong, known, _type_of(counts)))
        earlier.append((file_id, suggest_renames(connection, table, file_id, changes, earlier)))
    return {file_id: changes for file_id, changes in earlier if changes}


def _is_change(counts: Counts, known: LogicalType) -> bool:
    return counts.filled >= _FEWEST_VALUES and counts.reads[known] < _SHARE_OF_A_CHANGE * counts.filled


def _type_of(counts: Counts) -> LogicalType:
    """Return the narrowest type as which nearly all values read; string if there are no values."""
    fitting = (
        each for each in NARROW_TO_WIDE if counts.reads.get(each, 0) >= _SHARE_OF_A_TYPE * counts.filled
    )
    return next(fitting, "string") if counts.filled else "string"


def landed_rows(table: LandingTable, file_ids: Collection[int]) -> str:
    """Return a relation of the landed rows of files."""
    ids = ", ".join(str(file_id) for file_id in sorted(file_ids))
    return f"(select * from landing.{quoted(table.relation)} where file_id in ({ids or 'null'}))"
