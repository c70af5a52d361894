"""Load DuckDB's extensions from their packages: nothing is fetched, or installed elsewhere."""

from __future__ import annotations

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
    with extra_needed(extra, by):
        found = find_spec(f"duckdb_extension_{name}")
        if found is None or not found.origin:
            raise ModuleNotFoundError(f"duckdb-extension-{name}", name=f"duckdb-extension-{name}")
    file = Path(found.origin).parent / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    if not file.is_file():
        raise Fault(
            f"duckdb-extension-{name} is of another version than DuckDB, which is {duckdb.__version__}: "
            f"pip install duckdb-extension-{name}=={duckdb.__version__}.",
            MISUSED,
        )
    connection.load_extension(str(file))
