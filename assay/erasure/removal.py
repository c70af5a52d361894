"""Say what an erasure removes, people or rows that are too old: its steps are the same for both."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import duckdb

from assay.build.publications import find_kept
from assay.console.progress import Display
from assay.core.places import Places
from assay.core.sql import quoted, text
from assay.erasure.elsewhere import forget_in_ledger, forget_of_streams, remove_samples
from assay.erasure.find import FileLines, find_lines, published_files
from assay.erasure.forgotten import note_forgotten
from assay.erasure.mentions import Mentions, find_texts, hidden_arguments
from assay.erasure.old_rows import OldRows, OldTable, find_old_lines
from assay.erasure.person import Person
from assay.erasure.unloaded import UnloadedFile, find_unloaded
from assay.erasure.warehouse import rewrite_tables
from assay.landing.declared import declared_tables
from assay.project.conventions import LABEL_COLUMNS
from assay.project.graph import Manifest, Node, descendant_ids
from assay.project.paths import all_model_paths
from assay.stream.hot.base import base_file
from assay.training.store import Version

# When the rows of a training set were predicted.
_PREDICTED = LABEL_COLUMNS[0]


class Removal(Protocol):
    """What an erasure removes, and the steps in which people and old rows differ."""

    @property
    def manifest(self) -> Manifest:
        """The project as dbt has parsed it."""

    @property
    def goes_when_it_lands(self) -> bool:
        """Whether what the build at the end has loaded goes as well."""

    def prepare(self, places: Places) -> None:
        """Do what comes before anything is removed."""

    def find_lines(self, connection: duckdb.DuckDBPyConnection) -> list[FileLines]:
        """Return the landed rows that are left to remove."""

    def find_unloaded(self, places: Places, connection: duckdb.DuckDBPyConnection) -> list[UnloadedFile]:
        """Return landed files that are not loaded, of which lines are to be emptied."""

    def condition_in(self, schema: str, table: str, columns: Collection[str]) -> str | None:
        """Return SQL for rows that go from a table which no build makes anew; None where none can be."""

    def condition_in_version(self, version: Version, columns: Collection[str]) -> str | None:
        """Return SQL for rows that go from the files of a version; None where none can be."""

    def breaks(self, version: Version) -> bool:
        """Tell whether a version cannot be made again, also where none of its rows goes."""

    def rewrite_published(self, places: Places, display: Display) -> None:
        """Take rows out of what readers have now."""

    def hidden(self) -> AbstractContextManager[None]:
        """Keep what is removed out of what the build writes down while the block runs."""

    def finish(self, places: Places, run_id: str) -> None:
        """Remove what lies beside the warehouse, once everything is built anew in a run."""


def removal_of(removed: Person | OldRows, manifest: Manifest) -> Removal:
    """Return what an erasure removes, as its steps need it."""
    return People(removed, manifest) if isinstance(removed, Person) else TooOld(removed, manifest)


@dataclass(frozen=True)
class People:
    """People who are forgotten."""

    person: Person
    manifest: Manifest
    goes_when_it_lands: bool = True

    def prepare(self, places: Places) -> None:
        """Add them to the list of who was forgotten."""
        note_forgotten(places.warehouse, self.person)

    def find_lines(self, connection: duckdb.DuckDBPyConnection) -> list[FileLines]:
        """Return their landed rows, which silver knows."""
        return find_lines(connection, self.person)

    def find_unloaded(self, places: Places, connection: duckdb.DuckDBPyConnection) -> list[UnloadedFile]:
        """Return the landed files that are not loaded and name them."""
        found = find_unloaded(places, connection, Mentions(self.person))
        return [each for each in found if each.is_text]

    def condition_in(self, schema: str, table: str, columns: Collection[str]) -> str | None:
        """Return SQL for their rows of any table."""
        return self.person.condition(columns)

    def condition_in_version(self, version: Version, columns: Collection[str]) -> str | None:
        """Return SQL for their rows of any version."""
        return self.person.condition(columns)

    def breaks(self, version: Version) -> bool:
        """Tell that a version without rows of theirs stays whole."""
        return False

    def rewrite_published(self, places: Places, display: Display) -> None:
        """Take their rows out at once: readers need not wait for the build."""
        display.say("Rewriting what is published")
        for file in published_files(places):
            rewrite_tables(file, self)

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Keep their keys out of what dbt notes of its process."""
        with hidden_arguments(self.person):
            yield

    def finish(self, places: Places, run_id: str) -> None:
        """Remove earlier publications, and take them out of run ledger, files of streams, logs and pages."""
        _remove_kept(places, run_id)
        forget_in_ledger(places.ledger, self.person)
        forget_of_streams(places, self.person)
        mentions = Mentions(self.person)
        for file in find_texts(places):
            mentions.take_out_of(file)


