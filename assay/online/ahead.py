"""Remember which entities a stream has written to the online store before a build knew of their messages.

A sync leaves these as they are until the build has what they rest on, so that the store never goes back. When
it has, the sync finds out whether the stream wrote what the build would have written: that is kept as parity.

Keys of entities are encrypted where a key is set; views, topics and offsets are plain.
"""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from assay.core.moment import now
from assay.core.sealed_file import SealedFile

if TYPE_CHECKING:
    from assay.core.sealing import Seal

# A landing table as source.table, a topic and its partition.
Place = tuple[str, str, int]
_TABLES = (
    """create table if not exists brought (
        view text not null, key text not null, source text not null, topic text not null,
        partition integer not null, offset integer not null, is_written integer not null,
        primary key (view, key, source, topic, partition)
    ) strict""",
    "create index if not exists unwritten on brought (source, topic, partition) where is_written = 0",
    """create table if not exists parity (
        view text not null, run_id text not null, compared integer not null, differing integer not null,
        example text, compared_at text not null, primary key (view, run_id)
    ) strict""",
    """create table if not exists overtaken (
        view text not null, run_id text not null, entities integer not null, synced_at text not null,
        primary key (view, run_id)
    ) strict""",
    """create table if not exists reached (
        source text not null, topic text not null, partition integer not null, offset integer not null,
        primary key (source, topic, partition)
    ) strict""",
    """create table if not exists streamed (
        source text not null, topic text not null, partition integer not null, offset integer not null,
        primary key (source, topic, partition)
    ) strict""",
)


@dataclass(frozen=True)
class StreamParity:
    """Whether a stream wrote what a build would have: the entities that were compared, and that differed.

    Those that were skipped could not be compared: the build had messages that the stream had not come to.
    """

    view: str
    run_id: str
    compared: int
    differing: int
    skipped: int
    example: str | None
    compared_at: str


