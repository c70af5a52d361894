"""A Segment track call as a line of JSON, and the ways in which one goes bad."""

import re
from dataclasses import dataclass, replace
from random import Random

from example.malformed import broken_json

#: Kinds that put a bad line beside the good one, and kinds that spoil the line itself.
ADDED = ("duplicate_message", "exact_duplicate", "malformed_json", "not_an_object")
SPOILT = (
    "invalid_quantity",
    "invalid_price",
    "invalid_timestamp",
    "missing_identity",
    "missing_message_id",
    "unknown_event",
)
UNKNOWN_EVENTS = ("Banner Clicked", "Wishlist Shared", "product viewed")


def encode(
    message_id: str, user: str, device: str, event: str, properties: str, timestamp: str, received_at: str
) -> str:
    """The line of a call. The ids and properties are JSON text already: this runs for every event."""
    return (
        f'{{"messageId":{message_id},"type":"track","userId":{user},"anonymousId":{device},"event":"{event}",'
        f'"properties":{properties},"timestamp":"{timestamp}","receivedAt":"{received_at}"}}'
    )


@dataclass(frozen=True, slots=True)
class Call:
    """The parts of a call that is about to get dirty."""

    message_id: str
    user: str
    device: str
    event: str
    properties: str
    timestamp: str
    received_at: str

    def line(self) -> str:
        """The call as JSON."""
        return encode(
            self.message_id,
            self.user,
            self.device,
            self.event,
            self.properties,
            self.timestamp,
            self.received_at,
        )


def spoil(rng: Random, kind: str, call: Call) -> Call:
    """The call with exactly one thing wrong."""
    if kind == "invalid_price":
        return _with_property(call, "price", rng.choice(('"free"', "1e30")))
    if kind == "invalid_quantity":
        return _with_property(call, "quantity", rng.choice(('"two"', "1.5")))
    if kind == "invalid_timestamp":
        return replace(call, timestamp=rng.choice(("yesterday", f"2025-13-45{call.timestamp[10:]}")))
    if kind == "missing_identity":
        return replace(call, user="null", device="null")
    if kind == "missing_message_id":
        return replace(call, message_id="null")
    return replace(call, event=rng.choice(UNKNOWN_EVENTS))


def unreadable(rng: Random, kind: str, call: Call) -> str:
    """A line that is no JSON object, and unlike any other line."""
    if kind == "malformed_json":
        return broken_json(rng, call.line(), call.message_id)
    number = int(call.message_id[1:16], 16)
    return rng.choice((f'[{call.message_id},"track"]', call.message_id, str(number)))


def _with_property(call: Call, name: str, value: str) -> Call:
    return replace(call, properties=re.sub(f'(?<="{name}":)[^,}}]+', value, call.properties))
