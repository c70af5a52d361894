"""How far the log of a database has landed: a file beside the segments, replaced in one step with them."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from uuid import uuid4

from assay.core.disk import make_private_folder, replace_private
from assay.core.fault import Fault
from assay.landing.segments import Range

_NAME = ".{slot}.position.json"


@dataclass(frozen=True)
class Position:
    """Where to go on in the log of a database, for the tables that one replication slot serves.

    Args:
        slot: the replication slot; the publication has the same name.
        database: the database as `host:port/name`.
        next_offsets: the offset of the next message of each landing table.
        lsn: the place in the log to go on from; 0 before the snapshot is complete.
        committed: the LSN of the last transaction that has landed.
        read_at: when the log was read up to there, in milliseconds since 1970.
        closing: the segments that belong to this position: a killed process may have left them unnamed.
    """

    slot: str
    database: str
    next_offsets: dict[str, int]
    lsn: int = 0
    committed: int = 0
    read_at: int = 0
    closing: dict[str, Range] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Replace the file: from now on, all messages before this position have landed.

        Args:
            folder: of the source, in the landing zone.

        Raises:
            OSError: it cannot be written.
        """
        make_private_folder(folder)
        replace_private(folder / _NAME.format(slot=self.slot), json.dumps(asdict(self)).encode())


def make_position(source: str, database: str, tables: list[str]) -> Position:
    """Return the beginning of some tables of a database, for which a slot is to be made."""
    # Another landing zone that follows the same database needs a slot of its own.
    name = re.sub("[^a-z0-9_]", "_", source.lower())[:40]
    return Position(f"assay_{name}_{uuid4().hex[:8]}", database, dict.fromkeys(tables, 0))


def read_positions(folder: Path) -> list[Position]:
    """Return the positions in the folder of a source.

    Raises:
        Fault: a file cannot be read as one.
    """
    positions = []
    for path in sorted(folder.glob(_NAME.format(slot="*"))):
        try:
            content = json.loads(path.read_text())
            closing = {table: (first, last) for table, (first, last) in content.pop("closing").items()}
            positions.append(Position(**content, closing=closing))
        except (ValueError, TypeError, KeyError) as error:
            raise Fault(
                f"{path} is damaged: it says how far a database's log has landed. Restore it, or move it "
                "away: then a new snapshot lands, and what happened since the last segments is not in it."
            ) from error
    return positions
