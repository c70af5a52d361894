"""Prometheus and the alert channels learn how streams are: behind, silent, or with offsets that are lost."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from guides import PROJECT
from prometheus_client.parser import text_string_to_metric_families

from assay.alerts.config import Config
from assay.alerts.states import Alert
from assay.core.fault import Fault
from assay.core.places import Places
from assay.landing.declared import LandingTable
from assay.stream import watch
from assay.stream.land import Progress
from assay.stream.partition import LandedPartition
from assay.stream.run import Landed
from assay.stream.source import StreamSource
from assay.stream.watch import StreamWatch

SOURCE = StreamSource(
    LandingTable("shop", "clicks", "jsonl", (), frozenset(), {}, {}, owner="web", is_streamed=True),
    {"type": "kafka"},
    silent_after=60.0,
)


def places_in(folder: Path) -> Places:
    return Places(folder / "landing", folder / "assay.duckdb")


class Channel:
    """Keeps the alerts that it gets."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []

    def take(self) -> list[tuple[str, str]]:
        """Return change and kind of what came since the last time."""
        alerts, self.alerts = self.alerts, []
        return [(alert.change, alert.runbook.value) for alert in alerts]

    def send(self, alerts: Sequence[Alert]) -> None:
        self.alerts += alerts


@pytest.fixture
def channel(monkeypatch: pytest.MonkeyPatch) -> Channel:
    monkeypatch.setattr(watch, "_SECONDS_BETWEEN_LOOKS", 0.0)
    return Channel()


def progress(
    tmp_path: Path,
    *,
    ago: float,
    lag: int = 0,
    gaps: Sequence[tuple[int, int]] = (),
    is_up: bool = True,
    fault: Fault | None = None,
) -> list[Landed]:
    """A partition whose last message came so many seconds ago."""
    timestamp = int((time.time() - ago) * 1000)
    partition = LandedPartition(tmp_path, "clicks", 3)
    return [
        Landed(
            "shop.clicks",
            [Progress(partition, 100, messages=7, last_timestamp=timestamp, gaps=list(gaps), end=100 + lag)],
            is_up,
            fault,
        )
    ]


def test_figures_are_written_for_prometheus(tmp_path: Path, channel: Channel) -> None:
    StreamWatch(places_in(tmp_path), [SOURCE], Config([channel]), print).look(
        progress(tmp_path, ago=30, lag=5, gaps=[(10, 14)])
    )
    families = text_string_to_metric_families((tmp_path / "stream.prom").read_text())
    [samples] = [{family.name: family.samples[0] for family in families}]
    up = samples.pop("assay_stream_broker_up")
    assert (up.labels, up.value) == ({"source": "shop.clicks"}, 1)
    labels = {"source": "shop.clicks", "topic": "clicks", "partition": "3"}
    assert {sample.labels == labels for sample in samples.values()} == {True}
    found = {name.removeprefix("assay_stream_"): sample.value for name, sample in samples.items()}
    assert found.pop("behind_seconds") == pytest.approx(30, abs=5)
    assert found.pop("silent_seconds") == pytest.approx(30, abs=5)
    assert found == {"messages": 7, "next_offset": 100, "lag_messages": 5, "lost_offsets": 5}


def test_the_dashboard_shows_figures_that_there_are(tmp_path: Path, channel: Channel) -> None:
    StreamWatch(places_in(tmp_path), [SOURCE], Config([channel]), print).look(progress(tmp_path, ago=30))
    written = set(re.findall(r"^(assay_\w+)", (tmp_path / "stream.prom").read_text(), re.MULTILINE))
    dashboard = (PROJECT / "docs" / "grafana" / "streams.json").read_text()
    assert set(re.findall(r"assay_stream_\w+", dashboard)) == written - {"assay_stream_next_offset"}


@pytest.mark.parametrize(
    ("broken", "well", "said"),
    [
        (
            {"ago": 20, "gaps": [(10, 14)]},
            None,
            "stream shop.clicks clicks/3 10-14 (owner web): 5 offsets lost at the broker",
        ),
        (
            {"ago": 400, "lag": 5},
            {"ago": 1},
            "stream shop.clicks clicks/3 (owner web): messages wait",
        ),
        ({"ago": 90}, {"ago": 1}, "stream shop.clicks (owner web): no message for"),
        (
            {"ago": 1, "is_up": False},
            {"ago": 1},
            "(owner web): it cannot be reached, and messages wait there",
        ),
        ({"ago": 1, "fault": Fault("Gone.")}, {"ago": 1}, "(owner web): it is not landed any more: Gone."),
    ],
)
def test_each_change_is_told_once(
    tmp_path: Path, channel: Channel, broken: dict[str, Any], well: dict[str, Any] | None, said: str
) -> None:
    watched = StreamWatch(places_in(tmp_path), [SOURCE], Config([channel]), print)
    watched.look(progress(tmp_path, ago=1))
    assert channel.alerts == []
    for _ in range(2):
        watched.look(progress(tmp_path, **broken))
    assert any(said in str(alert) for alert in channel.alerts), list(map(str, channel.alerts))
    told = len(channel.alerts)
    assert {alert.change for alert in channel.alerts} == {"broken"}
    if well:
        watched.look(progress(tmp_path, **well))
        assert [alert.change for alert in channel.alerts[told:]] == ["recovered"] * told


