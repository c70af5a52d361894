"""Keep the online store up to date between builds, micro-batch by micro-batch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

import duckdb

from assay.core.places import Places
from assay.core.sql import quoted
from assay.core.words import counted
from assay.landing.formats.messages import Message, read_segment
from assay.landing.segments import Segment
from assay.ledger.rollbacks import read_rollback
from assay.online.ahead import Ahead
from assay.online.definition import OnlineView
from assay.online.published import Published, open_published
from assay.online.stores.store import Entity, Store, StoreUnavailable
from assay.online.stretch import key_sql
from assay.project.code_files import read_code
from assay.project.project import Project
from assay.stream.compact import find_partitions
from assay.stream.hot.base import copy_base, state_of, warehouse_held
from assay.stream.hot.ends import Ends, read_ends
from assay.stream.hot.plan import CheckedTable, HotPlan, HotView, make_hot_plan
from assay.stream.hot.session import Cut, HotSession
from assay.stream.partition import LandedPartition
from assay.stream.source import StreamSource

_SLICES_TRIED = 20
# So many messages make a batch; if there are more, it takes long enough that it is told.
_MANY = 20_000


@dataclass(frozen=True)
class _ServedView:
    """A view that is kept up to date: how it is computed, what is online, how it is cut, and what ends."""

    hot: HotView
    online: OnlineView
    key: Cut
    ends: Ends


class HotPath:
    """Brings messages online between builds.

    Args:
        places: of the project.
        sources: the streams whose messages will come.
        store: the online store.
        tell: called with messages for people.

    Raises:
        Fault: nothing is published, a build is under way, or dbt cannot compile the project.
    """

    def __init__(
        self, places: Places, sources: Sequence[StreamSource], store: Store, tell: Callable[[str], None]
    ) -> None:
        self._places, self._store, self._tell = places, store, tell
        # To compile the project takes long, and dbt may open the warehouse alone where there is one.
        with open_published(places.published):
            pass
        self._ahead = Ahead(places.ahead)
        self._code = read_code()
        # To compile the project, dbt opens the warehouse.
        with warehouse_held(places):
            self._plan: HotPlan = make_hot_plan(Project(), sources)
        self._tables = {table.source.name: table for table in self._plan.tables.values()}
        for name, why in sorted(self._plan.cold.items()):
            tell(f"{name} is brought up to date by builds alone: {why}.")
        # Messages that the base does not have, by table and segment, in the order in which they came.
        self._recent: list[tuple[str, dict[Segment, list[Message]]]] = []
        self._done: dict[tuple[str, str, int], int] = {}
        self._unwritten = self._is_away = False
        # By what views were cut on the last build.
        self._keys: dict[str, str] = {}
        self._begin()

    @property
    def views(self) -> list[str]:
        """The views that are kept up to date."""
        served = {view.hot.name for view in self._views}
        return [view.name for view in self._plan.views if view.name in served]

    def close(self) -> None:
        """Close the files that are read."""
        self._session.close()

    def pending(self) -> list[tuple[StreamSource, dict[int, list[Message]]]]:
        """Return the messages that no build has yet, in their order, as `apply` takes them."""
        return [
            (
                self._tables[name].source,
                {segment.partition: messages for segment, messages in segments.items()},
            )
            for name, segments in self._recent
        ]

    def is_outdated(self) -> bool:
        """Tell whether a build has been made of other code than was compiled here."""
        return state_of(self._places.warehouse) != self._base.of and read_code() != self._code

    def write_pending(self) -> None:
        """Write what a store that was away has not taken."""
        if self._unwritten:
            self._bring_all()

    def apply(self, source: StreamSource, messages: Mapping[int, Sequence[Message]]) -> None:
        """Bring new messages of a source online; those that were brought already are passed over."""
        table = self._tables.get(source.name)
        if table is None:
            return
        new = {}
        for partition, several in messages.items():
            place = (source.name, source.topic, partition)
            known = self._done.get(place, -1)
            if again := [each for each in several if each.offset <= known]:
                self._take_again(place, again)
            if unknown := [each for each in several if each.offset > known]:
                new[_segment_of(place, unknown)] = unknown
                self._done[place] = unknown[-1].offset
        if new:
            self._recent.append((source.name, new))
        if self._unwritten:
            self._bring_all()
        elif new:
            with self._store_that_may_be_away():
                self._bring(table, new)

    def _take_again(self, place: tuple[str, str, int], messages: Sequence[Message]) -> None:
        """Let messages replace themselves where they land later than they were to: their segment was lost."""
        landed_at = {each.offset: each.landed_at for each in messages}
        for name, segments in self._recent:
            for segment, several in segments.items():
                if (name, segment.topic, segment.partition) == place:
                    for index, each in enumerate(several):
                        if (again := landed_at.get(each.offset, each.landed_at)) != each.landed_at:
                            several[index] = replace(each, landed_at=again)
                            self._unwritten = True

    def refresh(self) -> None:
        """Go on from the last build, if there has been one: its base has what came before.

        A build that was killed, or that publishes nothing, is none: what is published is not of its rows.
        What a store that was away has not taken is written again.
        """
        if (
            state_of(self._places.warehouse) != self._base.of
            and state_of(self._places.published) != self._published
        ):
            before = self._session
            self._begin()
            before.close()
        elif self._unwritten or self._builds_online() != self._online:
            self._bring_all()

    def _begin(self) -> None:
        published = state_of(self._places.published)
        with open_published(self._places.published) as source:
            names = source.connection.execute(
                "select schema_name, table_name from duckdb_tables()"
            ).fetchall()
            relations = {f"{quoted(schema)}.{quoted(table)}" for schema, table in names}
            base = copy_base(self._plan, self._places, relations, self._keys)
            session = HotSession(self._plan, base, self._places.published, self._places.main_warehouse)
            # Those that are cut alike share what lies before them.
            views = sorted(self._served(source, session), key=lambda view: view.key)
        # All three are of one build: what fails before leaves the former as they are.
        self._base, self._session, self._views = base, session, views
        self._published = published
        self._keys = {view.hot.name: view.key[0] for view in views}
        self._forget_loaded()
        self._ahead.begin(
            {
                (f"{source}.{table}", topic, partition): offset
                for (source, table, topic, partition), offset in base.loaded.items()
                if f"{source}.{table}" in self._tables
            }
        )
        self._catch_up()
        self._bring_all()

    def _builds_online(self) -> dict[str, tuple[str, datetime | None]]:
        """Return which builds the store has: a sync may take back what it has not known of yet."""
        return {
            name: (view.build.run_id, view.build.synced_at) for name, view in self._store.catalog().items()
        }

    def _served(self, source: Published, session: HotSession) -> Iterator[_ServedView]:
        """Yield the views whose slices give what the last build gave: that is tried with some of each."""
        definitions = source.views()
        for view in self._plan.views:
            online = definitions.get(view.name)
            if online is None:
                self._tell(f"{view.name} is not published: it is brought up to date by builds alone.")
                continue
            keys = [tuple(view.keys), *((each,) for each in view.keys if len(view.keys) > 1)]
            key = next((each for each in keys if _is_cut_by(source, session, view, online, each)), None)
            if key is None:
                self._tell(
                    f"{view.name} is brought up to date by builds alone: computed for some "
                    f"{' or '.join(view.keys)} alone, its rows are not those that are published. Either "
                    "they depend on those of others, or a build ended before it published: then the next "
                    "build mends it."
                )
            else:
                if not session.with_keys(view):
                    self._tell(f"Entities of {view.name} whose rows are rejected later leave with a build.")
                ends = Ends(read_ends(source.connection, source.table_of(online), online))
                yield _ServedView(view, online, key, ends)

    def _forget_loaded(self) -> None:
        """Forget messages that the base has."""
        kept = []
        for name, segments in self._recent:
            source, table = name.split(".", 1)
            left = {}
            for segment, messages in segments.items():
                loaded = self._base.loaded.get((source, table, segment.topic, segment.partition), -1)
                if unknown := [each for each in messages if each.offset > loaded]:
                    left[_segment_of((name, segment.topic, segment.partition), unknown)] = unknown
            if left:
                kept.append((name, left))
        self._recent = kept
        for (source, table, topic, partition), offset in self._base.loaded.items():
            place = (f"{source}.{table}", topic, partition)
            self._done[place] = max(offset, self._done.get(place, -1))

    def _catch_up(self) -> None:
        """Take the messages that have landed, and that neither the base nor this process knows."""
        for name, table in self._tables.items():
            for partition in find_partitions(table.source, self._places.landing):
                missing: set[Segment] = set()
                while gone := self._read_landed(name, partition):
                    if gone in missing:
                        raise FileNotFoundError(f"{partition.table / gone.path} cannot be found.")
                    # It was merged meanwhile: a larger segment has its messages.
                    missing.add(gone)

    def _read_landed(self, name: str, partition: LandedPartition) -> Segment | None:
        """Take a partition's messages that are not known; return the segment that went away meanwhile."""
        place = (name, partition.topic, partition.partition)
        for segment in partition.segments():
            known = self._done.get(place, -1)
            if segment.last <= known:
                continue
            try:
                for messages in read_segment(partition.table / segment.path):
                    if unknown := [each for each in messages if each.offset > known]:
                        self._recent.append((name, {_segment_of(place, unknown): unknown}))
            except FileNotFoundError:
                return segment
            self._done[place] = segment.last
        return None

    def _bring_all(self) -> None:
        """Bring all messages online that the base does not have."""
        self._session.forget()
        for view in self._views:
            view.ends.forget()
        waiting = sum(_size(segments) for _, segments in self._recent)
        if waiting > _MANY:
            self._tell(f"{counted(waiting, 'message')} that no build has yet are brought online first.")
        with self._store_that_may_be_away():
            self._online = self._builds_online()
            for name, segments in together(self._recent):
                self._bring(self._tables[name], segments)

    @contextmanager
    def _store_that_may_be_away(self) -> Iterator[None]:
        """Remember whether the store has taken all that the block writes: else all is brought again."""
        try:
            yield
        except StoreUnavailable as fault:
            if not self._is_away:
                self._tell(f"{fault} Messages land on, and are brought online when the store is back.")
            self._is_away = self._unwritten = True
        else:
            if self._is_away:
                self._tell("The online store is back, and has what came meanwhile.")
            self._is_away = self._unwritten = False

    def _bring(self, table: CheckedTable, segments: dict[Segment, list[Message]]) -> None:
        self._session.take(table, segments)
        if forgotten := self._session.count_forgotten():
            self._tell(
                f"{counted(forgotten, 'row')} of {table.source.name} that came by a stream: they name people "
                "who were forgotten, so they are not brought online. The next build removes them."
            )
        places: dict[tuple[str, str, int], int] = {
            (table.source.name, segment.topic, segment.partition): segment.last for segment in segments
        }
        for view in self._views:
            if table.checked["unique_id"] in view.hot.checked and self._session.touch(view.hot, view.key):
                computed = self._session.compute(view.hot, view.online, view.key)
                view.ends.note(computed.ends)
                gone = [*computed.gone, *view.ends.take_passed(computed.clock)]
                self._write(view, computed.entities, gone, places)
        self._ahead.wrote(places)

    def _write(
        self,
        view: _ServedView,
        entities: Sequence[Entity],
        gone: Sequence[str],
        places: Mapping[tuple[str, str, int], int],
    ) -> None:
        """Write the entities that differ from the store's, and remove those that are gone."""
        held = self._store.catalog().get(view.online.name)
        # Looked for after the catalog: a rollback that begins later writes that, so this is refused.
        if read_rollback(self._places.main_warehouse):
            raise StoreUnavailable("Gold was rolled back, and the online store with it.")
        keys = [*(each.key for each in entities), *gone]
        if held is None or held.text != view.online.text or not keys:
            return
        stretches = dict(zip(keys, asyncio.run(self._read_stretches(view.online.name, keys)), strict=True))
        texts = {
            key: stretch.decode() if isinstance(stretch, bytes) else stretch
            for key, stretch in stretches.items()
        }
        changed = [each for each in entities if texts[each.key] != each.stretch]
        removed = [key for key in gone if texts[key] is not None]
        if not changed and not removed:
            return
        self._ahead.note(view.online.name, [*(each.key for each in changed), *removed], places)
        build = replace(held.build, digest=None, entities=None)
        self._store.write(replace(held, build=build), [changed], removed, instead_of=held)

    async def _read_stretches(self, view: str, keys: Sequence[str]) -> list[bytes | str | None]:
        try:
            return (await self._store.read([(view, keys)])).stretches[0]
        finally:
            await self._store.close()


