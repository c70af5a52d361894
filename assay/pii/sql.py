"""Shield personal data in SQL outside dbt, value for value as the macros `pii_hash` and `pii_mask` do."""

from __future__ import annotations

from assay.core.sql import quoted


def hash_sql(column: str) -> str:
    """Return an expression that hashes a column; the session has the key's variables, see `PiiKey`."""
    name = quoted(column)
    inner = f"unhex(sha256(getvariable('pii_inner') || encode({name}::varchar)))"
    return f"case when {name} is not null then sha256(getvariable('pii_outer') || {inner}) end"


def mask_sql(column: str) -> str:
    """Return an expression that has an asterisk for each character of a column."""
    return f"repeat('*', length({quoted(column)}::varchar))"
