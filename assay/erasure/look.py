"""Find everything that is kept of a person, by the key: what an erasure removes, and what it cannot see."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import duckdb

from assay.build.bucket import PUBLISH_TO
from assay.core.places import Places, find_other_warehouses, landing_url
from assay.core.words import counted
from assay.erasure.beside import Trace, find_beside
from assay.erasure.exports import find_gone
from assay.erasure.find import FileLines, count_doubtful, count_rows, find_lines
from assay.erasure.landed import find_landed
from assay.erasure.mentions import Mentions
from assay.erasure.objects import name_unseen
from assay.erasure.person import Person
from assay.erasure.unloaded import find_unloaded


@dataclass
class Traces:
    """Everything that is kept of a person.

    Attributes:
        lines: of landed files.
        traces: of all places, these files among them.
        unseen: places in which nobody can look by the key, and why.
    """

    lines: list[FileLines] = field(default_factory=list)
    traces: list[Trace] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)

    @property
    def is_known(self) -> bool:
        """Whether a row is the person's, and not some word of a text alone."""
        return any(trace.rows and not trace.is_word for trace in self.traces)

    @property
    def rows(self) -> int:
        """How many rows there are in all places together."""
        return sum(trace.rows for trace in self.traces)


def find_traces(places: Places, connection: duckdb.DuckDBPyConnection, person: Person) -> Traces:
    """Find everything that is kept of a person.

    Args:
        places: of the project.
        connection: to the warehouse, which is the current database.
        person: who is meant.

    Raises:
        Fault: a file cannot be read.
    """
    found = Traces(lines=find_lines(connection, person))
    found.traces += find_landed(places, found.lines)
    landed: dict[str, int] = defaultdict(int)
    for each in found.lines:
        landed[f"{each.source}__{each.table}"] += len(each.spans)
    found.traces += [Trace(f"landing.{table}", rows, "removed") for table, rows in sorted(landed.items())]
    found.traces += [
        Trace(f"{schema}.{table}", rows, "built anew without the person")
        for schema, table, rows in count_rows(connection, person)
        # Told already, by the lines that landed.
        if schema != "landing" or table not in landed
    ]
    found.traces += find_beside(places, person)
    for unloaded in find_unloaded(places, connection, Mentions(person)):
        if unloaded.is_text:
            named = f"landed file {unloaded.name}, not loaded"
            found.traces.append(Trace(named, len(unloaded.lines), "lines that have the key are emptied"))
        else:
            has_key = f"has the key {len(unloaded.lines)} times and " if unloaded.lines else ""
            found.unseen.append(
                f"{unloaded.path}, which could not be loaded, {has_key}is no text that can be read whole: "
                "mend it, or remove it"
            )
    if doubtful := count_doubtful(connection, person):
        rows = counted(doubtful, "malformed row")
        found.unseen.append(f"{rows} with a field that is so short that it may be the key or any number")
    found.unseen += _named_files(connection, person)
    found.unseen += _unseen(places)
    return found


def _named_files(connection: duckdb.DuckDBPyConnection, person: Person) -> Iterator[str]:
    """Yield the landed files whose names have the key, which bronze and silver tell with each row."""
    mentions = Mentions(person)
    for (name,) in connection.execute(
        "select distinct source_file from landing.files order by source_file"
    ).fetchall():
        if mentions.count(name):
            yield f"the name of landed file {name}, which has the key: tables and run ledger tell it"


def _unseen(places: Places) -> Iterator[str]:
    if url := landing_url():
        yield from name_unseen(url)
    if url := os.environ.get(PUBLISH_TO):
        yield f"{url}: old versions of objects, where the bucket keeps them: give it a rule that expires them"
    for target, file in find_other_warehouses(places.main_warehouse).items():
        yield (
            f"{file}, another warehouse of this project, and what lies beside it: forget the person there as "
            f"well, with ASSAY_TARGET={target} and the other settings that it is built with"
        )
    for url in find_gone(places):
        yield f"{url}: a table was exported there, and is there no longer"
    yield "other files that people have exported, and backups"
