"""Read what the file of a role was made of, which the file itself says."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb

from assay.core.fault import Fault
from assay.project.warehouse import connect_published


@dataclass(frozen=True)
class MadeOf:
    """What the file of a role was made of.

    Attributes:
        run_id: the run whose publication it is a part of.
        rights: a hash of what the role may read.
        content: a hash of all that the file is made of.
    """

    run_id: str
    rights: str
    content: str


def read_made_of(file: Path) -> MadeOf | None:
    """Return what a file of a role was made of; None if there is none that can be read."""
    with suppress(duckdb.Error, Fault), connect_published(file) as connection:
        [found] = connection.execute(
            "select run_id, declared, content from found.published.role, found.published.publication"
        ).fetchall()
        return MadeOf(*map(str, found))
    return None
