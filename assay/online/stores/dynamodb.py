"""An online store in a table of DynamoDB, for those whose servers run at AWS.

DynamoDB changes at most a hundred items in one step, so a view is changed by generations. An entity's item
holds its values of two generations, and the view's entry in the catalog says which generation is in force. A
sync writes the next one beside it, and then changes the entry. A reader takes the newest value that is not of
a later generation than the entry that it has read before. What a sync has written that did not come to its
end is in force never: the entry lists the generations of those.

A sync begins by counting up the entry's number, which ends every sync that began before: that one can no
longer change the entry, nor an item that the newer one has written.
"""

from __future__ import annotations

import asyncio
import re
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

from assay.core.fault import MISUSED, Fault, extra_needed
from assay.online.definition import OnlineView
from assay.online.stores.dynamodb_items import (
    CATALOG,
    ITEM_BYTES,
    PARTITIONS,
    REMOVED,
    STAMP,
    Entry,
    Item,
    Value,
    catalog_id,
    entity_id,
    entity_item,
    key_of,
    name_of,
    packed,
    size_of,
)
from assay.online.stores.shown_url import shown_url
from assay.online.stores.store import (
    Catalog,
    Entity,
    Reading,
    StoreUnavailable,
    Wanted,
    empty,
    overtaken,
)

with extra_needed("dynamodb", by="The online store in DynamoDB"):
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

_TABLE = re.compile(r"[a-zA-Z0-9_.-]{3,255}")
_OPTIONS = {"region", "endpoint"}
_THREADS = 16
# DynamoDB reads no more items at a time.
_AT_A_TIME = 100
_ATTEMPTS = 6
_FIRST_PAUSE = 0.05
# The version of an entity that is in no generation in force, so that the next sync writes or removes it.
_LEFT_BEHIND = -2
_OVERTAKEN = {"ConditionalCheckFailedException", "TransactionCanceledException"}


@dataclass(frozen=True)
class _Held:
    stamp: str
    entries: Mapping[str, Entry]
    catalog: Catalog


