"""A project whose sources come as streams: messages land as files do, and a replay gives the same."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
from kafka_broker import Broker
from small_project import SmallProject
from subscription_project import make_subscription_project

STREAMED = (
    ("app", "sessions", "json", "jsonl"),
    ("billing", "invoices", "json", "csv"),
    ("crm", "accounts", "debezium", "jsonl"),
)
CHECKED = ("slv_sessions__checked", "slv_invoices__checked", "slv_accounts__checked")
# Where and when a row landed is not what it says.
_PLACE = "file_id, row_number, source_file, file_version, landed_at, loaded_at, run_id"


class StreamedProject(SmallProject):
    """The subscriptions project, whose three sources come from topics of the tests' broker."""

    topics: dict[str, str]

    def run(self, *arguments: str) -> str:
        result = self.assay(*arguments)
        assert result.exit_code == 0, result.output
        return " ".join(result.output.split())

    def build(self, landing: Path | None = None, warehouse: Path | None = None) -> None:
        """Build what tells of streams, of this or of another landing zone."""
        places = {"ASSAY_LANDING": landing, "ASSAY_WAREHOUSE": warehouse}
        other = SmallProject(
            self.root, self.settings | {name: str(path) for name, path in places.items() if path}
        )
        built = other.dbt(
            "build", "--select", "+mon_streams", "slv_rules", "--exclude-resource-type", "unit_test"
        )
        assert built.returncode == 0, built.stdout

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
        server = (
            f"  - {{server: {table}, type: kafka, host: 'localhost:9092', topic: {topic}, format: {form}}}\n"
        )
        contract.write_text(contract.read_text().replace("schema:\n", f"servers:\n{server}schema:\n", 1))
        broker.create_topic(topic, 2)
    project.run("contracts", "sync")
    shutil.move(project.landing, project.root / "files")
    project.landing.mkdir()
    for _, table, _, _ in STREAMED:
        send(broker, project, table)
    project.run("stream", "run", "--until-drained", "--no-online")
    return project


@pytest.fixture(scope="module")
def streamed(builds: None, broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> StreamedProject:
    """The project with all that its files held sent as messages, landed and built."""
    project = make_streamed_project(tmp_path_factory.mktemp("streamed") / "project", broker)
    project.build()
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


def test_what_lands_by_message_is_what_lands_by_file(streamed: StreamedProject) -> None:
    warehouse = streamed.root / "data" / "by_file.duckdb"
    streamed.build(streamed.root / "files", warehouse)
    # A row without a time that can be read counts from when it landed, in a file or as a message.
    kept = "rule_ids is null"
    assert streamed.silver(None, _PLACE, kept) == streamed.silver(warehouse, _PLACE, kept)
    rejected = [f"select rule_ids from silver.{table} where rule_ids is not null" for table in CHECKED]
    for query in rejected:
        assert streamed.query(query) == streamed.query(query, file=warehouse)


def test_a_replay_gives_the_same_silver_hash_for_hash(streamed: StreamedProject) -> None:
    again, warehouse = streamed.root / "again", streamed.root / "data" / "again.duckdb"
    for source, table, _, _ in STREAMED:
        streamed.run("stream", "replay", "--source", f"{source}.{table}", "--into", str(again))
    streamed.build(again, warehouse)
    assert streamed.silver() == streamed.silver(warehouse)


def test_bronze_shows_where_at_the_broker_each_message_was(streamed: StreamedProject) -> None:
    counted = streamed.query(
        'select count(*), count(distinct ("partition", "offset")), count(distinct topic), count(message_at) '
        "from landing.app__sessions"
    )
    assert counted[0][0] == counted[0][1] == counted[0][3] > 300
    assert counted[0][2] == 1


def test_mon_streams_counts_what_landed(streamed: StreamedProject) -> None:
    counted = streamed.query(
        "select source_table, partition, sum(message_count), sum(rejected_count), sum(gap_count), "
        "max(last_offset) from gold.mon_streams group by all order by all"
    )
    assert [row[:2] for row in counted] == [
        (f"{source}.{table}", partition) for source, table, _, _ in STREAMED for partition in (0, 1)
    ]
    landed = streamed.query("select sum(row_count) from landing.files where status = 'loaded'")
    assert sum(row[2] for row in counted) == landed[0][0]
    assert sum(row[3] for row in counted) == 2
    assert {row[4] for row in counted} == {0}
    assert all(row[5] + 1 == row[2] for row in counted)


def test_status_tells_how_far_each_partition_has_come(streamed: StreamedProject, broker: Broker) -> None:
    broker.produce(streamed.topics["sessions"], ["{}"] * 3, partition=1)
    told = streamed.run("stream", "status", "--source", "app.sessions")
    last = streamed.query('select max("offset") from landing.app__sessions where "partition" = 1')[0][0]
    assert f" {last + 3} {last} {last} 3 " in told
    assert "cannot be reached" not in told


def test_a_message_that_comes_too_late_by_its_contract_is_rejected(
    streamed: StreamedProject, broker: Broker
) -> None:
    contract = streamed.root / "contracts" / "app.odcs.yaml"
    text = contract.read_text()
    lateness = "    customProperties:\n      - {property: lateness, value: 1d}\n"
    contract.write_text(text.replace("    customProperties:\n", lateness, 1))
    streamed.run("contracts", "sync")
    now = time.time()
    values = [
        {
            "id": f"late-{days}",
            "account": "A01",
            "device": "phone",
            "minutes": 5,
            "began_at": at,
            "sent_at": at,
        }
        for days in (0.9, 1.1)
        for at in [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - days * 86_400))]
    ]
    broker.produce(streamed.topics["sessions"], map(json.dumps, values), partition=0)
    streamed.run("stream", "run", "--until-drained", "--source", "app.sessions")
    streamed.build()
    late = "from silver.slv_sessions__checked where session_id like 'late-%' order by all"
    assert streamed.query(f"select session_id, rule_ids {late}") == [
        ("late-0.9", None),
        ("late-1.1", ["too_late"]),
    ]
    explained = streamed.query("select count(*) from silver.slv_rules where rule_id = 'too_late'")
    assert explained == [(1,)]


def test_merged_segments_are_not_loaded_again(streamed: StreamedProject) -> None:
    before = streamed.query("select count(*) from landing.app__sessions")
    told = streamed.run("stream", "compact", "--least-mb", "0")
    assert "segments are" in told
    streamed.build()
    assert streamed.query("select count(*) from landing.app__sessions") == before


def test_a_table_that_is_not_streamed_is_refused_by_name(streamed: StreamedProject) -> None:
    result = streamed.assay("stream", "run", "--source", "no.such")
    assert result.exit_code == 2
    assert (
        "no.such is not streamed: streamed are app.sessions, billing.invoices and crm.accounts"
        in " ".join(result.output.split())
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--partitions", "3-1"), "--partitions 3-1 names no partitions"),
        (("--from", "yesterday"), "--from yesterday is no place in a topic"),
    ],
)
def test_wrong_options_are_refused(streamed: StreamedProject, arguments: tuple[str, ...], said: str) -> None:
    result = streamed.assay("stream", "run", *arguments)
    assert result.exit_code == 2
    assert said in result.output
