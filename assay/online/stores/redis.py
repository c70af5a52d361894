"""An online store in Redis, which several servers on several machines share.

A view lies in two hashes, of stretches and of versions, by the text of the entity's key. What a sync writes
is staged beside them and moved into place by one script, which Redis runs as one step: readers see a view
before it or after it, never in between. What a killed sync has staged expires.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import uuid4

from assay.online.definition import Build, OnlineView
from assay.online.stores.store import Catalog, Entity, Reading, StoreUnavailable, Wanted, overtaken
from assay.runs.fault import MISUSED, Fault, extra_needed

with extra_needed("redis", by="The online store in Redis"):
    import redis
    import redis.asyncio

_PREFIX = "assay:"
_CATALOG = f"{_PREFIX}catalog"
# The field, beside the entities, that tells what a view's stretches are of; no key begins so.
_STAMP = "\0stamp"
_SECONDS_TO_WAIT = 2.0
_FIELDS_AT_A_TIME = 5000

_SECONDS_STAGED = 3600

# KEYS: staged stretches and versions, those in place, removed keys, catalog.
# ARGV: view, its entry, the entry that must be there ('' for none), the field of the stamp, stamp.
_APPLY = """
if (redis.call('HGET', KEYS[6], ARGV[1]) or '') ~= ARGV[3] then
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
local removed = redis.call('LRANGE', KEYS[5], 0, -1)
for _, key in ipairs(removed) do
    redis.call('HDEL', KEYS[3], key)
    redis.call('HDEL', KEYS[4], key)
end
redis.call('UNLINK', KEYS[5])
move(KEYS[1], KEYS[3])
move(KEYS[2], KEYS[4])
redis.call('HSET', KEYS[6], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[3], ARGV[4], ARGV[5])
return 1
"""


class RedisStore:
    """The store in a database of Redis; its keys begin with `assay:`."""

    def __init__(self, url: str) -> None:
        scheme, _, rest = url.partition("://")
        # As people may see it: without the password.
        self.url = f"{scheme}://{rest.rpartition('@')[2]}"
        options: dict[str, Any] = {
            "socket_timeout": _SECONDS_TO_WAIT,
            "socket_connect_timeout": _SECONDS_TO_WAIT,
        }
        try:
            self._reader = redis.asyncio.Redis.from_url(url, **options)
            # A script may take longer than an answer may.
            self._writer = redis.Redis.from_url(url, **options | {"socket_timeout": 60.0})
        except ValueError as error:
            raise Fault(
                f"{self.url} is no URL of Redis ({error}): write redis://HOST:PORT/DATABASE.", MISUSED
            ) from error
        self._stamps: dict[str, bytes] = {}
        self._catalog: Catalog = {}

    async def read(self, wanted: Sequence[Wanted]) -> Reading:
        """Read stretches, each view's in one command, with the stamp of what they are of; see `Store`."""
        with self._errors("read"):
            if not wanted:
                await self._refresh()
                return Reading(self._catalog, [])
            if len(wanted) == 1:
                [(view, keys)] = wanted
                found: list[Any] = [await self._reader.hmget(_stretches(view), [_STAMP, *keys])]
            else:
                async with self._reader.pipeline(transaction=False) as pipeline:
                    for view, keys in wanted:
                        pipeline.hmget(_stretches(view), [_STAMP, *keys])
                    found = await pipeline.execute()
            held = {view: stretches[0] for (view, _), stretches in zip(wanted, found, strict=True)}
            if any(stamp != self._stamps.get(view) for view, stamp in held.items()):
                await self._refresh()
        return Reading(self._catalog, [stretches[1:] for stretches in found])

    async def _refresh(self) -> None:
        """Read the catalog; where it has not changed, it stays the same object."""
        catalog = _catalog(await self._reader.hgetall(_CATALOG))
        stamps = {view.name: _stamp(view) for view in catalog.values()}
        if stamps != self._stamps:
            self._catalog, self._stamps = catalog, stamps

    async def sample(self, view: str) -> str | None:
        """Return some key; see `Store`."""
        with self._errors("read"):
            found: Any = await self._reader.hrandfield(_versions(view))
            return found.decode() if found else None

    def catalog(self) -> Catalog:
        """Return what the store holds; see `Store`."""
        with self._errors("read"):
            return _catalog(self._writer.hgetall(_CATALOG))

    def versions(self, view: str) -> Iterator[tuple[str, int]]:
        """Yield keys and versions; see `Store`."""
        with self._errors("read"):
            for key, version in self._writer.hscan_iter(_versions(view), count=_FIELDS_AT_A_TIME):
                yield key.decode(), int(version)

    def entities(self, view: str) -> int:
        """Count the entities of a view; see `Store`."""
        with self._errors("read"):
            return int(self._writer.hlen(_versions(view)))

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
        entries = [_entry(view), _entry(instead_of) if instead_of else ""]
        with self._errors("written"):
            for batch in changed:
                with self._writer.pipeline(transaction=False) as pipeline:
                    pipeline.hset(stretches, items=_alternating((each.key, each.stretch) for each in batch))
                    pipeline.hset(versions, items=_alternating((each.key, each.version) for each in batch))
                    pipeline.expire(stretches, _SECONDS_STAGED)
                    pipeline.expire(versions, _SECONDS_STAGED)
                    pipeline.execute()
            for batch_of_keys in _batches(removed):
                self._writer.rpush(gone, *batch_of_keys)
                self._writer.expire(gone, _SECONDS_STAGED)
            if not self._writer.eval(_APPLY, len(places), *places, view.name, *entries, _STAMP, _stamp(view)):
                raise overtaken(view)

    def remove(self, view: str) -> None:
        """Take a view out; see `Store`."""
        with self._errors("written"), self._writer.pipeline(transaction=True) as pipeline:
            pipeline.unlink(_stretches(view), _versions(view))
            pipeline.hdel(_CATALOG, view)
            pipeline.execute()

    async def close(self) -> None:
        """Let go of connections."""
        await self._reader.aclose()
        self._writer.close()

    @contextmanager
    def _errors(self, done: str) -> Iterator[None]:
        try:
            yield
        except (redis.RedisError, OSError) as error:
            raise StoreUnavailable(f"The online store {self.url} cannot be {done}: {error}") from error


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
    return f"{view.build.run_id} {view.build.synced_at}".encode()


def _entry(view: OnlineView) -> str:
    build = view.build
    times = {name: each and each.isoformat() for name, each in _times(build).items()}
    return json.dumps({"definition": view.text, "run_id": build.run_id} | times)


def _times(build: Build) -> dict[str, datetime | None]:
    return {"known_until": build.known_until, "synced_at": build.synced_at}


def _catalog(entries: dict[Any, Any]) -> Catalog:
    views = []
    for entry in entries.values():
        found = json.loads(entry)
        known_until, synced_at = (
            datetime.fromisoformat(found[name]) if found[name] else None
            for name in ("known_until", "synced_at")
        )
        views.append(OnlineView.of(found["definition"], Build(found["run_id"], known_until, synced_at)))
    return {view.name: view for view in sorted(views, key=lambda view: view.name)}
