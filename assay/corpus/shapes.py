"""The shapes of training rows: texts, instructions with responses, and conversations."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from assay.core.fault import MISUSED, Fault
from assay.corpus.nested import read_json

FORMATS = ("instruct", "chat", "pretrain")
ROLES = ("system", "user", "assistant", "tool")
TEXT, MESSAGES = "text", "messages"
_PAIR = ("instruction", "response")
_MESSAGE = {"role": pa.string(), "content": pa.string()}


@dataclass(frozen=True)
class Shape:
    """The columns that are read of a model, and those that rows of the corpus have, with their types."""

    read: tuple[str, ...]
    written: Mapping[str, pa.DataType]

    def value_of(self, name: str, row: Mapping[str, Any]) -> Any:
        """Return the value of a column that is read, as it can be masked: messages in JSON are a list."""
        return read_json(row[name]) if name == MESSAGES else row[name]

    def content_of(self, row: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Return the values of a row in this shape, and the names of rules that it breaks.

        The values mean nothing if there is such a rule.
        """
        if MESSAGES in self.read:
            messages = _messages_of(row[MESSAGES])
            if messages is None:
                return {}, ["empty" if row[MESSAGES] is None else "unreadable_messages"]
            return {MESSAGES: messages}, list(_broken(messages))
        broken = ["empty"] if any(not (row[name] or "").strip() for name in self.read) else []
        if MESSAGES in self.written:
            turns = zip(("user", "assistant"), self.read, strict=True)
            return {MESSAGES: [{"role": role, "content": row[name]} for role, name in turns]}, broken
        return {name: row[name] for name in self.read}, broken


def shape_of(format_name: str, columns: Sequence[str], model: str) -> Shape:
    """Return the shape of a format for a model that has these columns.

    Raises:
        Fault: the model lacks a column that the format needs.
    """
    messages = {MESSAGES: pa.list_(pa.struct(_MESSAGE))}
    shapes = {
        "pretrain": [Shape((TEXT,), {TEXT: pa.string()})],
        "instruct": [Shape(_PAIR, dict.fromkeys(_PAIR, pa.string()))],
        "chat": [Shape((MESSAGES,), messages), Shape(_PAIR, messages)],
    }[format_name]
    for shape in shapes:
        if set(shape.read) <= set(columns):
            return shape
    needed = " or ".join(" and ".join(shape.read) for shape in shapes)
    raise Fault(
        f"The format {format_name} takes the column {needed}, which {model} lacks: it has "
        f"{', '.join(columns)}.",
        MISUSED,
    )


def texts_of(content: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts of a row, in order."""
    for value in content.values():
        yield from [value] if isinstance(value, str) else (each["content"] for each in value)


def _messages_of(value: Any) -> list[dict[str, str]] | None:
    """Return messages with role and content, from a list or JSON; None if it is something else."""
    try:
        found = json.loads(value) if isinstance(value, str) else value
        messages = [{"role": each.pop("role"), "content": each.pop("content")} for each in map(dict, found)]
        rest = [each for message in found for name, each in message.items() if name not in _MESSAGE]
        for message in messages:
            # JSON may hold halves of characters, which no file can.
            (message["role"] + (message["content"] or "")).encode()
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return None
    return None if any(each is not None for each in rest) else messages


def _broken(messages: Sequence[Mapping[str, str]]) -> Iterator[str]:
    if not messages or any(not (each["content"] or "").strip() for each in messages):
        yield "empty"
    roles = [each["role"] for each in messages]
    if not set(roles) <= set(ROLES):
        yield "unknown_role"
    elif not _is_conversation(roles):
        yield "wrong_turns"


def _is_conversation(roles: Sequence[str]) -> bool:
    """Tell whether user and assistant take turns: the user begins, the assistant ends, and tools answer it.

    A system's message may stand before.
    """
    turns = roles[1:] if roles[:1] == ["system"] else roles
    follows = {"": ("user",), "user": ("assistant",), "tool": ("tool", "assistant")}
    follows["assistant"] = ("user", "tool")
    before = ["", *turns[:-1]]
    return turns[-1:] == ["assistant"] and all(
        role in follows.get(last, ()) for last, role in zip(before, turns, strict=True)
    )
