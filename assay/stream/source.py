"""Find the landing tables whose rows come as a stream: their contracts' servers say from where."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from assay.contracts.contract import FOLDER, Contract, Table, read_contracts
from assay.contracts.servers import find_stream_server
from assay.contracts.source_side import find_warn_after
from assay.core.fault import MISUSED, Fault
from assay.core.words import listed
from assay.landing.declared import LandingTable, declared_tables
from assay.project.paths import all_model_paths, contract_folders

_SECONDS = {"minute": 60.0, "hour": 3600.0, "day": 86400.0}
_FORMATS = ("json", "avro", "debezium")


@dataclass(frozen=True)
class StreamSource:
    """A landing table and the server that its rows come from, as the contract declares it.

    `silent_after` is after how many seconds without messages it has fallen silent; None if it may be silent.
    """

    table: LandingTable
    server: dict[str, Any]
    silent_after: float | None = None

    @property
    def name(self) -> str:
        """The landing table as `source.table`."""
        return f"{self.table.source}.{self.table.name}"

    @property
    def kind(self) -> str:
        """The type of server: kafka or postgres."""
        return "kafka" if self.server["type"] == "kafka" else "postgres"

    @property
    def topic(self) -> str:
        """The topic of Kafka, or what Debezium would name that of the database's table."""
        if self.kind == "kafka":
            return str(self.server["topic"])
        return as_topic(f"{self.server['database']}.{self.database_table}")

    @property
    def database_table(self) -> str:
        """The table as `schema.table`, in a database that is followed."""
        return f"{self.server.get('schema') or 'public'}.{self.table.name}"

    @property
    def format(self) -> str:
        """How messages are written: json, avro or debezium."""
        return str(self.server.get("format") or "json")


def as_topic(name: str) -> str:
    """Return a name without what topics must not have in theirs, as Debezium does."""
    return re.sub("[^A-Za-z0-9._-]", "_", name)


def find_stream_sources(names: Sequence[str] = ()) -> list[StreamSource]:
    """Return the landing tables that are streamed, in the order of their names.

    Args:
        names: the tables as `source.table`; all if none are named.

    Raises:
        Fault: a name is of no streamed table, nothing is streamed, or a server lacks something.
    """
    tables = declared_tables(*all_model_paths())
    found = {}
    contracts, _ = read_contracts(*contract_folders(FOLDER))
    for contract in contracts:
        for table in contract.tables if contract.is_of_source else ():
            server = find_stream_server(contract, table)
            if server is None:
                continue
            landing = next(
                (each for each in tables.values() if f"landing.{each.relation}" == table.relation), None
            )
            if landing is None or not landing.is_streamed:
                raise Fault(
                    f"{contract.where()}: {contract.id}.{table.name} has a server of type {server['type']}, "
                    "and the source's YAML does not know of it: assay contracts sync",
                    MISUSED,
                )
            source = StreamSource(landing, server, _silent_after(contract, table))
            _check(source, contract.where())
            found[source.name] = source
    if strange := [name for name in names if name not in found]:
        known = (
            f"streamed are {listed(sorted(found))}" if found else "no contract of a source has such a server"
        )
        raise Fault(f"{strange[0]} is not streamed: {known}.", MISUSED)
    if not found:
        raise Fault(
            "Nothing is streamed: name the topic in a source's contract, as "
            "servers: [{server: TABLE, type: kafka, host: 'broker:9092', topic: TOPIC, format: json}], "
            "then: assay contracts sync",
            MISUSED,
        )
    return [found[name] for name in sorted(names or found)]


def _silent_after(contract: Contract, table: Table) -> float | None:
    agreed = find_warn_after(contract, table)
    return agreed["count"] * _SECONDS[agreed["period"]] if agreed else None


def _check(source: StreamSource, where: str) -> None:
    is_kafka = source.kind == "kafka"
    needed = ("host", "topic") if is_kafka else ("host", "database")
    if lacking := [name for name in needed if not source.server.get(name)]:
        raise Fault(f"{where}: the server of {source.name} lacks {lacking[0]}.", MISUSED)
    port = source.server.get("port") or 0
    if not is_kafka and not str(port).isdecimal():
        raise Fault(f"{where}: the server of {source.name} has the port {port!r}: write a number.", MISUSED)
    if is_kafka and source.format not in _FORMATS:
        raise Fault(
            f"{where}: the server of {source.name} has the format {source.format!r}; "
            f"it must be {' or '.join(_FORMATS)}.",
            MISUSED,
        )
    if not is_kafka and source.table.format != "jsonl":
        raise Fault(
            f"{where}: {source.name} is declared as {source.table.format}; the changes of a database land as "
            "Debezium's events: declare the format jsonl, with the columns under `after`.",
            MISUSED,
        )
