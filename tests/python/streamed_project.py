"""The subscriptions project, whose three sources come from topics of the tests' broker."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from unittest import mock

from kafka_broker import Broker
from small_project import SmallProject
from subscription_project import make_subscription_project

from assay.core.places import find_places
from assay.stream.source import find_stream_sources
from assay.stream.status import PartitionStatus, read_stream_status

STREAMED = (
    ("app", "sessions", "json", "jsonl"),
    ("billing", "invoices", "json", "csv"),
    ("crm", "accounts", "debezium", "jsonl"),
)
CHECKED = ("slv_sessions__checked", "slv_invoices__checked", "slv_accounts__checked")


class StreamedProject(SmallProject):
    """The subscriptions project, whose three sources come from topics of the tests' broker."""

    topics: dict[str, str]

    def run(self, *arguments: str) -> str:
        result = self.assay(*arguments)
        assert result.exit_code == 0, result.output
        return " ".join(result.output.split())

    def build(self, landing: Path | None = None, warehouse: Path | None = None) -> None:
        """Build what tells of streams, of this or of another landing zone."""
        named = "ASSAY_LAKE_CATALOG" if "ASSAY_LAKE_CATALOG" in self.environment else "ASSAY_WAREHOUSE"
        places = {"ASSAY_LANDING": landing, named: warehouse}
        other = SmallProject(
            self.root, self.settings | {name: str(path) for name, path in places.items() if path}
        )
        built = other.dbt(
            "build", "--select", "+mon_streams", "slv_rules", "--exclude-resource-type", "unit_test"
        )
        assert built.returncode == 0, built.stdout

    def status(self, source: str) -> list[PartitionStatus]:
        """How far the partitions of a source have come."""
        with self.inside():
            return read_stream_status(find_stream_sources([source]), find_places()).partitions

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Be in the project's folder and environment while the block runs."""
        with chdir(self.root), mock.patch.dict(os.environ, self.environment, clear=True):
            yield

    def silver(
        self, warehouse: Path | None = None, without: str = "loaded_at, run_id", where: str = "true"
    ) -> list[object]:
        """The content of the checked tables, without some columns."""
        return [
            self.query(
                f"select count(*), sum(hash(checked)::hugeint) "
                f"from (select * exclude ({without}) from silver.{table} where {where}) as checked",
                file=warehouse,
            )
            for table in CHECKED
        ]


def make_streamed_project(root: Path, broker: Broker) -> StreamedProject:
    """Make the project, send all that its files held as messages, and land these; nothing is built."""
    plain = make_subscription_project(root)
    project = StreamedProject(plain.root, plain.settings | {"ASSAY_KAFKA_BOOTSTRAP_SERVERS": broker.address})
    project.topics = {}
    for source, table, form, _ in STREAMED:
        topic = project.topics[table] = f"{source}-{table}-{time.time_ns()}"
        contract = project.root / "contracts" / f"{source}.odcs.yaml"
        # ODCS has no field for the topic, but lets a server have properties of one's own.
        place = (
            f"customProperties: [{{property: topic, value: {topic}}}]"
            if table == "accounts"
            else f"topic: {topic}"
        )
        server = f"  - {{server: {table}, type: kafka, host: 'localhost:9092', format: {form}, {place}}}\n"
        contract.write_text(contract.read_text().replace("schema:\n", f"servers:\n{server}schema:\n", 1))
        broker.create_topic(topic, 2)
    project.run("contracts", "sync")
    shutil.move(project.landing, project.root / "files")
    project.landing.mkdir()
    for _, table, _, _ in STREAMED:
        send(broker, project, table)
    project.run("stream", "run", "--until-drained", "--no-online")
    return project


def send(broker: Broker, project: StreamedProject, table: str) -> None:
    """Send each line of a table's files, those of a CSV as objects, to one of two partitions."""
    values: list[str] = []
    for path in sorted((project.root / "files").rglob("*")):
        if path.is_file() and path.parts[-3] == table:
            lines = path.read_text().splitlines()
            if path.suffix == ".csv":
                header = lines[0].split(",")
                lines = [json.dumps(dict(zip(header, line.split(","), strict=True))) for line in lines[1:]]
            values += lines
    for partition in (0, 1):
        broker.produce(project.topics[table], values[partition::2], partition=partition)