def together(
    batches: Iterable[tuple[str, dict[Segment, list[Message]]]],
) -> Iterator[tuple[str, dict[Segment, list[Message]]]]:
    """Yield batches of messages by table, small ones of a table as one: each costs, whatever its size."""
    found: dict[str, dict[Segment, list[Message]]] = {}
    for name, segments in batches:
        before = found.get(name, {})
        if before and _size(before) + _size(segments) > _MANY:
            yield name, before
            before = {}
        found[name] = before | segments
    yield from found.items()


def _size(segments: Mapping[Segment, Sequence[Message]]) -> int:
    return sum(map(len, segments.values()))


def _segment_of(place: tuple[str, str, int], messages: Sequence[Message]) -> Segment:
    _, topic, partition = place
    return Segment(topic, partition, messages[0].offset, messages[-1].offset)


def _is_cut_by(source: Published, session: HotSession, view: HotView, online: OnlineView, key: Cut) -> bool:
    """Tell whether some slices of a view, computed alone, have the versions that the last build published."""
    if not session.can_be_cut(view, key):
        return False
    texts = f"[{', '.join(f'{quoted(each)}::varchar' for each in key)}]"
    table = source.table_of(online)
    for slices in _find_telling_slices(source.connection, table, key):
        session.touch(view, key, slices)
        entities = session.compute(view, online, key).entities
        wanted = source.connection.execute(
            f"select {key_sql(online.keys)} as key, any_value(version) from {table} "
            f"semi join (select unnest($slices::varchar[][]) as slice) on {texts} = slice group by all",
            {"slices": slices},
        ).fetchall()
        if not slices or {each.key: each.version for each in entities} != dict(wanted):
            return False
    return True


def _find_telling_slices(
    connection: duckdb.DuckDBPyConnection, table: str, key: Cut
) -> Iterator[list[list[str]]]:
    """Yield slices that tell whether slices depend on each other: those they may depend on are not with them.

    Of several columns, slices with one value of a column may depend on each other. So for each column, some
    values that several slices have are taken, and one slice of each; without any, nothing can be told.
    """
    texts = [f"{quoted(each)}::varchar" for each in key]
    if len(key) == 1:
        value = f"select distinct {texts[0]} as value from {table}"
        [(count,)] = connection.execute(f"select count(*) from ({value})").fetchall()
        most = min(_SLICES_TRIED, max(1, count // 2))
        found = connection.execute(f"{value} order by hash(value) limit {most}").fetchall()
        yield [[value] for (value,) in found]
        return
    for column in texts:
        slices = connection.execute(
            "select arg_min(slice, hash(slice)) from ("
            f"select distinct {column} as shared, [{', '.join(texts)}] as slice from {table}) "
            "group by shared having count(*) > 1 "
            f"order by count(*) desc, hash(shared) limit {_SLICES_TRIED}"
        ).fetchall()
        yield [slice_ for (slice_,) in slices]
