"""An online store in Redis, which several servers on several machines share.

A view is kept in two hashes, of stretches and of versions, by the text of the entity's key. A sync stages its
changes beside them and moves them into place by one script, which Redis runs as one step: readers see a view
before the change or after it, never in between. Changes that a killed sync has staged expire.

Redis may lose a part: keys can be evicted, flushed, deleted or restored one by one. So both hashes have a
stamp of their build, and the catalog has the same stamp and the number of entities. Each read compares the
stamps and three lengths, which Redis knows without counting, and for an entity that is not found, checks
whether the other hash has it. If something does not fit, the read fails, and the next sync writes the view
again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import uuid4

from assay.core.fault import MISUSED, Fault, extra_needed
from assay.online.definition import Build, OnlineView
from assay.online.stores.shown_url import shown_url
from assay.online.stores.store import (
    UNKNOWN,
    Catalog,
    Entity,
    Reading,
    StoreUnavailable,
    Wanted,
    not_whole,
    overtaken,
)

with extra_needed("redis", by="The online store in Redis"):
    import redis
    import redis.asyncio

_PREFIX = "assay:"
_CATALOG = f"{_PREFIX}catalog"
# The field, beside the entities, with a hash's stamp; no key's text contains this byte.
_STAMP = b"\xffstamp"
# The field, beside the entries of a catalog, that lists the entries that should be there.
_VIEWS = b"\xffviews"
_SECONDS_TO_WAIT = 2.0
_FIELDS_AT_A_TIME = 5000

_SECONDS_STAGED = 3600

_LISTED = """
local function list(catalog, views, view, is_there)
    local is_read, listed = pcall(cjson.decode, redis.call('HGET', catalog, views) or '{}')
    if not is_read or type(listed) ~= 'table' then
        listed = {}
    end
    listed[view] = is_there
    redis.call('HSET', catalog, views, cjson.encode(listed))
end
"""

# KEYS: stretches, versions, catalog. ARGV: view, the field of the list.
_REMOVE = (
    _LISTED
    + """
redis.call('UNLINK', KEYS[1], KEYS[2])
redis.call('HDEL', KEYS[3], ARGV[1])
list(KEYS[3], ARGV[2], ARGV[1], nil)
"""
)

# KEYS: staged stretches and versions, those in place, removed keys, catalog.
# ARGV: view, its entry, the stamp that must be there ('' for none), the field of the stamp, stamp, how many
# entities are staged, removed and wanted ('' where that many are as there are afterwards), the field of the
# list of views. Returns 1 where all is in place, 0 where nothing is changed, -1 where entities lack
# afterwards. It takes the stamps out first: a view is not whole where it ends early.
_APPLY = (
    _LISTED
    + """
local is_read, held = pcall(cjson.decode, redis.call('HGET', KEYS[6], ARGV[1]) or '')
if ((is_read and type(held) == 'table' and held.stamp) or '') ~= ARGV[3] then
    return 0
end
if redis.call('HLEN', KEYS[1]) ~= tonumber(ARGV[6]) or redis.call('HLEN', KEYS[2]) ~= tonumber(ARGV[6])
        or redis.call('LLEN', KEYS[5]) ~= tonumber(ARGV[7]) then
    return 0
