"""Tell whether a node has enough rows to be worth the way to Spark."""

from __future__ import annotations

import os

import duckdb

from assay.core.fault import MISUSED, Fault
from assay.spark.jobs import Job

#: The environment variable that says how many rows a node must have to go to Spark; 0 sends each that can.
FROM = "ASSAY_SPARK_FROM"
# Fewer are computed sooner on this machine than Spark begins.
_FROM = 1_000_000


def find_least_rows() -> int:
    """Return how many rows a node must have to go to Spark.

    Raises:
        Fault: the environment names no such number.
    """
    asked = os.environ.get(FROM, "").strip()
    if asked and not (asked.isascii() and asked.isdigit()):
        raise Fault(f"{FROM} is {asked}: it is a number of rows, such as {_FROM}, or 0.", MISUSED)
    return int(asked) if asked else _FROM


def count_rows(job: Job, connection: duckdb.DuckDBPyConnection) -> int:
    """Count the rows that say how large a node is.

    They are those that a training set begins with, landed rows that are new, and else all of the tables whose
    rows go by key.

    Args:
        job: how the node is computed.
        connection: of the warehouse.
    """
    if job.spine:
        queries = [job.spine]
    else:
        queries = [each.asked or f"from {each.relation}" for each in job.inputs if each.keys]
    counts = [connection.execute(f"select count(*) from ({query})").fetchall() for query in queries]
    return sum(count for [(count,)] in counts)