def test_a_partition_that_was_read_to_its_end_is_not_behind(tmp_path: Path, channel: Channel) -> None:
    landed = progress(tmp_path, ago=50, lag=5)
    landed[0].partitions[0].at_end = True
    StreamWatch(places_in(tmp_path), [SOURCE], Config([channel]), print).look(landed)
    assert (landed[0].partitions[0].lag, landed[0].partitions[0].behind_seconds) == (0, 0.0)


def test_of_a_broker_that_is_away_nothing_is_claimed(tmp_path: Path, channel: Channel) -> None:
    watched = StreamWatch(places_in(tmp_path), [SOURCE], Config([channel]), print)
    watched.look(progress(tmp_path, ago=400, lag=5))
    assert channel.take() == [("broken", "stream-behind"), ("broken", "stream-silent")]
    away = progress(tmp_path, ago=500, lag=5, is_up=False)
    watched.look(away)
    # What was broken stays so: nobody knows that it is over.
    assert channel.take() == [("broken", "stream-broker-away")]
    written = (tmp_path / "stream.prom").read_text()
    assert 'assay_stream_broker_up{source="shop.clicks"} 0.0' in written
    assert "assay_stream_lag_messages{" not in written
    assert "assay_stream_behind_seconds{" not in written
    watched.look(progress(tmp_path, ago=1))
    assert sorted(channel.take()) == [
        ("recovered", "stream-behind"),
        ("recovered", "stream-broker-away"),
        ("recovered", "stream-silent"),
    ]


def test_of_a_database_it_is_known_since_when_its_log_was_not_read(tmp_path: Path, channel: Channel) -> None:
    watched = StreamWatch(places_in(tmp_path), [SOURCE], Config([channel]), print)
    landed = progress(tmp_path, ago=5)
    [partition] = landed[0].partitions
    for at_end in (False, True):
        # Before the first record, nothing is known; then that the log was read, not how much follows.
        partition.end, partition.at_end, partition.log_read_at = (
            None,
            at_end,
            time.time() - 400 if at_end else None,
        )
        watched.look(landed)
        written = (tmp_path / "stream.prom").read_text()
        assert "assay_stream_lag_messages{" not in written
        assert ("assay_stream_behind_seconds{" in written) == at_end
    assert channel.take() == [("broken", "stream-behind")]
    partition.log_read_at = time.time()
    watched.look(landed)
    assert channel.take() == [("recovered", "stream-behind")]


def test_another_process_goes_on_from_what_people_were_told(tmp_path: Path, channel: Channel) -> None:
    lost = {"ago": 90.0, "gaps": [(10, 14)]}
    StreamWatch(places_in(tmp_path), [SOURCE], Config([channel]), print).look(progress(tmp_path, **lost))
    assert channel.take() == [("broken", "stream-offsets-lost"), ("broken", "stream-silent")]
    next_process = StreamWatch(places_in(tmp_path), [SOURCE], Config([channel]), print)
    begun = progress(tmp_path, ago=1, gaps=[(10, 14)])
    begun[0].partitions[0].last_timestamp = None
    next_process.look(begun)
    # It has had no message, so it does not say that the source speaks again.
    assert channel.take() == []
    next_process.look(progress(tmp_path, ago=1, gaps=[(10, 14)]))
    assert channel.take() == [("recovered", "stream-silent")]
    StreamWatch(places_in(tmp_path), [SOURCE], Config([channel]), print).look(progress(tmp_path, ago=1))
    assert channel.take() == []


def test_a_channel_that_is_away_is_told_later(
    tmp_path: Path, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    watched = StreamWatch(places_in(tmp_path), [SOURCE], Config([channel]), told.append)
    with monkeypatch.context() as away:
        away.setattr(channel, "send", lambda _: 1 / 0)
        for _ in range(2):
            watched.look(progress(tmp_path, ago=90))
    assert len(told) == 1
    assert "could not be reached" in told[0]
    watched.look(progress(tmp_path, ago=90))
    assert channel.take() == [("broken", "stream-silent")]


def test_what_no_usable_channel_is_declared_for_is_told_later(tmp_path: Path, channel: Channel) -> None:
    told: list[str] = []
    places, landed = places_in(tmp_path), progress(tmp_path, ago=90)
    StreamWatch(places, [SOURCE], Config([], problems=["alerts.yml: wrong"]), told.append).look(landed)
    assert told == ["alerts.yml: wrong"]
    StreamWatch(places, [SOURCE], Config([channel]), print).look(landed)
    assert channel.take() == [("broken", "stream-silent")]
