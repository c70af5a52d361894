"""Check requests for online views against the views' definitions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from assay.core.fault import MISUSED, Fault, unknown
from assay.core.moment import instant
from assay.online.definition import OnlineColumn, OnlineView
from assay.online.stores.store import Catalog
from assay.online.stretch import key_text
from assay.project.personal import masked


class Refused(Fault):
    """A request that cannot be answered as it stands; the message says what is allowed."""

    def __init__(self, message: str) -> None:
        super().__init__(message, MISUSED)


@dataclass(frozen=True)
class ViewRequest:
    """A checked request for a view: features, entities by the text of their key, and inputs for each entity.

    `max_age` is the maximum age of values, None for no limit; `prefix` is put before the names of features.
    """

    view: OnlineView
    features: list[str]
    keys: list[str]
    inputs: dict[str, list[str | None]]
    at: datetime
    max_age: timedelta | None
    prefix: str = ""


def view_request(
    catalog: Catalog,
    name: str,
    features: Sequence[str] | None,
    entities: Mapping[str, Sequence[Any]],
    at: datetime,
    *,
    are_stored: bool = False,
) -> ViewRequest:
    """Check a request for a view.

    Args:
        catalog: the store's catalog.
        name: the view's name.
        features: the names of columns and derived features; None for all that can be computed.
        entities: for each key of the view and each request input, a value for each entity.
        at: the instant (UTC, without zone).
        are_stored: whether keys are given as stored, which means hashed if they are personal data.

    Raises:
        Refused: something is unknown, missing or of another type, or the instant is before the store's data.
        Fault: keys must be hashed, and this process does not have the key for that.
    """
    view = view_named(catalog, name)
    if features is None:
        features = [
            each
            for each in view.features
            if all(input_.name in entities for input_ in view.selection([each]).inputs)
        ]
    for feature in features:
        if feature not in view.features:
            raise Refused(unknown(f"{name} has no feature {feature}", feature, view.features))
    if missing := [key.name for key in view.keys if key.name not in entities]:
        raise Refused(
            f"{name} needs {_listed(key.name for key in view.keys)}: {_listed(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing."
        )
    inputs = view.selection(features).inputs
    if missing := [each.name for each in inputs if each.name not in entities]:
        raise Refused(
            f"The features asked of {name} need {_listed(each.name for each in inputs)} with the request: "
            f"{_listed(missing)} {'is' if len(missing) == 1 else 'are'} missing."
        )
    used = [*view.keys, *inputs]
    lengths = {len(entities[each.name]) for each in used}
    if len(lengths) > 1:
        raise Refused(f"{_listed(each.name for each in used)} must have as many values as each other.")
    texts = [[_key_value(key, value) for value in entities[key.name]] for key in view.keys]
    known_until = view.build.known_until
    if known_until is not None and at < known_until:
        raise Refused(
            f"{name} is online from {known_until.isoformat()}Z on, when its build last learnt anything; "
            f"{at.isoformat()}Z lies before. For the past: dbt's point_in_time_join."
        )
    return ViewRequest(
        view,
        list(features),
        [
            key_text(list(values) if are_stored else view.hashed_keys(values))
            for values in zip(*texts, strict=True)
        ],
        {each.name: [_input_value(each, value) for value in entities[each.name]] for each in inputs},
        at,
        view.max_age,
    )


def instant_given(text: str) -> datetime:
    """Read a time in ISO 8601; without an offset it is UTC.

    Raises:
        Refused: the text is no time.
    """
    moment = instant(text)
    if moment is None:
        raise Refused(f"{_said(text)} is not a time: write it as 2025-06-30 or 2025-06-30T12:00:00+02:00.")
    return moment


def view_named(catalog: Catalog, name: str) -> OnlineView:
    """Return the view with a name.

    Raises:
        Refused: the store has no such view.
    """
    if name not in catalog:
        raise Refused(unknown(f"There is no feature view {name} online", name, catalog))
    return catalog[name]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _key_value(key: OnlineColumn, value: Any) -> str:
    """Convert a key's value to the stored form."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Refused(f"{key.name} must be a text or a whole number, not {_said_of(key, value)}.")
    text = _whole_text(key, str(value))
    if key.kind in ("whole", "hugeint", "uhugeint"):
        try:
            return str(int(text))
        except ValueError:
            raise Refused(f"{key.name} must be a whole number, not {_said_of(key, value)}.") from None
    return text


def _input_value(column: OnlineColumn, value: Any) -> str | None:
    """Convert an input's value to text, which SQL casts like a column of a spine."""
    if value is None:
        return None
    numbers = column.kind in ("whole", "floating", "decimal", "hugeint", "uhugeint")
    if column.kind == "boolean":
        fits = isinstance(value, bool)
    elif column.kind == "nested":
        fits = isinstance(value, list | dict | str)
    elif isinstance(value, bool):
        fits = False
    elif numbers:
        fits = isinstance(value, int | float | Decimal | str)
    else:
        fits = isinstance(value, str)
    if not fits:
        raise wrong_type(column, value)
    is_json = isinstance(value, bool | list | dict)
    return _whole_text(column, json.dumps(value, default=str) if is_json else str(value))


def _whole_text(column: OnlineColumn, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refused(
            f"{column.name} holds half of a character (a lone surrogate), which is no text."
        ) from None
    return text


def wrong_type(column: OnlineColumn, value: Any) -> Refused:
    """Return the error for an input that is not of the declared type."""
    return Refused(f"{column.name} must be of type {column.type}, which {_said(value)} is not.")


def _said_of(column: OnlineColumn, value: Any) -> str:
    return _said(masked(value) if column.pii else value)


def _said(value: Any) -> str:
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
