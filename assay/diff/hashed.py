"""Tell which key hashed the personal data of a warehouse, and refuse to compare with hashes of another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import duckdb

from assay.core.fault import MISUSED, Fault
from assay.core.sql import quoted
from assay.core.words import listed
from assay.diff.code import CodeVersion, called_macros
from assay.pii.key import VARIABLE, find_pii_key
from assay.project.graph import ancestor_ids
from assay.project.personal import PII

_HASH = ".pii_hash"


def read_fingerprint(connection: duckdb.DuckDBPyConnection, catalog: str) -> str | None:
    """Return the fingerprint of the key that hashed all of an attached warehouse; None if nobody knows."""
    try:
        found = connection.execute(f"select fingerprint from {quoted(catalog)}.landing.pii_key").fetchall()
    except duckdb.Error:
        # It hashes nothing, is a published file, or its last build did not note it.
        return None
    return found[0][0] if found else None


def require_its_key(fingerprint: str | None, code: CodeVersion, build: Iterable[str]) -> None:
    """Check that what is built of a version beside production is hashed with the key of production.

    Args:
        fingerprint: of production's key; None if nobody knows.
        code: the version.
        build: the ids of what is to be built.

    Raises:
        Fault: it would be hashed with another key.
    """
    key = find_pii_key()
    if fingerprint is None or (key and key.fingerprint == fingerprint):
        return
    if hashed := sorted(code.manifest.nodes[each].name for each in build if _hashes(each, code)):
        raise Fault(
            f"{VARIABLE} is not the key that the warehouse was built with, so the hashes in {listed(hashed)} "
            "would differ in every row, and join with no others: set it to that key, and try again.",
            MISUSED,
        )


def tell_of_keys(connection: duckdb.DuckDBPyConnection, catalogs: Sequence[str]) -> Iterator[str]:
    """Yield what readers must know where two attached warehouses were hashed with different keys."""
    before, after = (read_fingerprint(connection, each) for each in catalogs)
    if before and after and before != after:
        yield f"They were built with different keys ({VARIABLE}): every hash of personal data differs."


def _hashes(unique_id: str, code: CodeVersion) -> bool:
    """Tell whether a node hashes what a contract above it declares personal."""
    nodes, sources = code.manifest.nodes, code.manifest.sources
    above = [sources[each] for each in ancestor_ids(unique_id, nodes) if each in sources]
    called = called_macros(nodes[unique_id], code.manifest.macros)
    return any((each.config.meta or {}).get(PII) for each in above) and any(
        each.endswith(_HASH) for each in called
    )