class Ahead:
    """The file that says which entities are ahead of the builds.

    Args:
        path: the file, which is made when something is written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = sealed_ahead(path)

    def note(self, view: str, keys: Iterable[str], places: Mapping[Place, int]) -> None:
        """Note that entities are about to rest on the messages of some partitions up to an offset.

        Args:
            view: the feature view.
            keys: the texts that its entities are stored under.
            places: the last offset of each partition.
        """
        with self._opened() as (connection, seal):
            rows = [
                (view, stored, *place, offset, False)
                for stored in (_sealed(seal, view, key) for key in keys)
                for place, offset in places.items()
            ]
            connection.executemany("insert or replace into brought values (?, ?, ?, ?, ?, ?, ?)", rows)

    def reach(self, places: Mapping[Place, int]) -> None:
        """Note that the store has the messages of some partitions up to an offset, by a stream or a sync."""
        if places:
            with self._opened() as (connection, _):
                _reach(connection, places)

    def begin(self, places: Mapping[Place, int]) -> None:
        """Note that a stream begins to bring messages online, after those that a build has."""
        with self._opened() as (connection, _):
            connection.execute("delete from streamed")
            _stream(connection, places)

    def wrote(self, places: Mapping[Place, int]) -> None:
        """Note that a stream has brought the messages of some partitions online up to an offset."""
        with self._opened() as (connection, _):
            _reach(connection, places)
            _stream(connection, places)
            connection.executemany(
                "update brought set is_written = 1 "
                "where is_written = 0 and source = ? and topic = ? and partition = ? and offset <= ?",
                [(*place, offset) for place, offset in places.items()],
            )

    def reached(self) -> dict[Place, int]:
        """Return up to which offset of each partition the store has the messages."""
        if not self._path.exists():
            return {}
        with self._opened(writes=False) as (connection, _):
            rows = connection.execute("select source, topic, partition, offset from reached").fetchall()
        return {(source, topic, partition): offset for source, topic, partition, offset in rows}

    def find(self, view: str, loaded: Mapping[Place, int]) -> tuple[set[str], set[str]]:
        """Return the entities of a view that are ahead of a build, and those that are no longer.

        Args:
            view: the feature view.
            loaded: the last offset of each partition that the build has.
        """
        if not self._path.exists():
            return set(), set()
        with self._opened(writes=False) as (connection, seal):
            stored = connection.execute(
                "select key, source, topic, partition, offset from brought where view = ?", [view]
            ).fetchall()
            rows = [(_plain(seal, view, key), *rest) for key, *rest in stored]
        ahead = {
            key for key, *place, offset in rows if offset > loaded.get((place[0], place[1], place[2]), -1)
        }
        return ahead, {row[0] for row in rows} - ahead

    def newest(self, limit: int) -> list[tuple[str, str, int]]:
        """Return view, key and last offset of the entities that a stream changed last, the newest first."""
        if not self._path.exists():
            return []
        with self._opened(writes=False) as (connection, seal):
            rows = connection.execute(
                "select view, key, max(offset) from brought group by view, key "
                "order by max(rowid) desc limit ?",
                [limit],
            ).fetchall()
            return [(view, _plain(seal, view, key), offset) for view, key, offset in rows]

    def settle(
        self,
        view: str,
        run_id: str,
        settled: Collection[str],
        differing: Collection[str],
        loaded: Mapping[Place, int],
    ) -> None:
        """Forget entities that a build has caught up with, and keep how many of them differed.

        Nothing is kept of those that the stream was killed before it could write. Where the build has
        messages that the stream has not come to yet, the entities are counted and not compared.

        Args:
            view: the feature view.
            run_id: of the build.
            settled: the texts of the entities' keys.
            differing: those of which the stream has not written what the build has.
            loaded: the last offset of each partition that the build has.
        """
        if not settled:
            return
        with self._opened() as (connection, seal):
            come_to = connection.execute("select source, topic, partition, offset from streamed").fetchall()
            streamed = {(source, topic, partition): offset for source, topic, partition, offset in come_to}
            sources = {source for source, _, _ in streamed}
            is_overtaken = any(
                offset > streamed.get(place, -1) for place, offset in loaded.items() if place[0] in sources
            )
            rows = connection.execute(
                "select key from brought where view = ? group by key having min(is_written) = 1", [view]
            )
            meant = {_sealed(seal, view, key): key for key in settled}
            written = {meant[stored] for (stored,) in rows.fetchall() if stored in meant}
            connection.executemany(
                "delete from brought where view = ? and key = ?", [(view, stored) for stored in meant]
            )
            if written and is_overtaken:
                connection.execute(
                    "insert or replace into overtaken values (?, ?, ?, ?)",
                    [view, run_id, len(written), now().isoformat()],
                )
            elif written:
                wrong = written.intersection(differing)
                example = _sealed(seal, view, min(wrong)) if wrong else None
                connection.execute(
                    "insert or replace into parity values (?, ?, ?, ?, ?, ?)",
                    [view, run_id, len(written), len(wrong), example, now().isoformat()],
                )

    def go_back(self, reached: Mapping[Place, int]) -> None:
        """Forget all entities, because the store has gone back to what a build had published.

        Args:
            reached: the last offset that this build had of each partition.
        """
        if not self._path.exists():
            return
        with self._opened() as (connection, _):
            connection.execute("delete from brought")
            connection.execute("delete from reached")
            connection.execute("delete from streamed")
        self.reach(reached)

    def find_keys(self, is_meant: Callable[[str], bool]) -> set[str]:
        """Return the texts of keys that are kept, of those that are meant.

        Args:
            is_meant: tells whether a key is.
        """
        if not self._path.exists():
            return set()
        with self._opened(writes=False) as (connection, seal):
            return {key for _, key in _keys(connection, seal) if is_meant(key)}

    def forget(self, is_meant: Callable[[str], bool]) -> None:
        """Remove entities by their keys; what was compared stays, without them as examples.

        Args:
            is_meant: tells whether a key is to be removed.
        """
        if not self._path.exists():
            return
        with self._opened() as (connection, seal):
            meant = [
                (view, _sealed(seal, view, key)) for view, key in _keys(connection, seal) if is_meant(key)
            ]
            connection.executemany("delete from brought where view = ? and key = ?", meant)
            connection.executemany("update parity set example = null where view = ? and example = ?", meant)

    def parity(self) -> list[StreamParity]:
        """Return what was compared, the latest last."""
        if not self._path.exists():
            return []
        with self._opened(writes=False) as (connection, seal):
            rows = connection.execute(
                "select view, run_id, compared, differing, 0, example, compared_at from parity union all "
                "select view, run_id, 0, 0, entities, null, synced_at from overtaken order by 7, 1"
            ).fetchall()
            found = [StreamParity(*row) for row in rows]
            return [
                replace(each, example=_plain(seal, each.view, each.example)) if each.example else each
                for each in found
            ]

    @contextmanager
    def _opened(self, *, writes: bool = True) -> Iterator[tuple[sqlite3.Connection, Seal | None]]:
        with self._file.open() as connection:
            connection.execute("pragma journal_mode = wal")
            with self._file.begin(connection, writes=writes) as seal:
                yield connection, seal


def sealed_ahead(path: Path) -> SealedFile:
    """Return the file that says which entities are ahead, encrypted if a key was set when it was made."""
    return SealedFile(path, "what streams bring", _TABLES, _write_anew)


def _sealed(seal: Seal | None, view: str, key: str) -> str:
    return base64.b64encode(seal.seal_name(key.encode(), view.encode())).decode() if seal else key


def _plain(seal: Seal | None, view: str, stored: str) -> str:
    return seal.open_name(base64.b64decode(stored), view.encode()).decode() if seal else stored


def _keys(connection: sqlite3.Connection, seal: Seal | None) -> set[tuple[str, str]]:
    """Return view and key of all entities that are named."""
    rows = connection.execute(
        "select view, key from brought union select view, example from parity where example is not null"
    ).fetchall()
    return {(view, _plain(seal, view, key)) for view, key in rows}


def _write_anew(connection: sqlite3.Connection, old: Seal | None, new: Seal) -> None:
    for table, column in (("brought", "key"), ("parity", "example")):
        rows = connection.execute(
            f"select rowid, view, {column} from {table} where {column} is not null"
        ).fetchall()
        connection.executemany(
            f"update {table} set {column} = ? where rowid = ?",
            [(_sealed(new, view, _plain(old, view, stored)), row) for row, view, stored in rows],
        )


def _reach(connection: sqlite3.Connection, places: Mapping[Place, int]) -> None:
    connection.executemany(
        "insert into reached values (?, ?, ?, ?) "
        "on conflict do update set offset = max(offset, excluded.offset)",
        [(*place, offset) for place, offset in places.items()],
    )


def _stream(connection: sqlite3.Connection, places: Mapping[Place, int]) -> None:
    connection.executemany(
        "insert or replace into streamed values (?, ?, ?, ?)",
        [(*place, offset) for place, offset in places.items()],
    )
