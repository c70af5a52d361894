"""Ways to tell drift: `python -m benchmarks.drift_ways WAY FILE COLUMNS SQL` prints what it found as JSON.

FILE is a DuckDB file with tables `reference` and `current`. With 0 columns a way only starts, and what that
takes can be subtracted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import duckdb

_BINS, _EPSILON = 10, 1e-4
Found = dict[str, list[float]]


def by_macro(connection: duckdb.DuckDBPyConnection, columns: list[str], sql: str) -> Found:
    """PSI, KS and JS by the compiled macro."""
    if not columns:
        return {}
    rows = connection.execute(f"select feature, psi, ks, js from ({Path(sql).read_text()})").fetchall()
    return {feature: list(figures) for feature, *figures in rows}


def by_scipy(connection: duckdb.DuckDBPyConnection, columns: list[str]) -> Found:
    """The same by numpy and scipy, a column of both tables in memory at a time."""
    from scipy.spatial.distance import jensenshannon
    from scipy.stats import ks_2samp

    found = {}
    for column in columns:
        reference, current = (
            connection.execute(f"select {column} from {table}").fetchnumpy()[column]
            for table in ("reference", "current")
        )
        p, q = _shares(reference, current)
        found[column] = [
            _psi(p, q),
            float(ks_2samp(reference, current).statistic),
            float(jensenshannon(p, q)),
        ]
    return found


def _shares(reference: Any, current: Any) -> tuple[Any, Any]:
    """Of both sides, in bins that end at the reference's quantiles; one that is several is its own bin."""
    import numpy

    quantiles = numpy.quantile(reference, numpy.arange(1, _BINS) / _BINS, method="inverted_cdf")
    ends, times = numpy.unique(quantiles, return_counts=True)
    edges = numpy.sort(numpy.concatenate([ends, numpy.nextafter(ends[times > 1], -numpy.inf)]))
    shares = (
        numpy.bincount(numpy.searchsorted(edges, side), minlength=len(edges) + 1) / len(side)
        for side in (reference, current)
    )
    return next(shares), next(shares)


def _psi(p: Any, q: Any) -> float:
    import numpy

    p, q = numpy.maximum(p, _EPSILON), numpy.maximum(q, _EPSILON)
    return float(numpy.sum((q - p) * numpy.log(q / p)))


def main(way: str, file: str, columns: str, sql: str) -> None:
    names = [f"x{number}" for number in range(int(columns))]
    with duckdb.connect(file, read_only=True) as connection:
        connection.execute("set threads = 2")
        found = by_macro(connection, names, sql) if way == "macro" else by_scipy(connection, names)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
