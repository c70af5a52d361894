"""Prometheus and the alert channels learn how streams are: behind, silent, or with offsets that are lost."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from guides import PROJECT
from prometheus_client.parser import text_string_to_metric_families

from assay.alerts.states import Alert
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


class Channel:
    """Keeps the alerts that it gets."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []

    def send(self, alerts: Sequence[Alert]) -> None:
        self.alerts += alerts


@pytest.fixture
def channel(monkeypatch: pytest.MonkeyPatch) -> Channel:
    monkeypatch.setattr(watch, "_SECONDS_BETWEEN_LOOKS", 0.0)
    return Channel()


def progress(
    tmp_path: Path, *, ago: float, lag: int = 0, gaps: Sequence[tuple[int, int]] = ()
) -> list[Landed]:
    """A partition whose last message came so many seconds ago."""
    timestamp = int((time.time() - ago) * 1000)
    partition = LandedPartition(tmp_path, "clicks", 3)
    return [
        Landed(
            "shop.clicks",
            [Progress(partition, 100, messages=7, last_timestamp=timestamp, gaps=list(gaps), end=100 + lag)],
        )
    ]


def test_figures_are_written_for_prometheus(tmp_path: Path, channel: Channel) -> None:
    StreamWatch(tmp_path, [SOURCE], [channel], print).look(progress(tmp_path, ago=30, lag=5, gaps=[(10, 14)]))
    families = text_string_to_metric_families((tmp_path / "stream.prom").read_text())
    [samples] = [{family.name: family.samples[0] for family in families}]
    labels = {"source": "shop.clicks", "topic": "clicks", "partition": "3"}
    assert {sample.labels == labels for sample in samples.values()} == {True}
    found = {name.removeprefix("assay_stream_"): sample.value for name, sample in samples.items()}
    assert found.pop("behind_seconds") == pytest.approx(30, abs=5)
    assert found.pop("silent_seconds") == pytest.approx(30, abs=5)
    assert found == {"messages": 7, "next_offset": 100, "lag_messages": 5, "lost_offsets": 5}


def test_the_dashboard_shows_figures_that_there_are(tmp_path: Path, channel: Channel) -> None:
    StreamWatch(tmp_path, [SOURCE], [channel], print).look(progress(tmp_path, ago=30))
    written = set(re.findall(r"^(assay_\w+)", (tmp_path / "stream.prom").read_text(), re.MULTILINE))
    dashboard = (PROJECT / "docs" / "grafana" / "streams.json").read_text()
    assert set(re.findall(r"assay_stream_\w+", dashboard)) == written - {"assay_stream_next_offset"}


@pytest.mark.parametrize(
    ("broken", "well", "said"),
    [
        (
            {"ago": 20, "gaps": [(10, 14)]},
            None,
            "clicks/3 of shop.clicks (owner web): 5 offsets lost",
        ),
        (
            {"ago": 400, "lag": 5},
            {"ago": 1},
            "clicks/3 of shop.clicks (owner web): messages wait",
        ),
        ({"ago": 90}, {"ago": 1}, "stream shop.clicks (owner web): no message for"),
    ],
)
def test_each_change_is_told_once(
    tmp_path: Path, channel: Channel, broken: dict[str, float], well: dict[str, float] | None, said: str
) -> None:
    watched = StreamWatch(tmp_path, [SOURCE], [channel], print)
    watched.look(progress(tmp_path, ago=1))
    assert channel.alerts == []
    for _ in range(2):
        watched.look(progress(tmp_path, **broken))  # type: ignore[arg-type]
    assert any(said in str(alert) for alert in channel.alerts), list(map(str, channel.alerts))
    told = len(channel.alerts)
    assert {alert.change for alert in channel.alerts} == {"broken"}
    if well:
        watched.look(progress(tmp_path, **well))  # type: ignore[arg-type]
        assert [alert.change for alert in channel.alerts[told:]] == ["recovered"] * told


def test_a_partition_that_was_read_to_its_end_is_not_behind(tmp_path: Path, channel: Channel) -> None:
    landed = progress(tmp_path, ago=50, lag=5)
    landed[0].partitions[0].at_end = True
    StreamWatch(tmp_path, [SOURCE], [channel], print).look(landed)
    assert (landed[0].partitions[0].lag, landed[0].partitions[0].behind_seconds) == (0, 0.0)
