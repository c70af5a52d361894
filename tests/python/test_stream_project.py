"""A project whose sources come as streams: messages land as files do, and a replay gives the same."""

from __future__ import annotations

import json
import time

import pytest
from kafka_broker import Broker
from streamed_project import CHECKED, STREAMED, StreamedProject, make_streamed_project

# Where and when a row landed is not what it says.
_PLACE = "file_id, row_number, source_file, file_version, landed_at, loaded_at, run_id"


@pytest.fixture(scope="module")
def streamed(builds: None, broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> StreamedProject:
    """The project with all that its files held sent as messages, landed and built."""
    project = make_streamed_project(tmp_path_factory.mktemp("streamed") / "project", broker)
    project.build()
    return project


def test_what_lands_by_message_is_what_lands_by_file(streamed: StreamedProject) -> None:
    warehouse = streamed.warehouse.with_stem("by_file")
    streamed.build(streamed.root / "files", warehouse)
    # A row without a time that can be read counts from when it landed, in a file or as a message.
    kept = "rule_ids is null"
    assert streamed.silver(None, _PLACE, kept) == streamed.silver(warehouse, _PLACE, kept)
    rejected = [f"select rule_ids from silver.{table} where rule_ids is not null" for table in CHECKED]
    for query in rejected:
        assert streamed.query(query) == streamed.query(query, file=warehouse)


def test_a_replay_gives_the_same_silver_hash_for_hash(streamed: StreamedProject) -> None:
    again, warehouse = streamed.root / "again", streamed.warehouse.with_stem("again")
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
    # No build has brought it online.
    assert f" {last + 3} {last} {last} \N{EN DASH} 3 " in told
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


def test_a_source_is_added_from_a_topic_alone(streamed: StreamedProject, broker: Broker) -> None:
    place = f"{broker.address}/{streamed.topics['accounts']}"
    told = streamed.run("source", "add", "shop.customers", "--kafka", place, "--owner", "us", "--dry-run")
    assert "topic: crm-accounts" in told
    assert "format: debezium" in told
    assert "landing/shop" not in told
    result = streamed.assay("source", "add", "shop.customers", "--dry-run")
    assert (result.exit_code, "Name a sample, or the topic" in result.output) == (2, True)


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
