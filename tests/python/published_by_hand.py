"""A published file of a few feature views, written by hand: no build is needed to fill a store with it."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from online_stores import query

ONE, PAIR = "ftr_thing__figures", "ftr_pair__figures"
KNOWN_UNTIL = datetime(2025, 1, 1)


def make_published(file: Path, *, run_id: str = "run", entities: int = 20) -> Path:
    """Publish views of things and of pairs; `total` is the entity's number and the length of `run_id`."""
    numbers = f"from range({entities}) as numbers (n)"
    publish_view(
        file,
        ONE,
        {"thing_id": "varchar"},
        {"total": "bigint"},
        f"select 't' || n as thing_id, n + {len(run_id)} as total {numbers}",
        run_id=run_id,
        defaults={"total": "0"},
    )
    publish_view(
        file,
        PAIR,
        {"a": "varchar", "b": "bigint"},
        {"total": "bigint"},
        f"select 'a' || n as a, n as b, n + {len(run_id)} as total {numbers}",
        run_id=run_id,
        defaults={"total": "0"},
    )
    return file


def publish_view(
    file: Path,
    name: str,
    keys: dict[str, str],
    columns: dict[str, str],
    rows: str,
    *,
    run_id: str = "run",
    defaults: dict[str, str] | None = None,
    derived: list[dict[str, str]] | None = None,
    inputs: list[dict[str, str]] | None = None,
    pii: dict[str, str] | None = None,
    **declared: Any,
) -> None:
    """Add a view to a file; `rows` is SQL of its keys and columns, which hold from 2025 on for ever."""
    definition = {
        "name": name, "description": "", "entity": "thing", "owner": None, "max_age": None, "unique_id": "",
        "keys": [{"name": key, "type": kind, "pii": (pii or {}).get(key)} for key, kind in keys.items()],
        "columns": [
            {"name": column, "type": kind, "default": (defaults or {}).get(column)}
            for column, kind in columns.items()
        ],
        "derived": derived or [],
        "inputs": inputs or [],
    } | declared  # fmt: skip
    typed = ", ".join(f'"{column}"::{kind} as "{column}"' for column, kind in (keys | columns).items())
    query(file, "create schema if not exists gold")
    query(
        file,
        f"create or replace table gold.srv_{name} as select {typed}, timestamp '2025-01-01' as valid_from, "
        "timestamp '9999-12-31' as valid_to, timestamp '2025-01-01' as updated_at, "
        f"(hash(found) >> 1)::bigint as version from ({rows}) as found",
    )
    query(
        file,
        "create table if not exists gold.srv_catalog "
        "(feature_view varchar, definition varchar, known_until timestamp, run_id varchar)",
    )
    query(file, "delete from gold.srv_catalog where feature_view = ?", [name])
    query(
        file,
        "insert into gold.srv_catalog values (?, ?, ?, ?)",
        [name, json.dumps(definition), KNOWN_UNTIL, run_id],
    )
