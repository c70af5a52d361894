"""Move the files of dlt's completed load packages into the landing zone, each by one rename."""

from __future__ import annotations

import gzip
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq

from assay.landing.discover import landed_at_folder
from assay.landing.dlt_layout import FILE, completed_loads

_BYTES = 1 << 20


@dataclass(frozen=True)
class LandedTable:
    """What landed of a table from one load package of dlt."""

    table: str
    load_id: str
    files: int
    rows: int


def land_packages(staged: Path, source: Path, landed_at: datetime) -> list[LandedTable]:
    """Move files of load packages that are complete; those of others wait until dlt has completed them.

    A rename is whole or has not happened: a file is here or there, whenever the process ends.

    Args:
        staged: the folder of dlt's dataset.
        source: the source's folder in the landing zone, on the same disk.
        landed_at: when they land (UTC).

    Returns:
        What landed, by package and table.

    Raises:
        OSError: a file cannot be moved.
    """
    complete = completed_loads(staged) or frozenset()
    moved: dict[tuple[str, str], list[int]] = defaultdict(list)
    for file in sorted(staged.glob("*/*")):
        named = FILE.fullmatch(file.name)
        if file.parent.name.startswith("_") or not named or named["load_id"] not in complete:
            continue
        rows = _count_rows(file)
        folder = source / file.parent.name / landed_at_folder(landed_at)
        folder.mkdir(parents=True, exist_ok=True)
        file.rename(folder / file.name)
        moved[named["load_id"], file.parent.name].append(rows)
    return [
        LandedTable(table, load_id, len(rows), sum(rows)) for (load_id, table), rows in sorted(moved.items())
    ]


def _count_rows(file: Path) -> int:
    if file.suffix == ".parquet":
        return int(pq.read_metadata(file).num_rows)
    count, last = 0, b"\n"
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
        while block := stream.read(_BYTES):
            count, last = count + block.count(b"\n"), block[-1:]
    return count + (last != b"\n")
