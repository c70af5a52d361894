"""Load DuckDB's extensions from their packages: nothing is fetched, or installed elsewhere."""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import duckdb

from assay.core.fault import MISUSED, Fault, extra_needed


def load_extension(connection: duckdb.DuckDBPyConnection, name: str, *, extra: str, by: str) -> None:
    """Load an extension into a connection.

    Args:
        connection: of DuckDB.
        name: of the extension, such as `fts`.
        extra: name of the extra that brings its package.
        by: what needs it, as the subject of a message.

    Raises:
        Fault: the extra is not installed, or the extension is of another version of DuckDB.
    """
    connection.load_extension(str(find_extension(name, extra=extra, by=by)))


def find_extension(name: str, *, extra: str, by: str) -> Path:
    """Return the file of an extension; arguments and faults are those of `load_extension`."""
    with extra_needed(extra, by):
        found = find_spec(f"duckdb_extension_{name}")
        if found is None or not found.origin:
            raise ModuleNotFoundError(f"duckdb-extension-{name}", name=f"duckdb-extension-{name}")
    file = Path(found.origin).parent / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    if not file.is_file():
        # Of the newest DuckDB there may be no such package, so it is DuckDB that changes.
        theirs = version(f"duckdb-extension-{name.replace('_', '-')}")
        raise Fault(
            f"duckdb-extension-{name} is of version {theirs}, and DuckDB of {duckdb.__version__}. Both must "
            f"be of one version: pip install duckdb=={theirs}.",
            MISUSED,
        )
    return file
