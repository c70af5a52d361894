"""A topic, and the landing zone that it is landed in; no project is needed for that."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from pathlib import Path

from kafka_broker import Broker

from assay.landing.declared import LandingTable
from assay.stream.partition import LandedPartition
from assay.stream.run import Landed, StreamOptions, run_streams
from assay.stream.source import StreamSource

TABLE = LandingTable("shop", "clicks", "jsonl", (), frozenset(), {}, {}, is_streamed=True)


@dataclass
class Stream:
    """A topic and the landing zone it is landed in."""

    broker: Broker
    topic: str
    landing: Path
    told: list[str] = field(default_factory=list)
    format: str = "json"

    @property
    def source(self) -> StreamSource:
        server = {"type": "kafka", "host": self.broker.address, "topic": self.topic, "format": self.format}
        return StreamSource(TABLE, server)

    def partition(self, number: int = 0) -> LandedPartition:
        return LandedPartition(self.landing / "shop" / "clicks", self.topic, number)

    def run(self, **options: object) -> Landed:
        """Land all that the broker has."""
        [landed] = run_streams(
            [self.source],
            self.landing,
            StreamOptions(until_drained=True, **options),  # type: ignore[arg-type]
            command="a test",
            tell=self.told.append,
            show=lambda _: None,
        )
        return landed

    def offsets(self, number: int = 0) -> list[int]:
        """All offsets that have landed, in the order of the segments."""
        return [document["_offset"] for document in self.documents(number)]

    def documents(self, number: int = 0) -> list[dict[str, object]]:
        partition = self.partition(number)
        lines = (
            line
            for segment in partition.segments()
            for line in gzip.decompress((partition.table / segment.path).read_bytes()).splitlines()
        )
        return [json.loads(line) for line in lines]