class DynamoStore:
    """The store in a table, which the first sync makes; before that, it counts as empty."""

    def __init__(self, url: str) -> None:
        self.url = shown_url(url)
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        if not _TABLE.fullmatch(parts.netloc) or parts.path.strip("/") or options.keys() - _OPTIONS:
            raise Fault(
                f"{self.url} is no URL of DynamoDB: write dynamodb://TABLE?region=REGION, and &endpoint=URL "
                "where it is not at AWS.",
                MISUSED,
            )
        self._table = parts.netloc
        reading = Config(connect_timeout=2, read_timeout=2, retries={"total_max_attempts": 2})
        try:
            self._reader, self._writer = (
                boto3.client(
                    "dynamodb",
                    region_name=options.get("region"),
                    endpoint_url=options.get("endpoint"),
                    config=Config(max_pool_connections=2 * _THREADS).merge(config),
                )
                for config in (reading, Config(retries={"total_max_attempts": 8, "mode": "standard"}))
            )
        except (BotoCoreError, ValueError) as error:
            raise Fault(f"The online store {self.url} cannot be asked: {error}", MISUSED) from error
        self._readers = ThreadPoolExecutor(_THREADS, "dynamodb-reader")
        # Apart from the readers, who wait for them.
        self._callers = ThreadPoolExecutor(_THREADS, "dynamodb-caller")
        self._held: _Held | None = None

    async def read(self, wanted: Sequence[Wanted]) -> Reading:
        """Read stretches; see `Store`."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, wanted)

    def _read(self, wanted: Sequence[Wanted]) -> Reading:
        ids = [[entity_id(view, key) for key in keys] for view, keys in wanted]
        with self._errors("read"):
            for _ in range(_ATTEMPTS):
                # What is in force is read before the items, so that they have its values or later ones.
                held = self._held = self._held or self._look_up(self._reader)
                found = self._items(self._reader, [STAMP, *(each for some in ids for each in some)])
                stamp = found.get(name_of(STAMP))
                stretches: list[list[bytes | str | None]] = [
                    [_text_in_force(held.entries.get(view), found.get(name_of(each))) for each in some]
                    for (view, _), some in zip(wanted, ids, strict=True)
                ]
                if any(text is None for some in stretches for text in some):
                    # It may have been taken away by a sync that ended after the stamp was read.
                    stamp = self._items(self._reader, [STAMP]).get(name_of(STAMP))
                if stamp is not None and stamp["value"]["S"] == held.stamp:
                    return Reading(held.catalog, stretches)
                self._held = None
        raise StoreUnavailable(
            f"The online store {self.url} cannot be read: it is written to without a pause."
        )

    async def sample(self, view: str) -> str | None:
        """Return some key; see `Store`."""
        keys = (key for key, version in self._versions(self._reader, view) if version != _LEFT_BEHIND)
        return await asyncio.get_running_loop().run_in_executor(self._readers, next, keys, None)

    def catalog(self) -> Catalog:
        """Return what the store holds; see `Store`."""
        return {name: entry.view for name, entry in self._entries().items() if entry.view}

    def names(self) -> set[str]:
        """Return the names of the views there are; see `Store`."""
        return {name for name, entry in self._entries().items() if not entry.is_removed}

    def _entries(self) -> Mapping[str, Entry]:
        with self._errors("read"):
            return self._catalog_entries(self._writer) if self._is_made() else {}

    def versions(self, view: str) -> Iterator[tuple[str, int]]:
        """Yield keys and versions; see `Store`."""
        if self._is_made():
            yield from self._versions(self._writer, view)

    def _versions(self, client: Any, view: str) -> Iterator[tuple[str, int]]:
        with self._errors("read"):
            found = client.get_item(TableName=self._table, Key=catalog_id(view), ConsistentRead=True).get(
                "Item"
            )
            entry = Entry.of(found) if found else None
            for item in self._entities(client, view):
                value = entry.in_force(item) if entry else None
                yield (
                    key_of(item),
                    _LEFT_BEHIND if value is None or value.version == REMOVED else value.version,
                )

    def entities(self, view: str) -> int:
        """Count the entities of a view; see `Store`."""
        with self._errors("read"):
            known = self._look_up(self._writer).catalog.get(view)
        if known and known.build.entities is not None:
            return known.build.entities
        return sum(version != _LEFT_BEHIND for _, version in self.versions(view))

    def write(
        self,
        view: OnlineView,
        changed: Iterable[Sequence[Entity]],
        removed: Iterable[str],
        *,
        instead_of: OnlineView | None,
    ) -> None:
        """Bring a view to another generation, and then put it in force; see `Store`."""
        with self._errors("written", view.name):
            self._make()
            before = self._begin(view.name, instead_of)
            for batch in changed:
                self._put(view.name, before, {each.key: each for each in batch})
            gone: list[str] = []
            rest = iter(removed)
            while some := list(islice(rest, 20 * _AT_A_TIME)):
                self._put(view.name, before, dict.fromkeys(some))
                gone += some
            self._put_in_force(view, before)
            list(self._callers.map(lambda key: self._delete(entity_id(view.name, key), before.begun), gone))

    def remove(self, view: str) -> None:
        """Take a view out; see `Store`. Its entry stays, so that its generations go on if it comes back."""
        with self._errors("written", view):
            self._make()
            number = self._count_up(view).begun
            self._change(
                catalog_id(view),
                "remove #definition, #build",
                "#begun = :number",
                {":number": {"N": str(number)}},
            )
            items = self._entities(self._writer, view)
            while some := list(islice(items, _AT_A_TIME)):
                list(self._callers.map(lambda item: self._delete(item, number), some))
            self._update(
                catalog_id(view),
                "set #is_removed = :yes",
                "#begun = :number",
                {":yes": {"BOOL": True}, ":number": {"N": str(number)}},
            )

    async def close(self) -> None:
        """Close the connections."""
        self._reader.close()
        self._writer.close()

    def _begin(self, view: str, instead_of: OnlineView | None) -> Entry:
        """Count up a view's generations, if it is as it was when its changes were found."""
        if instead_of is None:
            return self._count_up(view, "attribute_not_exists(#build)")
        return self._count_up(view, "#build = :build", {":build": {"S": _build_text(instead_of)}})

    def _count_up(self, view: str, condition: str = "", values: Item | None = None) -> Entry:
        """Begin another generation of a view, and return its entry."""
        one = {":one": {"N": "1"}}
        done = self._update(
            catalog_id(view), "add #begun :one remove #is_removed", condition, one | dict(values or {})
        )
        return Entry.of(done)

    def _put(self, view: str, before: Entry, changed: Mapping[str, Entity | None]) -> None:
        """Write the next generation of entities beside what is in force; None for one that is removed."""
        found = self._items(self._writer, [entity_id(view, key) for key in changed])

        def put(key: str) -> None:
            held = found.get(name_of(entity_id(view, key)))
            entity = changed[key]
            if held is None and entity is None:
                return
            value = before.in_force(held) if held else None
            new = Value(before.begun, REMOVED, None)
            if entity:
                new = Value(before.begun, entity.version, packed(entity.stretch))
            item = entity_item(view, key, [value, new] if value else [new])
            if size_of(item) > ITEM_BYTES:
                raise StoreUnavailable(
                    f"{view} cannot be written to {self.url}: what is online of {key[:80]} takes "
                    f"{size_of(item):,} bytes with what was before, and an item of DynamoDB holds "
                    f"{ITEM_BYTES:,}. Nothing is changed. Take another store for it, or fewer features."
                )
            self._writer.put_item(
                TableName=self._table,
                Item=item,
                **_expressions(
                    {":number": {"N": str(before.begun)}},
                    ConditionExpression="attribute_not_exists(#written_by) or #written_by <= :number",
                ),
            )

        list(self._callers.map(put, changed))

    def _put_in_force(self, view: OnlineView, before: Entry) -> None:
        """Put a generation in force, if no other sync has begun since."""
        build = view.build
        dead = before.dead | set(range(before.generation + 1, before.begun))
        values: dict[str, Any] = {
            "definition": {"B": zlib.compress(view.text.encode())},
            "build": {"S": _build_text(view)},
            "run_id": {"S": build.run_id},
            "known_until": build.known_until and {"S": build.known_until.isoformat()},
            "synced_at": build.synced_at and {"S": build.synced_at.isoformat()},
            "entities": None if build.entities is None else {"N": str(build.entities)},
            "digest": build.digest and {"S": build.digest},
            "generation": {"N": str(before.begun)},
            "dead": {"NS": sorted(map(str, dead))} if dead else None,
        }
        given = {f":{name}": value for name, value in values.items() if value}
        lost = [f"#{name}" for name, value in values.items() if not value]
        update = "set " + ", ".join(f"#{name[1:]} = {name}" for name in given)
        update += f" remove {', '.join(lost)}" if lost else ""
        self._change(catalog_id(view.name), update, "#begun = :generation", given)

    def _update(self, key: Item, update: str, condition: str, values: Item) -> Item:
        """Change an item, if a condition holds, and return it."""
        expressions = {"UpdateExpression": update}
        if condition:
            expressions["ConditionExpression"] = condition
        done: Item = self._writer.update_item(
            TableName=self._table, Key=key, ReturnValues="ALL_NEW", **_expressions(values, **expressions)
        )["Attributes"]
        return done

    def _change(self, key: Item, update: str, condition: str, values: Item) -> None:
        """Change an entry of the catalog, and its stamp in the same step, if a condition holds."""
        expressions = _expressions(values, UpdateExpression=update, ConditionExpression=condition)
        stamp = {**STAMP, "value": {"S": uuid4().hex}}
        steps = [
            {"Update": {"TableName": self._table, "Key": key} | expressions},
            {"Put": {"TableName": self._table, "Item": stamp}},
        ]
        for attempt in range(_ATTEMPTS):
            try:
                self._writer.transact_write_items(TransactItems=steps)
                return
            except self._writer.exceptions.TransactionCanceledException as error:
                reasons = {each["Code"] for each in error.response["CancellationReasons"]}
                # Another view may have been changed at that moment, which changes the stamp as well.
                if "ConditionalCheckFailed" in reasons or attempt + 1 == _ATTEMPTS:
                    raise
            time.sleep(_FIRST_PAUSE * 2**attempt)

    def _look_up(self, client: Any) -> _Held:
        """Read the catalog, after its stamp: an entry may be of later, and then the stamp is another."""
        stamp = client.get_item(TableName=self._table, Key=STAMP, ConsistentRead=True).get("Item")
        if stamp is None:
            raise empty(self.url)
        entries = self._catalog_entries(client)
        catalog = {name: entry.view for name, entry in entries.items() if entry.view}
        return _Held(stamp["value"]["S"], entries, catalog)

    def _catalog_entries(self, client: Any) -> dict[str, Entry]:
        return {key_of(item): Entry.of(item) for item in self._query(client, CATALOG)}

    def _entities(self, client: Any, view: str) -> Iterator[Item]:
        """Yield the items of a view's entities, without their stretches."""
        columns = ["place", "id", "key", "generation_a", "version_a", "generation_b", "version_b"]
        for number in range(PARTITIONS):
            yield from self._query(client, f"{view}#{number}", columns)

    def _query(self, client: Any, place: str, columns: Sequence[str] = ()) -> Iterator[Item]:
        expressions = {"KeyConditionExpression": "#place = :place"}
        if columns:
            expressions["ProjectionExpression"] = ", ".join(f"#{name}" for name in columns)
        pages = client.get_paginator("query").paginate(
            TableName=self._table,
            ConsistentRead=True,
            **_expressions({":place": {"S": place}}, **expressions),
        )
        for page in pages:
            yield from page["Items"]

    def _items(self, client: Any, ids: Iterable[Item]) -> dict[tuple[str, bytes], Item]:
        """Read items by their primary keys; what is not there is left out."""
        each_once = iter({name_of(each): each for each in ids}.values())
        batches = list(iter(lambda: list(islice(each_once, _AT_A_TIME)), []))
        if len(batches) == 1:
            found = [self._batch(client, batches[0])]
        else:
            found = list(self._callers.map(lambda batch: self._batch(client, batch), batches))
        return {name_of(item): item for items in found for item in items}

    def _batch(self, client: Any, ids: Sequence[Item]) -> list[Item]:
        found: list[Item] = []
        asked: Any = {self._table: {"Keys": ids, "ConsistentRead": True}}
        for attempt in range(_ATTEMPTS):
            answer = client.batch_get_item(RequestItems=asked)
            found += answer["Responses"].get(self._table, [])
            asked = answer.get("UnprocessedKeys")
            if not asked:
                return found
            time.sleep(_FIRST_PAUSE * 2**attempt)
        raise StoreUnavailable(
            f"The online store {self.url} cannot be read: DynamoDB puts off what it is asked. "
            "Raise the capacity of the table."
        )

    def _delete(self, item: Item, generation: int) -> None:
        """Delete an item, unless a sync of a later generation has written it."""
        try:
            self._writer.delete_item(
                TableName=self._table,
                Key={"place": item["place"], "id": item["id"]},
                **_expressions(
                    {":number": {"N": str(generation)}},
                    ConditionExpression="attribute_not_exists(#written_by) or #written_by <= :number",
                ),
            )
        except ClientError as error:
            if _code(error) not in _OVERTAKEN:
                raise

    def _is_made(self) -> bool:
        with self._errors("read"):
            try:
                self._writer.describe_table(TableName=self._table)
            except ClientError as error:
                if _code(error) != "ResourceNotFoundException":
                    raise
                return False
        return True

    def _make(self) -> None:
        """Make the table, where it is not there, and wait for it."""
        if self._is_made():
            return
        try:
            self._writer.create_table(
                TableName=self._table,
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[
                    {"AttributeName": "place", "AttributeType": "S"},
                    {"AttributeName": "id", "AttributeType": "B"},
                ],
                KeySchema=[
                    {"AttributeName": "place", "KeyType": "HASH"},
                    {"AttributeName": "id", "KeyType": "RANGE"},
                ],
            )
        except ClientError as error:
            # Another sync makes it.
            if _code(error) != "ResourceInUseException":
                raise
        self._writer.get_waiter("table_exists").wait(
            TableName=self._table, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )

    @contextmanager
    def _errors(self, done: str, view: str = "") -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            if view and _code(error) in _OVERTAKEN:
                raise overtaken(view) from error
            if done == "read" and _code(error) == "ResourceNotFoundException":
                raise empty(self.url) from error
            raise self._unavailable(done, error) from error
        except (BotoCoreError, OSError) as error:
            raise self._unavailable(done, error) from error

    def _unavailable(self, done: str, error: Exception) -> StoreUnavailable:
        said = " ".join(str(error).split()).removesuffix(".")
        return StoreUnavailable(f"The online store {self.url} cannot be {done}: {said}.")


def _text_in_force(entry: Entry | None, item: Item | None) -> bytes | None:
    value = entry.in_force(item) if entry and entry.view and item else None
    return value.text if value else None


def _expressions(values: Item, **expressions: str) -> dict[str, Any]:
    """Return the parameters of expressions whose names begin with `#`: so they may be words of DynamoDB's."""
    names = sorted(set(re.findall(r"#(\w+)", " ".join(expressions.values()))))
    return {
        **expressions,
        "ExpressionAttributeNames": {f"#{name}": name for name in names},
        "ExpressionAttributeValues": values,
    }


def _build_text(view: OnlineView) -> str:
    build = view.build
    return f"{build.run_id} {build.synced_at} {build.digest}"


def _code(error: ClientError) -> str:
    code: str = error.response["Error"]["Code"]
    return code
