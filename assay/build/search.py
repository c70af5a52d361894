"""Bring the file that is searched to what is published, where a project has documents."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from assay.build.publications import find_kept
from assay.build.publish import remove_leftovers
from assay.core.moment import END_OF_TIME_SQL
from assay.core.places import Places, find_target
from assay.project.conventions import CHUNKS, EMBEDDINGS, TABLES
from assay.project.graph import read_manifest
from assay.project.personal import is_personal
from assay.project.warehouse import connect_published
from assay.search.tombstones import Tombstones

if TYPE_CHECKING:
    from assay.search.index import IndexCounts

# What results show, or what is embedded.
_SHOWN = ("document_id", "source", "title", "tags", "heading_path", "text")
# As feature views say it of themselves.
_ONLINE = "online_pii"


def publish_search(
    places: Places,
    changed: Collection[str] | None = None,
    *,
    manifest: Any = None,
    tell: Callable[[str], None],
) -> IndexCounts | None:
    """Write the index of the published documents anew, unless nothing of them has changed.

    There is none where no documents are published, or what they say is declared personal and not allowed
    online, or may be so.

    Args:
        places: of the project.
        changed: the tables of gold that were published anew; None if it is not known.
        manifest: the project as dbt has parsed it, which tells what is personal; without it, dbt's last one.
        tell: called with a warning for people, where documents may not be searched.

    Returns:
        What the index holds; None where there are no documents, they may not be searched, or the index is as
        it was.

    Raises:
        Fault: the extra `search` is not installed, or vectors are of several models.
        OSError: the file cannot be written.
    """
    remove_leftovers([places.search])
    personal = _find_personal(manifest)
    if personal:
        places.search.unlink(missing_ok=True)
        tell(
            f"Documents cannot be searched, because {CHUNKS} declares {', '.join(personal)} personal. "
            f"To have them searched all the same, declare config.meta.{_ONLINE}: true of {CHUNKS}."
        )
        return None
    if not _has_documents(places):
        places.search.unlink(missing_ok=True)
        return None
    if personal is None:
        places.search.unlink(missing_ok=True)
        tell(
            "Documents cannot be searched, because nobody can tell whether they are personal: dbt's manifest "
            f"in {find_target()} does not have {CHUNKS}. To write it, and the index: assay build"
        )
        return None
    is_unchanged = changed is not None and not {CHUNKS, EMBEDDINGS} & set(changed)
    if is_unchanged and places.search.is_file():
        return None
    from assay.search.index import write_index

    return write_index(places.published, places.search)


def forget_deleted(places: Places) -> None:
    """Hide deleted documents no longer that are neither published nor kept, nor in the index.

    Raises:
        Fault: it is not known what is hidden, or the index cannot be read.
        OSError: it cannot be written.
    """
    tombstones = Tombstones(places.deleted_documents)
    hidden = tombstones.find()
    if not hidden:
        return
    there = [(places.published, "gold", CHUNKS), (places.search, "main", "chunks")]
    there += [(kept.published, "gold", CHUNKS) for kept in find_kept(places.published)]
    oldest: dict[str, datetime] = {}
    for file, schema, table in there:
        for document_id, since in _find_states(file, schema, table, list(hidden)):
            oldest[document_id] = min(since, oldest.get(document_id, since))
    # Of what is deleted meanwhile, it was not asked who has it.
    tombstones.prune(lambda name, at: name in hidden and oldest.get(name, at) >= at)


def _find_personal(manifest: Any) -> list[str] | None:
    """Return the columns of chunks that are declared personal and not allowed online.

    None where there is no manifest, or no chunks are in it.
    """
    nodes: list[dict[str, Any]]
    if manifest is not None:
        nodes = [node.to_dict() for node in manifest.nodes.values() if node.alias == CHUNKS]
    else:
        written = read_manifest()
        nodes = list(written.nodes.values()) if written else []
    # By the name under which they are published.
    chunks = [node for node in nodes if node["alias"] == CHUNKS and node["resource_type"] in TABLES]
    if not chunks:
        return None
    return [
        column["name"]
        for node in chunks
        if (node["config"].get("meta") or {}).get(_ONLINE) is not True
        for column in (node.get("columns") or {}).values()
        if column["name"].lower() in _SHOWN and is_personal(column)
    ]


def _has_documents(places: Places) -> bool:
    with connect_published(places.published) as connection:
        return _has_tables(connection)


def _has_tables(connection: duckdb.DuckDBPyConnection) -> bool:
    [(tables,)] = connection.execute(
        "select count(*) from duckdb_tables() where schema_name = 'gold' and table_name in ($1, $2)",
        [CHUNKS, EMBEDDINGS],
    ).fetchall()
    return bool(tables == 2)


def _find_states(file: Path, schema: str, table: str, documents: list[str]) -> list[tuple[str, datetime]]:
    """Return since when documents are as a file has them; none where it has no such table."""
    if not file.is_file():
        return []
    with connect_published(file) as connection:
        if not connection.execute(
            "from duckdb_tables() where schema_name = $1 and table_name = $2", [schema, table]
        ).fetchall():
            return []
        return connection.execute(
            f"select document_id, min(valid_from) from {schema}.{table} "
            f"where valid_to = {END_OF_TIME_SQL} and document_id in (select unnest($1::varchar[])) "
            "group by document_id",
            [documents],
        ).fetchall()