end
local function move(from, to)
    local cursor = '0'
    repeat
        local found = redis.call('HSCAN', from, cursor, 'COUNT', 1000)
        cursor = found[1]
        for start = 1, #found[2], 2000 do
            redis.call('HSET', to, unpack(found[2], start, math.min(start + 1999, #found[2])))
        end
    until cursor == '0'
    redis.call('UNLINK', from)
end
redis.call('HDEL', KEYS[3], ARGV[4])
redis.call('HDEL', KEYS[4], ARGV[4])
local removed = redis.call('LRANGE', KEYS[5], 0, -1)
for _, key in ipairs(removed) do
    redis.call('HDEL', KEYS[3], key)
    redis.call('HDEL', KEYS[4], key)
end
redis.call('UNLINK', KEYS[5])
move(KEYS[1], KEYS[3])
move(KEYS[2], KEYS[4])
local entry, wanted = ARGV[2], tonumber(ARGV[8])
if not wanted then
    wanted = redis.call('HLEN', KEYS[3])
    local told = cjson.decode(entry)
    told.entities = wanted
    entry = cjson.encode(told)
end
redis.call('HSET', KEYS[6], ARGV[1], entry)
list(KEYS[6], ARGV[9], ARGV[1], true)
redis.call('HSET', KEYS[4], ARGV[4], ARGV[5])
redis.call('HSET', KEYS[3], ARGV[4], ARGV[5])
wanted = wanted + 1
return redis.call('HLEN', KEYS[3]) == wanted and redis.call('HLEN', KEYS[4]) == wanted and 1 or -1
"""
)


class RedisStore:
    """The store in a database of Redis; its keys begin with `assay:`."""

    def __init__(self, url: str) -> None:
        self.url = shown_url(url)
        options: dict[str, Any] = {
            "socket_timeout": _SECONDS_TO_WAIT,
            "socket_connect_timeout": _SECONDS_TO_WAIT,
        }
        try:
            self._reader = redis.asyncio.Redis.from_url(url, **options)
            # Scripts get a longer timeout than reads.
            self._writer = redis.Redis.from_url(url, **options | {"socket_timeout": 60.0})
            # Making the connection object checks all options, and does not connect yet.
            self._writer.connection_pool.make_connection()
        except (ValueError, TypeError):
            # The error is not shown or chained, because it may contain the password.
            raise Fault(
                f"{self.url} is no URL of Redis: write redis://HOST:PORT/DATABASE.", MISUSED
            ) from None
        self._password = str(self._writer.connection_pool.connection_kwargs.get("password") or "")
        self._known: dict[str, _Known] = {}
        self._catalog: Catalog = {}

    async def read(self, wanted: Sequence[Wanted]) -> Reading:
        """Read stretches, and check that they belong to the catalog and are whole; see `Store`."""
        with self._errors("read"):
            if not wanted:
                await self._refresh()
                return Reading(self._catalog, [])
            async with self._reader.pipeline(transaction=False) as pipeline:
                for view, keys in wanted:
                    pipeline.hmget(_stretches(view), [_STAMP, *keys])
                    pipeline.hlen(_stretches(view))
                    pipeline.hlen(_versions(view))
                    pipeline.hstrlen(_CATALOG, view)
                found: list[Any] = await pipeline.execute()
            stretches = [stamped[1:] for stamped in found[::4]]
            fits = [
                self._known.get(view) == _Known(stamped[0], *lengths)
                for (view, _), stamped, *lengths in zip(
                    wanted, found[::4], found[1::4], found[2::4], found[3::4], strict=True
                )
            ]
            damaged = [view for (view, _), fit in zip(wanted, fits, strict=True) if not fit]
            damaged = damaged or await self._with_lost_entities(wanted, stretches)
            if damaged:
                before = self._catalog
                await self._refresh()
                if self._catalog is before:
                    # The catalog is unchanged, so no sync wrote meanwhile: a part of the view is lost.
                    raise not_whole(self.url, damaged[0])
        return Reading(self._catalog, stretches)

    async def _with_lost_entities(
        self, wanted: Sequence[Wanted], stretches: Sequence[Sequence[bytes | None]]
    ) -> list[str]:
        """Return the views in which an entity has a version but no stretch."""
        async with self._reader.pipeline(transaction=False) as pipeline:
            views = []
            for (view, keys), held in zip(wanted, stretches, strict=True):
                if missing := [key for key, stretch in zip(keys, held, strict=True) if stretch is None]:
                    pipeline.hmget(_versions(view), missing)
                    views.append(view)
            found: list[Any] = await pipeline.execute() if views else []
        return [view for view, versions in zip(views, found, strict=True) if any(versions)]

    async def _refresh(self) -> None:
        """Read the catalog; an unchanged catalog stays the same object."""
        entries: dict[Any, Any] = await self._reader.hgetall(_CATALOG)
        listed = _listed(entries.pop(_VIEWS, b"{}"))
        known = {view.decode(): _Known.of(entry) for view, entry in entries.items()}
        catalog = self._catalog if known == self._known else _catalog(entries)
        if damaged := sorted(listed ^ catalog.keys() | known.keys() ^ catalog.keys()):
            raise not_whole(self.url, damaged[0])
        self._catalog, self._known = catalog, known

    async def sample(self, view: str) -> str | None:
        """Return some key; see `Store`."""
        with self._errors("read"):
            found: Any = await self._reader.hrandfield(_versions(view), 2)
            return next((key.decode() for key in found if key != _STAMP), None)

    def catalog(self) -> Catalog:
        """Return what the store holds; see `Store`."""
        with self._errors("read"):
            return _catalog(self._entries())

    def names(self) -> set[str]:
        """Return the names of the views there are; see `Store`."""
        with self._errors("read"):
            entries = self._entries()
            return _listed(entries.pop(_VIEWS, b"{}")) | {name.decode() for name in entries}

    def versions(self, view: str) -> Iterator[tuple[str, int]]:
        """Yield keys and versions; see `Store`."""
        with self._errors("read"):
            whole = self._is_whole(view)
            stretches = set(self._fields(_stretches(view)))
            for key, version in self._writer.hscan_iter(_versions(view), count=_FIELDS_AT_A_TIME):
                if key != _STAMP:
                    yield key.decode(), int(version) if whole and key in stretches else UNKNOWN
                stretches.discard(key)
            yield from ((key.decode(), UNKNOWN) for key in stretches if key != _STAMP)

    def _entries(self) -> dict[Any, Any]:
        found: dict[Any, Any] = self._writer.hgetall(_CATALOG)
        return found

    def _fields(self, name: str) -> list[bytes]:
        found: list[Any] = self._writer.hkeys(name)
        return found

    def _is_whole(self, view: str) -> bool:
        """Tell whether the hashes of a view match the catalog."""
        for part in (_stretches(view), _versions(view)):
            if self._writer.type(part) not in (b"hash", b"none"):
                self._writer.unlink(part)
        with self._writer.pipeline(transaction=False) as pipeline:
            pipeline.hget(_CATALOG, view)
            pipeline.hget(_versions(view), _STAMP)
            pipeline.hget(_stretches(view), _STAMP)
            pipeline.hlen(_stretches(view))
            pipeline.hlen(_versions(view))
            entry, of_versions, stamp, stretches, versions = pipeline.execute()
        if entry is None or of_versions != stamp:
            return False
        return _Known.of(entry) == _Known(stamp, stretches, versions, len(entry))

    def entities(self, view: str) -> int:
        """Count the entities of a view; see `Store`."""
        with self._errors("read"):
            return int(self._writer.hlen(_versions(view))) - int(
                self._writer.hexists(_versions(view), _STAMP)
            )

    def write(
        self,
        view: OnlineView,
        changed: Iterable[Sequence[Entity]],
        removed: Iterable[str],
        *,
        instead_of: OnlineView | None,
    ) -> None:
        """Bring a view to another build in one step; see `Store`."""
        token = uuid4().hex
        stretches, versions, gone = (
            f"{_PREFIX}staged:{token}:{part}" for part in ("stretches", "versions", "removed")
        )
        places = [stretches, versions, _stretches(view.name), _versions(view.name), gone, _CATALOG]
        stamps = [_stamp(instead_of) if instead_of else b"", _STAMP, _stamp(view)]
        staged, taken_out = 0, 0
        with self._errors("written"):
            for batch in changed:
                with self._writer.pipeline(transaction=False) as pipeline:
                    pipeline.hset(stretches, items=_alternating((each.key, each.stretch) for each in batch))
                    pipeline.hset(versions, items=_alternating((each.key, each.version) for each in batch))
                    pipeline.expire(stretches, _SECONDS_STAGED)
                    pipeline.expire(versions, _SECONDS_STAGED)
                    pipeline.execute()
                staged += len(batch)
            for keys in _batches(removed):
                self._writer.rpush(gone, *keys)
                self._writer.expire(gone, _SECONDS_STAGED)
                taken_out += len(keys)
            wanted = "" if view.build.entities is None else view.build.entities
            sizes = [staged, taken_out, wanted]
            arguments: list[Any] = [view.name, _entry(view), *stamps, *sizes, _VIEWS]
            match self._writer.eval(_APPLY, len(places), *places, *arguments):
                case 0:
                    raise overtaken(view.name)
                case -1:
                    raise not_whole(self.url, view.name)

    def remove(self, view: str) -> None:
        """Take a view out; see `Store`."""
        with self._errors("written"):
            self._writer.eval(_REMOVE, 3, _stretches(view), _versions(view), _CATALOG, view, _VIEWS)

    async def close(self) -> None:
        """Close the connections."""
        await self._reader.aclose()
        self._writer.close()

    @contextmanager
    def _errors(self, done: str) -> Iterator[None]:
        try:
            yield
        except (redis.RedisError, OSError) as error:
            # A server without passwords quotes the password that it was sent in its error.
            said = str(error).replace(self._password, "...") if self._password else str(error)
            raise StoreUnavailable(f"The online store {self.url} cannot be {done}: {said}") from error


def _alternating(pairs: Iterable[tuple[str, str | int]]) -> list[str | int]:
    return [each for pair in pairs for each in pair]


def _batches(keys: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(keys)
    while batch := list(islice(rest, _FIELDS_AT_A_TIME)):
        yield batch


def _stretches(view: str) -> str:
    return f"{_PREFIX}stretches:{view}"


def _versions(view: str) -> str:
    return f"{_PREFIX}versions:{view}"


def _stamp(view: OnlineView) -> bytes:
    return f"{view.build.run_id} {_text(view.build.synced_at)}".encode()


def _entry(view: OnlineView) -> str:
    build = view.build
    return json.dumps(
        {
            "definition": view.text,
            "run_id": build.run_id,
            "known_until": _text(build.known_until),
            "synced_at": _text(build.synced_at),
            "entities": build.entities,
            "stamp": _stamp(view).decode(),
        }
    )


@dataclass(frozen=True)
class _Known:
    """What a whole view must have: its stamp, the fields of both hashes, and the length of its entry."""

    stamp: bytes | None
    stretches: int
    versions: int
    entry: int

    @classmethod
    def of(cls, entry: bytes) -> _Known:
        """Read an entry of the catalog; an unreadable one matches nothing."""
        try:
            found = json.loads(entry)
            fields = found["entities"] + 1
            return cls(found["stamp"].encode(), fields, fields, len(entry))
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls(None, -1, -1, len(entry))


def _catalog(entries: Mapping[Any, Any]) -> Catalog:
    """Read the entries of a catalog; damaged ones are left out, so that the next sync writes them again."""
    views = []
    for entry in entries.values():
        with suppress(ValueError, KeyError, TypeError, AttributeError):
            found = json.loads(entry)
            known_until, synced_at = (
                datetime.fromisoformat(found[name]) if found[name] else None
                for name in ("known_until", "synced_at")
            )
            build = Build(found["run_id"], known_until, synced_at, found["entities"])
            views.append(OnlineView.of(found["definition"], build))
    return {view.name: view for view in sorted(views, key=lambda view: view.name)}


def _listed(names: bytes) -> set[str]:
    """Read the list of views that a catalog should have; a damaged list counts as missing."""
    with suppress(ValueError, TypeError):
        return set(json.loads(names))
    return set()


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
