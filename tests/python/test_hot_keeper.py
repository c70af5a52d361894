"""When the hot path begins, ends and begins anew; without a project."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from assay.core.fault import Fault
from assay.core.lock import current_holder
from assay.core.places import Places
from assay.landing.declared import LandingTable
from assay.landing.formats.messages import Message
from assay.landing.segments import Segment
from assay.stream import run
from assay.stream.hot import hot, keeper
from assay.stream.hot.hot import HotPath, together
from assay.stream.hot.keeper import HotPathKeeper
from assay.stream.source import StreamSource

SOURCE = StreamSource(
    LandingTable("shop", "clicks", "jsonl", (), frozenset(), {}, {}, is_streamed=True),
    {"type": "kafka", "host": "none", "topic": "clicks"},
)


def message(offset: int) -> dict[int, list[Message]]:
    return {0: [Message(offset, 0, 0, None, (), b"{}")]}


@dataclass
class FakePath:
    """A hot path that does nothing, or fails."""

    views = ("ftr_clicks",)
    fails: bool = False
    is_old: bool = False
    done: list[str] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)

    def apply(self, source: StreamSource, messages: Mapping[int, Sequence[Message]]) -> None:
        self.taken.append(messages[0][0].offset)
        if self.fails:
            raise ValueError("no such luck")

    def pending(self) -> list[Any]:
        return [(SOURCE, message(offset)) for offset in self.taken]

    def is_outdated(self) -> bool:
        return self.is_old

    def refresh(self) -> None:
        self.done.append("refreshed")

    def write_pending(self) -> None:
        self.done.append("wrote")

    def close(self) -> None:
        self.done.append("closed")


@dataclass
class Kept:
    """A keeper, the paths that it has begun, and what it told."""

    keeper: HotPathKeeper
    paths: list[FakePath]
    told: list[str]
    warehouse: Path

    def build(self) -> None:
        self.warehouse.write_bytes(self.warehouse.read_bytes() + b"more")
        self.keeper.refresh()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    paths, told, warehouse = list[FakePath](), list[str](), tmp_path / "assay.duckdb"
    warehouse.touch()

    def begin(*_: Any) -> FakePath:
        paths.append(FakePath())
        return paths[-1]

    with mock.patch.multiple(keeper, HotPath=begin, _SECONDS_BETWEEN_LOOKS=0.0):
        places = Places(tmp_path / "landing", warehouse)
        keeping = HotPathKeeper(places, [SOURCE], mock.Mock(), told.append)
        keeping.refresh()
        yield Kept(keeping, paths, told, warehouse)


def test_what_cannot_be_computed_is_left_to_the_next_build_and_nothing_is_written(kept: Kept) -> None:
    kept.keeper.apply(SOURCE, message(1))
    kept.paths[0].fails = True
    kept.keeper.apply(SOURCE, message(2))
    assert kept.paths[0].done == ["closed"]
    assert "the next build brings them online: here they cannot be computed (ValueError" in kept.told[-1]
    kept.keeper.apply(SOURCE, message(3))
    kept.keeper.refresh()
    assert len(kept.paths) == 1
    kept.build()
    assert kept.paths[1].taken == [1, 2, 3]
    kept.keeper.close()
    assert kept.paths[1].done == ["wrote", "closed"]


def test_it_begins_anew_once_a_build_was_made_of_other_code(kept: Kept) -> None:
    kept.keeper.apply(SOURCE, message(1))
    kept.keeper.refresh()
    assert kept.paths[0].done == ["refreshed"]
    kept.paths[0].is_old = True
    kept.keeper.refresh()
    kept.keeper.apply(SOURCE, message(2))
    assert kept.paths[0].done == ["refreshed", "closed"]
    assert kept.paths[1].taken == [1, 2]


def test_small_batches_of_a_table_are_one_and_large_ones_stay_small() -> None:
    def batch(table: str, partition: int, first: int, count: int) -> tuple[str, dict[Segment, list[Message]]]:
        messages = [each for offset in range(first, first + count) for each in message(offset)[0]]
        return table, {Segment("clicks", partition, first, first + count - 1): messages}

    several = [batch("a", 0, 0, 2), batch("b", 0, 0, 1), batch("a", 1, 0, 2), batch("a", 0, 2, 2)]
    with mock.patch.object(hot, "_MANY", 4):
        found = [
            (table, [(each.partition, each.first, each.last) for each in segments])
            for table, segments in together(several)
        ]
    assert found == [("a", [(0, 0, 1), (1, 0, 1)]), ("a", [(0, 2, 3)]), ("b", [(0, 0, 0)])]


def test_builds_wait_while_the_project_is_compiled(tmp_path: Path) -> None:
    places = Places(tmp_path / "landing", tmp_path / "assay.duckdb")
    places.warehouse.touch()

    def plan(*_: Any) -> None:
        holder = current_holder(places.warehouse)
        assert holder is not None
        assert holder.copies
        raise Fault("This is far enough.")

    with (
        mock.patch.multiple(
            hot,
            make_hot_plan=plan,
            Project=mock.Mock(),
            read_code=mock.Mock(),
            open_published=mock.MagicMock(),
        ),
        pytest.raises(Fault, match="far enough"),
    ):
        HotPath(places, [SOURCE], mock.Mock(), print)


def test_a_stream_that_is_told_to_stop_while_the_hot_path_begins_ends_when_it_has(tmp_path: Path) -> None:
    """What is under way is not cut off: it may have written some views of a message and not the others."""
    told = list[str]()

    def begin(*_: Any) -> FakePath:
        signal.raise_signal(signal.SIGTERM)
        return FakePath()

    class Landing(mock.MagicMock):
        polls = 0

        def poll(self, _: float) -> list[Any]:
            Landing.polls += 1
            return []

    landing = Landing()
    landing.__enter__.return_value = landing
    landing.is_drained = False
    with (
        mock.patch.multiple(keeper, HotPath=begin, _SECONDS_BETWEEN_LOOKS=0.0),
        mock.patch.object(run, "_landings", return_value=[(SOURCE.name, lambda: landing)]),
        mock.patch.object(run, "_landed", return_value=[]),
    ):
        keeping = HotPathKeeper(
            Places(tmp_path / "landing", tmp_path / "assay.duckdb"), [SOURCE], mock.Mock(), told.append
        )
        run.run_streams(
            [SOURCE],
            tmp_path,
            run.StreamOptions(online=keeping),
            command="test",
            tell=told.append,
            show=lambda _: None,
        )
    assert Landing.polls == 1
    assert "Brought online" in told[-1]
