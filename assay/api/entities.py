"""Data frames of any kind, as Arrow tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from assay.core.fault import MISUSED, Fault

_KINDS = (
    "a data frame of pandas or Polars, an Arrow table, a relation of DuckDB, a list of dicts, "
    "or a dict of lists"
)


def convert_to_arrow(rows: Any) -> Any:
    """Return rows as an Arrow table, in their order; pandas' index is left out.

    Args:
        rows: a data frame of pandas or Polars, an Arrow table, a relation of DuckDB, a list of dicts, a dict
            of lists, or anything else that gives an Arrow stream.

    Raises:
        Fault: they are none of these, a column mixes types, or two columns share a name.
    """
    import pyarrow as pa

    try:
        table = _as_arrow(rows)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise Fault(f"The rows cannot be read as a table: {error}", MISUSED) from error
    twice = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if twice:
        raise Fault(f"The rows have two columns named {', '.join(twice)}: rename one.", MISUSED)
    return table


def _as_arrow(rows: Any) -> Any:
    import pyarrow as pa

    if isinstance(rows, pa.Table):
        return rows
    # Not imported: whoever has a frame of pandas has imported it.
    if type(rows).__module__.startswith("pandas"):
        return pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata(None)
    if type(rows).__module__.startswith("polars"):
        return (rows.collect() if hasattr(rows, "collect") else rows).to_arrow()
    if hasattr(rows, "to_arrow_table"):
        return rows.to_arrow_table()
    if hasattr(rows, "__arrow_c_stream__") or isinstance(rows, pa.RecordBatch):
        return pa.table(rows)
    if isinstance(rows, Mapping):
        return pa.table(dict(rows))
    if isinstance(rows, Sequence) and all(isinstance(row, Mapping) for row in rows):
        # From a list Arrow takes the columns of the first row alone.
        names = dict.fromkeys(name for row in rows for name in row)
        return pa.table({name: [row.get(name) for row in rows] for name in names})
    raise TypeError(f"a {type(rows).__name__} is not {_KINDS}")
