"""Shield personal data in SQL outside dbt, value for value as the macros `pii_hash` and `pii_mask` do."""

from __future__ import annotations

from assay.core.sql import quoted


def hash_sql(column: str, inner: str = "pii_inner", outer: str = "pii_outer") -> str:
    """Return an expression that hashes a column.

    Args:
        column: its name.
        inner: the session's variable with the inner block of HMAC, see `PiiKey`.
        outer: the one with the outer block.
    """
    name = quoted(column)
    content = f"unhex(sha256(getvariable('{inner}') || encode({name}::varchar)))"
    return f"case when {name} is not null then sha256(getvariable('{outer}') || {content}) end"


def mask_sql(column: str) -> str:
    """Return an expression that has an asterisk for each character of a column."""
    return f"repeat('*', length({quoted(column)}::varchar))"