@dataclass(frozen=True)
class TooOld:
    """Rows of landing tables that are older than contracts keep them."""

    rows: OldRows
    manifest: Manifest
    goes_when_it_lands: bool = False

    def prepare(self, places: Places) -> None:
        """Do nothing: rows that land later are judged by their own time."""

    def find_lines(self, connection: duckdb.DuckDBPyConnection) -> list[FileLines]:
        """Return the rows of the landing tables that are too old."""
        declared = declared_tables(*all_model_paths())
        return [
            lines
            for table in self.rows.tables
            if (table.source, table.name) in declared
            for lines in find_old_lines(connection, table, declared[table.source, table.name])
        ]

    def find_unloaded(self, places: Places, connection: duckdb.DuckDBPyConnection) -> list[UnloadedFile]:
        """Return none: nobody can tell how old a line is that could not be loaded."""
        return []

    def condition_in(self, schema: str, table: str, columns: Collection[str]) -> str | None:
        """Return SQL for the states of a snapshot that have ended and began before the rows that are kept."""
        snapshot = self._snapshots.get((schema, table))
        if snapshot is None:
            return None
        node, tables = snapshot
        renamed = node["config"].get("snapshot_meta_column_names") or {}
        begins, ends = (renamed.get(name) or name for name in ("dbt_valid_from", "dbt_valid_to"))
        if not {begins, ends} <= set(columns):
            return None
        cutoff = self._cutoff(tables)
        # Of a state that stands, the end is none or far ahead.
        return f"coalesce({quoted(begins)} < {cutoff} and {quoted(ends)} < now()::timestamp, false)"

    def condition_in_version(self, version: Version, columns: Collection[str]) -> str | None:
        """Return SQL for the rows of a version that were predicted before the rows that are kept."""
        tables = self._read_by.get(version.manifest.name)
        if not tables or _PREDICTED not in columns:
            return None
        return f"coalesce({quoted(_PREDICTED)} < {self._cutoff(tables)}, false)"

    def breaks(self, version: Version) -> bool:
        """Tell whether a version was made of a file from which rows go."""
        name = version.manifest.name
        # A version lists the files of the whole warehouse. One whose model is gone may be made of any.
        reads = name in self._read_by or all(node["name"] != name for node in self.manifest.nodes.values())
        return reads and not set(self.rows.file_ids).isdisjoint(version.input_files)

    def rewrite_published(self, places: Places, display: Display) -> None:
        """Leave what is published, which the build replaces."""

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Hide nothing: a command names no row."""
        yield

    def finish(self, places: Places, run_id: str) -> None:
        """Remove earlier publications, samples of failed tests, and what streams keep of silver."""
        _remove_kept(places, run_id)
        remove_samples(places.ledger, self.tests, but_of=run_id)
        base_file(places).unlink(missing_ok=True)

    @cached_property
    def descendants(self) -> dict[str, list[OldTable]]:
        """The nodes that read a landing table, directly or not, by id, each with these tables."""
        found: dict[str, list[OldTable]] = {}
        for table in self.rows.tables:
            for id_ in descendant_ids(source_ids(table, self.manifest), self.manifest.nodes):
                if id_ in self.manifest.nodes:
                    found.setdefault(id_, []).append(table)
        return found

    @property
    def tests(self) -> list[str]:
        """The ids of the tests of what reads a landing table."""
        return [id_ for id_ in self.descendants if self.manifest.nodes[id_]["resource_type"] == "test"]

    @cached_property
    def _read_by(self) -> dict[str, list[OldTable]]:
        return {self.manifest.nodes[id_]["name"]: tables for id_, tables in self.descendants.items()}

    @cached_property
    def _snapshots(self) -> dict[tuple[str, str], tuple[Node, list[OldTable]]]:
        found = {}
        for id_, tables in self.descendants.items():
            node = self.manifest.nodes[id_]
            if node["resource_type"] == "snapshot":
                found[str(node["schema"]), str(node.get("alias") or node["name"])] = (node, tables)
        return found

    def _cutoff(self, tables: Collection[OldTable]) -> str:
        """Return SQL for the moment before which rows of all these tables are not complete any more."""
        return f"timestamp {text(max(each.cutoff for each in tables).isoformat(sep=' '))}"


def _remove_kept(places: Places, run_id: str) -> None:
    """Remove the publications of all runs but one: a rollback would bring back what is removed."""
    for kept in find_kept(places.published):
        if kept.run_id != run_id:
            shutil.rmtree(kept.folder)


def source_ids(table: OldTable, manifest: Manifest) -> list[str]:
    """Return the ids of the source of dbt that a landing table is."""
    return [
        id_
        for id_, node in manifest.sources.items()
        if (node["source_name"], node["name"]) == (table.source, table.name)
    ]
