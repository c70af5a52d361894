"""What the items of an online store in DynamoDB hold: values by generation, and entries of the catalog."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from assay.online.definition import Build, OnlineView

Item = Mapping[str, Mapping[str, Any]]
# Entities of a view are spread over so many partitions, since one takes a thousand writes a second.
PARTITIONS = 16
CATALOG = "catalog"
STAMP: Item = {"place": {"S": "stamp"}, "id": {"B": b"="}}
# The version of an entity that a generation has removed.
REMOVED = -1
# The most that an item of DynamoDB can hold.
ITEM_BYTES = 400 * 1024
_COMPRESSED_FROM = 2048
# How zlib begins. No text does, encrypted or in JSON: the second byte is none of UTF-8 there.
_COMPRESSED = zlib.compress(b"")[:2]
# Of 1,024 bytes that a sort key may have, one says what the others are.
_LONGEST_KEY = 1023
# The attributes of the two values that an item can hold: generation, version, stretch.
_SLOTS = (("generation_a", "version_a", "stretch_a"), ("generation_b", "version_b", "stretch_b"))


@dataclass(frozen=True)
class Value:
    """What an entity is in one generation; `stretch` is None where that generation has removed it."""

    generation: int
    version: int
    stretch: bytes | None

    @property
    def text(self) -> bytes | None:
        """The stretch as it was before it was compressed."""
        if self.stretch is None or not self.stretch.startswith(_COMPRESSED):
            return self.stretch
        return zlib.decompress(self.stretch)


@dataclass(frozen=True)
class Entry:
    """A view's entry in the catalog.

    `begun` is the generation of the last sync that began, `generation` the one in force, and `dead` are those
    below it that never came into force. `view` is None before a sync has finished, and after the view was
    removed; `is_removed` says that its entities are removed as well.
    """

    view: OnlineView | None
    begun: int
    generation: int
    dead: frozenset[int]
    is_removed: bool

    @classmethod
    def of(cls, item: Item) -> Entry:
        """Read an entry."""
        view = None
        if "definition" in item:
            known_until, synced_at = (
                datetime.fromisoformat(item[name]["S"]) if name in item else None
                for name in ("known_until", "synced_at")
            )
            entities = int(item["entities"]["N"]) if "entities" in item else None
            digest = item["digest"]["S"] if "digest" in item else None
            build = Build(item["run_id"]["S"], known_until, synced_at, entities, digest)
            view = OnlineView.of(zlib.decompress(item["definition"]["B"]).decode(), build)
        return cls(
            view,
            int(item["begun"]["N"]),
            int(item["generation"]["N"]) if "generation" in item else 0,
            frozenset(map(int, item["dead"]["NS"])) if "dead" in item else frozenset(),
            "is_removed" in item,
        )

    def in_force(self, item: Item) -> Value | None:
        """Return an entity's value, which may be that it is removed; None if it has none."""
        values = [each for each in values_of(item) if each.generation <= self.generation]
        alive = [each for each in values if each.generation not in self.dead]
        return max(alive, key=lambda value: value.generation, default=None)


def values_of(item: Item) -> list[Value]:
    """Read an entity's values; without a stretch where it was not asked for."""
    return [
        Value(int(item[generation]["N"]), int(item[version]["N"]), item.get(stretch, {}).get("B"))
        for generation, version, stretch in _SLOTS
        if generation in item
    ]


def entity_id(view: str, key: str) -> Item:
    """Return the primary key of an entity's item; DynamoDB takes no empty one, and none above 1,024 bytes."""
    text = key.encode()
    digest = hashlib.sha256(text).digest()
    place = f"{view}#{digest[0] % PARTITIONS}"
    return {"place": {"S": place}, "id": {"B": b"=" + text if len(text) <= _LONGEST_KEY else b"#" + digest}}


def entity_item(view: str, key: str, values: list[Value]) -> dict[str, Any]:
    """Return the item of an entity with its values, of which the last is the newest."""
    item: dict[str, Any] = {**entity_id(view, key), "written_by": {"N": str(values[-1].generation)}}
    if item["id"]["B"].startswith(b"#"):
        item["key"] = {"S": key}
    for value, (generation, version, stretch) in zip(values, _SLOTS, strict=False):
        item[generation] = {"N": str(value.generation)}
        item[version] = {"N": str(value.version)}
        if value.stretch is not None:
            item[stretch] = {"B": value.stretch}
    return item


def size_of(item: Item) -> int:
    """Return how many bytes an entity's item takes, or a few more: a number takes at most 21."""
    total = 0
    for name, value in item.items():
        [(kind, held)] = value.items()
        total += len(name) + (21 if kind == "N" else len(held if kind == "B" else held.encode()))
    return total


def key_of(item: Item) -> str:
    """Return the key of an entity's item."""
    if "key" in item:
        return str(item["key"]["S"])
    text: bytes = item["id"]["B"]
    return text[1:].decode()


def packed(stretch: str) -> bytes:
    """Return a stretch as it is stored: a long one is compressed."""
    text = stretch.encode()
    return zlib.compress(text) if len(text) >= _COMPRESSED_FROM else text


def catalog_id(view: str) -> Item:
    """Return the primary key of a view's entry in the catalog."""
    return {"place": {"S": CATALOG}, "id": {"B": f"={view}".encode()}}


def name_of(item: Item) -> tuple[str, bytes]:
    """Return an item's primary key as one that can be compared."""
    return item["place"]["S"], item["id"]["B"]
