"""Look into lists, structs and JSON for what they hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

# Calls of tools are some ten levels deep; what goes over a value takes steps of the stack for each.
_DEEPEST = 100


def read_json(value: Any) -> Any:
    """Return the list or dict that a text holds as JSON; any other value is returned as it is.

    In JSON's text, escapes hide what stands there: a line end is an `n` at the begin of the next word.
    """
    if not isinstance(value, str) or value.lstrip()[:1] not in ("[", "{"):
        return value
    try:
        found = json.loads(value)
    except (RecursionError, ValueError):
        return value
    return found if _is_within(found, _DEEPEST) else value


def leaves_of(value: Any) -> Iterator[Any]:
    """Yield the values within lists, tuples, dicts and JSON; a value that is none of them is one itself."""
    found = read_json(value)
    # Keys and values of a map come as pairs.
    if isinstance(found, dict | list | tuple):
        for each in _inner(found):
            yield from leaves_of(each)
    else:
        yield found


def _inner(value: Any) -> list[Any]:
    return list(value.values() if isinstance(value, dict) else value)


def _is_within(value: Any, levels: int) -> bool:
    is_leaf = not isinstance(value, dict | list)
    return is_leaf or (levels > 0 and all(_is_within(each, levels - 1) for each in _inner(value)))
