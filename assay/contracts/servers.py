"""Write and read the `servers` of a contract: where tables are, and where rows come from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedSeq

from assay.contracts.contract import Contract, Table
from assay.core.places import find_places
from assay.project.yaml_file import one_line

#: The types of servers whose rows come as a stream.
STREAMS = ("kafka", "postgres", "postgresql")
# The property of a server that is a source of dlt.
_DLT = "dlt"
_PORT = "[1-9][0-9]{0,4}"
_BROKER = rf"(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\])(?::{_PORT})?"
_TOPIC = re.compile(rf"({_BROKER}(?:,{_BROKER})*)/(?!\.{{1,2}}$)([A-Za-z0-9._-]{{1,249}})")


def make_kafka_server(place: str, table: str, format: str) -> dict[str, str]:
    """Return the entry of `servers` for the topic of Kafka that a landing table's rows come from.

    Args:
        place: brokers and topic, as `host:9092/topic`; several brokers are parted by commas.
        table: the table's name in its source; the server has the same.
        format: of the messages: json, avro or debezium.

    Raises:
        ValueError: the place is written otherwise.
    """
    found = _TOPIC.fullmatch(place)
    if not found or any(int(port) > 65535 for port in re.findall(rf":({_PORT})(?=[,/])", place)):
        raise ValueError(
            f"{place!r} is no topic of Kafka: write HOST/TOPIC, as broker.example:9092/orders. A topic has "
            "letters, digits, '.', '_' and '-'; user names and passwords do not belong into a contract."
        )
    return {"server": table, "type": "kafka", "host": found[1], "topic": found[2], "format": format}


def make_dlt_server(server: str, place: str) -> dict[str, Any]:
    """Return the entry of `servers` for a source of dlt, `module:name`.

    Args:
        server: the name of the table that it fills, or another where it fills several.
        place: the source.
    """
    return {"server": server, "type": "custom", "customProperties": [{"property": _DLT, "value": place}]}


def find_dlt_servers(contract: Contract) -> Iterator[tuple[str, str]]:
    """Yield the servers of a contract that are sources of dlt, with `module:name`."""
    for server in contract.raw.get("servers") or []:
        for custom in server.get("customProperties") or []:
            if custom["property"] == _DLT:
                yield str(server["server"]), str(custom["value"])


def make_published_server(schema: str) -> dict[str, str]:
    """Return the entry of `servers` for the published tables of a schema."""
    file = find_places().published
    path = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
    return {"server": "published", "type": "duckdb", "database": path.as_posix(), "schema": schema}


def lacks_server(contract: Contract) -> bool:
    """Tell whether a product's contract has no server and puts the schema into `physicalName`.

    Other tools would take `schema.table` for the name of a table.
    """
    schemas = {table.relation.partition(".")[0] for table in contract.tables if "." in table.relation}
    return not contract.raw.get("servers") and not contract.is_of_source and len(schemas) == 1


def name_server(content: Any, schema: str) -> None:
    """Add `servers` to a contract, and remove the schema from its tables' names.

    Args:
        content: the content of the contract's file; changed in place.
        schema: the schema of its tables.
    """
    servers = CommentedSeq([one_line(make_published_server(schema))])
    content.insert(list(content).index("schema"), "servers", servers)
    for table in content["schema"]:
        if "physicalName" in table:
            table["physicalName"] = str(table["physicalName"]).removeprefix(f"{schema}.")


def find_stream_server(contract: Contract, table: Table) -> dict[str, Any] | None:
    """Return the server of Kafka or Postgres that a landing table's rows come from as a stream, if any.

    The server has the table's name; a contract of one table may name it otherwise. The topic, for which ODCS
    has no field, may stand among the server's `customProperties`.
    """
    streams: list[dict[str, Any]] = [
        each for each in contract.raw.get("servers") or [] if each.get("type") in STREAMS
    ]
    named = [each for each in streams if each.get("server") == table.name]
    found = named or (streams if len(contract.tables) == 1 else [])
    if not found:
        return None
    custom = {each["property"]: each["value"] for each in found[0].get("customProperties") or []}
    return {**custom, **found[0]}
